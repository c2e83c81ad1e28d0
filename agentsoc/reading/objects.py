"""This module finds the JSON object that a reply states, also when it is damaged in a usual way or cut at its end.

The last complete object with one of the wanted keys counts, as models correct themselves and show the form first. What
is no JSON but cannot be misread is read: line ends and lone backslashes in strings, commas before a closing bracket,
single quotes, the constants of Python. Of an object that is cut off the fields that are closed count.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from agentsoc.reading.text import without_reasoning

OBJECT_MAX: Final = 64_000
"""Characters, counted from the end, in which an object is looked for when the reply is not one object as a whole."""
DEPTH_MAX: Final = 64
CANDIDATES: Final = 16
"""Objects of a reply that are looked at, counted from the last one."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}]', re.DOTALL)
_SPACE: Final = re.compile(r"[\s\u00a0\ufeff]*")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"'\\/bfnrt])|)", re.DOTALL)
_BARE: Final = re.compile(r"[-+0-9.eEA-Za-z_]{1,400}")
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS: Final = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


class _DamagedError(Exception):
    """The text is no object that can be read."""


def find_object(text: str, wanted: Collection[str]) -> dict[str, Any] | None:
    """Return the last object of `text` that has one of the `wanted` keys; None when there is none that can be read.

    Total, and linear in the length: a text that is one object is decoded as a whole, of any other only the last
    `OBJECT_MAX` characters are looked at.
    """
    said = without_reasoning(text).strip()
    whole = _strict(said)
    if whole is not None:
        return whole
    end = said[-OBJECT_MAX:]
    spans, open_from = _spans(end)
    bodies = [end[begin:stop] for begin, stop in spans[-CANDIDATES:]]
    ways = [(end[open_from:], True)] if open_from is not None else []
    ways += [(body, False) for body in reversed(bodies)] + [(body, True) for body in bodies[-1:]]
    for body, cut in ways:
        found = _strict(body)
        if found is None:
            found = _lenient(body, cut=cut)
        if found is not None and any(key in found for key in wanted):
            return found
    return None


def _strict(text: str) -> dict[str, Any] | None:
    """Return the object that a text is as it should be written."""
    try:
        value = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _spans(text: str) -> tuple[list[tuple[int, int]], int | None]:
    """Return where the outermost objects of a text stand, and where one begins that never ends.

    Strings hide their braces where their quotes are sound; a reply whose quotes are not is split by its braces alone.
    """
    for tokens in (_TOKEN.finditer(text), re.finditer(r"[{}]", text)):
        spans: list[tuple[int, int]] = []
        depth = begin = 0
        for token in tokens:
            if token[0] == "{":
                begin = token.start() if not depth else begin
                depth += 1
            elif token[0] == "}" and depth:
                depth -= 1
                if not depth:
                    spans.append((begin, token.end()))
        if spans or depth:
            return spans, begin if depth else None
    return [], None


def _lenient(text: str, *, cut: bool) -> dict[str, Any] | None:
    """Return the object at the start of a text, read with patience; of one that is `cut` what is closed."""
    try:
        value = _Reader(text, cut).value(0)
    except (_DamagedError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class _Reader:
    """A reader goes through an object once, from left to right."""

    def __init__(self, text: str, cut: bool) -> None:
        self._text, self._cut, self._place = text, cut, 0

    def value(self, depth: int) -> Any:
        mark = self._next()
        if depth > DEPTH_MAX:
            raise _DamagedError
        if mark == "{":
            return self._object(depth)
        if mark == "[":
            return self._list(depth)
        if mark in ('"', "'", "“"):
            return self._string()
        return self._bare()

    def _next(self) -> str:
        """Return the next mark that is no space; empty at the end."""
        found = _SPACE.match(self._text, self._place)
        self._place = found.end() if found else self._place
        return self._text[self._place : self._place + 1]

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._place += 1
        while True:
            mark = self._next()
            if mark == "}":
                self._place += 1
                return found
            try:
                if mark not in ('"', "'", "“"):
                    raise _DamagedError
                key = self._string()
                if self._next() not in (":", "："):
                    raise _DamagedError
                self._place += 1
                value = self.value(depth + 1)
                mark = self._next()
                if mark not in (",", "}") and not (mark == "" and self._cut):
                    raise _DamagedError
            except _DamagedError:
                if self._cut and not depth:
                    return found  # the fields before the one that is cut off or cannot be read
                raise
            found[key] = value
            self._place += mark == ","
            if not mark:
                return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._place += 1
        while True:
            mark = self._next()
            if mark == "]":
                self._place += 1
                return found
            found.append(self.value(depth + 1))
            mark = self._next()
            if mark not in (",", "]"):
                raise _DamagedError
            self._place += mark == ","

    def _string(self) -> str:
        """Return the string that begins here.

        In single or curly quotes it ends where what follows goes on with the object, as apostrophes are the same sign.
        """
        quote = {"“": "”"}.get(self._text[self._place], self._text[self._place])
        place = self._place + 1
        parts: list[str] = []
        ends = re.compile(rf"[\\{quote}]")
        while (found := ends.search(self._text, place)) is not None:
            parts.append(self._text[place : found.start()])
            if found[0] == "\\":
                place = self._escape(found.start(), parts)
                continue
            place = found.end()
            after = _SPACE.match(self._text, place)
            follows = self._text[after.end() : after.end() + 1] if after else ""
            if quote == '"' or follows in (",", "}", "]", ":", "：") or (follows == "" and self._cut):
                self._place = place
                return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            parts.append(found[0])
        raise _DamagedError

    def _escape(self, start: int, parts: list[str]) -> int:
        """Add the character that an escape stands for; a lone backslash stands for itself."""
        found = _ESCAPE.match(self._text, start)
        assert found is not None
        if found[1]:
            parts.append(chr(int(found[1], 16)))
        elif found[2]:
            parts.append(_ESCAPED.get(found[2], found[2]))
        else:
            parts.append("\\")
        return found.end()

    def _bare(self) -> Any:
        found = _BARE.match(self._text, self._place)
        if found is None or (self._cut and found.end() == len(self._text)):
            raise _DamagedError
        self._place = found.end()
        if found[0] in _CONSTANTS:
            return _CONSTANTS[found[0]]
        number = _NUMBER.fullmatch(found[0])
        if number is None:
            raise _DamagedError
        value = float(found[0]) if number[1] or number[2] else int(found[0])
        if value in (float("inf"), float("-inf")):
            raise _DamagedError
        return value
