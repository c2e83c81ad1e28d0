"""Intervals of tail parameters: profile likelihoods against brute force, and small coverage checks with fixed seeds.

The whole coverage study, 1,000 replicates a row, is `benchmarks/study_tail_coverage.py`; its table is in
docs/reading-the-laws.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from analysis.cascade_laws.nulls import pareto
from analysis.claims.cascade_kernels import find_claim
from analysis.interval import Interval
from analysis.tails import Resampling, cluster_interval, fit_at, fit_tail, histogram, select_xmin, value_interval
from analysis.tails.binned import masses, per_value
from analysis.tails.competitor import COMPETITORS, TailModel
from analysis.tails.competitors.exponential import fit_exponential
from analysis.tails.competitors.lognormal import fit_lognormal
from analysis.tails.competitors.stretched import fit_stretched
from analysis.tails.competitors.truncated import fit_truncated
from analysis.tails.histogram import Histogram
from analysis.tails.masses import lognormal_bins, lognormal_density
from analysis.tails.partition import log_partition
from analysis.tails.profile import profile

CUT = 0.5 * float(chi2.ppf(0.95, 1))


def parameter_intervals(model: TailModel, tail: Histogram) -> dict[str, Interval]:
    return dict(COMPETITORS.get(model.name).intervals(model, tail))


def fitted(kind: str, values: NDArray[np.float64]) -> tuple[TailModel, Histogram]:
    sample = histogram(values)
    power = fit_at(sample, 1.0)
    makers = {"truncated": fit_truncated, "lognormal": fit_lognormal, "stretched": fit_stretched}
    if kind == "exponential":
        return fit_exponential(sample, 1.0), sample
    return makers[kind](sample, power), sample


def truncated_draws(alpha: float, rate: float, n: int, seed: int) -> NDArray[np.float64]:
    k = np.arange(1.0, 5000.0)
    mass = k**-alpha * np.exp(-rate * k)
    return np.random.default_rng(seed).choice(k, size=n, p=mass / mass.sum())


def test_the_profile_of_a_paraboloid_is_the_textbook_interval() -> None:
    """Correlated normal likelihood: the profile of a has the marginal error, whatever the correlation."""

    def f(a: float, b: float) -> float:
        return -0.5 * (a * a - 1.6 * a * b + b * b) / (1 - 0.64)

    found = profile(lambda a, b: f(a - 3.0, b + 1.0), 100, (3.0, -1.0), ((-1e9, 1e9), (-1e9, 1e9)))
    assert found.low == pytest.approx(3.0 - 0.196, abs=2e-4)
    assert found.high == pytest.approx(3.0 + 0.196, abs=2e-4)
    assert not found.open_low
    assert not found.open_high


def test_a_parameter_without_a_limit_has_an_open_interval() -> None:
    found = profile(lambda a, b: -math.exp(-a) - b * b, 10, (5.0, 0.0), ((0.0, 5.0), (-1.0, 1.0)))
    assert (found.high, found.open_high) == (5.0, True)
    assert "[" in found.brackets()
    assert found.brackets().endswith(")")


@pytest.mark.parametrize("seed", [1, 2])
def test_intervals_of_the_truncated_law_are_those_of_a_fine_grid(seed: int) -> None:
    """Largest and least alpha and rate among grid points that lose at most half a chi-square quantile."""
    model, tail = fitted("truncated", truncated_draws(1.5, 0.02, 2000, seed))
    found = parameter_intervals(model, tail)
    log, mean = (float(np.average(x, weights=tail.counts)) for x in (tail.logs, tail.values - 1.0))
    alphas = np.linspace(found["alpha"].low - 0.03, found["alpha"].high + 0.03, 241)
    rates = np.linspace(max(found["rate"].low - 0.002, 0.0), found["rate"].high + 0.002, 241)
    likelihood = np.array(
        [[tail.n * (-a * log - r * mean - log_partition(a, r, 1.0, True)) for r in rates] for a in alphas]
    )
    inside = likelihood > model.loglik - CUT
    assert found["alpha"].low == pytest.approx(alphas[inside.any(axis=1)][0], abs=1.5 * (alphas[1] - alphas[0]))
    assert found["alpha"].high == pytest.approx(alphas[inside.any(axis=1)][-1], abs=1.5 * (alphas[1] - alphas[0]))
    assert found["rate"].low == pytest.approx(rates[inside.any(axis=0)][0], abs=1.5 * (rates[1] - rates[0]))
    assert found["rate"].high == pytest.approx(rates[inside.any(axis=0)][-1], abs=1.5 * (rates[1] - rates[0]))


def test_intervals_of_the_lognormal_are_those_of_a_fine_grid() -> None:
    values = np.rint(np.random.default_rng(3).lognormal(1.5, 1.0, 1500))
    model, tail = fitted("lognormal", values[values > 0])
    found = parameter_intervals(model, tail)
    f = per_value(masses(tail, 1.0, lognormal_bins, lognormal_density), tail)
    start = math.log(0.5)
    mus = np.linspace(found["mu"].low - 0.05, found["mu"].high + 0.05, 201)
    sigmas = np.linspace(found["sigma"].low - 0.03, found["sigma"].high + 0.03, 201)
    likelihood = np.array([[tail.n * f((start - m) / s**2, -2 * math.log(s)) for s in sigmas] for m in mus])
    inside = likelihood > model.loglik - CUT
    for name, grid, axis in (("mu", mus, 1), ("sigma", sigmas, 0)):
        reached = grid[inside.any(axis=axis)]
        assert found[name].low == pytest.approx(reached[0], abs=1.5 * (grid[1] - grid[0])), name
        assert found[name].high == pytest.approx(reached[-1], abs=1.5 * (grid[1] - grid[0])), name


@pytest.mark.parametrize(
    ("kind", "name", "truth", "draw"),
    [
        ("truncated", "alpha", 1.5, lambda seed: truncated_draws(1.5, 0.01, 500, seed)),
        ("truncated", "rate", 0.01, lambda seed: truncated_draws(1.5, 0.01, 500, seed)),
        ("lognormal", "sigma", 1.0, lambda seed: np.rint(np.random.default_rng(seed).lognormal(2, 1, 500))),
        ("stretched", "beta", 0.5, lambda seed: np.rint(50 * np.random.default_rng(seed).exponential(1, 500) ** 2)),
        ("exponential", "rate", 0.05, lambda seed: 1 + np.floor(np.random.default_rng(seed).exponential(20, 500))),
    ],
)
def test_profile_intervals_cover_at_a_given_threshold(kind: str, name: str, truth: float, draw: object) -> None:
    """100 samples: 95 +- 2.2 cover; fewer than 87 once in 1,000."""
    covered = 0
    for seed in range(100):
        values = draw(seed)  # type: ignore[operator]
        found = parameter_intervals(*fitted(kind, values[values > 0]))[name]
        covered += found.low <= truth <= found.high
    assert covered >= 87


def test_the_bootstrap_covers_the_exponent_where_the_error_at_the_chosen_threshold_does_not() -> None:
    """An exponential body that goes over into a power law above 20, 100 samples: 95 +- 2.2 cover, against 82."""
    body = np.arange(1.0, 20.0)
    share = np.exp(-2.5 * (body / 20.0 - 1.0))
    above = float(np.sum((np.arange(20.0, 1e6) / 20.0) ** -2.5))
    covered = plain = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n_tail = int(rng.binomial(1000, above / (above + share.sum())))
        values = np.concatenate(
            [rng.choice(body, 1000 - n_tail, p=share / share.sum()), pareto(2.5, n_tail, xmin=20.0, seed=seed)]
        )
        sample = histogram(values)
        fit = select_xmin(sample)
        assert fit is not None
        found = value_interval(sample, fit, replicates=100, seed=seed).alpha
        covered += found.low <= 2.5 <= found.high
        plain += abs(fit.alpha - 2.5) <= 1.96 * fit.se
    assert covered >= 87
    assert plain < covered


def test_few_clusters_widen_the_interval() -> None:
    """Percentiles over five clusters are taken further out than over five hundred."""
    values = pareto(2.5, 500, seed=4)
    fit = fit_at(histogram(values), 1.0)

    def width(clusters: int) -> float:
        found = cluster_interval(values, np.arange(500) % clusters, fit, replicates=400, refit=None)
        return (found.high - found.low) / found.se

    assert width(5) > 1.2 * width(500)


def test_the_intervals_of_an_examination_are_wider_where_the_threshold_was_chosen() -> None:
    values = truncated_draws(1.5, 0.01, 3000, 7)
    given = fit_tail(values, xmin=1.0, resampling=Resampling(interval=50))
    chosen = fit_tail(values, resampling=Resampling(interval=50))
    assert given.interval is not None
    assert not given.interval.refit_xmin
    assert chosen.interval is not None
    assert chosen.interval.refit_xmin
    assert chosen.power is not None
    only = parameter_intervals(chosen.models["truncated_power_law"], chosen.sample.tail(chosen.power.xmin))
    for name, found in chosen.ranges["truncated_power_law"].items():
        assert found.low <= only[name].low
        assert found.high >= only[name].high
    assert fit_tail(values).ranges == {}


def test_claims_are_found_however_their_ids_are_spaced() -> None:
    rng = np.random.default_rng(2)
    spacings = (
        np.ones(300),
        rng.integers(1, 9, 300),
        rng.zipf(1.2, 300).clip(1, 10**12),
        np.tile([1, 1, 1, 2**32], 75),
    )
    for spacing in spacings:
        claims = np.cumsum(spacing.astype(np.int64))
        for lo, hi in ((0, 300), (10, 11), (50, 290)):
            inside = claims[lo:hi]
            wanted = np.unique(np.concatenate([inside, inside + 1, inside - 1, [0, 2**60]]))
            for claim in wanted:
                at = int(np.searchsorted(inside, claim))
                exists = at < len(inside) and inside[at] == claim
                assert find_claim(claims, lo, hi, int(claim)) == (lo + at if exists else -1)
