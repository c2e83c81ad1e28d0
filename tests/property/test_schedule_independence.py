"""The second promise: the log does not depend on when replies arrive, on concurrency, or on how it was computed."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.engine import execute as execute_module
from agentsoc.engine import run_files as run_files_module
from agentsoc.engine.attempts import AttemptRequest, AttemptResult
from agentsoc.engine.execute import Plan, Result, execute, load_known
from agentsoc.engine.host import Host
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.engine.stored_scenario import stored_scenario
from agentsoc.log.journal import Journal
from agentsoc.log.journal_totals import JournalTotals
from agentsoc.log.names import EPISODES
from agentsoc.scenario.model import Scenario
from tests.nightly import NIGHTLY
from tests.strategies import scenario, societies

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def computed(built: Scenario, **engine: Any) -> Result:
    """Run without a directory is a replay, so this one gets a scratch directory."""
    with tempfile.TemporaryDirectory() as scratch:
        changed = built.model_copy(update={"engine": built.engine.model_copy(update=engine)})
        return asyncio.run(execute(Plan(changed, Path(scratch))))


@given(parts=societies(), concurrency=st.sampled_from([1, 8, 64]))
@settings(SLOW, max_examples=60 if NIGHTLY else 40)
def test_the_digest_is_one_whatever_the_concurrency_and_the_way_of_computing(
    parts: dict[str, Any], concurrency: int
) -> None:
    built = scenario(**parts)
    first = computed(built, concurrency=1, vectorise=True)
    again = computed(built, concurrency=concurrency, vectorise=False)
    assert (again.digest, again.n_events) == (first.digest, first.n_events)
    assert again.totals.model_dump(exclude={"virtual_s"}) == first.totals.model_dump(exclude={"virtual_s"})
    assert abs(again.totals.virtual_s - first.totals.virtual_s) <= 1e-9 * first.totals.virtual_s
    assert again.episodes.drop(["virtual_s"]).equals(first.episodes.drop(["virtual_s"]))
    times = [result.episodes["virtual_s"].to_numpy() for result in (first, again)]
    np.testing.assert_allclose(times[0], times[1], rtol=1e-9)
    of_one_way = computed(built, concurrency=concurrency, vectorise=True)
    assert of_one_way.episodes.equals(first.episodes)


def test_random_completion_orders_give_one_digest(monkeypatch: Any) -> None:
    """100 orders; 500 each night."""
    built = scenario(
        tasks={"kind": "coin", "count": 3},
        topology="hybrid",
        protocol={"kind": "orchestrate", "rounds": 2},
        agents={"count": 4, "model": {"kind": "scripted", "accuracy": 0.6, "fail_rate": 0.1}, "iterations": 2},
        budget={"tokens_per_task": 3000},
        calls={"backoff_s": 0.0},
    )
    expected = computed(built, concurrency=1)
    asked = Host.attempt
    order = random.Random(0)

    async def shuffled(self: Host, what: AttemptRequest) -> AttemptResult:
        for _ in range(order.randrange(8)):
            await asyncio.sleep(0)
        outcome = await asked(self, what)
        for _ in range(order.randrange(8)):
            await asyncio.sleep(0)
        return outcome

    monkeypatch.setattr(Host, "attempt", shuffled)
    # the journal's thread and disk are not what is shuffled here
    monkeypatch.setattr(execute_module, "Journal", MemoryJournal)
    monkeypatch.setattr(run_files_module, "read_digest", lambda path, account: ((0, ""), JournalTotals()))
    for _ in range(500 if NIGHTLY else 100):
        again = computed(built, concurrency=order.choice([2, 5, 64]))
        assert again.digest == expected.digest
        assert again.episodes.equals(expected.episodes)


class MemoryJournal:
    """Takes rows and forgets them; an empty journal is left in its place, for whoever reads it at the end of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def write(self, attempt: object) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        pass

    def seal(self) -> str | None:
        return Journal(self.path, durability="os").seal()

    def rows(self) -> Any:
        return iter(())


@given(parts=societies())
@settings(SLOW, max_examples=40 if NIGHTLY else 25)
def test_a_replay_asks_nobody_and_gives_the_digest(parts: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        done = run(scenario(**parts), Path(scratch) / "run")
        seen = replay(done.directory)
        assert (seen.digest, seen.model_calls) == (done.manifest.digest, 0)
        plan = Plan(stored_scenario(done)[0], None, known=load_known(done.directory), live=False)
        again = asyncio.run(execute(plan))
        stored = pq.read_table(done.directory / EPISODES)
        assert again.episodes.drop(["virtual_s"]).equals(stored.drop(["virtual_s"]))
        np.testing.assert_allclose(again.episodes["virtual_s"].to_numpy(), stored["virtual_s"].to_numpy(), rtol=1e-9)


@given(parts=societies())
@settings(SLOW, max_examples=40 if NIGHTLY else 25)
def test_no_episode_spends_more_than_its_budget(parts: dict[str, Any]) -> None:
    built = scenario(**parts)
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built, Path(scratch) / "run")
        totals = done.manifest.totals
        assert totals.tokens_overrun == 0
        if built.budget is not None:
            per_task = built.budget.per_task(built.tasks.count)
            spent = done.frame().group_by("task").agg(pl.col("tokens_in", "tokens_out").sum())
            assert per_task is not None
            assert max((spent["tokens_in"] + spent["tokens_out"]).to_list()) <= per_task
