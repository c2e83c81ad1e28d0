"""Rows of the journal that are no attempts at a model: calls of tools and steps of environments of their own."""

from __future__ import annotations

from typing import Final

TOOL: Final = "tool:"
"""How the ``model`` of a row begins that is a call of a tool."""
ENVIRONMENT: Final = "env:"
"""How that of a row begins that is a step of an environment whose state is not in the log."""


def is_model(model: str) -> bool:
    """Return whether the ``model`` of a row is a model that was asked, or was about to be."""
    return not model.startswith((TOOL, ENVIRONMENT))
