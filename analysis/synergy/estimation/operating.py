"""This module says where a leaf stands at other settings: its signal there, and what a tree would make of it [X].

A tree of any depth beats one of its own leaves exactly when the leaf's signal is below mu*. A dial such as temperature
moves the leaf along that line without costing a token, so it is no compute and tells no exponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentsoc.log.read import RunLog
from analysis.synergy.estimation.fidelity_fit import fit_fidelity, gamma_interval
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.run_roles import spent
from analysis.synergy.estimation.votes import leaf_table, trip_table
from analysis.synergy.theory.fixed_points import fixed_point
from analysis.synergy.theory.recursion import alpha, node_map


@dataclass(frozen=True)
class OperatingPoint:
    """The point is the signal of a lone agent at one setting, and of the first level of a tree above it."""

    label: str
    signal: Estimate
    n_trials: int
    tokens: float
    """Mean tokens of one answer, those of lost attempts among them."""
    above: float | None
    """Signal after one level at the central parameters, for equally hard tasks; None without gamma and rho."""
    mu_star: float | None

    def said(self) -> str:
        """Return one line."""
        text = f"{self.label}: signal {self.signal} ({self.n_trials} trials, {self.tokens:.0f} tokens each)"
        if self.above is None or self.mu_star is None:
            return text
        gain = self.above - self.signal.value
        better = "keeps" if abs(gain) < 1e-9 else "raises" if gain > 0 else "lowers"
        return f"{text}; a node {better} it: {self.above:.3g} if tasks are equally hard (mu* = {self.mu_star:.3g})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "label": self.label,
            "signal": {"value": self.signal.value, "low": self.signal.low, "high": self.signal.high},
            "trials": self.n_trials,
            "tokens": self.tokens,
            "above": self.above,
            "mu_star": self.mu_star,
        }


def operating_points(logs: Sequence[RunLog], labels: Sequence[str], measured: Measured) -> list[OperatingPoint]:
    """Return the point of each run of lone agents.

    Args:
        logs: runs of lone agents, one for each setting.
        labels: what each setting is.
        measured: gamma, rho and b of the nodes above.
    """
    found = []
    for log, label in zip(logs, labels, strict=True):
        rows = leaf_table([log])
        n, right = rows.height, float(rows["correct"].sum())
        signal = gamma_interval(right, float(n), 1 / int(rows["k"][0]))
        above = limit = None
        if measured.messages and "rho" in measured.points:
            gamma, rho = float(np.clip(measured.messages[0].gamma.value, 0, 1)), measured.points["rho"]
            above = float(node_map(np.clip(signal.value, -1, 1), measured.b, gamma, rho, lock=measured.lock))
            limit = float(np.nan_to_num(fixed_point(measured.b, gamma, rho, lock=measured.lock)))
        tokens = spent(log) / max(log.manifest.totals.episodes, 1)
        found.append(OperatingPoint(label, signal, n, tokens, above, limit))
    return found


def reader_in_place(relays: Sequence[RunLog], measured: Measured) -> str | None:
    """Return in words what nodes would do that ask a reader instead of counting by a rule; None without relays.

    From planted messages: gamma is counted-vote fidelity, since a reader also has a view of its own.
    """
    if not relays or "rho" not in measured.points:
        return None
    fit = fit_fidelity(trip_table(relays), quantity="counted_vote", ceilings=False, n_draws=50)
    lines = []
    for point in fit.points:
        ends = [np.clip(value, 0, 1) for value in (point.gamma.value, point.gamma.low, point.gamma.high)]
        growth = alpha(measured.b, np.array(ends), measured.points["rho"])
        lines.append(
            f"{point.summary()}; a node of {measured.b} that asks a reader instead of counting: "
            f"alpha = {growth[0]:.3g} [{growth[1]:.3g}, {growth[2]:.3g}]"
        )
    return "\n  ".join(lines)
