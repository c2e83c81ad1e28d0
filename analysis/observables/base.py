"""This module defines what observables are made of: samples that remember their executions, and shared structures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.events import COORDINATION
from analysis.claims.cascades import Cascades, ClaimGraph, cascades, claim_graph
from analysis.claims.reach import Reach, reach
from analysis.claims.subtasks import SubtaskForest, subtask_forest
from analysis.registry import Registered, Registry
from analysis.tables import EventTable
from analysis.tails.histogram import CountedValues

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

EFFORT_KINDS: Final = frozenset({*COORDINATION, "answer", "vote", "flag"})
"""Kinds of events that are an agent's own act; the others report what happened to an episode."""


@dataclass(frozen=True)
class Sample:
    """A sample holds positive values of one observable, pooled over executions."""

    name: str
    values: F64
    """Values of the observable, shape (n,), each > 0."""
    execution: I64
    """Execution of each value, shape (n,)."""
    cap: F64
    """Largest value that the design of its execution allows, infinite where nothing bounds it, shape (n,).

    What the same execution brought forth (its claims, its events) is no design.
    """
    unit: str
    count: I64 | None = None
    """How many values each entry stands for, where the sample is of a long log (shape (n,)); None for one each."""
    passed: bool = False
    """Whether caps were left out because a value passes them."""

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.values) if self.count is None else int(self.count.sum())

    @property
    def counted(self) -> F64 | CountedValues:
        """The values as fits of tails take them."""
        return self.values if self.count is None else CountedValues(self.values, self.count)

    @property
    def capped(self) -> float:
        """Share of the executions in the sample whose largest value is its structural cap."""
        if not self.n:
            return 0.0
        groups, index = np.unique(self.execution, return_inverse=True)
        top = np.zeros(len(groups))
        np.maximum.at(top, index, self.values)
        hit = np.zeros(len(groups), bool)
        hit[index[(self.values == top[index]) & (self.values >= self.cap)]] = True
        return float(np.mean(hit))

    @property
    def has_caps(self) -> bool:
        """Whether a design bounds any value."""
        return bool(np.any(np.isfinite(self.cap)))

    @property
    def max_is_cap(self) -> bool:
        """Whether the largest value of all, wherever it was reached, is a structural cap."""
        if not self.n:
            return False
        largest = self.values == self.values.max()
        return bool(np.any(self.values[largest] >= self.cap[largest]))

    def summary(self) -> str:
        """Return one line: size, mean and range."""
        if not self.n:
            return f"{self.name}: no values"
        mean = self.values.mean() if self.count is None else float(self.values @ self.count) / self.n
        return f"{self.name}: n={self.n} mean={mean:.4g} max={self.values.max():.6g} {self.unit}"


@dataclass(frozen=True)
class Structures:
    """The structures are what observables are computed from; build them once with `structures`."""

    table: EventTable
    graph: ClaimGraph
    cascades: Cascades
    reach: Reach
    subtasks: SubtaskForest


class Observable(Registered, ABC):
    """An observable comes from another package, in the group ``analysis.observables``; its tail is fitted like ours."""

    @abstractmethod
    def measure(self, found: Structures) -> Sample:
        """Return the positive values of the observable, under its own name; an empty sample where the log has none."""


OBSERVABLES: Final[Registry[Observable]] = Registry("analysis.observables", Observable, required=False)  # type: ignore[type-abstract]


def structures(table: EventTable, *, endorse_as_node: bool = False) -> Structures:
    """Return claim graph, cascades, reach and subtask trees of `table`."""
    graph = claim_graph(table, endorse_as_node=endorse_as_node)
    return Structures(table, graph, cascades(graph), reach(graph), subtask_forest(table))


def sample_of(name: str, values: NDArray[np.generic], execution: I64, caps: F64 | None, unit: str) -> Sample:
    """Return a sample of `values` without the zeros; `caps` is per execution, shape (n_executions,).

    Caps that a value passes are no caps and are left out.

    Raises:
        InputError: a value is negative, infinite or no number, or there is not one execution for each value.
    """
    numbers = values.astype(np.float64)
    if numbers.shape != execution.shape or numbers.ndim != 1:
        what = f"values of shape {numbers.shape}, executions of shape {execution.shape}"
        raise InputError(what, name, "give the execution of each value")
    odd = numbers[~(np.isfinite(numbers) & (numbers >= 0))]
    if len(odd):
        raise InputError(f"{odd[0]} is no value of an observable", name, "give finite numbers that are not negative")
    kept = numbers > 0
    where = execution[kept]
    bound = np.full(len(where), np.inf) if caps is None else caps[where]
    passed = bool(np.any(numbers[kept] > bound))
    if passed:  # what is passed bounds nothing
        bound = np.full(len(where), np.inf)
    return Sample(name, numbers[kept], where, bound, unit, passed=passed)


def measured(name: str, observable: Observable, found: Structures) -> Sample:
    """Return what an observable of another package measures, after a look at whether it is a sample of that name.

    Raises:
        InputError: it has another name, so that it could take the place of a built-in one, or names an execution that
            the log does not have.
    """
    sample: object = observable.measure(found)
    where = f"{OBSERVABLES.group}: {name}"
    if not isinstance(sample, Sample) or sample.name != name:
        other = f"a sample named {sample.name}" if isinstance(sample, Sample) else type(sample).__name__
        raise InputError(f"measure gave {other}", where, f"return a Sample named {name}")
    n = found.table.n_executions
    if sample.n and not (sample.execution.min() >= 0 and sample.execution.max() < n):
        raise InputError(f"a value belongs to an execution outside of 0 to {n - 1}", where, "mend the observable")
    return sample


def sample_from(name: str, frame: pl.DataFrame, caps: F64 | None, unit: str) -> Sample:
    """Return a sample of column `value` of a frame with columns `execution` and `value`."""
    frame = frame.drop_nulls("value")
    return sample_of(name, frame["value"].to_numpy(), frame["execution"].to_numpy().astype(np.int64), caps, unit)


def agents_of(found: Structures) -> F64:
    """Return for each execution its number of agents, infinite where it is not stated: who acts is an outcome."""
    stated = found.table.executions["n_agents"].cast(pl.Float64).fill_null(np.inf).to_numpy()
    return np.where(found.table.n_is_seen, np.inf, stated)


def effort(table: EventTable) -> pl.DataFrame:
    """Return one row per agent and execution with its acts (`events`) and tokens in and out (`tokens`).

    Acts of no single agent do not count; acts outside our vocabulary do.
    """
    own = pl.col("kind").is_null() | pl.col("kind").cast(pl.String).is_in(list(EFFORT_KINDS))
    return (
        table.events.filter(pl.col("agent") >= 0)
        .group_by("execution", "agent", maintain_order=True)
        .agg(
            own.sum().cast(pl.Int64).alias("events"), (pl.col("tokens_in") + pl.col("tokens_out")).sum().alias("tokens")
        )
    )
