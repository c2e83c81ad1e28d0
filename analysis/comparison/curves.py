"""This module makes the curves of a comparison with several budgets: score against what was spent, and what follows.

For each organisation a curve with a point for each budget, for each pair the crossover B*, for each organisation and
budget the gain over a single agent, and over all points the Pareto front. What the ceilings were is in the points;
what is compared is what was spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import polars as pl

from agentsoc.log.comparison import DialRecord
from analysis.comparison.block import BaselineBlock
from analysis.comparison.crossovers import Crossover, crossover
from analysis.comparison.curve_draws import Draws, TaskTable, task_table
from analysis.comparison.curve_law import LAWS, CurvePoints, FittedCurve
from analysis.comparison.front import FrontPoint, front_of
from analysis.comparison.gain import gains_of
from analysis.comparison.predicted import predicted_crossover
from analysis.comparison.table import Results
from analysis.interval import Interval
from analysis.measures.episodes import RunMetrics
from analysis.stats import mean_interval

MATCHED: Final = 1.1
"""Factor between the least and the most spent up to which spending is called matched."""
NO_SINGLE: Final = "no organisation is a single agent"
NO_RUN_OF_SINGLE: Final = "the single agent has no run at this budget"


@dataclass(frozen=True)
class CurvePoint:
    """A point of a curve: an organisation at a budget."""

    label: str
    budget: int
    dial: DialRecord
    n_agents: int
    score: Interval
    tokens: Interval
    """Spent on a task (tokens)."""

    @property
    def unspent(self) -> float:
        """Share of the ceiling that was left."""
        return 1 - self.tokens.value / self.budget

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "budget": self.budget, "score": self.score.as_dict(), "tokens": self.tokens.as_dict(),
            "unspent": self.unspent, "n_agents": self.n_agents, "value": self.dial.value, "how": self.dial.how,
            "reason": self.dial.reason,
        }  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """The curve of an organisation."""

    organisation: str
    dial: str
    """What it turns up; empty for nothing."""
    points: tuple[CurvePoint, ...]
    absent: Mapping[int, str]
    """Budget -> why there is no point."""
    fits: tuple[FittedCurve, ...]
    unfitted: Mapping[str, str] = field(default_factory=dict)
    """Law -> why it has no fit."""
    pilot_tokens: int = 0
    """Tokens of the pilots that set its dials, which are in no other figure (tokens)."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "organisation": self.organisation, "dial": self.dial, "pilot_tokens": self.pilot_tokens,
            "points": [point.as_dict() for point in self.points],
            "absent": {str(budget): why for budget, why in self.absent.items()},
            "fits": [fit.as_dict() for fit in self.fits], "unfitted": dict(self.unfitted),
        }  # fmt: skip


@dataclass(frozen=True)
class Spending:
    """What the organisations spent at one budget."""

    budget: int
    least: tuple[str, float]
    """Who spent least, and how much of a task (tokens)."""
    most: tuple[str, float]

    @property
    def matched(self) -> bool:
        """Whether all spent the same, within a tenth."""
        return self.most[1] <= MATCHED * self.least[1]


@dataclass(frozen=True)
class GainAt:
    """The collaboration gain of an organisation at a budget, or why there is none."""

    organisation: str
    budget: int
    gain: Interval | str
    matched: bool
    """Whether it and the single agent spent the same, within a tenth."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = {"reason": self.gain} if isinstance(self.gain, str) else {**self.gain.as_dict(), "reason": ""}
        return {"organisation": self.organisation, "budget": self.budget, **found, "matched": self.matched}


@dataclass(frozen=True)
class Curves:
    """All that several budgets tell."""

    budgets: tuple[int, ...]
    curves: tuple[Curve, ...]
    crossovers: tuple[Crossover, ...]
    gains: tuple[GainAt, ...]
    single: str
    """The single agent that gains are over; empty without one."""
    front: tuple[FrontPoint, ...]
    spending: tuple[Spending, ...]
    n_tasks: int
    level: float
    replicates: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, under the keys of report.json."""
        return {
            "curves": [one.as_dict() for one in self.curves],
            "crossovers": [one.as_dict() for one in self.crossovers],
            "gain": [one.as_dict() for one in self.gains],
            "front": [one.as_dict() for one in self.front],
            "spending": [
                {"budget": one.budget, "least": list(one.least), "most": list(one.most), "matched": one.matched}
                for one in self.spending
            ],
        }


