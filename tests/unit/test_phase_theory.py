"""Edges and worked examples of the theory: exact criticality, perfect channels, huge fan-ins, refusals."""

from __future__ import annotations

import inspect
import re
import sys
from math import inf, isnan, log, nan, sqrt

import numpy as np
import pytest

from agentsoc.errors import InputError
from analysis.synergy.theory import formulas as th
from analysis.synergy.theory.chance import share_of, signal_of


def test_three_clean_voters_have_the_classical_threshold() -> None:
    assert float(th.critical_gamma(3, 0.0)) == 2 / 3
    assert float(th.alpha(3, 2 / 3, 0.0)) == 1.0


@pytest.mark.parametrize("rho", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("b", [3, 9, 31])
def test_signal_collapses_at_exact_criticality(b: int, rho: float) -> None:
    point = th.phase_point(b, float(th.critical_gamma(b, rho)), rho)
    assert point.mu_star == 0.0
    assert point.regime == "collapse"


def test_signal_at_criticality_dies_like_one_over_the_root_of_depth() -> None:
    end = float(th.trajectory(0.3, 3, 2 / 3, 0.0, 10_000)[-1])
    assert end == pytest.approx(0.018333, abs=1e-6)
    assert end == pytest.approx(float(th.critical_decay(10_000, 3, 2 / 3, 0.0)), rel=3e-3)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_perfect_channel_ends_at_a_perfect_signal_with_multiplier_rho(rho: float) -> None:
    assert float(th.fixed_point(5, 1.0, rho)) == 1.0
    assert float(th.fixed_point_multiplier(5, 1.0, rho)) == pytest.approx(rho, abs=1e-15)


def test_identity_maps_are_neutral_not_collapsed() -> None:
    assert th.phase_point(3, 1.0, 1.0).regime == "neutral"
    assert isnan(th.phase_point(2, 1.0, 0.3).mu_star)


def test_negative_leaves_are_amplified_downwards() -> None:
    up, down = th.trajectory([0.2, -0.2], 3, 0.9, 0.1, 5).T
    assert down == pytest.approx(-up)
    assert down[-1] < down[0]


def test_no_correlation_amplifies_when_the_channel_is_too_noisy() -> None:
    assert np.isnan(th.critical_rho(3, [0.5, 0.6])).all()
    assert float(th.critical_rho(3, 1.0)) == 1.0


@pytest.mark.parametrize("b", [2, 4, 8, 100])
def test_even_fan_in_wastes_its_last_child(b: int) -> None:
    x = np.linspace(-1, 1, 21)
    assert th.majority_map(x, b) == pytest.approx(th.majority_map(x, b - 1))
    assert float(th.organization_exponent(b, 0.9, 0.0)) < float(th.organization_exponent(b + 1, 0.9, 0.0))


def test_even_fan_in_with_ties_as_failure_has_no_fixed_point_at_chance() -> None:
    assert float(th.majority_map(0.0, 4, ties="failure")) == pytest.approx(-6 / 16)


def test_huge_fan_ins_neither_overflow_nor_lose_digits() -> None:
    b = np.array([1001, 1023, 1025, 100_001, 10_000_001])
    slope = th.majority_slope(b)
    assert slope / np.sqrt(2 * b / np.pi) == pytest.approx(1 + 1 / (4 * b), rel=1e-6)
    ratio = th.majority_slope(1025) / th.majority_slope(1023)  # across the switch from integers to the expansion
    assert float(ratio) == pytest.approx(1025 / 1024, rel=1e-15)
    assert np.all(th.majority_map(0.5, b) == 1.0)
    assert float(th.majority_map(1e-200, 3)) == pytest.approx(1.5e-200)


def test_leaves_alone_are_a_tree_of_depth_zero() -> None:
    assert th.trajectory(0.3, 5, 0.9, 0.1, 0).tolist() == [0.3]
    p = th.predictors(0.3, 5, 0.9, 0.1, 0)
    assert [p.exact, p.lower_chord, p.lower_two_phase, p.upper_clipped_growth] == pytest.approx([0.3] * 4, rel=1e-15)


def test_leaves_above_the_fixed_point_lose_signal_and_stay_within_the_bounds() -> None:
    limit = float(th.fixed_point(5, 0.7, 0.2))
    p = th.predictors(0.99, 5, 0.7, 0.2, 4)
    assert limit < float(p.exact) < 0.99
    assert limit <= float(p.lower_chord) <= float(p.exact) <= float(p.upper_clipped_growth) <= 0.99


def test_budget_too_small_for_its_tree_leaves_no_tokens_and_no_signal() -> None:
    x = th.leaf_tokens(300, 5, 3, 50)
    assert float(x) < 0
    assert float(th.leaf_signal(x, 0.02, 0.15)) == 0.0


def test_leaf_signal_is_clipped() -> None:
    assert th.LeafLaw(0.02, 0.3, 0.9)([1e3, 1e9]).tolist() == pytest.approx([0.02 * 1e3**0.3, 0.9])


def test_without_synergy_there_is_nothing_to_allocate() -> None:
    a = th.allocation(5, 0.7, 0.3, 50, th.LeafLaw(0.02, 0.3))
    assert (a.synergy, a.x_star, a.window(), a.leaves(1e6)) == (False, None, None, 1.0)
    assert float(th.depth_threshold(5, 1, 125, 0.3, 0.1)) == inf
    assert isnan(float(th.optimal_leaf_tokens(125, 0.3, 0.3)))


def test_exact_threshold_of_the_documented_example_is_just_above_the_weak_signal_one() -> None:
    a = th.allocation(5, 0.9, 0.1, 50, th.LeafLaw(0.02, 0.15))
    assert a.depth_thresholds[0] == pytest.approx(632.97, abs=0.01)
    assert th.exact_threshold(5, 0.9, 0.1, 50, th.LeafLaw(0.02, 0.15)) == pytest.approx(633.59, abs=0.01)


def test_tree_can_pass_a_clipped_single_agent_even_without_synergy() -> None:
    leaf = th.LeafLaw(0.05, 0.4, 0.6)
    assert float(th.organization_exponent(5, 0.95, 0.1)) < leaf.beta
    budget = th.exact_threshold(5, 0.95, 0.1, 50, leaf)
    tree = th.trajectory(leaf(th.leaf_tokens(budget, 5, 1, 50)), 5, 0.95, 0.1, 1)[-1]
    assert float(tree) == pytest.approx(float(leaf(budget)), rel=1e-9)
    assert th.exact_threshold(5, 0.95, 0.1, 50, th.LeafLaw(0.05, 0.4)) == inf


def test_single_agent_that_cannot_reach_the_fixed_point_never_catches_up() -> None:
    assert float(th.catch_up_budget(0.9, 0.02, 0.2, mu_max=0.8)) == inf


def test_mixture_of_tasks_has_its_best_depth_inside_and_pooling_promises_too_much() -> None:
    mixture = th.trajectory_mixture([0.4, -0.1], [0.8, 0.2], 5, 0.9, 0.1, 8)
    assert mixture[[0, 1, 2, 3, 4, 8]] == pytest.approx([0.30, 0.442, 0.587, 0.666, 0.663, 0.592], abs=6e-4)
    assert int(np.argmax(mixture)) == 3
    assert float(th.trajectory(0.3, 5, 0.9, 0.1, 8)[-1]) == pytest.approx(0.985, abs=1e-3)


def test_strong_signals_survive_below_criticality_with_four_answers() -> None:
    assert float(th.plurality_alpha(3, 4, 0.77, 0.0)) < 1
    ends = th.plurality_trajectory([0.1, 0.2, 0.3, 0.6], 3, 4, 0.77, 0.0, 400)[-1]
    assert ends == pytest.approx([0, 0.712, 0.712, 0.712], abs=1e-3)


def test_unweighted_majority_can_be_worse_than_its_best_member() -> None:
    mus = [0.05, 0.05, 0.05, 0.05, 0.8]
    assert float(th.unweighted_majority(mus)) < 0.8 <= th.weighted_majority(mus)


def test_many_leaves_are_weighted_on_a_grid_close_to_the_enumeration() -> None:
    mus = np.random.default_rng(0).uniform(-0.2, 0.8, 21)
    low = th.weighted_majority(mus[:20])
    assert low <= th.weighted_majority(mus) <= 1
    assert th.weighted_majority(np.append(mus[:20], 0.0)) == pytest.approx(low, abs=1e-5)


def test_independent_and_copied_channels_are_counted() -> None:
    assert th.optimal_votes(np.eye(4)) == pytest.approx(4)
    pair = np.array([[1, 0.5], [0.5, 1]])
    assert th.equal_weight_votes(pair) == pytest.approx(float(th.kish_votes(2, 0.5)))
    assert th.participation_ratio(np.ones((5, 5))) == pytest.approx(1)


def test_chain_never_amplifies_and_relay_decays() -> None:
    chain = th.chain_trajectory(0.3, 0.9, 0.2, 200)
    assert np.all(chain <= 0.3)
    assert float(chain[-1]) == pytest.approx(float(th.chain_limit(0.3, 0.9, 0.2)))
    assert float(th.relay_signal(0.3, 0.9, 3)) == pytest.approx(0.3 * 0.9**3)


def test_window_optimum_is_inside_for_lossy_messages() -> None:
    curve = th.FidelityCurve("exp", 100)
    assert [(f.b, f.m) for f in (th.best_fan_in_and_message(4000, curve, rho) for rho in (0.0, 0.3))] == [
        (9, 444),
        (11, 363),
    ]


def test_recommended_fan_in_flips_with_the_shape_of_the_correlation() -> None:
    assert th.best_fan_in(4000, 20, 1.0, 0.3).b == 199
    assert th.best_fan_in(4000, 20, 1.0, 0.3, shape="beta_binomial").b == 3
    assert th.best_fan_in(4000, 20, 1.0, 0.3, shape="gauss_factor").b == 3


def test_slopes_by_shape_match_the_published_table() -> None:
    table = {0.1: (2.315, 1.830, 1.838), 0.3: (2.023, 1.337, 1.355), 0.5: (1.731, 1.134, 1.150)}
    for rho, row in table.items():
        shapes: tuple[th.Shape, ...] = ("lock", "beta_binomial", "gauss_factor")
        assert [float(th.alpha(9, 1.0, rho, shape=shape)) for shape in shapes] == pytest.approx(row, abs=6e-4)


def test_lossless_channel_has_no_asymmetry_to_warn_about() -> None:
    assert th.asymmetry_warning(0.1, 0.11, 0.02) is None
    assert "one way" in (th.asymmetry_warning(0.1, 0.2, 0.02) or "")
    assert th.asymmetric_fixed_points(5, 0.1, 0.05, 0.05).size == 3
    assert th.asymmetric_fixed_points(5, 0.1, 0.05, 0.4).size == 1


def test_synergy_band_is_certain_without_variance() -> None:
    assert th.synergy_band(5, 0.9, 0.0, 0.1, 0.0, 0.1, 0.0).prob_synergy == 1.0
    assert th.synergy_band(5, 0.9, 0.0, 0.1, 0.0, 0.4, 0.0).prob_synergy == 0.0


def test_sibling_correlation_is_the_mean_over_explicit_pairs() -> None:
    votes = np.where(np.random.default_rng(4).random((6, 3, 4)) < 0.6, 1.0, -1.0)
    pairs = [(a, c) for a in range(4) for c in range(4) if a != c]
    same = np.mean([v[r, a] * v[r, c] for v in votes for r in range(3) for a, c in pairs])
    runs = [(r, q) for r in range(3) for q in range(3) if r != q]
    cross = np.mean([v[r, a] * v[q, c] for v in votes for r, q in runs for a in range(4) for c in range(4)])
    found = th.sibling_correlation(votes)
    assert (found.same_run, found.cross_run) == pytest.approx((same, cross))


def test_correlation_of_sent_votes_shrinks_in_the_channel() -> None:
    assert float(th.received_correlation(0.4, 0.8, 0.0)) == pytest.approx(0.4 * 0.64)


def test_mixing_depth_of_a_collapsing_tree_is_undefined() -> None:
    depth = th.mixing_depth(0.1, 3, 0.5, 0.1)
    assert (depth.growth, depth.exact) == (inf, None)
    assert th.mixing_depth(0.9, 3, 0.8, 0.0, 0.01).growth < 0


def test_slowly_mixing_tree_reports_that_the_depth_was_not_reached() -> None:
    gamma = float(th.critical_gamma(3, 0.0)) * (1 + 1e-7)
    assert th.mixing_depth(1e-9, 3, gamma, 0.0, longest=500).exact is None


def test_saturation_budget_reaches_the_fixed_point_under_growth() -> None:
    a = th.allocation(5, 0.9, 0.1, 50, th.LeafLaw(0.02, 0.15))
    assert a.x_star is not None
    assert a.saturation is not None
    leaves = a.saturation / (a.x_star + a.c0)
    assert 0.02 * a.x_star**0.15 * leaves**a.s == pytest.approx(a.mu_star, rel=1e-9)


def test_finite_budget_boundary_lies_above_beta() -> None:
    budget = float(th.tree_cost(5, 3, 100, 50))
    assert float(th.synergy_boundary_exponent(budget, 100, 125, 0.2)) > 0.2
    assert float(th.synergy_boundary_exponent(125 * 100, 100, 125, 0.2)) == pytest.approx(0.2)


def test_variance_exponent_is_the_log_ratio_of_one_level() -> None:
    assert float(th.variance_exponent(5, 0.1)) == pytest.approx(-log(1.4 / 5) / log(5))
    assert float(th.risk_tree_floor(5, 0.1, 0.05)) == pytest.approx(float(th.risk_tree(5, 60, 2.0, 0.1, 0.05)))
    shared = float(th.risk_tree_shared_noise_floor(5, 0.1, 0.05))
    assert shared == pytest.approx(float(th.risk_tree_shared_noise(5, 60, 2.0, 0.1, 0.05)))
    assert float(th.risk_tree_global_floor(5, 2.0, 0.1, 0.05)) == pytest.approx(0.2 + 0.0125)


def test_gossip_has_a_best_number_of_rounds() -> None:
    risk = th.risk_ring_gossip(12, 0.25, np.arange(200), 1.0, 0.1, 0.05)
    assert 0 < int(np.argmin(risk)) < 100
    assert th.risk_chain_relay([0, 3], 1.0, 0.1).tolist() == pytest.approx([1.0, 1.3])
    assert float(th.leaf_variance(100, 2.0, 0.5)) == pytest.approx(0.2)


def test_costs_count_messages_of_each_organisation() -> None:
    assert float(th.star_cost(5, 100, 10)) == float(th.tree_cost(5, 1, 100, 10)) == 600
    assert float(th.full_cost(5, 100, 10)) == 500 + 5 * 10 + 5 * 4 * 10
    assert float(th.chain_cost(5, 100, 10)) == 580
    assert float(th.ring_cost(5, 100, 10, 2)) == 500 + 2 * 5 * 30


def test_light_cone_and_poll_rounds() -> None:
    assert float(th.ring_light_cone(4)) == 9
    assert float(th.poll_rounds_valid(3**5, 3)) == pytest.approx(5)
    assert float(th.weighting_gain([0.0, 0.2])) == pytest.approx(sqrt(2))
    assert float(th.weak_majority_slope([0.1, 0.1, 0.1])) == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: th.majority_map(1.2, 3), "x must lie in [-1, 1]"),
        (lambda: th.majority_map(0.1, 2.5), "b must be a whole number"),
        (lambda: th.node_map(0.1, 3, 1.1, 0), "gamma must lie in [0, 1]"),
        (lambda: th.node_map(0.1, 3, 0.9, nan), "rho must be finite"),
        (lambda: th.node_map(0.1, 3, 0.9, 0.1, lock="before_channel", shape="beta_binomial"), "before_channel"),
        (lambda: th.trajectory(0.1, 3, 0.9, 0.1, -1), "depth"),
        (lambda: th.trajectory_mixture([0.1, 0.2], [0.5, 0.6], 3, 0.9, 0.1, 2), "weights must sum to 1"),
        (lambda: th.organization_exponent(1, 0.9, 0.1), "b must be at least 2"),
        (lambda: th.LeafLaw(0.1, 0.2, 1.5), "mu_max"),
        (lambda: th.demand_window(11, 400, 4000), "fan-in of at most 10"),
        (lambda: th.full_vote(4, 0.9, 0.1), "odd number"),
        (lambda: th.fidelity(10, "linear", 5), "unknown fidelity family"),  # type: ignore[arg-type]
        (lambda: th.risk_linear([0.5, 0.4], [0.1], 1, 0, 1), "weights must sum to 1"),
        (lambda: th.risk_tree_floor(3, 1.0, 0.1), "rho must be below 1"),
        (lambda: th.sibling_correlation([[[1, 0], [1, 1]], [[1, 1], [1, 1]]]), "votes must be"),
        (lambda: th.finite_depth_exponent(0.1, -0.1, 3, 2), "one sign"),
        (lambda: th.plurality_map(0.1, 3, 1), "at least 2 answers"),
    ],
)
def test_unusable_input_is_named(call: object, named: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=re.escape(named)):
        call()


