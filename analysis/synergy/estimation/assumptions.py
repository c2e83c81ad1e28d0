"""This module says which assumptions of the theory the data contradict, and about which they say nothing.

The theory rests on A1 to A7 (two equally hard truths, leaves independent given the task, independent symmetric
channels, a fresh shock at every node, plain majorities, a power law of the leaf, an answer that is not transmitted).
Every phase report carries this list: a number without its assumptions is no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import polars as pl
from scipy import stats

from agentsoc.errors import InputError
from analysis.synergy.estimation.channel_errors import channel_errors
from analysis.synergy.estimation.count_shapes import ShapeTest
from analysis.synergy.estimation.leaf_law import LeafFit
from analysis.synergy.estimation.node_response import ResponseFit
from analysis.synergy.estimation.sibling_correlation import RhoFit
from analysis.synergy.theory.plurality import plurality_alpha

Status = Literal["violated", "not contradicted", "not checked"]

SIZE: Final = "size"
"""Code of the check that there are tasks enough."""
FEW_TASKS: Final = 30
"""Below this many tasks intervals of any kind are to be doubted."""
_NO_PARTS: Final[Mapping[str, int]] = MappingProxyType({})
_LEVEL: Final = 0.01  # of each check: with about ten of them, one in ten sound reports carries a false alarm


LOCK: Final = "A4"
"""Code of the check of the lock, the optimistic form of shared errors."""
FORM: Final = "form"
"""Code of the check that the votes follow a form of shared errors that is known here."""
_FORM_LEVEL: Final = 0.05
"""Its level: the p is too large by far (benchmarks/study_shapes.py), so false alarms are below 2 %."""
CHANCE: Final = "chance"
"""Code of the check that votes are better than chance."""


@dataclass(frozen=True)
class Check:
    """A check holds what the data say of one assumption."""

    code: str
    """A1 to A7, or a short name."""
    status: Status
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.status}: {self.text}"


def check_chance(tables: tuple[pl.DataFrame | None, ...]) -> Check:
    """Check that votes are no worse than chance; tasks weigh alike, the first table with two tasks or more counts.

    Args:
        tables: with columns task, correct and k, or task, right, b and k.
    """
    for table in tables:
        if table is None:
            continue
        share = pl.col("correct") if "correct" in table.columns else pl.col("right") / pl.col("b")
        tasks = table.group_by("task").agg(share.mean().alias("share"), (1 / pl.col("k")).mean().alias("chance"))
        if tasks.height < 2:
            continue
        over = (tasks["share"] - tasks["chance"]).to_numpy()
        mean, se = float(over.mean()), float(over.std(ddof=1) / np.sqrt(over.size))
        right, chance = (float(tasks[name].to_numpy().mean()) for name in ("share", "chance"))
        text = f"votes are right in {right:.1%} of the cases, chance gives {chance:.1%}"
        if mean < -float(stats.t.isf(_LEVEL, over.size - 1)) * se:
            return Check(CHANCE, "violated", f"{text}: they are below chance, and what is amplified is error")
        return Check(CHANCE, "not contradicted", text)
    return Check(CHANCE, "not checked", "votes no worse than chance; needs votes on two tasks")


def check_leaf_law(leaf: LeafFit | None) -> Check:
    """Check A6, the power law of the leaf, by the deviance of the fit."""
    if leaf is None or not np.isfinite(leaf.misfit_p):
        why = (
            "no levels of compute were measured" if leaf is None else "tasks are reused, so counts are not independent"
        )
        return Check("A6", "not checked", f"power law of the leaf signal; {why}")
    if leaf.misfit_p < _LEVEL:
        return Check(
            "A6", "violated", f"leaf signals do not follow a power law of the tokens (p = {leaf.misfit_p:.2g})"
        )
    return Check("A6", "not contradicted", f"power law of the leaf signal (misfit p = {leaf.misfit_p:.2g})")


def check_difficulty(rho: RhoFit | None) -> Check:
    """Check the part of A2 that fails most often: equally hard tasks."""
    if rho is None or rho.between_variance is None:
        return Check("A2", "not checked", "equally hard tasks; needs several runs of the same tasks")
    variance = rho.between_variance
    if rho.tasks_differ and rho.one_run:
        return Check(
            "A2",
            "violated",
            f"tasks differ in difficulty, or runs share errors (variance of signal {variance.value:.3g}): each task "
            "was run once, which cannot tell these apart",
        )
    if rho.tasks_differ:
        return Check(
            "A2",
            "violated",
            f"tasks differ in difficulty (variance of signal {variance.value:.3g}): predict answers with the mixture, "
            "not from the mean signal",
        )
    return Check("A2", "not contradicted", f"equally hard tasks (variance of signal {variance.value:.2g})")


def check_runs(rho: RhoFit | None) -> Check | None:
    """Check that the nodes of a run share nothing but their task; None without several runs of several nodes."""
    if rho is None or rho.run_variance is None:
        return None
    variance = rho.run_variance
    if rho.runs_differ:
        return Check(
            "A2, runs",
            "violated",
            f"nodes of one run share errors (variance of signal {variance.value:.3g} between runs of a task), which is "
            "neither difficulty nor rho: levels of a tree do not average them out",
        )
    return Check("A2, runs", "not contradicted", f"runs share no errors beyond a node (variance {variance.value:.2g})")


def check_truths(leaves: pl.DataFrame | None) -> Check:
    """Check A1, both truths equally hard, on a table with columns task, correct and truth; the test counts tasks."""
    if leaves is None or "truth" not in leaves.columns:
        return Check("A1", "not checked", "truths equally hard; needs a column truth in the leaf trials")
    tasks = leaves.group_by("task").agg(pl.col("correct").mean(), pl.col("truth").first())
    groups = [group["correct"].to_numpy() for _, group in tasks.group_by("truth") if group.height >= 2]
    if len(groups) < 2:
        return Check("A1", "not checked", "truths equally hard; only one truth has two tasks or more")
    if all(np.ptp(group) == 0 for group in groups):
        p = 1.0 if np.ptp([group[0] for group in groups]) == 0 else 0.0
    else:
        p = float(stats.kruskal(*groups).pvalue)
    if p < _LEVEL:
        return Check("A1", "violated", f"some truths are answered better than others (p = {p:.2g}): a biased voter")
    return Check("A1", "not contradicted", f"truths equally hard (p = {p:.2g})")


def check_channel(trips: pl.DataFrame | None) -> Check:
    """Check A3, messages that err equally in both directions."""
    if trips is None or "read_correct" not in trips.columns or (trips["k"] != 2).any() or trips["m"].n_unique() > 1:
        return Check("A3", "not checked", "symmetric messages; needs round trips of one length between two answers")
    try:
        errors = channel_errors(trips)
    except InputError:
        return Check("A3", "not checked", "symmetric messages; needs right and wrong ones among those sent")
    if abs(errors.z) > float(stats.norm.isf(_LEVEL / 2)):
        return Check(
            "A3",
            "violated",
            f"messages err more one way: right to wrong {errors.e1:.3g}, wrong to right {errors.e2:.3g}; expect a "
            "smooth crossover instead of a sharp transition",
        )
    return Check("A3", "not contradicted", f"symmetric messages (z = {errors.z:.2g})")


def check_shape(shape: ShapeTest | None) -> Check:
    """Check A4's lock, the optimistic form of shared errors."""
    if shape is None:
        return Check(LOCK, "not checked", "shared errors of the lock form; needs groups of 3 received votes")
    if not shape.conditioned:
        return Check(LOCK, "not checked", "form of shared errors cannot be told from difficulty without replicates")
    if shape.preferred == "beta_binomial":
        return Check(LOCK, "violated", "shared errors follow the beta-binomial law: the lock promises too much")
    if shape.preferred is None:
        return Check(LOCK, "not checked", "too few votes to tell the lock from the beta-binomial law: take the band")
    return Check(
        "A4", "not contradicted", f"shared errors of the lock form (AIC difference {shape.aic_difference:.3g})"
    )


