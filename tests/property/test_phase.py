"""Laws of the theory that hold for every parameter: bounds, symmetry, monotonicity, limits, and its own brute force."""

from __future__ import annotations

import math
from itertools import product
from math import comb, log

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.synergy.theory import formulas as th
from analysis.synergy.theory.arrays import FloatArray

ODD = st.sampled_from([3, 5, 7, 9, 15, 31, 101])
SMALL_ODD = st.sampled_from([1, 3, 5, 7])
FIDELITY = st.floats(0.05, 1.0)
SHARE = st.floats(0.0, 0.95)
SIGNAL = st.floats(-1.0, 1.0)
POSITIVE = st.floats(1e-6, 1.0)
LOCK = st.sampled_from(["after_channel", "before_channel"])
SHAPE = st.sampled_from(["lock", "beta_binomial", "gauss_factor"])

laws = settings(max_examples=40, deadline=None)


def random_sets(n: int, seed: int) -> dict[str, FloatArray]:
    """Return n random organisations, weak and strong leaves, on both sides of the critical line."""
    rng = np.random.default_rng(seed)
    return {
        "mu0": 10 ** rng.uniform(-4, 0, n),
        "b": rng.choice([3.0, 5, 7, 9, 15, 31], n),
        "gamma": rng.uniform(0.3, 1, n),
        "rho": rng.uniform(0, 0.9, n),
    }


# ---- the majority map


@laws
@given(b=st.integers(1, 40), x=SIGNAL)
def test_majority_map_is_the_binomial_sum_with_a_fair_coin(b: int, x: float) -> None:
    p = (1 + x) / 2
    total = sum(comb(b, k) * p**k * (1 - p) ** (b - k) * np.sign(2 * k - b) for k in range(b + 1))
    assert float(th.majority_map(x, b)) == pytest.approx(total, abs=1e-12)


@laws
@given(b=st.integers(2, 40), x=SIGNAL)
def test_ties_as_failure_cost_the_probability_of_a_tie(b: int, x: float) -> None:
    p = (1 + x) / 2
    strict = sum(comb(b, k) * p**k * (1 - p) ** (b - k) for k in range(b + 1) if 2 * k > b)
    assert float(th.majority_map(x, b, ties="failure")) == pytest.approx(2 * strict - 1, abs=1e-12)


@laws
@given(x=SIGNAL, b=ODD, gamma=FIDELITY, rho=SHARE, lock=LOCK)
def test_node_map_is_odd_for_both_lock_orders(x: float, b: int, gamma: float, rho: float, lock: th.Lock) -> None:
    there, back = th.node_map(x, b, gamma, rho, lock=lock), th.node_map(-x, b, gamma, rho, lock=lock)
    assert float(there) == pytest.approx(-float(back), abs=1e-14)


@laws
@given(x=SIGNAL, b=st.sampled_from([3, 5, 9, 31]), rho=st.floats(0, 1), shape=SHAPE)
def test_correlated_maps_are_odd_and_between_one_vote_and_independent_votes(
    x: float, b: int, rho: float, shape: th.Shape
) -> None:
    value = float(th.correlated_majority_map(x, b, rho, shape=shape))
    assert value == pytest.approx(-float(th.correlated_majority_map(-x, b, rho, shape=shape)), abs=1e-12)
    assert abs(x) - 1e-12 <= abs(value) <= abs(float(th.majority_map(x, b))) + 1e-12


@laws
@given(b=st.sampled_from([3, 5, 9, 31]), shape=SHAPE, x=SIGNAL)
def test_correlated_maps_end_at_independence_and_at_one_vote(b: int, shape: th.Shape, x: float) -> None:
    assert float(th.correlated_majority_map(x, b, 0.0, shape=shape)) == pytest.approx(float(th.majority_map(x, b)))
    assert float(th.correlated_majority_map(x, b, 1.0, shape=shape)) == pytest.approx(x, abs=1e-12)


