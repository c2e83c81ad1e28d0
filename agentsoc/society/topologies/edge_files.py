"""This module reads the edges of files as other programs write them, with the ids of the file and what was assumed.

The ending tells the form:

* ``.csv``, ``.tsv``: two columns, and more that are not used; separated by commas, or else semicolons, tabs or spaces;
  a first line of column names is skipped;
* ``.txt``, ``.edgelist``: two ids separated by spaces, and weights or data of networkx behind them, which are not used;
  what follows a ``#`` or ``%`` is skipped;
* ``.jsonl``: ``[0, 1]``, ``{"from": 0, "to": 1}`` or ``{"source": ..., "target": ...}`` a line;
* ``.json``: a list of those; an object of lists of neighbours; or nodes and links;
* ``.graphml``, ``.gml``: read by networkx; edges of an undirected graph hold both ways.

What runs were made from is read in the same way for ever: a file of which that would lose edges or make some up is
refused when a run is to be made (`agentsoc.society.topologies.edge_doubts`).

Ids are whole numbers, or names; not both. A file that defines entities is refused: a few lines of them can unfold to
more than a machine holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from agentsoc.contracts.graphs import nx
from agentsoc.errors import TopologyError
from agentsoc.society.topologies.limits import MAX_GRAPH_EDGES

NodeId = int | str

LINE_MAX: Final = 400
"""Longest line that is looked at (characters); two ids and their marks take far less."""
NAME_MAX: Final = 100
"""Longest name (characters)."""
GRAPH_CHARS_MAX: Final = 20_000_000
"""Largest GraphML or GML file (characters): their readers take some twenty times as much memory."""
FORMS: Final = (".csv", ".tsv", ".txt", ".edgelist", ".jsonl", ".json", ".graphml", ".gml")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_NAME: Final = re.compile(r"[^\W\d][^\x00-\x1f\x7f,;\t]{0,99}")
_WEIGHT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_HEADINGS: Final = frozenset(
    [
        "source",
        "target",
        "from",
        "to",
        "src",
        "dst",
        "u",
        "v",
        "a",
        "b",
        "node1",
        "node2",
        "nodea",
        "nodeb",
        "id1",
        "id2",
        "node",
        "i",
        "j",
        "start",
        "end",
        "speaker",
        "hearer",
        "sender",
        "receiver",
        "fromnodeid",
        "tonodeid",
        "sourceid",
        "targetid",
        "fromnode",
        "tonode",
        "follower",
        "followee",
        "parent",
        "child",
        "head",
        "tail",
    ]
)
_ENTITY: Final = re.compile(r"<!\s*(?:ENTITY|DOCTYPE)", re.IGNORECASE)
_EXAMPLES: Final = {
    ".csv": "0,1", ".tsv": "0 and 1 with a tab between", ".jsonl": '[0, 1] or {"from": 0, "to": 1}',
    ".json": "[[0, 1], [1, 2]]",
}  # fmt: skip


@dataclass
class FileEdges:
    """Edges as a file lists them, with its own ids."""

    source: str
    speakers: list[NodeId] = field(default_factory=list)
    hearers: list[NodeId] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """Line of each edge, or its place in a list, counted from 1."""
    nodes: list[NodeId] = field(default_factory=list)
    """Nodes that the file names beside its edges, which may have none."""
    weighted: int = 0
    """Edges that have something behind their two ids."""
    undirected: bool = False
    """Whether the file says that edges hold both ways."""

    def add(self, speaker: NodeId, hearer: NodeId, line: int) -> None:
        """Take in an edge.

        Raises:
            TopologyError: there are more than a million.
        """
        if len(self.lines) == MAX_GRAPH_EDGES:
            what = f"more than {MAX_GRAPH_EDGES:,} edges, which is the limit"
            raise TopologyError(what, f"{self.source}:{line}")
        self.speakers.append(speaker)
        self.hearers.append(hearer)
        self.lines.append(line)


def file_edges(text: str, name: str) -> FileEdges:
    """Return the edges that `text` lists, in the form that the ending of `name` tells.

    Raises:
        TopologyError: the ending is unknown, or a line is no edge; says which.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in FORMS:
        what = f"cannot tell the form of an edge list ending in {suffix!r}"
        raise TopologyError(what, name, f"use {', '.join(FORMS)}")
    found = FileEdges(name)
    if suffix in (".csv", ".tsv", ".txt", ".edgelist"):
        _of_lines(found, text, suffix)
    elif suffix == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                _add_json(found, _json(line) if len(line) <= LINE_MAX else None, line, number, suffix)
    elif suffix == ".json":
        _of_json(found, text)
    else:
        _of_graph(found, text, suffix)
    _require_one_kind(found, suffix)
    return found


