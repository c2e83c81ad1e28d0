"""This module lays one block of a comparison over another: what an organisation says wins over the base, key by key.

Mappings are merged, everything else is replaced. A part of another kind replaces the whole part, because the settings
of a star mean nothing to a chain. Each value keeps its place in the file, so that a fault points at the line that a
person has to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsoc.scenario.draft import Draft, Setting
from agentsoc.scenario.strict import Document, Path


def lay(draft: Draft, over: Document, at: tuple[str, ...] = (), inside: Path = ()) -> Draft:
    """Return a draft with a block laid over it.

    Args:
        draft: what lies below.
        over: the block; what it says wins.
        at: where in the draft it is laid.
        inside: the part of the block that is laid there.
    """
    value, below = _value(over.data, inside), _value(draft.data, at)
    if not isinstance(value, Mapping) or not value:
        return draft.having(Setting(at, value, over, inside)) if at else draft
    if at and not _goes_into(value, below):
        return draft.having(Setting(at, value, over, inside))
    for key in value:
        draft = lay(draft, over, (*at, str(key)), (*inside, key))
    return draft


def _goes_into(value: Mapping[str, Any], below: Any) -> bool:
    """Return whether a mapping is merged with what lies below it: another mapping, and not a part of another kind."""
    if isinstance(below, str):  # a bare word stands for {kind: word}
        below = {"kind": below}
    return isinstance(below, Mapping) and ("kind" not in value or value["kind"] == below.get("kind", value["kind"]))


def _value(data: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(data, Mapping) or step not in data:
            return None
        data = data[step]
    return data