def check_form(shape: ShapeTest | None) -> Check | None:
    """Check that the votes follow one of the forms of shared errors that are known here; None where none was fitted."""
    if shape is None or shape.misfit is None:
        return None
    if shape.misfit < _FORM_LEVEL:
        return Check(
            FORM,
            "violated",
            f"the votes follow no form of shared errors that is known here (p = {shape.misfit:.2g}), so what nodes "
            "make of them cannot be worked out",
        )
    return Check(FORM, "not contradicted", f"the votes fit a known form of shared errors (p = {shape.misfit:.2g})")


def check_majority(response: ResponseFit | None) -> Check:
    """Check A5, nodes that take plain majorities of what they read."""
    if response is None or not np.isfinite(response.misfit_p):
        return Check("A5", "not checked", "nodes take plain majorities and add nothing; needs merges in the log")
    if response.misfit_p < _LEVEL:
        return Check(
            "A5", "violated", f"nodes do not answer like a noisy majority with a lock (p = {response.misfit_p:.2g})"
        )
    return Check("A5", "not contradicted", f"nodes answer like noisy majorities (misfit p = {response.misfit_p:.2g})")


def check_sent(sent: RhoFit | None) -> Check:
    """Check that votes are independent given the task when they are sent, where rho is taken from merges alone."""
    if sent is None:
        return Check("A2, siblings", "not checked", "votes independent given the task before they are sent")
    if sent.within is None:
        why = sent.refusals[0] if sent.refusals else "no replicates"
        return Check("A2, siblings", "not checked", f"votes independent given the task before they are sent; {why}")
    if sent.within.value > float(stats.norm.isf(_LEVEL)) * sent.within.se:
        return Check(
            "A2, siblings",
            "violated",
            f"sent votes already share errors (rho = {sent.within.value:.3g}), which the rho of merges leaves out",
        )
    return Check(
        "A2, siblings", "not contradicted", f"sent votes independent given the task (rho {sent.within.value:.2g})"
    )


