"""This module says who may address whom in a run, where each agent stands on a picture, and what went along each link.

The links of a run are built again from its scenario; where that is not possible here (a part that is not installed, a
society too large), and for imported logs, they are those that the log shows: whose claims others built on.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import AgentsocError
from agentsoc.events import COORDINATION, SOCIETY
from agentsoc.log.manifest import Manifest
from agentsoc.log.names import INPUTS
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR, use_kept
from agentsoc.scenario.model import Scenario
from agentsoc.streams import stream
from analysis.viewer.pages.layout import positions
from analysis.viewer.pages.store import OpenLog

BUILT_MAX: Final = 2_000
"""Agents up to which the links are built from the scenario: all may hear all."""
AGENTS_MAX: Final = 50_000
"""Agents up to which any are placed."""
CITED_MAX: Final = 20
"""Agents that are told as cited most."""
LINKS_MAX: Final = 20_000
"""Links that are told at most, the busiest first."""


class Link(msgspec.Struct, frozen=True):
    """One agent addresses another."""

    speaker: int
    hearer: int
    deliveries: int
    """Acts of coordination of the speaker that the hearer could hear; for links that the log shows, claims it built on;
    see `SocietyMap.exact`."""


class SocietyMap(msgspec.Struct, frozen=True):
    """Agents on a plane, and the links between them."""

    kind: str
    """Kind of the topology."""
    n: int
    x: list[float]
    """In [0, 1], an agent each; empty where there are too many to place."""
    y: list[float]
    roles: list[str]
    links: list[Link]
    links_in_all: int
    """More than those in `links` where there are very many."""
    built: bool
    """Whether the links are those of the topology; otherwise those that the log shows."""
    exact: bool
    """Whether the deliveries add up to those that the run counted; otherwise a protocol may have delivered fewer."""
    why: str | None = None
    """Why the links are not those of the topology, in words."""


NO_SOCIETY: Final = SocietyMap("", 0, [], [], [], [], 0, built=False, exact=False)
"""What stands in place of a society that was not asked for."""


def society_map(log: OpenLog) -> SocietyMap:
    """Return the society of a log with what went along its links over all its tasks."""
    wiring, why = _wiring(log.run) if log.run is not None else (None, "an imported log has no scenario")
    spoken = _spoken(log)
    kind = _kind(log)
    if wiring is None:
        return _as_seen(log, kind, spoken, why)
    hearers = np.repeat(np.arange(wiring.n), wiring.fan_in)
    counts = np.array([spoken.get(agent, 0) for agent in range(wiring.n)], dtype=np.int64)[wiring.hears]
    upwards = np.where(wiring.level[wiring.hears] > wiring.level[hearers], counts, 0)  # a tree passes votes up only
    assert log.manifest is not None
    total = log.manifest.totals.deliveries
    exact = total in (int(counts.sum()), int(upwards.sum()))
    told = upwards if total == int(upwards.sum()) else counts
    links = list(zip(wiring.hears.tolist(), hearers.tolist(), told.tolist(), strict=True))
    roles = [wiring.role_of(agent) for agent in range(wiring.n)]
    found = _placed(kind, wiring.n, links, roles, wiring.level.tolist(), None)
    return msgspec.structs.replace(found, exact=exact)


def _as_seen(log: OpenLog, kind: str, spoken: dict[int, int], why: str | None) -> SocietyMap:
    """Return the society with the links that claims show which others built on."""
    links = built_on(log)
    n = max((agent + 1 for agent in (*spoken, *(end for u, v, _ in links for end in (u, v)))), default=0)
    if log.manifest is not None:
        n = max(n, agents_stated(log.manifest) or 0)
    return _placed(kind, n, links, ["peer"] * n if n <= AGENTS_MAX else [], None, why or "")


def _placed(
    kind: str, n: int, links: list[tuple[int, int, int]], roles: list[str], levels: list[int] | None, why: str | None
) -> SocietyMap:
    told = sorted(links, key=lambda link: (-link[2], link[0], link[1]))[:LINKS_MAX]
    places = positions(n, [(u, v) for u, v, _ in told], levels) if n <= AGENTS_MAX else np.zeros((0, 2))
    x, y = (np.round(places[:, axis], 4).tolist() for axis in (0, 1))
    return SocietyMap(
        kind, n, x, y, roles, [Link(*link) for link in sorted(told)], len(links), why is None, False, why or None
    )  # fmt: skip


def built_on(log: OpenLog) -> list[tuple[int, int, int]]:
    """Return which agents built on whose claims in a log, and how often: author, reader, claims."""
    found: dict[tuple[int, int], int] = {}
    for frame in log.whole_tasks(["task", "agent", "claim", "parents"]):
        minted = frame.filter(pl.col("claim").is_not_null()).select("task", "claim", pl.col("agent").alias("author"))
        used = frame.filter(pl.col("agent") != SOCIETY).select("task", "agent", "parents").explode("parents")
        pairs = used.join(minted, left_on=["task", "parents"], right_on=["task", "claim"], how="inner")
        counted = pairs.filter(pl.col("author") != pl.col("agent")).group_by("author", "agent").len()
        for author, reader, n in counted.iter_rows():
            found[author, reader] = found.get((author, reader), 0) + n
    return [(u, v, n) for (u, v), n in sorted(found.items()) if 0 <= u < AGENTS_MAX and 0 <= v < AGENTS_MAX]


def cited(links: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return the agents on whose claims others built most, and how often: agent, claims used; the first ones."""
    found: dict[int, int] = {}
    for author, _, n in links:
        found[author] = found.get(author, 0) + n
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))[:CITED_MAX]


