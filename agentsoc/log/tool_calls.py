"""This module counts the calls of tools that a run made; those beyond a limit stand in the log and were not made."""

from __future__ import annotations

import pyarrow.compute as pc

from agentsoc.log.stored import StoredRun

_BEYOND = "limit: "
"""How the text of a call begins that was one too many, in its reply or for the budget."""


def tool_calls_of(log: StoredRun) -> tuple[int, int]:
    """Return how many calls were made, and how many were not because they were too many.

    A tool that itself ends with ``limit`` (its memory, say) is counted with the second: the log tells them no further.
    """
    wanted = log.manifest.totals.events_by_kind.get("tool_call", 0)
    if not wanted:
        return 0, 0
    refused = 0
    for table in log.tables():
        calls = table.filter(pc.equal(table["kind"].cast("string"), "tool_call"))
        refused += pc.sum(pc.starts_with(calls["text"].cast("string"), _BEYOND)).as_py() or 0
    return wanted - refused, refused
