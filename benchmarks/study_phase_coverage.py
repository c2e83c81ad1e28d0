"""How often the intervals of the phase estimators hold the truth: 1,000 replicates each, most from engine logs.

Run: ``python -m benchmarks.study_phase_coverage [--replicates 1000] [--part NAME ...]`` (several minutes; prints a
table in Markdown). A nominal 95 % interval of 1,000 replicates lands in 93.6 to 96.4 % with probability 95 %.

A part is one estimator in one regime. Parts marked *engine* take their votes from simulated societies run by the
engine: one long run, cut into replicates by task. What the engine does not log, votes as they were received, is asked
again of the simulated readers of the run, and compared with what they concluded there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import agentsoc
from agentsoc.backends.simulated import Simulated
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from agentsoc.streams import stream
from analysis.synergy.estimation.estimate import Measurements, estimate_phase
from analysis.synergy.estimation.fidelity_fit import fit_fidelity
from analysis.synergy.estimation.holdout import hold_out_depth
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.leaf_law import fit_leaf_law, profile_beta
from analysis.synergy.estimation.node_response import fit_response
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from analysis.synergy.estimation.votes import leaf_table, level_table, merge_table, trip_table, vote_table
from analysis.synergy.theory import formulas as theory

TASKS_AT_ONCE = 100_000
LEVELS = tuple(256 * 2**i for i in range(6))
GAMMA, RHO = 0.85, 0.2


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    regime: str
    truth: float
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def text(self) -> str:
        covered = np.mean((self.low <= self.truth) & (self.truth <= self.high))
        below, above = np.mean(self.high < self.truth), np.mean(self.low > self.truth)
        spread, width = self.values.std(), np.mean(self.high - self.low)
        return (
            f"| {self.regime} | {self.truth:.4g} | {len(self.values)} | {self.values.mean():.4f} | "
            f"{spread:.4f} | {width:.3f} | {covered:.1%} | {below:.1%} | {above:.1%} |"
        )


def row(regime: str, truth: float, estimates: list[Estimate | None]) -> Row:
    found = [e for e in estimates if e is not None]
    refused = len(estimates) - len(found)
    regime += f" ({refused} refused)" if refused else ""
    return Row(regime, truth, *(np.array([getattr(e, name) for e in found]) for name in ("value", "low", "high")))


def runs(n_tasks: int, seed: int, **parts: Any) -> Iterator[RunLog]:
    """Yield engine runs of together `n_tasks` tasks, at most `TASKS_AT_ONCE` each, every one with its own seed."""
    for number, first in enumerate(range(0, n_tasks, TASKS_AT_ONCE)):
        tasks = {"kind": "signal", **parts.get("tasks", {}), "count": min(TASKS_AT_ONCE, n_tasks - first)}
        base = {"name": "coverage", "seed": 7919 * seed + number, "protocol": "aggregate"}
        scenario = Scenario.model_validate({**base, **parts, "tasks": tasks})
        with tempfile.TemporaryDirectory() as scratch:
            yield agentsoc.run(scenario, Path(scratch) / "run")


def blocks(table: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Cut a table into replicates of `size` rows."""
    for first in range(0, table.height - size + 1, size):
        yield table.slice(first, size)


def voters(**settings: Any) -> dict[str, Any]:
    return {"model": {"kind": "simulated", "message": 10, "compute": 30, **settings}}


