"""The simulator draws what the theory computes, exactly in law and the same for the same seed.

Statistical tests have fixed seeds, so they cannot flicker; the false-alarm rates say how likely a fresh seed would fail
a right program.
"""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.errors import InputError, MissingExtraError
from agentsoc.streams import stream
from analysis.synergy.simulation.bits import bernoulli, binary_digits, choose, majority, ones
from analysis.synergy.simulation.simulate import (
    Drawing,
    Engine,
    VoteEstimate,
    simulate_chain,
    simulate_full_vote,
    simulate_poll,
    simulate_ring,
    simulate_star,
    simulate_tree,
)
from analysis.synergy.simulation.simulate_risk import (
    Correlation,
    simulate_chain_risk,
    simulate_full_risk,
    simulate_ring_risk,
    simulate_star_risk,
    simulate_tree_risk,
)
from analysis.synergy.theory import formulas as th


def need(engine: Engine) -> None:
    """Skip, visibly, what needs a compiler that is not installed."""
    if engine == "numba":
        pytest.importorskip("numba")


# Two-sided: a right program passes each single comparison with probability 1 - 6e-5 for a fresh seed.
Z = 4.0


@given(p=st.floats(0, 1, exclude_max=True))
def test_binary_digits_are_the_exact_probability(p: float) -> None:
    value = sum((Fraction(int(d), 2**i) for i, d in enumerate(binary_digits(p), start=1)), Fraction(0))
    assert value == Fraction(p)


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.05, 0.3, 0.5, 0.75, 0.999, 1.0])
def test_bernoulli_bits_have_their_probability_in_every_position(p: float) -> None:
    words = bernoulli(stream(5, "bits"), p, 40_000)
    share = np.array([((words >> np.uint64(bit)) & np.uint64(1)).mean() for bit in range(64)])
    if p in (0.0, 1.0):
        assert np.all(share == p)
    else:  # 64 comparisons of 40,000 bits: false alarm below 0.4 %
        assert np.abs((share - p) / np.sqrt(p * (1 - p) / 40_000)).max() < Z


