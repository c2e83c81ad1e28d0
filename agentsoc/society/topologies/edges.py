"""This module reads lists of edges that a person or another program wrote, in the scenario or in a file beside it.

Forms of a file, told by its ending, one edge a line, blank lines skipped:

* ``.csv``: ``0,1``; a first line of column names is skipped;
* ``.txt``: ``0 1``; what follows a ``#`` is skipped;
* ``.jsonl``: ``[0, 1]`` or ``{"from": 0, "to": 1}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentsoc.contracts.group import MAX_AGENTS
from agentsoc.errors import InputError, TopologyError
from agentsoc.scenario.files import open_text
from agentsoc.society.topologies.limits import MAX_GRAPH_EDGES

Edge = tuple[int, int]

_LINE_MAX: Final = 200
"""Longest line that is looked at (characters); two numbers and their marks take far less."""
_NUMBER: Final = re.compile(r'"?([0-9]{1,12})"?')
_COLUMN_NAME: Final = re.compile(r'"?[A-Za-z_][\w ]*"?')


@dataclass(frozen=True)
class EdgeList:
    """Edges speaker -> hearer in the order in which they were written, and where each was."""

    speakers: NDArray[np.int64]
    """Shape (n_edges,)."""
    hearers: NDArray[np.int64]
    """Shape (n_edges,)."""
    source: str
    """File name, or ``edges`` for those in the scenario."""
    lines: NDArray[np.int64] | None = None
    """Line of each edge in the file, shape (n_edges,)."""

    def where(self, index: int) -> str:
        """Return the place of one edge as file:line, or as a dotted key."""
        return f"{self.source}[{index}]" if self.lines is None else f"{self.source}:{self.lines[index]}"

    @property
    def agents(self) -> int:
        """Return the smallest number of agents that these edges need."""
        return 1 + int(max(self.speakers.max(initial=-1), self.hearers.max(initial=-1)))


def given_edges(edges: Iterable[Edge], source: str = "edges") -> EdgeList:
    """Return edges that were written in the scenario.

    Raises:
        TopologyError: more than a million of them, or a number out of range.
    """
    return _collect(((i, edge) for i, edge in enumerate(edges)), source, lambda i: f"{source}[{i}]", by_line=False)


def read_edges(name: str) -> EdgeList:
    """Return the edges of the file that a scenario calls `name`.

    Raises:
        TopologyError: the file cannot be used (outside the scenario's directory, too big, not UTF-8, ...), or one of
            its lines is no edge; says which.
    """
    try:
        text = open_text(name)
    except InputError as error:
        raise TopologyError(error.problem.what, error.problem.where, error.problem.hint) from error
    return parse_edges(text, name)


def parse_edges(text: str, name: str) -> EdgeList:
    """Return the edges that `text` lists in the form that the ending of `name` tells.

    Raises:
        TopologyError: the ending is unknown, a line is no edge, or there are more than a million.
    """
    suffix = PurePosixPath(name).suffix.lower()
    parse = {".csv": _comma, ".txt": _space, ".jsonl": _json}.get(suffix)
    if parse is None:
        raise TopologyError(
            f"cannot tell the form of an edge list ending in {suffix!r}", name, "use .csv, .txt or .jsonl"
        )
    return _collect(_edges(text, name, suffix, parse), name, lambda line: f"{name}:{line}", by_line=True)


def _edges(text: str, name: str, suffix: str, parse: Callable[[str], Edge | None]) -> Iterator[tuple[int, Edge]]:
    """Yield each edge with the number of its line."""
    first = True
    for number, raw in enumerate(text.split("\n"), start=1):
        line = (raw.partition("#")[0] if suffix == ".txt" else raw).strip()
        if not line:
            continue
        edge = parse(line) if len(line) <= _LINE_MAX else None
        if edge is not None:
            yield number, edge
        elif not (first and suffix == ".csv" and _is_heading(line)):
            shown = line if len(line) <= 40 else f"{line[:40]}..."
            example = {".csv": "0,1", ".txt": "0 1", ".jsonl": '[0, 1] or {"from": 0, "to": 1}'}[suffix]
            raise TopologyError(f"this line is no edge: {shown!r}", f"{name}:{number}", f"write it as {example}")
        first = False


def _collect(found: Iterable[tuple[int, Edge]], source: str, where: Callable[[int], str], *, by_line: bool) -> EdgeList:
    flat: list[int] = []
    places: list[int] = []
    for place, (u, v) in found:
        if not (0 <= u < MAX_AGENTS and 0 <= v < MAX_AGENTS):
            raise TopologyError(
                f"the edge {u} -> {v}: agents are numbered from 0 to at most {MAX_AGENTS - 1}", where(place)
            )
        if len(places) == MAX_GRAPH_EDGES:
            raise TopologyError(f"more than {MAX_GRAPH_EDGES:,} edges, which is the limit", where(place))
        flat += (u, v)
        places.append(place)
    both = np.array(flat, dtype=np.int64).reshape(-1, 2)
    return EdgeList(both[:, 0], both[:, 1], source, np.array(places, dtype=np.int64) if by_line else None)


def _comma(line: str) -> Edge | None:
    return _pair(line.split(","))


def _space(line: str) -> Edge | None:
    return _pair(line.split())


def _pair(fields: list[str]) -> Edge | None:
    """Return the two numbers, or None when these are not two numbers."""
    if len(fields) != 2:
        return None
    matches = [_NUMBER.fullmatch(field.strip()) for field in fields]
    if matches[0] is None or matches[1] is None:
        return None
    return int(matches[0][1]), int(matches[1][1])


def _json(line: str) -> Edge | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if isinstance(value, dict) and value.keys() == {"from", "to"}:
        value = [value["from"], value["to"]]
    if isinstance(value, list) and len(value) == 2 and all(type(x) is int for x in value):  # True is no agent
        return value[0], value[1]
    return None


def _is_heading(line: str) -> bool:
    fields = line.split(",")
    return len(fields) == 2 and all(_COLUMN_NAME.fullmatch(field.strip()) for field in fields)
