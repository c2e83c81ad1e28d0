"""Calls, deliveries and rounds of scripted societies equal the closed forms of arXiv 2512.08296.

n agents (workers where there is a lead), k calls a turn, r rounds of work, d rounds of debate, p pairs of peers. Calls
and rounds as that paper counts them; deliveries as an organisation pays for them (every reader counts).
"""

from __future__ import annotations

import asyncio
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agentsoc.contracts.board import Board
from agentsoc.engine.calls import Caller
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.loop import RunEngine
from agentsoc.engine.pool import LocalPool
from agentsoc.engine.run_state import ScenarioEpoch
from agentsoc.log.journal import Attempt
from agentsoc.log.manifest import Totals
from agentsoc.log.segments import SegmentWriter
from agentsoc.log.totals import fold
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from tests.strategies import COUNTED, scenario

NS = (1, 2, 3, 4, 6, 9, 16)
FEW = range(1, 6)


def totals(n_agents: int, k: int, topology: Any, protocol: Any, accuracy: float = 1.0, tasks: int = 1) -> Totals:
    built = scenario(
        tasks={"kind": "coin", "count": tasks},
        agents={
            "count": n_agents,
            "model": {"kind": "scripted", "accuracy": accuracy},
            "iterations": k,
            "max_tokens": 1024,
        },
        topology=topology,
        protocol=protocol,
    )
    return asyncio.run(counted(built))


class Forgetful:
    """A journal that keeps nothing: two thousand runs are counted here, and none is resumed."""

    async def write(self, attempt: Attempt) -> None:
        return


async def counted(built: Scenario) -> Totals:
    society = build_society(built)
    boards: dict[int, Board] = {}
    pool = LocalPool(society, boards)
    await pool.start()
    writer = SegmentWriter(Path(), keep=False)
    try:
        caller = Caller(pool, Forgetful(), {}, built.calls, built.engine.concurrency)  # type: ignore[arg-type]
        engine = RunEngine([ScenarioEpoch((0, 0), society, pool, caller)], writer, boards)
        await engine.run()
        writer.finish()
        return fold(writer.totals, engine.episodes.totals, {})
    finally:
        writer.abandon()
        await pool.close()


def test_counts_without_a_journal_are_those_of_a_run() -> None:
    built = scenario(tasks={"kind": "coin", "count": 2}, topology="star", protocol={"kind": "orchestrate", "rounds": 2})
    with tempfile.TemporaryDirectory() as scratch:
        assert asyncio.run(execute(Plan(built, Path(scratch)))).totals == asyncio.run(counted(built))


@pytest.mark.parametrize("k", FEW)
def test_single_makes_k_calls_and_delivers_nothing(k: int) -> None:
    got = totals(1, k, "single", "vote")
    assert (got.calls, got.deliveries, got.rounds) == (k, 0, 1)


@pytest.mark.parametrize("n", NS)
def test_independent_makes_nk_calls_one_synthesis_and_n_deliveries(n: int) -> None:
    for k in FEW:
        got = totals(n, k, "independent", {"kind": "vote", "by": "model"})
        assert (got.calls, got.deliveries, got.rounds) == (n * k + 1, n if n > 1 else 0, 2)
        got = totals(n, k, "independent", "vote")
        assert (got.calls, got.deliveries, got.rounds) == (n * k, n if n > 1 else 0, 1)


@pytest.mark.parametrize("n", NS)
def test_decentralized_makes_dnk_calls_and_d_n_times_n_minus_1_deliveries(n: int) -> None:
    for d, k in product(FEW, FEW):
        got = totals(n, k, "decentralized", {"kind": "debate", "rounds": d})
        assert (got.calls, got.deliveries, got.rounds) == (d * n * k, d * n * (n - 1), d)
        assert got.broadcasts == (d * n if n > 1 else 0)


@pytest.mark.parametrize("n", NS)
def test_centralized_makes_rnk_plus_r_calls_and_r_2n_deliveries(n: int) -> None:
    for r, k in product(FEW, FEW):
        joint = {"kind": "orchestrate", "rounds": r, "guidance": "joint"}
        got = totals(n + 1, k, "star", joint)
        assert (got.calls, got.deliveries) == (r * n * k + r + 1, r * 2 * n)
        assert got.rounds == 2 * r + 1


