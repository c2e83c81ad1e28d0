"""This module fits what predicts the score of an organisation: tasks as groups, honest errors, grouped hold-out.

`fit_predictors` takes one row a run (an organisation on a task) and fits the 19 predictors of `predictors`. Errors are
those of leaving out one task at a time (the cluster jackknife, "CR3"): rows of one task share its difficulty, whatever
the covariates say of it. A random intercept for each task (mixed model) is offered as the other way.
"""

from __future__ import annotations

import math
import warnings as python_warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy import linalg, stats

from agentsoc.errors import InputError
from analysis.fitcard import Entry, FitCard
from analysis.interval import FloatArray, IntArray, Interval
from analysis.stats.clusters import sums_by_task
from analysis.stats.permutation import holm
from analysis.stats.predictors import COLUMNS, COORDINATION, NAMES, Scale, design, learn_scale
from analysis.stats.validation import CrossValidation, cross_validate

Method = Literal["ols", "mixed"]
FEW_GROUPS = 30


@dataclass(frozen=True)
class Coefficient:
    """The coefficient of a predictor is in standard deviations of the score per standard deviation of the variable."""

    name: str
    estimate: Interval
    p: float
    p_holm: float
    """P value, corrected for all predictors that were fitted."""


@dataclass(frozen=True)
class PredictorFit:
    """The object holds the fitted regression."""

    coefficients: tuple[Coefficient, ...]
    """Without the intercept; predictors that cannot be told apart from others are left out, see `dropped`."""
    dropped: tuple[str, ...]
    """Predictors that did not vary, or followed from those before them."""
    break_even: Interval | None
    """Score of a single agent at which more agents neither help nor harm, in units of the score; None where a term
    is missing. Unbounded when the interaction could be 0."""
    r2: float
    grouped: CrossValidation
    """Cross-validation with whole tasks held out: it says what the fit is worth on a new task."""
    ungrouped: CrossValidation
    """Cross-validation with rows held out: its result is too good when rows of one task are alike."""
    n_rows: int
    n_groups: int
    method: Method
    scale: Scale
    response: tuple[float, float]
    """Mean and standard deviation of the score."""
    beta: FloatArray
    """All 20 coefficients, 0 where dropped."""
    card: FitCard

    def coefficient(self, name: str) -> Coefficient:
        """Return one coefficient by the name of its predictor.

        Raises:
            InputError: there is none, or it was dropped.
        """
        for found in self.coefficients:
            if found.name == name:
                return found
        raise InputError(f"no coefficient {name!r}", "", f"choose from {', '.join(c.name for c in self.coefficients)}")

    def predict(self, table: pl.DataFrame) -> FloatArray:
        """Return the score expected for each row, shape (n_rows,); a new task is taken as an average one."""
        mean, sd = self.response
        return np.asarray(mean + sd * (design(table, self.scale) @ self.beta))

    def summary(self) -> str:
        """Return the fit as text, strongest predictors first."""
        lines = [
            f"score on {len(self.coefficients)} predictors, {self.n_rows:,} runs on {self.n_groups:,} tasks "
            f"({self.method})",
            f"R2 {self.r2:.3f} on the data it was fitted to, {self.grouped.r2:.3f} on tasks held out "
            f"({self.ungrouped.r2:.3f} on rows held out, which says too much)",
        ]
        for found in sorted(self.coefficients, key=lambda c: -abs(c.estimate.value)):
            mark = "  *" if found.p_holm <= 0.05 else ""
            lines.append(f"  {found.name:24s} {found.estimate.text(sign=True)}  p (Holm) {found.p_holm:.3f}{mark}")
        if self.break_even is not None:
            lines.append(f"more agents stop helping where a single one scores {self.break_even}")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.card.warnings)])


