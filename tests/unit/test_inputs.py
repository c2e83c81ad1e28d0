"""What a run is made from: its tasks, made once, and copies of the files that its scenario names."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentsoc.engine.inputs import RunTasks, input_files, named_files, parquet_bytes, use_inputs
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.names import INPUTS
from agentsoc.log.record import hash_json
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.model import Scenario
from tests.loose import Coin
from tests.strategies import SIMULATED, scenario

SIGNAL: dict[str, Any] = {"agents": {"count": 3, "model": SIMULATED}}


def signal(**tasks: Any) -> Scenario:
    return scenario(**SIGNAL, tasks={"kind": "signal", "count": 6, **tasks})


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Tasks


def test_the_table_of_tasks_says_what_was_asked() -> None:
    tasks = RunTasks(scenario())
    rows = tasks.table().to_pylist()
    assert [row["task"] for row in rows] == [0, 1, 2, 3]
    assert tasks.columns is None
    for row, task in zip(rows, tasks.tasks, strict=True):
        said = (row["id"], row["question"], row["truth"], tuple(row["options"]), row["chance"], row["difficulty"])
        assert said == (task.id, task.question, task.truth, task.options, task.chance, task.difficulty)


def test_the_hash_of_tasks_is_that_of_their_questions_and_answers() -> None:
    tasks = RunTasks(scenario())
    assert tasks.hash == hash_json(tasks.table().to_pydict())
    assert RunTasks(scenario(name="other", protocol={"kind": "debate"})).hash == tasks.hash
    assert RunTasks(scenario(seed=12)).hash != tasks.hash
    assert RunTasks(scenario(tasks={"kind": "coin", "count": 5})).hash != tasks.hash


@pytest.mark.parametrize("n", [3, 5])
def test_a_family_that_gives_other_than_the_tasks_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(Coin, "tasks", lambda self, seed: [self.make(seed, index) for index in range(n)])
    with pytest.raises(InputError) as raised:
        _ = RunTasks(scenario()).tasks
    assert raised.value.problem.what == f"the tasks are {n}, not the 4 asked for"
    assert raised.value.problem.where == "tasks.count"
    assert raised.value.problem.hint


def test_tasks_given_as_columns_are_kept_as_columns() -> None:
    tasks = RunTasks(signal())
    assert tasks.columns is not None
    truth, difficulty = tasks.columns
    table = tasks.table()
    assert table.column_names == ["task", "truth", "difficulty"]
    assert table["task"].to_pylist() == list(range(6))
    made = [signal().tasks.make(signal().tasks_seed, index) for index in range(6)]
    assert table["truth"].to_pylist() == [task.truth for task in made]
    assert [made[0].options[at] for at in truth] == [task.truth for task in made]
    assert difficulty is None
    assert table["difficulty"].to_pylist() == [None] * 6
    assert table["difficulty"].type == pa.float64()


def test_difficulties_are_kept_where_the_family_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.linspace(0, 1, 6)
    family: Any = type(signal().tasks)
    columns = family.columns
    monkeypatch.setattr(family, "columns", lambda self, seed: (columns(self, seed)[0], given))
    assert RunTasks(signal()).table()["difficulty"].to_pylist() == given.tolist()


def test_the_hash_of_columns_is_that_of_what_they_are_made_from() -> None:
    one = RunTasks(signal()).hash
    assert RunTasks(signal()).hash == one
    assert RunTasks(signal(count=7)).hash != one
    other = scenario(**SIGNAL, tasks={"kind": "signal", "count": 6}, seed=12)
    assert RunTasks(other).hash != one
    same = scenario(**SIGNAL, tasks={"kind": "signal", "count": 6, "seed": signal().tasks_seed}, seed=12)
    assert RunTasks(same).hash == one  # however the seed came about


def test_a_small_table_comes_back_from_its_bytes() -> None:
    table = RunTasks(scenario()).table()
    assert pq.read_table(io.BytesIO(parquet_bytes(table))).equals(table)


# Files


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "tasks.jsonl").write_text('{"id": "x", "question": "1 + 1?", "answer": "2"}\n')
    monkeypatch.chdir(tmp_path)
    return scenario(tasks={"kind": "jsonl", "file": "./a//tasks.jsonl", "count": 1})


def test_a_run_keeps_copies_of_named_files_under_plain_names(beside: Scenario, tmp_path: Path) -> None:
    content = (tmp_path / "a" / "tasks.jsonl").read_bytes()
    assert input_files(beside) == [("a/tasks.jsonl", content)]
    assert named_files(beside) == ["a/tasks.jsonl"]
    assert (input_files(scenario()), named_files(scenario())) == ([], [])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / INPUTS / "a").mkdir(parents=True)
    (tmp_path / "run" / INPUTS / "a" / "x").write_bytes(b"one")
    (tmp_path / "run" / INPUTS / "y").write_bytes(b"two")
    return tmp_path / "run"


def test_a_stored_run_finds_its_own_copies_and_no_others(run: Path) -> None:
    use_inputs(run, {"a/x": sha256(b"one"), "y": sha256(b"two")})
    assert BASE_DIR.get() == run / INPUTS
    BASE_DIR.set(None)
    use_inputs(run.parent, {})  # also where it has none
    assert BASE_DIR.get() == run.parent / INPUTS


@pytest.mark.parametrize("what", ["run", "comparison"])
def test_a_copy_that_is_missing_or_another_is_named(run: Path, what: str) -> None:
    right = {"a/x": sha256(b"one"), "y": sha256(b"two")}
    (run / INPUTS / "y").write_bytes(b"other")
    with pytest.raises(LogDamagedError) as raised:
        use_inputs(run, right, what)
    assert raised.value.problem.what == f"a file of the {what} is not what it was"
    assert raised.value.problem.where == str(run / INPUTS / "y")
    (run / INPUTS / "y").unlink()
    with pytest.raises(LogDamagedError, match=f"a file of the {what} cannot be read: No such file") as raised:
        use_inputs(run, right, what)
    assert raised.value.problem.where == str(run / INPUTS / "y")
    assert BASE_DIR.get() is None
    with pytest.raises(LogDamagedError, match="a file of the run "):
        use_inputs(run, right)


def test_copies_that_lead_elsewhere_are_refused(run: Path, tmp_path: Path) -> None:
    (run / INPUTS).rename(tmp_path / "elsewhere")
    (run / INPUTS).symlink_to(tmp_path / "elsewhere")
    for inputs in ({}, {"y": sha256(b"two")}):
        with pytest.raises(LogDamagedError, match="symbolic link"):
            use_inputs(run, inputs)
    assert BASE_DIR.get() is None
