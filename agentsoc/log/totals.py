"""This module adds up what a run amounts to, from its committed events and its rows of episodes, in this one place.

Whoever executes a run, turn by turn or as columns, here or on Ray, hands over tables of events and rows of episodes and
nothing else; the totals of the manifest, those of a replay and those that `check` computes come from the same fold.
Counts are exact whatever the order and the division into tables, and so are the sums of floats: they are rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.contracts.failure import FailureFamily, family_of
from agentsoc.events import SOCIETY
from agentsoc.log.manifest import Totals
from agentsoc.scenario.budget import Budget
from agentsoc.scenario.prices import money

_COUNTS: Final = ("calls", "tokens_in", "tokens_cached", "tokens_out")
"""Columns of events that are added up, under the names of the totals."""
_OF_ROWS: Final = (
    *("rounds", "turns", "broadcasts", "deliveries"),
    *("tokens_lost", "calls_lost", "tokens_overrun", "claims_due", "claims_left_out"),
)
"""Columns of episodes that are added up: they are in no event."""
_LIMITS: Final = (
    *("tokens", "tokens_per_task", "calls", "calls_per_task", "money", "money_per_task"),
    *("tool_calls", "tool_calls_per_task"),
)
_LIMB: Final = 26
"""How many bits of a mantissa are added up at a time: 2**36 such numbers still fit into 64 bits."""


class ExactSum:
    """The sum of floats is rounded once, so it is the same in whatever order and groups they come."""

    def __init__(self) -> None:
        self._whole = 0
        """Units of 2**-1126: a float's 53 bits at its smallest exponent are a whole number of them."""

    def add(self, values: Any) -> None:
        """Add finite floats, shape (n,).

        Raises:
            ValueError: one of them is infinite or no number.
        """
        floats = np.asarray(values, dtype=np.float64)
        if not np.isfinite(floats).all():
            raise ValueError("a score or a time is infinite or no number")
        mantissa, exponent = np.frexp(floats)
        bits = np.ldexp(mantissa, 53).astype(np.int64)
        for power in np.unique(exponent).tolist():
            of_power = bits[exponent == power]
            high, low = int((of_power >> _LIMB).sum()), int((of_power & ((1 << _LIMB) - 1)).sum())
            self._whole += ((high << _LIMB) + low) << (power - 53 + 1126)

    def copy(self) -> ExactSum:
        """Return a copy that goes on from here by itself."""
        other = ExactSum()
        other._whole = self._whole
        return other

    def over(self, n: int = 1) -> float:
        """Return the sum divided by `n`, as near as a float comes to it."""
        return float(Fraction(self._whole, n << 1126))


