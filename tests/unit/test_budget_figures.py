"""The figures of budget curves, in the report and as PNG: each has every point, the front and the crossovers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from agentsoc.log.comparison import DialRecord
from analysis.comparison.crossovers import Crossing, Crossover
from analysis.comparison.curve_figure import TABLE, curve_rows, draw_curves
from analysis.comparison.curves import Curve, CurvePoint, Curves
from analysis.comparison.front import FrontPoint
from analysis.interval import Interval
from analysis.viewer.charts.budgets import CURVES, MARKED, curves_chart
from analysis.viewer.charts.comparisons import COST, cost_chart
from analysis.viewer.charts.svg import Chart, figure
from analysis.viewer.pages.compare import compare_page
from tests.sides import told_apart

SVG = "{http://www.w3.org/2000/svg}"
BUDGETS = (1_000, 2_000, 20_000)
SCORES = {"alone": (0.6, 0.65, 0.7), "talk": (0.5, 0.64, 0.8)}
FRONT = {"alone at 1,000", "alone at 2,000", "talk at 20,000"}


def near(value: float, by: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": value * (1 - by), "high": value * (1 + by)}


def report(crossovers: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the data of a report with two curves, and so many crossovers at 3,000 tokens and above."""
    rows = [
        {"organisation": f"{name} at {budget:,}", "mean": near(score)}
        for name, own in SCORES.items()
        for budget, score in zip(BUDGETS, own, strict=True)
    ]
    block = {"comparison": {"baseline": rows[0], "rows": rows[1:]}}
    curves = [
        {"organisation": name, "points": [
            {"budget": budget, "tokens": near(0.9 * budget, 0.01), "score": near(score)}
            for budget, score in zip(BUDGETS, own, strict=True)
        ]}
        for name, own in SCORES.items()
    ]  # fmt: skip
    crossed = [
        {"organisations": ["alone", "talk"], "verdict": "crossover", **near(3_000.0 + at, 0.2)}
        for at in range(crossovers)
    ]
    front = [{"label": label, "on_front": True} for label in sorted(FRONT)]
    known = {"verdict": "v", "blocks": [block], "curves": curves, "crossovers": crossed, "front": front}
    return {**known, **changes}


def chart(crossovers: int = 1, **changes: Any) -> Chart:
    found = curves_chart(compare_page(report(crossovers, **changes)))
    assert found is not None
    return found


def test_the_chart_has_every_point_filled_on_the_front_and_a_table_of_all() -> None:
    one = chart()
    root = ET.fromstring(one.svg)
    dots = list(root.iter(f"{SVG}circle"))
    assert len(dots) == 6
    filled = {dot.findtext(f"{SVG}title") for dot in dots if dot.attrib["class"].startswith("f")}
    assert filled == {
        "alone: score 0.6, 900 tokens",
        "alone: score 0.65, 1,800 tokens",
        "talk: score 0.8, 18,000 tokens",
    }
    points = [row for row in one.table.rows if not row[0].startswith("crossover")]
    assert [(row[0], row[1], row[5]) for row in points] == [
        (name, figure(budget), figure(score))
        for name, own in SCORES.items()
        for budget, score in zip(BUDGETS, own, strict=True)
    ]
    assert {f"{row[0]} at {row[1]}" for row in points if row[8] == "yes"} == FRONT
    crossed = [row for row in one.table.rows if row[0].startswith("crossover")]
    assert crossed == [("crossover of alone and talk", "", "3,000", "2,400", "3,600", "", "", "", "")]
    named = [text for text in root.iter(f"{SVG}text") if text.text in SCORES]
    assert len(named) == 2
    assert all(float(after.attrib["y"]) != float(before.attrib["y"]) for before, after in pairwise(named))
    assert "3,000" in {text.text for text in root.iter(f"{SVG}text")}


def test_the_description_tells_crossovers_where_there_are_any() -> None:
    none, some, many = (chart(n).description for n in (0, 1, MARKED + 1))
    told_apart({
        "Dotted lines are crossovers, in their intervals.": some,
        f"Dotted lines are the first {MARKED} of {MARKED + 1} crossovers, in their intervals.": many,
    }, none)  # fmt: skip
    assert none.startswith("Nobody scores more for fewer tokens than: alone at 1,000, alone at 2,000, talk at 20,000 ")