def fit_predictors(
    table: pl.DataFrame,
    *,
    response: str = "score",
    group: str | Sequence[str] = "task",
    method: Method = "ols",
    folds: int = 5,
    level: float = 0.95,
    seed: int = 0,
) -> PredictorFit:
    """Fit the score of runs on 19 predictors.

    Args:
        table: one row a run; the columns of `predictors.COLUMNS`, `response`, and those of `group`. Rows with a null
            in any are left out.
        response: what is predicted.
        group: columns that name a task.
        method: least squares with errors by leaving out tasks, or a random intercept for each task.
        folds: parts of the cross-validations.
        level: coverage of the intervals.
        seed: root of the randomness of the parts.

    Raises:
        InputError: columns are missing, or there are too few rows or tasks.
    """
    keys = [group] if isinstance(group, str) else list(group)
    rows, code = _usable(table, response, keys)
    y = rows[response].cast(pl.Float64).to_numpy().astype(np.float64)
    centre, sd = float(y.mean()), float(y.std())
    if sd == 0:
        raise InputError(f"{response} is the same in all rows: there is nothing to predict")
    scale = learn_scale(rows)
    x, z = design(rows, scale), (y - centre) / sd
    kept = independent_columns(x)
    n_groups = int(code.max()) + 1
    if rows.height <= kept.size + 2 or n_groups < 3:
        raise InputError(
            f"{rows.height} rows on {n_groups} tasks do not carry {kept.size} coefficients", "", "run more tasks"
        )
    notes: list[str] = []
    beta_kept, covariance = (_mixed if method == "mixed" else _least_squares)(x[:, kept], z, code, notes)
    beta = np.zeros(x.shape[1])
    beta[kept] = beta_kept
    coefficients = _coefficients(beta_kept, covariance, kept, n_groups, level)
    own_r2 = 1 - float(np.mean((z - x @ beta) ** 2))
    splits = {"group": code, "row": np.arange(rows.height)}
    found = {name: cross_validate(rows, response, by, folds=folds, seed=seed) for name, by in splits.items()}
    notes += _doubts(rows, n_groups)
    data: dict[str, Entry] = {
        "rows": rows.height,
        "tasks": n_groups,
        "groups": tuple(keys),
        "dependence": "rows of a task",
    }
    card = _card(response, method, kept, data, found, own_r2, notes)
    return PredictorFit(
        coefficients, tuple(name for at, name in enumerate(NAMES) if at not in set(kept.tolist())),
        _break_even(beta_kept, covariance, kept, scale, n_groups, level), own_r2, found["group"], found["row"],
        rows.height, n_groups, method, scale, (centre, sd), beta, card,
    )  # fmt: skip


def independent_columns(x: FloatArray) -> IntArray:
    """Return the columns that do not follow from those before them, the intercept first."""
    kept: list[int] = []
    basis = np.zeros((x.shape[0], 0))
    for at in range(x.shape[1]):
        column = x[:, at]
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)  # two passes are enough
        if np.linalg.norm(rest) > 1e-8 * max(float(np.linalg.norm(column)), 1e-300):
            kept.append(at)
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return np.array(kept, dtype=np.int64)


def _usable(table: pl.DataFrame, response: str, keys: list[str]) -> tuple[pl.DataFrame, IntArray]:
    missing = [name for name in (*COLUMNS, response, *keys) if name not in table.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", "", f"it has {', '.join(table.columns)}")
    rows = table.drop_nulls([*COLUMNS, response, *keys])
    if not rows.height:
        raise InputError("no row has all predictors", "", f"needed are {', '.join(COLUMNS)}")
    code = rows.select(pl.struct(keys).rank("dense") - 1).to_series().to_numpy().astype(np.int64)
    return rows, code


def _least_squares(x: FloatArray, z: FloatArray, code: IntArray, notes: list[str]) -> tuple[FloatArray, FloatArray]:
    """Return coefficients and their covariance by leaving out each group once."""
    n_rows, n_groups = z.size, int(code.max()) + 1
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(n_groups))
    outer = np.add.reduceat(x[order, :, None] * x[order, None, :], edges, axis=0)
    cross = np.add.reduceat(x[order] * z[order, None], edges, axis=0)
    gram, right = outer.sum(axis=0), cross.sum(axis=0)
    beta = linalg.solve(gram, right, assume_a="pos")
    rest = gram - outer
    if np.linalg.eigvalsh(rest)[:, 0].min() < 1e-9 * n_rows:
        notes.append("leaving out one task leaves some coefficients undetermined; their errors are too small")
        without = np.einsum("gij,gj->gi", np.linalg.pinv(rest, hermitian=True), right - cross)
    else:
        without = np.linalg.solve(rest, (right - cross)[:, :, None])[:, :, 0]
    off = without - without.mean(axis=0)
    return np.asarray(beta), (n_groups - 1) / n_groups * off.T @ off