@dataclass
class EventTotals:
    """The object adds up what events say, however they are cut into tables."""

    events: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    failures: dict[FailureFamily, int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    answers: int = 0
    answered: int = 0
    scores: ExactSum = field(default_factory=ExactSum)

    def add(self, table: pa.Table) -> None:
        """Take in a table with the event schema."""
        self.events += table.num_rows
        failed = self.kinds.get("call_failed", 0)
        _count(self.kinds, table["kind"])
        if self.kinds.get("call_failed", 0) > failed:
            self._add_failures(table)
        for name in _COUNTS:
            self.counts[name] += pc.sum(table[name]).as_py() or 0
        society = pc.equal(table["agent"], SOCIETY)
        said = table.select(["kind", "answer", "correct"]).filter(society)
        kind = said["kind"].cast(pa.string())
        _count(self.stops, said["answer"].filter(pc.equal(kind, "stop")))
        answers = said.filter(pc.equal(kind, "answer"))
        self.answers += answers.num_rows
        self.answered += answers.num_rows - answers["answer"].null_count
        self.scores.add(answers["correct"].fill_null(0.0).to_numpy())

    def _add_failures(self, table: pa.Table) -> None:
        texts: dict[str, int] = {}
        _count(texts, table["text"].filter(pc.equal(table["kind"].cast(pa.string()), "call_failed")))
        for text, n in texts.items():
            family = family_of(text)
            self.failures[family] = self.failures.get(family, 0) + n

    def copy(self) -> EventTotals:
        """Return a copy of the totals as they are now."""
        return EventTotals(
            self.events,
            dict(self.kinds),
            dict(self.failures),
            dict(self.stops),
            dict(self.counts),
            self.answers,
            self.answered,
            self.scores.copy(),
        )


def _count(counts: dict[str, int], column: pa.ChunkedArray) -> None:
    """Add how often each value occurs."""
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            codes = pc.fill_null(chunk.indices, -1).to_numpy()
            found = np.bincount(codes[codes >= 0], minlength=len(chunk.dictionary)).tolist()
            pairs = zip(chunk.dictionary.to_pylist(), found, strict=False)
        else:
            counted = pc.value_counts(chunk)
            pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        for value, n in pairs:
            if n and value is not None:
                counts[value] = counts.get(value, 0) + n


@dataclass
class EpisodeTotals:
    """The object adds up what rows of episodes say beyond the events."""

    rows: int = 0
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_OF_ROWS, 0))
    cost: int | None = None
    """What the calls cost by the scenario's prices (units of money); None where a row has no cost."""
    cost_lost: int | None = None
    virtual_s: ExactSum = field(default_factory=ExactSum)

    def add(self, table: pa.Table) -> None:
        """Take in rows with the schema of `agentsoc.log.episodes`; a column that an earlier format lacks counts 0."""
        names = set(table.column_names)
        for name in _OF_ROWS:
            if name in names:
                self.sums[name] += pc.sum(table[name]).as_py() or 0
        if not table.num_rows:
            return
        self.cost = self._money(self.cost, table, "cost", names)
        self.cost_lost = self._money(self.cost_lost, table, "cost_lost", names)
        self.virtual_s.add(table["virtual_s"].to_numpy())
        self.rows += table.num_rows

    def _money(self, before: int | None, table: pa.Table, name: str, names: set[str]) -> int | None:
        if name not in names or table[name].null_count or (before is None and self.rows):
            return None
        return (before or 0) + int(pc.sum(table[name]).as_py())

    def copy(self) -> EpisodeTotals:
        """Return a copy of the totals as they are now."""
        return EpisodeTotals(self.rows, dict(self.sums), self.cost, self.cost_lost, self.virtual_s.copy())


def fold(events: EventTotals, episodes: EpisodeTotals, ceilings: Mapping[str, Any]) -> Totals:
    """Return the totals of a run.

    Args:
        events: of all its committed events.
        episodes: of its rows of episodes, those under way included.
        ceilings: what the manifest says of its limits: budget, budget_calls, budget_cost.
    """
    ended = sum(events.stops.values())
    return Totals(
        episodes=ended,
        events=events.events,
        events_by_kind=dict(sorted(events.kinds.items())),
        **events.counts,
        calls_failed=events.kinds.get("call_failed", 0),
        failures=dict(sorted(events.failures.items())),
        **episodes.sums,
        **ceilings,
        cost=None if episodes.cost is None else money(episodes.cost),
        cost_lost=None if episodes.cost_lost is None else money(episodes.cost_lost),
        score=events.scores.over(events.answers) if events.answers else None,
        answered=events.answered,
        stops=dict(sorted(events.stops.items())),
        virtual_s=episodes.virtual_s.over(),
    )


def ceilings(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a run of a dumped scenario, under the names that its totals give them.

    Raises:
        ValueError: the scenario does not hold.
    """
    names, stated = ("budget", "budget_calls", "budget_cost"), scenario.get("budget")
    if stated is None:
        return dict.fromkeys(names)
    try:
        n = int(scenario["tasks"]["count"])
        limits = Budget.model_validate({name: stated.get(name) for name in _LIMITS}).limits(n)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    tokens, calls, cost = (None if limit is None else limit * n for limit in limits)
    return dict(zip(names, (tokens, calls, None if cost is None else money(cost)), strict=True))
