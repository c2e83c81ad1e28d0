"""This module says what an agent is told of the budget: it follows from the limits and what committed events used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from agentsoc.scenario.budget import Limits, Shown, Tier
from agentsoc.scenario.prices import money_text

RESOURCES: Final = ("tokens", "calls", "money")
NEUTRAL: Final = "This sentence stands in every message of the experiment and says nothing about the question. "
"""The words that a placebo repeats."""
_NAME: Final = re.compile(r"\{([a-z]+)\}")


class Used(NamedTuple):
    """The usage of one scope so far."""

    tokens: int = 0
    calls: int = 0
    money: int = 0
    """Money in units of 10^-12."""


class BudgetNotice(msgspec.Struct, frozen=True):
    """What an agent is told of the budget in one turn."""

    left: int | None = None
    """What is left of the agent's own share (tokens)."""
    team_left: int | None = None
    """What is left of the team's budget (tokens)."""
    note: str = ""
    """The note that goes into the agent's prompt."""


NOTHING: Final = BudgetNotice()


def tell(
    shown: Shown,
    own: tuple[Limits, Used] | None,
    team: tuple[Limits, Used],
    tools: tuple[int | None, int] = (None, 0),
) -> BudgetNotice:
    """Return what an agent with this share of this team's budget is told.

    Args:
        shown: the scenario's words.
        own: limits and use of the agent's share; None when it has none.
        team: the same of the team.
        tools: limit and use of calls of tools, which are the team's.
    """
    scopes = []
    if shown.scope in ("self", "both") and own is not None:
        scopes.append(("Your", *own))
    if shown.scope in ("team", "both"):
        scopes.append(("The team's", *team))
    if not scopes:
        return NOTHING
    note = _note(shown, scopes, tools)
    if shown.placebo:
        return BudgetNotice(note=placebo(len(note)))
    left = [_left(limits.tokens, used.tokens) for _, limits, used in scopes]
    return BudgetNotice(
        left[0] if shown.scope != "team" and own is not None else None,
        left[-1] if shown.scope != "self" else None,
        note,
    )


def placebo(length: int) -> str:
    """Return neutral words of a given length (characters)."""
    return (NEUTRAL * (length // len(NEUTRAL) + 1))[:length]


def tier_of(tiers: Sequence[Tier], left: int, limit: int) -> int:
    """Return the index of the tier that holds when `left` of `limit` is left."""
    return next(i for i, tier in enumerate(tiers) if 100 * left >= tier.at_least * limit)


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(limit - used, 0)


def _note(shown: Shown, scopes: Sequence[tuple[str, Limits, Used]], tools: tuple[int | None, int]) -> str:
    lines, worst = [], -1
    told = [(whose, zip(RESOURCES, limits, used, strict=True)) for whose, limits, used in scopes]
    for whose, resources in [*told, ("The team's", zip(("tool calls",), tools[:1], tools[1:], strict=True))]:
        for resource, limit, amount in resources:
            left = _left(limit, amount)
            if limit is None or left is None:
                continue
            tier = tier_of(shown.tiers, left, limit)
            worst = max(worst, tier)
            text = money_text if resource == "money" else str
            values = {
                "whose": whose,
                "resource": resource,
                "used": text(amount),
                "limit": text(limit),
                "left": text(left),
                "percent": str(100 * left // max(limit, 1)),
                "tier": shown.tiers[tier].name,
            }
            lines.append(_fill(shown.style, values))
    if worst >= 0 and shown.tiers[worst].advice:
        lines.append(f"{shown.tiers[worst].name}: {shown.tiers[worst].advice}")
    return "\n".join(lines)


def _fill(style: str, values: Mapping[str, str]) -> str:
    return _NAME.sub(lambda match: values[match.group(1)], style)