def received_votes(n_tasks: int, seed: int, n_runs: int, agents: int, **settings: Any) -> Iterator[pl.DataFrame]:
    """Yield the votes that the roots of engine runs read, tasks in order; difficulty about U(-.2, .8).

    Runs of one table have the same tasks and fresh draws. A log holds what was sent; what a simulated reader made of
    it is asked of that reader again, whose draws belong to (task, round, agent). It is checked that this is what the
    run saw: the majority of the votes has to be the root's logged answer, on every task.
    """
    mixture = [{"weight": 1, "signal": float(signal)} for signal in np.linspace(-0.175, 0.775, 20)]
    model = {"kind": "simulated", "message": 10, "compute": 30, "signal": "task", **settings}
    tree = {"kind": "tree", "fan_in": agents, "depth": 1}
    for number, first in enumerate(range(0, n_tasks, TASKS_AT_ONCE)):
        n, tables = min(TASKS_AT_ONCE, n_tasks - first), []
        tasks = {"mixture": mixture, "seed": 7919 * seed + number}
        for again in range(n_runs):
            own = 1000 * seed + 10 * number + again
            for log in runs(n, own, tasks=tasks, agents={"model": model}, topology=tree):
                tables.append(_received(log, Simulated.model_validate(model), agents, again))  # noqa: PERF401  one log at a time
        yield pl.concat(tables).sort("place", "run", "agent", maintain_order=True).drop("place")


def _received(log: RunLog, model: Simulated, b: int, run: int) -> pl.DataFrame:
    frame, truth = log.frame(), log.tasks()["truth"].to_numpy()
    sent = frame.filter(kind="propose_claim").sort("task", "agent")["answer"].to_numpy().reshape(-1, b)
    task = np.arange(len(truth))
    heard = model.open(seed=log.manifest.seed).received(task, 1, np.zeros_like(task), (sent == "B").astype(np.int64), 2)
    right = heard == (truth == "B")[:, None]
    answers = frame.filter(kind="answer").sort("task")["correct"].to_numpy()
    if not np.array_equal(right.sum(axis=1) > b / 2, answers == 1.0):
        raise SystemExit("the votes that were read again are not those of the run")
    place, agent = (index.reshape(-1) for index in np.indices(right.shape))
    names, correct = [f"t{i}" for i in place], right.reshape(-1).astype(float)
    columns = {"place": place, "task": names, "agent": agent, "correct": correct}
    return pl.DataFrame(columns).with_columns(
        pl.lit(run).alias("run"), pl.lit("1.0").alias("node"), pl.lit(2).alias("k")
    )


def study_beta(replicates: int, n: int) -> list[Row]:
    """One trial a task: profile intervals; counts of lone agents from the engine."""
    right = np.empty((replicates, len(LEVELS)))
    for level, x in enumerate(LEVELS):
        model = voters(a=0.02, beta=0.3, compute=x)
        model["count"] = 1
        logs = runs(replicates * n, 10 * level + n, agents=model, topology="single", protocol="vote")
        votes = np.concatenate([leaf_table([log])["correct"].to_numpy() for log in logs])
        right[:, level] = votes.reshape(replicates, n).sum(axis=1)
    beta, low, high = profile_beta(np.array(LEVELS, float), np.full(right.shape, float(n)), right)
    return [Row(f"beta, {n} tasks a level, profile, engine", 0.3, beta, low, high)]


def study_beta_reused(replicates: int) -> list[Row]:
    """Every task at every level, tasks of unequal difficulty: task bootstrap on engine runs of the same tasks."""
    right = []
    for level, x in enumerate(LEVELS):
        signals = np.linspace(0.1, 1.9, 10) * 0.02 * x**0.3
        mixture = [{"weight": 1, "signal": float(signal)} for signal in signals]
        found = []
        for number, first in enumerate(range(0, replicates * 3000, TASKS_AT_ONCE)):
            n, own = min(TASKS_AT_ONCE, replicates * 3000 - first), 1000 * (77 + number) + level
            tasks, alone = {"mixture": mixture, "seed": 77 + number}, voters(signal="task") | {"count": 1}
            logs = runs(n, own, tasks=tasks, agents=alone, topology="single", protocol="vote")
            found += [log.frame().filter(kind="answer").sort("task")["correct"].to_numpy() for log in logs]
        right.append(np.concatenate(found))
    table = np.stack(right, axis=1).reshape(replicates, 3000, len(LEVELS))
    task, level_of = np.indices(table.shape[1:])
    names = np.array([f"t{i}" for i in range(3000)])[task.reshape(-1)]
    x_of = np.array(LEVELS, float)[level_of.reshape(-1)]
    fits: list[Estimate | None] = []
    for some in table:
        columns = {"task": names, "x": x_of, "correct": some.reshape(-1)}
        trials = pl.DataFrame(columns).with_columns(pl.lit(2).alias("k"))
        fits.append(fit_leaf_law(trials, n_draws=300).beta)
    return [row("beta, 3000 tasks at all levels, task bootstrap, engine", 0.3, fits)]


