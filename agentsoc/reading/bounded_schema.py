"""This module checks values by JSON Schemas of strangers in bounded time: steps are counted, patterns looked at first.

A pattern that may take long on some text (repetitions inside repetitions, choices that repeat, many repetitions on a
long text) is not checked at all: whoever offered the schema has to check it. That depends on the pattern and the length
of the text alone, so that the same value is judged alike on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any, Final

STEPS_MAX: Final = 50_000
"""Words of a schema that are looked at for one value (steps)."""
_PATTERN_STEPS: Final = 20_000_000
"""Steps that the search for a pattern may take at worst."""
_REPEATED_MAX: Final = 10_000

_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)
_REPEATS: Final = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_NEVER: Final = (_constants.GROUPREF, _constants.GROUPREF_EXISTS, _constants.ASSERT, _constants.ASSERT_NOT)


class TooMuchError(Exception):
    """A value cannot be checked within `STEPS_MAX` steps."""


@contextmanager
def counted() -> Iterator[None]:
    """Count the steps of the check that is made meanwhile."""
    token = _left.set([STEPS_MAX])
    try:
        yield
    finally:
        _left.reset(token)


@lru_cache(maxsize=1)
def bounded_validator() -> Any:
    """Return the class of validators whose checks take bounded time within `counted`."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {"pattern": _pattern, "patternProperties": _pattern_properties, "uniqueItems": _unique_items}
    words = {**Draft202012Validator.VALIDATORS, **own}
    return extend(Draft202012Validator, {word: _one_step(check) for word, check in words.items()})


def _one_step(check: Callable[..., Any]) -> Callable[..., Any]:
    def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Any:
        left = _left.get()
        if left is not None:
            left[0] -= 1
            if left[0] < 0:
                raise TooMuchError
        return check(validator, wanted, instance, schema)

    return checked


def _pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and _quick(wanted, len(instance)) and not re.search(wanted, instance):
        yield ValidationError(f"{instance!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in wanted.items():
        for key, value in instance.items():
            if _quick(pattern, len(key)) and re.search(pattern, key):
                yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not wanted or not isinstance(instance, list):
        return
    seen = {_comparable(item) for item in instance}
    if len(seen) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _comparable(value: Any) -> Any:
    """Return something that is equal for equal JSON values alone: 1 is 1.0, and no truth value."""
    if isinstance(value, dict):
        return ("object", frozenset((key, _comparable(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("list", tuple(_comparable(inner) for inner in value))
    return (isinstance(value, bool), value)


@lru_cache(maxsize=1024)
def _repeats(pattern: str) -> int | None:
    """Return how many repetitions and choices a pattern has; None for one that may take long on a short text."""
    try:
        return _counted(_parser.parse(pattern), inside=False)
    except (re.error, RecursionError, OverflowError):
        return None


def _quick(pattern: str, length: int) -> bool:
    """Return whether the search for a pattern in a text of this length ends soon, whatever the text."""
    repeats = _repeats(pattern)
    return repeats is not None and (length + len(pattern) + 1) ** (repeats + 1) <= _PATTERN_STEPS


def _counted(tree: Any, *, inside: bool) -> int | None:
    found = 0
    for word, given in tree:
        if word in _NEVER or (inside and (word is _constants.BRANCH or word in _REPEATS)):
            return None
        deeper, parts = inside, []
        if word in _REPEATS:
            least, most, inner = given
            if least > _REPEATED_MAX:
                return None
            parts, deeper = [inner], most > 1
            found += least != most
        elif word is _constants.BRANCH:
            parts = given[1]
            found += 1
        elif word is _constants.SUBPATTERN:
            parts = [given[-1]]
        elif word is _constants.ATOMIC_GROUP:
            parts = [given]
        for part in parts:
            count = _counted(part, inside=deeper)
            if count is None:
                return None
            found += count
    return found
