"""The viewer in a real browser: every page by clicks and by keys, hostile texts as text, narrow, dark and printed.

Ten questions are walked to their answers, in as many clicks as docs/viewer.md says.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="no playwright here: it is one of the development packages")

from playwright.sync_api import Browser, Page, expect

from analysis.viewer.server import lists
from analysis.viewer.server.guard import NO_TOKEN
from analysis.viewer.server.serve import ViewServer
from tests.browsing import Seen, browser, looking, to
from tests.view_folder import GOLDEN, HOSTILE, make_folder
from tests.view_served import viewer
from tests.view_walk import WALKS, Walker
from tests.viewer_pictures import PICTURES, SHOWN, SIZE, take_all

CLICKS_MAX = 5
DOCUMENT = Path(__file__).parents[2] / "docs" / "viewer.md"
EPISODE = "#episode?place=debated&task=1"
FAULTS = (Path(__file__).parents[1] / "data" / "page_faults.js").read_text(encoding="utf-8")
COLOURS = """() => {
  const canvas = document.querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add(data.slice(at, at + 3).join());
  return [...seen];
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewServer]:
    with viewer(make_folder(tmp_path_factory.mktemp("shown"))) as found:
        yield found


@pytest.fixture(scope="module")
def chrome(server: ViewServer) -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def shared(chrome: Browser, server: ViewServer) -> Iterator[tuple[Page, Seen]]:
    with looking(chrome, server) as found:
        yield found


@pytest.fixture
def page(shared: tuple[Page, Seen]) -> Iterator[Page]:
    """One page for all: each test begins at the list of runs, and ends without an error on the page."""
    found, seen = shared
    found.goto(found.url.partition("#")[0] + "#runs")
    found.reload()
    found.wait_for_selector("table")
    yield found
    assert seen.errors == []


def test_from_the_runs_to_a_prompt_by_clicks(page: Page) -> None:
    assert "token" not in page.url
    page.get_by_role("link", name="debated", exact=True).click()
    expect(page.get_by_role("heading", name="Run debated")).to_be_visible()
    expect(page.get_by_text("6 agents in the organisation small-world")).to_be_visible()
    page.get_by_role("link", name="task 1", exact=True).click()
    expect(page.get_by_text("agent 1, in round 0")).to_be_visible()
    page.get_by_role("button", name=re.compile("^agent 3 ")).click()
    turn = page.locator(".turn").nth(2)
    turn.get_by_text("user, as sent").click()
    expect(turn.locator("pre").nth(1)).to_contain_text("What is the capital of South Korea?")
    assert page.url.endswith("task=1&round=0&agent=3")
    page.reload()
    expect(page.get_by_role("heading", name="Agent 3, turn by turn")).to_be_visible()


def test_the_scrubber_by_keys(page: Page) -> None:
    to(page, EPISODE)
    expect(page.locator("output")).to_have_text("round 0, 1 of 4")
    page.locator("body").press("ArrowRight")
    expect(page.locator("output")).to_have_text("round 1, 2 of 4")
    expect(page.get_by_role("button", name="agent 2 O: another wrong answer", exact=True)).to_be_visible()
    page.get_by_label("Round", exact=True).press("ArrowRight")
    expect(page.locator("output")).to_have_text("round 2, 3 of 4")
    page.get_by_label("Round", exact=True).press("Home")
    page.locator("h1").press("ArrowLeft")
    expect(page.locator("output")).to_have_text("round 0, 1 of 4")
    page.get_by_role("button", name="play").click()
    expect(page.locator("output")).to_have_text("round 3, 4 of 4")
    assert "round=3" in page.url


def test_a_claim_lights_what_hangs_together_and_links_lead_to_claims(page: Page) -> None:
    to(page, f"{EPISODE}&round=2&agent=2")
    expect(page.locator("svg.live .node")).not_to_have_count(0)
    assert page.locator(".node.dim").count() == 0
    page.get_by_role("link", name="0.3.0").first.click()
    expect(page.locator(".node.dim").first).to_be_visible()
    assert "claim=0.3.0" in page.url
    lit = page.get_by_role("button", name=re.compile("^claim 0.3.0"))
    expect(lit).to_have_attribute("aria-pressed", "true")
    lit.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".node.dim")).to_have_count(0)


def test_a_click_on_the_picture_picks_the_agent_there(page: Page) -> None:
    to(page, EPISODE)
    box = page.locator("canvas").bounding_box()
    assert box is not None
    page.locator("canvas").click(position={"x": box["width"] / 2, "y": box["height"] * 26 / 460})
    expect(page.get_by_role("heading", name="Agent 0, turn by turn")).to_be_visible()
    lit = page.evaluate(COLOURS)
    assert {"0,114,178", "213,94,0"} <= set(lit)  # right and wrong are both on it