def study_gamma(replicates: int) -> list[Row]:
    """Random messages, readers without a view of their own; then three round trips a task."""
    once = voters(signal=0.0, keep_own=0.0, fidelity=0.8) | {"count": 2}
    logs = runs(replicates * 300, 3, agents=once, topology="chain")
    table = pl.concat([trip_table([log]) for log in logs])
    single = [fit_fidelity(part, ceilings=False, n_draws=2).points[0].gamma for part in blocks(table, 300)]
    rng = stream(1, "study", "gamma-clustered")
    several: list[Estimate | None] = []
    for _ in range(replicates):
        fidelity = rng.beta(4, 1, 150)  # mean 0.8, and messages on one task fare alike
        heard = rng.random((150, 3)) < (1 + fidelity[:, None]) / 2
        task = np.repeat([f"t{i}" for i in range(150)], 3)
        columns = {"task": task, "sent": ["A"] * 450, "read": np.where(heard.reshape(-1), "A", "B")}
        trips = pl.DataFrame(columns).with_columns(pl.lit(10.0).alias("m"), pl.lit(2).alias("k"))
        several.append(fit_fidelity(trips, ceilings=False, n_draws=400).points[0].gamma)
    return [
        row("gamma, 300 round trips, Wilson, engine", 0.8, list(single)),
        row("gamma, 150 tasks x 3 round trips, task bootstrap", 0.8, several),
    ]