@pytest.mark.parametrize("n", NS)
def test_centralized_with_guidance_for_each_worker_has_the_coded_turn_structure(n: int) -> None:
    for r, k in product(FEW, FEW):
        each = {"kind": "orchestrate", "rounds": r, "guidance": "each", "decision": "lead"}
        got = totals(n + 1, k, "star", each)
        assert got.calls == 1 + r * (n + n * k) + (r - 1) + 1
        none = {"kind": "orchestrate", "rounds": r, "guidance": "none", "decision": "rounds"}
        assert totals(n + 1, k, "star", none).calls == 1 + r * n * k + 1


@pytest.mark.parametrize("n", [2, 3, 4, 9, 16])
def test_hybrid_adds_an_exchange_among_peers_to_the_centralized_counts(n: int) -> None:
    for r, k in product(FEW, FEW):
        for pairs in {1, n // 2}:
            built = scenario(
                tasks={"kind": "coin", "count": 1},
                agents={"count": n + 1, "model": {"kind": "scripted"}, "iterations": k, "max_tokens": 1024},
                topology={"kind": "hybrid", "peers": pairs},
                protocol={"kind": "orchestrate", "rounds": r, "guidance": "joint", "peer_rounds": 1},
            )
            got = asyncio.run(counted(built))
            society = build_society(built)
            with_peers = sum(
                any(society.wiring.level[v] == 1 for v in society.neighbours[worker]) for worker in range(1, n + 1)
            )
            assert got.calls == r * n * k + r + 1 + with_peers
            assert got.deliveries == r * 2 * n + 2 * pairs


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_tree_of_votes_calls_its_leaves_and_delivers_along_its_edges(depth: int) -> None:
    for b in (2, 3):
        nodes = (b ** (depth + 1) - 1) // (b - 1)
        got = totals(nodes, 1, {"kind": "tree", "fan_in": b}, "aggregate")
        assert (got.calls, got.deliveries, got.rounds) == (b**depth, nodes - 1, depth + 1)
        got = totals(nodes, 1, {"kind": "tree", "fan_in": b}, {"kind": "aggregate", "by": "model"})
        assert got.calls == nodes


@pytest.mark.parametrize("n", [2, 3, 7])
def test_a_chain_takes_one_round_and_one_delivery_a_link(n: int) -> None:
    got = totals(n, 2, "chain", "aggregate")
    assert (got.calls, got.deliveries, got.rounds) == (2 * n, n - 1, n)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_sampling_until_the_first_vote_asks_once_and_until_k_equal_votes_k_times(n: int) -> None:
    for k in FEW:
        for until in ("first-to-k", "ahead-by-k"):  # everybody is right, so nobody is behind
            got = totals(n, 1, "decentralized", {"kind": "resample", "until": until, "k": k})
            assert got.calls == k


@pytest.mark.parametrize("n", [2, 4, 7])
def test_a_threshold_that_is_never_reached_adds_no_call_to_the_protocol_inside(n: int) -> None:
    inner = {"kind": "debate", "rounds": 3}
    got = totals(n, 1, "decentralized", {"kind": "dti", "protocol": inner, "threshold": 1e6})
    alone = totals(n, 1, "decentralized", inner)
    assert (got.calls, got.deliveries, got.rounds) == (alone.calls, alone.deliveries, alone.rounds)


@pytest.mark.parametrize("kind", COUNTED)
@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_calls_and_deliveries_of_every_protocol_are_a_closed_form(kind: str, n: int) -> None:
    topology, protocol, formula = COUNTED[kind]
    count = 2 if kind == "placebo" else 1  # it shows what was said in another task
    got = totals(n, 1, topology, protocol, tasks=count)
    assert (got.calls / count, got.deliveries / count) == formula(n)


@pytest.mark.parametrize("plan_by", ["same", "parts"])
def test_a_lead_may_hand_work_to_more_agents_than_a_slot_is_wide(plan_by: str) -> None:
    got = totals(101, 1, "star", {"kind": "orchestrate", "rounds": 1, "plan_by": plan_by, "synthesis": "majority"})
    assert got.events_by_kind["delegate_subtask"] == 100