@laws
@given(b=st.sampled_from([3, 5, 9, 31]), rho=st.floats(0.01, 0.9), shape=SHAPE, x=st.floats(-0.9, 0.9))
def test_correlated_derivatives_are_the_slopes_of_their_maps(b: int, rho: float, shape: th.Shape, x: float) -> None:
    h = 1e-5
    rise = th.correlated_majority_map(x + h, b, rho, shape=shape) - th.correlated_majority_map(
        x - h, b, rho, shape=shape
    )
    slope = float(th.correlated_majority_derivative(x, b, rho, shape=shape))
    assert slope == pytest.approx(float(rise) / (2 * h), rel=1e-5, abs=1e-6)


@laws
@given(
    b=st.sampled_from([3, 5, 9, 31]), rho=st.floats(0.01, 0.9), other=st.sampled_from(["beta_binomial", "gauss_factor"])
)
def test_the_lock_is_the_optimistic_shape(b: int, rho: float, other: th.Shape) -> None:
    assert float(th.alpha(b, 1.0, rho, shape=other)) < float(th.alpha(b, 1.0, rho))


@laws
@given(b=ODD, gamma=FIDELITY, rho=SHARE, lock=LOCK)
def test_node_map_rises_and_is_concave_above_chance(b: int, gamma: float, rho: float, lock: th.Lock) -> None:
    values = th.node_map(np.linspace(0, 1, 201), b, gamma, rho, lock=lock)
    assert np.all(np.diff(values) >= -1e-14)
    assert np.all(np.diff(values, 2) <= 1e-13)


@laws
@given(b=st.floats(1, 1e5), x=st.floats(1e-3, 0.999))
def test_more_votes_never_hurt_in_the_real_continuation(b: float, x: float) -> None:
    assert float(th.majority_map_real(x, b * 1.01)) >= float(th.majority_map_real(x, b)) * (1 - 1e-12)


@laws
@given(b=st.integers(1, 10**7), x=st.floats(0, 1))
def test_deficit_is_what_the_majority_falls_short_of_linear_growth(b: int, x: float) -> None:
    linear = float(th.majority_slope(b)) * x
    shortfall = float(th.majority_deficit(x, b)) * linear
    assert linear - shortfall == pytest.approx(float(th.majority_map(x, b)), rel=1e-11, abs=1e-300)


# ---- growth, fixed point, critical lines


@laws
@given(b=st.integers(3, 4001), gamma=FIDELITY, rho=st.floats(0, 1))
def test_exponent_stays_below_one_half(b: int, gamma: float, rho: float) -> None:
    assert float(th.organization_exponent(b, gamma, rho)) < 0.5


@laws
@given(b=ODD, rho=SHARE, lock=LOCK)
def test_alpha_is_one_on_the_critical_line_in_gamma(b: int, rho: float, lock: th.Lock) -> None:
    assert float(th.alpha(b, th.critical_gamma(b, rho, lock=lock), rho, lock=lock)) == pytest.approx(1, abs=1e-12)


@laws
@given(b=st.sampled_from([3, 5, 9, 31]), gamma=FIDELITY, shape=SHAPE)
def test_alpha_is_one_on_the_critical_line_in_rho_or_no_rho_amplifies(b: int, gamma: float, shape: th.Shape) -> None:
    rho = float(th.critical_rho(b, gamma, shape=shape))
    if np.isnan(rho):
        assert float(th.alpha(b, gamma, 0.0)) <= 1
    else:
        assert float(th.alpha(b, gamma, rho, shape=shape)) == pytest.approx(1, abs=1e-9)


@laws
@given(b=ODD, gamma=FIDELITY, rho=SHARE, lock=LOCK)
def test_fixed_point_is_reached_stable_and_zero_only_in_collapse(
    b: int, gamma: float, rho: float, lock: th.Lock
) -> None:
    limit = float(th.fixed_point(b, gamma, rho, lock=lock))
    growth = float(th.alpha(b, gamma, rho, lock=lock))
    assert float(th.node_map(limit, b, gamma, rho, lock=lock)) == pytest.approx(limit, abs=1e-13)
    if abs(growth - 1) > 1e-12:
        assert (limit > 0) == (growth > 1)
        assert float(th.fixed_point_multiplier(b, gamma, rho, lock=lock)) < 1


