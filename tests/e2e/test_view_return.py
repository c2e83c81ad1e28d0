"""The viewer in a real browser where something is otherwise than usual: coming back, odd addresses, what is gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("playwright", reason="no playwright here: it is one of the development packages")

from playwright.sync_api import Browser, Page, expect

from agentsoc import run
from agentsoc.log.manifest import load_manifest
from agentsoc.log.read import RunLog
from agentsoc.testing import small_scenario
from analysis.importers.store import describe, save
from analysis.tables import from_log
from analysis.viewer.server.serve import ViewServer
from tests.browsing import browser, looking, to
from tests.view_served import viewer

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
NOT_FOUND = "Failed to load resource: the server responded with a status of 404 (Not Found)"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("debated", "orchestrated", "going"):
        shutil.copytree(GOLDEN / name.replace("going", "debated"), tmp_path / name)
    place = tmp_path / "going"
    (place / "manifest.sha256").unlink(missing_ok=True)
    load_manifest(place).model_copy(update={"status": "running", "digest": None}).save(place)
    for name in ("manifest.json", "journal.sqlite"):
        os.utime(place / name, (1_000_000_000, 1_000_000_000))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[ViewServer]:
    with viewer(folder) as found:
        yield found


def back_to(page: Page, heading: str) -> None:
    page.go_back()
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def test_whoever_comes_back_finds_filter_ticks_and_round_again(chrome: Browser, server: ViewServer) -> None:
    with looking(chrome, server) as (page, _):
        page.get_by_label("Filter").fill("deb")
        expect(page.get_by_text("2 rows")).to_be_visible()
        page.get_by_label("tick debated").check()
        page.get_by_role("link", name="debated", exact=True).click()
        page.get_by_label("Show").select_option("right")
        page.get_by_role("link", name="task 1", exact=True).click()
        page.get_by_role("link", name="next task").click()
        expect(page.locator("h1")).to_contain_text("Task 2")
        expect(page.locator("output")).to_contain_text("1 of ")
        page.locator("body").press("ArrowRight")
        expect(page.locator("output")).to_contain_text("2 of ")
        page.get_by_role("link", name="task before").click()
        expect(page.locator("h1")).to_contain_text("Task 1")
        page.go_back()
        expect(page.locator("h1")).to_contain_text("Task 2")
        expect(page.locator("output")).to_contain_text("2 of ")
        page.go_back()
        expect(page.locator("h1")).to_contain_text("Task 1")
        back_to(page, "Run debated")
        expect(page.get_by_label("Show")).to_have_value("right")
        back_to(page, "Runs")
        expect(page.get_by_label("Filter")).to_have_value("deb")
        expect(page.get_by_text("2 rows")).to_be_visible()
        expect(page.get_by_label("tick debated")).to_be_checked()
        page.go_forward()
        expect(page.get_by_role("heading", name="Run debated")).to_be_visible()


def test_addresses_that_lead_nowhere_show_a_page_or_a_sentence(chrome: Browser, server: ViewServer) -> None:
    with looking(chrome, server) as (page, seen):
        for odd in ("#constructor", "#__proto__?place=x", "#toString", "#%00", "#run?__proto__=1&place=debated"):
            to(page, odd)
        expect(page.get_by_role("heading", name="Run debated")).to_be_visible()
        for address, words in (
            ("#episode?place=debated&task=abc", "task is no whole number"),
            ("#episode?place=debated&task=-1", "task"),
            ("#episode?place=debated&task=99", "the log has no task 99"),
            ("#compare?place=debated", "there is no comparison here"),
            ("#run?place=nowhere", "there is no run here"),
        ):
            page.evaluate("hash => { location.hash = hash }", address)
            expect(page.get_by_role("alert").first).to_contain_text(words, timeout=15_000)
        assert {*seen.errors} == {NOT_FOUND}
        seen.errors.clear()


def test_a_run_that_is_silent_gone_or_not_served_any_more_says_so(chrome: Browser, folder: Path) -> None:
    with viewer(folder) as server, looking(chrome, server) as (page, seen):
        to(page, "#run?place=debated")
        expect(page.get_by_text("answered, ")).to_have_count(0)
        to(page, "#run?place=going")
        expect(page.get_by_text("Nothing was written for ")).to_be_visible(timeout=10_000)
        expect(page.locator("p code")).to_have_text(f"agentsoc resume {folder / 'going'}")
        shutil.rmtree(folder / "going")
        expect(page.get_by_role("alert").first).to_contain_text(
            "there is no run and no imported log here", timeout=10_000
        )
        server.stop()
        expect(page.get_by_text("The server does not answer.").first).to_be_visible(timeout=15_000)
        seen.errors.clear()  # the browser notes each request that was refused


def test_an_act_does_not_use_what_it_disputes_and_tokens_say_which_way(chrome: Browser, tmp_path: Path) -> None:
    run(
        small_scenario(
            tasks={"kind": "arithmetic", "count": 4},
            agents={"count": 3, "model": {"kind": "scripted", "accuracy": 0.6, "cites": "agreeing", "follows": 0.7}},
            topology={"kind": "decentralized", "degree": 2},
            protocol={"kind": "debate", "rounds": 2},
        ),
        tmp_path / "talk",
    )
    first = RunLog(tmp_path / "talk").frame().filter(pl.col("kind") == "contradict_claim").row(0, named=True)
    with viewer(tmp_path) as server, looking(chrome, server) as (page, _):
        to(page, f"#episode?place=talk&task={first['task']}&agent={first['agent']}")
        acts = page.locator(".turn p", has_text=", disputes ")
        expect(acts.first).to_be_visible(timeout=15_000)
        for said in acts.all_inner_texts():
            before, _, disputed = said.partition(", disputes ")
            assert disputed.strip() not in before
        expect(page.locator(".turn").first).to_contain_text(" tokens in, ")
        expect(page.get_by_text("0 of 0 claims")).to_have_count(0)


def test_what_was_said_stands_in_its_turn_where_no_reply_has_it(chrome: Browser, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "debated", tmp_path / "debated")
    frame = RunLog(GOLDEN / "debated").frame().with_columns(text=pl.lit("because <b>two</b> said so"))
    save(from_log(frame, run="one"), tmp_path / "told", describe("claims", GOLDEN, {}))
    with viewer(tmp_path) as server, looking(chrome, server) as (page, _):
        said = page.locator(".turn [aria-label='what it said']")
        to(page, "#episode?place=told&task=1&agent=3")
        expect(said.first).to_have_text("because <b>two</b> said so")
        to(page, "#episode?place=debated&task=1&agent=3")
        expect(page.get_by_label("reply").first).to_be_visible()
        expect(said).to_have_count(0)