def test_stops_and_failures_lead_to_their_events(page: Page) -> None:
    to(page, "#run?place=orchestrated")
    page.get_by_role("link", name="call_failed", exact=True).click()
    expect(page.get_by_label("kind")).to_have_value("call_failed")
    expect(page.get_by_text("11 events")).to_be_visible()
    page.get_by_label("text").fill("nothing has this")
    expect(page.get_by_text("0 events")).to_be_visible()


def test_a_replay_calls_no_model(page: Page) -> None:
    to(page, "#run?place=debated")
    page.get_by_role("button", name="replay it").click()
    expect(page.get_by_text(re.compile("^verified: .* 0 model calls$"))).to_be_visible()


def test_a_comparison_leads_to_an_episode_and_to_two_side_by_side(page: Page) -> None:
    expect(page.get_by_text("comparison of 3 runs")).to_be_visible()
    page.get_by_role("button", name="runs of two").click()
    expect(page.locator("tr.indent a")).to_have_count(3)
    page.get_by_role("link", name="two", exact=True).click()
    expect(page.get_by_role("heading", name="Comparison two")).to_be_visible()
    expect(page.locator("figure")).to_have_count(2)
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(2).check()
    page.get_by_role("link", name=re.compile(" beside ")).click()
    expect(page.locator(".pair > section")).to_have_count(2)
    expect(page.locator("canvas")).to_have_count(2)
    page.get_by_role("link", name="next task, in both").click()
    expect(page.locator(".pair h2").first).to_be_visible()
    page.go_back()
    page.go_back()
    page.get_by_role("link", name=re.compile("^star, task ")).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Task ")


def test_two_runs_that_are_ticked_stand_side_by_side(page: Page) -> None:
    page.get_by_label("tick debated").check()
    page.get_by_label("tick orchestrated").check()
    page.get_by_role("link", name="compare debated and orchestrated").click()
    expect(page.locator(".pair > section")).to_have_count(2)
    page.get_by_role("link", name="Runs").click()
    page.get_by_label("Filter").fill("simul")
    expect(page.get_by_label("tick debated")).to_have_count(0)
    expect(page.get_by_label("tick simulated")).to_have_count(1)


def test_laws_and_phase(page: Page) -> None:
    page.get_by_role("link", name="Laws").click()
    page.get_by_role("link", name="laws.json").click()
    expect(page.get_by_text("Tails by verdict: ")).to_be_visible()
    assert page.locator("figure svg").count() > 3
    page.get_by_role("link", name="Phase").click()
    page.get_by_role("link", name="measured.json").click()
    expect(page.get_by_text("Trees of these agents amplify a weak signal.")).to_be_visible()
    expect(page.locator("figure")).to_have_count(2)


@pytest.mark.parametrize(
    "address", ["#run?place=stranger", "#episode?place=stranger&task=0&agent=1", "#events?place=stranger", "#runs"]
)
def test_hostile_texts_stand_as_text_and_nothing_runs(page: Page, address: str) -> None:
    to(page, address)
    page.wait_for_load_state("networkidle")
    expect(page.locator(".busy")).to_have_count(0)
    assert page.evaluate("window.hit") is None
    assert page.locator("main script, main iframe, main img, main style, main object, main embed").count() == 0
    shown = page.locator("main").inner_text()
    assert not set(shown) & set("\x00\x1b\u202e\u2066\u2028")
    if address != "#runs":
        assert HOSTILE[0] in (page.locator("main").text_content() or "")
        assert "a\\x00b\\x1b[31mred" in (page.locator("main").text_content() or "")


def test_without_the_token_nothing_is_shown(chrome: Browser, server: ViewServer) -> None:
    context = chrome.new_context()
    page = context.new_page()
    for path in ("/", "/?token=wrong", "/data/runs", "/app.js"):
        answer = page.goto(f"http://127.0.0.1:{server.port}{path}")
        assert answer is not None
        assert answer.status == 403
        assert NO_TOKEN.strip() in page.locator("body").inner_text()
    context.close()


def test_a_page_of_another_site_gets_nothing(chrome: Browser, server: ViewServer) -> None:
    context = chrome.new_context()
    page = context.new_page()
    page.goto(server.address(server.keys.token))
    context.route(
        "http://elsewhere.example/", lambda route: route.fulfill(body="<p>hello</p>", content_type="text/html")
    )
    page.goto("http://elsewhere.example/")
    asking = "url => fetch(url, {credentials: 'include', mode: 'no-cors'}).then(a => a.type, e => 'failed')"
    assert page.evaluate(asking, f"http://127.0.0.1:{server.port}/data/runs") in ("failed", "opaque")
    read = "url => fetch(url, {credentials: 'include'}).then(a => a.text(), e => 'failed')"
    assert page.evaluate(read, f"http://127.0.0.1:{server.port}/data/runs") == "failed"
    context.close()


