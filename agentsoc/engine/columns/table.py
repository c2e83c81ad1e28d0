"""This module turns what the events of consecutive episodes say into the columns of the log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agentsoc.engine.columns.decide import Decided
from agentsoc.engine.columns.schedule import Programme
from agentsoc.events import KINDS
from agentsoc.log.schema import SCHEMA


@dataclass(frozen=True)
class Cites:
    """The object holds the claims that the events of a lane build on."""

    ids: NDArray[np.int64]
    """Shape (n_tasks, n_agents, b), increasing along the last axis."""
    counts: int | NDArray[np.int64]
    """How many each event cites."""
    first: NDArray[np.bool_] | None = None
    """Which of `ids` are cited, the same shape: one that occurs several times is cited once. None for all."""


@dataclass(frozen=True)
class EventGrid:
    """A grid holds what the events of a block say, shape (n_tasks, n_events) each; it is filled stage by stage."""

    answer: NDArray[np.int64]
    """Codes; -1 for none."""
    kind: NDArray[np.int8]
    minted: NDArray[np.int64]
    """Ids of claims that are minted; -1 for none."""
    target: NDArray[np.int64]
    """The claim that an event is about; -1 for none."""
    parents: list[Cites | None]
    """The claims that events build on, one entry for each lane of the programme."""

    @classmethod
    def empty(cls, n_tasks: int, programme: Programme) -> EventGrid:
        """Return a grid in which no event says anything."""
        shape = (n_tasks, programme.n_events)
        answer, minted, target = (np.full(shape, -1, dtype=np.int64) for _ in range(3))
        return cls(answer, np.zeros(shape, dtype=np.int8), minted, target, [None] * len(programme.lanes))


def events_table(
    programme: Programme,
    tasks: NDArray[np.int64],
    grid: EventGrid,
    score: NDArray[np.float64],
    decided: Decided,
    words: tuple[str, ...],
) -> pa.Table:
    """Return the events of consecutive episodes.

    Args:
        programme: the schedule that they followed.
        tasks: their tasks, shape (n_tasks,).
        grid: what the events say.
        score: verifier's score of each answer, shape (n_tasks, n_events).
        decided: how each episode ended.
        words: what the codes of answers stand for.
    """
    p = programme
    n, e = grid.answer.shape
    rows = n * e
    k_of = np.zeros(e, dtype=np.int32)
    k_of[-1] = 1
    is_stop = np.zeros(e, dtype=bool)
    is_stop[-1] = True
    no_numbers = pa.nulls(rows, pa.int64())
    columns = {
        "task": np.repeat(tasks, e),
        "round": np.tile(p.round_of, n),
        "agent": np.tile(p.agent_of, n),
        "k": np.tile(k_of, n),
        "kind": _coded(grid.kind, pa.array(KINDS)),
        "claim": _nullable(grid.minted.reshape(-1)),
        "parents": _parents(programme, grid, decided.claim),
        "target": _nullable(grid.target.reshape(-1)),
        "subtask": no_numbers,
        "subtask_parent": no_numbers,
        "answer": _coded(grid.answer, pa.array(words, pa.string())),
        "correct": pa.array(score.reshape(-1), mask=np.tile(is_stop, n)),
        "confidence": pa.nulls(rows, pa.float64()),
        "text": _texts(decided.ties, e),
        "calls": np.tile(p.calls_of, n),
        "tokens_in": np.tile(p.tokens_in, n),
        "tokens_cached": np.zeros(rows, dtype=np.int64),
        "tokens_out": np.tile(p.tokens_out, n),
        "label_source": _coded(np.zeros(rows, dtype=np.int32), pa.array(["rule"])),
    }
    return pa.Table.from_arrays(
        [c if isinstance(c, pa.Array) else pa.array(c) for c in columns.values()], schema=SCHEMA
    )


def _parents(programme: Programme, grid: EventGrid, decided: NDArray[np.int64]) -> pa.Array:
    """Return the claims that each event builds on; an answer that is one agent's claim builds on it."""
    n, e = grid.answer.shape
    lengths = np.zeros((n, e), dtype=np.int32)
    for lane, cites in zip(programme.lanes, grid.parents, strict=True):
        if cites is not None:
            lengths[:, lane.position] = cites.counts
    held = decided >= 0
    lengths[:, -2] = held
    offsets = np.zeros(n * e + 1, dtype=np.int32)
    np.cumsum(lengths.reshape(-1), out=offsets[1:])
    flat = np.empty(int(offsets[-1]), dtype=np.int64)
    begin = offsets[:-1].reshape(n, e)
    for lane, cites in zip(programme.lanes, grid.parents, strict=True):
        if cites is None:
            continue
        first = begin[:, lane.position][:, :, None]
        if cites.first is None:
            flat[first + np.arange(cites.ids.shape[2])] = cites.ids
        else:
            at = first + np.cumsum(cites.first, axis=2) - 1
            flat[at[cites.first]] = cites.ids[cites.first]
    flat[begin[held, -2]] = decided[held]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _texts(ties: list[str | None], n_events: int) -> pa.Array:
    """Return the texts of the events: only an answer that was drawn has one."""
    rows = len(ties) * n_events
    if all(text is None for text in ties):
        return pa.nulls(rows, pa.string())
    column: list[str | None] = [None] * rows
    for row, text in enumerate(ties):
        column[row * n_events + n_events - 2] = text
    return pa.array(column, pa.string())


def _coded(codes: NDArray[np.int8] | NDArray[np.int32] | NDArray[np.int64], words: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.reshape(-1).astype(np.int32)), words)


def _nullable(values: NDArray[np.int64]) -> pa.Array:
    """Return an Arrow column in which -1 is null."""
    return pa.array(values, mask=values < 0)
