"""A log in blocks of whole tasks, and the metrics and resamples that are made block by block."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.engine.run import run
from agentsoc.errors import LogDamagedError
from agentsoc.log.read import RunLog
from agentsoc.streams import stream
from analysis.blocks import blocks, frame_of
from analysis.measures.episodes import episode_metrics
from analysis.measures.report import examine
from analysis.measures.text import as_dict
from analysis.multinomial import multinomial_sums
from analysis.resampling import drawn, multinomial
from tests.strategies import scenario
from tests.synthetic_logs import ended, said, write_log


@pytest.fixture(scope="module")
def debate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A debate of five with planted errors, in segments that end within tasks."""
    directory = tmp_path_factory.mktemp("blocks") / "debate"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agentsoc.log.segments.ROWS_MAX", 50)
        patched.setattr("agentsoc.log.segments.SegmentWriter.add", small_steps)
        run(
            scenario(
                tasks={"kind": "signal", "count": 60},
                agents={"count": 5, "model": {"kind": "simulated", "signal": 0.3, "fidelity": 0.8}},
                topology="decentralized",
                protocol={"kind": "debate", "rounds": 3},
                faults=({"round": 0, "probability": 0.3},),
                engine={"vectorise": False},
            ),
            directory,
        )
    return directory


def small_steps(self: Any, events: Any) -> None:
    for event in events:
        self._events.append(event)
        if len(self._events) >= 7:
            self._to_table()


def test_tables_are_the_segments_and_blocks_are_whole_tasks(debate: Path) -> None:
    log = RunLog(debate)
    tables = list(log.tables(["task", "kind"]))
    assert [table.num_rows for table in tables] == [segment.rows for segment in log.segments]
    assert tables[0].column_names == ["task", "kind"]
    ends = [table.column("task").to_pylist() for table in tables]
    assert any(a[-1] == b[0] for a, b in itertools.pairwise(ends))  # a task that straddles two segments
    for rows in (1, 100, 10**6):
        found = [frame_of(block) for block in blocks(log, rows=rows)]
        tasks = [set(frame["task"]) for frame in found]
        assert sum(map(len, tasks)) == 60 == len(set().union(*tasks))
        assert all(frame.height <= rows + 120 for frame in found)
        whole = frame_of(pa.concat_tables(list(log.tables())))
        assert whole.equals(log.frame().cast(whole.schema), null_equal=True)
        assert sum(frame.height for frame in found) == whole.height


def test_the_numbers_of_a_run_do_not_depend_on_the_size_of_blocks(
    debate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(value: Any) -> list[Any]:
        if isinstance(value, dict | list):
            return [x for part in (value.values() if isinstance(value, dict) else value) for x in flat(part)]
        return [value]

    found = []
    for rows in (10**6, 1):
        monkeypatch.setattr("analysis.blocks.BLOCK_ROWS", rows)
        found.append(flat(json.loads(json.dumps(as_dict(examine([debate], baseline=debate))))))
    whole, pieces = found
    assert len(whole) > 500
    for a, b in zip(pieces, whole, strict=True):
        assert a == (pytest.approx(b, rel=1e-9, abs=1e-12) if isinstance(b, float) else b)


def test_an_empty_log_has_metrics_of_no_task(tmp_path: Path) -> None:
    assert episode_metrics(write_log(tmp_path / "run", [said(0, 0, 0, "A")])).height == 0
    assert episode_metrics(write_log(tmp_path / "none", [])).height == 0


def test_tasks_out_of_order_are_a_damaged_log(tmp_path: Path) -> None:
    log = write_log(tmp_path / "run", [said(1, 0, 0, "A"), *ended(1, 1, "A"), said(0, 0, 0, "A"), *ended(0, 1, "A")])
    with pytest.raises(LogDamagedError, match="order of their tasks"):
        list(blocks(log, rows=1))


@given(n=st.integers(1, 60), draws=st.integers(1, 30), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_compiled_resamples_are_those_of_numpy_and_leave_the_generator_there(n: int, draws: int, seed: int) -> None:
    columns = np.stack([np.arange(n), np.arange(n) ** 2 % 7], axis=1).astype(np.float64)
    ours, numpys = stream(seed, "test"), stream(seed, "test")
    found = multinomial_sums(ours, draws, columns)
    assert (found == numpys.multinomial(n, np.full(n, 1 / n), size=draws) @ columns).all()
    assert ours.random() == numpys.random()


def test_resamples_of_many_tasks_are_those_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = stream(1, "columns").integers(3, size=(4_000, 2)).astype(np.float64)
    expected = multinomial(stream(1, "a"), 20, columns)
    at_once = np.concatenate(list(drawn(stream(1, "b"), 20, 4_000)))
    monkeypatch.setattr("analysis.resampling.WEIGHTS_MAX", 10_000)
    assert (multinomial(stream(1, "a"), 20, columns) == expected).all()
    parts = list(drawn(stream(1, "b"), 20, 4_000))
    assert max(part.size for part in parts) <= 10_000
    assert (np.concatenate(parts) == at_once).all()