PAGES = (
    "#runs",
    "#run?place=debated",
    f"{EPISODE}&round=1&agent=2&claim=0.3.0",
    "#events?place=debated",
    "#compare?place=two",
    "#result?file=laws.json",
    "#result?file=measured.json",
    "#pair?a=debated&b=orchestrated",
)


@pytest.mark.parametrize("dark", [False, True])
def test_every_page_is_readable_narrow_in_light_and_dark(chrome: Browser, server: ViewServer, dark: bool) -> None:
    settings = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark" if dark else "light"}
    with looking(chrome, server, **settings) as (page, _):
        for address in PAGES:
            to(page, address)
            page.wait_for_load_state("networkidle")
            expect(page.locator(".busy")).to_have_count(0)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (address, wide)
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert paper == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")
            assert page.evaluate(FAULTS) == [], address


def test_with_the_keyboard_alone_to_a_transcript(page: Page) -> None:
    def tab_to(name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            here = page.evaluate(
                "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent).trim()"
            )
            if here.startswith(name):
                return
        raise AssertionError(f"no key leads to {name}")

    expect(page.get_by_role("link", name="debated", exact=True)).to_be_visible()
    tab_to("debated")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Run debated")).to_be_visible()
    expect(page.get_by_role("link", name="task 0", exact=True)).to_be_visible()
    tab_to("task 0")
    page.keyboard.press("Enter")
    expect(page.locator("canvas")).to_be_visible()
    tab_to("agent 1 ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Agent 1, turn by turn")).to_be_visible()


def test_a_page_prints(page: Page, tmp_path: Path) -> None:
    to(page, EPISODE)
    page.wait_for_load_state("networkidle")
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.emulate_media(media="print")
    expect(page.locator(".top")).to_be_hidden()


def test_each_question_has_its_answer_in_few_clicks_as_the_page_says(chrome: Browser, server: ViewServer) -> None:
    told = dict(re.findall(r"^\| (.+\?) \|.*\| (\d) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert list(told) == list(WALKS)
    with looking(chrome, server) as (page, _):
        for question, walk in WALKS.items():
            page.goto(page.url.partition("#")[0] + "#runs")
            expect(page.get_by_role("link", name="debated", exact=True)).to_be_visible()
            walker = Walker(page)
            walk(walker)
            assert 0 < walker.clicks <= CLICKS_MAX, question
            assert str(walker.clicks) == told[question], question


def test_the_pictures_of_the_page_are_those_of_the_viewer(chrome: Browser, server: ViewServer, tmp_path: Path) -> None:
    """Fonts differ between machines, so not the points are compared, but that each can be taken, and its size."""
    taken = take_all(chrome, server, tmp_path)
    assert {path.name for path in PICTURES.iterdir()} == {path.name for path in taken}
    told = DOCUMENT.read_text(encoding="utf-8")
    for path in taken:
        stored = (PICTURES / path.name).read_bytes()
        assert path.read_bytes()[16:24] == stored[16:24] == b"".join(n.to_bytes(4, "big") for n in SIZE)
        assert 5_000 < len(stored) < 150_000
        assert f"images/viewer/{path.name}" in told
    assert len(taken) == len(SHOWN)


def test_files_that_were_passed_over_are_told_and_odd_names_open(
    chrome: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(GOLDEN / "debated", tmp_path / "\u202ebad\x1b")
    monkeypatch.setattr(lists, "ALL_BYTES", 8)
    with viewer(tmp_path) as odd, looking(chrome, odd) as (page, _):
        page.get_by_role("link", name="\\u202ebad\\x1b", exact=True).click()
        expect(page.get_by_role("heading", name="Run debated")).to_be_visible()
        for n, words in ((0, None), (1, "1 file more was not looked at"), (2, "2 files more were not looked at")):
            if n:
                (tmp_path / f"{n}.json").write_text('{"concentration": {}, "gamma": {}}')
            page.get_by_role("link", name="Runs", exact=True).click()
            page.get_by_role("link", name="Laws", exact=True).click()
            expect(page.get_by_text("No file of laws is here.")).to_be_visible()
            expect(page.get_by_text(re.compile("not looked at"))).to_have_count(0 if words is None else 1)
            if words is not None:
                expect(page.get_by_text(words)).to_be_visible()
