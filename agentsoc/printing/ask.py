"""This module asks before something leaves for somebody else's address: to whom, with which variable, at what cost.

The rule is that of `agentsoc.engine.consent`; this asks, prints, and passes on what was answered.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from agentsoc.errors import InputError
from agentsoc.printing.terminal import note

if TYPE_CHECKING:
    from agentsoc.contracts.address import Destination
    from agentsoc.scenario.model import Scenario


def ask_before_sending(
    scenarios: Sequence[Scenario],
    yes: bool,
    named: Collection[Destination] = (),
    *,
    allow_mcp: bool = False,
    file: Path | None = None,
) -> frozenset[Destination]:
    """Ask a person to confirm what live runs of `scenarios` would send to addresses that need consent.

    Says what it is and what it can cost. A yes at the terminal is remembered for the next time; ``--yes`` counts for
    this command alone.

    Args:
        scenarios: the runs that are to be made.
        yes: whether ``--yes`` was given.
        named: destinations that stand on the command line themselves.
        allow_mcp: whether ``--allow-mcp`` was given, without which no program of a scenario is started.
        file: their scenario file, in which a model that cannot be started is then told with its place.

    Returns:
        What is agreed to, for the library.

    Raises:
        ConsentNeededError: nobody has agreed, and nobody could be asked.
        InputError: the answer was no; or a model is called that cannot be started here, so nothing need be asked.
    """
    from agentsoc.engine.agreed import remember
    from agentsoc.engine.consent import cost_text, destinations, missing, programs, refusal, require_programs
    from agentsoc.engine.ready import require_senders
    from agentsoc.scenario.given import placed

    if allow_mcp:
        named = [*named, *programs(scenarios)]
    require_programs(scenarios, frozenset(named))
    wanted = [place for place in destinations(scenarios) if place not in named]
    if not wanted:
        return frozenset(named)
    with nullcontext() if file is None else placed(file):
        require_senders(scenarios)
    left, fault = missing(wanted, yes)
    cost = cost_text(scenarios)
    if left and not _somebody_is_there():
        raise refusal(left, cost, fault)
    if fault:
        note(fault)
    note(("this" if len(scenarios) == 1 else f"these {len(scenarios):,} runs") + " would call")
    for place in wanted:
        note(f"  {place.text()}")
    note(f"cost: {cost}")
    if left:
        print("go on, and do not ask again about these? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise InputError("not started: the answer was no", "", "--yes answers in advance, for one command")
        remember(place for place in left if place.known)
    return frozenset((*wanted, *named))


def _somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