def check_answers(tables: tuple[pl.DataFrame | None, ...], b: int, gamma: float | None) -> Check:
    """Check that there are two answers: with more, alpha holds only for wrong answers that concentrate on one."""
    found = sorted({int(k) for table in tables if table is not None for k in table["k"].unique().to_list()})
    if found == [2]:
        return Check("K", "not contradicted", "two answers")
    text = (
        f"{found} answers instead of two: alpha holds where wrong answers concentrate on one; where they spread, "
        "growth at chance differs, and strong signals may grow although weak ones die"
    )
    if gamma is not None and len(found) == 1:
        spread = float(plurality_alpha(b, found[0], float(np.clip(gamma, 0, 1)), 0.0))
        text += f" (alpha with spread wrong answers and rho = 0: {spread:.3g})"
    return Check("K", "violated", text)


def check_size(n_tasks: int, of_each: Mapping[str, int] = _NO_PARTS) -> Check:
    """Check that there are tasks enough for intervals, for each estimate by the tasks that it rests on.

    Args:
        n_tasks: tasks of all tables.
        of_each: tasks behind each estimate, by its name.
    """
    if n_tasks < FEW_TASKS:
        return Check(SIZE, "violated", f"{n_tasks} tasks; below {FEW_TASKS} no interval here is to be trusted")
    few = [f"{name} from {n}" for name, n in of_each.items() if n < FEW_TASKS]
    if few:
        text = f"{n_tasks} tasks, but {', '.join(few)}; below {FEW_TASKS} an interval is not to be trusted"
        return Check(SIZE, "violated", text)
    return Check(SIZE, "not contradicted", f"{n_tasks} tasks")
