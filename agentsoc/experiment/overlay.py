"""This module lays one block of a comparison over another: what an organisation says wins over the base, key by key.

Mappings are merged, everything else is replaced. A part of another kind replaces the whole part, because the settings
of a star mean nothing to a chain. Each value keeps its place in the file, so that a fault points at the line that a
person has to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentsoc.scenario.draft import Draft, Setting
from agentsoc.scenario.strict import Document, Path, Position


@dataclass(frozen=True)
class DraftBlock(Document):
    """A draft block is a part of a draft treated as a document of its own; its places are those of the draft."""

    draft: Draft | None = None
    under: Path = ()
    whole: Path | None = None
    """Where a fault of the block as a whole is told, such as a key that is missing; None for the block itself."""

    def place(self, path: Path, *, of_key: bool = False) -> str:
        """Return where the value at `path` of the block stands."""
        assert self.draft is not None
        if not path and self.whole is not None:
            return self.draft.place(self.whole, of_key=True)
        return self.draft.place((*self.under, *path), of_key=of_key)

    def written(self, path: Path) -> str:
        """Return the unquoted word at `path` of the block as it stands in the file."""
        assert self.draft is not None
        return self.draft.written((*self.under, *path))


def block(draft: Draft, under: Path, whole: Path | None = None) -> DraftBlock:
    """Return the block at a path of a draft; see `DraftBlock`."""
    data = draft.data
    for step in under:
        data = data[step]
    return DraftBlock(draft.document.where, data, Position(1, 1), draft=draft, under=under, whole=whole)


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
