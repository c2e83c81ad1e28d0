"""This module tells a person what to know of a wiring before tokens are spent on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agentsoc.contracts.wiring import Wiring

MAX_WORK: Final = 10_000_000
"""Effort that an exact diameter may take (steps of `Wiring.reach`; about 0.4 s)."""

LEVELS_SHOWN: Final = 16


@dataclass(frozen=True)
class Description:
    """Facts about one wiring; ``dataclasses.asdict`` makes them JSON, `summary` makes them text."""

    kind: str
    agents: int
    edges: int
    """Directed edges."""
    root: int | None
    """Where the organisation ends."""
    roles: dict[str, int]
    """Agents per role."""
    depth: int
    """Levels below the root."""
    per_level: tuple[int, ...]
    """Agents on each of the first levels (at most 16), from the root down."""
    communities: int
    """Number of communities; 0 where there are none."""
    fan_in_max: int
    """Most agents that one agent hears."""
    fan_out_max: int
    """Most agents that one agent may address."""
    reads_max: int
    """Most claims that one agent has to read at once: what the context window has to hold."""
    diameter: int | None
    """Longest shortest path (hops); None as `diameter_note` says."""
    diameter_note: str
    """How the diameter is known, or why there is none."""
    hears: tuple[str, ...]
    """Who hears whom, one sentence a role."""

    def summary(self) -> str:
        """Return the description as lines of text."""
        root = "" if self.root is None else f", ends in agent {self.root}"
        levels = " + ".join(map(str, self.per_level)) + (" + ..." if self.depth >= len(self.per_level) else "")
        diameter = "none" if self.diameter is None else f"{self.diameter} hops"
        lines = [
            f"{self.kind}: {self.agents:,} agents, {self.edges:,} edges{root}",
            "roles: " + ", ".join(f"{count:,} {role}" for role, count in self.roles.items()),
            *self.hears,
            f"hears at most {self.fan_in_max:,}, addresses at most {self.fan_out_max:,}, "
            f"reads at most {self.reads_max:,} claims at once",
            f"diameter: {diameter} ({self.diameter_note})",
        ]
        if self.depth:
            lines.insert(2, f"levels: {levels}")
        if self.communities:
            lines.insert(2, f"communities: {self.communities}")
        return "\n".join(lines)


def describe(wiring: Wiring) -> Description:
    """Return the facts about `wiring`; takes about a second for ten million edges."""
    diameter, note = diameter_of(wiring)
    counts = np.bincount(wiring.role, minlength=len(wiring.roles)).tolist()
    return Description(
        kind=wiring.kind,
        agents=wiring.n,
        edges=wiring.n_edges,
        root=wiring.root,
        roles=dict(zip(wiring.roles, counts, strict=True)),
        depth=wiring.depth,
        per_level=tuple(np.bincount(wiring.level)[:LEVELS_SHOWN].tolist()),
        communities=0 if wiring.community is None else int(wiring.community.max(initial=-1)) + 1,
        fan_in_max=int(wiring.fan_in.max(initial=0)),
        fan_out_max=int(wiring.fan_out.max(initial=0)),
        reads_max=int(wiring.reads.max(initial=0)),
        diameter=diameter,
        diameter_note=note,
        hears=_who_hears_whom(wiring),
    )


def diameter_of(wiring: Wiring) -> tuple[int | None, str]:
    """Return the longest shortest path in hops and how it is known, or None and why not.

    Kinds whose diameter follows from their size are not counted out; all others are, as far as `MAX_WORK` goes.
    """
    known = _closed_form(wiring)
    if known is not None:
        return known, "follows from the shape"
    hops, how = wiring.reach(MAX_WORK)
    if how == "exact":
        return hops, "counted over all pairs"
    if how == "unreachable":
        return None, "not everybody can reach everybody"
    if wiring.kind == "exponential":  # the same seen from every agent, so one agent's view is enough
        return _eccentricity(wiring, 0), "counted from one agent; all are alike"
    return None, "too large to count over all pairs"


def _closed_form(wiring: Wiring) -> int | None:
    """Return the diameter of a complete graph, star, hybrid, tree or ring; None for anything else."""
    n = wiring.n
    if wiring.n_edges == n * (n - 1):
        return min(1, n - 1)
    if wiring.kind in ("star", "hybrid"):  # not complete, and everybody is a hop from the hub
        return 2
    if wiring.kind == "ring":
        each_side = wiring.n_edges // (2 * n)
        return -(-(n // 2) // each_side)
    if wiring.kind == "tree":
        # The deepest leaves fill the root's subtrees from the left, `full` of them each. With leaves of the last level
        # in two subtrees the longest way is up and down all levels; in one only, a level less on the other side.
        b, depth = int(wiring.fan_in[0]), wiring.depth
        full = b ** (depth - 1)
        deepest = int((wiring.level == depth).sum())
        return 2 * depth if deepest > full else 2 * depth - 1
    return None


def _eccentricity(wiring: Wiring, agent: int) -> int:
    """Return how many hops away the farthest agent is who reaches `agent`, breadth first; everybody must reach it."""
    reached = np.zeros(wiring.n, dtype=bool)
    reached[agent] = True
    hearer = np.repeat(np.arange(wiring.n), wiring.fan_in)
    hops = 0
    while not reached.all():
        new = wiring.hears[reached[hearer]]
        reached[new] = True
        hops += 1
    return hops


def _who_hears_whom(wiring: Wiring) -> tuple[str, ...]:
    """Return one sentence a role: how many of which roles its agents hear."""
    n, roles = wiring.n, wiring.roles
    hearer = np.repeat(np.arange(n), wiring.fan_in)
    spoken_by = wiring.role[wiring.hears]
    heard = {speaker: np.bincount(hearer[spoken_by == index], minlength=n) for index, speaker in enumerate(roles)}
    lines = []
    for index, role in enumerate(roles):
        members = wiring.role == index
        parts = []
        for speaker, counts in heard.items():
            low, high = int(counts[members].min()), int(counts[members].max())
            if high:
                parts.append(f"{low:,} {speaker}" if low == high else f"{low:,} to {high:,} {speaker}")
        subject = f"the {role}" if members.sum() == 1 else f"each {role}"
        lines.append(f"{subject} hears {' and '.join(parts) if parts else 'nobody'}")
    return tuple(lines)
