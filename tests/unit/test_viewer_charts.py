"""The charts of the viewer: ticks, labels, titles, and figures that are those of the page and its table."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.scales import CHAR, apart, label, scale
from analysis.viewer.charts.comparisons import cost_chart, forest_chart
from analysis.viewer.charts.escape import escaped, visible, visible_data
from analysis.viewer.charts.phases import depth_chart, plane_chart
from analysis.viewer.charts.runs import rounds_chart, society_chart, sparkline, strip_chart
from analysis.viewer.charts.svg import Chart, figure
from analysis.viewer.charts.tails import growth_chart, tail_chart
from analysis.viewer.pages.compare import ComparePage, CrossoverLine, CurveLine, Organisation
from analysis.viewer.pages.laws import LawLine, laws_page
from analysis.viewer.pages.phase import phase_page
from analysis.viewer.pages.plain import Span
from analysis.viewer.pages.run import RunPage, run_page
from analysis.viewer.pages.society import Link
from analysis.viewer.pages.store import open_log
from tests.sides import told_apart
from tests.viewer_results import some_laws, some_measurements

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


def parsed(chart: Chart) -> ET.Element:
    """Return the picture, sound: XML with title and description, numbers that are finite, all within the picture."""
    root = ET.fromstring(chart.svg)
    assert root.findtext(f"{SVG}title") == chart.title
    assert root.findtext(f"{SVG}desc") == chart.description
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for one in root.iter(f"{SVG}circle"):
        assert 0 <= float(one.attrib["cx"]) <= width
        assert 0 <= float(one.attrib["cy"]) <= height
    assert "nan" not in chart.svg
    assert chart.table.rows
    assert {len(row) for row in chart.table.rows} == {len(chart.table.head)}
    return root


def labels(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def organisation(name: str, value: float, tokens: float, **changes: object) -> Organisation:
    one = Organisation(
        name, Span(value, value - 0.1, value + 0.1), Span(value - 0.5, value - 0.6, value - 0.4), "one", 0.01, 3, 2, 1,
        Span(tokens, tokens * 0.9, tokens * 1.1), True, {"finished": 6}, None,
    )  # fmt: skip
    return msgspec.structs.replace(one, **changes)


def comparison(*rows: Organisation) -> ComparePage:
    return ComparePage("c", "", "one", "v", True, {}, list(rows), [], [], [], {}, [], [], None)


@given(values=st.lists(NUMBERS, min_size=1, max_size=8), log=st.booleans())
def test_an_axis_has_at_least_two_ticks_and_no_two_with_one_label(values: list[float], log: bool) -> None:
    found = scale([abs(value) for value in values] if log else values, 50, 500, log=log)
    assert found.low < found.high
    ticks = found.ticks()
    assert len(ticks) >= 2
    assert len({words for _, words in ticks}) == len(ticks)
    places = [found(value) for value, _ in ticks]
    assert all(a < b for a, b in pairwise(places))
    assert all(50 - 1e-6 <= place <= 500 + 1e-6 for place in places)


def test_one_value_alone_has_an_axis_around_it() -> None:
    for log in (False, True):
        found = scale([3.0, 3.0], 0, 100, log=log)
        assert found.low < 3.0 < found.high
        assert 20 < found(3.0) < 80


@given(places=st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_labels_are_moved_apart(places: list[float]) -> None:
    found = sorted(apart(places, 14, 0, 300))
    assert all(b - a >= 14 - 1e-6 for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("value", "step", "words"),
    [
        (0.0, 1, "0"),
        (0.25, 0.25, "0.25"),
        (0.5, 0.25, "0.50"),
        (20000, 10000, "20k"),
        (1500, 500, "1500"),
        (3e6, 0, "3M"),
    ],
)
def test_numbers_on_axes_are_short(value: float, step: float, words: str) -> None:
    assert label(value, step) == words


def test_the_forest_has_the_numbers_of_the_page() -> None:
    page = comparison(organisation("a", 0.55, 100), organisation("b", 0.9, 200))
    chart = forest_chart(page)
    assert chart is not None
    root = parsed(chart)
    assert {"a", "b"} <= set(labels(root))
    assert [row[2] for row in chart.table.rows] == [figure(0.05), figure(0.4)]
    dots = {one.findtext(f"{SVG}title"): float(one.attrib["cx"]) for one in root.iter(f"{SVG}circle")}
    assert len(dots) == 2
    assert sorted(dots.values())[0] == dots[next(name for name in dots if name and name.startswith("a"))]
    assert "leaves 0 out for: b (filled dots)" in chart.description
    none = forest_chart(comparison(organisation("a", 0.55, 100)))
    assert none is not None
    assert "leaves 0 out for: none" in none.description
    assert forest_chart(comparison(organisation("a", 0.5, 1, difference=None))) is None


def test_the_forest_says_which_differences_can_be_chance_among_so_many() -> None:
    sure, doubted, open_ = (
        organisation(name, 0.9, 1, p_holm=p) for name, p in (("a", 0.01), ("b", 0.054), ("c", None))
    )
    both, alone = forest_chart(comparison(sure, doubted, open_)), forest_chart(comparison(sure, open_))
    assert both is not None
    assert alone is not None
    assert "leaves 0 out for: a, b, c (filled dots)" in both.description
    told_apart({"By p (Holm) these are not told from 0: b.": both.description}, alone.description)
    wider = forest_chart(msgspec.structs.replace(comparison(sure, doubted, open_), level=0.9))
    assert wider is not None
    assert "by p (Holm), for" not in wider.description  # at 90 % a p of 0.054 is none that is doubted


def test_the_browsers_side_takes_every_attribute_of_the_pictures() -> None:
    """A crossover's band without its opacity hides what it is drawn over."""
    ends = Span(300.0, 200.0, 500.0)
    curve = CurveLine("a", [100.0, 1000.0], [Span(100.0), Span(1000.0)], [Span(0.5), Span(0.6)])
    page = msgspec.structs.replace(
        comparison(organisation("a at 100", 0.5, 100)), curves=[curve],
        crossovers=[CrossoverLine("a", "b", "crossover", ends, "", "")],
    )  # fmt: skip
    law = laws_page(some_laws().as_dict()).laws[0]
    measured = phase_page(some_measurements())
    run = run_page(open_log(GOLDEN / "debated"))
    charts = [cost_chart(page), forest_chart(page), tail_chart(law), growth_chart(law), plane_chart(measured),
              depth_chart(measured), strip_chart(run), rounds_chart(run), society_chart(run.society)]  # fmt: skip
    blocks = (Path(__file__).parents[2] / "analysis" / "viewer" / "front" / "blocks.js").read_text(encoding="utf-8")
    (taken,) = re.findall(r"const ATTRIBUTES = /(.+)/;", blocks)
    names = {
        name for one in charts if one is not None for part in ET.fromstring(one.svg).iter() for name in part.attrib
    }
    assert "fill-opacity" in names
    assert [name for name in sorted(names) if not re.search(taken, name)] == []


