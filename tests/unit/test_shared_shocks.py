"""What siblings, the nodes of a run and the runs of a task share is told apart: rho, run and difficulty."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.synergy.estimation.assumptions import check_difficulty, check_runs
from analysis.synergy.estimation.sibling_correlation import RhoFit, estimate_rho

SHARED = "nodes of one run share errors"
EITHER = "tasks differ in difficulty, or runs share errors"
TASKS = "tasks differ in difficulty (variance"


def votes(
    seed: int, *, task: float = 0.0, run: float = 0.0, rho: float = 0.0, runs: int = 2, nodes: int = 4, tasks: int = 80
) -> pl.DataFrame:
    """Return votes of five siblings a node; signals vary by task and by run with these standard deviations."""
    rng = np.random.default_rng(seed)
    shape = (tasks, runs, nodes, 5)
    mu = 0.3 + task * rng.choice([-1, 1], (tasks, 1, 1, 1)) + run * rng.choice([-1, 1], (tasks, runs, 1, 1))
    right = rng.random(shape) < (1 + mu) / 2
    right = np.where(rng.random((*shape[:3], 1)) < rho, right[..., :1], right)
    t, r, n, a = (index.reshape(-1) for index in np.indices(shape))
    return pl.DataFrame({"task": t, "run": r, "node": n, "agent": a, "correct": right.reshape(-1).astype(float)})


def said(fit: RhoFit) -> str:
    runs = check_runs(fit)
    return f"{check_difficulty(fit).text} | {'' if runs is None else runs.text} | {fit.summary()}"


def test_a_shock_of_a_run_is_no_difficulty_of_its_task() -> None:
    of_run, of_task = estimate_rho(votes(1, run=0.3)), estimate_rho(votes(2, task=0.3))
    assert (of_run.runs_differ, of_run.tasks_differ) == (True, False)
    assert (of_task.runs_differ, of_task.tasks_differ) == (False, True)
    assert SHARED in said(of_run)
    assert TASKS not in said(of_run)
    assert SHARED not in said(of_task)
    assert TASKS in said(of_task)
    assert of_run.run_variance is not None
    assert of_task.between_variance is not None
    assert of_run.run_variance.covers(0.09)
    assert of_task.between_variance.covers(0.09)


def test_errors_that_siblings_share_are_neither() -> None:
    fit = estimate_rho(votes(3, rho=0.3))
    assert (fit.runs_differ, fit.tasks_differ) == (False, False)
    assert fit.within is not None
    assert fit.within.covers(0.3)
    assert "runs share no errors beyond a node" in said(fit)
    assert SHARED not in said(fit)


def test_tasks_that_were_run_once_leave_run_and_task_as_one() -> None:
    for parts in ({"run": 0.3}, {"task": 0.3}):
        fit = estimate_rho(votes(4, runs=1, **parts))  # type: ignore[arg-type]
        assert fit.one_run
        assert fit.tasks_differ
        assert EITHER in said(fit)
        assert TASKS not in said(fit)
        assert "tasks or runs (each task was run once)" in fit.summary()
    twice = estimate_rho(votes(4, task=0.3))
    assert not twice.one_run
    assert EITHER not in said(twice)
    assert "was run once" not in twice.summary()


def test_one_node_a_run_says_nothing_of_what_runs_share() -> None:
    fit = estimate_rho(votes(5, nodes=1))
    assert fit.run_variance is None
    assert check_runs(fit) is None
    assert "runs of a task" not in fit.summary()


@pytest.mark.parametrize("parts", [{}, {"task": 0.3}, {"rho": 0.3}])
def test_a_shock_of_runs_is_seldom_invented(parts: dict[str, float]) -> None:
    """100 samples without one, each with a false alarm of about 1 %: more than 5 in one of 2,000 seeds."""
    fits = [estimate_rho(votes(100 + seed, tasks=40, **parts)) for seed in range(100)]  # type: ignore[arg-type]
    assert sum(fit.runs_differ for fit in fits) <= 5
