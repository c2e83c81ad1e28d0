"""This module refuses a file of edges for a new run, where edges would be lost or made up by how it is read.

`agentsoc.society.topologies.edge_files` reads all files in one way for ever, so that runs replay. What that way would
read wrongly is refused here, before a run keeps a copy of it, and never read in a second way: of a run's own copy
nobody could tell which of the two it was made by.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any, Final

from agentsoc.errors import TopologyError
from agentsoc.society.topologies.edge_files import LINE_MAX

_ENDS: Final = frozenset({"from", "to", "source", "target", "src", "dst"})
_LISTS: Final = frozenset({"nodes", "links", "edges", "directed"})
_RETURN: Final = re.compile(r"\r(?=[^\r\n])")
"""A carriage return with something behind it on its line."""


class _Object(dict[str, Any]):
    """An object of JSON that knows which of its keys occur twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice: frozenset[str] = frozenset()
        if len(self) < len(pairs):
            counted = Counter(key for key, _ in pairs)
            self.twice = frozenset(key for key, n in counted.items() if n > 1)


def require_clear(text: str, name: str) -> None:
    """Refuse a text whose edges are not all those that whoever wrote it meant.

    Raises:
        TopologyError: it is a Matrix Market file, lines end in a carriage return alone, or a key that edges are read
            from occurs twice; says where.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".csv", ".tsv", ".txt", ".edgelist"):
        if text.startswith("%%MatrixMarket"):
            hint = "leave out its first lines, to the one with the three sizes, and end its name in .edgelist"
            raise TopologyError("a Matrix Market file is not read", name, hint)
        if (found := _RETURN.search(text)) is not None:
            where = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
            raise TopologyError("a carriage return within a line", where, "end each line in a line feed")
    elif suffix == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if len(line) <= LINE_MAX:
                _require_once(_json(line), _ENDS, f"{name}:{number}")
    elif suffix == ".json":
        _require_all(_json(text), name)


def _require_all(value: Any, name: str) -> None:
    """Refuse keys that edges are read from and that occur twice; what else nodes and edges have is not used."""
    edges = value
    if isinstance(value, _Object):
        nodes = value.get("nodes")
        lists = isinstance(nodes, list)
        _require_once(value, _LISTS if lists else value.twice, name)
        for node in nodes if isinstance(nodes, list) else ():
            _require_once(node, frozenset({"id"}), name)
        edges = value.get("links", value.get("edges")) if lists else ()
    for at, edge in enumerate(edges if isinstance(edges, list) else (), start=1):
        _require_once(edge, _ENDS, f"{name}:{at}")


def _require_once(value: Any, keys: frozenset[str], where: str) -> None:
    twice = sorted(value.twice & keys) if isinstance(value, _Object) else ()
    if twice:
        raise TopologyError(f"the key {ascii(twice[0])[:60]} occurs twice", where, "write what it has under one")


def _json(text: str) -> Any:
    """Return what a text holds as JSON, its objects as `_Object`; None for what is none, which is refused elsewhere."""
    try:
        return json.loads(text, object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        return None
