"""This module chooses an organisation before it is run: how often the regression picks the best, against three rules.

A configuration is a model on a task. Whole tasks are held out; for each held-out configuration the scores of all
organisations are predicted and the highest is chosen. What a run alone reveals (overhead, messages, redundancy,
efficiency, error amplification) is taken as the organisation's mean over the training rows, because nobody knows it
beforehand. A pick is a hit when no organisation scored higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.interval import FloatArray, IntArray, Interval
from analysis.stats.bootstrap import DIFFERENCE, SCORE, Bounds, mean_intervals
from analysis.stats.clusters import TaskSums, sums_by_task
from analysis.stats.predictors import COLUMNS, COORDINATION
from analysis.stats.validation import group_folds, predict_rows

RULES: Final = ("regression", "random", "capability only", "single where it is good")
SINGLE_FROM: Final = 0.45
"""Score of a single agent above which the one-line rule keeps it (arXiv 2512.08296, second version)."""


@dataclass(frozen=True)
class Rule:
    """The object says how well one way of choosing does."""

    name: str
    hits: Interval
    """Share of held-out configurations in which nothing scored higher than the pick."""
    regret: Interval
    """Mean score lost against the best organisation of each configuration."""
    ahead: Interval | None
    """Hit rate of the regression less that of this rule, on the same configurations; None for the regression."""


@dataclass(frozen=True)
class SelectorReport:
    """The report compares the regression as a selector with simple rules."""

    rules: tuple[Rule, ...]
    n_configurations: int
    n_groups: int
    organisations: tuple[str, ...]
    picks: pl.DataFrame
    """The configuration's columns, best, picked by the regression."""
    warnings: tuple[str, ...]

    def rule(self, name: str) -> Rule:
        """Return one rule by name.

        Raises:
            InputError: there is none.
        """
        for found in self.rules:
            if found.name == name:
                return found
        raise InputError(f"no rule {name!r}", "", f"choose from {', '.join(RULES)}")

    def summary(self) -> str:
        """Return the report as text."""
        lines = [f"{self.n_configurations:,} configurations on {self.n_groups:,} tasks held out"]
        for found in self.rules:
            ahead = f"; regression ahead by {found.ahead.text(sign=True)}" if found.ahead else ""
            lines.append(f"  {found.name:24s} best picked {found.hits}, score lost {found.regret}{ahead}")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])


def evaluate_selector(
    table: pl.DataFrame,
    *,
    response: str = "score",
    configuration: Sequence[str] = ("model", "task"),
    group: str | Sequence[str] = "task",
    single: str = "single",
    folds: int = 5,
    level: float = 0.95,
    seed: int = 0,
) -> SelectorReport:
    """Hold out tasks, let the regression pick an organisation for each of their configurations, and count hits.

    Args:
        table: one row a run, with the columns of `predictors.COLUMNS`, ``organisation``, `response` and those of
            `configuration` and `group`. Rows of one configuration and organisation are averaged; configurations that
            lack an organisation are left out.
        response: what makes an organisation good.
        configuration: columns that together name a configuration.
        group: columns of what is held out whole.
        single: label of the single agent; without it the one-line rule is left out.
        folds: parts of the cross-validation.
        level: coverage of the intervals, which resample groups.
        seed: root of all randomness.

    Raises:
        InputError: columns are missing, or fewer than two organisations or configurations remain.
    """
    keys, groups = list(configuration), [group] if isinstance(group, str) else list(group)
    rows, labels, n_dropped = _complete(table, response, keys, groups)
    n = rows.height // len(labels)
    observed = rows[response].to_numpy().astype(np.float64).reshape(n, len(labels))
    code = rows.select(pl.struct(groups).rank("dense") - 1).to_series().to_numpy().astype(np.int64)[:: len(labels)]
    n_groups = int(code.max()) + 1
    picks = _picks(rows, observed, code, labels, response, single, min(folds, n_groups), seed)
    best = observed.max(axis=1)
    hits = {name: observed[np.arange(n), at] >= best - 1e-12 for name, at in picks.items()}
    shares = {name: hit.astype(np.float64) for name, hit in hits.items()}
    shares["random"] = np.mean(observed >= best[:, None] - 1e-12, axis=1)
    lost = {name: best - observed[np.arange(n), at] for name, at in picks.items()}
    lost["random"] = best - observed.mean(axis=1)
    names = [name for name in RULES if name in shares]
    # The share of a random pick is a number, not a draw: it has no pseudo-tasks.
    values: list[tuple[FloatArray, Bounds | None]]
    values = [(shares[name], None if name == "random" else SCORE) for name in names]
    values += [(lost[name], SCORE if lost[name].max() <= 1 else None) for name in names]
    values += [(shares[names[0]] - shares[name], DIFFERENCE) for name in names[1:]]
    found = _intervals(values, code, n_groups, level, seed)
    ahead = [None, *found[2 * len(names) :]]
    rules = [Rule(name, found[at], found[len(names) + at], ahead[at]) for at, name in enumerate(names)]
    warnings = [f"{n_dropped} configurations lack an organisation or a predictor and are left out"] if n_dropped else []
    chosen = (
        rows[:: len(labels)]
        .select(keys)
        .with_columns(
            pl.Series("best", [labels[at] for at in observed.argmax(axis=1)]),
            pl.Series("picked", [labels[at] for at in picks["regression"]]),
        )
    )
    return SelectorReport(tuple(rules), n, n_groups, tuple(labels), chosen, tuple(warnings))


