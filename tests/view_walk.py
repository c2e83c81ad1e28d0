"""Ten questions that somebody has who looks at runs, each with the clicks that lead to its answer in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Locator, Page, expect


class Walker:
    """Clicks, and counts that."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1

    def link(self, name: str) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=True).first)

    def reads(self, words: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_text(words).first).to_be_visible(timeout=15_000)


def wrong_first(walker: Walker) -> None:
    walker.link("debated")
    walker.link("task 1")
    walker.reads("agent 1, in round 0")


def what_agent_3_saw(walker: Walker) -> None:
    walker.link("debated")
    walker.link("task 1")
    walker.click(walker.page.get_by_role("button", name=re.compile("^agent 3 ")))
    turn = walker.page.locator(".turn", has=walker.page.get_by_role("heading", name="round 2"))
    walker.click(turn.get_by_text("user, as sent"))
    expect(turn.locator("details[open] pre")).to_contain_text("What is the capital of South Korea?")
    expect(turn.locator("details[open] pre")).to_contain_text("#1")


def where_the_tokens_went(walker: Walker) -> None:
    walker.link("debated")
    figure = walker.page.locator("figure", has_text="Tokens over rounds")
    walker.click(figure.get_by_text("the figures as a table"))
    expect(figure.get_by_role("cell", name="propose_claim").first).to_be_visible()


def tasks_on_which_two_differ(walker: Walker) -> None:
    walker.link("two")
    walker.reads(re.compile(r"^\d+ of 20 tasks shown differ between organisations"))
    expect(walker.page.get_by_role("cell", name="yes").first).to_be_visible()


def cited_most(walker: Walker) -> None:
    walker.link("debated")
    table = walker.page.get_by_role("group", name="cited most")
    expect(table.get_by_role("row").nth(1)).to_contain_text("agent 3")


def why_it_stopped(walker: Walker) -> None:
    walker.link("orchestrated")
    walker.link("task 0")
    expect(walker.page.locator("dl.about")).to_contain_text("budget_exhausted")


def what_a_replay_would_call(walker: Walker) -> None:
    walker.link("debated")
    walker.click(walker.page.get_by_role("button", name="replay it"))
    walker.reads(re.compile("^verified: .* 0 model calls$"))


def what_it_cost(walker: Walker) -> None:
    walker.link("orchestrated")
    facts = walker.page.get_by_role("group", name="what there is to say")
    expect(facts.get_by_role("row").filter(has_text=re.compile("^tokens"))).to_contain_text("budget 24,000")


def which_calls_failed(walker: Walker) -> None:
    walker.link("orchestrated")
    walker.link("call_failed")
    walker.reads("11 events")
    expect(walker.page.get_by_role("group", name="events").get_by_role("row").nth(1)).to_contain_text(
        re.compile("call_failed.*[a-z]{4}")
    )


def whether_it_is_real(walker: Walker) -> None:
    walker.link("two")
    expect(walker.page.locator("p.said")).not_to_be_empty()
    expect(walker.page.locator("figure").first).to_contain_text("leaves 0 out")


WALKS: Final[dict[str, Callable[[Walker], None]]] = {
    "Who was wrong first?": wrong_first,
    "What did agent 3 see in round 2?": what_agent_3_saw,
    "Where did the tokens go?": where_the_tokens_went,
    "On which tasks do A and B differ?": tasks_on_which_two_differ,
    "Who is cited most?": cited_most,
    "Why did this episode stop?": why_it_stopped,
    "What would a replay call?": what_a_replay_would_call,
    "What did it cost?": what_it_cost,
    "Which calls failed, and why?": which_calls_failed,
    "Is the difference real?": whether_it_is_real,
}
