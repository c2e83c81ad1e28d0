"""Simulated societies, run through the engine, follow the theory of docs/phase-theory.md within sampling error.

With about 60 comparisons and a fixed seed, a right engine fails `|z| <= 4` with probability 0.4 % and the bound on the
root mean square with about 0.1 %.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.engine.execute import Plan, execute
from agentsoc.engine.run import run
from agentsoc.log.manifest import Totals
from analysis.synergy.theory import formulas as theory
from tests.nightly import at_night
from tests.strategies import scenario

TASKS = 3_000


def society(topology: Any, n: int | None, model: dict[str, Any], protocol: Any = "aggregate", seed: int = 5) -> Totals:
    agents = {"model": {"kind": "simulated", "message": 7, "compute": 30, **model}}
    built = scenario(
        seed=seed,
        tasks={"kind": "coin", "count": TASKS},
        agents=agents if n is None else {**agents, "count": n},
        topology=topology,
        protocol=protocol,
    )
    with tempfile.TemporaryDirectory() as scratch:
        return asyncio.run(execute(Plan(built, Path(scratch)))).totals


def z_of(totals: Totals, signal: float) -> float:
    """Return by how many standard errors the measured signal is off."""
    assert totals.score is not None
    error = np.sqrt(max(1 - signal**2, 1e-12) / TASKS)
    return float((2 * totals.score - 1 - signal) / error)


def test_trees_stars_and_chains_follow_the_exact_recursion() -> None:
    zs = []
    rng = np.random.default_rng(2)
    for b, depths in ((3, (1, 2, 3, 4)), (5, (1, 2, 3))):
        for depth in depths:
            for order in ("after_channel", "before_channel"):
                for _ in range(at_night(3, 2)):
                    gamma, rho, mu = rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.5), rng.uniform(0.05, 0.8)
                    model = {"signal": mu, "fidelity": gamma, "lock": rho, "lock_order": order}
                    got = society({"kind": "tree", "fan_in": b, "depth": depth}, None, model)
                    path = theory.trajectory(mu, b=b, gamma=gamma, rho=rho, depth=depth, lock=order)
                    zs.append(z_of(got, float(np.asarray(path)[-1])))
    for n in (3, 7, 15):
        gamma, rho, mu = rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.5), rng.uniform(0.05, 0.8)
        got = society("star", n + 1, {"signal": mu, "fidelity": gamma, "lock": rho})
        zs.append(z_of(got, float(np.asarray(theory.trajectory(mu, b=n, gamma=gamma, rho=rho, depth=1))[-1])))
    for n in (2, 5, 9):
        gamma, mu, own = rng.uniform(0.6, 1.0), rng.uniform(0.05, 0.8), rng.uniform(0.1, 0.9)
        got = society("chain", n, {"signal": mu, "fidelity": gamma, "keep_own": own})
        signal = mu
        for _ in range(n - 1):
            signal = (1 - own) * gamma * signal + own * mu
        zs.append(z_of(got, signal))
    assert len(zs) >= at_night(45, 34)
    assert max(map(abs, zs)) <= 4, zs
    assert np.sqrt(np.mean(np.square(zs))) < 1.4, zs


def test_the_deepest_tree_of_five_follows_the_recursion() -> None:
    got = society({"kind": "tree", "fan_in": 5, "depth": 4}, None, {"signal": 0.1, "fidelity": 0.9, "lock": 0.1})
    path = theory.trajectory(0.1, b=5, gamma=0.9, rho=0.1, depth=4)
    assert abs(z_of(got, float(np.asarray(path)[-1]))) <= 4


def test_an_agent_after_one_full_exchange_is_the_full_vote_of_the_theory() -> None:
    # every agent counts its own clean vote and the others' received ones
    for n, gamma, mu in ((3, 0.8, 0.4), (9, 0.7, 0.2)):
        built = scenario(
            tasks={"kind": "coin", "count": TASKS},
            agents={"count": n, "model": {"kind": "simulated", "signal": mu, "fidelity": gamma}},
            topology="decentralized",
            protocol={"kind": "debate", "rounds": 2},
        )
        with tempfile.TemporaryDirectory() as scratch:
            log = run(built, Path(scratch) / "run").frame()
        right = log.filter((pl.col("round") == 1) & (pl.col("agent") == 0))["correct"].mean()
        assert isinstance(right, float)
        expected = float(theory.full_vote(n, gamma, mu))
        assert abs(2 * right - 1 - expected) <= 4 * np.sqrt((1 - expected**2) / TASKS)


@pytest.mark.parametrize(("b", "depth"), [(3, 2), (5, 2), (3, 4)])
def test_a_tree_spends_the_budget_identity(b: int, depth: int) -> None:
    got = society({"kind": "tree", "fan_in": b, "depth": depth}, None, {"signal": 0.3})
    leaves, edges = b**depth, b * (b**depth - 1) // (b - 1)
    assert got.tokens_in + got.tokens_out == TASKS * (leaves * 30 + 2 * 7 * edges)
