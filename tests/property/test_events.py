"""What every log obeys: ids are computed, unique and grow; nobody builds on what it could not have seen."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.engine.run import Run, run, run_async
from agentsoc.events import (
    ACTING,
    CLAIMING,
    COORDINATION,
    EVENT_KINDS,
    KINDS,
    MAX_AGENTS,
    MAX_K,
    MAX_ROUNDS,
    SCORED,
    SOCIETY,
    Event,
    Kind,
    pack_id,
    unpack_id,
)
from agentsoc.society.build import build_society
from tests.strategies import scenario, societies

PLACES = st.tuples(st.integers(0, MAX_ROUNDS - 1), st.integers(0, MAX_AGENTS - 1), st.integers(0, MAX_K - 1))


@given(PLACES, PLACES)
def test_ids_are_positive_64_bit_unique_and_grow_with_the_place(
    a: tuple[int, int, int], b: tuple[int, int, int]
) -> None:
    assert unpack_id(pack_id(*a)) == a
    assert 0 <= pack_id(*a) < 2**63
    assert (pack_id(*a) < pack_id(*b)) == (a < b)


def test_the_codes_of_kinds_never_change() -> None:
    assert KINDS == (
        "propose_claim", "revise_claim", "contradict_claim", "endorse_claim", "merge_claims", "delegate_subtask",
        "answer", "vote", "flag", "fault", "budget_exhausted", "call_failed", "stop",
        "tool_call", "action",
    )  # fmt: skip


def test_every_kind_has_one_row_of_the_registry() -> None:
    assert get_args(Kind) == KINDS == tuple(kind.name for kind in EVENT_KINDS)


def test_what_is_said_of_kinds_is_what_logs_were_written_with() -> None:
    claiming = {"propose_claim", "revise_claim", "contradict_claim", "merge_claims"}
    assert claiming == CLAIMING
    assert claiming | {"endorse_claim"} == SCORED
    assert claiming | {"endorse_claim", "delegate_subtask"} == COORDINATION
    assert {"tool_call", "action"} == ACTING


@given(parts=societies())
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_every_log_is_ordered_and_refers_only_to_what_was_visible(parts: dict[str, Any]) -> None:
    built = scenario(**parts)
    society = build_society(built)
    with tempfile.TemporaryDirectory() as scratch:
        events = list(run(built, Path(scratch) / "run").events())
    assert [e.place for e in events] == sorted({e.place for e in events})
    assert {e.task for e in events} == set(range(built.tasks.count))
    for task in range(built.tasks.count):
        _check_episode([e for e in events if e.task == task], society.n, built.parents)


def _check_episode(events: list[Event], n: int, parents: str) -> None:
    minted: dict[int, Event] = {}
    subtasks: dict[int, Event] = {}
    for event in events:
        here = (event.round, event.agent, event.k)
        assert event.agent == SOCIETY or 0 <= event.agent < n
        if event.kind in CLAIMING:
            assert event.claim == pack_id(*here)
            assert event.claim not in minted
            minted[event.claim] = event
        else:
            assert event.claim is None
        for parent in event.parents:
            assert parent in minted
            assert minted[parent].round < event.round
        assert len(set(event.parents)) == len(event.parents)
        if event.kind == "propose_claim":
            assert event.parents == () or parents == "visible"
        if event.kind == "merge_claims":
            assert len(event.parents) >= 2
        if event.kind == "endorse_claim":
            assert event.parents == (event.target,)
            assert minted[event.parents[0]].answer == event.answer
        if event.kind == "contradict_claim":
            assert event.target in event.parents
        if event.kind == "delegate_subtask":
            assert event.subtask == pack_id(*here)
            assert event.target is not None
            assert 0 <= event.target < n
            assert event.subtask_parent is None or event.subtask_parent in subtasks
            subtasks[event.subtask] = event
        elif event.subtask is not None:
            assert event.subtask in subtasks
            # whoever checks an artefact endorses or disputes what another agent was given to do
            checked = minted.get(event.target) if event.target is not None else None
            checks = checked is not None and checked.subtask == event.subtask and checked.agent != event.agent
            assert checks or subtasks[event.subtask].target == event.agent
        assert event.calls >= 0
        assert min(event.tokens_in, event.tokens_cached, event.tokens_out) >= 0
    assert [e.kind for e in events[-2:]] == ["answer", "stop"]
    assert sum(e.kind == "stop" for e in events) == 1


def test_events_read_while_the_run_goes_on_are_a_beginning_of_the_log() -> None:
    import agentsoc.engine.execute as module

    built = scenario(
        tasks={"kind": "coin", "count": 40},
        agents={"count": 4, "model": {"kind": "scripted", "latency_s": 0.01}},
        engine={"concurrency": 4},
    )
    seen: list[int] = []

    async def watch(directory: Path) -> None:
        going = asyncio.create_task(run_async(built, directory))
        while not going.done():
            await asyncio.sleep(0.05)
            parts = sorted((directory / "events").glob("*.parquet")) if (directory / "events").is_dir() else []
            if parts:
                seen.append(Run(directory).scan().collect().height)
        await going

    before, module.FLUSH_S = module.FLUSH_S, 0.1
    try:
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch) / "run"
            asyncio.run(watch(directory))
            assert seen == sorted(seen)
            assert seen[0] < Run(directory).frame().height
    finally:
        module.FLUSH_S = before
