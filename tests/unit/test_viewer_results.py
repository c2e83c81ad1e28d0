"""The data of the viewer's pages on results: a comparison, laws, a phase; and what JSON of strangers must not do."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

import analysis
from agentsoc.errors import InputError
from analysis.viewer.document.result_sections import compare_html
from analysis.viewer.pages.compare import compare_page, read_report
from analysis.viewer.pages.laws import laws_page
from analysis.viewer.pages.phase import phase_page
from tests.sides import told_apart
from tests.viewer_results import a_comparison, some_laws, some_measurements


def test_the_page_of_a_comparison_has_the_numbers_of_its_report(tmp_path: Path) -> None:
    place = a_comparison(tmp_path)
    report = read_report(place)
    page = compare_page(report, place)
    assert page.verdict == report["verdict"]
    rows = {row["organisation"]: row for row in report["blocks"][0]["comparison"]["rows"]}
    told = {one.label: one for one in page.organisations}
    assert set(told) == {*rows, page.baseline}
    for label, row in rows.items():
        found = told[label]
        assert found.difference is not None
        assert found.score is not None
        assert found.tokens is not None
        assert (found.difference.value, found.difference.low) == (row["difference"]["value"], row["difference"]["low"])
        assert (found.score.value, found.score.high) == (row["mean"]["value"], row["mean"]["high"])
        assert found.tokens.value == report["metrics"][label]["tokens"]["value"]
        assert (found.won, found.tied, found.lost) == (row["wins"], row["ties"], row["losses"])
    assert page.matrix is not None
    for at, label in enumerate(page.matrix.labels):
        scores = [score for row in page.matrix.rows if (score := row.scores[at]) is not None]
        mean = told[label].score
        assert mean is not None
        assert mean.value == pytest.approx(math.fsum(scores) / len(scores))
    assert set(page.matrix.runs.values()) == {cell["run"] for cell in report["cells"]}
    assert msgspec.json.decode(msgspec.json.encode(page))["name"] == page.name


def test_those_that_nobody_beats_are_on_the_front(tmp_path: Path) -> None:
    page = compare_page(read_report(a_comparison(tmp_path)))
    points = {
        one.label: (one.tokens.value, one.score.value)
        for one in page.organisations
        if one.tokens is not None and one.score is not None
    }
    cheapest = min(points, key=lambda label: points[label][0] or 0.0)
    best = max(points, key=lambda label: (points[label][1] or 0.0, -(points[label][0] or 0.0)))
    assert {cheapest, best} <= {one.label for one in page.organisations if one.on_front}
    assert page.matrix is None


def test_a_table_of_results_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    place = a_comparison(tmp_path)
    report = read_report(place)
    words = "the table of results is missing or cannot be used, so there are no scores task by task"
    for sound in (compare_page(report, place), compare_page(report)):
        assert words not in compare_html(sound)
        assert "Of this page:" not in compare_html(sound)
    (place / "results.parquet").write_bytes(b"no table")
    page = compare_page(report, place)
    assert words in compare_html(page)
    assert page.notes == report["notes"]
    assert page.matrix is None


def test_what_a_page_says_of_itself_is_not_said_to_be_of_the_report() -> None:
    page = compare_page({"verdict": "v", "blocks": [], "notes": ["theirs"]})
    both = msgspec.structs.replace(page, own_notes=["ours"])
    own = msgspec.structs.replace(both, notes=[])
    told_apart(
        {
            "These are the notes of report.txt": (compare_html(page), compare_html(both)),
            "Of this page:": (compare_html(both), compare_html(own)),
        }
    )
    html = compare_html(both)
    assert html.index("theirs") < html.index("Of this page:") < html.index("ours")


def test_curves_and_crossovers_are_taken_where_a_report_has_them() -> None:
    score = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95, "method": "Wilson"}
    report = {
        "verdict": "v", "blocks": [], "name": "n",
        "curves": [{"organisation": "star", "points": [{"budget": 100, "score": score, "tokens": score}]}],
        "crossovers": [{"organisations": ["star", "one"], "verdict": "crosses", "value": 300.0, "low": 200.0,
                        "high": None, "ahead": "", "reason": ""}],
    }  # fmt: skip
    page = compare_page(report)
    assert page.curves[0].budgets == [100]
    assert page.curves[0].scores[0] is not None
    assert (page.crossovers[0].one, page.crossovers[0].at.value, page.crossovers[0].at.high) == ("star", 300.0, None)


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"verdict": 3, "blocks": []},
        {"verdict": "v", "blocks": 1},
        {"verdict": "v", "blocks": [{"comparison": {"baseline": {"organisation": 7}}}]},
        {"verdict": "v", "blocks": [], "metrics": {"x": {"tokens": {"value": "<b>"}}}},
        {"verdict": "v", "blocks": [], "notes": [{}]},
    ],
)
def test_a_report_with_other_values_is_refused_by_name(report: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        compare_page(report)


def test_a_report_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no comparison here"):
        read_report(tmp_path)
    (tmp_path / "comparison.json").touch()
    with pytest.raises(InputError, match="no report yet"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path)


def test_the_page_of_laws_has_the_verdicts_tails_and_reasons(tmp_path: Path) -> None:
    found = some_laws()
    data = json.loads(json.dumps(found.as_dict()))
    page = laws_page(data)
    assert [one.name for one in page.laws] == list(found.whole.laws)
    for one in page.laws:
        law = found.whole.laws[one.name]
        assert one.verdict == law.fit.verdict.word
        assert one.reasons == list(law.fit.verdict.reasons)
        assert one.tail is not None
        assert one.tail.share[0] == 1.0
        assert one.tail.x[-1] == float(law.sample.values.max())
        if law.fit.power is not None:
            assert one.xmin == law.fit.power.xmin == one.tail.fit_x[0]
            assert one.tail.fits["power_law"][0] == pytest.approx(law.fit.power.n_tail / law.sample.n)
    assert page.verdict.startswith("Tails by verdict: ")


def test_laws_without_values_say_so() -> None:
    page = laws_page({"concentration": {}, "gamma": {}})
    assert page.verdict == "No observable has values."


@pytest.mark.parametrize("data", [{}, {"concentration": {}, "gamma": {}, "x": {"curves": {"x": [1], "share": []}}}])
def test_laws_that_do_not_hold_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        laws_page(data)


def test_the_page_of_a_phase_has_the_parameters_and_the_plane() -> None:
    measured = some_measurements()
    page = phase_page(measured, ("one run",))
    told = {one.name: one.value for one in page.parameters}
    gamma = measured.parameters["gamma"]
    assert gamma is not None
    assert told["gamma"] is not None
    assert (told["gamma"].value, told["gamma"].low) == (gamma.value, gamma.low)
    assert page.plane.point is not None
    assert page.plane.point[0] == pytest.approx(gamma.value, abs=1e-4)
    assert page.plane.cloud
    assert page.ignored == ["one run"]
    assert (page.plane.margin or 0) > 0 if page.verdict == "amplify" else True
    assert page.depths is not None
    assert page.depths.signal[0] == pytest.approx(measured.leaf["signals"][-1])


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("amplify", "amplify a weak"), ("collapse", "lose their"), ("undecided", "not decided"), ("x", "No regime")],
)
def test_each_regime_has_its_sentence(verdict: str, words: str) -> None:
    measured = dataclasses.replace(some_measurements(), verdict=verdict)
    assert words in phase_page(measured).sentence


def test_the_library_gives_what_the_pages_take(tmp_path: Path) -> None:
    from analysis.comparison.text import report_as_dict

    place = a_comparison(tmp_path)
    assert (
        compare_page(report_as_dict(analysis.compare(place)), place).verdict == compare_page(read_report(place)).verdict
    )
