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
    tokens: int = 0
    calls_lost: int = 0


@dataclass
class Progress:
    """The object is a view of a run under way; the engine writes it, whoever shows it reads it."""

    n_tasks: int = 0
    pace: Pace = field(default_factory=Pace)
    flight: CallsInFlight = field(default_factory=CallsInFlight)
    ledgers: Mapping[int, Ledger] = field(default_factory=dict)
    hosts: int = 1
    notices: list[str] = field(default_factory=list)