def _complete(
    table: pl.DataFrame, response: str, keys: list[str], groups: list[str]
) -> tuple[pl.DataFrame, list[str], int]:
    """Return one row per configuration and organisation, sorted by both, for configurations that have all."""
    names = list(dict.fromkeys([*keys, *groups]))
    needed = [*COLUMNS, response, "organisation", *names]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", "", f"it has {', '.join(table.columns)}")
    every = table.select(keys).n_unique()
    rows = table.drop_nulls(needed).group_by(*names, "organisation", maintain_order=True)
    means = rows.agg(pl.col(*COLUMNS, response).cast(pl.Float64).mean())
    labels = sorted(means["organisation"].unique().to_list())
    means = means.filter(pl.len().over(keys) == len(labels)).sort(*keys, "organisation")
    if len(labels) < 2 or means.height < 2 * len(labels):
        raise InputError(
            f"a selector needs two organisations and two configurations with all of them, found {len(labels)} and "
            f"{means.height // max(len(labels), 1)}"
        )
    return means, labels, every - means.height // len(labels)


def _picks(
    rows: pl.DataFrame, observed: FloatArray, code: IntArray, labels: list[str], response: str, single: str,
    folds: int, seed: int,
) -> dict[str, IntArray]:  # fmt: skip
    """Return the organisation that each rule picks for each held-out configuration."""
    n, width = observed.shape
    capability = rows["capability"].to_numpy().astype(np.float64).reshape(n, width)[:, 0]
    alone = rows["single"].to_numpy().astype(np.float64).reshape(n, width)[:, 0]
    picks = {name: np.zeros(n, dtype=np.int64) for name in ("regression", "capability only")}
    if single in labels:
        picks["single where it is good"] = np.zeros(n, dtype=np.int64)
    for train, held in group_folds(code, folds, seed=seed):
        seen, asked = _rows_of(rows, train, width), _rows_of(rows, held, width)
        usual = seen.group_by("organisation").agg(pl.col(*COORDINATION).mean())
        asked = asked.drop(*COORDINATION).join(usual, on="organisation", how="left", maintain_order="left")
        y = seen[response].to_numpy().astype(np.float64)
        picks["regression"][held] = predict_rows(seen, y, asked).reshape(held.size, width).argmax(axis=1)
        curve = np.polynomial.polynomial.polyvander(capability, min(2, np.unique(capability[train]).size - 1))
        beta = np.linalg.lstsq(curve[train], observed[train], rcond=None)[0]
        picks["capability only"][held] = (curve[held] @ beta).argmax(axis=1)
        if single in labels:
            means = observed[train].mean(axis=0)
            means[labels.index(single)] = -np.inf
            picks["single where it is good"][held] = np.where(
                alone[held] > SINGLE_FROM, labels.index(single), int(means.argmax())
            )
    return picks


def _rows_of(rows: pl.DataFrame, configurations: IntArray, width: int) -> pl.DataFrame:
    return rows[(configurations[:, None] * width + np.arange(width)).reshape(-1)]


def _intervals(
    values: list[tuple[FloatArray, Bounds | None]], code: IntArray, n_groups: int, level: float, seed: int
) -> list[Interval]:
    sums: list[TaskSums] = [sums_by_task(value, code, n_groups) for value, _ in values]
    return mean_intervals(sums, [bounds for _, bounds in values], level=level, seed=seed)