def make_curves(
    results: Results,
    table: pl.DataFrame,
    blocks: Sequence[BaselineBlock],
    metrics: Mapping[str, RunMetrics],
    *,
    seed: int,
    replicates: int,
    level: float,
) -> Curves | None:
    """Return what several budgets tell; None for a comparison without them, or when nothing can be compared.

    Args:
        results: the comparison.
        table: its rows that count, with labels for organisations.
        blocks: what was compared with the baseline at each budget.
        metrics: of each label.
        seed: root of the resampling.
        replicates: bootstrap samples.
        level: coverage of the intervals.
    """
    labels = [label for label in results.members if label in metrics]
    if not results.at_budgets or not labels:
        return None
    scores = {row.organisation: row.mean for block in blocks for row in block.rows}
    points: dict[str, list[CurvePoint]] = {}
    dials = {(dial.organisation, dial.budget): dial for dial in results.record.dials}
    for label in labels:
        name, budget = results.members[label]
        own = table.filter(pl.col("organisation") == label)
        score = scores.get(label) or mean_interval(
            own, value="score", cluster=results.cluster, level=level, replicates=replicates, seed=seed
        )
        spent = metrics[label].values["tokens"] or Interval(float("nan"), float("nan"), float("nan"))
        dial = dials.get((name, budget), DialRecord(organisation=name, tasks="", budget=budget))
        points.setdefault(name, []).append(CurvePoint(label, budget, dial, results.agents[label], score, spent))
    tasks = task_table(table, labels, results.cluster)
    draws = tasks.draws(seed=seed, replicates=replicates)
    named = {name: tuple(sorted(own, key=lambda point: point.budget)) for name, own in points.items()}
    order = [name for name in results.record.organisations if name in named]
    single, how = _single(results, order), (seed, replicates, level)
    budgets = tuple(sorted({cell.budget for cell in results.record.cells if cell.budget is not None} | _asked(results)))
    return Curves(
        budgets,
        tuple(_curve(results, name, named[name], draws, budgets, seed) for name in order),
        tuple(_crossovers(results, order, named, tasks, draws, how)),
        tuple(_gains(results, table, single, named, {one.budget: one.gains for one in blocks if one.gains}, how)),
        single,
        front_of(draws),
        tuple(_spending(named, budgets)),
        draws.n_tasks,
        level,
        replicates,
    )


def _asked(results: Results) -> set[int]:
    return {dial.budget for dial in results.record.dials}


def _curve(
    results: Results, name: str, points: tuple[CurvePoint, ...], draws: Draws, budgets: Sequence[int], seed: int
) -> Curve:
    """Return the curve of an organisation with its fits."""
    own = [dial for dial in results.record.dials if dial.organisation == name]
    there = {point.budget for point in points}
    absent = {budget: _why_absent(own, budget) for budget in budgets if budget not in there}
    at = sorted(points, key=lambda point: point.tokens.value)
    mine = draws.of([point.label for point in at])
    unseen = 1.0 / (mine.n_tasks + 2) if mine.bounded else 1e-12
    error = np.sqrt(mine.score[1:].var(axis=0, ddof=1) + unseen**2)
    data = CurvePoints(name, mine.tokens[0], mine.score[0], error, mine.n_tasks, mine.score[1:])
    found = {law.name: law.fit(data, seed) for law in LAWS}
    fits = tuple(fit for fit in found.values() if isinstance(fit, FittedCurve))
    unfitted = {law: why for law, why in found.items() if isinstance(why, str)}
    dial = next((dial.dial for dial in own), "")
    return Curve(name, dial, points, absent, fits, unfitted, sum(one.pilot_tokens for one in own))