@laws
@given(b=ODD, rho=SHARE, excess=st.floats(1e-9, 1e-4))
def test_fixed_point_next_to_criticality_follows_the_square_root(b: int, rho: float, excess: float) -> None:
    gamma = float(th.critical_gamma(b, rho)) * (1 + excess)
    law = np.sqrt((float(th.alpha(b, gamma, rho)) - 1) / float(th.cubic_coefficient(b, gamma, rho)))
    assert float(th.fixed_point(b, gamma, rho)) == pytest.approx(law, rel=1e-2)
    assert float(th.fixed_point(b, gamma, rho)) >= law * (1 - 1e-12)


@laws
@given(gamma=st.floats(0.3, 1), rho=SHARE)
def test_fixed_point_has_its_closed_form_at_fan_in_three(gamma: float, rho: float) -> None:
    closed, general = float(th.fixed_point_fan_in_three(gamma, rho)), float(th.fixed_point(3, gamma, rho))
    assert general == pytest.approx(closed, rel=1e-9, abs=1e-7)


@laws
@given(mu0=POSITIVE, b=ODD, gamma=FIDELITY, rho=SHARE, lock=LOCK)
def test_trajectories_move_monotonically_to_the_fixed_point(
    mu0: float, b: int, gamma: float, rho: float, lock: th.Lock
) -> None:
    limit = float(th.fixed_point(b, gamma, rho, lock=lock))
    distance = np.abs(th.trajectory(mu0, b, gamma, rho, 30, lock=lock) - limit)
    assert np.all(np.diff(distance) <= 1e-14)
    beats = bool(th.tree_beats_its_leaf(mu0, b, gamma, rho, lock=lock))
    first = float(th.node_map(mu0, b, gamma, rho, lock=lock))
    assert beats == (first > mu0) or abs(first - mu0) < 1e-13


@laws
@given(st.data())
def test_mixture_is_the_weighted_mean_of_its_trajectories_and_ends_at_its_limit(data: st.DataObject) -> None:
    kinds = data.draw(st.integers(1, 4))
    mus = np.array(data.draw(st.lists(st.floats(-0.9, 0.9), min_size=kinds, max_size=kinds)))
    raw = np.array(data.draw(st.lists(st.floats(0.1, 1), min_size=kinds, max_size=kinds)))
    weights = raw / raw.sum()
    mixture = th.trajectory_mixture(mus, weights, 5, 0.9, 0.1, 6)
    each = [weight * th.trajectory(mu, 5, 0.9, 0.1, 6) for mu, weight in zip(mus, weights, strict=True)]
    assert mixture == pytest.approx(np.sum(each, axis=0), abs=1e-12)
    if np.all(np.abs(mus) > 1e-3):
        deep = th.trajectory_mixture(mus, weights, 5, 0.9, 0.1, 80)[-1]
        assert float(deep) == pytest.approx(float(th.mixture_limit(mus, weights, 5, 0.9, 0.1)), abs=1e-9)


# ---- predictors: bounds are bounds


@pytest.mark.parametrize("lock", ["after_channel", "before_channel"])
@pytest.mark.parametrize("depth", [0, 1, 2, 5, 8, 25])
def test_bounds_are_never_violated_on_random_organisations(lock: th.Lock, depth: int) -> None:
    p = th.predictors(**random_sets(1500, 17), depth=depth, lock=lock)
    rounding = 1e-12 * p.exact
    for lower in (p.lower_growth, p.lower_chord, p.lower_two_phase):
        assert np.all(lower <= p.exact + rounding)
    assert np.all(p.upper_clipped_growth >= p.exact - rounding)


