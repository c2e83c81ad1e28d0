"""Probes: turns asked again without one of the claims shown, unseen by the society and on an account of their own."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from agentsoc.contracts.board import Claim
from agentsoc.contracts.probe_calls import probe_k, probed_agent
from agentsoc.contracts.turns import Turn, View
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.engine.transcript import transcript
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.events import SOCIETY, pack_id
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from agentsoc.society.probe import swapped_answer
from analysis.measures.heard import heard_replies
from analysis.measures.influence import influence_of
from tests.interrupted import to_the_end, with_kills
from tests.loose import scenario


def debate(**changes: Any) -> Scenario:
    """Return a debate whose agents follow the majority of what they are shown, or not."""
    model = {"says": "majority", "accuracy": 0.7, **changes.pop("model", {})}
    blocks = {"topology": {"kind": "decentralized", "degree": 3}, "tasks": {"kind": "coin", "count": 4}, **changes}
    return scenario(model=model, **blocks)


PROBE = {"share": 0.6}


def study_rows(log: RunLog) -> list[Any]:
    """Return what is journaled under the society's id."""
    return [row for row in log.journal() if row.agent == SOCIETY]


def test_the_society_is_the_same_with_and_without_probes(tmp_path: Path) -> None:
    """The same events, the same totals and budget; only journal and account of the study tell."""
    budget = {"tokens_per_task": 1500}
    run(debate(budget=budget), tmp_path / "plain")
    run(debate(budget=budget, probe=PROBE), tmp_path / "probed")
    plain, probed = RunLog(tmp_path / "plain"), RunLog(tmp_path / "probed")
    assert probed.manifest.digest == plain.manifest.digest
    assert probed.manifest.totals == plain.manifest.totals
    assert plain.manifest.study is None
    assert "probe" not in plain.manifest.scenario
    rows, account = study_rows(probed), probed.manifest.study
    assert account is not None
    assert account.calls == len(rows) > 0
    assert account.tokens_in == sum(row.tokens_in for row in rows)
    assert account.tokens_out == sum(row.tokens_out for row in rows)
    assert account.tokens_lost == 0
    probed.check()
    seen = replay(tmp_path / "probed")
    assert seen.model_calls == 0


def test_a_probe_shows_all_claims_but_one_in_the_same_order(tmp_path: Path) -> None:
    run(debate(probe={"share": 1.0}), tmp_path / "run")
    calls = transcript(tmp_path / "run", 0)
    asked = {(call.round, call.agent): call for call in calls if call.outcome.agent != SOCIETY}
    probes = [call for call in calls if call.outcome.agent == SOCIETY]
    assert all(call.same for call in calls)
    turns = [call for call in asked.values() if call.outcome.shown]
    assert len(probes) == 2 * len(turns) > 0

    def shown(call: Any) -> list[str]:
        lines = [line for line in call.request.user.splitlines() if line.startswith("#")]
        return [line.partition(" ")[2] for line in lines]

    wholes = {(tuple(shown(call)), call.round) for call in turns}
    for call in probes:
        rest = shown(call)
        if (tuple(rest), call.round) in wholes:
            continue  # a control: all claims, with another seed
        cut = [whole for whole, round_ in wholes if round_ == call.round and len(whole) == len(rest) + 1]
        assert any(
            [each for at, each in enumerate(whole) if at != gone] == rest for whole in cut for gone in range(len(whole))
        )
    seeds = {call.request.seed for call in turns}
    assert not seeds & {call.request.seed for call in probes}


def test_killed_anywhere_it_buys_no_probe_twice_and_ends_the_same(tmp_path: Path) -> None:
    built = debate(probe=PROBE, model={"fail_rate": 0.2})
    whole = to_the_end(built, tmp_path / "whole")
    n_writes = 2 * len(whole.rows)
    for number in range(6):
        where = tmp_path / f"killed-{number}"
        ended = with_kills(built, where, random.Random(number), n_writes, kills=2)
        assert ended.digest == whole.digest
        steps = ended.steps
        for call, attempts in whole.steps.items():
            assert len(steps[call]) == len(attempts)  # nothing that was answered is asked again
        assert steps.keys() == whole.steps.keys()
        log = RunLog(where)
        log.check()
        lost = [row for row in study_rows(log) if row.state == "started"]
        account = log.manifest.study
        assert account is not None
        assert account.tokens_lost >= sum(row.reserved for row in lost)


def test_influence_is_what_changes_without_a_claim_beyond_what_changes_anyway(tmp_path: Path) -> None:
    run(debate(probe={"share": 1.0}, tasks={"kind": "coin", "count": 30}), tmp_path / "run")
    replies = heard_replies(RunLog(tmp_path / "run"))
    probed = replies.drop_nulls(["without", "again"])
    assert probed.height == replies.filter(pl.col("shown") > 0).height
    assert not probed["again"].any()  # who is asked the same follows the same rule
    assert probed["without"].any()  # a majority may turn on one claim
    found = influence_of(replies)
    assert found is not None
    influence = found.values["influence_of_one"]
    assert influence is not None
    assert influence.value == pytest.approx(probed["without"].mean())
    assert influence.low < influence.value < influence.high
    assert any("influence of a claim" in line for line in found.summary())
    deaf = debate(probe={"share": 1.0}, model={"says": "truth"})
    run(deaf, tmp_path / "deaf")
    stubborn = influence_of(heard_replies(RunLog(tmp_path / "deaf")))
    assert stubborn is not None
    of_nobody = stubborn.values["influence_of_one"]
    assert of_nobody is not None
    assert of_nobody.value == 0
    assert of_nobody.low < 0 < of_nobody.high


