"""This module says how far a run is: the engine writes it, a terminal or a notebook reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from agentsoc.budget.ledger import Ledger
from agentsoc.engine.calls import CallsInFlight


class Pace(msgspec.Struct):
    """The object counts how far a run is, for whoever shows it; what a run amounts to is a fold of its log."""

    episodes: int = 0
    """Episodes that have ended."""
    tokens: int = 0
    """Tokens charged so far."""
    calls_lost: int = 0
    """Attempts whose outcome a crash swallowed."""


@dataclass
class Progress:
    """How far a run under way is: give one to `run`, and read it while the run goes on."""

    n_tasks: int = 0
    """Tasks of the run."""
    pace: Pace = field(default_factory=Pace)
    """How far it is: episodes that ended, tokens charged, attempts lost."""
    flight: CallsInFlight = field(default_factory=CallsInFlight)
    """Calls under way, done and failed."""
    ledgers: Mapping[int, Ledger] = field(default_factory=dict)
    """By task, what its budget still holds, of episodes under way."""
    hosts: int = 1
    """Hosts that carry it out."""
    notices: list[str] = field(default_factory=list)
    """What should be said of the run while it goes on, in the order in which it came up."""
