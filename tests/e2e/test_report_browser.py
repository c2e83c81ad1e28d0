"""The documents of `agentsoc report` in a real browser, opened from disk: no request, no error, episodes, and paper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("playwright", reason="no playwright here: it is one of the development packages")

from playwright.sync_api import Browser, expect

from agentsoc.engine.transcript import transcript
from agentsoc.events import Event, pack_id
from analysis.importers.store import describe, save
from analysis.tables import from_events
from analysis.viewer.document.sources import report_document
from tests.browsing import browser, looking
from tests.view_folder import GOLDEN, HOSTILE, hostile_log

FAULTS: Final = (Path(__file__).parents[1] / "data" / "page_faults.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


def test_a_document_opens_from_disk_walks_and_prints(chrome: Browser, tmp_path: Path) -> None:
    whole = report_document([GOLDEN / "debated"], transcriber=lambda place, task: transcript(place, task))
    (tmp_path / "report.html").write_bytes(whole)
    with looking(chrome) as (page, seen):
        page.goto((tmp_path / "report.html").as_uri())
        expect(page.get_by_label("task", exact=True)).to_be_visible()
        page.get_by_label("task", exact=True).select_option("1")
        page.get_by_label("round", exact=True).press("ArrowRight")
        page.get_by_role("button", name="agent 2, other", exact=True).click()
        expect(page.get_by_role("heading", name="Agent 2 in task 1")).to_be_visible()
        expect(page.get_by_text("user, as sent").first).to_be_visible()
        assert page.evaluate(FAULTS) == []
        assert seen.requests == [(tmp_path / "report.html").as_uri()]
        page.pdf(path=tmp_path / "report.pdf")
        assert (tmp_path / "report.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("dark", [False, True])
def test_a_document_of_hostile_texts_runs_nothing_and_fits_a_narrow_screen(
    chrome: Browser, tmp_path: Path, dark: bool
) -> None:
    hostile_log(tmp_path / "stranger")
    (tmp_path / "report.html").write_bytes(report_document([tmp_path / "stranger"], title=HOSTILE[0]))
    scheme = "dark" if dark else "light"
    with looking(chrome, viewport={"width": 360, "height": 740}, color_scheme=scheme) as (page, seen):
        page.goto((tmp_path / "report.html").as_uri())
        expect(page.get_by_label("task", exact=True)).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.hit") is None
        assert HOSTILE[0] in (page.locator("h1").text_content() or "")
        assert HOSTILE[1] in (page.locator("main").text_content() or "")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        assert len(seen.requests) == 1
        assert page.evaluate(FAULTS) == []


MANY: Final = 1_502
BROKEN: Final = """() => [...document.querySelectorAll("th, td.word, td.whole")].filter((cell) => {
  const range = document.createRange();
  return [...cell.childNodes].some((part) => {
    for (const { index, 0: word } of part.textContent.matchAll(cell.className === "whole" ? /\\S+/g : /[^\\s\\/-]+/g)) {
      range.setStart(part, index); range.setEnd(part, index + word.length);
      if (range.getClientRects().length > 1) return true;
    }
    return false;
  });
}).map((cell) => cell.textContent)"""


def test_words_are_whole_marks_are_letters_and_what_is_left_out_is_counted(chrome: Browser, tmp_path: Path) -> None:
    """An episode of 1,502 claims by 70 agents: dots too small for a number, a claim on ten others, a long text."""
    agents = 70
    rows = [
        Event(0, at // agents, at % agents, 0, "propose_claim", pack_id(at // agents, at % agents, 0),
              tuple(pack_id(0, one, 0) for one in range(10)) if at == agents else (),
              answer="A" if at % 2 else "word " * 60 + "x" * 40, correct=float(at % 2))
        for at in range(MANY)
    ]  # fmt: skip
    save(
        from_events(rows, run="one", topology="ring", n_agents=agents),
        tmp_path / "log",
        describe("x", GOLDEN, {"parents": "as the run has them"}),
    )
    (tmp_path / "report.html").write_bytes(report_document([tmp_path / "log"]))
    with looking(chrome, viewport={"width": 700, "height": 740}) as (page, _):
        page.goto((tmp_path / "report.html").as_uri())
        letters = page.locator(".episodes [aria-label='society in this round'] .node text")
        assert set(letters.all_text_contents()) == {"R", "W"}
        expect(page.get_by_role("button", name="claim 0.1.0 of 1R", exact=True)).to_be_visible()
        assert page.get_by_text("claims are left out").count() == 0
        page.get_by_label("round", exact=True).press("End")
        expect(page.get_by_text("2 claims are left out")).to_be_visible()
        assert page.evaluate(BROKEN) == []
        assert page.get_by_text("reference answer").count() == 0
        expect(page.get_by_role("cell", name="0.7.0 and 2 more")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_on_paper_what_is_folded_is_open_and_numbers_are_whole(chrome: Browser, tmp_path: Path) -> None:
    """Also in a document without a script, as those of results are."""
    rows = [
        {"organisation": f"organisation-{at}", "mean": _span(0.12345), "difference": _span(-0.05432),
         "p_holm": 8.347e-07, "won": 1046, "tied": 1640, "lost": 1114, "detectable": 0.06074, "tasks_needed": 1117}
        for at in range(3)
    ]  # fmt: skip
    found = {"effect": 0.05, "baseline": {"organisation": "b", "mean": _span(0.5)}, "rows": rows}
    report = {"verdict": "v", "blocks": [{"comparison": found}], "stops": {"b": {"budget_exhausted": 3}}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "report.html").write_bytes(report_document([tmp_path / "report.json"]))
    with looking(chrome, viewport={"width": 718, "height": 740}) as (page, _):
        page.goto((tmp_path / "report.html").as_uri())
        folded = page.locator("details table").first
        expect(folded).to_be_hidden()
        assert page.locator("script").count() == 0
        page.emulate_media(media="print")
        expect(folded).to_be_visible()
        assert page.evaluate(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def _span(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.012345, "high": value + 0.012345}
