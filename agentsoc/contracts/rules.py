"""`Rules` say by which version of three meanings a run was made, so that older runs replay by their own for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from agentsoc.errors import InputError


class Rules(msgspec.Struct, frozen=True):
    """How prompts are written, replies read and turns paid for in a run; 1 is how it was in the first log format."""

    prompts: int = 1
    """How a prompt is written."""
    reader: int = 1
    """How a reply is read: docs/replies.md says what each number takes and leaves."""
    reserve: int = 1
    """How the turns of a round are paid for: 1 reserves all of them at once, 2 by waves."""

    def record(self) -> dict[str, int]:
        """Return what the manifest of a run holds of its rules."""
        return msgspec.structs.asdict(self)


FIRST: Final = Rules()
"""The rules of every run of log format 1."""
NEWEST: Final = Rules(prompts=2, reader=3, reserve=2)
"""The rules that new runs are made by."""


def recorded_rules(record: Mapping[str, int], where: str) -> Rules:
    """Return the rules that a manifest records; none at all stands for the first.

    Raises:
        InputError: the run was made by rules that this version does not know.
    """
    known = NEWEST.record()
    for name, number in record.items():
        if name not in known or not 1 <= number <= known[name]:
            raise InputError(
                f"this run was made by the rules {name[:60]} {number}, which this version of agentsoc does not know",
                where,
                "use the version that made it (see manifest.json), or a newer one",
            )
    return Rules(**record)
