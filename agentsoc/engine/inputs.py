"""This module holds what a run is made from besides its scenario: its tasks, and the files that the scenario names."""

from __future__ import annotations

import io
import json
import posixpath
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agentsoc.contracts.task import Task
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.inside import READ_MAX, Inside
from agentsoc.log.names import FILE_BACK, INPUTS
from agentsoc.log.record import hash_json
from agentsoc.scenario.files import read_whole, use_kept
from agentsoc.scenario.model import Scenario


class RunTasks:
    """The object makes the tasks of a scenario once, with their hash and the table that is kept with the log.

    Families of a million synthetic questions give columns instead: the questions say nothing that their seed does not.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    @cached_property
    def columns(self) -> tuple[NDArray[Any], NDArray[np.float64] | None] | None:
        """Index of the true option and difficulty per task, each of shape (n,), where the family gives columns."""
        family = self._scenario.tasks
        columns = family.columns(self._scenario.tasks_seed)
        if columns is None:
            return None
        truth, difficulty = columns
        return np.asarray(truth), difficulty

    @cached_property
    def tasks(self) -> Sequence[Task]:
        """All tasks, in order.

        Raises:
            InputError: they are not as many as the scenario asks for.
        """
        family = self._scenario.tasks
        tasks = list(family.tasks(self._scenario.tasks_seed))
        if len(tasks) != family.count:
            raise InputError(
                f"the tasks are {len(tasks)}, not the {family.count} asked for",
                "tasks.count",
                "set count to that number",
            )
        return tasks

    @cached_property
    def _rows(self) -> dict[str, list[Any]]:
        tasks = self.tasks
        beside = [task.data.get("metadata") for task in tasks]
        kept = {"metadata": [None if one is None else json.dumps(one, sort_keys=True) for one in beside]}
        return {
            "task": [task.index for task in tasks],
            "id": [task.id for task in tasks],
            "question": [task.question for task in tasks],
            "truth": [task.truth for task in tasks],
            "options": [list(task.options) for task in tasks],
            "chance": [task.chance for task in tasks],
            "difficulty": [task.difficulty for task in tasks],
            **(kept if any(beside) else {}),
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the questions and reference answers, or of what they are made from."""
        if self.columns is not None:
            family = self._scenario.tasks
            return hash_json([family.model_dump(mode="json", exclude={"seed"}), self._scenario.tasks_seed])
        return hash_json(self._rows)

    def table(self) -> pa.Table:
        """Return the table that is kept with the log."""
        if self.columns is not None:
            truth, difficulty = self.columns
            options = self._scenario.tasks.make(self._scenario.tasks_seed, 0).options
            return pa.table(
                {
                    "task": pa.array(np.arange(len(truth))),
                    "truth": pa.DictionaryArray.from_arrays(pa.array(truth.astype(np.int32)), list(options)),
                    "difficulty": pa.nulls(len(truth), pa.float64()) if difficulty is None else pa.array(difficulty),
                }
            )
        types = [pa.int64(), pa.string(), pa.string(), pa.string(), pa.list_(pa.string()), pa.float64(), pa.float64()]
        rows = self._rows
        types += [pa.string()] * (len(rows) - len(types))
        return pa.table({name: pa.array(rows[name], kind) for name, kind in zip(rows, types, strict=True)})


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a small table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def input_files(scenario: Scenario) -> list[tuple[str, bytes]]:
    """Return the files that the scenario names, with their content: a run keeps copies of what it was made from.

    Names are those of the copies: ``./a//b.txt`` is kept as ``a/b.txt``.
    """
    return [(kept, read_whole(name)) for kept, name in _files(scenario).items()]


def named_files(scenario: Scenario) -> list[str]:
    """Return the names of the copies that a run keeps of the files that its scenario names."""
    return list(_files(scenario))


def _files(scenario: Scenario) -> dict[str, str]:
    groups = (group.prompts for group in scenario.agents)
    tools = (tool for group in scenario.agents for tool in group.tools)
    parts = (scenario.tasks, scenario.topology, scenario.protocol, scenario.prompts, *groups, *tools)
    return {posixpath.normpath(name): name for part in parts for name in part.files()}


def use_inputs(directory: Path, inputs: Mapping[str, str], what: str = "run") -> None:
    """Let the scenario of a stored run or comparison find its own copies of the files that it names, and no others.

    Args:
        directory: where it is stored.
        inputs: the copies by name, with the SHA-256 of each.
        what: what is stored, for messages.

    Raises:
        LogDamagedError: a copy is missing or not what it was.
    """
    inside = Inside(directory)
    inside.has_directory(INPUTS)  # raises where a link leads out of the directory
    for name, digest in inputs.items():
        where = str(directory / INPUTS / name)
        try:
            found = inside.sha256(f"{INPUTS}/{name}", limit=READ_MAX)
        except OSError as error:
            what = f"a file of the {what} cannot be read: {error.strerror}"
            raise LogDamagedError(what, where, FILE_BACK) from None
        if found != digest:
            raise LogDamagedError(f"a file of the {what} is not what it was", where, FILE_BACK)
    use_kept(directory / INPUTS)  # also without any: no name in it may mean a file beside whoever reads it
