"""Budgets through the engine: what a policy is worth, what telling agents is worth, prices, and the end of a share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from agentsoc.contracts.board import Board
from agentsoc.contracts.part import Slot
from agentsoc.contracts.policy import Policy
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Turn
from agentsoc.engine.bounds import Bound
from agentsoc.engine.columns.schedule import can_vectorise
from agentsoc.engine.forecast import bound
from agentsoc.engine.fork import fork
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.log.cost import cost, cost_by_task
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.prices import UNIT, Price, Rate, money_text, run_rates, units
from agentsoc.society.build import build_society
from agentsoc.theory.agents import success
from tests.strategies import scenario


def played(one: Scenario, where: Path) -> RunLog:
    run(one, where)
    seen = replay(where)
    assert (seen.digest, seen.model_calls) == (RunLog(where).manifest.digest, 0)
    return RunLog(where)


# Telling agents


def alone(shown: Any, **budget: Any) -> Scenario:
    """One agent with the habit of spending 300 tokens, on questions that take about 1,000, with 2,500 to spend."""
    return scenario(
        tasks={"kind": "signal", "count": 600},
        agents={"count": 1, "model": {"kind": "effort", "h": 1_000, "habit": 300}, "max_tokens": 10_000},
        topology="single",
        budget={"tokens_per_task": 2_500, "policy": "uniform", "shown": shown, **budget},
        calls={"attempts": 1},
    )


def test_seeing_the_budget_is_worth_what_the_closed_form_says(tmp_path: Path) -> None:
    """1 - exp(-b/h): hidden, the agent stops at its habit of 300; told, it spends the 2,500; a placebo changes nothing.

    600 tasks: four standard errors are .072 and .045 here, a false alarm in one of 10,000 seeds; the seed is fixed.
    """
    logs = {
        name: played(alone(shown), tmp_path / name)
        for name, shown in {
            "hidden": "hidden",
            "placebo": {"scope": "self", "placebo": True},
            "self": "self",
            "team": "team",
            "both": "both",
        }.items()
    }
    score = {name: log.manifest.totals.score for name, log in logs.items()}
    spent = {name: log.manifest.totals.tokens_out / 600 for name, log in logs.items()}
    assert spent == {"hidden": 300, "placebo": 300, "self": 2_500, "team": 2_500, "both": 2_500}
    for name, log in logs.items():
        expected = success(spent[name], 1_000)
        error = math.sqrt(expected * (1 - expected) / 600)
        assert score[name] == pytest.approx(expected, abs=4 * error)
        assert log.manifest.totals.tokens_overrun == 0
    assert logs["placebo"].manifest.digest == logs["hidden"].manifest.digest
    gap = score["self"] - score["hidden"]  # type: ignore[operator]
    assert gap == pytest.approx(math.exp(-0.3) - math.exp(-2.5), abs=0.09)


def test_a_team_that_is_told_of_its_purse_divides_what_is_left_of_it(tmp_path: Path) -> None:
    one = scenario(
        tasks={"kind": "signal", "count": 5},
        agents={"count": 4, "model": {"kind": "effort", "habit": 20}, "max_tokens": 10_000},
        topology="independent",
        budget={"tokens_per_task": 4_000, "shown": "team"},
        calls={"attempts": 1},
    )
    log = played(one, tmp_path / "run")
    assert set(log.frame().filter(pl.col("agent") >= 0)["tokens_out"]) == {1_000}


# Dividing by difficulty


def selective(policy: dict[str, Any], count: int = 250) -> Scenario:
    """Ten parts for ten workers, two of them ten times as hard; agents spend what their part gets."""
    return scenario(
        seed=5,
        tasks={"kind": "parts", "work": "sum", "parts": 10, "count": count, "difficulty": [100, 100, 100, 100, 1_000]},
        agents={"count": 11, "model": "effort", "max_tokens": 6_000},
        topology="star",
        protocol={
            "kind": "orchestrate",
            "rounds": 1,
            "plan_by": "parts",
            "decision": "rounds",
            "synthesis": "parts",
        },
        budget={"tokens_per_task": 6_000, "policy": {"kind": "difficulty", **policy}},
        calls={"attempts": 1},
    )


@pytest.mark.parametrize(
    ("rule", "each", "together"),
    [("equal", (600, 600), 0.1996), ("threshold", (300, 1_800), 0.4631), ("marginal", (364, 1_546), 0.49997)],
)
def test_the_published_example_of_selective_allocation_through_the_engine(
    rule: str, each: tuple[int, int], together: float, tmp_path: Path
) -> None:
    """Shares are spent to the token, and parts succeed as they should; all ten together as the example says.

    250 tasks, 2,500 parts: four standard errors each, a false alarm in one of 10,000 seeds; the seed is fixed.
    """
    log = run(selective({"rule": rule}), tmp_path / "run")
    assert log.manifest.totals.tokens_out == 250 * 6_000
    claims = log.frame().filter(pl.col("claim").is_not_null())
    bound = sum(each) / 2
    for h, b in zip((100, 1_000), each, strict=True):
        mine = claims.filter(pl.col("tokens_out") <= bound if rule != "equal" and b < bound else pl.col("agent") > 0)
        if rule == "equal":
            mine = claims.filter((pl.col("agent") % 5 == 0) == (h == 1_000))
        elif b > bound:
            mine = claims.filter(pl.col("tokens_out") > bound)
        assert mine["tokens_out"].is_between(b - 1, b).all()
        expected = success(b, h)
        error = math.sqrt(expected * (1 - expected) / len(mine))
        assert mine["correct"].mean() == pytest.approx(expected, abs=4 * error)
    assert log.manifest.totals.score == pytest.approx(together, abs=4 * math.sqrt(together * (1 - together) / 250))


def test_wrong_grades_cost_what_they_should(tmp_path: Path) -> None:
    """Every grade wrong: hard parts get what easy ones should; .0017 by formula, so next to none of 250 tasks."""
    log = run(selective({"rule": "threshold", "grading_error": 1.0}), tmp_path / "run")
    share_easy, share_hard = 6_000 * 6 / 50, 6_000 / 50
    expected = success(share_easy, 100) ** 8 * success(share_hard, 1_000) ** 2
    assert expected < 0.02
    assert log.manifest.totals.score == pytest.approx(expected, abs=4 * math.sqrt(expected / 250))


# Shares that end


def test_a_spent_share_silences_its_agent_and_nobody_else(tmp_path: Path) -> None:
    """The second agent writes four times as much; its share ends, the others go on to the end of the debate."""
    groups = [
        {"count": 1, "model": {"kind": "scripted", "cites": "none"}, "max_tokens": 30},
        {"count": 1, "model": {"kind": "scripted", "cites": "none"}, "max_tokens": 30, "iterations": 4},
        {"count": 1, "model": {"kind": "scripted", "cites": "none"}, "max_tokens": 30},
    ]

    def debated(policy: Any) -> Scenario:
        return scenario(
            tasks={"kind": "coin", "count": 1},
            agents=groups,
            topology="decentralized",
            protocol={"kind": "debate", "rounds": 4},
            budget={"tokens_per_task": 2_400, "policy": policy},
            calls={"attempts": 1},
        )

    log = played(debated("uniform"), tmp_path / "fixed")
    events = list(log.events())
    refused = [(e.round, e.agent) for e in events if e.kind == "budget_exhausted"]
    assert refused
    assert {agent for _, agent in refused} == {1}
    assert {e.agent for e in events if e.round == 3 and e.calls} >= {0, 2}
    assert events[-1].answer == "finished"
    for agent in range(3):
        assert sum(e.tokens_in + e.tokens_out for e in events if e.agent == agent) <= 800


class Late(Policy):
    """Everything to those who act first, nothing to the others."""

    kind: Literal["late"] = "late"

    def shares(self, society: Society, task: Task, amount: int) -> list[int]:
        return [0] + [amount // (society.n - 1)] * (society.n - 1)


def test_what_agents_left_passes_on_where_shares_carry(tmp_path: Path) -> None:
    """A hub without a share of its own cannot merge; with carry it draws on what the workers left."""
    Slot.register(Late)
    stops = {}
    for carry in (False, True):
        one = scenario(
            tasks={"kind": "coin", "count": 1},
            agents={"count": 5, "model": "scripted", "max_tokens": 40},
            topology="star",
            protocol={"kind": "aggregate", "by": "model"},
            budget={"tokens_per_task": 1_600, "conclude": 0, "policy": {"kind": "late", "carry": carry}},
            calls={"attempts": 1},
        )
        events = list(played(one, tmp_path / str(carry)).events())
        stops[carry] = [e.calls for e in events if e.agent == 0], events[-1].answer
    assert stops[True] == ([1], "finished")
    assert stops[False] == ([0, 0], "budget_exhausted")  # nor does it conclude: nothing was kept for that


@pytest.mark.parametrize("policy", [None, "uniform", {"kind": "uniform", "carry": True}])
@pytest.mark.parametrize("limit", ["tokens", "calls", "money"])
def test_a_spent_budget_of_any_kind_still_concludes(policy: Any, limit: str, tmp_path: Path) -> None:
    """Tokens, calls or money for some of the answers: the merge that ends the episode is paid for all the same."""
    limits: dict[str, dict[str, Any]] = {
        "tokens": {"tokens_per_task": 500},
        "calls": {"calls_per_task": 4},
        "money": {"money_per_task": 0.0005},
    }
    one = scenario(
        tasks={"kind": "coin", "count": 1},
        agents={"count": 8, "model": "scripted", "max_tokens": 60},
        topology="independent",
        protocol={"kind": "vote", "by": "model"},
        budget={**limits[limit], **({} if policy is None else {"policy": policy})},
        prices={"scripted": {"input": 1, "output": 1}},
        calls={"attempts": 1},
    )
    log = played(one, tmp_path / "run")
    events = list(log.events())
    answered = [e for e in events if e.round == 0 and e.calls]
    refused = [e for e in events if e.kind == "budget_exhausted"]
    if policy is None or limit == "calls":
        assert answered
        assert refused
    if answered:
        assert events[-2].answer is not None
        assert [e.calls for e in events if e.round > 0 and e.agent == 0][-1] == 1
    assert log.manifest.totals.calls <= 4 or limit != "calls"


def test_a_fork_splits_what_is_left_by_its_own_policy(tmp_path: Path) -> None:
    def debated(**budget: Any) -> Scenario:
        return scenario(
            tasks={"kind": "coin", "count": 1},
            agents={"count": 3, "model": "scripted", "max_tokens": 40},
            topology="decentralized",
            protocol={"kind": "debate", "rounds": 4},
            budget={"tokens_per_task": 2_000, **budget},
        )

    played(debated(), tmp_path / "old")
    forked = fork(tmp_path / "old", 0, 2, debated(policy="uniform", shown="self"), tmp_path / "new")
    assert replay(tmp_path / "new").model_calls == 0
    totals = forked.manifest.totals
    assert totals.tokens_in + totals.tokens_out <= 2_000
    assert totals.stops == {"finished": 1}


# Columns


@pytest.mark.parametrize(
    ("budget", "columns"),
    [
        (None, True),
        ({"tokens_per_task": 10**6}, True),
        ({"calls_per_task": 5}, True),
        ({"calls_per_task": 4}, False),
        ({"money_per_task": 1}, True),
        ({"money_per_task": 0.0001}, False),
        ({"tokens_per_task": 10**6, "shown": "team"}, True),
        ({"tokens_per_task": 10**6, "policy": "uniform"}, False),
    ],
)
def test_columns_are_computed_only_where_no_turn_can_be_refused(budget: Any, columns: bool, tmp_path: Path) -> None:
    one = scenario(
        agents={"count": 5, "model": {"kind": "simulated", "signal": 0.4}},
        topology="independent",
        budget=budget,
        prices={"simulated": {"input": 1, "output": 2, "call": 0.01}},
    )
    assert (can_vectorise(build_society(one), None, ("heads", "tails")) is not None) == columns
    if columns:
        slow = one.model_copy(update={"engine": one.engine.model_copy(update={"vectorise": False})})
        there, here = played(one, tmp_path / "columns"), played(slow, tmp_path / "turns")
        assert there.manifest.digest == here.manifest.digest
        assert there.manifest.totals == here.manifest.totals


# Prices


def test_what_a_run_costs_to_the_cent(tmp_path: Path) -> None:
    """By hand: 2 tasks, 3 agents, prompts of 24, 24 and 24 words and so on; every term is written out below."""
    dear, cheap = {"input": 2.5, "cached": 1.25, "output": 10, "call": 0.002}, {"input": 0.15, "output": 0.6}
    one = scenario(
        tasks={"kind": "coin", "count": 2},
        agents=[
            {"count": 1, "model": {"kind": "scripted", "replies": [["coin", '{"answer": "heads", "why": "it did"}']]}},
            {"count": 2, "model": {"kind": "effort", "habit": 100}},
        ],
        topology="independent",
        prices={"scripted": dear, "effort": cheap},
    )
    log = played(one, tmp_path / "run")
    events = [event for event in log.events() if event.agent >= 0]
    scripted = [event for event in events if event.agent == 0]
    words_in, words_out = scripted[0].tokens_in, scripted[0].tokens_out
    assert [(e.tokens_in, e.tokens_out, e.calls) for e in scripted] == [(words_in, words_out, 1)] * 2
    assert words_out == 5
    # two scripted calls: input at 2.50 and output at 10.00 a million, and 0.2 cents each; four efforts of 100 at 0.60
    by_hand = 2 * (words_in * 2.5e-6 + 5 * 10e-6 + 0.002) + 4 * 100 * 0.6e-6
    totals = log.manifest.totals
    assert totals.cost == pytest.approx(by_hand, abs=1e-12)
    assert totals.cost_lost == 0.0
    table = cost_by_task(log)
    assert table is not None
    assert table["cost"].to_list() == pytest.approx([by_hand / 2] * 2, abs=1e-12)
    priced = run_rates(log.manifest.scenario)
    assert priced is not None
    in_units = cost(events, *priced)
    assert in_units is not None
    assert money_text(in_units) == f"{by_hand:.4f}"
    # priced afterwards by another table, and not at all
    half = {"scripted": Price(input=0, output=0), "effort": Price(input=0, output=1)}
    other = cost_by_task(log, half)
    assert other is not None
    assert other["cost"].to_list() == [200e-6] * 2
    assert cost_by_task(log, {"scripted": Price(input=1, output=1)}) is None


@pytest.mark.parametrize("budget", [None, {"tokens_per_task": 2_000}, {"money_per_task": 0.003}, {"calls_per_task": 7}])
def test_no_run_costs_more_than_was_said_before_it(budget: Any, tmp_path: Path) -> None:
    """The bound counts bytes, full caps, all repeats and every call's own price; limits lower it."""
    one = scenario(
        agents={"count": 4, "model": {"kind": "scripted", "fail_rate": 0.3, "malformed_rate": 0.3}, "max_tokens": 50},
        topology="decentralized",
        protocol={"kind": "debate", "rounds": 2},
        prices={"scripted": {"input": 1.5, "cached": 2, "output": 6, "call": 0.0001}},
        budget=budget,
        calls={"backoff_s": 0.0},
    )
    most = bound(build_society(one))
    assert isinstance(most, Bound)
    totals = played(one, tmp_path / "run").manifest.totals
    assert totals.cost is not None
    assert totals.cost_lost is not None
    assert 0 < totals.cost + totals.cost_lost <= most.cost_max / UNIT
    assert most.cost <= most.cost_max
    assert totals.calls <= most.attempts
    if budget is not None and "money_per_task" in budget:
        assert most.cost_max == 4 * units(0.003)
        assert totals.budget_cost == 0.012
    if budget is not None and "calls_per_task" in budget:
        assert (most.calls, most.attempts, totals.budget_calls) == (28, 28, 28)
    assert "in money, at most " in most.text()
    assert most.text().endswith(", unless a provider ignores its output cap")