@pytest.mark.parametrize("lock", ["after_channel", "before_channel"])
@pytest.mark.parametrize("b", [1, 2, 3, 4, 1001, 10_000_001])
def test_edges_of_every_parameter_are_finite_silent_and_within_the_bounds(b: int, lock: th.Lock) -> None:
    gamma, rho = (a.ravel() for a in np.meshgrid([0, 1e-12, 0.5, 2 / 3, 1], [0, 0.3, 1]))
    assert np.isfinite(th.alpha(b, gamma, rho, lock=lock)).all()
    assert np.isfinite(th.fixed_point_multiplier(b, gamma, rho, lock=lock)).all()
    limit = th.fixed_point(b, gamma, rho, lock=lock)
    assert np.all(np.isnan(limit) | ((limit >= 0) & (limit <= 1)))
    mu0 = np.array([-1, -0.5, 0, 1e-200, 1e-12, 0.5, 1])[:, None]
    for depth in (0, 1, 3, 9):
        p = th.predictors(mu0, b, gamma, rho, depth, lock=lock)
        exact = np.abs(p.exact)
        for lower in (p.lower_growth, p.lower_chord, p.lower_two_phase):
            assert np.all(np.abs(lower) <= exact * (1 + 1e-12))
        assert np.all(np.abs(p.upper_clipped_growth) >= exact * (1 - 1e-12))


