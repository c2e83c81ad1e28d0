"""A correlation is told however wide its interval is; what is refused then is the decision, with the reason."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis.synergy.estimation.estimate import Measurements, estimate_phase
from analysis.synergy.estimation.fidelity_fit import fit_fidelity, gamma_interval
from analysis.synergy.estimation.interval import WIDEST, Estimate
from analysis.synergy.estimation.known import KnownParameters
from analysis.synergy.estimation.node_response import fit_response
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.phase_of_runs import phase_of_votes
from benchmarks.study_rho import merged
from benchmarks.study_shapes import votes
from tests.nightly import NIGHTLY

ROUGH = "undecided, because the interval of rho is wider than 0.5; measure more merges or replicates"


def of_votes(tasks: int, gamma: float = 0.95, rho: float = 0.05) -> PhaseEstimate:
    return phase_of_votes(votes("lock", rho=rho, gamma=gamma, tasks=tasks, mu=0.1), gamma=gamma)[0]


def test_a_wide_rho_is_told_and_decides_nothing() -> None:
    wide, narrow = of_votes(10), of_votes(200)
    assert wide.rho is not None
    assert narrow.rho is not None
    assert wide.rho.width > WIDEST > narrow.rho.width
    assert f"rho = {wide.rho} from replicates" in wide.summary()
    assert ROUGH in wide.summary()
    assert ROUGH not in narrow.summary()
    assert (wide.verdict, narrow.verdict) == ("undecided", "amplify")
    assert narrow.too_rough == ()


def test_few_tasks_behind_an_estimate_decide_nothing_either() -> None:
    few = of_votes(28)
    assert few.rho is not None
    assert few.rho.width < WIDEST
    assert few.verdict == "undecided"
    assert "because 28 tasks; below 30 no interval here is to be trusted" in few.summary()
    assert "below 30" not in of_votes(40).summary()


def test_a_gamma_of_few_round_trips_is_told_and_decides_nothing() -> None:
    def with_trips(n: int) -> PhaseEstimate:
        rng = np.random.default_rng(3)
        read = np.where(rng.random(n) < 0.95, "A", "B")
        trips = pl.DataFrame({"task": [f"g{i}" for i in range(n)], "m": 9.0, "sent": ["A"] * n, "read": read, "k": 2})
        received = votes("lock", rho=0.05, gamma=0.95, tasks=200, mu=0.1).with_columns(k=pl.lit(2))
        data = Measurements(trips=trips, votes=received)
        return estimate_phase(data, 5, known=KnownParameters(rho=0.05), n_draws=200)

    wide, narrow = with_trips(7), with_trips(400)
    assert wide.gamma is not None
    assert narrow.gamma is not None
    assert wide.gamma.width > WIDEST > narrow.gamma.width
    words = "because the interval of gamma is wider than 0.5; measure more round trips or merges"
    assert words in wide.summary()
    assert words not in narrow.summary()
    assert (wide.verdict, narrow.verdict) == ("undecided", "amplify")


def test_rho_of_few_merges_is_not_too_small_on_average_for_being_told() -> None:
    """30 samples, 100 each night, of 40 merges with rho .2: those that are narrow have a mean of .06."""
    found = [merged(np.random.default_rng([1, seed]), 40, 0.2) for seed in range(100 if NIGHTLY else 30)]
    told = [one for one in found if one is not None]
    assert len(told) == len(found)
    assert np.mean([one.value for one in told]) >= 0.2
    assert np.mean([one.value for one in told if one.width <= WIDEST]) < 0.15
    assert np.mean([one.covers(0.2) for one in told]) >= 0.87  # a true 95 % of 100 falls below in one of 1,000 cases


def perfect(n_tasks: int, each: int, n_right: int) -> pl.DataFrame:
    """Return merges of five votes, of which `n_right` are right, whose nodes answer as the majority."""
    task = np.repeat(np.arange(n_tasks), each)
    fixed = {"b": 5, "right": n_right, "first": 1, "out": int(n_right * 2 > 5), "k": 2}
    return pl.DataFrame({"task": task, **{name: np.full(task.size, value) for name, value in fixed.items()}})


def test_votes_that_all_agree_leave_rho_open_however_often_they_are_drawn_again() -> None:
    """Every resample of equal merges is the same: once that gave rho 0 [0, 0], and a regime."""
    found = fit_response(perfect(40, 3, 5))
    assert found.gamma is not None
    assert found.rho is not None
    assert (found.rho.low, found.rho.high) == (0, 1)
    kept = (1 + found.gamma.low) / 2
    chance = float(stats.binom.sf(2, 5, kept)) ** 40  # of 40 right majorities, at the end of the interval
    assert -2 * np.log(chance) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-3)
    assert found.gamma.high == 1


def test_where_resamples_do_not_differ_the_interval_is_that_of_one_merge_a_task() -> None:
    often, once = fit_response(perfect(40, 3, 3)), fit_response(perfect(40, 1, 3))
    assert often.rho is not None
    assert once.rho is not None
    assert often.rho.low == once.rho.low == 0
    assert often.rho.high == pytest.approx(once.rho.high, abs=1e-6)
    assert often.gamma is not None
    assert often.gamma.method == "profile"
    differing = fit_response(merged_twice())
    assert differing.rho is not None
    assert differing.rho.method == "bootstrap"


def merged_twice() -> pl.DataFrame:
    """Return two merges a task whose nodes hear with fidelity .8."""
    rng = np.random.default_rng(5)
    task = np.repeat(np.arange(60), 2)
    sent = rng.random((task.size, 5)) < 0.6
    read = sent ^ (rng.random(sent.shape) < 0.1)
    columns = {"task": task, "b": np.full(task.size, 5), "right": sent.sum(axis=1), "first": sent[:, 0].astype(int)}
    return pl.DataFrame({**columns, "out": (read.sum(axis=1) > 2).astype(int), "k": np.full(task.size, 2)})


def test_a_gamma_without_one_wrong_reading_has_the_interval_of_its_tasks() -> None:
    def gamma(n_tasks: int, each: int, wrong: int) -> Estimate:
        n = n_tasks * each
        read = ["B" if i < wrong else "A" for i in range(n)]
        names = [f"g{i // each}" for i in range(n)]
        trips = pl.DataFrame({"task": names, "m": 9.0, "sent": ["A"] * n, "read": read, "k": 2})
        return fit_fidelity(trips).points[0].gamma

    assert gamma(20, 4, 0) == gamma_interval(20, 20, 0.5)
    assert gamma(20, 4, 0).low < 0.8
    assert gamma(20, 4, 8).method == "bootstrap"
    assert gamma(20, 1, 3) == gamma_interval(17, 20, 0.5)
