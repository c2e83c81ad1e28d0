"""The totals of a run: one fold of its log, whatever the way of execution, found out when they say anything else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentsoc.engine.columns.compute as columns_module
import agentsoc.engine.execute as execute_module
from agentsoc.cli.main import main
from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.engine.run_files import RunFiles
from agentsoc.errors import LogDamagedError, ReplayMismatchError, RunFailedError
from agentsoc.log.manifest import NAME, SEAL, Totals, load_manifest, seal
from agentsoc.log.names import EPISODES
from agentsoc.log.read import RunLog
from agentsoc.log.record import record_bytes
from agentsoc.log.totals import ExactSum
from agentsoc.scenario.model import Scenario
from tests.loose import Coin
from tests.nightly import NIGHTLY
from tests.strategies import SIMULATED, scenario

PRICED: dict[str, Any] = {
    "tasks": {"kind": "signal", "count": 40},
    "agents": {"model": {**SIMULATED, "latency_s": 0.5}},
    "topology": {"kind": "tree", "fan_in": 3, "depth": 2},
    "protocol": "aggregate",
    "prices": {"simulated": {"input": 2.5, "output": 10, "call": 0.0001}},
}
SOCIETIES: tuple[dict[str, Any], ...] = (
    PRICED,
    {**PRICED, "prices": {}, "budget": {"tokens_per_task": 4000}},
    {**PRICED, "topology": {"kind": "star"}, "agents": {"count": 7, "model": SIMULATED}, "protocol": "vote"},
    {**PRICED, "topology": "chain", "agents": {"count": 4, "model": SIMULATED}, "protocol": "aggregate"},
    {
        **PRICED,
        "topology": {"kind": "decentralized", "degree": 2},
        "agents": {"count": 5, "model": {**SIMULATED, "latency_s": 2.0}},
        "protocol": {"kind": "debate", "rounds": 3},
    },
)


def built(parts: dict[str, Any], **engine: Any) -> Scenario:
    return scenario(**{**parts, "engine": engine})


def folded(directory: Path) -> dict[str, Any]:
    """Return what the files of a run add up to, worked out here without the code that is tested."""
    rows = pq.read_table(directory / EPISODES).to_pylist()
    events = [row for part in sorted((directory / "events").iterdir()) for row in pq.read_table(part).to_pylist()]
    answers = [event for event in events if event["kind"] == "answer"]
    sums = ("rounds", "turns", "broadcasts", "deliveries", "tokens_lost", "calls_lost", "tokens_overrun")
    cost = [row["cost"] for row in rows]
    return {
        **{name: sum(row[name] for row in rows) for name in sums},
        **{name: sum(e[name] for e in events) for name in ("calls", "tokens_in", "tokens_cached", "tokens_out")},
        "episodes": len(answers),
        "events": len(events),
        "events_by_kind": dict(sorted(Counter(event["kind"] for event in events).items())),
        "calls_failed": sum(event["kind"] == "call_failed" for event in events),
        "answered": sum(event["answer"] is not None for event in answers),
        "stops": dict(sorted(Counter(e["answer"] for e in events if e["kind"] == "stop").items())),
        "score": math.fsum(event["correct"] for event in answers) / len(answers) if answers else None,
        "virtual_s": math.fsum(row["virtual_s"] for row in rows),
        "cost": None if None in cost else float(Decimal(sum(cost)) / 10**12),
    }


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60), cut=st.integers(0, 60))
def test_a_sum_is_that_of_the_numbers_in_whatever_cut(values: list[float], cut: int) -> None:
    found = ExactSum()
    found.add(values[:cut])
    found.add(values[cut:])
    try:
        expected = math.fsum(values)
    except OverflowError:
        return
    assert found.over() == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_sum_takes_no_number_that_is_none(value: float) -> None:
    with pytest.raises(ValueError, match="no number"):
        ExactSum().add([1.0, value])


@pytest.mark.parametrize("vectorise", [True, False], ids=["columns", "turns"])
def test_a_flush_changes_no_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vectorise: bool) -> None:
    """Flushes between all blocks, and one after the other while turns are taken."""
    parts = {**PRICED, "tasks": {"kind": "signal", "count": 400}}
    quiet = run(built(parts, vectorise=vectorise), tmp_path / "quiet")
    monkeypatch.setattr(execute_module, "FLUSH_S", 0.0)
    monkeypatch.setattr(execute_module, "FLUSHES", 10**9)
    monkeypatch.setattr(columns_module, "ROWS_AT_ONCE", 100)
    saved: list[Totals] = []
    save = RunFiles._save

    def noted(self: RunFiles, segments: Any, status: Any, sums: Totals) -> None:
        saved.append(sums)
        save(self, segments, status, sums)

    monkeypatch.setattr(RunFiles, "_save", noted)
    flushed = run(built(parts, vectorise=vectorise), tmp_path / "flushed")
    assert len(saved) > 3
    for sums in saved:
        assert sums.events == sum(sums.events_by_kind.values())
        assert sums.episodes == sum(sums.stops.values()) <= 400
        assert sums.rounds in (3 * sums.episodes, 3 * sums.episodes - 3)  # the last one's row may come a moment later
        assert sums.score is None or 0 <= sums.score <= 1
        assert sums.answered == sums.episodes
    assert [sums.events for sums in saved] == sorted(sums.events for sums in saved)
    assert flushed.manifest.totals == quiet.manifest.totals
    flushed.check()


@pytest.mark.parametrize("parts", SOCIETIES)
def test_totals_are_what_the_files_add_up_to_however_the_run_was_executed(
    tmp_path: Path, parts: dict[str, Any]
) -> None:
    columns, turns = (run(built(parts, vectorise=v), tmp_path / str(v)) for v in (True, False))
    assert columns.manifest.totals == turns.manifest.totals
    assert columns.manifest.digest == turns.manifest.digest
    assert (columns.directory / EPISODES).read_bytes() == (turns.directory / EPISODES).read_bytes()
    for done in (columns, turns):
        expected = folded(done.directory)
        assert {name: getattr(done.manifest.totals, name) for name in expected} == expected
        done.check()


@pytest.mark.ray
@pytest.mark.slow
def test_two_hosts_give_the_same_totals(tmp_path: Path) -> None:
    """Columns of a budget on the hosts, and turns of a priced debate; AGENTSOC_NIGHTLY=1 makes all societies."""
    chosen = range(len(SOCIETIES)) if NIGHTLY else (1, len(SOCIETIES) - 1)
    for number in chosen:
        parts = SOCIETIES[number]
        alone = run(built(parts, vectorise=number % 2 == 0), tmp_path / f"alone-{number}")
        hosts = run(built(parts, hosts=2, address="local", vectorise=number % 2 == 1), tmp_path / f"hosts-{number}")
        assert hosts.manifest.totals == alone.manifest.totals
        assert (hosts.directory / EPISODES).read_bytes() == (alone.directory / EPISODES).read_bytes()


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, dict):
        return {**value, min(value): value[min(value)] + 1} if value else {"format": 1}
    return 1 if value is None else value + 1 if isinstance(value, int) else value / 2 + 0.001


def forge(directory: Path, name: str) -> None:
    """Change one total and give the manifest a right checksum and a right seal."""
    manifest = load_manifest(directory)
    data = manifest.model_dump(mode="json")
    data["totals"][name] = other(data["totals"][name])
    content = record_bytes(data)
    (directory / NAME).write_bytes(content)
    (directory / SEAL).write_bytes(seal(content))


@pytest.mark.parametrize("parts", [PRICED, {}], ids=["priced", "scripted"])
def test_every_wrong_total_is_found_by_name(tmp_path: Path, parts: dict[str, Any]) -> None:
    done = run(scenario(**parts, budget={"tokens_per_task": 100_000, "calls_per_task": 100}), tmp_path / "run")
    sound = {path: path.read_bytes() for path in (done.directory / NAME, done.directory / SEAL)}
    for name in Totals.model_fields:
        forge(done.directory, name)
        with pytest.raises(LogDamagedError, match=rf"totals\.{name} is"):
            RunLog(done.directory).check()
        with pytest.raises((LogDamagedError, ReplayMismatchError), match=rf"totals\.{name}\b"):
            replay(done.directory)
        assert main(["check", str(done.directory)]) == 4
        for path, content in sound.items():
            path.write_bytes(content)
    RunLog(done.directory).check()


@pytest.mark.parametrize("name", ["score", "answer", "turns", "deliveries", "charged"])
def test_a_wrong_row_of_episodes_is_found_by_replay_even_when_all_hashes_are_right(tmp_path: Path, name: str) -> None:
    done = run(scenario(), tmp_path / "run")
    table = pq.read_table(done.directory / EPISODES)
    column = table[name].to_pylist()
    column[0] = "neither" if name == "answer" else 1.0 - column[0] if name == "score" else column[0] + 1
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, table.schema.field(at), [column]), done.directory / EPISODES)
    manifest = load_manifest(done.directory)
    manifest.episodes_file = hashlib.sha256((done.directory / EPISODES).read_bytes()).hexdigest()
    for total in ("turns", "deliveries"):
        setattr(manifest.totals, total, pc.sum(pq.read_table(done.directory / EPISODES)[total]).as_py())
    manifest.save(done.directory)
    with pytest.raises((LogDamagedError, ReplayMismatchError)):
        replay(done.directory)


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.5, 1.5])
def test_a_verifier_that_gives_no_score_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float
) -> None:
    monkeypatch.setattr(Coin, "score", lambda self, task, answer: score)
    with pytest.raises(RunFailedError, match="a score is between 0 and 1"):
        run(scenario(), tmp_path / "run")
    text = (tmp_path / "run" / NAME).read_text(encoding="utf-8")
    json.loads(text, parse_constant=pytest.fail)
    assert load_manifest(tmp_path / "run").status == "failed"
    RunLog(tmp_path / "run").check()


def test_a_failed_run_says_what_was_committed_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier fails at a task in the middle: what other episodes committed is in the log and in the totals."""
    score = Coin.score

    def failing(self: Coin, task: Any, answer: Any) -> float:
        if task.index == 5:
            raise ZeroDivisionError
        return score(self, task, answer)

    monkeypatch.setattr(Coin, "score", failing)
    parts: dict[str, Any] = {"tasks": {"kind": "coin", "count": 12}, "protocol": {"kind": "debate", "rounds": 3}}
    with pytest.raises(ZeroDivisionError):
        run(scenario(**parts), tmp_path / "run")
    log = RunLog(tmp_path / "run")
    log.check()
    expected = folded(log.directory)
    assert {name: getattr(log.manifest.totals, name) for name in expected} == expected
    assert log.manifest.status == "failed"


def test_a_replay_adds_up_the_same_without_a_directory() -> None:
    rng = random.Random(3)
    for parts in rng.sample(SOCIETIES, 3):
        totals = [asyncio.run(execute(Plan(built(parts, vectorise=v), None))).totals for v in (True, False)]
        assert totals[0] == totals[1]
        assert np.isfinite(totals[0].virtual_s)