def _of_lines(found: FileEdges, text: str, suffix: str) -> None:
    lines = text.split("\n")
    mark = _mark(lines, suffix)
    head: tuple[str, int] | None = None
    for number, raw in enumerate(lines, start=1):
        line = (re.split("[#%]", raw, maxsplit=1)[0] if suffix in (".txt", ".edgelist") else raw).strip()
        if not line:
            continue
        cells = _cells(line, mark) if len(line) <= LINE_MAX else []
        ids = [_id(cell) for cell in cells[:2]]
        if len(ids) < 2 or ids[0] is None or ids[1] is None:
            if head is None and not found.lines and suffix in (".csv", ".tsv") and _may_head(cells):
                head = (line, number)  # a heading, whatever its columns are called
                continue
            raise _no_edge(line, found.source, number, suffix)
        if len(cells) > 2:
            if suffix in (".txt", ".edgelist") and not _is_data(line, cells):
                raise _no_edge(line, found.source, number, suffix)
            found.weighted += 1
        if head is None and not found.lines and _is_heading(ids):
            head = (line, number)
            found.weighted = 0
            continue
        found.add(ids[0], ids[1], number)
    if head is None and len(found.lines) > 1 and suffix in (".csv", ".tsv"):
        _drop_heading(found)


def _mark(lines: list[str], suffix: str) -> str | None:
    """Return what separates the cells: None for spaces and tabs."""
    if suffix in (".txt", ".edgelist"):
        return None
    if suffix == ".tsv":
        return "\t"
    first = next((line for line in lines if line.strip()), "")
    return next((mark for mark in (",", ";", "\t") if mark in first), None)


def _cells(line: str, mark: str | None) -> list[str]:
    return [cell.strip().strip('"').strip() for cell in (line.split(mark) if mark else line.split())]


def _id(cell: str) -> NodeId | None:
    if _NUMBER.fullmatch(cell):
        return int(cell)
    return cell if _NAME.fullmatch(cell) else None


def _is_data(line: str, cells: list[str]) -> bool:
    """Return whether what stands behind two ids is weights, or data as networkx writes it."""
    rest = line.split(None, 2)[2]
    return all(_WEIGHT.fullmatch(cell) for cell in cells[2:]) or (rest[0] == "{" and rest[-1] == "}")


def _may_head(cells: list[str]) -> bool:
    return len(cells) >= 2 and all(cell[:1].isalpha() or cell[:1] == "_" for cell in cells[:2])


def _is_heading(ids: list[NodeId | None]) -> bool:
    return all(isinstance(one, str) and re.sub(r"[\W_]", "", one).lower() in _HEADINGS for one in ids)


def _drop_heading(found: FileEdges) -> None:
    """Leave the first line out where it has names and all others have numbers."""
    names = isinstance(found.speakers[0], str) and isinstance(found.hearers[0], str)
    numbers = isinstance(found.speakers[1], int) and isinstance(found.hearers[1], int)
    if names and numbers:
        for column in (found.speakers, found.hearers, found.lines):
            column.pop(0)


def _no_edge(line: str, source: str, number: int, suffix: str) -> TopologyError:
    shown = line if len(line) <= 40 else f"{line[:40]}..."
    example = _EXAMPLES.get(suffix, "0 1")
    return TopologyError(f"this line is no edge: {shown!r}", f"{source}:{number}", f"write it as {example}")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _add_json(found: FileEdges, value: Any, shown: str, number: int, suffix: str) -> None:
    more = False
    if isinstance(value, Mapping):
        for one, other in (("from", "to"), ("source", "target"), ("src", "dst")):
            if one in value and other in value:
                more = len(value) > 2
                value = [value[one], value[other]]
                break
    ids = [_json_id(one) for one in value[:2]] if isinstance(value, list) and len(value) in (2, 3) else []
    if len(ids) < 2 or ids[0] is None or ids[1] is None:
        raise _no_edge(shown.strip(), found.source, number, suffix)
    found.weighted += more or (isinstance(value, list) and len(value) > 2)
    found.add(ids[0], ids[1], number)


