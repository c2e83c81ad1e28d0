"""The question asked before somebody else's bill grows: which models cost money, how much, and whether to go on."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentsoc.cli.terminal import note
from agentsoc.engine.forecast import Bound, bound
from agentsoc.errors import InputError

if TYPE_CHECKING:
    from agentsoc.scenario.model import Scenario


def paid_models(scenario: Scenario) -> list[str]:
    """Return the models of a scenario that somebody may charge for: those behind an API that is not on this machine."""
    found = {}
    for group in scenario.agents:
        if group.model.kind == "litellm" and not _is_loopback(getattr(group.model, "base_url", None)):
            found[str(getattr(group.model, "name", group.model.kind))] = True
    return list(found)


def _is_loopback(url: str | None) -> bool:
    host = urlsplit(url).hostname if url else None
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def ask_before_paying(scenarios: Sequence[Scenario], yes: bool) -> None:
    """Say what the runs can cost and have it confirmed, unless no model is a paid one or `yes` says so already.

    Without a terminal nobody can answer: then a budget is taken as consent, and runs without one need ``--yes``.

    Raises:
        InputError: the answer was no, or nobody could be asked.
    """
    from agentsoc.society.build import build_society

    models = list(dict.fromkeys(name for scenario in scenarios for name in paid_models(scenario)))
    if not models:
        return
    bounds = [bound(build_society(scenario)) for scenario in scenarios]
    known = [found for found in bounds if found is not None]
    walled = all(scenario.budget is not None for scenario in scenarios)
    runs = f"{len(scenarios)} runs" if len(scenarios) > 1 else "this run"
    if len(known) == len(bounds):
        what = Bound(*(sum(getattr(b, field.name) for b in known) for field in fields(Bound))).text()
    else:
        what = "too large to work out how many model calls at most"
    note(f"{', '.join(models)} may charge for {runs}: {what}" + ("" if walled else "; there is no budget"))
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        if walled:
            return
        raise InputError(
            "a paid model without a budget, and nobody to ask", "", "set budget.tokens_per_task, or add --yes"
        )
    print("go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("not started: the answer was no", "", "--yes answers in advance")
