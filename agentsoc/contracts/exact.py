"""This module makes the schema of every `Part` strict about numbers and lax about containers."""

from __future__ import annotations

from typing import Any

_SCALARS = {"int", "float", "bool"}
_SEQUENCES = {"list", "tuple", "set", "frozenset"}
_NOT_INPUT = {"metadata", "default", "config", "serialization", "cls", "expected"}


def make_exact(schema: Any) -> bool:
    """Make numbers and truth values strict throughout a core schema; return whether it holds a model or a function.

    Pydantic's own strict mode would also refuse a list where a tuple is wanted. A sequence of plain values stops at its
    first fault: a graph of 100,000 bad edges would otherwise take hundreds of megabytes to describe.
    """
    if isinstance(schema, list | tuple):
        return max(map(make_exact, schema), default=False)  # not any(): every branch must be visited
    if not isinstance(schema, dict):
        return False
    kind = str(schema.get("type", ""))
    rich = make_exact([value for key, value in schema.items() if key not in _NOT_INPUT])
    if kind in _SCALARS:
        schema.setdefault("strict", True)
    elif kind in _SEQUENCES and not rich:
        schema.setdefault("fail_fast", True)
    return rich or kind.startswith(("model", "function", "definition", "dataclass", "typed-dict"))
