"""Rows of `make bench` about the phase: trees drawn vote by vote, the diagram with fixed points, a plan from a file.

Leaves are counted, not nodes: a leaf is one drawn vote with its edge and its share of the locks above it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agentsoc.streams import stream

ROWS: tuple[tuple[str, str, str, float], ...] = (
    ("phase-trees", "exact Monte-Carlo of trees (b = 5, depth 4), numpy, one core", "leaves/s", 1e8),
    ("phase-trees-kernel", "the same, compiled kernel, one core", "leaves/s", 1e9),
    ("phase-plane", "phase diagram, 400 x 400 with fixed points", "s", 2.0),
    ("phase-plan", "`agentsoc plan` from measurements with 400 draws and 4 lengths of messages", "s", 5.0),
)


def trees(replicas: int, engine: str) -> dict[str, Any]:
    """Draw trees with leaf votes, flips and locks; the check compares with the recursion."""
    from analysis.synergy.simulation.simulate import Drawing, simulate_tree
    from analysis.synergy.theory import formulas as theory

    b, depth, gamma, rho, mu0 = 5, 4, 0.9, 0.1, 0.1
    simulate_tree(mu0, b, gamma, rho, depth, 1 << 12, seed=1, drawing=Drawing(engine=engine))  # type: ignore[arg-type]  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    drawn = simulate_tree(mu0, b, gamma, rho, depth, replicas, seed=2, drawing=Drawing(engine=engine))  # type: ignore[arg-type]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    expected = float(theory.trajectory(mu0, b, gamma, rho, depth)[-1])
    return {"units": drawn.replicas * b**depth, "seconds": wall, "cpu_s": cpu, "check": abs(drawn.z(expected)) < 5}


def plane(n: int) -> dict[str, Any]:
    """Compute the panel with its boundaries under two forms of shared errors, and mu* everywhere."""
    from analysis.synergy.diagram.panels import phase_plane
    from analysis.synergy.theory.recursion import node_map

    phase_plane(5, n=8)
    wall, cpu = time.perf_counter(), time.process_time()
    found = phase_plane(5, n=n, beta=0.1, mu0=0.1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    still = node_map(found.mu_star, 5, found.gamma[None, :], found.rho[:, None])
    return {"units": 1, "seconds": wall, "cpu_s": cpu, "check": bool(np.allclose(still, found.mu_star, atol=1e-8))}


def plan(draws: int) -> dict[str, Any]:
    """Time the command from start to end."""
    import resource

    from analysis.synergy.estimation.interval import Estimate
    from analysis.synergy.estimation.measured import Measured, MeasuredDifficulty, MeasuredMessage

    rng = stream(1, "bench", "plan")
    centre = {"a": 0.05, "beta": 0.12, "rho": 0.1}
    lengths = {25: 0.6, 50: 0.75, 100: 0.86, 200: 0.95}
    kinds = np.linspace(-0.5, 2.5, 13)
    shares = np.full(13, 1 / 13)
    measured = Measured(
        b=5,
        lock="after_channel",
        nodes="read",
        parameters={},
        points=centre,
        draws={name: rng.normal(value, 0.1 * value, draws) for name, value in centre.items()},
        messages=tuple(
            MeasuredMessage(
                m, 2.0 * m, Estimate(g, g - 0.05, g + 0.05, method="wilson", se=0.025), rng.normal(g, 0.025, draws)
            )
            for m, g in lengths.items()
        ),
        x_range=(20.0, 20_000.0),
        difficulty=MeasuredDifficulty(kinds, shares, np.tile(shares, (draws, 1))),
    )
    program = Path(sys.executable).with_name("agentsoc")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "measurements.json"
        file.write_text(json.dumps(measured.as_dict()))
        words: list[str | Path] = [
            program,
            "plan",
            "--measurements",
            file,
            "--budget",
            "200000",
            "--window",
            "4000",
            "--json",
        ]
        wall = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True)
        wall = time.perf_counter() - wall
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    return {
        "units": 1,
        "seconds": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "candidates": found.get("candidates"),
        "check": found.get("candidates", 0) > 100,
    }


WORK: dict[str, tuple[int, Callable[[int], dict[str, Any]]]] = {
    "phase-trees": (1_000_000, lambda n: trees(n, "numpy")),
    "phase-trees-kernel": (8_000_000, lambda n: trees(n, "numba")),
    "phase-plane": (400, plane),
    "phase-plan": (400, plan),
}