def test_links_of_a_large_society_are_thin() -> None:
    small = run_page(open_log(GOLDEN / "debated")).society
    links = [Link(at % 60, (at * 7 + 1) % 60, 3) for at in range(1_500)]
    large = msgspec.structs.replace(small, n=60, x=[at / 60 for at in range(60)], y=[0.5] * 60, links=links)
    widest = []
    for society in (small, large):
        chart = society_chart(society)
        assert chart is not None
        widest.append(max(float(one.attrib["stroke-width"]) for one in parsed(chart).iter(f"{SVG}line")))
    assert widest[0] == 5
    assert widest[1] < 1.1


def test_points_that_lie_on_each_other_have_labels_apart() -> None:
    page = comparison(*(organisation(f"organisation {at}", 0.5, 100) for at in range(12)))
    chart = cost_chart(page)
    assert chart is not None
    named = [one for one in parsed(chart).iter(f"{SVG}text") if (one.text or "").startswith("organisation")]
    heights = sorted(float(one.attrib["y"]) for one in named)
    assert len(heights) == 12
    assert all(b - a >= 13.9 for a, b in pairwise(heights))
    assert [row[1] for row in chart.table.rows] == ["100"] * 12
    assert cost_chart(comparison(msgspec.structs.replace(organisation("a", 0.5, 1), tokens=None))) is None


@pytest.mark.parametrize("name", ["debated", "orchestrated", "simulated"])
def test_charts_of_a_run_have_the_numbers_of_its_page(name: str) -> None:
    page = run_page(open_log(GOLDEN / name))
    strip, rounds, society = strip_chart(page), rounds_chart(page), society_chart(page.society)
    assert strip is not None
    assert rounds is not None
    assert society is not None
    parsed(strip)
    assert [row[1] for row in strip.table.rows] == [figure(one.score) for one in page.tasks]
    bars = [one for one in parsed(rounds).iter(f"{SVG}rect") if one.find(f"{SVG}title") is not None]
    told = sum(int((one.findtext(f"{SVG}title") or "").split(": ")[1].split()[0].replace(",", "")) for one in bars)
    assert told == sum(row.tokens_in + row.tokens_out for row in page.by_round)
    discs = list(parsed(society).iter(f"{SVG}circle"))
    assert len(discs) == page.society.n


def test_a_run_without_scores_or_tokens_has_no_such_picture() -> None:
    page = run_page(open_log(GOLDEN / "simulated"))
    bare: RunPage = msgspec.structs.replace(page, tasks=[], by_round=[])
    assert strip_chart(bare) is None
    assert rounds_chart(bare) is None
    assert sparkline([1.0], "one") is None


