"""This module defines the event table: what every log becomes before it is analysed, our own and imported ones alike.

An `EventTable` is two polars frames. `events` has one row per act, with the columns of `agentsoc.events.Event` and the
dense index `execution`; rows are in canonical order (execution, round, agent, k) or, within an execution, in any other
order in which the acts happened. `executions` has one row per execution: one society on one task, once. It says which
run, task and condition the execution belongs to, and is the unit over which samples are pooled and resampled.

Claim ids are unique within an execution. Ids >= 0 are claims that some row mints; negative ids are placeholders for
parents that the log names but never shows (stubs).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.events import KINDS, LABEL_SOURCES, Event

KIND: Final = pl.Enum(KINDS)

EVENT_COLUMNS: Final[dict[str, pl.DataType]] = {
    "execution": pl.Int64(),
    "task": pl.Int64(),
    "round": pl.Int64(),
    "agent": pl.Int64(),
    "k": pl.Int64(),
    "kind": KIND,
    "claim": pl.Int64(),
    "parents": pl.List(pl.Int64()),
    "target": pl.Int64(),
    "subtask": pl.Int64(),
    "subtask_parent": pl.Int64(),
    "answer": pl.String(),
    "correct": pl.Float64(),
    "confidence": pl.Float64(),
    "text": pl.String(),
    "calls": pl.Int64(),
    "tokens_in": pl.Int64(),
    "tokens_cached": pl.Int64(),
    "tokens_out": pl.Int64(),
    "label_source": pl.Enum(LABEL_SOURCES),
}
"""Columns of every event table. A null `kind` is an act outside our vocabulary: counted as effort, never as a claim."""

LOGGED_COLUMNS: Final[dict[str, pl.DataType]] = {
    "root_logged": pl.Int64(),
    "depth_logged": pl.Int64(),
    "revision_chain": pl.String(),
    "contradiction_group": pl.String(),
    "visible": pl.List(pl.Int64()),
}
"""Optional columns: what the writer of an imported log derived itself; `visible` holds agents."""

EXECUTION_COLUMNS: Final[dict[str, pl.DataType]] = {
    "execution": pl.Int64(),
    "run": pl.String(),
    "task": pl.Int64(),
    "attempt": pl.Int64(),
    "benchmark": pl.String(),
    "task_name": pl.String(),
    "topology": pl.String(),
    "n_agents": pl.Int64(),
    "seed": pl.Int64(),
    "n_events": pl.Int64(),
    "complete": pl.Boolean(),
}
"""Columns of every executions frame. `complete` is false for an execution that was cut, null where not known."""

N_SEEN: Final = "n_seen"
"""Optional column of executions: true where `n_agents` was not stated, so that it counts the agents that acted."""


class Executions(ABC):
    """The executions of a set of logs, whether their events are in memory (`EventTable`) or not (`LongTable`)."""

    executions: pl.DataFrame
    """A row for each society on one task; see `EXECUTION_COLUMNS`."""

    @property
    @abstractmethod
    def n_events(self) -> int:
        """Return the number of events."""

    @abstractmethod
    def parts(self) -> Iterator[tuple[int, EventTable]]:
        """Yield tables that hold all events, in order, each with the number of its first execution.

        Executions are whole, and within a part they are numbered from 0.
        """

    @property
    def n_executions(self) -> int:
        """Number of executions."""
        return self.executions.height

    @property
    def n_is_seen(self) -> NDArray[np.bool_]:
        """Whether N of each execution counts the agents that acted, which is an outcome, shape (n_executions,)."""
        if N_SEEN not in self.executions.columns:
            return np.zeros(self.n_executions, dtype=bool)
        return self.executions[N_SEEN].fill_null(value=False).to_numpy().astype(bool)

    def per_execution(self, column: str) -> NDArray[np.int64]:
        """Return an integer column of `executions`, in their order, shape (n_executions,)."""
        return self.executions[column].to_numpy().astype(np.int64)

    def summary(self) -> str:
        """Return one line: how many events, executions and runs."""
        cut = self.executions.filter(pl.col("complete").eq(other=False)).height
        counts = (self.n_events, "event"), (self.n_executions, "execution"), (self.executions["run"].n_unique(), "run")
        events, executions, runs = (f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in counts)
        text = f"{events} in {executions} of {runs}"
        return f"{text}; {cut} executions are cut short" if cut else text


@dataclass(frozen=True)
class EventTable(Executions):
    """Events, and the executions that they belong to: one society on one task, once."""

    events: pl.DataFrame
    """A row for each act: number of its `execution`, then the columns of `agentsoc.Event`. Rows are in order of
    execution, and within one in canonical order (round, agent, k) or another in which the acts happened."""
    executions: pl.DataFrame
    """A row for each society on one task: `execution`, `run`, `task`, `topology`, `n_agents`, `seed`, `n_events`, and
    whether it is `complete`; of imported logs also `attempt`, `benchmark` and `task_name`."""
    caveats: tuple[str, ...] = ()
    """What a reader must know of the logs as a whole; `where` leaves them out, because they may not hold for a part."""

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First event row of each execution, shape (n_executions + 1,); the last entry is the number of events."""
        counts = np.bincount(self.events["execution"].to_numpy(), minlength=self.executions.height)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.events.height

    def parts(self) -> Iterator[tuple[int, EventTable]]:
        """Yield the table itself, which is all of it."""
        yield 0, self

    def has(self, column: str) -> bool:
        """Return whether `column` is in the events and holds anything but nulls."""
        return column in self.events.columns and self.events[column].null_count() < self.events.height

    def where(self, condition: pl.Expr) -> EventTable:
        """Return the table of those executions for which `condition`, on columns of `executions`, holds."""
        kept = self.executions.filter(condition)
        renumbered = kept.select(pl.col("execution"), pl.int_range(pl.len(), dtype=pl.Int64).alias("_new"))
        events = (
            self.events.join(renumbered, on="execution", how="inner", maintain_order="left")
            .with_columns(execution=pl.col("_new"))
            .drop("_new")
        )
        return EventTable(events, kept.with_columns(execution=pl.int_range(pl.len(), dtype=pl.Int64)))


