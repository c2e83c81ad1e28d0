"""An auction counts its calls, picks the lowest score, saves money by informed juries alone, and learns from memory."""

from __future__ import annotations

from collections import Counter
from math import exp
from typing import Any, Literal

import numpy as np
import pytest

from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.errors import InputError
from agentsoc.protocols.auction import AGAIN, BID, MARK, _mark
from agentsoc.society.build import build_society
from agentsoc.society.coded import CodedAgent
from agentsoc.streams import uniform
from agentsoc.theory.auction import Bid, fit_cost_weight, lowest, score
from tests.societies import built, logged

PRICES = (0.05, 0.36)


class Bidder(CodedAgent):
    """Bids, marks and works by a curve of skill: right with probability sigma(skill - difficulty)."""

    kind: Literal["of-test-bidder"] = "of-test-bidder"
    skill: float = 0.0
    """Skill on the scale of difficulties."""
    informed: bool = True
    """Whether its marks follow the author's chance of being right, or are drawn."""
    learns: bool = False
    """Whether its plan takes over the word `check` from plans that won, and its marks want that word."""
    careful: bool = False
    """Whether its plan has the word from the start."""

    async def act(self, view: View) -> Reply:
        asked = view.question
        if BID in asked:
            careful = self.careful or (AGAIN in view.turn.instruction and _taught(view.turn.instruction))
            return Reply(text=f"skill {self.skill:g}" + (" check" if careful else " hurry"))
        if MARK in asked:
            (plan,) = view.claims
            words = (plan.text or "").split()
            if self.learns:
                return Reply(text="5" if "check" in words else "1")
            mark = 5 * chance(float(words[1]), view.task)
            if not self.informed:
                mark = 5 * uniform(view.seed, "mark", view.task, plan.agent, view.agent)
            return Reply(text=f"I give {round(mark)}")
        truth = "heads" if uniform(5, "coin", view.task, 0, 0) < 0.5 else "tails"
        right = uniform(view.seed, "work", view.task, 0, view.agent) < chance(self.skill, view.task)
        return Reply(answer=truth if right else ("tails" if truth == "heads" else "heads"))


def _taught(instruction: str) -> bool:
    """Tell whether plans that won had a word that those that lost had not, in the first pair."""
    lost, won = (next(line for line in instruction.splitlines() if line.startswith(word)) for word in ("Lost", "Won"))
    return "check" in won and "check" not in lost


def chance(skill: float, task: int) -> float:
    return 1 / (1 + exp(6 * uniform(5, "hard", task, 0, 0) - 3 - skill))


@pytest.fixture(autouse=True)
def _bidder_is_known() -> None:
    Slot.register(Bidder)


def auction(n: int, *, model: Any = "scripted", tasks: int = 2, **rules: Any) -> dict[str, Any]:
    return {
        "tasks": {"kind": "coin", "count": tasks},
        "agents": {"count": n, "model": model},
        "topology": "independent",
        "protocol": {"kind": "auction", **rules},
    }