def _json_id(value: Any) -> NodeId | None:
    if isinstance(value, str):
        return _id(value.strip())
    return value if type(value) is int and 0 <= value < 10**18 else None  # True is no agent


def _of_json(found: FileEdges, text: str) -> None:
    value = _json(text)
    if isinstance(value, Mapping) and isinstance(value.get("nodes"), list):
        edges = value.get("links", value.get("edges"))
        for node in value["nodes"]:
            named = _json_id(node.get("id") if isinstance(node, Mapping) else node)
            if named is None:
                raise TopologyError("a node without an id", found.source, 'write it as {"id": 0}')
            found.nodes.append(named)
        found.undirected = value.get("directed") is False
        value = edges
    elif isinstance(value, Mapping) and value and all(isinstance(one, list) for one in value.values()):
        at = 0
        for speaker, hearers in value.items():
            found.nodes += [one for one in [_json_id(speaker)] if one is not None]
            for hearer in hearers:
                at += 1
                _add_json(found, [speaker, hearer], f"{speaker}: {hearer}", at, ".json")
        return
    if not isinstance(value, list):
        hint = 'write [[0, 1], [1, 2]], or {"0": [1], "1": [2]}'
        raise TopologyError("this JSON holds no list of edges", found.source, hint)
    for at, one in enumerate(value, start=1):
        _add_json(found, one, json.dumps(one, default=str)[:60], at, ".json")


def _of_graph(found: FileEdges, text: str, suffix: str) -> None:
    if len(text) > GRAPH_CHARS_MAX:
        what = f"a graph file of {len(text):,} characters; the limit is {GRAPH_CHARS_MAX:,}"
        raise TopologyError(what, found.source, "write its edges as .csv")
    if suffix == ".graphml" and _ENTITY.search(text):
        raise TopologyError(
            "a GraphML file that defines entities is not read", found.source, "leave <!DOCTYPE ...> out"
        )
    try:
        read = nx.parse_graphml(text) if suffix == ".graphml" else nx.parse_gml(text)
    except Exception as error:  # readers of somebody else's, over a file of a stranger
        said = " ".join(str(error).split())[:120]
        what = f"this is no {suffix[1:].upper()} that networkx reads: {type(error).__name__}: {ascii(said)[1:-1]}"
        raise TopologyError(what, found.source, "write its edges as .csv") from None
    found.undirected = not read.is_directed()
    for node in read.nodes():
        named = _graph_id(node)
        if named is None:
            raise TopologyError(f"a node is called {ascii(str(node))[:60]}", found.source, "number nodes, or name them")
        found.nodes.append(named)
    for at, (speaker, hearer, data) in enumerate(read.edges(data=True), start=1):
        one, other = _graph_id(speaker), _graph_id(hearer)
        assert one is not None
        assert other is not None
        found.weighted += bool(data)
        found.add(one, other, at)


def _graph_id(node: Any) -> NodeId | None:
    return _json_id(node) if isinstance(node, int) else _id(str(node).strip())


def _require_one_kind(found: FileEdges, suffix: str) -> None:
    """Refuse ids of which some are numbers and some are names: one of them is a slip."""
    kinds = [(type(one) is int, type(other) is int) for one, other in zip(found.speakers, found.hearers, strict=True)]
    flat = [kind for pair in kinds for kind in pair] + [type(node) is int for node in found.nodes]
    if not flat or all(flat) or not any(flat):
        return
    mostly = sum(flat) * 2 >= len(flat)
    for at, pair in enumerate(kinds):
        if pair != (mostly, mostly):
            shown = f"{found.speakers[at]} {found.hearers[at]}"
            raise _no_edge(shown, found.source, found.lines[at], suffix)
    raise TopologyError("some nodes are numbers and others names", found.source, "use one of both")