def from_log(
    events: pl.DataFrame,
    *,
    run: str,
    topology: str | None = None,
    n_agents: int | None = None,
    seed: int | None = None,
    benchmark: str | None = None,
    task_names: Mapping[int, str] | None = None,
) -> EventTable:
    """Return the table of one of our own runs: each task (episode) is one execution.

    Args:
        events: rows with the columns of `agentsoc.events.Event`, in canonical order (task, round, agent, k).
        run: name of the run, unique among the tables that will be joined.
        topology: the run's topology.
        n_agents: agents of the society; the default counts those that appear, and marks them as seen (`N_SEEN`).
        seed: the run's seed.
        benchmark: the task family.
        task_names: name of each task by its index.

    Raises:
        InputError: a column is missing or holds what it cannot hold.
    """
    missing = [name for name in EVENT_COLUMNS if name not in events.columns and name != "execution"]
    if missing:
        raise InputError(
            f"events lack the columns {', '.join(missing)}", f"run {run}", "pass the frame the log reader gives"
        )
    tasks = events["task"].unique().sort()
    frame = events.with_columns(execution=tasks.search_sorted(events["task"]).cast(pl.Int64))
    extra = [name for name in frame.columns if name not in EVENT_COLUMNS]
    frame = conform(frame.select(*EVENT_COLUMNS, *extra), f"run {run}")
    executions = executions_of(
        frame, run=run, topology=topology, n_agents=n_agents, seed=seed, benchmark=benchmark, task_names=task_names
    )
    return EventTable(frame, executions)


