"""The documents of `agentsoc report` in a real browser, opened from disk: no request, no error, episodes, and paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="no playwright here: it is one of the development packages")

from playwright.sync_api import Browser, expect

from agentsoc.engine.transcript import transcript
from analysis.viewer.document.sources import report_document
from tests.browsing import browser, looking
from tests.view_folder import GOLDEN, HOSTILE, hostile_log


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
