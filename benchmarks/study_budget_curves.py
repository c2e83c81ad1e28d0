"""This study asks how often what is said of budget curves holds, and what twenty organisations at five budgets take.

Usage: python -m benchmarks.study_budget_curves [--replicates 1000] [--part crossing none falls law speed]
Societies are planted: one agent who thinks with all its tokens, and a star of five who think with what messages leave,
both by the leaf law of docs/phase-theory.md, so that the score of each at every budget is known, and with it the
budget at which they are equal. Scores are drawn

- ``own``: anew for every organisation and budget;
- ``luck``: by one number a task and organisation for all budgets, as simulated voters of one seed draw;
- ``hard``: anew, on tasks of which half are harder by .14 than the others, for everybody;
- ``seeds``: as ``hard``, each task five times.

The tables are in docs/budget-curves.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from analysis.comparison.crossovers import Crossover, crossover
from analysis.comparison.curve_draws import TaskTable
from analysis.comparison.curve_law import Broken, CurvePoints, FittedCurve, Isotonic
from analysis.interval import FloatArray
from analysis.synergy.theory.budget import exact_threshold
from analysis.synergy.theory.costs import LeafLaw, leaf_tokens
from analysis.synergy.theory.trajectories import trajectory
from benchmarks.peak import peak_mb

LEAF: Final = LeafLaw(0.02, 0.45, 0.6)
FAN_IN, GAMMA, RHO, MESSAGE = 5, 0.95, 0.05, 20
BUDGETS: Final = (1_000, 2_000, 3_000, 5_000, 10_000)
COARSE: Final = (1_000, 3_000, 10_000)
TRUTH: Final = exact_threshold(FAN_IN, GAMMA, RHO, MESSAGE, LEAF)
"""B* of the two, by the exact recursion (tokens)."""
MODES: Final = ("own", "luck", "hard", "seeds")
SEEDS: Final = 5
HARDER: Final = 0.07
"""Half the difference between easy and hard tasks (probability)."""
BOOTSTRAP: Final = 1_000


def single(budget: FloatArray) -> FloatArray:
    """Return the accuracy of one agent who thinks with all of a budget."""
    return np.asarray((1 + LEAF(budget)) / 2)


def star(budget: FloatArray) -> FloatArray:
    """Return the accuracy of a star whose leaves think with what messages leave."""
    leaves = LEAF(np.maximum(leaf_tokens(budget, FAN_IN, 1, MESSAGE), 0.0))
    return np.asarray((1 + trajectory(leaves, FAN_IN, GAMMA, RHO, 1)[-1]) / 2)


def drawn(rng: np.random.Generator, accuracy: FloatArray, tasks: int, mode: str, hard: FloatArray) -> FloatArray:
    """Return sums of scores, shape (tasks, budgets)."""
    n = len(accuracy)
    if mode == "luck":
        return np.asarray(rng.random((tasks, 1)) < accuracy, dtype=np.float64)
    chance = np.clip(accuracy + (hard[:, None] if mode != "own" else 0.0), 0, 1)
    rows = SEEDS if mode == "seeds" else 1
    return np.asarray((rng.random((rows, tasks, n)) < chance).sum(axis=0), dtype=np.float64)


def replicate(
    rng: np.random.Generator,
    curves: tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray]],
    budgets: tuple[int, ...],
    tasks: int,
    mode: str,
) -> Crossover:
    """Return what is said of two planted curves."""
    x = np.array(budgets, dtype=np.float64)
    hard = np.where(rng.random(tasks) < 0.5, HARDER, -HARDER)
    scores = np.column_stack([drawn(rng, curve(x), tasks, mode, hard) for curve in curves])
    rows = np.full(scores.shape, float(SEEDS if mode == "seeds" else 1))
    labels = tuple(f"{name} at {budget}" for name in ("single", "star") for budget in budgets)
    table = TaskTable(labels, scores, rows * np.tile(x, 2), rows, bounded=True)
    draws = table.draws(replicates=BOOTSTRAP, seed=int(rng.integers(2**31)))
    parts = {name: draws.of([label for label in labels if label.startswith(name)]) for name in ("single", "star")}
    return crossover("single", "star", parts)


def crossing_row(tasks: int, mode: str, budgets: tuple[int, ...], replicates: int) -> dict[str, float]:
    """Return how often the planted crossover is told, and how often its interval holds it."""
    rng = np.random.default_rng([tasks, MODES.index(mode), len(budgets)])
    found = [replicate(rng, (single, star), budgets, tasks, mode) for _ in range(replicates)]
    told = [one.crossings[0].budget for one in found if len(one.crossings) == 1]
    return {
        "told": len(told) / replicates,
        "wrong": sum(one.verdict == "none" or len(one.crossings) > 1 for one in found) / replicates,
        "held": float(np.mean([one.covers(TRUTH) for one in told])),
        "below": float(np.mean([one.high < TRUTH for one in told])),
        "above": float(np.mean([one.low > TRUTH for one in told])),
        "factor": float(np.median([one.high / one.low for one in told])),
    }


def none_row(gap: float, tasks: int, mode: str, replicates: int) -> dict[str, float]:
    """Return what is said where one is ahead by a gap at every budget, so that there is no crossover."""

    def ahead(budget: FloatArray) -> FloatArray:
        return np.asarray(single(budget) + gap)

    rng = np.random.default_rng([tasks, MODES.index(mode), round(1000 * gap)])
    found = [replicate(rng, (single, ahead), BUDGETS, tasks, mode) for _ in range(replicates)]
    words = ("none", "open", "crossover")
    return {word: sum(one.verdict == word for one in found) / replicates for word in words}


def falls_row(curve: Callable[[FloatArray], FloatArray], tasks: int, replicates: int) -> float:
    """Return how often scores are said to fall where more is spent."""
    x = np.array(BUDGETS, dtype=np.float64)
    rng = np.random.default_rng([tasks, replicates])
    said = 0
    for at in range(replicates):
        scores = rng.binomial(tasks, curve(x)) / tasks
        error = np.sqrt(scores * (1 - scores) / tasks + (1 / (tasks + 2)) ** 2)
        fit = Isotonic().fit(CurvePoints("planted", x, scores, error, tasks), at)
        assert isinstance(fit, FittedCurve)
        assert (np.diff(fit.fitted) >= 0).all()
        said += bool(fit.words)
    return said / replicates


def crossings(replicates: int, modes: Sequence[str]) -> None:
    """Print how often planted crossovers are told and held."""
    print(f"B* = {TRUTH:,.0f}")
    print("| tasks | draws | budgets | told | wrong | held | below | above | high / low |")
    print("| --- " * 9 + "|")
    for tasks in (500, 1_000, 2_000):
        for mode in modes:
            for budgets in (BUDGETS, COARSE) if tasks == 1_000 else (BUDGETS,):
                found = crossing_row(tasks, mode, budgets, replicates)
                shares = [f"{found[key]:.1%}" for key in ("told", "wrong", "held", "below", "above")]
                cells = [f"{tasks:,}", mode, str(len(budgets)), *shares, f"{found['factor']:.2f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


def nones(replicates: int, modes: Sequence[str]) -> None:
    """Print what is said where there is no crossover."""
    print("| gap | tasks | draws | no crossover | cannot be told | crossover |")
    print("| --- " * 6 + "|")
    for gap in (0.0, 0.03, 0.1, 0.2):
        for tasks in (200, 1_000):
            for mode in modes:
                found = none_row(gap, tasks, mode, replicates)
                shares = [f"{found[word]:.1%}" for word in ("none", "open", "crossover")]
                print(f"| {gap:g} | {tasks:,} | {mode} | {' | '.join(shares)} |", flush=True)


def falls(replicates: int, modes: Sequence[str]) -> None:
    """Print how often monotone curves are said to fall, and one that does; drawn anew for every budget."""
    del modes
    print("| curve | tasks | said to fall |")
    print("| --- " * 3 + "|")
    planted: dict[str, Callable[[FloatArray], FloatArray]] = {
        "constant .7": lambda x: np.full(len(x), 0.7),
        "single": single,
        "falls by .1": lambda x: np.where(x > 3_000, 0.6, 0.7),
    }
    for name, curve in planted.items():
        for tasks in (200, 1_000):
            print(f"| {name} | {tasks:,} | {falls_row(curve, tasks, replicates):.1%} |", flush=True)


def laws(replicates: int, modes: Sequence[str]) -> None:
    """Print which word is said of planted curves over two decades of tokens; drawn anew for every budget."""
    del modes
    words = ("constant", "power law", "power law with a limit", "logistic", "broken power law", "bends")
    print(f"| curve | points | tasks | {' | '.join(words)} | slope held | break held |")
    print("| --- " * (5 + len(words)) + "|")
    planted: dict[str, Callable[[FloatArray], FloatArray]] = {
        "constant .6": lambda x: np.full(len(x), 0.6),
        "slope .2": lambda x: 0.35 * (x / 500) ** 0.2,
        "slope .3, from 5,000 on .02": lambda x: 0.4 * np.where(x < 5_000, (x / 5_000) ** 0.3, (x / 5_000) ** 0.02),
    }
    for name, curve in planted.items():
        for n in (6, 10):
            for tasks in (400, 4_000):
                rng = np.random.default_rng([n, tasks, len(name)])
                fits = [_law_of(rng, curve, n, tasks) for _ in range(replicates)]
                said = [f"{np.mean([fit['word'] == word for fit in fits]):.0%}" for word in words]
                slopes = [fit["slopes"][0] for fit in fits if fit["word"] == "power law"]
                places = [fit["breaks"][0]["at"] for fit in fits if fit["word"] == "broken power law"]
                held = [_share(slopes, 0.2 if name == "slope .2" else None), _share(places, 5_000)]
                print(f"| {name} | {n} | {tasks:,} | {' | '.join([*said, *held])} |", flush=True)


def _law_of(
    rng: np.random.Generator, curve: Callable[[FloatArray], FloatArray], n: int, tasks: int
) -> Mapping[str, Any]:
    """Return the shape that is told of a planted curve at n budgets, scores drawn anew for each."""
    x = np.geomspace(500, 50_000, n)
    scores = rng.binomial(tasks, curve(x)) / tasks
    samples = rng.binomial(tasks, scores, (BOOTSTRAP, n)) / tasks
    fit = Broken().fit(CurvePoints("planted", x, scores, np.full(n, 0.02), tasks, samples), 0)
    assert isinstance(fit, FittedCurve)
    return fit.shape


def _share(found: Sequence[Mapping[str, float]], truth: float | None) -> str:
    """Return the share of intervals that hold the truth, and of how many."""
    if truth is None or not found:
        return "-"
    return f"{sum(one['low'] <= truth <= one['high'] for one in found)} of {len(found)}"


def many(organisations: int, budgets: tuple[int, ...], tasks: int, seeds: int) -> str:
    """Return a comparison of so many simulated organisations."""
    model = {"kind": "simulated", "a": 0.02, "beta": 0.45, "signal_max": 0.6, "message": 20, "compute": 60}
    chosen: dict[str, dict[str, object]] = {"single": {"topology": "single", "protocol": "vote", "fill": "compute"}}
    shapes: tuple[dict[str, object], ...] = (
        {"topology": "independent", "protocol": "vote", "fill": {"dial": "samples", "step": 2}},
        {"topology": "star", "protocol": "aggregate", "fill": "agents"},
        {"topology": "star", "protocol": "aggregate", "agents": {"count": 6}, "fill": "compute"},
        {"topology": "decentralized", "protocol": "debate", "agents": {"count": 5}, "fill": "rounds"},
        {"topology": {"kind": "tree", "fan_in": 3, "depth": 2}, "protocol": "aggregate", "fill": "compute"},
    )
    for at in range(organisations - 1):
        own = {**model, "fidelity": 1 - 0.01 * (at // len(shapes) + 1)}
        shape = dict(shapes[at % len(shapes)])
        shape["agents"] = {**dict(shape.get("agents", {})), "model": own}  # type: ignore[call-overload]
        chosen[f"society-{at + 1}"] = shape
    base = {"tasks": {"kind": "signal", "count": tasks}, "agents": {"model": model}}
    asked = {"name": "many", "base": base, "organisations": chosen, "budgets": list(budgets), "seeds": seeds}
    return yaml.safe_dump(json.loads(json.dumps(asked)), sort_keys=False)  # a copy: files have no anchors


def speed() -> None:
    """Print what twenty organisations at five budgets take, runs and report, in CPU seconds of all processes."""
    from typer.testing import CliRunner

    from agentsoc.cli.main import app

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "many.yaml"
        file.write_text(many(20, BUDGETS, 200, 5))
        before = sum(os.times()[:4])
        began = os.times().elapsed
        with contextlib.redirect_stdout(io.StringIO()):
            result = CliRunner().invoke(app, ["compare", str(file), "--out", str(Path(scratch) / "out"), "--quiet"])
        cpu, wall = sum(os.times()[:4]) - before, os.times().elapsed - began
    print(f"exit code {result.exit_code}; {cpu:.0f} CPU seconds, {wall:.0f} s on the clock, {peak_mb():.0f} MB here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"crossing": crossings, "none": nones, "falls": falls, "law": laws}
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("--part", nargs="*", choices=(*parts, "speed"), default=(*parts, "speed"))
    parser.add_argument("--modes", nargs="*", choices=MODES, default=MODES, help="how scores are drawn")
    asked = parser.parse_args()
    for name, part in parts.items():
        if name in asked.part:
            part(asked.replicates, asked.modes)
    if "speed" in asked.part:
        speed()


if __name__ == "__main__":
    main()
