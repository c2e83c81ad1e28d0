"""Results in a notebook: the pictures and tables of the report, no script; a text where nobody draws."""

from __future__ import annotations

import importlib.metadata
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

import analysis
from agentsoc.engine.run import Run
from agentsoc.errors import InputError
from agentsoc.log.notebook import notebook_html
from agentsoc.log.read import RunLog
from analysis.viewer import notebook
from analysis.viewer.document.parts import STYLE
from analysis.viewer.pages.plain import Span
from analysis.viewer.pages.plan import PlannedDesign, PlanPage, plan_page
from tests.view_folder import HOSTILE
from tests.viewer_results import a_comparison, some_laws, some_measurements

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
LAW: dict[str, Any] = {"a": 0.12, "beta": 0.1, "rho": 0.1, "m0": 60.0, "family": "hyp"}


def shown(result: object) -> str:
    """Return what a notebook shows of a result, which has no script and asks for nothing."""
    found = cast(Any, result)._repr_html_()
    assert isinstance(found, str)
    assert not re.search(r"<script|\son\w+=|\ssrc=|\shref=|url\(|@import", found)
    return found


@pytest.mark.parametrize("kind", [Run, RunLog])
def test_a_run_shows_its_pictures(kind: type[RunLog]) -> None:
    log = kind(GOLDEN / "debated")
    found = shown(log)
    assert found.count("<svg") == 3
    assert str(log.manifest.digest) in found
    assert "score 1.000, 95 % between 0.566 and 1.000" in found


def test_a_very_large_run_shows_its_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "EVENTS_MAX", 10)
    found = shown(RunLog(GOLDEN / "debated"))
    assert "<svg" not in found
    assert "score 1.000" in found


def test_a_damaged_run_shows_its_text_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise InputError("a <segment> is missing", "here")

    monkeypatch.setattr(notebook, "open_log", refuse)
    found = shown(RunLog(GOLDEN / "debated"))
    assert found.startswith("<pre>run ")
    assert "a &lt;segment&gt; is missing" in found


def test_where_nobody_draws_the_text_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    log = RunLog(GOLDEN / "debated")
    found = shown(log)
    assert found.startswith("<pre>")
    assert "debated, seed 4, finished" in found


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> None:
            raise ImportError("no scipy")

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: (Entry(),))
    assert "not drawn: no scipy" in shown(RunLog(GOLDEN / "debated"))


def test_a_comparison_shows_its_pictures(tmp_path: Path) -> None:
    report = analysis.compare(a_comparison(tmp_path))
    found = shown(report)
    assert found.count("<svg") == 2
    assert "scores task by task" in found


def test_laws_show_their_tails() -> None:
    report = some_laws()
    for found in (shown(report), shown(report.whole)):
        assert "Tails by verdict: " in found
        assert found.count("<svg") >= len([law for law in report.whole.laws.values() if law.fit.power is not None])


def test_a_phase_shows_its_plane() -> None:
    rows = [
        {"task": task, "run": at, "node": 0, "agent": agent, "correct": int((task * 7 + at * 3 + agent) % 10 < 7)}
        for task in range(60) for at in range(2) for agent in range(3)
    ]  # fmt: skip
    import polars as pl

    report = analysis.phase(votes=pl.DataFrame(rows), gamma=0.9, n_draws=50)
    for result in (report, report.estimate):
        found = shown(result)
        assert "Fidelity and correlation at fan-in 3" in found
        assert found.count("<svg") == 1


def test_plans_show_their_designs() -> None:
    certain = analysis.plan(6000, window=1000, **LAW)
    page = plan_page(certain)
    assert page.designs[0].said == certain.best.said()
    assert page.designs[0].signal.value == certain.best.mu
    assert len(page.designs) == len(certain.by_organisation)
    assert "<svg" in shown(certain)
    doubted = analysis.plan(6000, measurements=some_measurements())
    page = plan_page(doubted)
    assert [one.p is None for one in page.designs] == [one.organisation == "single" for one in page.designs]
    assert page.designs[0].signal.low == doubted.best.low
    assert "P(beats one agent)" in shown(doubted)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_of_a_plan_and_of_a_text_that_nobody_draws_stand_as_text(
    hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = PlannedDesign(hostile, hostile, Span(0.5, 0.4, 0.6), 0.5)
    monkeypatch.setattr(notebook, "plan_page", lambda plan: PlanPage(hostile, hostile, 100.0, [design, design]))
    drawn = notebook.shown_plan(cast(Any, None))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    plain = notebook_html("plan", None, hostile)
    for found in (drawn, plain):
        read = Read()
        read.feed(found.replace(STYLE, ""))
        assert read.tags <= {"div", "style", "p", "pre", "figure", "figcaption", "b", "svg", "title", "desc", "line",
                             "path", "circle", "rect", "text", "details", "summary", "table", "thead", "tbody", "tr",
                             "th", "td"}  # fmt: skip
        assert not [name for name in read.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn


class Read(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
