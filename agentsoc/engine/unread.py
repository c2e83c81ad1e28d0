"""This module finds rows of a journal that a replay never asked for: calls and steps that nobody made."""

from __future__ import annotations

from collections.abc import Mapping, Set

from agentsoc.errors import ReplayMismatchError
from agentsoc.log.journal import Attempt, Key
from agentsoc.log.tool_rows import is_model


def require_all_read(known: Mapping[Key, Attempt], read: Set[Key]) -> None:
    """Check that every row of a tool or an environment belongs to a call or a step of the run.

    Rows of models are not looked at: after a crash under a budget there may be some that the run did without.

    Raises:
        ReplayMismatchError: names the first row that nobody asked for.
    """
    for key, row in known.items():
        if row.state == "superseded" or is_model(row.model) or key in read:
            continue
        place = f"task {row.task}, round {row.round}, agent {row.agent}, call {row.k}"
        raise ReplayMismatchError("the journal has a row that nothing of the run asks for", place, row.model[:100])
