"""The documents of `agentsoc report` in a real browser, opened from disk: no request, no error, episodes, and paper."""

from __future__ import annotations

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
BROKEN: Final = """() => [...document.querySelectorAll(".episodes th, .episodes td.word")].filter((cell) => {
  const range = document.createRange();
  return [...cell.childNodes].some((part) => {
    for (const { index, 0: word } of part.textContent.matchAll(/\\S+/g)) {
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