def test_logistic_clip_is_a_lower_bound_at_fan_in_three() -> None:
    sets = random_sets(4000, 3) | {"b": np.full(4000, 3.0)}
    weak = sets["mu0"] < th.fixed_point(sets["b"], sets["gamma"], sets["rho"])
    sets = {name: value[weak] for name, value in sets.items()}
    p = th.predictors(**sets, depth=6)
    assert weak.sum() > 500
    assert np.all(p.approximate_logistic <= p.exact * (1 + 1e-12))


def test_clipped_growth_is_mostly_tight_and_the_two_phase_bound_beats_the_chord() -> None:
    sets = random_sets(3000, 5)
    growth, limit = (f(sets["b"], sets["gamma"], sets["rho"]) for f in (th.alpha, th.fixed_point))
    known = (growth > 1.03) & (sets["mu0"] < limit)
    sets = {name: value[known] for name, value in sets.items()}
    overshoot, chord, two_phase = [], [], []
    for depth in range(1, 9):
        p = th.predictors(sets["mu0"], sets["b"], sets["gamma"], sets["rho"], depth)
        overshoot.append(p.upper_clipped_growth / p.exact - 1)
        chord.append(1 - p.lower_chord / p.exact)
        two_phase.append(1 - p.lower_two_phase / p.exact)
    assert np.median(overshoot) < 0.002
    assert np.quantile(overshoot, 0.99) < 0.4
    assert np.max(two_phase) < 0.45 < 0.6 < np.max(chord)


@laws
@given(mu0=SIGNAL, b=ODD, gamma=FIDELITY, rho=SHARE, depth=st.integers(0, 6))
@example(mu0=5e-324, b=7, gamma=0.5, rho=0.0, depth=0)
def test_predictors_are_odd_in_the_leaf_signal(mu0: float, b: int, gamma: float, rho: float, depth: int) -> None:
    there, back = th.predictors(mu0, b, gamma, rho, depth), th.predictors(-mu0, b, gamma, rho, depth)
    for name in ("exact", "lower_chord", "lower_two_phase", "lower_growth", "upper_clipped_growth"):
        assert float(getattr(there, name)) == pytest.approx(-float(getattr(back, name)), abs=1e-15)


@laws
@given(mu0=st.floats(1e-4, 0.05), b=ODD, gamma=st.floats(0.8, 1), rho=st.floats(0, 0.4), depth=st.integers(1, 6))
def test_finite_depth_exponent_stays_below_s(mu0: float, b: int, gamma: float, rho: float, depth: int) -> None:
    end = th.trajectory(mu0, b, gamma, rho, depth)[-1]
    finite = float(th.finite_depth_exponent(mu0, end, b, depth))
    assert finite <= float(th.organization_exponent(b, gamma, rho)) + 1e-12


# ---- other organisations, by enumeration


@laws
@given(b=st.integers(1, 5), k=st.integers(2, 4), mu=st.floats(0, 1))
def test_plurality_map_is_the_enumeration_of_all_ballots(b: int, k: int, mu: float) -> None:
    p = 1 / k + (1 - 1 / k) * mu
    right = 0.0
    for ballot in product(range(k), repeat=b):
        tally = np.bincount(ballot, minlength=k)
        chance = p ** int(tally[0]) * ((1 - p) / (k - 1)) ** (b - int(tally[0]))
        right += chance * (tally[0] == tally.max()) / np.sum(tally == tally.max())
    assert float(th.plurality_map(mu, b, k)) == pytest.approx((right - 1 / k) / (1 - 1 / k), abs=1e-12)


@laws
@given(b=st.integers(1, 60), mu=SIGNAL)
def test_plurality_of_two_answers_is_the_majority(b: int, mu: float) -> None:
    assert float(th.plurality_map(mu, b, 2)) == pytest.approx(float(th.majority_map(mu, b)), abs=1e-11)


