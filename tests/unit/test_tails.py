"""Tail fits on samples whose law is known, and the careful words that must come out of them."""

from __future__ import annotations

import numpy as np
import pytest

from agentsoc.errors import InputError
from analysis.tails import (
    Resampling,
    SampleDesign,
    cluster_interval,
    fit_at,
    fit_tail,
    goodness_of_fit,
    histogram,
    select_xmin,
    xmin_curve,
)
from analysis.tails.kernels import ALPHA_MAX, zeta_sums
from analysis.tails.verdict import DesignRepeats


def zeta_draws(alpha: float, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).zipf(alpha, n).astype(float)


def test_the_exponent_of_a_single_value_is_the_root_of_its_likelihood_equation() -> None:
    """All values 1 and 2: E[log x] under the law is the mean log, whatever the rest of the machinery does."""
    x = np.array([1.0] * 90 + [2.0] * 10)
    alpha = fit_at(histogram(x), 1.0).alpha
    s0, s1, _ = zeta_sums(alpha, 1.0)
    assert s1 / s0 == pytest.approx(0.1 * np.log(2), rel=1e-12)


@pytest.mark.parametrize("alpha", [1.3, 1.8, 2.5, 3.5])
def test_a_planted_exponent_lies_within_its_standard_error(alpha: float) -> None:
    """Twenty seeds; the normalised errors have root mean square in [0.6, 1.5], which fails once in a thousand."""
    scores = []
    for seed in range(20):
        fit = fit_at(histogram(np.minimum(zeta_draws(alpha, 3000, seed), 1e15)), 1.0)
        scores.append((fit.alpha - alpha) / fit.se)
    assert 0.6 < np.sqrt(np.mean(np.square(scores))) < 1.5


def test_standard_errors_come_from_the_discrete_law_not_from_the_continuous_one() -> None:
    fit = fit_at(histogram(zeta_draws(2.5, 5000, 1)), 1.0)
    assert fit.sigma == pytest.approx((fit.alpha - 1) / np.sqrt(5000))
    assert fit.se > 1.1 * fit.sigma