def test_the_share_is_a_share(tmp_path: Path) -> None:
    run(debate(probe={"share": 0.25}, tasks={"kind": "coin", "count": 60}), tmp_path / "run")
    replies = heard_replies(RunLog(tmp_path / "run")).filter(pl.col("shown") > 0)
    probed = replies["without"].is_not_null().mean()
    assert probed == pytest.approx(0.25, abs=0.07)


def test_what_probes_may_cost_stands_in_the_bound_above_the_budget() -> None:
    plain = bound(build_society(debate(budget={"tokens_per_task": 1500})))
    probed = bound(build_society(debate(budget={"tokens_per_task": 1500}, probe=PROBE)))
    assert isinstance(plain, Bound)
    assert isinstance(probed, Bound)
    n_probed = 4 * 4  # tasks, agents that hear somebody in the second round
    assert plain.study is None
    assert probed.study is not None
    assert probed.study.calls == 2 * n_probed
    assert replace(probed, study=None) == plain  # the team's own, under its budget
    assert plain.tokens_max <= 4 * 1500
    assert probed.study.tokens_max > probed.study.tokens > 0


def test_an_account_that_the_journal_does_not_add_up_to_is_damage(tmp_path: Path) -> None:
    run(debate(probe=PROBE), tmp_path / "run")
    log = RunLog(tmp_path / "run")
    assert log.manifest.study is not None
    log.manifest.study.tokens_in += 1
    log.manifest.save(tmp_path / "run")
    with pytest.raises(LogDamagedError, match="account of the study"):
        RunLog(tmp_path / "run").check()


def test_probes_need_a_model_that_reads() -> None:
    voters = scenario(
        agents={"count": 4}, model={"kind": "simulated"}, tasks={"kind": "signal", "count": 2}, probe=PROBE
    )
    with pytest.raises(InputError, match="no agent here is a model that reads a prompt"):
        build_society(voters)


SWAP = {"share": 1.0, "swap": True}


def test_a_swapped_answer_takes_the_place_of_one_claims_answer_and_of_nothing_else(tmp_path: Path) -> None:
    budget = {"tokens_per_task": 1500}
    run(debate(budget=budget, probe=SWAP), tmp_path / "run")
    log = RunLog(tmp_path / "run")
    run(debate(budget=budget), tmp_path / "plain")
    assert log.manifest.digest == RunLog(tmp_path / "plain").manifest.digest
    calls = transcript(tmp_path / "run", 0)
    assert all(call.same for call in calls)
    turns: dict[tuple[int, int | None], Any] = {
        (call.round, call.agent): call for call in calls if call.agent != SOCIETY and call.outcome.shown
    }
    by_turn: dict[tuple[int, int | None], list[Any]] = {key: [] for key in turns}
    for call in calls:
        if call.agent == SOCIETY:
            by_turn[call.round, probed_agent(call.k)].append(call.request.user.splitlines())
    for key, (_, as_it_was, swapped) in by_turn.items():
        assert as_it_was == turns[key].request.user.splitlines()
        [(before, after)] = [pair for pair in zip(as_it_was, swapped, strict=True) if pair[0] != pair[1]]
        assert before.split()[:3] == after.split()[:3]  # handle and author
        assert {before.split()[3].rstrip(":,."), after.split()[3].rstrip(":,.")} == {"heads", "tails"}
    assert by_turn
    log.check()
    assert replay(tmp_path / "run").model_calls == 0
    most = [bound(build_society(debate(probe={"share": 1.0, **more}))) for more in ({}, {"swap": True})]
    assert isinstance(most[0], Bound)
    assert isinstance(most[1], Bound)
    assert most[0].study is not None
    assert most[1].study is not None
    assert most[1].study.calls - most[0].study.calls == 4 * 4


def test_the_influence_of_a_swapped_answer_is_measured_against_the_control(tmp_path: Path) -> None:
    run(debate(probe=SWAP, tasks={"kind": "coin", "count": 30}), tmp_path / "run")
    replies = heard_replies(RunLog(tmp_path / "run"))
    probed = replies.drop_nulls("swapped")
    assert probed.height == replies.filter(pl.col("shown") > 0).height
    assert probed.filter(pl.col("took") & ~pl.col("swapped")).height == 0  # who took it has changed to it
    found = influence_of(replies)
    assert found is not None
    assert found.swapped == probed.height
    swap, one = found.values["influence_of_swap"], found.values["influence_of_one"]
    assert swap is not None
    assert one is not None
    assert swap.value == pytest.approx(probed["swapped"].mean())  # controls change nothing
    assert swap.value > one.value  # a vote the other way moves a majority more than one that is missing
    assert any("influence of the swap" in line for line in found.summary())
    plain = influence_of(heard_replies(RunLog(run(debate(probe=PROBE), tmp_path / "plain").directory)))
    assert plain is not None
    assert (plain.swapped, plain.values["influence_of_swap"]) == (0, None)


def test_free_answers_are_swapped_for_those_of_other_claims_and_only_where_there_are_some() -> None:
    built = build_society(debate(probe=SWAP, tasks={"kind": "arithmetic", "count": 1}))
    claims = [Claim(pack_id(0, agent, 0), agent, 0, "propose_claim", said, None) for agent, said in enumerate("778")]
    turn = Turn(3, sees=tuple(one.id for one in claims))
    view = View(0, 1, 3, "What?", (), turn, tuple(claims))
    assert swapped_answer(built, view, claims[0].id) == "8"
    assert swapped_answer(built, view, claims[2].id) == "7"
    alike = msgspec.structs.replace(view, claims=tuple(claims[:2]))
    assert swapped_answer(built, alike, claims[0].id) is None
    assert probed_agent(probe_k(Turn(7), swapped=True)) == probed_agent(probe_k(Turn(7))) == 7
    assert probed_agent(3) is None
