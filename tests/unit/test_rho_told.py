"""A correlation is told however wide its interval is; what is refused then is the decision, with the reason."""

from __future__ import annotations

import numpy as np
import polars as pl

from analysis.synergy.estimation.estimate import Measurements, estimate_phase
from analysis.synergy.estimation.interval import WIDEST
from analysis.synergy.estimation.known import KnownParameters
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