@laws
@given(k=st.integers(2, 40))
def test_plurality_slope_of_three_votes_is_one_plus_one_over_k(k: int) -> None:
    assert th.plurality_slope(3, k) == pytest.approx(1 + 1 / k, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(b=st.sampled_from([3, 5, 7]), k=st.integers(3, 10), rho=st.floats(0, 0.5))
def test_inside_the_window_weak_signals_die_and_strong_ones_reach_the_upper_fixed_point(
    b: int, k: int, rho: float
) -> None:
    window = th.plurality_window(b, k, rho)
    if not window.first_order or window.gamma_c - window.gamma_saddle < 0.01 or window.gamma_c > 1:
        return
    gamma = (window.gamma_saddle + window.gamma_c) / 2
    points = th.plurality_fixed_points(b, k, gamma, rho)
    assert 0 < points.threshold < points.mu_star < 1
    starts = np.array([points.threshold * 0.9, points.threshold * 1.1])
    weak, strong = th.plurality_trajectory(starts, b, k, gamma, rho, 400)[-1]
    assert abs(weak) < points.threshold / 2
    assert strong == pytest.approx(points.mu_star, rel=0.05)


@laws
@given(n=SMALL_ODD, gamma=FIDELITY, mu=SIGNAL)
def test_full_vote_is_the_enumeration_of_own_and_received_votes(n: int, gamma: float, mu: float) -> None:
    p, q = (1 + mu) / 2, (1 + gamma * mu) / 2
    total = 0.0
    for votes in product((0, 1), repeat=n):
        chances = [p if i == 0 else q for i in range(n)]
        chance = math.prod([c if vote else 1 - c for c, vote in zip(chances, votes, strict=True)])
        total += chance * (1 if 2 * sum(votes) > n else -1)
    assert float(th.full_vote(n, gamma, mu)) == pytest.approx(total, abs=1e-12)


@laws
@given(b=st.integers(1, 6), tpr=st.floats(0, 1), fpr=st.floats(0, 1), p=st.floats(0, 1))
def test_verifier_selection_is_the_enumeration_of_candidates(b: int, tpr: float, fpr: float, p: float) -> None:
    right = 0.0
    for good in product((0, 1), repeat=b):
        for accepted in product((0, 1), repeat=b):
            chance = 1.0
            for is_good, is_accepted in zip(good, accepted, strict=True):
                rate = tpr if is_good else fpr
                chance *= (p if is_good else 1 - p) * (rate if is_accepted else 1 - rate)
            pool = [g for g, a in zip(good, accepted, strict=True) if a] or list(good)
            right += chance * sum(pool) / len(pool)
    assert float(th.verifier_select(b, tpr, fpr, p)) == pytest.approx(right, abs=1e-12)


@laws
@given(mus=st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=7))
def test_weighted_and_plain_majorities_are_the_enumeration_and_weighting_is_best(mus: list[float]) -> None:
    weights = th.log_odds_weights(mus)
    plain = weighted = best = 0.0
    for votes in product((-1, 1), repeat=len(mus)):
        chance = float(np.prod([(1 + v * mu) / 2 for v, mu in zip(votes, mus, strict=True)]))
        other = float(np.prod([(1 - v * mu) / 2 for v, mu in zip(votes, mus, strict=True)]))
        score = float(np.dot(weights, votes))
        plain += chance * np.sign(sum(votes))
        weighted += chance * np.sign(score) * (abs(score) > 1e-12 * np.sum(np.abs(weights)))
        best += max(chance - other, 0.0)
    assert float(th.unweighted_majority(mus)) == pytest.approx(plain, abs=1e-12)
    assert th.weighted_majority(mus) == pytest.approx(weighted, abs=1e-12)
    assert weighted == pytest.approx(best, abs=1e-9)
    assert weighted >= max(plain, max(map(abs, mus))) - 1e-9


@laws
@given(mu0=st.floats(0.01, 0.9), n=st.floats(1, 500))
def test_effective_votes_invert_the_ceiling(mu0: float, n: float) -> None:
    out = float(th.voting_ceiling(n, mu0))
    if out < 1 - 1e-9:
        assert float(th.effective_votes(mu0, out)) == pytest.approx(n, rel=1e-6)