@settings(max_examples=40, deadline=None)
@given(b=st.sampled_from([1, 3, 5, 7, 9, 15, 31, 33]), seed=st.integers(0, 1000))
def test_bit_majority_is_the_majority_of_each_replica(b: int, seed: int) -> None:
    votes = np.random.default_rng(seed).integers(0, 1 << 64, (b, 3), dtype=np.uint64)
    right = sum((votes[i][:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1) for i in range(b))
    won = (majority(votes)[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.array_equal(won == 1, np.asarray(right) > b // 2)


def test_ones_counts_only_the_replicas_asked_for() -> None:
    words = np.array([0xFFFFFFFFFFFFFFFF, 0b1011], dtype=np.uint64)
    assert [ones(words, n) for n in (1, 64, 65, 66, 67, 128)] == [1, 64, 65, 66, 66, 67]
    assert choose(words[1:], words[:1], words[:1] * np.uint64(0))[0] == 0b1011


def random_trees(n: int, seed: int) -> list[tuple[float, int, float, float, int, th.Lock]]:
    """Return n random trees with a signal that is not yet certain, so that a z score is nearly normal."""
    rng = np.random.default_rng(seed)
    found: list[tuple[float, int, float, float, int, th.Lock]] = []
    while len(found) < n:
        b, depth = int(rng.choice([3, 5, 7, 9, 15, 31])), int(rng.integers(0, 5))
        mu0, gamma, rho = rng.uniform(-0.9, 0.9), rng.uniform(0.3, 1), rng.uniform(0, 0.9)
        lock: th.Lock = "after_channel" if rng.random() < 0.7 else "before_channel"
        gamma, rho = (1.0 if rng.random() < 0.05 else gamma), (0.0 if rng.random() < 0.1 else rho)
        if b**depth <= 4000 and abs(float(th.trajectory(mu0, b, gamma, rho, depth, lock=lock)[-1])) < 0.99:
            found.append((mu0, b, gamma, rho, depth, lock))
    return found


@pytest.mark.parametrize(("engine", "n_sets", "leaves"), [("numba", 400, 4_000_000), ("numpy", 200, 600_000)])
def test_simulated_trees_agree_with_the_recursion_on_random_parameters(
    engine: Engine, n_sets: int, leaves: int
) -> None:
    """RMS z within 0.9..1.1 (false alarm 0.5 % for 400 sets, 5 % for 200), no |z| above 4 (2.5 % and 1.3 %)."""
    need(engine)
    z = []
    for i, (mu0, b, gamma, rho, depth, lock) in enumerate(random_trees(n_sets, 23)):
        expected = float(th.trajectory(mu0, b, gamma, rho, depth, lock=lock)[-1])
        replicas = max(leaves // b**depth, 4000)
        tree = simulate_tree(mu0, b, gamma, rho, depth, replicas, seed=i, drawing=Drawing(lock, engine=engine))
        z.append(tree.z(expected))
    assert 0.9 < np.sqrt(np.mean(np.square(z))) < 1.1
    assert np.max(np.abs(z)) < Z


def test_a_wrong_correlation_would_be_noticed() -> None:
    tree = simulate_tree(0.1, 5, 0.9, 0.1, 4, 100_000, seed=1)
    assert abs(tree.z(float(th.trajectory(0.1, 5, 0.9, 0.15, 4)[-1]))) > 2 * Z
    tree = simulate_tree(0.3, 5, 0.6, 0.5, 2, 100_000, seed=1)
    assert abs(tree.z(float(th.trajectory(0.3, 5, 0.6, 0.5, 2, lock="before_channel")[-1]))) > 2 * Z


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_equal_seeds_give_equal_trees_and_other_seeds_others(engine: Engine) -> None:
    need(engine)
    runs = [simulate_tree(0.1, 3, 0.9, 0.2, 3, 5000, seed=seed, drawing=Drawing(engine=engine)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_numpy_draws_exactly_the_replicas_asked_for_and_the_kernel_says_what_it_drew() -> None:
    need("numba")
    assert simulate_tree(1.0, 3, 1.0, 0.0, 2, 77, seed=0) == VoteEstimate(1.0, 77)
    kernel = simulate_tree(1.0, 3, 1.0, 0.0, 2, 77, seed=0, drawing=Drawing(engine="numba"))
    assert (kernel.mu, kernel.replicas % 64) == (1.0, 0)
    assert kernel.replicas >= 77


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize(("gamma", "rho", "mu"), [(1.0, 1.0, 0.3), (1.0, 0.0, None), (0.0, 0.5, 0.0)])
def test_certain_draws_are_certain(engine: Engine, gamma: float, rho: float, mu: float | None) -> None:
    need(engine)
    expected = float(th.trajectory(0.3, 5, gamma, rho, 2)[-1])
    assert mu is None or expected == pytest.approx(mu)
    assert abs(simulate_tree(0.3, 5, gamma, rho, 2, 100_000, seed=2, drawing=Drawing(engine=engine)).z(expected)) < Z


@pytest.mark.parametrize("rho", [0.1, 0.5])
def test_polya_urn_trees_follow_the_beta_binomial_recursion(rho: float) -> None:
    expected = float(th.trajectory(0.2, 5, 0.9, rho, 2, shape="beta_binomial")[-1])
    assert (
        abs(simulate_tree(0.2, 5, 0.9, rho, 2, 40_000, seed=3, drawing=Drawing(shape="beta_binomial")).z(expected)) < Z
    )


@pytest.mark.parametrize("rho", [0.1, 0.5])
def test_gaussian_factor_stars_follow_their_map(rho: float) -> None:
    expected = float(th.node_map(0.2, 9, 0.9, rho, shape="gauss_factor"))
    assert abs(simulate_star(0.2, 9, 0.9, rho, 200_000, seed=4, drawing=Drawing(shape="gauss_factor")).z(expected)) < Z


def test_chains_full_votes_and_one_round_rings_follow_their_formulas() -> None:
    chain = simulate_chain(0.3, 0.9, 0.4, 5, 400_000, seed=5)
    assert abs(chain.z(float(th.chain_trajectory(0.3, 0.9, 0.4, 5)[-1]))) < Z
    for rho in (0.0, 0.4):
        full = simulate_full_vote(0.3, 15, 0.6, rho, 200_000, seed=6)
        assert abs(full.z(float(th.full_vote(15, 0.6, 0.3, rho)))) < Z
    assert abs(simulate_ring(0.3, 9, 1.0, 1, 200_000, seed=7).z(float(th.majority_map(0.3, 3)))) < Z


def test_rings_stay_below_the_ceiling_of_their_light_cone() -> None:
    for rounds in (1, 2, 4):
        ring = simulate_ring(0.3, 21, 1.0, rounds, 60_000, seed=8)
        assert ring.mu <= float(th.voting_ceiling(th.ring_light_cone(rounds), 0.3)) + Z * ring.se


def test_polls_of_a_large_population_follow_the_tree_recursion() -> None:
    poll = simulate_poll(0.2, 3000, 3, 0.9, 3, 6400, seed=9)
    assert abs(poll.z(float(th.trajectory(0.2, 3, 0.9, 0.0, 3)[-1]))) < Z


@pytest.mark.parametrize(
    ("correlation", "expected"),
    [
        ("lock_before_noise", th.risk_tree(3, 3, 1.0, 0.3, 0.2)),
        ("lock_after_noise", th.risk_tree_shared_noise(3, 3, 1.0, 0.3, 0.2)),
        ("global", th.risk_tree_global(3, 3, 1.0, 0.3, 0.2)),
    ],
)
def test_tree_risks_follow_their_formulas(correlation: Correlation, expected: float) -> None:
    risk = simulate_tree_risk(3, 3, 1.0, 0.3, 0.2, 60_000, seed=10, correlation=correlation)
    assert abs(risk.z(float(expected))) < Z
    others = {float(f(3, 3, 1.0, 0.3, 0.2)) for f in (th.risk_tree, th.risk_tree_shared_noise, th.risk_tree_global)}
    assert all(abs(risk.z(other)) > Z for other in others - {float(expected)})


def test_other_risks_follow_their_formulas() -> None:
    n = 60_000
    assert abs(simulate_star_risk(8, 0.5, 0.9, 0.3, n, seed=11).z(float(th.risk_star(8, 0.5, 0.9, 0.3)))) < Z
    assert abs(simulate_full_risk(8, 1.0, 0.1, 0.4, n, seed=12).z(float(th.risk_full(8, 1.0, 0.1, 0.4)))) < Z
    mean = simulate_chain_risk(6, 1.0, 0.3, 0.2, n, seed=13)
    assert abs(mean.z(float(th.risk_chain_mean(6, 1.0, 0.3, 0.2)))) < Z
    best = simulate_chain_risk(6, 1.0, 0.3, 0.2, n, seed=14, gains="optimal")
    assert abs(best.z(float(th.risk_chain_kalman(6, 1.0, 0.3, 0.2)))) < Z
    ring = simulate_ring_risk(8, 0.3, 5, 1.0, 0.2, 0.1, n, seed=15)
    assert abs(ring.z(float(th.risk_ring_gossip(8, 0.3, 5, 1.0, 0.2, 0.1)))) < Z


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"b": 4}, "must be odd"),
        ({"depth": -1}, "depth"),
        ({"replicas": 0}, "replicas"),
        ({"gamma": 2.0}, "gamma"),
        ({"drawing": Drawing(shape="gauss_factor"), "depth": 2}, "one level only"),
    ],
)
def test_trees_that_cannot_be_simulated_are_refused(arguments: dict[str, object], named: str) -> None:
    usual = {"mu0": 0.1, "b": 3, "gamma": 0.9, "rho": 0.1, "depth": 2, "replicas": 10, "seed": 1}
    with pytest.raises(InputError, match=named):
        simulate_tree(**(usual | arguments))  # type: ignore[arg-type]


def test_kernel_without_its_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "analysis.synergy.simulation.kernel", None)
    with pytest.raises(MissingExtraError, match=r"agentsoc\[analysis\]"):
        simulate_tree(0.1, 3, 0.9, 0.1, 1, 64, seed=0, drawing=Drawing(engine="numba"))
