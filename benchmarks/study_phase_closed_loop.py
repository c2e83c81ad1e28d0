"""Does the theory close its loop in simulated societies? The boundary that a sweep draws, and the designs of `plan`.

Run: ``python -m benchmarks.study_phase_closed_loop [--part boundary designs] [--cases 300]``; prints Markdown.

*boundary*: trees of voters run through the engine over a grid of fidelity and correlation. At each correlation the
growth of the signal from the leaves to the root, ln(mu_L / mu_0), is fitted over fidelity, and its zero is the measured
boundary. The theory does not enter the fit; it only says where the boundary should have been.

*designs*: random truths (a, beta, gamma, rho, budget). Each is calibrated through the engine, `recommend` chooses a
design from the measurements alone, and design and single agent are run through the engine at the same budget. The
stated probability that the design wins is set beside how often it won.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agentsoc.engine.execute import Plan, execute
from agentsoc.scenario.model import Scenario
from agentsoc.streams import stream
from analysis.commands.calibration_runs import Calibration
from analysis.synergy.estimation.known import KnownParameters
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.phase_of_runs import phase_of_runs
from analysis.synergy.planning.calibration_plan import Settings
from analysis.synergy.planning.recommend import recommend
from analysis.synergy.theory import formulas as theory

RHOS = (0.0, 0.15, 0.3, 0.45, 0.6)
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)


def voters(count: int | None, seed: int, n_tasks: int, topology: Any, protocol: str, **model: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "loop",
            "seed": seed,
            "tasks": {"kind": "signal", "count": n_tasks},
            "agents": {"count": count, "model": {"kind": "simulated", **model}},
            "topology": topology,
            "protocol": protocol,
        }
    )


def signal_of(scenario: Scenario) -> float:
    """Return the signal of a society's answers, run through the engine."""
    score = asyncio.run(execute(Plan(scenario, None))).totals.score
    assert score is not None
    return 2 * score - 1


@dataclass(frozen=True)
class Boundary:
    """The measured critical fidelity at one correlation."""

    rho: float
    gamma_c: float
    low: float
    high: float
    """95 % band, for all correlations together."""
    truth: float
    """Where the signal mu0 neither grows nor falls, by the exact recursion."""
    truth_weak: float
    """Where alpha = 1."""