def _why_absent(dials: Sequence[DialRecord], budget: int) -> str:
    """Return why an organisation has no point at a budget."""
    dial = next((dial for dial in dials if dial.budget == budget), None)
    if dial is None or not dial.left_out:
        return "no run that can be compared"
    if dial.least_tokens is None:
        return dial.reason or "the smallest value of its dial does not fit"
    return f"the least that it does takes {dial.least_tokens:,.0f} tokens"


def _crossovers(
    results: Results,
    order: Sequence[str],
    points: Mapping[str, tuple[CurvePoint, ...]],
    tasks: TaskTable,
    draws: Draws,
    how: tuple[int, int, float],
) -> list[Crossover]:
    """Return the crossover of each pair, those with the baseline first."""
    seed, replicates, level = how
    whole = bool(tasks.whole.all())
    base = results.record.baseline
    pairs = [(base, name) for name in order if base in order and name != base]
    pairs += list(combinations([name for name in order if name != base or base not in order], 2))
    found = []
    for one, other in pairs:
        labels = {name: [point.label for point in points[name]] for name in (one, other)}
        own = draws
        if not whole:  # only tasks that both have at all of their budgets are pairs
            common = tasks.of([*labels[one], *labels[other]])
            if not len(common.rows):
                found.append(Crossover(one, other, "open", reason="both have no task in common at all budgets"))
                continue
            own = common.draws(seed=seed, replicates=replicates)
        one_pair = crossover(one, other, {name: own.of(labels[name]) for name in (one, other)}, level=level)
        found.append(replace(one_pair, predicted=predicted_crossover(results.scenarios, one, other)))
    return found


def _single(results: Results, order: Sequence[str]) -> str:
    """Return the organisation that is one agent at every budget: the baseline if it is one, else the first."""
    alone = [
        name
        for name in order
        if all(results.agents[results.label(name, budget)] == 1 for budget in results.sizes[name])
    ]
    return results.record.baseline if results.record.baseline in alone else alone[0] if alone else ""


def _gains(
    results: Results,
    table: pl.DataFrame,
    single: str,
    points: Mapping[str, tuple[CurvePoint, ...]],
    known: Mapping[int | None, Mapping[str, Interval | str]],
    how: tuple[int, int, float],
) -> list[GainAt]:
    """Return the gain of each organisation at each of its budgets over the single agent at the same one."""
    seed, replicates, level = how
    found = []
    spent = {(name, point.budget): point.tokens.value for name, own in points.items() for point in own}
    for budget in sorted({point.budget for own in points.values() for point in own}):
        at = {name: results.label(name, budget) for name in points if (name, budget) in spent}
        others = [name for name in at if name != single]
        if single not in at:
            why = NO_RUN_OF_SINGLE if single else NO_SINGLE
            found += [GainAt(name, budget, why, matched=False) for name in others]
            continue
        gains = known.get(budget)  # those over the baseline are there already
        if gains is None or single != results.record.baseline:
            rows = table.filter(pl.col("organisation").is_in(list(at.values())))
            gains = gains_of(rows, at[single], results.cluster, replicates=replicates, seed=seed, level=level)
        for name in others:
            low, high = sorted((spent[name, budget], spent[single, budget]))
            gain = gains.get(at[name], "it has no task in common with the single agent")
            found.append(GainAt(name, budget, gain, matched=high <= MATCHED * low))
    return found


def _spending(points: Mapping[str, tuple[CurvePoint, ...]], budgets: Sequence[int]) -> list[Spending]:
    """Return who spent least and most at each budget at which there are two or more."""
    found = []
    for budget in budgets:
        spent = {name: point.tokens.value for name, own in points.items() for point in own if point.budget == budget}
        if len(spent) > 1:
            least, most = min(spent, key=lambda name: spent[name]), max(spent, key=lambda name: spent[name])
            found.append(Spending(budget, (least, spent[least]), (most, spent[most])))
    return found
