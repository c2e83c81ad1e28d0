"""Rows of the journal that are no attempts at a model: calls of tools and steps of environments of their own."""

from __future__ import annotations

from typing import Final

from agentsoc.events import MAX_K

TOOL: Final = "tool:"
"""How the ``model`` of a row begins that is a call of a tool."""
ENVIRONMENT: Final = "env:"
"""How that of a row begins that is a step of an environment whose state is not in the log."""
OPENING_K: Final = MAX_K - 2
"""Number of the row in which an environment of its own opens an episode."""
STEP_K: Final = MAX_K - 1
"""Number of the rows of its steps."""
OF_FAILURE: Final = (*("unknown_tool: ", "bad_arguments: ", "timeout: ", "error: ", "refused: ", "lost: ", "limit: "),)
"""How what an agent is told of a call begins that failed."""
FAILURE_MAX: Final = 220
"""Length to which a failure is cut with its kind (characters)."""


def is_model(model: str) -> bool:
    """Return whether the ``model`` of a row is a model that was asked, or was about to be."""
    return not model.startswith((TOOL, ENVIRONMENT))


def told_of(reply: str | None, failure: str | None) -> str:
    """Return what an agent is told of a call, which is what its event holds.

    A result that begins like a failure says first that it is none.
    """
    if failure is not None:
        return failure[:FAILURE_MAX]
    text = reply or ""
    return f"result: {text}" if text.startswith(OF_FAILURE) else text
