"""This module makes the graph of the claims of one episode: nodes in columns of rounds, with what each builds on."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import polars as pl

from agentsoc.events import CLAIMING, SOCIETY
from analysis.viewer.pages.store import OpenLog

TEXT_CHARS: Final = 500
"""Length to which the texts of claims are cut (characters)."""
NODES_MAX: Final = 5_000
"""Claims of an episode that are told at most; the first ones."""


class ClaimNode(msgspec.Struct, frozen=True):
    """A claim, or a place where one was named that the log does not show (`kind` is None then)."""

    id: str
    round: int
    agent: int
    row: int
    """Its place in the column of its round, from the top."""
    kind: str | None
    answer: str | None
    correct: float | None
    confidence: float | None
    text: str | None


class ClaimEdge(msgspec.Struct, frozen=True):
    """A claim builds on another one, or disputes it; or an agent endorses one (`claim` is None then)."""

    parent: str
    claim: str | None
    act: str
    """The kind of event by which it does; the style of its line."""
    round: int
    agent: int


class EpisodeClaims(msgspec.Struct, frozen=True):
    """The claims of an episode. What a claim leads to and comes from follows from `edges`."""

    nodes: list[ClaimNode]
    edges: list[ClaimEdge]
    rounds: int
    tallest: int
    """Most claims of one round."""
    left_out: int
    """Claims beyond `NODES_MAX`."""


def claim_graph(log: OpenLog, rows: pl.DataFrame) -> EpisodeClaims:
    """Return the claims among the events of one episode, given as `OpenLog.of_task` returns them."""
    minted = rows.filter(pl.col("claim").is_not_null() & pl.col("kind").is_in(list(CLAIMING)))
    taken = minted.head(NODES_MAX)
    column: dict[int, int] = {}
    nodes: dict[str, ClaimNode] = {}
    for row in taken.iter_rows(named=True):
        name = str(log.claim(row["claim"]))
        at = column.get(row["round"], 0)
        column[row["round"]] = at + 1
        nodes[name] = _node(name, at, row)
    edges = [edge for row in rows.iter_rows(named=True) for edge in _edges(log, row, nodes)]
    for edge in edges:
        if edge.parent not in nodes:
            at = column.get(-1, 0)
            column[-1] = at + 1
            nodes[edge.parent] = ClaimNode(edge.parent, -1, SOCIETY, at, None, None, None, None, None)
    rounds = max((node.round + 1 for node in nodes.values()), default=0)
    left_out = minted.height - taken.height
    return EpisodeClaims(list(nodes.values()), edges, rounds, max(column.values(), default=0), left_out)


def _node(name: str, at: int, row: dict[str, Any]) -> ClaimNode:
    text = row["text"]
    return ClaimNode(
        name, row["round"], row["agent"], at, row["kind"], row["answer"], row["correct"], row["confidence"],
        None if text is None else text[:TEXT_CHARS],
    )  # fmt: skip


def _edges(log: OpenLog, row: dict[str, Any], nodes: dict[str, ClaimNode]) -> list[ClaimEdge]:
    """Return what one event builds on; what concerns claims that are left out is left out as well."""
    claim = log.claim(row["claim"])
    if claim is not None and claim not in nodes:
        return []
    if claim is None and row["kind"] != "endorse_claim":
        return []
    named = (log.claim(parent) for parent in row["parents"] or ())
    return [
        ClaimEdge(parent, claim, row["kind"], row["round"], row["agent"])
        for parent in named
        if parent is not None and (parent in nodes or parent.startswith("unseen."))
    ]
