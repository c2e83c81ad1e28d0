"""This module compares organisations with a baseline on the same tasks: by how much they differ, and how surely.

Rows are paired by task and seed; tasks are the units. Every difference comes with an interval, a size, what the
comparison could have seen at all, and last a p value corrected for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.interval import FloatArray, IntArray, Interval, shown
from analysis.stats.alternatives import alternatives
from analysis.stats.bootstrap import DIFFERENCE, Bounds, check, columns_for, interval_from, kind_for, resample
from analysis.stats.clusters import TaskSums, sums_by_task
from analysis.stats.effects import odds_ratio, paired_d
from analysis.stats.inversion import agreeing, score_interval
from analysis.stats.permutation import Test, holm, sign_flip_p
from analysis.stats.planning import Alternatives
from analysis.stats.proportions import is_proportion, mean_of, score_bounds

FEW_TASKS: Final = 20
"""With fewer tasks the intervals were measured to be too wide or too narrow; see docs/statistics.md."""
WANTED_POWER: Final = 0.8
EFFECT: Final = 0.05


@dataclass(frozen=True)
class MeanRow:
    """The row describes one organisation alone."""

    organisation: str
    mean: Interval
    n_tasks: int
    n_rows: int


@dataclass(frozen=True)
class PairedRow(MeanRow):
    """The row compares one organisation with the baseline."""

    n_pairs: int
    """Rows for which the baseline has the same task and seed, both with a value."""
    n_paired_tasks: int
    difference: Interval
    """Mean of value - value of the baseline, over pairs. For answers right or wrong, the risk difference. Its interval
    leaves 0 out exactly where `p` is at most 1 - level."""
    d: Interval | None
    """Difference in standard deviations between tasks (paired d); None where `paired_d` refuses it."""
    odds_ratio: Interval | None
    """Pairs won for each pair lost; only for answers right or wrong."""
    p: float
    """P value of the sign-flip test with tasks as units, not corrected."""
    p_holm: float
    """The same after Holm's correction for all comparisons of the table."""
    test: Test
    wins: int
    """Pairs in which the organisation is better."""
    ties: int
    losses: int
    detectable: float | None
    """Smallest true difference that as many tasks and seeds find with probability 0.8, after Bonferroni's correction
    (Holm's is a little better); None where not even the largest possible one is found so often, and with one task."""
    tasks_needed: int | None
    """Tasks, each with as many seeds, with which a true difference of `PairedComparison.effect` would be found as
    often; None when more than ten million, or unknown, or where there can be no such difference."""


@dataclass(frozen=True)
class PairedComparison:
    """The object compares every organisation with one baseline."""

    value: str
    baseline: MeanRow
    rows: tuple[PairedRow, ...]
    """One for each other organisation, in the order of the table."""
    level: float
    effect: float | None
    """The difference that `tasks_needed` is for."""
    replicates: int
    seed: int
    warnings: tuple[str, ...]

    def row(self, organisation: str) -> PairedRow:
        """Return the row of one organisation.

        Raises:
            InputError: it was not compared.
        """
        for row in self.rows:
            if row.organisation == organisation:
                return row
        raise InputError(f"{organisation!r} was not compared", "", f"choose from {[r.organisation for r in self.rows]}")

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        own = {name: getattr(self, name) for name in ("value", "level", "effect", "replicates", "seed")}
        rows = [_plain(row) for row in self.rows]
        return {**own, "baseline": _plain(self.baseline), "rows": rows, "warnings": list(self.warnings)}

    def summary(self) -> str:
        """Return the comparison as a table, a line for each organisation."""
        head = ["organisation", f"mean {self.value}", f"against {self.baseline.organisation}", "d", "won/tied/lost"]
        head += ["p (Holm)", "detectable", "tasks needed" + (f" for {self.effect:g}" if self.effect else "")]
        lines = [head, [self.baseline.organisation, self.baseline.mean.text(), "baseline", "", "", "", "", ""]]
        for row in self.rows:
            d = shown(row.d.value, sign=True) if row.d else "-"
            games = f"{row.wins}/{row.ties}/{row.losses}"
            least = "-" if row.detectable is None else shown(row.detectable)
            needed = "-" if row.tasks_needed is None else f"{row.tasks_needed:,}"
            difference = row.difference.text(sign=True)
            lines.append([row.organisation, row.mean.text(), difference, d, games, _p(row.p_holm), least, needed])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown_lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*shown_lines, *(f"warning: {text}" for text in self.warnings)])


