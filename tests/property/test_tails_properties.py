"""Properties of the tail fits, against scipy and brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import zeta

from analysis.tails import LeastTail, fit_at, fit_tail, histogram, select_xmin
from analysis.tails.competitors.exponential import fit_exponential
from analysis.tails.competitors.lognormal import fit_lognormal
from analysis.tails.competitors.stretched import fit_stretched
from analysis.tails.competitors.truncated import fit_truncated
from analysis.tails.histogram import Histogram
from analysis.tails.kernels import invert, zeta_sums
from analysis.tails.partition import log_partition
from analysis.tails.powerlaw import log_mass, survival

SETTINGS = settings(max_examples=50, deadline=None, derandomize=True)
ALPHAS = st.floats(1.05, 20.0)
STARTS = st.integers(1, 5000)


@st.composite
def samples(draw: st.DrawFn, least: int = 60, most: int = 400) -> np.ndarray:
    """Draw whole numbers from one of several laws."""
    n = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["zipf", "lognormal", "geometric", "few"]))
    if kind == "zipf":
        return np.minimum(rng.zipf(draw(st.floats(1.2, 4.0)), n), 10**9).astype(float)
    if kind == "lognormal":
        return np.floor(rng.lognormal(draw(st.floats(0, 8)), draw(st.floats(0.1, 2)), n)) + 1
    if kind == "geometric":
        return rng.geometric(draw(st.floats(0.01, 0.9)), n).astype(float)
    return rng.integers(1, draw(st.integers(6, 12)), n).astype(float)


@SETTINGS
@given(alpha=ALPHAS, q=STARTS)
def test_the_zeta_sum_is_the_hurwitz_zeta_function(alpha: float, q: int) -> None:
    assume(alpha * np.log(q) < 600)
    s0, s1, _ = zeta_sums(alpha, float(q))
    assert abs(s0 / (zeta(alpha, q) * q**alpha) - 1) < 1e-11
    h = 1e-5
    slope = (np.log(zeta(alpha + h, q)) - np.log(zeta(alpha - h, q))) / (2 * h) + np.log(q)
    assert abs(s1 / s0 + slope) < 1e-4 * max(1.0, s1 / s0)


@SETTINGS
@given(alpha=ALPHAS, q=STARTS)
def test_a_truncated_law_without_cut_off_has_the_constant_of_the_power_law(alpha: float, q: int) -> None:
    assert abs(log_partition(alpha, 0.0, float(q), True) - np.log(zeta_sums(alpha, float(q))[0])) < 1e-11
    assert abs(log_partition(alpha, 0.0, float(q), False) - np.log(q / (alpha - 1))) < 1e-11


@SETTINGS
@given(alpha=st.floats(-1.0, 8.0), rate=st.floats(1e-3, 3.0), q=st.integers(1, 300))
def test_the_truncated_constant_is_the_plain_sum_and_the_plain_integral(alpha: float, rate: float, q: int) -> None:
    k = np.arange(q, q + int(60 / rate) + 400, dtype=float)
    total = np.sum(np.exp(-alpha * np.log(k / q) - rate * (k - q)))
    assert abs(log_partition(alpha, rate, float(q), True) - np.log(total)) < 1e-9

    def density(u: float) -> float:
        return float(q * np.exp((1 - alpha) * u - rate * q * np.expm1(u)))

    whole, _ = quad(density, 0, 40, limit=400, epsabs=0, epsrel=1e-11, points=[0.01, 0.1, 1.0, 3.0])
    assert abs(log_partition(alpha, rate, float(q), False) - np.log(whole)) < 1e-7


@SETTINGS
@given(x=samples())
def test_the_selected_threshold_is_the_best_of_all_by_brute_force(x: np.ndarray) -> None:
    """Distances are taken over every whole number, exponents on a fine grid around the fit."""
    found = select_xmin(histogram(x), min_tail=20, min_distinct=3)
    distinct = np.unique(x)
    allowed = [q for q in distinct if np.sum(x >= q) >= 20 and np.sum(distinct >= q) >= 3]
    assert (found is None) == (not allowed)
    if found is None:
        return
    best = np.inf
    for q in allowed:
        tail = x[x >= q]
        fit = fit_at(histogram(x), q)
        # the supremum over all whole numbers is reached at a value of the tail or just below one
        near = np.unique(np.concatenate([tail, tail - 1]))
        near = near[near >= q]
        law = 1 - np.array([zeta_sums(fit.alpha, v + 1)[0] for v in near]) * (near + 1) ** -fit.alpha / (
            zeta_sums(fit.alpha, q)[0] * q**-fit.alpha
        )
        data = np.searchsorted(np.sort(tail), near, side="right") / len(tail)
        distance = np.max(np.abs(law - data))
        assert abs(distance - fit.ks) < 1e-9
        best = min(best, distance)
    assert abs(found.ks - best) < 1e-9


@SETTINGS
@given(x=samples())
def test_the_exponent_maximises_the_likelihood(x: np.ndarray) -> None:
    sample = histogram(x)
    fit = fit_at(sample, float(x.min()))
    assume(not fit.at_bound)
    logs = np.sum(np.log(x))

    def loglik(a: float) -> float:
        return float(-a * logs - len(x) * (np.log(zeta_sums(a, fit.xmin)[0]) - a * np.log(fit.xmin)))

    assert abs(loglik(fit.alpha) - fit.loglik) < 1e-6 * abs(fit.loglik) + 1e-6
    for step in (1e-4, 1e-2):
        assert loglik(fit.alpha) >= max(loglik(fit.alpha + step), loglik(max(fit.alpha - step, 1.0001))) - 1e-9


@SETTINGS
@given(x=samples(), scale=st.floats(1e-3, 1e3))
def test_continuous_exponents_do_not_change_with_the_unit(x: np.ndarray, scale: float) -> None:
    assume(len(np.unique(x)) >= 5)
    one, other = (select_xmin(histogram(x * s, discrete=False), min_tail=10) for s in (1.0, scale))
    assert one is not None
    assert other is not None
    assert abs(one.ks - other.ks) < 1e-9


@SETTINGS
@given(x=samples(), xmin_rank=st.floats(0.0, 0.5))
def test_every_discrete_model_is_a_probability_and_none_is_worse_than_the_law_it_contains(
    x: np.ndarray, xmin_rank: float
) -> None:
    """Log masses are at most zero and add up to the log-likelihood; those of the power law sum to one."""
    xmin = float(np.quantile(x, xmin_rank, method="lower"))
    sample = histogram(x)
    tail = sample.tail(xmin)
    assume(len(tail.values) >= 5)
    power = fit_at(sample, xmin)
    every = Histogram(np.arange(xmin, xmin + 4000), np.ones(4000, np.int64), True)
    for fit in (
        fit_exponential(tail, xmin),
        fit_truncated(tail, power),
        fit_lognormal(tail, power),
        fit_stretched(tail, power),
    ):
        assert np.isfinite(fit.loglik)
        assert abs(fit.loglik - float(tail.counts @ fit.log_mass)) < 1e-9 * abs(fit.loglik) + 1e-9
        assert np.all(fit.log_mass <= 1e-12)
    mass = log_mass(power, every)
    rest = survival(power, np.array([xmin + 4000]), discrete=True)[0]
    assert abs(np.exp(mass).sum() + rest - 1) < 1e-9
    assert fit_truncated(tail, power).loglik >= power.loglik - 1e-9 * abs(power.loglik)


@SETTINGS
@given(seed=st.integers(0, 2**32 - 1), xmin=st.integers(1, 50), mean=st.floats(2.0, 40.0))
def test_masses_of_all_values_sum_to_one(seed: int, xmin: int, mean: float) -> None:
    """The histogram holds every whole number from xmin on, many with count zero, so log_mass covers the support."""
    rng = np.random.default_rng(seed)
    every = np.arange(xmin, xmin + 3000)
    draws = xmin + rng.geometric(1 / mean, 20_000) - 1
    counts = np.bincount(draws - xmin, minlength=3000)[:3000]
    tail = Histogram(every.astype(float), counts.astype(np.int64), True)
    power = fit_at(tail, float(xmin))
    for fit in (
        fit_exponential(tail, xmin),
        fit_truncated(tail, power),
        fit_lognormal(tail, power),
        fit_stretched(tail, power),
    ):
        assert abs(np.exp(fit.log_mass).sum() - 1) < 1e-3, fit.name


@SETTINGS
@given(x=samples())
def test_likelihood_ratios_change_sign_with_the_order_and_fits_are_finite(x: np.ndarray) -> None:
    found = fit_tail(x, xmin=LeastTail(20, 3))
    if found.power is None:
        return
    for test in found.tests.values():
        assert np.isfinite(test.ratio)
        assert 0 <= test.p <= 1
        assert test.log10_p <= 0
        if test.z is not None:
            assert test.z == 0 or np.sign(test.z) == np.sign(test.ratio)
    assert found.tests["truncated_power_law"].ratio <= 0
    direct = found.models["lognormal"].loglik - found.models["truncated_power_law"].loglik
    assert abs(found.tests["tpl_vs_lognormal"].ratio + direct) < 1e-6 * (1 + abs(direct))


@SETTINGS
@given(alpha=st.floats(1.1, 6.0), q=st.integers(1, 100), level=st.floats(1e-9, 1.0))
def test_inverse_sampling_is_exact(alpha: float, q: int, level: float) -> None:
    x = invert(np.array([level]), alpha, float(q), float(q))[0]
    assume(x < 2.0**45)

    def reach(v: float) -> float:
        return float((v / q) ** -alpha * zeta_sums(alpha, v)[0] / zeta_sums(alpha, float(q))[0])

    assert reach(x) >= level * (1 - 1e-12)
    assert reach(x + 1) < level * (1 + 1e-12)
