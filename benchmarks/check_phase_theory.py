"""The figures behind docs/phase-theory.md at full size; the tests assert the same on fewer sets.

Run: ``python -m benchmarks.check_phase_theory [--only NAME ...]`` (a minute or two); prints rows and fails when a
claim does not hold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.streams import stream
from analysis.synergy.estimation.leaf_law import WIDEST, fit_leaf_law
from analysis.synergy.planning.design import DesignTerms, best_depth
from analysis.synergy.simulation.simulate import Drawing, simulate_tree
from analysis.synergy.theory import formulas as theory
from tests.phase_adapter import evaluate
from tests.unit.test_phase_cases import disagreements

CASES = Path(__file__).parent.parent / "tests" / "data" / "phase_cases.json"


def cases() -> str:
    """All reference cases through the adapter."""
    found = json.loads(CASES.read_text(encoding="utf-8"))["cases"]
    wrong = [case["id"] for case in found if disagreements(case, evaluate(case["kind"], case["inputs"]))]
    assert not wrong, wrong
    kinds = len({case["kind"] for case in found})
    return f"reference numbers of other code | {len(found)} cases of {kinds} kinds | all within their tolerance"


def monte_carlo() -> str:
    """Simulated trees against the recursion."""
    rng = stream(1, "check", "trees")
    z: list[float] = []
    while len(z) < 400:
        b, depth = int(rng.choice([3, 5, 7, 9, 15, 31])), int(rng.integers(0, 5))
        mu0, gamma, rho = float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.3, 1)), float(rng.uniform(0, 0.9))
        lock: theory.Lock = "after_channel" if rng.random() < 0.7 else "before_channel"
        expected = float(theory.trajectory(mu0, b, gamma, rho, depth, lock=lock)[-1])
        if b**depth > 4000 or abs(expected) > 0.99:
            continue
        replicas = max(4_000_000 // b**depth, 4000)
        tree = simulate_tree(mu0, b, gamma, rho, depth, replicas, seed=len(z), drawing=Drawing(lock, engine="numba"))
        z.append(tree.z(expected))
    rms, worst = float(np.sqrt(np.mean(np.square(z)))), float(np.max(np.abs(z)))
    assert 0.9 < rms < 1.1
    assert worst < 4
    return f"exact recursion | {len(z)} random trees drawn vote by vote | RMS z = {rms:.3f}, largest {worst:.2f}"


def bounds() -> str:
    """Proven bounds."""
    rng = stream(1, "check", "bounds")
    n = 10_000
    sets: dict[str, NDArray[np.float64]] = {
        "mu0": 10 ** rng.uniform(-6, 0, n),
        "b": rng.choice(np.array([3.0, 5, 7, 9, 15, 31, 101]), n),
        "gamma": rng.uniform(0, 1, n),
        "rho": rng.uniform(0, 1, n),
    }
    broken = 0
    for depth in (1, 2, 3, 5, 8):
        p = theory.predictors(sets["mu0"], sets["b"], sets["gamma"], sets["rho"], depth)
        slack = 1e-12 * p.exact
        for lower in (p.lower_growth, p.lower_chord, p.lower_two_phase):
            broken += int(np.sum(lower > p.exact + slack))
        broken += int(np.sum(p.upper_clipped_growth < p.exact - slack))
    assert broken == 0
    return f"lower and upper bounds | {n:,} random sets at depths 1, 2, 3, 5, 8, four bounds each | {broken} violations"


def synergy() -> str:
    """The two halves of the synergy theorem, by exact search in the weak-signal regime."""
    rng = stream(1, "check", "synergy")
    never = always = broken = 0
    while never + always < 1200:
        b = int(rng.choice([3, 5, 7, 9, 15]))
        gamma, rho, beta = float(rng.uniform(0.3, 1)), float(rng.uniform(0, 0.7)), float(rng.uniform(0.01, 0.6))
        m = int(rng.integers(5, 300))
        s = float(theory.organization_exponent(b, gamma, rho))
        first = float(theory.depth_threshold(b, 1, float(theory.overhead(b, m)), beta, s))
        budgets = np.geomspace(10.0, 1e8, 40)
        if s > beta and not (s > 1.02 * beta and first < budgets[-1] / 2):
            continue
        leaf = theory.LeafLaw(1e-9, beta)
        wins = [best_depth(float(x), b, m, gamma, rho, leaf, terms=DesignTerms(1e-3)).best.depth > 0 for x in budgets]
        if s <= beta:
            never += 1
            broken += any(wins)
        else:
            always += 1
            broken += not any(wins)
    assert broken == 0
    return (
        f"synergy exactly when s > beta (weak signals) | exact search over 40 budgets, {never} sets with s <= beta and "
        f"{always} with s > 1.02 beta | {broken} exceptions"
    )


def refusal() -> str:
    """An exponent is printed only where the data carry it."""
    rng = stream(1, "check", "refusal")
    x = np.array([256.0 * 2**i for i in range(6)])
    told = refused = narrow_refused = 0
    for n in (60, 200, 1000, 4000):
        for _ in range(20):
            right = rng.random((n, x.size)) < (1 + 0.02 * x**0.3) / 2
            task, level = np.indices(right.shape)
            names = [f"{i}/{j}" for i, j in zip(task.reshape(-1), level.reshape(-1), strict=True)]
            columns = {"task": names, "x": x[level.reshape(-1)], "correct": right.reshape(-1).astype(float)}
            fit = fit_leaf_law(pl.DataFrame(columns).with_columns(pl.lit(2).alias("k")))
            told += fit.beta is not None
            refused += fit.beta is None
            assert fit.beta is None or fit.beta.width <= WIDEST
            assert fit.beta is not None or fit.unsure is None or fit.unsure[1].width > WIDEST
            narrow_refused += fit.beta is None and fit.unsure is not None and fit.unsure[1].width <= WIDEST
    assert narrow_refused == 0
    return (
        f"beta refused when its interval is wider than {WIDEST} | 80 fits of 60 to 4,000 trials a level | {refused} "
        f"refused, {told} told, none wrongly"
    )


CHECKS: dict[str, Callable[[], str]] = {
    "cases": cases,
    "monte-carlo": monte_carlo,
    "bounds": bounds,
    "synergy": synergy,
    "refusal": refusal,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=sorted(CHECKS), nargs="*", default=list(CHECKS))
    for name in parser.parse_args().only:
        print(f"| {CHECKS[name]()} |", flush=True)


if __name__ == "__main__":
    main()