def test_free_messages_and_deaf_channels_have_allocations_at_their_limits() -> None:
    assert th.allocation(3, 1.0, 0.0, 0, th.LeafLaw(0.1, 0.2)).leaves(1e5) == inf
    deaf = th.allocation(3, 0.0, 0.0, 50, th.LeafLaw(0.1, 0.2))
    assert (deaf.s, deaf.synergy, deaf.leaves(1e5)) == (-inf, False, 1.0)
    assert "no synergy" in deaf.summary()


def test_every_formula_says_where_it_comes_from_and_only_paper_tags_name_the_paper() -> None:
    tag = re.compile(r"\[[^\]]*\b(P2|P|D|X)\b")
    for name in th.__all__:
        item = getattr(th, name)
        if inspect.isfunction(item):
            own, shared = inspect.getdoc(item) or "", sys.modules[item.__module__].__doc__ or ""
            assert tag.search(own) or tag.search(shared), name
            assert not re.search(r"(Eq|Thm|Theorem)\.? ?\d", own), name
            if re.search(r"\bpaper\b", own):
                assert re.search(r"\[[^\]]*\bP2?\b", own), name


def test_scalar_calls_give_arrays_that_compute_as_numbers() -> None:
    for value in (
        th.majority_slope(5),
        th.majority_map(0.3, 5),
        th.alpha(5, 0.9, 0.1),
        th.fixed_point(5, 0.9, 0.1),
        th.critical_gamma(5, 0.1),
        th.fidelity(100, "exp", 50),
        th.leaf_tokens(1e4, 5, 2, 50),
        th.risk_tree(5, 3, 1.0, 0.1, 0.1),
        th.effective_votes(0.1, 0.3),
        th.full_vote(5, 0.9, 0.2),
    ):
        assert isinstance(value, np.ndarray)
        assert value.shape == ()
        assert f"{value + 0:.3f}"


def test_a_signal_is_zero_for_a_guess_and_one_for_certainty_and_gives_its_share_back() -> None:
    shares = np.array([0.0, 0.25, 0.4, 1.0])
    assert signal_of(shares, 0.25) == pytest.approx([-1 / 3, 0.0, 0.2, 1.0])
    assert share_of(signal_of(shares, 0.25), 0.25) == pytest.approx(shares)
    assert signal_of(0.75, 0.5) == 0.5