@laws
@given(mu0=st.floats(0.01, 0.5), b=ODD, gamma=FIDELITY, rho=SHARE, depth=st.integers(1, 3))
def test_no_tree_exceeds_the_ceiling_of_its_leaves(mu0: float, b: int, gamma: float, rho: float, depth: int) -> None:
    tree = float(th.trajectory(mu0, b, gamma, rho, depth)[-1])
    assert tree <= float(th.voting_ceiling(b**depth, mu0)) + 1e-12


@laws
@given(e1=st.floats(0, 0.4), e2=st.floats(0, 0.4), b=st.sampled_from([3, 5, 9]), rho=st.floats(0, 0.8))
def test_asymmetric_channel_has_fixed_points_and_is_the_symmetric_theory_without_offset(
    e1: float, e2: float, b: int, rho: float
) -> None:
    points = th.asymmetric_fixed_points(b, rho, e1, e2)
    assert points.size >= 1
    assert th.asymmetric_node_map(points, b, rho, e1, e2) == pytest.approx(points, abs=1e-12)
    plain = th.node_map(0.3, b, 1 - 2 * e1, rho)
    assert float(th.asymmetric_node_map(0.3, b, rho, e1, e1)) == pytest.approx(float(plain), abs=1e-12)


# ---- continuous answers


@laws
@given(b=st.integers(2, 9), depth=st.integers(0, 4), sigma2=st.floats(0, 3), rho=SHARE, noise=st.floats(0, 2))
def test_tree_risks_are_their_one_level_recursions(b: int, depth: int, sigma2: float, rho: float, noise: float) -> None:
    lam = (1 + (b - 1) * rho) / b
    own = shared = sigma2
    for _ in range(depth):
        own, shared = lam * own + noise / b, lam * (shared + noise)
    assert float(th.risk_tree(b, depth, sigma2, rho, noise)) == pytest.approx(own, rel=1e-9, abs=1e-15)
    assert float(th.risk_tree_shared_noise(b, depth, sigma2, rho, noise)) == pytest.approx(shared, rel=1e-9, abs=1e-15)