def test_a_comparison_with_budgets_has_curves_and_one_without_has_points() -> None:
    page = compare_page(report())
    without = compare_page(report(curves=[], metrics={f"alone at {BUDGETS[0]:,}": {"tokens": near(900.0)}}))
    titles = [found.title for one in (page, without) if (found := cost_chart(one)) is not None]
    assert titles == [CURVES, COST]
    assert curves_chart(without) is None


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "a" * 5_000, "\u202eevil", "&amp;\"'"])
def test_names_of_strangers_are_text_and_bounded(hostile: str) -> None:
    own = report()
    own["curves"][1]["organisation"] = hostile
    found = curves_chart(compare_page(own))
    assert found is not None
    root = ET.fromstring(found.svg)
    assert not list(root.iter(f"{SVG}script"))
    assert max(len(text.text or "") for text in root.iter(f"{SVG}text")) <= 60


def test_points_without_a_place_are_left_out() -> None:
    own = report()
    own["curves"][0]["points"] = [{"budget": 1_000, "tokens": None, "score": near(0.5)}] * 2
    found = curves_chart(compare_page(own))
    assert found is not None
    assert {row[0] for row in found.table.rows} == {"talk", "crossover of alone and talk"}
    for curve in own["curves"]:
        curve["points"] = []
    assert curves_chart(compare_page(own)) is None


def curves(tokens: float = 0.9) -> Curves:
    """Return the same two curves as an object."""

    def point(name: str, budget: int, score: float) -> CurvePoint:
        label, spent = f"{name} at {budget:,}", tokens * budget
        dial = DialRecord(organisation=name, tasks="sums", budget=budget)
        around = Interval(score, score - 0.05, score + 0.05)
        return CurvePoint(label, budget, dial, 1, around, Interval(spent, spent * 0.99, spent * 1.01))

    made = tuple(
        Curve(name, "rounds", tuple(map(point, [name] * 3, BUDGETS, own)), {}, ()) for name, own in SCORES.items()
    )
    front = tuple(
        FrontPoint(one.label, one.tokens.value, one.score.value, one.label in FRONT, 0.9)
        for curve in made
        for one in curve.points
    )
    crossed = Crossover(
        "alone", "talk", "crossover", crossings=(Crossing(Interval(3_000, 2_400, 3_600), "alone", "talk"),)
    )
    return Curves(BUDGETS, made, (crossed,), (), "alone", front, (), 20, 0.95, 2_000)


def test_the_table_beside_the_figure_has_what_is_drawn() -> None:
    rows = curve_rows(curves())
    assert dict(rows.schema) == TABLE
    points, crossed = rows.filter(what="point"), rows.filter(what="crossover")
    assert points["score"].to_list() == [*SCORES["alone"], *SCORES["talk"]]
    assert [
        f"{name} at {budget:,}" for name, budget in points.filter("on_front").select("organisation", "budget").rows()
    ] == sorted(FRONT)
    assert crossed.select("organisation", "other", "tokens", "tokens_low", "tokens_high").rows() == [
        ("talk", "alone", 3_000.0, 2_400.0, 3_600.0)
    ]


def places(line: Any) -> list[float]:
    """Return the tokens at which a line of matplotlib has points."""
    return [float(x) for x in np.asarray(line.get_xdata())]


def test_the_figure_draws_each_point_the_front_and_the_crossover() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.text import Text

    figure = draw_curves(curves())
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    marks = [line for line in axes.lines if line.get_marker() not in ("None", "", "|", "_")]
    filled = [line for line in marks if line.get_markerfacecolor() != "white"]
    assert sorted(places(line)[0] for line in filled) == [900.0, 1_800.0, 18_000.0]
    assert len(marks) == 6
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [places(line) for line in dashed] == [[900.0, 1_800.0, 18_000.0]]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [places(line)[0] for line in dotted] == [3_000]
    boxes = sorted((box.y0, box.y1) for box in map(Text.get_window_extent, axes.texts))
    assert all(after[0] >= before[1] - 1 for before, after in pairwise(boxes))


def test_curves_whose_spending_is_not_known_draw_nothing_and_break_nothing() -> None:
    pytest.importorskip("matplotlib")
    axes = draw_curves(curves(float("nan"))).axes[0]
    assert not axes.texts