def compare_paired(
    table: pl.DataFrame,
    *,
    baseline: str,
    value: str = "score",
    cluster: Sequence[str] = ("tasks", "task"),
    seed: int = 0,
    replicates: int = 10_000,
    level: float = 0.95,
    effect: float | None = None,
) -> PairedComparison:
    """Compare every organisation of `table` with `baseline` on the same tasks and seeds.

    Args:
        table: one row per (organisation, task, seed); columns ``organisation``, ``seed``, those of `cluster`, and
            `value`. Further columns do not matter.
        baseline: organisation that the others are compared with.
        value: what is compared; rows where it is null are left out and counted in a warning.
        cluster: columns that together name a task; rows are paired by these and ``seed``.
        seed: root of the bootstrap's and the test's randomness.
        replicates: bootstrap samples, and random swaps where the test is not exact.
        level: coverage of the intervals; each holds alone, not all together.
        effect: difference for which `tasks_needed` is computed; 0.05 for scores, for other values none.

    Raises:
        InputError: a column or the baseline is missing, a pair occurs twice, or an organisation shares no row with
            the baseline.
    """
    check(level, replicates)
    names, matrix, task, warnings = paired_up(table, baseline, value, tuple(cluster))
    at_base = names.index(baseline)
    others = [at for at in range(len(names)) if at != at_base]
    sums = paired_sums(matrix, task, at_base, others)
    own, versus = sums.own, sums.versus
    own_means, found, sizes = _mean_intervals(sums, replicates, seed, level)
    tests = [sign_flip_p(one.total, replicates=replicates, seed=seed) for one in versus]
    differences = [_difference(sums, place, one, tests[place][0]) for place, one in enumerate(found)]
    adjusted = holm(np.array([p for p, _ in tests]))
    alpha = (1 - level) / max(len(others), 1)
    wanted = (EFFECT if sums.bounds is not None else None) if effect is None else effect
    rows = []
    for place, at in enumerate(others):
        one, step = versus[place], sums.steps[:, place]
        d, odds = sizes[place]
        least, needed = _plan(_pilot(one, sums, at_base), one.n_tasks, alpha, wanted)
        rows.append(
            PairedRow(
                organisation=names[at], mean=own_means[at], n_tasks=own[at].n_tasks, n_rows=own[at].n_rows,
                n_pairs=one.n_rows, n_paired_tasks=one.n_tasks, difference=differences[place], d=d, odds_ratio=odds,
                p=tests[place][0], p_holm=float(adjusted[place]), test=tests[place][1],
                wins=int(np.sum(step > 0)), ties=int(np.sum(step == 0)), losses=int(np.sum(step < 0)),
                detectable=least, tasks_needed=needed,
            )
        )  # fmt: skip
    base = MeanRow(baseline, own_means[at_base], own[at_base].n_tasks, own[at_base].n_rows)
    few = min((one.n_tasks for one in versus), default=base.n_tasks)
    if few < FEW_TASKS:
        warnings.append(f"only {few} tasks: intervals are rough below {FEW_TASKS}")
    return PairedComparison(value, base, tuple(rows), level, wanted, replicates, seed, tuple(warnings))


