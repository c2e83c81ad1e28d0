"""This module makes one tidy table of many runs, a row each, and fits how their score goes with N and with tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from agentsoc.errors import InputError
from analysis.curves import CurveLaw, curve_of
from analysis.fitcard import MIN_POINTS, MIN_RATIO
from analysis.measures.run_report import RunReport

OVER: Final = ("n_agents", "tokens")
"""What `metrics` fits the score over, where the runs of a setting differ enough in it."""


def sweep_table(runs: Sequence[RunReport]) -> pl.DataFrame:
    """Return a row for each run: what it is, and every metric that has a value.

    Returns:
        Columns run, setting, topology, protocol, n_agents, rounds (of the scenario's protocol, null where it has none),
        tasks (number), and one for each metric, in the units of `agentsoc metrics`.
    """
    rows = [
        {
            "run": report.run, "setting": report.setting, "topology": report.topology, "protocol": report.protocol,
            "n_agents": report.n_agents, "rounds": report.rounds, "tasks": report.metrics.n_tasks,
            **{name: None if one is None else one.value for name, one in report.metrics.values.items()},
        }
        for report in runs
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def curves_of(runs: Sequence[RunReport], *, seed: int = 0) -> Iterator[tuple[str, CurveLaw]]:
    """Yield how the score goes with N, and with tokens, in each setting with five values or more over a factor of 10.

    Args:
        runs: reports of runs; those of one setting differ in number of agents, budget, seed and tasks alone.
        seed: seed of the bootstrap.
    """
    if not runs:
        return
    table = sweep_table(runs)
    for part in table.partition_by("setting", maintain_order=True):
        name = f"{part['topology'][0]}, {part['protocol'][0]}"
        for over in OVER:
            if not _enough(part, over):
                continue
            try:
                yield name, curve_of(part, over, "score", seed=seed)
            except InputError:  # a score of 0 has no logarithm, and nothing is said then
                continue


def _enough(table: pl.DataFrame, over: str) -> bool:
    """Return whether a column has enough distinct values over a range that is wide enough for a law."""
    if over not in table.columns:
        return False
    values = table[over].drop_nulls().unique().sort()
    return values.len() >= MIN_POINTS and values[0] > 0 and values[-1] / values[0] >= MIN_RATIO