def team(tasks: int, small: dict[str, Any], large: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """Return an auction between one small agent, one large one, and a price each."""
    agents = [{"count": 1, "model": {"kind": "of-test-bidder", **one}} for one in (small, large)]
    return {**auction(2, tasks=tasks, prices=list(PRICES), **rules), "agents": agents}


@pytest.mark.parametrize("jury", [None, 1])
@pytest.mark.parametrize("model", ["scripted", {"kind": "simulated", "signal": 0.3}, {"kind": "of-test-bidder"}])
def test_calls_deliveries_and_rounds_are_as_the_closed_form_says(model: Any, jury: int | None) -> None:
    for n in (2, 3, 6):
        blocks = auction(n, model=model, jury=jury)
        jurors = n if jury is None else jury
        totals = logged(check=n == 3, **blocks)[0].totals
        assert totals.turns == 2 * (n + n + n * jurors + 1)  # the first n are by rule
        assert totals.deliveries == 2 * n * jurors
        assert totals.rounds == 2 * 4
        if model == "scripted":
            assert totals.calls == 2 * (n + n * jurors + 1)
            known = bound(build_society(built(**blocks)))
            assert isinstance(known, Bound)
            assert known.calls == totals.calls


def test_scores_are_those_worked_out_by_hand_and_equal_ones_are_drawn() -> None:
    """Three plans of 40, 10 and 20 tokens at .05, .36 and .16, marked 4 3, 5 5 and 2 5: 2 - 3.5, 3.6 - 5, 3.2 - 3.5."""
    marks = ((4, 3), (5, 5), (2, 5))
    lengths, prices = (40, 10, 20), (0.05, 0.36, 0.16)
    found = {
        agent: score(prices[agent], lengths[agent], marks[agent], cost_weight=1.0, jury_weight=1.0)
        for agent in range(3)
    }
    assert {agent: round(one, 9) for agent, one in found.items()} == {0: -1.5, 1: -1.4, 2: -0.3}
    assert lowest(found) == [0]
    assert lowest({**found, 1: -1.5}) == [0, 1]
    assert lowest({}) == []
    assert score(2.0, 3, (), cost_weight=0.5, jury_weight=9.0) == 3.0
    # the same in a run whose bidders all say the same: every auction is tied, and every agent wins its share by lot
    _, events = logged(check=False, **auction(3, model={"kind": "of-test-bidder"}, tasks=150))
    notes = [event.text or "" for event in events if event.answer == "auction"]
    assert all(note.endswith("the lowest of 3, by lot") for note in notes)
    winners = Counter(note.split()[1] for note in notes)
    assert all(abs(winners[str(agent)] - 50) < 4 * (150 * 2 / 9) ** 0.5 for agent in range(3))


def outcome(informed: bool, **rules: Any) -> tuple[float, float, float, float]:
    """Return the share of right answers, the share of tasks that the small agent won, and what both would be right."""
    tasks = 500
    blocks = team(tasks, {"informed": informed}, {"skill": 3.0, "informed": informed}, **rules)
    done, events = logged(check=False, **blocks)
    won = sum((event.text or "").startswith("agent 0 ") for event in events if event.answer == "auction")
    small, large = (sum(chance(skill, task) for task in range(tasks)) / tasks for skill in (0.0, 3.0))
    return done.totals.score or 0.0, won / tasks, small, large


def test_an_informed_jury_saves_money_at_little_loss_and_a_jury_that_guesses_gains_nothing() -> None:
    error = (0.25 / 500) ** 0.5
    right, share, small, large = outcome(True, cost_weight=1.0)
    cost = share * PRICES[0] + (1 - share) * PRICES[1]
    assert cost < 0.75 * PRICES[1]  # than that of the large one for every task
    assert right > share * small + (1 - share) * large + 1.5 * error  # better than lots in the same shares
    right, share, small, large = outcome(False, cost_weight=1.0)
    assert 0.1 < share < 0.95
    assert abs(right - (share * small + (1 - share) * large)) < 3 * error


def test_a_dear_agent_always_wins_where_cost_weighs_nothing_and_marks_tell() -> None:
    right, share, _, large = outcome(True, cost_weight=0.0)
    assert share < 0.25  # the draws among equal marks
    assert abs(right - large) < 4 * (0.25 / 500) ** 0.5


def won_by_the_small(memory: str) -> list[bool]:
    small, large = {"learns": True}, {"learns": True, "skill": 3.0, "careful": True}
    blocks = {**team(40, small, large, memory=memory, cost_weight=0.1), "episodes": "sequential"}
    _, events = logged(check=memory == "kept", **blocks)
    return [(event.text or "").startswith("agent 0 ") for event in events if event.answer == "auction"]


def test_with_memory_the_cheap_agent_learns_to_win_and_not_where_who_lost_is_drawn() -> None:
    kept, none, shuffled = won_by_the_small("kept"), won_by_the_small("none"), won_by_the_small("shuffled")
    assert len(kept) == 40
    assert not kept[0]
    assert sum(kept[1:]) >= 18  # it wins, forgets nothing, and is not shown a lost plan of its own that did not win
    assert not any(none)
    assert sum(shuffled) < sum(kept)


def test_bids_are_written_again_by_who_is_cheaper_and_counted() -> None:
    small, large = {"learns": True}, {"learns": True, "skill": 3.0, "careful": True}
    blocks = {**team(2, small, large, memory="kept", cost_weight=0.1), "episodes": "sequential"}
    done, events = logged(**blocks)
    again = [event for event in events if event.kind == "revise_claim" and event.answer is None]
    assert [(event.task, event.agent, event.text) for event in again] == [(1, 0, "skill 0 check")]
    assert done.totals.turns == 2 * (2 + 2 + 4 + 1) + 1 + 2  # a plan more, marked by both
    assert done.totals.rounds == 4 + 6
    with pytest.raises(InputError, match="takes tasks one after the other"):
        build_society(built(**{**blocks, "episodes": "concurrent"}))


def test_marks_are_whole_numbers_from_nought_to_five() -> None:
    read = {"4": "4", "I give 3 of 5.": "3", "Mark: 0": "0", "10": None, "4.5": None, "6": None, "": None, "-1": None}
    assert {text: _mark(text) for text in read} == read


def test_the_jury_the_bids_and_the_work_are_paid_from_one_budget() -> None:
    blocks = auction(4)
    blocks["agents"]["max_tokens"] = 40
    free = logged(check=False, **blocks)[0].totals
    done, events = logged(**blocks, budget={"tokens_per_task": 1_500})
    assert (free.tokens_in + free.tokens_out) / 2 > 1_500
    assert done.totals.tokens_in + done.totals.tokens_out <= 2 * 1_500
    assert done.totals.stops == {"budget_exhausted": 2}
    assert done.totals.answered == 2
    assert any(event.kind == "vote" for event in events)


@pytest.mark.parametrize(
    ("n", "rules", "what"),
    [
        (3, {"entropy_weight": 0.5}, "the entropy of a plan is not known"),
        (3, {"prices": [1.0, 2.0]}, "2 prices for 1 groups of agents"),
        (1, {}, "an auction is among 2 to 511 agents"),
        (600, {}, "an auction is among 2 to 511 agents"),
    ],
)
def test_what_cannot_be_is_refused(n: int, rules: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        build_society(built(**auction(n, **rules)))


def test_a_bidder_that_fails_has_no_plan_and_who_is_silent_to_the_end_gives_no_answer() -> None:
    silent = {"kind": "scripted", "replies": [["", "??"]]}
    blocks = {**auction(3, jury=1), "calls": {"attempts": 1, "repair": False}}
    blocks["agents"] = [{"count": 2, "model": "scripted"}, {"count": 1, "model": silent}]
    done, _ = logged(**blocks)
    assert (done.totals.calls, done.totals.answered) == (2 * (3 + 2 + 1), 2)
    blocks["agents"] = {"count": 3, "model": silent}
    done, _ = logged(**blocks)
    assert (done.totals.calls, done.totals.answered) == (2 * 3, 0)


def worst(auctions: list[list[Bid]], weight: float) -> tuple[float, float]:
    """Return the largest loss and the sum of losses at a weight of cost."""
    lost = []
    for bids in auctions:
        won = lowest({at: weight * bid.cost - sum(bid.marks) / len(bid.marks) for at, bid in enumerate(bids)})
        lost.append(max(bids[at].loss for at in won))
    return max(lost), sum(lost)


def test_the_weight_of_cost_is_that_of_the_least_worst_loss_as_a_fine_grid_finds_it() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        auctions = [
            [Bid(float(rng.uniform(1, 9)), (float(rng.integers(6)),), float(rng.uniform(1, 9))) for _ in range(3)]
            for _ in range(6)
        ]
        found = worst(auctions, fit_cost_weight(auctions))
        assert found <= min(worst(auctions, float(weight)) for weight in np.geomspace(1e-3, 1e3, 400))


def test_the_worst_task_decides_and_not_the_mean() -> None:
    """Nine tasks would be cheaper with the small agent; on one it is wrong, which costs 12."""
    small, large = Bid(1.0, (4.0,), 1.0), Bid(6.0, (5.0,), 6.0)
    auctions = [[small, large]] * 9 + [[Bid(1.0, (4.0,), 12.0), large]]  # the jury cannot tell them apart
    weight = fit_cost_weight(auctions)
    assert worst(auctions, weight) == (6.0, 60.0)
    assert worst(auctions, 10.0) == (12.0, 21.0)
    assert fit_cost_weight([[small, large]] * 9) > 1 / 5


@pytest.mark.parametrize("auctions", [[], [[]]])
def test_weights_are_not_fitted_to_nothing(auctions: list[list[Bid]]) -> None:
    with pytest.raises(ValueError, match="at least one bid"):
        fit_cost_weight(auctions)
