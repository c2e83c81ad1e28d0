"""The table of episodes: one row per task that adds up to the totals, says what the events say, and is checked."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.engine.loop import RunEngine
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import InterruptedRunError, LogDamagedError
from agentsoc.log.episodes import SCHEMA, EpisodeRow, EpisodeTable
from agentsoc.log.names import EPISODES
from agentsoc.log.read import RunLog
from tests.strategies import SIMULATED, scenario, societies

GOLDEN = Path(__file__).parents[1] / "golden" / "format-1"
SUMS = (
    *("events", "turns", "rounds", "calls", "calls_failed", "tokens_in", "tokens_cached", "tokens_out"),
    *("broadcasts", "deliveries", "answered"),
)
VOTERS = {"agents": {"count": 5, "model": SIMULATED}, "tasks": {"kind": "signal", "count": 6}}
SCRIPTED: dict[str, Any] = {"tasks": {"kind": "coin", "count": 6}, "protocol": {"kind": "debate", "rounds": 2}}


@given(parts=societies())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_rows_add_up_to_the_totals_and_say_what_the_events_say(parts: dict[str, Any]) -> None:
    built = scenario(**parts)
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built, Path(scratch) / "run")
        found = done.episodes()
        assert found is not None
        totals, events = done.manifest.totals, done.frame()
    assert found["task"].to_list() == list(range(built.tasks.count))
    assert {name: int(found[name].sum()) for name in SUMS} == {name: getattr(totals, name) for name in SUMS}
    assert found["score"].mean() == pytest.approx(totals.score)
    assert found["virtual_s"].sum() == pytest.approx(totals.virtual_s)
    assert dict(found.group_by("stop").len().iter_rows()) == totals.stops
    of_society = events.filter(agent=-1)
    ends = of_society.filter(kind="answer").join(of_society.filter(kind="stop"), on="task", suffix="_stop").sort("task")
    assert found["answer"].to_list() == ends["answer"].to_list()
    assert found["score"].to_list() == ends["correct"].to_list()
    assert found["stop"].to_list() == ends["answer_stop"].to_list()
    assert found["rounds"].to_list() == ends["round"].to_list()
    per_task = events.group_by("task").agg(pl.len().alias("events"), pl.col("tokens_in", "tokens_out").sum())
    assert found.select("task", "events", "tokens_in", "tokens_out").equals(per_task.sort("task"), null_equal=True)
    if built.budget is None:
        assert found["budget"].null_count() == found.height
    else:
        assert set(found["budget"]) == {built.budget.per_task(built.tasks.count)}
        assert (found["charged"] <= found["budget"]).all()
    assert (found["charged"] >= found["tokens_in"] + found["tokens_out"]).all()
    if not totals.tokens_lost:
        assert (found["charged"] == found["tokens_in"] + found["tokens_out"]).all()


@given(order=st.permutations(range(12)), cut=st.integers(1, 5))
def test_rows_come_out_by_task_in_whatever_order_episodes_end(order: list[int], cut: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agentsoc.log.episodes._ROWS", cut)
        table = EpisodeTable()
        for task in order:
            table.add(EpisodeRow(task, score=task / 12, answer=None if task % 3 else str(task)))
        found = table.table()
    assert found.schema == SCHEMA
    assert found["task"].to_pylist() == list(range(12))
    assert found["answer"].to_pylist() == [None if task % 3 else str(task) for task in range(12)]


@pytest.mark.parametrize("parts", [VOTERS, SCRIPTED], ids=["columns", "turns"])
def test_a_table_that_was_altered_or_lost_is_named_and_made_again(parts: dict[str, Any], tmp_path: Path) -> None:
    done = run(scenario(**parts), tmp_path / "run")
    path = done.directory / EPISODES
    written = path.read_bytes()
    for damage in (lambda: path.write_bytes(written[:-1] + b"?"), path.unlink):
        damage()
        with pytest.raises(LogDamagedError, match="table of episodes"):
            RunLog(done.directory).check()
        with pytest.raises(LogDamagedError, match="table of episodes"):
            RunLog(done.directory).episodes()
        resume(done.directory)
        RunLog(done.directory).check()
        assert path.read_bytes() == written


@pytest.mark.parametrize("name", ["debated", "orchestrated", "simulated"])
def test_runs_of_earlier_versions_have_no_table_and_are_sound(name: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / name, tmp_path / "run")
    old = RunLog(tmp_path / "run")
    old.check()
    assert old.episodes() is None
    assert replay(tmp_path / "run").digest == old.manifest.digest


_RUN = RunEngine.run


async def _until_the_first_ends(engine: RunEngine) -> Any:
    work = asyncio.ensure_future(_RUN(engine))
    ended = asyncio.Event()
    take = engine.episodes.add

    def add(row: EpisodeRow) -> None:
        take(row)
        ended.set()

    engine.episodes.add = add  # type: ignore[method-assign]
    await ended.wait()
    await engine.wind_down(1.0)
    return await work


def test_an_interrupted_run_has_a_row_for_all_that_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = scenario(**SCRIPTED)
    whole = run(built, tmp_path / "whole").episodes()

    monkeypatch.setattr(RunEngine, "run", _until_the_first_ends)
    with pytest.raises(InterruptedRunError):
        run(scenario(**SCRIPTED, engine={"concurrency": 1}), tmp_path / "cut")
    monkeypatch.undo()
    cut = RunLog(tmp_path / "cut")
    assert cut.manifest.status == "interrupted"
    cut.check()
    rows, ended, events = cut.episode_rows(), cut.episodes(), cut.frame()
    assert rows is not None
    assert ended is not None
    assert whole is not None
    assert ended.equals(whole.filter(pl.col("task").is_in(ended["task"].implode())), null_equal=True)
    assert 0 < ended.height < whole.height
    assert rows["task"].to_pylist() == events["task"].unique(maintain_order=True).to_list()
    assert (
        cut.manifest.totals.rounds
        == sum(rows["rounds"].to_pylist())
        == events.n_unique(["task", "round"]) - ended.height
    )
    assert cut.manifest.totals.episodes == ended.height
    again = resume(cut.directory).episodes()
    assert again is not None
    assert again.equals(whole, null_equal=True)


def test_the_page_on_the_log_names_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "log-format.md").read_text(encoding="utf-8")
    table = page.partition("\n## Episodes\n")[2].partition("\n## ")[0]
    assert [name for name in SCHEMA.names if f"`{name}`" not in table] == []


def test_a_hundred_thousand_vectorised_rows_take_no_more_python_than_a_hundred() -> None:
    def called(n: int) -> int:
        """Return how many functions are called for `n` rows."""
        table, calls = EpisodeTable(), 0

        def count(frame: object, event: str, _: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        ones, answers, zeros = np.ones(n), np.zeros(n, np.int64), np.zeros(n)
        each = EpisodeRow(-1, answered=True, stop="finished")
        sys.setprofile(count)
        try:
            table.add_block(0, score=ones, answer=answers, options=("A", "B"), virtual_s=zeros, each=each)
            found: pa.Table = table.table()
        finally:
            sys.setprofile(None)
        assert found.num_rows == n
        return calls

    called(10)  # what is done once
    assert called(100_000) == called(100)