def executions_of(
    events: pl.DataFrame,
    *,
    run: str,
    topology: str | None = None,
    n_agents: int | None = None,
    seed: int | None = None,
    benchmark: str | None = None,
    task_names: Mapping[int, str] | None = None,
) -> pl.DataFrame:
    """Return the executions of one of our own runs, one for each task.

    Args:
        events: rows with task, agent and kind (text), tasks in order.
        run: as for `from_log`, like all others.
        topology: the run's topology.
        n_agents: agents of the society; None to count those that appear.
        seed: the run's seed.
        benchmark: the task family.
        task_names: name of each task by its index.
    """
    per_execution = (
        events.group_by("task")
        .agg(
            pl.len().cast(pl.Int64).alias("n_events"),
            pl.col("agent").filter(pl.col("agent") >= 0).n_unique().cast(pl.Int64).alias("_seen"),
            (pl.col("kind") == "stop").any().alias("complete"),
        )
        .sort("task")
    )
    names = task_names or {}
    executions = per_execution.with_columns(
        execution=pl.int_range(pl.len(), dtype=pl.Int64),
        run=pl.lit(run),
        task=pl.col("task").cast(pl.Int64),
        attempt=pl.lit(0, pl.Int64),
        benchmark=pl.lit(benchmark, pl.String),
        task_name=pl.Series([names.get(task, str(task)) for task in per_execution["task"].to_list()], dtype=pl.String),
        topology=pl.lit(topology, pl.String),
        n_agents=pl.col("_seen") if n_agents is None else pl.lit(n_agents, pl.Int64),
        seed=pl.lit(seed, pl.Int64),
    ).select(*EXECUTION_COLUMNS)
    return executions.with_columns(pl.lit(value=True).alias(N_SEEN)) if n_agents is None else executions


def from_events(
    events: Iterable[Event], *, run: str, topology: str | None = None, n_agents: int | None = None
) -> EventTable:
    """Return the table of events in memory; see `from_log`."""
    listed = list(events)
    types = {name: dtype for name, dtype in EVENT_COLUMNS.items() if name != "execution"}
    columns = {
        name: pl.Series([_plain(getattr(event, name)) for event in listed], dtype=dtype)
        for name, dtype in types.items()
    }
    return from_log(pl.DataFrame(columns), run=run, topology=topology, n_agents=n_agents)


def _plain(value: object) -> object:
    """Return a field of an event as polars takes it."""
    return list(value) if isinstance(value, tuple) else value


def conform(events: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return `events` with every known column in its declared type, rows grouped by execution.

    Raises:
        InputError: a value does not fit its column; the message names the column.
    """
    known = {**EVENT_COLUMNS, **LOGGED_COLUMNS}
    for name in events.columns:
        if name in known and events.schema[name] != known[name]:
            try:
                events = events.with_columns(pl.col(name).cast(known[name]))
            except pl.exceptions.PolarsError as error:
                found = events.schema[name]
                raise InputError(f"column {name} holds {found}, which is not {known[name]}: {error}", where) from error
    for name in ("execution", "round", "agent", "k"):
        if events[name].null_count():
            raise InputError(f"column {name} has {events[name].null_count()} nulls; every event needs its place", where)
    events = events.with_columns(pl.col("parents").fill_null(pl.lit([], dtype=pl.List(pl.Int64()))))
    return events if events["execution"].is_sorted() else events.sort("execution", maintain_order=True)


def require_once(executions: pl.DataFrame) -> None:
    """Raise `InputError` where two executions are the same (run, task, attempt)."""
    twice = executions.filter(pl.struct("run", "task", "attempt").is_duplicated())
    if twice.height:
        raise InputError(f"the run {twice['run'][0]!r} is given twice", "", "give every run a name of its own")


def concat(tables: Sequence[EventTable]) -> EventTable:
    """Return one table of all executions of `tables`, renumbered in the order given.

    Raises:
        InputError: no table was given, or two tables hold the same (run, task, attempt).
    """
    if not tables:
        raise InputError("no tables to join", "", "pass at least one run or trace directory")
    shift, events, executions = 0, [], []
    for table in tables:
        events.append(table.events.with_columns(pl.col("execution") + shift))
        executions.append(table.executions.with_columns(pl.col("execution") + shift))
        shift += table.n_executions
    joined = pl.concat(executions, how="diagonal_relaxed")
    require_once(joined)
    known = tuple(text for table in tables for text in table.caveats)
    return EventTable(pl.concat(events, how="diagonal_relaxed"), joined, known)
