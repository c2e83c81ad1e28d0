"""What a run keeps of an episode that has ended: the row of its result, and nothing that was needed to get there."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from agentsoc.engine.run import Progress, run
from agentsoc.log.episodes import EpisodeTable
from tests.strategies import scenario

BYTES_MAX = 500
"""Kept of an episode: its row as an object until there are 8,192 of them, and its score (bytes)."""


def votes(count: int, **blocks: Any) -> Any:
    model = {"kind": "simulated", "signal": 0.3}
    parts: dict[str, Any] = {"agents": {"count": 5, "model": model}, "topology": "star", "protocol": "aggregate"}
    return scenario(tasks={"kind": "signal", "count": count}, engine={"vectorise": False}, **parts, **blocks)


@pytest.mark.parametrize("episodes", ["concurrent", "sequential"])
def test_an_episode_that_has_ended_leaves_no_account(episodes: str, tmp_path: Path) -> None:
    progress = Progress()
    done = run(votes(200, episodes=episodes), tmp_path / "run", progress=progress)
    assert done.manifest.totals.episodes == 200
    assert len(progress.ledgers) <= 1


def test_the_ledger_that_stays_says_whether_there_are_walls(tmp_path: Path) -> None:
    for budget, walled in (({"tokens_per_task": 10_000}, True), (None, False)):
        progress = Progress()
        run(votes(50, budget=budget), tmp_path / str(walled), progress=progress)
        assert [ledger.walled for ledger in progress.ledgers.values()] == [walled]
        assert [ledger.reserved for ledger in progress.ledgers.values()] == [0]


def test_a_run_keeps_a_few_hundred_bytes_of_each_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of two runs is what episodes leave behind, without what any run needs."""
    kept: list[int] = []
    table = EpisodeTable.table

    def measured(self: EpisodeTable) -> pa.Table:  # called once, when the last episode has ended
        gc.collect()
        kept.append(tracemalloc.get_traced_memory()[0])
        return table(self)

    monkeypatch.setattr(EpisodeTable, "table", measured)
    run(votes(50), tmp_path / "warm")
    kept.clear()
    tracemalloc.start()
    try:
        for count in (300, 900):
            run(votes(count), tmp_path / str(count))
    finally:
        tracemalloc.stop()
    few, many = kept
    assert (many - few) / 600 < BYTES_MAX
