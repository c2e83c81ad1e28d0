"""This module estimates the phase of some runs: it sorts out what they can tell, and keeps the result for a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from analysis.synergy.estimation.estimate import NOTHING_KNOWN, Measurements, estimate_phase
from analysis.synergy.estimation.fidelity_fit import FidelityAt, fit_fidelity
from analysis.synergy.estimation.known import KnownParameters, NodeModel
from analysis.synergy.estimation.measured import Measured, RunFacts, measured_from
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.run_roles import Roles, sort_runs
from analysis.synergy.estimation.votes import VOTE_COLUMNS, demand_columns

DEFAULT_FAN_IN: Final = 5


def phase_of_runs(
    runs: Iterable[RunLog] | Roles,
    *,
    b: int | None = None,
    known: KnownParameters = NOTHING_KNOWN,
    n_draws: int = 400,
    seed: int = 0,
    scenario: Mapping[str, Any] | None = None,
    dial: str = "model.compute",
) -> tuple[PhaseEstimate, Measured, Roles]:
    """Return the phase estimate, what a plan needs of it, and the part that each run played.

    Votes that a rule counts are misread by nobody: there gamma is 1 by construction, and rho is that of sent votes,
    from replicates. Where nodes read, gamma comes from relays and merges and rho from the merges.

    Args:
        runs: logs, or what was sorted out of them already.
        b: fan-in; by default the one that was merged most.
        known: parameters that are stated beforehand.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.
        scenario: what was measured, for a plan's follow-up.
        dial: what gives a leaf more tokens.

    Raises:
        InputError: the runs hold nothing to estimate from.
    """
    roles = runs if isinstance(runs, Roles) else sort_runs(runs)
    data = roles.measurements()
    if data.leaves is None and data.trips is None and data.votes is None and data.merges is None:
        raise InputError(
            "these runs tell nothing of the phase: " + ("; ".join(roles.ignored) or "no runs"),
            "",
            "give lone agents, relays with a planted message, and merges; `agentsoc calibrate` makes them",
        )
    message, cost = roles.message()
    data, others = _one_length(data, message, seed)
    tallied = roles.nodes == "tally"
    if tallied:  # what readers make of messages is another matter than what a rule counts
        data = replace(data, trips=None)
    stated = replace(known, gamma=1.0) if tallied and known.gamma is None else known
    estimate = estimate_phase(
        data,
        b or roles.fan_in() or DEFAULT_FAN_IN,
        known=stated,
        nodes=NodeModel(lock="after_channel" if tallied else None),  # without a channel the two places are one
        n_draws=n_draws,
        seed=seed,
    )
    facts = RunFacts(roles.nodes, roles.trials(), roles.tokens(), scenario, dial)
    measured = measured_from(estimate, message=message, message_cost=cost, others=others, facts=facts, seed=seed)
    return estimate, measured, roles


def _one_length(data: Measurements, message: int, seed: int) -> tuple[Measurements, tuple[FidelityAt, ...]]:
    """Return the measurements with round trips of the length next to `message` only, and the fidelities of all."""
    if data.trips is None or data.trips["m"].n_unique() < 2:
        return data, ()
    others = tuple(fit_fidelity(data.trips, ceilings=False, n_draws=50, seed=seed).points)
    lengths = sorted(data.trips["m"].unique().to_list())
    kept = min(lengths, key=lambda m: abs(m - message)) if message else lengths[-1]
    return replace(data, trips=data.trips.filter(pl.col("m") == kept)), others


def phase_of_votes(
    table: pl.DataFrame,
    *,
    b: int | None = None,
    gamma: float | None = None,
    rho: float | None = None,
    sent: bool = False,
    n_draws: int = 400,
    seed: int = 0,
) -> tuple[PhaseEstimate, Measured]:
    """Return the same for a plain table of sibling votes.

    Args:
        table: columns task, run, node, agent, correct; k (answers of a task) is 2 where it is missing.
        b: fan-in; by default the usual size of a group.
        gamma: fidelity; votes alone do not tell it.
        rho: correlation of received votes where it is known; by default that of the table.
        sent: whether the votes are as they were cast; by default as they were received.
        n_draws: bootstrap samples.
        seed: root of the bootstrap's randomness.
    """
    demand_columns(table, VOTE_COLUMNS[:-1], "votes")
    votes = table if "k" in table.columns else table.with_columns(pl.lit(2).alias("k"))
    votes = votes.with_columns(
        pl.col("task").cast(pl.String), pl.col("node").cast(pl.String), pl.col("correct").cast(pl.Float64)
    )
    sizes = votes.group_by("task", "run", "node").len()["len"].cast(pl.Int64)
    odd = sizes.filter((sizes >= 3) & (sizes % 2 == 1))
    usual = DEFAULT_FAN_IN if odd.is_empty() else max(int(size) for size in odd.mode().to_list())
    data = Measurements(votes=votes, votes_are="sent" if sent else "received")
    estimate = estimate_phase(data, b or usual, known=KnownParameters(gamma, rho), n_draws=n_draws, seed=seed)
    return estimate, measured_from(estimate, message=0, message_cost=0.0)
