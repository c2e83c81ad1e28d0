"""This module says what is stated and assumed beforehand of the agents and nodes whose phase is estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.synergy.estimation.node_response import Copied
from analysis.synergy.theory.recursion import Lock


@dataclass(frozen=True)
class KnownParameters:
    """The object holds parameters that are stated; None where one is to be estimated."""

    gamma: float | None = None
    """Fidelity of a message, in [0, 1]."""
    rho: float | None = None
    """Correlation of votes given the task, in [0, 1)."""
    mu_max: float = 1.0
    """Ceiling of the leaf signal, in (0, 1]."""


@dataclass(frozen=True)
class NodeModel:
    """The model says how shared errors of the votes at a node are taken to come about."""

    rho_by: Literal["auto", "merges", "replicates"] = "auto"
    """Where rho comes from; by default the merges if there are any."""
    copied: Copied = "first"
    """Whose vote a locked node repeats; for rho from merges."""
    lock: Lock | None = None
    """Place of the shared draw; by default before the channel for sent votes, after it otherwise."""