def paired_up(
    table: pl.DataFrame, baseline: str, value: str, cluster: tuple[str, ...]
) -> tuple[list[str], FloatArray, IntArray, list[str]]:
    """Return organisations, values by pair and organisation (NaN where missing), task of each pair, warnings."""
    keys = [*dict.fromkeys((*cluster, "seed"))]
    missing = [name for name in ("organisation", *keys, value) if name not in table.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", "", f"it has {', '.join(table.columns)}")
    names = table["organisation"].unique(maintain_order=True).to_list()
    if baseline not in names:
        raise InputError(f"the baseline {baseline!r} is not in the table", "", f"choose from {', '.join(names)}")
    rows = table.select("organisation", *keys, pl.col(value).cast(pl.Float64).fill_nan(None))
    twice = rows.select("organisation", *keys).is_duplicated()
    if twice.any():
        first = rows.filter(twice).row(0, named=True)
        where = ", ".join(f"{name} {first[name]}" for name in ("organisation", *keys))
        raise InputError(
            f"{int(twice.sum()):,} rows are not the only ones of their organisation, task and seed, first: {where}",
            "",
            "compare one number of agents at a time, or make it part of the organisation's name",
        )
    wide = rows.pivot("organisation", index=keys, values=value, maintain_order=True)
    matrix = wide.select(names).to_numpy().astype(np.float64)
    task = wide.select(pl.struct(*cluster).rank("dense") - 1).to_series().to_numpy().astype(np.int64)
    warnings = []
    with_base = np.isfinite(matrix[:, names.index(baseline)])
    for at, name in enumerate(names):
        known = np.isfinite(matrix[:, at])
        if not (known & with_base).any():
            raise InputError(
                f"{name} and {baseline} share no task and seed with a {value}", "", "give both the same tasks and seeds"
            )
        lost = int(np.sum(known != with_base))
        if lost:
            warnings.append(
                f"{lost} rows of {name} or {baseline} have no {value} on the other side and are left out of their "
                "difference; if the failures are no accident, neither is the difference"
            )
    return names, matrix, task, warnings


@dataclass(frozen=True)
class PairedSums:
    """The object holds what is compared, summed by task."""

    own: list[TaskSums]
    """One for each organisation."""
    bounds: Bounds | None
    """Bounds of a value, where it is a score."""
    versus: list[TaskSums]
    """The differences from the baseline, one for each other organisation."""
    change: Bounds | None
    """Bounds of a difference."""
    steps: FloatArray
    """The differences pair by pair, NaN where a side is missing, shape (n_pairs, n_others)."""
    task: IntArray
    """Task of each pair."""
    right_or_wrong: bool

    def one_answer_a_task(self, place: int) -> bool:
        """Return whether a difference is one of answers right or wrong, with one pair a task."""
        return self.right_or_wrong and self.versus[place].n_rows == self.versus[place].n_tasks


def paired_sums(matrix: FloatArray, task: IntArray, at_base: int, others: list[int]) -> PairedSums:
    """Return the sums by task of values and of their differences from the baseline, which is a column of `matrix`."""
    n_tasks = int(task.max()) + 1
    bounds = score_bounds(matrix)
    steps = (matrix - matrix[:, [at_base]])[:, others]
    return PairedSums(
        own=[sums_by_task(matrix[:, at], task, n_tasks) for at in range(matrix.shape[1])], bounds=bounds,
        versus=[sums_by_task(steps[:, place], task, n_tasks) for place in range(len(others))],
        change=DIFFERENCE if bounds is not None else None, steps=steps, task=task,
        right_or_wrong=is_proportion(matrix),
    )  # fmt: skip


def _mean_intervals(
    sums: PairedSums, replicates: int, seed: int, level: float
) -> tuple[list[Interval], list[Interval], list[tuple[Interval | None, Interval | None]]]:
    """Return intervals of means and of differences, and the sizes (d, odds ratio), from one set of samples."""
    own, versus, task, right_or_wrong = sums.own, sums.versus, sums.task, sums.right_or_wrong
    both, within = [*own, *versus], [sums.bounds] * len(own) + [sums.change] * len(versus)
    kinds = [kind_for(one, b) for one, b in zip(both, within, strict=True)]
    blocks = [columns_for(one, kind) for one, kind in zip(both, kinds, strict=True)]
    n = int(task.max()) + 1
    games = []
    for place, one in enumerate(versus):
        step = sums.steps[:, place]
        known = np.bincount(task[np.isfinite(step)], minlength=n) > 0
        won, lost = (_count(task[side], n)[known] for side in (step > 0, step < 0))
        games.append((float(won.sum()), float(lost.sum())))
        again = right_or_wrong and one.n_rows > one.n_tasks > 1
        blocks.append(np.column_stack([won, lost]) if again else np.zeros((one.n_tasks, 0)))
    drawn = resample(blocks, replicates=replicates, seed=seed)
    found = [interval_from(*each, level=level) for each in zip(both, within, kinds, drawn[: len(both)], strict=True)]
    means = [
        mean_of(one, proportion=right_or_wrong, level=level, found=interval)
        for one, interval in zip(own, found, strict=False)
    ]
    sizes = []
    for one, draws, (wins, losses) in zip(versus, drawn[len(both) :], games, strict=True):
        odds = odds_ratio(one, wins, losses, draws, level) if right_or_wrong else None
        sizes.append((paired_d(one, level), odds))
    return means, found[len(own) :], sizes


def _difference(sums: PairedSums, place: int, found: Interval, p: float) -> Interval:
    """Return the interval of one of the differences, which says of 0 what p says."""
    step = sums.steps[:, place]
    if sums.one_answer_a_task(place):
        wins, losses = int(np.sum(step > 0)), int(np.sum(step < 0))
        found = score_interval(wins, losses, sums.versus[place].n_tasks, level=found.level)
    return agreeing(found, p)


def _count(task: IntArray, n_tasks: int) -> FloatArray:
    return np.bincount(task, minlength=n_tasks).astype(np.float64)


def _plan(
    pilot: Alternatives | None, n_tasks: int, alpha: float, effect: float | None
) -> tuple[float | None, int | None]:
    """Return the smallest detectable difference and the tasks that `effect` needs."""
    if pilot is None:
        return None, None
    least = pilot.detectable(n_tasks, alpha=alpha, wanted=WANTED_POWER)
    return least, pilot.tasks_needed(effect, alpha=alpha, wanted=WANTED_POWER) if effect else None


def _pilot(one: TaskSums, sums: PairedSums, at_base: int) -> Alternatives | None:
    """Return what may be true beside no difference; None with a single task."""
    if one.n_tasks < 2:
        return None
    base = None if sums.bounds is None else sums.own[at_base].mean
    return alternatives(one, sums.change, right_or_wrong=sums.right_or_wrong, base=base)


def pilots(
    table: pl.DataFrame, *, baseline: str, value: str = "score", cluster: Sequence[str] = ("tasks", "task")
) -> dict[str, tuple[int, Alternatives | None]]:
    """Return, for each organisation but the baseline, its number of tasks and what may be true beside no difference.

    The arguments and errors are those of `compare_paired`; with a single task there is None.
    """
    names, matrix, task, _ = paired_up(table, baseline, value, tuple(cluster))
    at_base = names.index(baseline)
    others = [at for at in range(len(names)) if at != at_base]
    sums = paired_sums(matrix, task, at_base, others)
    return {names[at]: (one.n_tasks, _pilot(one, sums, at_base)) for at, one in zip(others, sums.versus, strict=True)}


def _p(p: float) -> str:
    return "<1e-9" if p < 1e-9 else f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _plain(row: MeanRow) -> dict[str, object]:
    shallow = {name: getattr(row, name) for name in asdict(row)}
    return {name: item.as_dict() if isinstance(item, Interval) else item for name, item in shallow.items()}