def test_the_threshold_leaves_out_the_body_that_follows_another_law() -> None:
    """A flat body below 20 and a power law above, five seeds; KS selection is known to go somewhat too high."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        tail = np.floor(19.5 * (1 - rng.random(4000)) ** (-1 / 1.4) + 0.5)
        x = np.concatenate([rng.integers(1, 20, 4000), tail])
        found = select_xmin(histogram(x))
        assert found is not None
        assert 18 <= found.xmin <= 80
        assert abs(found.alpha - 2.4) < 3.5 * found.se


def test_the_curve_over_thresholds_holds_the_selected_one() -> None:
    sample = histogram(zeta_draws(2.2, 3000, 2))
    found, curve = select_xmin(sample), xmin_curve(sample)
    assert found is not None
    at = int(np.argmin(curve.ks))
    assert (curve.xmin[at], curve.alpha[at], curve.n_tail[at]) == (found.xmin, found.alpha, found.n_tail)
    assert np.all(np.diff(curve.n_tail) < 0)


def test_thresholds_leave_enough_values_and_enough_distinct_ones() -> None:
    few = histogram(np.arange(1.0, 50.0))
    assert select_xmin(few) is None
    equal = histogram(np.repeat([1.0, 2.0, 3.0, 4.0], 100))
    assert select_xmin(equal) is None
    assert select_xmin(equal, min_distinct=4) is not None


@pytest.mark.parametrize("values", [[-1.0], [np.nan], [1.5]])
def test_values_that_are_no_sizes_are_refused(values: list[float]) -> None:
    with pytest.raises(InputError):
        histogram(values)


@pytest.mark.parametrize("xmin", [0.0, 2.5, 1e9])
def test_thresholds_that_no_value_reaches_or_could_have_are_refused(xmin: float) -> None:
    with pytest.raises(InputError, match="xmin"):
        fit_at(histogram(zeta_draws(2.5, 100, 0)), xmin)


def test_a_light_tail_ends_at_the_bound_of_the_exponent_and_says_so() -> None:
    x = 500 + np.random.default_rng(0).poisson(2, 2000)
    fit = fit_at(histogram(x), 500.0)
    assert fit.at_bound
    assert fit.alpha == ALPHA_MAX
    assert fit_tail(x, xmin=500.0).verdict.word == "degenerate"


def test_goodness_of_fit_rejects_a_true_power_law_as_often_as_it_should() -> None:
    """p <= 0.1 in 10 % of 150 samples: 15 +- 3.7; outside [5, 27] once in a thousand."""
    rejected = 0
    for seed in range(150):
        sample = histogram(zeta_draws(2.3, 400, seed))
        fit = select_xmin(sample)
        assert fit is not None
        rejected += goodness_of_fit(sample, fit, replicates=40, seed=seed).p <= 0.1
    assert 5 <= rejected <= 27


def test_goodness_of_fit_rejects_a_lognormal_body() -> None:
    x = np.floor(np.random.default_rng(4).lognormal(2.0, 1.0, 5000)) + 1
    sample = histogram(x)
    assert goodness_of_fit(sample, fit_at(sample, 1.0), refit=None).p == pytest.approx(1 / 101)


def test_continuous_goodness_of_fit_accepts_its_own_law() -> None:
    """p of a true law is uniform; below 0.02 for this fixed seed would be bad luck of one in fifty."""
    sample = histogram((np.random.default_rng(8).pareto(1.5, 2000) + 1) * 2, discrete=False)
    fit = select_xmin(sample)
    assert fit is not None
    assert goodness_of_fit(sample, fit, replicates=50).p > 0.02


def test_resampling_repeats_itself_for_equal_seeds() -> None:
    sample = histogram(zeta_draws(2.5, 500, 3))
    fit = fit_at(sample, 1.0)
    assert goodness_of_fit(sample, fit, seed=1) == goodness_of_fit(sample, fit, seed=1)
    assert goodness_of_fit(sample, fit, seed=1).p != goodness_of_fit(sample, fit, seed=2).p


def test_the_cluster_interval_covers_the_exponent_of_dependent_values() -> None:
    """60 samples of 60 clusters of 10 equal values each: 95 % intervals cover at least 49 times (2 in 10,000 not)."""
    covered, naive = 0, 0
    for seed in range(60):
        x = np.repeat(zeta_draws(2.5, 60, seed), 10)
        fit = fit_at(histogram(x), 1.0)
        found = cluster_interval(x, np.repeat(np.arange(60), 10), fit, replicates=100, seed=seed, refit=None)
        covered += found.low <= 2.5 <= found.high
        naive += abs(fit.alpha - 2.5) < 1.96 * fit.se
    assert covered >= 49
    assert naive <= 40


def test_replicated_values_do_not_raise_the_evidence_between_clusters() -> None:
    """Every value eight times: the naive z grows by sqrt 8, the cluster-robust one does not."""
    x = np.floor(np.random.default_rng(2).lognormal(2.0, 1.0, 400)) + 1
    once, labels = fit_tail(x, xmin=1.0, clusters={"execution": np.arange(400)}), np.repeat(np.arange(400), 8)
    often = fit_tail(np.repeat(x, 8), xmin=1.0, clusters={"execution": labels})
    assert often.tests["lognormal"].z == pytest.approx(once.tests["lognormal"].z * np.sqrt(8), rel=1e-6)
    assert often.levels[0].tests["lognormal"].z == pytest.approx(once.levels[0].tests["lognormal"].z, rel=1e-6)
    assert once.levels[0].tests["lognormal"].z == pytest.approx(once.tests["lognormal"].z, rel=2e-3)


def test_a_single_cluster_is_evidence_of_nothing() -> None:
    found = fit_tail(zeta_draws(2.5, 500, 0), clusters={"cell": np.zeros(500)})
    assert found.levels[0].tests["exponential"].p == 1
    assert found.verdict.word == "undecided"


def test_a_power_law_is_called_one_only_with_its_goodness_of_fit() -> None:
    x = zeta_draws(2.5, 3000, 11)
    assert fit_tail(x, resampling=Resampling(gof=50)).verdict.word == "power law"
    fast = fit_tail(x)
    assert fast.verdict.word == "heavy tailed"
    assert "goodness of fit not computed" in fast.verdict.summary()


def test_a_cut_off_inside_the_data_is_called_truncated() -> None:
    rng = np.random.default_rng(5)
    k = np.arange(1, 5000)
    mass = k**-1.5 * np.exp(-k / 60)
    x = rng.choice(k, size=50_000, p=mass / mass.sum())
    found = fit_tail(x, xmin=1.0)
    assert found.verdict.word == "truncated"
    assert found.models["truncated_power_law"].params["alpha"] == pytest.approx(1.5, abs=0.05)
    assert found.models["truncated_power_law"].params["rate"] == pytest.approx(1 / 60, rel=0.1)


@pytest.mark.parametrize("discrete", [True, False])
def test_exponential_data_are_light_tailed_and_never_a_power_law(discrete: bool) -> None:
    x = np.random.default_rng(6).exponential(20.0, 4000)
    found = fit_tail(np.ceil(x) if discrete else x, xmin=1.0, discrete=discrete, resampling=Resampling(gof=20))
    assert found.verdict.word in ("light tailed", "truncated")
    assert found.models["exponential"].params["rate"] == pytest.approx(1 / 20, rel=0.06)


@pytest.mark.parametrize("discrete", [True, False])
def test_lognormal_data_are_no_power_law_and_their_parameters_are_found(discrete: bool) -> None:
    x = np.random.default_rng(7).lognormal(3.0, 1.0, 6000)
    found = fit_tail(np.floor(x + 0.5) if discrete else x, xmin=2.0, discrete=discrete, resampling=Resampling(gof=20))
    assert found.best == "lognormal"
    assert found.verdict.word not in ("power law", "truncated")
    assert found.models["lognormal"].params["mu"] == pytest.approx(3.0, abs=0.06)
    assert found.models["lognormal"].params["sigma"] == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("discrete", [True, False])
def test_stretched_exponential_data_give_their_exponent_back(discrete: bool) -> None:
    x = 50.0 * np.random.default_rng(9).exponential(1.0, 8000) ** 2
    found = fit_tail(np.floor(x + 0.5) if discrete else x, xmin=1.0, discrete=discrete)
    assert found.best == "stretched_exponential"
    assert found.models["stretched_exponential"].params["beta"] == pytest.approx(0.5, abs=0.03)


def test_a_mixture_of_sizes_fixed_by_design_is_deterministic_not_a_law() -> None:
    """Sizes N - 1 for N = 8..128, more often small than large: its tail looks heavy, its cells have no spread."""
    x = np.repeat([7.0, 15.0, 31.0, 63.0, 127.0], [160, 80, 40, 20, 10])
    assert (
        fit_tail(x, design=SampleDesign(replication=DesignRepeats(1.0, 0.0, 1.0, 50))).verdict.word == "deterministic"
    )
    assert fit_tail(x, design=SampleDesign(max_is_cap=True, capped=1.0)).verdict.word == "design bounded"
    assert fit_tail(x).verdict.word == "degenerate"


def test_too_few_values_give_no_fit_and_a_card_all_the_same() -> None:
    found = fit_tail([1, 2, 3, 4, 5, 0, 0])
    assert (found.power, found.best, found.verdict.word) == (None, None, "no fit")
    assert found.card.data["values"] == 5


def test_equal_samples_give_equal_cards() -> None:
    x = zeta_draws(2.5, 500, 1)
    assert fit_tail(x).card.digest() == fit_tail(np.random.default_rng(0).permutation(x)).card.digest()
    assert fit_tail(x).card.digest() != fit_tail(x[:-1]).card.digest()


def test_thinned_thresholds_are_told() -> None:
    x = np.random.default_rng(0).pareto(1.5, 3000) + 1
    found = fit_tail(x, discrete=False)
    assert found.power is not None
    assert found.power.candidates < found.power.possible
    assert any("thresholds were compared" in text for text in found.card.warnings)


def test_partial_repetition_is_told_with_the_verdict() -> None:
    x = zeta_draws(2.5, 3000, 11)
    found = fit_tail(
        x, resampling=Resampling(gof=50), design=SampleDesign(replication=DesignRepeats(0.7, 0.0, 0.2, 50))
    )
    assert found.verdict.word == "power law"
    assert "70% of the pairs of executions of one design" in found.verdict.summary()
