"""This module takes values out of JSON that a stranger may have written, and refuses those of another kind by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agentsoc.errors import InputError

TEXT_MAX: Final = 20_000
"""Longest text that is taken (characters)."""
LISTED_MAX: Final = 10_000
"""Most entries of one list that are taken."""


class Span(msgspec.Struct, frozen=True):
    """A number with the ends of its interval; None where it is not finite."""

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""


def span(data: Any, where: str) -> Span | None:
    """Return an interval as `Interval.as_dict` writes it; None for none."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise _other(where, "an interval", data)
    value, low, high = (number(data.get(name), f"{where}.{name}") for name in ("value", "low", "high"))
    return Span(value, low, high, text(data.get("method", ""), where))


def number(data: Any, where: str) -> float | None:
    """Return a finite number; None for none, and for what is not finite."""
    if data is None:
        return None
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise _other(where, "a number", data)
    try:
        found = float(data)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(data: Any, where: str) -> int:
    """Return a whole number."""
    if isinstance(data, bool) or not isinstance(data, int):
        raise _other(where, "a whole number", data)
    return data


def text(data: Any, where: str) -> str:
    """Return a text, cut to `TEXT_MAX`."""
    if not isinstance(data, str):
        raise _other(where, "a text", data)
    return data[:TEXT_MAX]


def table(data: Any, where: str) -> Mapping[str, Any]:
    """Return a mapping with texts as keys; an empty one for none."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise _other(where, "an object", data)
    return data


def listed(data: Any, where: str) -> list[Any]:
    """Return a list, cut to `LISTED_MAX`; an empty one for none."""
    if data is None:
        return []
    if not isinstance(data, list | tuple):
        raise _other(where, "a list", data)
    return list(data[:LISTED_MAX])


def numbers(data: Any, where: str) -> list[float | None]:
    """Return a list of finite numbers, with None for the others."""
    return [number(one, where) for one in listed(data, where)]


def texts(data: Any, where: str) -> list[str]:
    """Return a list of texts."""
    return [text(one, where) for one in listed(data, where)]


def _other(where: str, wanted: str, data: Any) -> InputError:
    return InputError(f"{where} is {type(data).__name__}, not {wanted}", "", "write the file again with this version")
