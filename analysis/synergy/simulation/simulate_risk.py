"""This module draws estimates and their errors, to check the formulas of `risk` by.

The truth is 0, so an answer is its own error. Normal errors; a lock copies one child's value to all. Randomness comes
from the project's streams: equal arguments give equal results.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.synergy.theory.arrays import FloatArray, between, counts, fraction

Correlation = Literal["lock_before_noise", "lock_after_noise", "global"]
"""How errors in a tree correlate: a lock at each node on either side of the link noise, or once over all leaves."""


@dataclass(frozen=True)
class RiskEstimate:
    """The object is the mean squared error over independent replicas."""

    risk: float
    se: float
    """Standard error of `risk`, from the spread of the squared errors."""
    replicas: int

    def z(self, expected: float) -> float:
        """Return (risk - expected) / se."""
        return (self.risk - expected) / self.se


def simulate_tree_risk(
    b: int,
    depth: int,
    sigma2: float,
    rho: float,
    sigma_c2: float,
    replicas: int,
    *,
    seed: int,
    correlation: Correlation = "lock_before_noise",
) -> RiskEstimate:
    """Return the risk of trees of averages: `risk_tree`, `risk_tree_shared_noise` or `risk_tree_global`."""
    _check(sigma2, rho, sigma_c2, {"b": b, "depth": depth + 1, "replicas": replicas})
    rng = stream(seed, "phase", "tree risk", correlation)
    value = _leaves(rng, b**depth, replicas, sigma2, rho if correlation == "global" else 0.0)
    for level in range(depth):
        value = value.reshape(b, b ** (depth - level - 1), replicas)
        if correlation == "lock_before_noise":
            value = _locked(rng, value, rho)
        value = value + _noise(rng, value.shape, sigma_c2)
        if correlation == "lock_after_noise":
            value = _locked(rng, value, rho)
        value = value.mean(axis=0)
    return _estimate(value[0])


def simulate_star_risk(n: int, sigma2: float, rho: float, sigma_c2: float, replicas: int, *, seed: int) -> RiskEstimate:
    """Return the risk of a hub that averages n leaves with exchangeable errors: `risk_star`."""
    _check(sigma2, rho, sigma_c2, {"n": n, "replicas": replicas})
    rng = stream(seed, "phase", "star risk")
    received = _leaves(rng, n, replicas, sigma2, rho) + _noise(rng, (n, replicas), sigma_c2)
    return _estimate(received.mean(axis=0))


def simulate_full_risk(n: int, sigma2: float, rho: float, sigma_c2: float, replicas: int, *, seed: int) -> RiskEstimate:
    """Return the risk of an agent that averages its own clean value and n - 1 received ones: `risk_full`."""
    _check(sigma2, rho, sigma_c2, {"n": n, "replicas": replicas})
    rng = stream(seed, "phase", "full risk")
    value = _leaves(rng, n, replicas, sigma2, rho)
    value[1:] += _noise(rng, (n - 1, replicas), sigma_c2)
    return _estimate(value.mean(axis=0))


def simulate_chain_risk(
    n: int,
    sigma2: float,
    rho: float,
    sigma_c2: float,
    replicas: int,
    *,
    seed: int,
    gains: Literal["mean", "optimal"] = "mean",
) -> RiskEstimate:
    """Return the risk at the end of a chain: `risk_chain_mean` or `risk_chain_kalman`.

    Agent k + 1 receives the estimate of agent k over a noisy link and mixes its own value in, with weight 1/(k + 1) or
    with the gain of the scalar filter.
    """
    _check(sigma2, rho, sigma_c2, {"n": n, "replicas": replicas})
    rng = stream(seed, "phase", "chain risk", gains)
    own = _leaves(rng, n, replicas, sigma2, rho)
    private = (1 - rho) * sigma2
    value, variance = own[0], private
    for k in range(1, n):
        received, incoming = value + _noise(rng, (replicas,), sigma_c2), variance + sigma_c2
        gain = 1 / (k + 1) if gains == "mean" else incoming / (incoming + private)
        value = (1 - gain) * received + gain * own[k]
        variance = incoming * private / (incoming + private)
    return _estimate(value)


def simulate_ring_risk(
    n: int, weight: float, rounds: int, sigma2: float, rho: float, sigma_c2: float, replicas: int, *, seed: int
) -> RiskEstimate:
    """Return the risk of an agent on a ring after gossip, noise on both links in every round: `risk_ring_gossip`."""
    _check(sigma2, rho, sigma_c2, {"n": n, "rounds": rounds + 1, "replicas": replicas})
    if n < 3 or not 0 <= weight <= 0.5:
        raise InputError(f"ring gossip needs n >= 3 and a weight in [0, 1/2], got n={n}, weight={weight!r}")
    rng = stream(seed, "phase", "ring risk")
    value = _leaves(rng, n, replicas, sigma2, rho)
    for _ in range(rounds):
        received = np.roll(value, 1, axis=0) + np.roll(value, -1, axis=0)
        received += _noise(rng, value.shape, sigma_c2) + _noise(rng, value.shape, sigma_c2)
        value = (1 - 2 * weight) * value + weight * received
    return _estimate(value[0])


def _leaves(rng: np.random.Generator, n: int, replicas: int, sigma2: float, rho: float) -> FloatArray:
    """Return errors of n leaves, shape (n, replicas), with variance sigma2 and correlation rho."""
    common = rng.standard_normal(replicas)
    own = rng.standard_normal((n, replicas))
    return np.asarray(sqrt(sigma2) * (sqrt(rho) * common + sqrt(1 - rho) * own), dtype=np.float64)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_c2: float) -> FloatArray:
    return np.asarray(sqrt(sigma_c2) * rng.standard_normal(shape), dtype=np.float64)


def _locked(rng: np.random.Generator, value: FloatArray, rho: float) -> FloatArray:
    """Return the children's values, replaced by the first child's where the node is locked."""
    return np.where(rng.random(value.shape[1:]) < rho, value[0], value)


def _estimate(errors: FloatArray) -> RiskEstimate:
    squares = errors**2
    return RiskEstimate(float(squares.mean()), float(squares.std(ddof=1)) / sqrt(errors.size), errors.size)


def _check(sigma2: float, rho: float, sigma_c2: float, sizes: dict[str, int]) -> None:
    between("sigma2", sigma2, 0.0)
    between("sigma_c2", sigma_c2, 0.0)
    fraction("rho", rho)
    for name, size in sizes.items():
        counts(name, size)