def study_rho(replicates: int) -> list[Row]:
    """Two runs of 200 tasks with 5 siblings: votes as the roots of engine runs read them; sent votes (truth 0)."""
    rows = []
    for rho in (0.0, 0.25, 0.5):
        tables = received_votes(replicates * 200, 20 + int(100 * rho), 2, 5, lock=rho)
        fits = [estimate_rho(part) for table in tables for part in blocks(table, 2000)]
        rows.append(row(f"rho = {rho}, within runs, jackknife, engine", rho, [fit.within for fit in fits]))
        rows.append(row(f"rho = {rho}, POOLED (biased by difficulty), engine", rho, [fit.pooled for fit in fits]))
    mixture = [{"weight": 1, "signal": signal} for signal in np.linspace(-0.15, 0.75, 10)]
    tree = {"kind": "tree", "fan_in": 5, "depth": 2}
    found: list[Estimate | None] = []
    pooled: list[Estimate | None] = []
    for number in range(-(-replicates // 50)):
        logs = runs(50 * 200, 500 + number, tasks={"mixture": mixture}, agents=voters(signal="task"), topology=tree)
        votes = pl.concat([vote_table([log]) for log in logs]).filter(pl.col("node").is_in(["1.1", "1.2"]))
        for part in blocks(votes, 2000):
            fit = estimate_rho(part)
            found.append(fit.within)
            pooled.append(fit.pooled)
    rows.append(row("rho = 0, sent votes, nodes as replicates, engine", 0.0, found[:replicates]))
    rows.append(row("rho = 0, sent votes, POOLED, engine", 0.0, pooled[:replicates]))
    return rows


def study_merges(replicates: int) -> list[Row]:
    """gamma, rho and s from 500 merges of five votes and 400 relays, all from the engine."""
    heard = voters(signal=0.2, fidelity=GAMMA, lock=RHO)
    logs = runs(replicates * 500, 4, agents=heard, topology={"kind": "tree", "fan_in": 5, "depth": 1})
    merges = pl.concat([merge_table([log]) for log in logs])
    relay = voters(signal=0.0, keep_own=0.0, fidelity=GAMMA) | {"count": 2}
    trips = pl.concat([trip_table([log]) for log in runs(replicates * 400, 5, agents=relay, topology="chain")])
    gamma, rho, growth = [], [], []
    for some_merges, some_trips in zip(blocks(merges, 500), blocks(trips, 400), strict=True):
        alone = fit_response(some_merges)
        gamma.append(alone.gamma)
        rho.append(alone.rho)
        growth.append(estimate_phase(Measurements(merges=some_merges, trips=some_trips), 5, n_draws=300).s)
    s = float(theory.organization_exponent(5, GAMMA, RHO))
    return [
        row("gamma, 500 merges of 5, profile, engine", GAMMA, gamma),
        row("rho, 500 merges of 5, profile, engine", RHO, rho),
        row("s, 500 merges and 400 relays, joint bootstrap, engine", s, growth),
    ]


def study_s(replicates: int) -> list[Row]:
    """s from replicated received votes (200 tasks, 2 runs, 5 agents) and 400 engine round trips."""
    relay = voters(signal=0.0, keep_own=0.0, fidelity=0.8) | {"count": 2}
    trips = pl.concat([trip_table([log]) for log in runs(replicates * 400, 6, agents=relay, topology="chain")])
    tables = received_votes(replicates * 200, 90, 2, 5, lock=0.25, fidelity=0.8)
    votes = (part for table in tables for part in blocks(table, 2000))
    joint, delta = [], []
    for some, heard in zip(blocks(trips, 400), votes, strict=True):
        data = Measurements(trips=some, votes=heard)
        joint.append(estimate_phase(data, 5, n_draws=300).s)
        delta.append(estimate_phase(data, 5, n_draws=2, method="delta").s)
    s = float(theory.organization_exponent(5, 0.8, 0.25))
    return [
        row("s, 200 tasks x 2 runs x 5 votes and 400 round trips, joint bootstrap, engine", s, joint),
        row("s, the same, delta method, engine", s, delta),
    ]


def study_holdout(replicates: int) -> list[Row]:
    """z of the deepest tree, predicted from leaves and first level; covered when |z| < 1.96. A quarter of the runs."""
    mixture = [{"weight": 0.8, "signal": 0.4}, {"weight": 0.2, "signal": -0.1}]
    tree = {"kind": "tree", "fan_in": 5, "depth": 3}
    rows = []
    for name, tasks, signal in (("equal tasks", {}, 0.2), ("mixture", {"mixture": mixture}, "task")):
        zs = []
        for number in range(replicates // 4):
            agents = voters(signal=signal, fidelity=GAMMA, lock=RHO)
            zs += [
                hold_out_depth(
                    vote_table([log]).filter(pl.col("node").str.starts_with("1.")),
                    merge_table([log], level=1),
                    level_table([log]),
                    5,
                    n_draws=100,
                ).z
                for log in runs(200, 9000 + number, tasks=tasks, agents=agents, topology=tree)
            ]
        z = np.array(zs)
        rows.append(Row(f"hold-out depth 3, {name}, z, engine", 0.0, z, z - 1.96, z + 1.96))
    return rows


PARTS: dict[str, Callable[[int], list[Row]]] = {
    "gamma": study_gamma,
    "rho": study_rho,
    "merges": study_merges,
    "s": study_s,
    "beta400": lambda replicates: study_beta(replicates, 400),
    "beta2000": lambda replicates: study_beta(replicates, 2000),
    "beta-reused": study_beta_reused,
    "holdout": study_holdout,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="*", default=list(PARTS))
    chosen = parser.parse_args()
    print("| regime | truth | replicates | mean | sd | mean width | coverage | too low | too high |")
    print("|---|---|---|---|---|---|---|---|---|")
    started = time.perf_counter()
    for part in chosen.part:
        for line in PARTS[part](chosen.replicates):
            print(line.text(), flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
