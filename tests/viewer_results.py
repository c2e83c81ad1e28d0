"""Small real results to look at: a comparison with its report, laws of made-up logs, measurements of made-up voters."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np

import agentsoc
from agentsoc.events import Event, pack_id
from agentsoc.experiment.comparison import load_comparison
from agentsoc.experiment.grid import make_grid
from agentsoc.streams import stream
from analysis import compare
from analysis.cascade_laws.report import LawsReport, laws_of_table
from analysis.comparison.table import read_results, save_table
from analysis.comparison.write import write_report
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.measured import Measured, MeasuredMessage
from analysis.tables import concat, from_events

COMPARISON = """
name: two
baseline: single
seeds: [1]
base:
  tasks: {kind: signal, count: 20}
  agents: {model: {kind: simulated, signal: 0.3}}
agents: [5]
organisations:
  single: {topology: single, protocol: vote, agents: {count: 1}}
  star: {topology: star, protocol: aggregate}
  debate: {topology: decentralized, protocol: {kind: debate, rounds: 2}}
"""


def a_comparison(base: Path) -> Path:
    """Carry out a comparison below `base` and write its report; return its directory."""
    (base / "two.yaml").write_text(COMPARISON)
    grid = make_grid(load_comparison(base / "two.yaml"))
    agentsoc.run_comparison(grid, base / "two", workers=1)
    results = read_results(base / "two")
    save_table(results)
    write_report(compare(results))
    return base / "two"


@cache
def some_laws() -> LawsReport:
    """Return the laws of 30 logs in which some claims are revised much more often than others."""
    rng = stream(5, "viewer")
    tables = []
    for run in range(30):
        events: list[Event] = []
        for k in range(12):
            root = pack_id(0, k, 0)
            events.append(Event(0, 0, k, 0, "propose_claim", root, answer="A", correct=1.0, text="t", tokens_out=3))
            last = root
            for step in range(1, 1 + min(int(rng.pareto(1.3)) + (k % 2), 25)):
                claim = pack_id(step, k, 0)
                events.append(Event(0, step, k, 0, "revise_claim", claim, (last,), answer="A", tokens_out=3))
                last = claim
        events.sort(key=lambda event: event.place)
        tables.append(from_events(events, run=f"run-{run}", topology="ring", n_agents=12))
    return laws_of_table(concat(tables), fast=True)


@cache
def some_measurements() -> Measured:
    """Return measurements of voters that amplify, with 200 draws."""
    rng = np.random.default_rng(2)

    def known(value: float, spread: float) -> Estimate:
        return Estimate(value, value - 2 * spread, value + 2 * spread, method="bootstrap", se=spread)

    centre = {"a": 0.05, "beta": 0.15, "rho": 0.1}
    draws = {name: rng.normal(value, 0.05 * value, 200) for name, value in centre.items()}
    fidelity = known(0.9, 0.01)
    return Measured(
        b=5, lock="after_channel", nodes="read",
        parameters={**{name: known(value, 0.05 * value) for name, value in centre.items()}, "gamma": fidelity},
        points=centre, draws=draws,
        messages=(MeasuredMessage(50, 100.0, fidelity, rng.normal(0.9, 0.01, 200)),),
        x_range=(20.0, 1000.0), mu_max=0.95,
        assumptions=(("A3", "not contradicted", "shared errors of the lock form"),),
        verdict="amplify", probabilities={"amplify": 0.995, "synergy": math.nan},
        leaf={"x": [20.0, 1000.0], "signals": [0.08, 0.14], "trials": [400, 400]},
        refusals=("s: not asked for",), trials={"leaf": 800}, tokens={"leaf": 100_000},
    )  # fmt: skip
