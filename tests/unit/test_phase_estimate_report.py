"""Shape of correlation, difficulty, checks, the joint estimate and the diagram: on votes drawn in the test.

Statistical tests have fixed seeds; "within 4 standard errors" fails a right program once in about 15,000 fresh seeds.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.synergy.diagram.panels import budget_panel, phase_plane, trajectory_panel
from analysis.synergy.estimation.assumptions import check_channel, check_difficulty, check_size, check_truths
from analysis.synergy.estimation.count_shapes import compare_shapes, node_slope, subset_majority
from analysis.synergy.estimation.difficulty import fit_difficulty, log_count_law
from analysis.synergy.estimation.estimate import Measurements, PhaseEstimate, estimate_phase
from analysis.synergy.estimation.holdout import hold_out_depth
from analysis.synergy.estimation.known import KnownParameters, NodeModel
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from analysis.synergy.planning.calibration import leaf_runs, merge_runs, relay_runs
from analysis.synergy.theory import formulas as theory
from tests.unit.test_phase_estimate import leaf_trials, locked, merges, near, trips, votes
from tests.viewer_results import some_measurements

Bools = NDArray[np.bool_]


def beta_binomial(rng: np.random.Generator, mu: NDArray[np.float64], runs: int, agents: int, rho: float) -> Bools:
    p, scale = (1 + mu) / 2, (1 - rho) / rho
    bias = rng.beta(np.maximum(p * scale, 1e-9)[:, None], np.maximum((1 - p) * scale, 1e-9)[:, None], (mu.size, runs))
    return np.asarray(rng.random((mu.size, runs, agents)) < bias[:, :, None])


# Laws of vote counts


@given(st.integers(2, 12), st.floats(-0.95, 0.95), st.floats(0, 0.9), st.sampled_from(["lock", "beta_binomial"]))
@settings(max_examples=60, deadline=None)
def test_count_laws_are_laws_with_the_signal_and_the_correlation_they_name(
    n: int, mu: float, rho: float, shape: Any
) -> None:
    right = np.arange(n + 1)
    pmf = np.exp(log_count_law(np.full(n + 1, n), right, np.array([mu]), rho, shape))[:, 0]
    p = (1 + mu) / 2
    assert pmf.sum() == pytest.approx(1)
    assert pmf @ right == pytest.approx(n * p)
    pairs = pmf @ (right * (right - 1.0)) / (n * (n - 1))
    assert (pairs - p * p) / (p * (1 - p)) == pytest.approx(rho, abs=1e-9)


def test_pairs_look_the_same_under_both_shapes_and_are_refused() -> None:
    counts = np.full(3, 2), np.arange(3), np.array([0.3])
    assert np.allclose(log_count_law(*counts, 0.4, "lock"), log_count_law(*counts, 0.4, "beta_binomial"))
    with pytest.raises(InputError, match="pairs look the same"):
        compare_shapes(votes(np.ones((30, 2, 2), dtype=bool)))


def test_the_shape_that_drew_the_votes_is_preferred_and_its_rho_found() -> None:
    rng = stream(31, "shape")
    mu = rng.uniform(-0.2, 0.8, 400)
    for draw, shape in ((locked, "lock"), (beta_binomial, "beta_binomial")):
        test = compare_shapes(votes(draw(rng, mu, 3, 7, 0.3)))
        assert test.preferred == shape
        assert test.conditioned
        fit = test.lock if shape == "lock" else test.beta_binomial
        assert fit.rho == pytest.approx(0.3, abs=0.06)
        growth = test.alphas(9, 0.9)
        assert growth["lock"] > growth["beta_binomial"] + 0.2
        assert test.exponents(9, 0.9)["lock"] == pytest.approx(np.log(growth["lock"]) / np.log(9))


def test_difficulty_passes_for_correlation_unless_tasks_are_run_twice() -> None:
    # negative control: votes that are independent given the task
    right = locked(stream(32, "independent"), stream(32, "mu").choice([0.9, -0.4], 500), 3, 5, 0.0)
    once, often = compare_shapes(votes(right[:, :1])), compare_shapes(votes(right))
    assert not once.conditioned
    assert "not separated" in once.summary()
    assert once.beta_binomial.rho > 0.2
    assert often.conditioned
    assert often.lock.rho < 0.03


@given(st.lists(st.booleans(), min_size=3, max_size=8), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_subset_majority_is_the_mean_over_all_subsets(ballots: list[bool], half: int) -> None:
    b = min(2 * half - 1, len(ballots))
    expected = np.mean([np.sign(2 * sum(chosen) - b) for chosen in combinations(ballots, b)])
    assert subset_majority(np.array([len(ballots)]), np.array([sum(ballots)]), b)[0] == pytest.approx(expected)


def test_the_model_free_slope_sides_with_the_shape_that_drew_the_votes() -> None:
    rng = stream(33, "slope")
    table = votes(beta_binomial(rng, np.full(3000, 0.2), 2, 9, 0.3))
    slope = node_slope(table, 9)
    assert near(slope.majority, slope.beta_binomial)
    assert not near(slope.majority, slope.lock)
    assert not near(slope.majority, slope.independent)
    assert near(slope.signal, 0.2)
    assert slope.rho == pytest.approx(0.3, abs=0.05)
    with pytest.raises(InputError, match="no group has 11"):
        node_slope(table, 11)


# Difficulty


def test_a_mixture_of_difficulties_is_recovered_where_it_matters() -> None:
    rng = stream(34, "mixture")
    truth = rng.choice([0.4, -0.1], 1500, p=[0.8, 0.2])
    fit = fit_difficulty(votes(locked(rng, truth, 3, 9, 0.0)))
    assert fit.mean == pytest.approx(0.3, abs=0.03)
    assert fit.variance == pytest.approx(0.04, abs=0.01)
    deep = theory.trajectory_mixture([0.4, -0.1], [0.8, 0.2], 5, 0.9, 0.1, 3)
    assert fit.trajectory(5, 0.9, 0.1, 3) == pytest.approx(np.asarray(deep), abs=0.06)
    pooled = theory.trajectory(0.3, 5, 0.9, 0.1, 3)
    assert fit.trajectory(5, 0.9, 0.1, 3)[-1] < float(pooled[-1]) - 0.1


def test_shared_errors_are_not_taken_for_difficulty_when_rho_is_known() -> None:
    table = votes(locked(stream(35, "shared"), np.full(800, 0.3), 3, 7, 0.4))
    assert fit_difficulty(table, rho=0.4).variance < 0.02
    assert fit_difficulty(table, rho=0.0).variance > 0.1  # negative control
    assert fit_difficulty(table, rho=0.4).loglik > fit_difficulty(table, rho=0.0).loglik + 50


# Checks


def test_every_check_tells_violated_from_not_checked() -> None:
    rng = stream(36, "checks")
    easy = estimate_rho(votes(locked(rng, rng.choice([0.9, -0.5], 300), 2, 5, 0.0)))
    equal = estimate_rho(votes(locked(rng, np.full(300, 0.3), 2, 5, 0.0)))
    assert check_difficulty(easy).status == "violated"
    assert check_difficulty(equal).status == "not contradicted"
    assert check_difficulty(None).status == "not checked"
    truth = np.where(np.arange(400) % 2 == 0, "yes", "no")
    biased = np.where(truth == "yes", rng.random(400) < 0.9, rng.random(400) < 0.5).astype(float)
    table = pl.DataFrame({"task": [str(i) for i in range(400)], "correct": biased, "truth": truth})
    assert check_truths(table).status == "violated"
    assert check_truths(table.with_columns(pl.lit("yes").alias("truth"))).status == "not checked"
    assert check_truths(table.drop("truth")).status == "not checked"
    assert check_channel(None).status == "not checked"
    assert check_size(29).status == "violated"
    assert check_size(30).status == "not contradicted"
    few = check_size(427, {"rho": 12, "a and beta": 400})
    assert (few.status, few.text[:28]) == ("violated", "427 tasks, but rho from 12; ")
    assert check_size(427, {"rho": 30, "a and beta": 397}).status == "not contradicted"


# The joint estimate


def measured(rho: float = 0.25, gamma: float = 0.9) -> Measurements:
    rng = stream(37, "measured", int(100 * rho))
    return Measurements(
        leaves=leaf_trials(rng, 3000, a=0.03, beta=0.2),
        trips=trips(rng, 800, lambda m: gamma, (50.0,)),
        votes=votes(locked(rng, rng.uniform(-0.2, 0.8, 400), 2, 5, rho)),
    )


@pytest.fixture(scope="module")
def estimate() -> PhaseEstimate:
    return estimate_phase(measured(), 5)


def test_the_joint_estimate_finds_every_parameter_and_what_follows(estimate: PhaseEstimate) -> None:
    assert near(estimate.beta, 0.2)
    assert near(estimate.gamma, 0.9)
    assert near(estimate.rho, 0.25)
    assert (estimate.gamma_from, estimate.rho_from, estimate.lock) == ("round trips", "replicates", "after_channel")
    assert near(estimate.alpha, float(theory.alpha(5, 0.9, 0.25)))
    assert near(estimate.s, float(theory.organization_exponent(5, 0.9, 0.25)))
    assert near(estimate.s_beta_binomial, float(theory.organization_exponent(5, 0.9, 0.25, shape="beta_binomial")))
    assert estimate.verdict == "amplify"
    assert estimate.p_amplify == 1
    assert estimate.p_synergy == np.mean(estimate.draws["s"] > estimate.draws["beta"])
    assert estimate.p_synergy_beta_binomial is not None
    assert estimate.p_synergy is not None
    assert estimate.p_synergy_beta_binomial < estimate.p_synergy
    assert any(text.startswith("A2 violated") for text in estimate.violated)
    assert any(text.startswith("A1 not checked") for text in estimate.unchecked)
    assert "A2 violated" in estimate.summary()
    assert "P(s > beta)" in estimate.summary()


def test_the_delta_method_agrees_with_the_bootstrap_where_tables_share_no_tasks(estimate: PhaseEstimate) -> None:
    fast = estimate_phase(measured(), 5, method="delta", n_draws=2)
    assert fast.draws == {}
    assert fast.s is not None
    assert estimate.s is not None
    assert fast.s.value == pytest.approx(estimate.s.value)
    assert fast.s.se == pytest.approx(estimate.s.se, rel=0.2)
    assert fast.p_synergy == pytest.approx(estimate.p_synergy, abs=0.1)


def test_the_same_seed_gives_the_same_draws(estimate: PhaseEstimate) -> None:
    again = estimate_phase(measured(), 5)
    assert all(np.array_equal(again.draws[name], draws, equal_nan=True) for name, draws in estimate.draws.items())
    assert again.summary() == estimate.summary()


def test_a_pooled_correlation_never_reaches_alpha() -> None:
    data = measured()
    assert data.votes is not None
    once = Measurements(data.leaves, data.trips, data.votes.filter(pl.col("run") == 0))
    found = estimate_phase(once, 5)
    assert found.alpha is None
    assert found.s is None
    assert found.p_amplify is None
    assert found.verdict == "undecided"
    assert found.siblings is not None
    assert found.siblings.pooled is not None
    assert any("replicates" in reason for reason in found.refusals)
    assert "alpha =" not in found.summary()


def test_what_is_known_beforehand_is_given_and_says_so() -> None:
    found = estimate_phase(Measurements(leaves=measured().leaves), 3, known=KnownParameters(gamma=1.0, rho=0.0))
    assert found.gamma_from == found.rho_from == "given"
    assert found.alpha is not None
    assert (found.alpha.value, found.alpha.width) == (1.5, 0.0)
    assert "(given)" in found.summary()
    with pytest.raises(InputError, match="given gamma"):
        estimate_phase(Measurements(leaves=measured().leaves), 3, known=KnownParameters(gamma=1.5, rho=0.0))


def test_correlation_of_sent_votes_is_put_before_the_channel() -> None:
    data = measured()
    sent = Measurements(data.leaves, data.trips, data.votes, votes_are="sent")
    found = estimate_phase(sent, 5)
    assert found.lock == "before_channel"
    assert found.alpha is not None
    assert near(found.alpha, float(theory.alpha(5, 0.9, 0.25, lock="before_channel")))


def test_missing_measurements_are_named() -> None:
    found = estimate_phase(Measurements(votes=measured().votes), 5)
    text = " ".join(found.refusals)
    assert "no trials of single agents" in text
    assert "no round trips" in text
    with pytest.raises(InputError, match="nothing to estimate"):
        estimate_phase(Measurements(), 5)
    with pytest.raises(InputError, match="odd fan-ins"):
        estimate_phase(measured(), 4)


def test_unreadable_relays_count_as_guesses_beside_merges_too() -> None:
    rng = stream(42, "unread")
    sent = (rng.random(4000) < 0.5).astype(float)
    lost = rng.random(4000) < 0.4
    table = pl.DataFrame(
        {
            "task": [f"r{i}" for i in range(4000)],
            "m": 5.0,
            "sent": np.where(sent > 0, "A", "B"),
            "read": pl.Series(np.where(sent > 0, "A", "B")).set(pl.Series(lost), None),
            "sent_correct": sent,
            "read_correct": pl.Series(sent).set(pl.Series(lost), None),
            "k": 2,
        }
    )
    few = merges(rng, 200, 5, 0.6, 0.1)
    assert near(estimate_phase(Measurements(trips=table, merges=few), 5).gamma, 0.6)


def test_lengths_of_messages_are_not_mixed_in_one_gamma() -> None:
    mixed = trips(stream(38, "mixed"), 50, lambda m: 0.8, (10.0, 50.0))
    with pytest.raises(InputError, match="one length"):
        estimate_phase(Measurements(trips=mixed), 5)


def test_more_than_two_answers_are_a_violated_assumption() -> None:
    data = Measurements(trips=trips(stream(39, "many"), 400, lambda m: 0.9, (50.0,), k=4))
    found = estimate_phase(data, 3, known=KnownParameters(rho=0.0))
    assert any(text.startswith("K violated") for text in found.violated)
    assert near(found.gamma, 0.9)


def test_merges_that_no_majority_explains_violate_a5() -> None:
    table = merges(stream(40, "odd"), 2000, 5, 0.9, 0.1)
    odd = table.with_columns(out=(pl.col("right") % 2))  # a node that answers by parity
    found = estimate_phase(Measurements(merges=odd), 5)
    assert any(text.startswith("A5 violated") for text in found.violated)
    fair = estimate_phase(Measurements(merges=table), 5)
    assert not any(text.startswith("A5 violated") for text in fair.violated)


def test_votes_of_another_shape_than_the_lock_violate_a4() -> None:
    rng = stream(43, "a4")
    mu = rng.uniform(-0.2, 0.8, 400)
    for draw, said in ((beta_binomial, "A4 violated"), (locked, "A4 not contradicted")):
        found = estimate_phase(Measurements(votes=votes(draw(rng, mu, 3, 7, 0.3))), 5, known=KnownParameters(gamma=0.9))
        assert any(str(check).startswith(said) for check in found.checks)
        assert found.s is not None
        assert found.s_beta_binomial is not None
        assert found.s.value > found.s_beta_binomial.value


def test_votes_that_share_errors_before_they_are_sent_are_seen_beside_merges_and_can_be_taken_instead() -> None:
    rng = stream(44, "sent")
    for rho, status in ((0.4, "violated"), (0.0, "not contradicted")):
        table = votes(locked(rng, np.full(300, 0.2), 2, 5, rho))
        data = Measurements(votes=table, votes_are="sent", merges=merges(rng, 1500, 5, 0.9, 0.1))
        found = estimate_phase(data, 5)
        assert near(found.rho, 0.1)
        assert found.lock == "after_channel"
        assert {check.status for check in found.checks if check.code == "A2, siblings"} == {status}
        instead = estimate_phase(data, 5, known=KnownParameters(gamma=0.9), nodes=NodeModel(rho_by="replicates"))
        assert (instead.rho_from, instead.lock) == ("replicates", "before_channel")
        assert near(instead.rho, rho)


def test_measurements_on_the_same_tasks_are_resampled_together() -> None:
    rng = stream(41, "joint")
    ease = rng.choice([0.9, 0.0], 300)
    right = locked(rng, ease, 2, 5, 0.0)
    table = votes(right)
    # Readers who do well on the tasks that siblings find easy: gamma and rho move together.
    heard = rng.random(300) < (1 + ease) / 2
    sent = pl.DataFrame({"task": [f"t{i}" for i in range(300)], "m": 5.0, "sent": "A", "k": 2})
    shared = sent.with_columns(read=pl.Series(np.where(heard, "A", "B")))
    apart = shared.with_columns(task=pl.format("other-{}", "task"))
    found = [estimate_phase(Measurements(trips=trip, votes=table), 5).draws for trip in (shared, apart)]
    tied = [np.corrcoef(draws["gamma"], draws["rho"])[0, 1] for draws in found]
    signal = [np.corrcoef(draws["gamma"], draws["alpha"])[0, 1] for draws in found]
    assert abs(tied[1]) < 0.2
    assert min(signal) > 0.5


def test_depth_one_is_not_held_out() -> None:
    answers = pl.DataFrame({"task": ["a"], "level": [1], "correct": [1.0]})
    with pytest.raises(InputError, match="hold out"):
        hold_out_depth(votes(np.ones((3, 2, 3), dtype=bool)), merges(stream(1, "x"), 5, 3, 0.9, 0.1), answers, 3)


# Calibration runs


def test_calibration_runs_have_seeds_of_their_own_and_keep_the_base() -> None:
    base = {
        "name": "base",
        "seed": 5,
        "tasks": {"kind": "signal", "count": 10},
        "agents": {"model": "simulated"},
        "topology": "star",
        "protocol": "aggregate",
    }
    before = repr(base)
    runs = [*leaf_runs(base, [100, 400]), *relay_runs(base, [20, 40]), *merge_runs(base, 5)]
    assert repr(base) == before
    assert len({run.scenario["seed"] for run in runs}) == len({run.scenario["name"] for run in runs}) == 5
    assert [run.scenario["agents"][0]["model"].get("compute") for run in runs[:2]] == [100, 400]
    assert runs[2].scenario["agents"][1]["model"]["keep_own"] == 0
    again = merge_runs(base, 5, replicates=2)
    assert len({run.scenario["seed"] for run in again}) == 2
    assert len({run.scenario["tasks"]["seed"] for run in again}) == 1
    with pytest.raises(InputError, match="groups"):
        leaf_runs({**base, "agents": [{"model": "simulated"}] * 2}, [1])


# The diagram


def test_the_lines_of_the_plane_are_where_the_theory_has_them(estimate: PhaseEstimate) -> None:
    plane = phase_plane(5, estimate=estimate, mu0=0.3, n=101)
    assert plane.s.shape == plane.mu_star.shape == (101, 101)
    for row in (0, 40, 80):
        at = float(plane.boundary_lock[row])
        assert float(theory.organization_exponent(5, at, plane.rho[row])) == pytest.approx(0, abs=1e-9)
        pessimistic = float(plane.boundary_beta_binomial[row])
        assert theory.alpha(5, pessimistic, plane.rho[row], shape="beta_binomial") == pytest.approx(1)
    assert np.all(plane.boundary_beta_binomial[1:] > plane.boundary_lock[1:])
    assert plane.finite is not None
    clear = np.abs(plane.mu_star - 0.3) > 1e-6
    assert np.array_equal((plane.finite > 0)[clear], (plane.mu_star > 0.3)[clear])
    assert plane.cloud.shape == (400, 2)
    assert estimate.beta is not None
    assert plane.beta == estimate.beta.value
    assert "P(alpha > 1) > 0.99" in plane.caption()
    with pytest.raises(InputError, match="b = 5"):
        phase_plane(3, estimate=estimate)


def test_budgets_are_ordered_and_end_at_s() -> None:
    panel = budget_panel(5, 0.95, 0.05, theory.LeafLaw(0.02, 0.2), 50)
    pays = panel.beta < panel.s
    assert np.all(np.isinf(panel.first[~pays]))
    assert np.all(np.isfinite(panel.first[pays]))
    at = int(np.searchsorted(panel.beta, 0.2))
    reference = theory.allocation(5, 0.95, 0.05, 50, theory.LeafLaw(0.02, 0.2))
    assert panel.first[at] * panel.c0 == pytest.approx(reference.depth_thresholds[0], rel=0.05)
    assert reference.catch_up is not None
    assert np.log(panel.catch_up[at] * panel.c0) == pytest.approx(np.log(reference.catch_up), rel=0.05)
    assert np.all(np.diff(panel.first[pays]) >= 0)
    assert panel.first[pays][-1] > 10 * panel.first[0]


def test_a_budget_panel_without_any_synergy_is_empty_and_not_an_error() -> None:
    panel = budget_panel(5, 0.4, 0.2, theory.LeafLaw(0.02, 0.2), 50)
    assert np.all(np.isinf(panel.first))


def test_the_trajectory_lies_between_its_bounds_and_measured_points_are_shown(estimate: PhaseEstimate) -> None:
    answers = pl.DataFrame(
        {"task": [str(i) for i in range(50)] * 2, "level": [0] * 50 + [2] * 50, "correct": [1.0, 0.0] * 50}
    )
    panel = trajectory_panel(0.1, 5, 0.9, 0.25, 5, estimate=estimate, answers=answers)
    assert np.all(panel.lower <= panel.exact + 1e-12)
    assert np.all(panel.exact <= panel.upper + 1e-12)
    assert np.all((panel.band_low <= panel.exact) & (panel.exact <= panel.band_high))
    assert [point.level for point in panel.measured] == [0, 2]
    assert all(point.low < point.signal == 0 < point.high for point in panel.measured)


def test_figures_are_drawn_without_a_window_and_equal_data_give_equal_files(
    estimate: PhaseEstimate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    from analysis.synergy.diagram import draw
    from analysis.synergy.diagram.figures import draw_budget, draw_plane, draw_trajectory, save

    plane = phase_plane(5, estimate=estimate, mu0=0.3, n=40)
    budget = budget_panel(5, 0.95, 0.05, theory.LeafLaw(0.02, 0.2), 50, estimate=estimate)
    path = trajectory_panel(0.1, 5, 0.9, 0.25, 5, estimate=estimate)
    for name, drawn in (("plane", draw_plane(plane)), ("budget", draw_budget(budget)), ("path", draw_trajectory(path))):
        save(drawn, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    save(draw_plane(plane), tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "plane.png").read_bytes()
    monkeypatch.setattr(draw, "phase_plane", partial(phase_plane, n=20))
    files = draw.draw_phase(estimate, some_measurements(), tmp_path / "drawn")
    names = ("phase-plane", "phase-budget", "phase-depth")
    assert [path.name for path in files] == [f"{name}.{ending}" for name in names for ending in ("png", "csv")]
    assert all(path.stat().st_size > 500 for path in files)
    legend = draw_plane(plane).axes[0].get_legend()
    assert legend is not None
    entries = {text.get_text() for text in legend.get_texts()}
    assert {"alpha = 1, lock", "alpha = 1, beta-binomial", "measured"} <= entries
