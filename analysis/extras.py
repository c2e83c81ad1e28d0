"""What an analysis needs installed, said before it starts."""

from __future__ import annotations

from importlib.util import find_spec

from agentsoc.errors import MissingExtraError


def require(*packages: str, extra: str = "analysis") -> None:
    """Raise `MissingExtraError` unless the packages are installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError("this analysis", package, extra)