def test_many_tasks_share_cells() -> None:
    page = run_page(open_log(GOLDEN / "simulated"))
    chart = strip_chart(msgspec.structs.replace(page, tasks=page.tasks * 40, tasks_in_all=9_999))
    assert chart is not None
    assert "one cell for 4 tasks, their mean; 2,000 of 9,999 tasks" in chart.description


def test_tails_have_the_data_and_the_fits() -> None:
    for law in laws_page(some_laws().as_dict()).laws:
        chart = tail_chart(law)
        if chart is None:
            assert law.tail is not None
            assert len(set(law.tail.x)) < 2
            continue
        root = parsed(chart)
        assert law.tail is not None
        assert [row[0] for row in chart.table.rows] == [figure(x) for x in law.tail.x if x]
        assert chart.title == f"Tail of {law.name}: {law.verdict}"
        assert ("No model was fitted" in chart.description) is (not law.tail.fits)
        assert any(f"xmin {figure(law.xmin)}" == words for words in labels(root)) is (law.xmin is not None)


def test_the_label_of_xmin_covers_no_point_of_the_data() -> None:
    checked = 0
    for law in laws_page(some_laws().as_dict()).laws:
        if law.tail is None or law.tail.xmin is None or (chart := tail_chart(law)) is None:
            continue
        for xmin in law.tail.x[:-1]:  # wherever the tail may begin
            if xmin is None or xmin <= 0:
                continue
            chart = tail_chart(msgspec.structs.replace(law, tail=msgspec.structs.replace(law.tail, xmin=xmin)))
            assert chart is not None
            root = parsed(chart)
            (label,) = [one for one in root.iter(f"{SVG}text") if (one.text or "").startswith("xmin ")]
            wide, x, y = len(label.text or "") * CHAR, float(label.attrib["x"]), float(label.attrib["y"])
            left = x - wide if label.attrib["text-anchor"] == "end" else x
            assert left >= 64  # within the axes
            for dot in root.iter(f"{SVG}circle"):
                inside = (
                    left - 5 < float(dot.attrib["cx"]) < left + wide + 3 and y - 12 < float(dot.attrib["cy"]) < y + 2
                )
                assert not inside, (law.name, xmin)
            checked += 1
    assert checked > 20


def growing(n: list[float | None], mean: list[float | None]) -> LawLine:
    law = laws_page(some_laws().as_dict()).laws[0]
    assert law.growth is not None
    found = msgspec.structs.replace(law.growth, gamma=Span(0.5, 0.3, 0.7), reason=None, n=n, mean=mean)
    return msgspec.structs.replace(law, growth=found)


def test_growth_needs_two_numbers_of_agents() -> None:
    chart = growth_chart(growing([4.0, 16.0, 64.0], [2.0, 4.0, 8.0]))
    assert chart is not None
    assert len(list(parsed(chart).iter(f"{SVG}circle"))) == 3
    assert "[0.3, 0.7]" in chart.description
    assert growth_chart(growing([4.0, 4.0], [2.0, 3.0])) is None


def test_the_plane_and_the_depths_have_the_numbers_of_the_page() -> None:
    page = phase_page(some_measurements())
    plane, depths = plane_chart(page), depth_chart(page)
    parsed(plane)
    assert page.plane.point is not None
    assert f"gamma {figure(page.plane.point[0])}, rho {figure(page.plane.point[1])}" in plane.description
    assert depths is not None
    assert page.depths is not None
    parsed(depths)
    assert [row[1] for row in depths.table.rows] == [figure(value) for value in page.depths.signal]
    nowhere = msgspec.structs.replace(
        page, plane=msgspec.structs.replace(page.plane, point=None, cloud=[]), depths=None
    )
    assert plane_chart(nowhere).description == "No point was measured."
    assert depth_chart(nowhere) is None


def test_a_sparkline_goes_from_its_first_to_its_last_value() -> None:
    chart = sparkline([1.0, 3.0, math.nan, 2.0], "small")
    assert chart is not None
    parsed(chart)
    assert chart.description == "From 1 to 2."


@given(text=st.text())
def test_every_text_can_be_seen_and_none_is_markup(text: str) -> None:
    found = escaped(text)
    assert not set(found) & set("<>\"'")
    assert all(c == "\n" or c.isprintable() or c.isspace() for c in visible(text))
    assert ET.fromstring(f"<p>{found}</p>").text == (visible(text) or None)


def test_data_is_made_visible_throughout() -> None:
    data = {"a\x1b": ["\x00", {"b": "\u202e"}], "n": 1, "none": None}
    assert visible_data(data) == {"a\\x1b": ["\\x00", {"b": "\\u202e"}], "n": 1, "none": None}
    assert visible("x" * 30, 10).startswith("x" * 10 + " ... cut, 30 characters")