def boundary(
    b: int, depth: int, mu0: float, n_tasks: int, n_gammas: int, rhos: tuple[float, ...] = RHOS, seed: int = 1
) -> list[Boundary]:
    """Return the boundary that a sweep of societies draws; a straight line through ln(mu_L / mu0) over gamma each.

    The line holds in the narrow range of fidelities around the zero, which is found from a coarse first pass.
    """
    rows = []
    z = float(stats.norm.isf(0.025 / len(rhos)))
    tree = {"kind": "tree", "fan_in": b, "depth": depth}
    for place, rho in enumerate(rhos):

        def growth(gamma: float, n: int, number: int, rho: float = rho, place: int = place) -> tuple[float, float]:
            made = voters(
                None, 10_000 * seed + 100 * place + number, n, tree, "aggregate", signal=mu0, fidelity=gamma, lock=rho
            )
            mu = max(signal_of(made), 1e-3)
            return float(np.log(mu / mu0)), float(np.sqrt((1 - mu**2) / n) / mu)

        coarse = np.linspace(0.4, 1.0, 7)
        first = [growth(float(gamma), n_tasks // 4, number)[0] for number, gamma in enumerate(coarse)]
        middle = (
            float(np.interp(0.0, first, coarse))
            if first[0] < 0 < first[-1]
            else float(coarse[np.argmin(np.abs(first))])
        )
        fine = np.linspace(max(middle - 0.08, 0.05), min(middle + 0.08, 1.0), n_gammas)
        pairs = [growth(float(gamma), n_tasks, 20 + number) for number, gamma in enumerate(fine)]
        y, se = (np.array(column) for column in zip(*pairs, strict=True))
        zero, error = zero_of_line(fine, y, se)
        cut = exact_zero(b, rho, mu0)
        rows.append(Boundary(rho, zero, zero - z * error, zero + z * error, cut, float(theory.critical_gamma(b, rho))))
    return rows


def zero_of_line(x: NDArray[np.float64], y: NDArray[np.float64], se: NDArray[np.float64]) -> tuple[float, float]:
    """Return where a weighted parabola through the points is zero, and its standard error by the delta method."""
    centre = x.mean()
    design = np.stack([np.ones_like(x), x - centre, (x - centre) ** 2], axis=1)
    covariance = np.linalg.inv(design.T @ (design / se[:, None] ** 2))
    theta = covariance @ (design.T @ (y / se**2))
    at = centre - theta[0] / theta[1]
    for _ in range(50):  # Newton on the parabola
        step = at - centre
        at -= (theta[0] + theta[1] * step + theta[2] * step**2) / (theta[1] + 2 * theta[2] * step)
    step = at - centre
    row = np.array([1.0, step, step**2])
    slope = theta[1] + 2 * theta[2] * step
    return float(at), float(np.sqrt(row @ covariance @ row) / abs(slope))


def exact_zero(b: int, rho: float, mu0: float) -> float:
    """Return the fidelity at which F(mu0) = mu0, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if float(theory.node_map(mu0, b, middle, rho)) > mu0 else (middle, high)
    return (low + high) / 2


@dataclass(frozen=True)
class Case:
    """A random truth, what was recommended for it, and what came of it."""

    truth: dict[str, float]
    p: float
    """Stated probability that the best design beats one agent."""
    organised: bool
    """Whether a society was recommended, or one agent."""
    wins: bool
    """Whether the design beat one agent in simulation."""
    truly: bool
    """Whether it does so by the exact recursion at the truth."""
    lead: float


def random_case(number: int, *, calibration_tokens: int, n_tasks: int, seed: int = 1) -> Case:
    """Return one pass of the loop."""
    rng = stream(seed, "study", "closed-loop", number)
    beta, gamma, rho = float(rng.uniform(0.02, 0.3)), float(rng.uniform(0.55, 0.98)), float(rng.uniform(0.0, 0.4))
    at_200 = float(rng.uniform(0.08, 0.35))
    truth = {"a": at_200 * 200**-beta, "beta": beta, "gamma": gamma, "rho": rho}
    budget = float(np.exp(rng.uniform(np.log(1_500), np.log(30_000))))
    model = {
        "a": truth["a"],
        "beta": beta,
        "fidelity": gamma,
        "lock": rho,
        "message": 40,
        "compute": 200,
    }
    measured = calibrated(voters(9, 1_000 + number, 100, "star", "aggregate", **model), calibration_tokens)
    found = recommend(measured, budget, 2_000)
    chosen = found.organised
    if chosen is None:
        return Case(truth, 0.0, False, False, False, 0.0)
    design = chosen.design
    x = int(design.x)
    leaf = theory.LeafLaw(truth["a"], beta, 0.95)
    exact = float(theory.trajectory(leaf(x), design.b, gamma, rho, design.depth)[-1])
    lead = exact - float(leaf(int(budget)))
    tree = {"kind": "tree", "fan_in": design.b, "depth": design.depth}
    n = int(min(n_tasks, max(4_000_000 // (design.n_leaves * 2), 2_000)))
    society = signal_of(voters(None, 2_000_000 + number, n, tree, "aggregate", **{**model, "compute": x}))
    single = signal_of(voters(1, 3_000_000 + number, n_tasks, "single", "vote", **{**model, "compute": int(budget)}))
    organised = found.best.design.organisation != "single"
    return Case(truth | {"B": budget}, chosen.p, organised, society > single, lead > 0, lead)


def calibrated(scenario: Scenario, tokens: int) -> Measured:
    """Return the measurements of a calibration through the engine."""
    with tempfile.TemporaryDirectory() as scratch:
        calibration = Calibration(scenario, Settings(tokens), {}, [])
        done = calibration.run(Path(scratch) / "c", lambda progress, title, wall: contextlib.nullcontext())
        return phase_of_runs(done.roles(), b=5, known=KnownParameters(mu_max=0.95), n_draws=300)[1]


def reliability(cases: list[Case]) -> list[str]:
    """Return the rows of the table: stated probability against the share that won."""
    lines = ["| stated P | cases | mean P | won in simulation | won by the exact recursion |", "|---|---|---|---|---|"]
    for low, high in itertools.pairwise(BINS):
        some = [case for case in cases if low <= case.p < high or (high == 1.0 and case.p == 1.0)]
        if some:
            mean, won, truly = (np.mean([getattr(case, name) for case in some]) for name in ("p", "wins", "truly"))
            lines.append(f"| {low:g} to {high:g} | {len(some)} | {mean:.2f} | {won:.0%} | {truly:.0%} |")
    near = [case for case in cases if 0.85 <= case.p <= 0.95]
    if near:
        lines.append(f"| .85 to .95 | {len(near)} | {np.mean([c.p for c in near]):.2f} | "
                     f"{np.mean([c.wins for c in near]):.0%} | {np.mean([c.truly for c in near]):.0%} |")  # fmt: skip
    chosen = [case for case in cases if case.organised]
    lines.append(f"| a society recommended | {len(chosen)} | {np.mean([c.p for c in chosen]):.2f} | "
                 f"{np.mean([c.wins for c in chosen]):.0%} | {np.mean([c.truly for c in chosen]):.0%} |")  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("boundary", "designs"), nargs="*", default=["boundary", "designs"])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=4_000_000)
    chosen = parser.parse_args()
    started = time.perf_counter()
    if "boundary" in chosen.part:
        print("| rho | measured gamma_c, 95 % band | F(mu0) = mu0 | alpha = 1 | inside |\n|---|---|---|---|---|")
        for row in boundary(5, 2, 0.15, 100_000, 7):
            inside = row.low <= row.truth <= row.high
            print(f"| {row.rho:g} | {row.gamma_c:.4f} [{row.low:.4f}, {row.high:.4f}] | {row.truth:.4f} | "
                  f"{row.truth_weak:.4f} | {'yes' if inside else 'no'} |", flush=True)  # fmt: skip
        print(f"\n{time.perf_counter() - started:.0f} s\n", flush=True)
    if "designs" in chosen.part:
        cases = []
        for number in range(chosen.cases):
            cases.append(random_case(number, calibration_tokens=chosen.tokens, n_tasks=20_000))
            if number % 25 == 24:
                print(f"{number + 1} cases, {time.perf_counter() - started:.0f} s", flush=True)
        print("\n".join(reliability(cases)))
        print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