def agents_stated(manifest: Manifest) -> int | None:
    """Return the number of agents that a scenario states; None where its topology decides it."""
    counts = [group.get("count") for group in manifest.scenario.get("agents", [])]
    return sum(count for count in counts if count) if counts and all(counts) else None


def _kind(log: OpenLog) -> str:
    if log.manifest is not None:
        return str(log.manifest.scenario.get("topology", {}).get("kind", "unknown"))
    assert log.table is not None
    kinds = log.table.executions["topology"].drop_nulls().unique().to_list()
    return kinds[0] if len(kinds) == 1 else "several" if kinds else "unknown"


def _spoken(log: OpenLog) -> dict[int, int]:
    """Return how many acts of coordination each agent made."""
    found: dict[int, int] = {}
    for frame in log.columns(["agent", "kind"]):
        counted = frame.filter(pl.col("kind").is_in(list(COORDINATION))).group_by("agent").len()
        for agent, n in counted.iter_rows():
            found[agent] = found.get(agent, 0) + n
    return {agent: n for agent, n in found.items() if 0 <= agent < AGENTS_MAX}


def _wiring(run: RunLog) -> tuple[Wiring | None, str | None]:
    """Return the links of a run as its scenario has them, or why they cannot be had here."""
    stated = agents_stated(run.manifest)
    if stated is not None and stated > BUILT_MAX:
        return None, f"a society of {stated:,} agents: its links are those that the log shows"
    own = use_kept(run.directory / INPUTS)
    try:
        run.inside.has_directory(INPUTS)
        scenario = Scenario.model_validate(run.manifest.scenario)
        n = scenario.topology.size(stated)
        if n > BUILT_MAX:
            return None, f"a society of {n:,} agents: its links are those that the log shows"
        return scenario.topology.wiring(n, stream(scenario.seed, "topology")), None
    except (AgentsocError, ValueError, OSError) as error:
        return None, f"the topology cannot be built here: {str(error).splitlines()[0][:200]}"
    finally:
        BASE_DIR.reset(own)


def plain_map(found: SocietyMap) -> dict[str, Any]:
    """Return a society as plain data for JSON."""
    data: dict[str, Any] = msgspec.to_builtins(found)
    return data