@laws
@given(n=st.integers(1, 12), sigma2=st.floats(0, 3), rho=SHARE, noise=st.floats(0, 2))
def test_star_full_and_chain_are_instances_of_the_general_linear_risk(
    n: int, sigma2: float, rho: float, noise: float
) -> None:
    equal = np.full(n, 1 / n)
    passed_on = np.arange(1, n) / n  # the estimate of agent k still weighs k / N at the end
    for formula, gains in ((th.risk_star, equal), (th.risk_full, equal[1:]), (th.risk_chain_mean, passed_on)):
        expected = float(th.risk_linear(equal, gains, sigma2, rho, noise))
        assert float(formula(n, sigma2, rho, noise)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@laws
@given(b=st.integers(2, 5), depth=st.integers(1, 3), rho=SHARE, noise=st.floats(0, 2))
def test_tree_under_one_global_correlation_is_an_instance_too(b: int, depth: int, rho: float, noise: float) -> None:
    n = b**depth
    gains = np.concatenate([np.full(b**level, float(b) ** -level) for level in range(1, depth + 1)])
    expected = float(th.risk_linear(np.full(n, 1 / n), gains, 1.3, rho, noise))
    assert float(th.risk_tree_global(b, depth, 1.3, rho, noise)) == pytest.approx(expected, rel=1e-9)


@laws
@given(n=st.integers(3, 9), weight=st.floats(0, 0.5), rounds=st.integers(0, 12), rho=SHARE, noise=st.floats(0, 1))
def test_ring_gossip_is_its_covariance_recursion(n: int, weight: float, rounds: int, rho: float, noise: float) -> None:
    mix = (1 - 2 * weight) * np.eye(n) + weight * (np.roll(np.eye(n), 1, axis=0) + np.roll(np.eye(n), -1, axis=0))
    covariance = 1.7 * ((1 - rho) * np.eye(n) + rho)
    for _ in range(rounds):
        covariance = mix @ covariance @ mix.T + 2 * weight**2 * noise * np.eye(n)
    risk = float(th.risk_ring_gossip(n, weight, rounds, 1.7, rho, noise))
    assert risk == pytest.approx(float(covariance[0, 0]), rel=1e-9)


@laws
@given(n=st.integers(1, 40), sigma2=st.floats(0.1, 3), rho=SHARE, noise=st.floats(0.001, 2))
def test_optimal_chain_beats_the_running_mean_and_stays_above_its_floor(
    n: int, sigma2: float, rho: float, noise: float
) -> None:
    optimal = float(th.risk_chain_kalman(n, sigma2, rho, noise))
    assert optimal <= float(th.risk_chain_mean(n, sigma2, rho, noise)) * (1 + 1e-12)
    assert optimal >= float(th.risk_chain_kalman_floor(sigma2, rho, noise)) * (1 - 1e-12)


@laws
@given(sigma2=st.floats(0.1, 3), rho=st.floats(0, 0.9), noise=st.floats(0.001, 2))
def test_best_chain_length_is_the_minimum_over_whole_lengths(sigma2: float, rho: float, noise: float) -> None:
    lengths = np.arange(1, 200)
    best = int(lengths[np.argmin(th.risk_chain_mean(lengths, sigma2, rho, noise))])
    assert abs(best - float(th.chain_mean_best_length(sigma2, rho, noise))) <= 1


# ---- budgets


@laws
@given(b=ODD, depth=st.integers(0, 4), x=st.floats(1, 1e4), m=st.floats(0, 500), c_agg=st.floats(0, 100))
def test_cost_and_leaf_tokens_are_inverse_and_count_every_edge_twice(
    b: int, depth: int, x: float, m: float, c_agg: float
) -> None:
    budget = float(th.tree_cost(b, depth, x, m, c_agg))
    edges, nodes = sum(b**k for k in range(1, depth + 1)), sum(b**k for k in range(depth))
    assert budget == pytest.approx(b**depth * x + 2 * m * edges + c_agg * nodes, rel=1e-9)
    assert float(th.leaf_tokens(budget, b, depth, m, c_agg)) == pytest.approx(x, rel=1e-6, abs=1e-6)


@laws
@given(c0=st.floats(1, 500), beta=st.floats(0.01, 0.4), gap=st.floats(0.02, 0.4), budget=st.floats(1e4, 1e8))
def test_optimal_leaf_tokens_maximise_the_growth_objective(c0: float, beta: float, gap: float, budget: float) -> None:
    t = beta + gap
    x = float(th.optimal_leaf_tokens(c0, beta, t))

    def objective(tokens: float) -> float:
        return beta * log(tokens) + t * log((budget + c0) / (tokens + c0))

    assert objective(x) >= max(objective(x * 1.001), objective(x * 0.999))


@laws
@given(b=ODD, c0=st.floats(1, 500), beta=st.floats(0.01, 0.3), gap=st.floats(0.01, 0.2))
def test_depth_thresholds_rise_with_depth(b: int, c0: float, beta: float, gap: float) -> None:
    thresholds = th.depth_threshold(b, np.arange(1, 6), c0, beta, beta + gap)
    assert np.all(np.diff(thresholds) > 0)


@laws
@given(m=st.floats(0, 1e5), m0=st.floats(1, 1e4), ceiling=st.floats(0, 1), hill=st.floats(0.3, 5))
def test_fidelity_rises_with_length_up_to_its_ceiling(m: float, m0: float, ceiling: float, hill: float) -> None:
    for family in ("exp", "hyp", "hill", "capacity"):
        short, long = th.fidelity([m, m * 1.5], family, m0, hill=hill, ceiling=ceiling)
        assert 0 <= short <= long <= ceiling