def test_the_worked_example_of_the_documentation() -> None:
    """1,200,000 input tokens, 200,000 of them cached, 50,000 output and 300 calls cost 3.0500."""
    rate = Price(input=2.0, cached=0.5, output=13.0, call=0.001).rate
    assert rate == Rate(2_000_000, 500_000, 13_000_000, 10**9)
    assert money_text(rate.cost(1_200_000, 200_000, 50_000, 300)) == "3.0500"
    assert money_text(rate.most(1_200_000, 50_000, 300)) == "3.3500"


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.0000"), (1.5, "1.5000"), (1234.56785, "1,234.5679"), (0.00005, "0.000050"), (0.0001, "0.0001")],
)
def test_money_is_written_with_four_decimals_and_six_where_four_show_nothing(amount: float, text: str) -> None:
    assert money_text(units(amount)) == text


def test_sums_of_money_are_exact_and_finer_ones_are_refused() -> None:
    assert sum(units(0.1) for _ in range(10)) == units(1.0)
    with pytest.raises(ValueError, match="6 decimals"):
        Price(input=0.1234567, output=1)


def test_a_coded_agent_needs_no_price(tmp_path: Path) -> None:
    from tests.unit.test_budget_shown import Reader

    Slot.register(Reader)
    one = scenario(agents={"count": 2, "model": "reader"}, topology="independent", budget={"money": 1})
    log = played(one, tmp_path / "run")
    assert log.manifest.totals.budget_cost == 1.0


def test_a_policy_of_ones_own_may_pay_by_anything(tmp_path: Path) -> None:
    """Shares by purpose: answers draw on the first one, merges on the second."""

    class ByPurpose(Policy):
        kind: Literal["by-purpose"] = "by-purpose"

        def shares(self, society: Society, task: Task, amount: int) -> list[int]:
            return [amount // 2, amount - amount // 2]

        def share_of(self, society: Society, task: Task, board: Board, turn: Turn) -> int:
            return int(turn.purpose == "merge")

    Slot.register(ByPurpose)
    one = scenario(
        tasks={"kind": "coin", "count": 1},
        agents={"count": 5, "model": "scripted", "max_tokens": 40},
        topology="star",
        protocol={"kind": "aggregate", "by": "model"},
        budget={"tokens_per_task": 280, "conclude": 0, "policy": "by-purpose"},
        calls={"attempts": 1},
    )
    events = list(played(one, tmp_path / "run").events())
    assert sum(e.tokens_in + e.tokens_out for e in events if e.round == 0) <= 140
    assert any(e.kind == "budget_exhausted" for e in events if e.round == 0)
    assert [e.calls for e in events if e.agent == 0] == [1]
