"""This module sees to it that nothing leaves for somebody else's address before a person has agreed to that address.

A scenario and a run directory may come from strangers, so what stands in them is never consent. Consent is given for
pairs of an address and an environment variable: remembered from an answer (`agentsoc.engine.agreed`), or by whoever
calls. A local server that is sent no variable needs none, and nor does what calls nobody.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from agentsoc.contracts.address import Destination, is_loopback_host
from agentsoc.contracts.environments import environment_of
from agentsoc.engine.agreed import remembered
from agentsoc.engine.ray_probe import AUTO, VARIABLE
from agentsoc.errors import ConsentNeededError

if TYPE_CHECKING:
    from agentsoc.scenario.model import Scenario

Consent = bool | Collection[Destination]
"""What the caller agrees to: everything (True), some destinations, or nothing beyond what is remembered (False)."""
BOUNDED_MAX: Final = 400
"""Runs whose cost is worked out one by one; of more runs, the sum of budgets is told (runs)."""


def destinations(scenarios: Iterable[Scenario]) -> list[Destination]:
    """Return the destinations of live runs of `scenarios` that need consent, each pair once."""
    from agentsoc.contracts.model import Model

    models: dict[Model, None] = {}
    found: dict[Destination, Destination] = {}
    for scenario in scenarios:
        judge = scenario.tasks.judged_by()
        for model in (*(group.model for group in scenario.agents), *([] if judge is None else [judge.model])):
            if model not in models:
                models[model] = None
                for place in model.destinations():
                    found.setdefault(place, place)
        for place in cluster(scenario.engine.address):
            found.setdefault(place, place)
    return [place for place in found if place.needs_consent]


def programs(scenarios: Sequence[Scenario]) -> list[Destination]:
    """Return the programs that live runs of `scenarios` start on this machine, each once."""
    games = dict.fromkeys(environment_of(scenario.tasks) for scenario in scenarios)
    found = [*_of_tools(scenarios), *(game.program() for game in games if game is not None)]
    return list(dict.fromkeys(place for place in found if place is not None))


def _of_tools(scenarios: Sequence[Scenario]) -> list[Destination]:
    tools = dict.fromkeys(tool for scenario in scenarios for group in scenario.agents for tool in group.tools)
    return [place for place in (tool.program() for tool in tools) if place is not None]


def require_programs(scenarios: Sequence[Scenario], consent: Consent = False) -> None:
    """Raise unless somebody has allowed every program that live runs of `scenarios` start.

    Raises:
        ConsentNeededError: names the programs; nothing has been started.
    """
    wanted = programs(scenarios)
    if consent is True or not wanted:
        return
    left = [place for place in wanted if place not in frozenset(consent or ())]
    if left:
        named = ", ".join(place.address.removeprefix("program:")[:200] for place in left)
        raise ConsentNeededError(
            f"nothing was started, because nobody has allowed the programs that this scenario starts: {named}",
            "agents.tools" if any(place in left for place in _of_tools(scenarios)) else "tasks.environment",
            "if you know what they do: add --allow-mcp (from Python: consent=True)",
        )


def cluster(address: str | None) -> tuple[Destination, ...]:
    """Return the Ray cluster at `address` as a destination: it is sent the run, and this user's token for clusters.

    None for no cluster, for one that is started here, and for one on this machine.
    """
    if address is None or address == "local":
        return ()
    if address == AUTO:
        address = os.environ.get(VARIABLE, "")
        if not address:  # refused when it is to be joined
            return ()
    if is_loopback_host(address.removeprefix("ray://").rsplit(":", 1)[0]):
        return ()
    place = address if "://" in address else f"ray://{address}"
    return (Destination(place, "RAY_AUTH_TOKEN", "a Ray cluster", "it is sent the run and its loose code"),)


def missing(wanted: Iterable[Destination], consent: Consent = False) -> tuple[list[Destination], str]:
    """Return the destinations that nobody has agreed to, and what is wrong with the file of what is remembered."""
    if consent is True:
        return [], ""
    given = frozenset(consent or ())
    left = [place for place in wanted if place not in given]
    if not left:
        return [], ""
    known, fault = remembered()
    return [place for place in left if not place.known or place not in known], fault


def require_consent(scenarios: Sequence[Scenario], consent: Consent = False) -> None:
    """Raise unless somebody has agreed to everything that live runs of `scenarios` would send.

    Args:
        scenarios: the runs that are to be made.
        consent: what the caller agrees to; see `Consent`.

    Raises:
        ConsentNeededError: names addresses, variables and what the runs can cost; nothing has been sent.
    """
    require_programs(scenarios, consent)
    left, fault = missing(destinations(scenarios), consent)
    if left:
        raise refusal(left, cost_text(scenarios), fault)


def refusal(left: Sequence[Destination], cost: str, fault: str = "") -> ConsentNeededError:
    """Return the error for destinations that nobody has agreed to."""
    places = "".join(f"\n    {place.text()}" for place in left)
    damaged = f"\n    {fault}" if fault else ""
    return ConsentNeededError(
        f"nothing was sent, because nobody has agreed to what this would send:{places}\n    cost: {cost}{damaged}",
        "",
        "if you know the address and mean to send that: add --yes, or answer yes once at a terminal "
        "(from Python: consent=True)",
    )


def cost_text(scenarios: Sequence[Scenario]) -> str:
    """Return in words what runs of `scenarios` can cost together at most."""
    from agentsoc.engine.bounds import TOO_LARGE, NoBound, total
    from agentsoc.engine.forecast import bound, ceiling
    from agentsoc.society.build import build_society

    runs = "" if len(scenarios) == 1 else f"{len(scenarios):,} runs: "
    known = TOO_LARGE if len(scenarios) > BOUNDED_MAX else total([bound(build_society(one)) for one in scenarios])
    what = known.text()
    if isinstance(known, NoBound):
        ceilings = [ceiling(scenario) for scenario in scenarios]
        if None not in ceilings:
            what += f"; by the budget no more than {sum(one or 0 for one in ceilings):,} tokens"
    walled = all(scenario.budget is not None for scenario in scenarios)
    return runs + what + ("" if walled else "; there is no budget")
