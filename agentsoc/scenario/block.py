"""This module treats a part of a draft as a document of its own, so that what is copied out of it keeps its place."""

from __future__ import annotations

from dataclasses import dataclass

from agentsoc.scenario.draft import Draft
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
