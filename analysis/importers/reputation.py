"""This module replays the traces' reputation router: its attachment exponent is 1, so it checks the estimator.

In the topology ``dynamic_reputation`` an agent consults others with weight reputation + 0.1. Reputations are frozen
within a step and then grow by one for every consultation received and by 0.1 for having been active. The traces log
the reputation of the acting agent only, and not the steps; both follow from the order of the acts: a step ends where
the logged reputations demand it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from analysis.claims.attachment_choices import Choices, make_choices
from analysis.tables import EventTable

WEIGHT: Final = 0.1
"""What the router adds to every reputation, and what an active step earns."""
MOST_STEPS: Final = 8
_CLOSE: Final = 1e-6


@dataclass(frozen=True)
class Consultation:
    """A consultation says who asked whom, and the reputation logged for the asker."""

    agent: int
    consulted: tuple[int, ...]
    logged: float


def consultations(table: EventTable) -> tuple[Choices, int]:
    """Return whom the agents of dynamic_reputation executions consulted after step 0, among all other agents.

    The engagement of an alternative is its frozen reputation, so `fit_attachment` is to be called with constant 0.1.
    The second value counts executions that were left out because their logged reputations fit no division into steps.
    """
    rows = table.events.join(
        table.executions.select("execution", "topology"), on="execution", how="left", maintain_order="left"
    ).filter((pl.col("topology") == "dynamic_reputation") & (pl.col("agent_role") != "elite_synthesizer"))
    decisions: list[tuple[list[float], list[int], int]] = []
    refused = 0
    for (execution,), part in rows.group_by("execution", maintain_order=True):
        acts = [
            Consultation(int(a), tuple(v), float(s or 0.0))
            for a, v, s in part.select("agent", "visible", "agent_influence_score_so_far").iter_rows()
        ]
        steps = divide(acts)
        if steps is None:
            refused += 1
            continue
        agents = sorted({act.agent for act in acts})
        for reputation, step in steps[1:]:
            for act in step:
                others = [a for a in agents if a != act.agent]
                picked = [others.index(c) for c in act.consulted if c != act.agent]
                if picked:
                    decisions.append(([reputation.get(a, 0.0) for a in others], picked, int(str(execution))))
    return make_choices(decisions), refused


Step = tuple[dict[int, float], list[Consultation]]


def divide(acts: list[Consultation]) -> list[Step] | None:
    """Return (reputations during the step, its acts) for each step, or None if no division fits the logged values.

    Of the divisions that fit, the one with the fewest steps is taken, and of those the one whose first steps are the
    longest. In large societies several fit, because the log shows the reputation of the acting agents only.
    """
    for limit in range(1, MOST_STEPS + 1):
        found = _divide(acts, 0, {}, limit)
        if found is not None:
            return found
    return None


def _divide(acts: list[Consultation], start: int, frozen: dict[int, float], left: int) -> list[Step] | None:
    """Return a division into at most `left` steps of the acts from `start` on, which begin a step with `frozen`."""
    if start == len(acts):
        return []
    if left == 0:
        return None
    end, seen = start, set[int]()
    while end < len(acts) and acts[end].agent not in seen and _fits(frozen, acts[end]):
        seen.add(acts[end].agent)
        end += 1
    for stop in range(end, start, -1):
        rest = _divide(acts, stop, _after(frozen, acts[start:stop]), left - 1)
        if rest is not None:
            return [(frozen, acts[start:stop]), *rest]
    return None


def _fits(reputation: dict[int, float], act: Consultation) -> bool:
    """Return whether the logged reputation is the one that the replay has."""
    return abs(reputation.get(act.agent, 0.0) - act.logged) < _CLOSE


def _after(reputation: dict[int, float], step: list[Consultation]) -> dict[int, float]:
    """Return the reputations after `step`."""
    grown = dict(reputation)
    for act in step:
        grown[act.agent] = grown.get(act.agent, 0.0) + WEIGHT
        for other in act.consulted:
            grown[other] = grown.get(other, 0.0) + 1.0
    return grown
