"""This module says, before an analysis starts, which packages it needs that are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from agentsoc.errors import MissingExtraError


def require(*packages: str, extra: str = "analysis") -> None:
    """Raise `MissingExtraError` unless the packages are installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError("this analysis", package, extra)