def _mixed(x: FloatArray, z: FloatArray, code: IntArray, notes: list[str]) -> tuple[FloatArray, FloatArray]:
    """Return fixed effects and their covariance of a model with a random intercept for each group (REML)."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    with python_warnings.catch_warnings(record=True) as caught:
        python_warnings.simplefilter("always")
        # Its lbfgs runs to a variance of 0 with an infinite likelihood and calls that converged; these two do not.
        found: Any = MixedLM(z, x, groups=code).fit(reml=True, method=["bfgs", "powell"])
    if not (found.converged and math.isfinite(float(found.llf))):
        raise InputError("the mixed model did not converge", "method", "use least squares with errors by task")
    notes += sorted({f"mixed model: {' '.join(str(item.message).split())[:120]}" for item in caught})
    size = x.shape[1]
    return np.asarray(found.fe_params), np.asarray(found.cov_params())[:size, :size]


def _coefficients(
    beta: FloatArray, covariance: FloatArray, kept: IntArray, n_groups: int, level: float
) -> tuple[Coefficient, ...]:
    df = n_groups - 1
    se = np.sqrt(np.maximum(np.diag(covariance), 0))
    reach = float(stats.t.ppf((1 + level) / 2, df)) * se
    inner = kept > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.nan_to_num(2 * stats.t.sf(np.abs(beta / se), df), nan=1.0)[inner]
    adjusted = holm(p)
    ends = zip(kept[inner], beta[inner], reach[inner], p, adjusted, strict=True)
    return tuple(
        Coefficient(NAMES[at], Interval(float(b), float(b - r), float(b + r), level, "by task"), float(raw), float(fix))
        for at, b, r, raw, fix in ends
    )


def _break_even(
    beta: FloatArray, covariance: FloatArray, kept: IntArray, scale: Scale, n_groups: int, level: float
) -> Interval | None:
    """Return P_SA* = -beta_n / beta_(P_SA n), with Fieller's interval, in units of the score."""
    places = {NAMES[at]: place for place, at in enumerate(kept)}
    if "log_n" not in places or "P_SA*log_n" not in places:
        return None
    a, b = places["log_n"], places["P_SA*log_n"]
    low, high = fieller(
        -float(beta[a]), float(beta[b]), float(covariance[a, a]), -float(covariance[a, b]), float(covariance[b, b]),
        float(stats.t.ppf((1 + level) / 2, n_groups - 1)),
    )  # fmt: skip
    at = scale.natural("P_SA", -float(beta[a] / beta[b]))
    return Interval(at, scale.natural("P_SA", low), scale.natural("P_SA", high), level, "Fieller")


def fieller(a: float, b: float, va: float, vab: float, vb: float, t: float) -> tuple[float, float]:
    """Return the interval of a/b from their errors; (-inf, inf) when b could be 0 (Fieller 1954).

    The r with (a - r b)^2 <= t^2 (va - 2 r vab + r^2 vb).
    """
    lead, middle, last = b * b - t * t * vb, a * b - t * t * vab, a * a - t * t * va
    inside = middle * middle - lead * last
    if lead <= 0 or inside < 0:
        return -math.inf, math.inf
    root = math.sqrt(inside)
    return (middle - root) / lead, (middle + root) / lead


def _doubts(rows: pl.DataFrame, n_groups: int) -> list[str]:
    """Return why the fit may say less than it seems to."""
    found = ["efficiency holds the score that it predicts: its terms partly predict the score by itself"]
    if n_groups < FEW_GROUPS:
        found.append(f"only {n_groups} tasks: intervals of predictors that vary between tasks are rough")
    if "organisation" in rows.columns:
        code = rows["organisation"].rank("dense").to_numpy().astype(np.int64) - 1
        n = int(code.max()) + 1
        for name in COORDINATION:
            value = rows[name].cast(pl.Float64).to_numpy().astype(np.float64)
            sums = sums_by_task(value, code, n)
            if value.std() > 0 and sums.within < 1e-6 * value.var():
                found.append(f"{name} is one constant per organisation: its terms stand for the organisations")
    return found


def _card(
    response: str, method: Method, kept: IntArray, data: dict[str, Entry], found: dict[str, CrossValidation], r2: float,
    notes: list[str],
) -> FitCard:  # fmt: skip
    return FitCard(
        form={
            "equation": f"{response} = b0 + sum_j b_j x_j, all standardised", "free": tuple(NAMES[at] for at in kept),
            "source": "arXiv 2512.08296, predictors of its second version",
        },
        data=data,
        extraction={"predictors": "one value a run; interactions are products of standardised variables"},
        optimisation={
            "loss": "least squares" if method == "ols" else "REML, random intercept by task",
            "uncertainty": "leave one task out (CR3), Student's t" if method == "ols" else "Hessian, Student's t",
            "r2": r2, "hold_out_r2_tasks": found["group"].r2, "hold_out_r2_rows": found["row"].r2,
            "hold_out_error_tasks": found["group"].mae,
        },
        warnings=tuple(notes),
    )  # fmt: skip
