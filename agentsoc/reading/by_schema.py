"""This module says what is wrong with a JSON value by a JSON Schema, without ever looking anything up elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_FAULT_MAX: Final = 160
"""Length of the words of a fault (characters)."""


_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples", "$comment"})
"""Words of a schema that no value can break."""
_OF_NUMBER: Final = _SAYS_NOTHING | {"type", "minimum", "maximum"}
_OF_TEXT: Final = _SAYS_NOTHING | {"type", "minLength", "maxLength"}
_OF_OBJECT: Final = _SAYS_NOTHING | {"type", "properties", "required", "additionalProperties"}


def canonical(value: Any) -> str:
    """Return a JSON value as text, the same for equal values: keys sorted, no spaces, no escapes of letters.

    Raises:
        ValueError: it is no JSON value, or holds a number that JSON has no word for.
    """
    try:
        text = str(value) if type(value) is int else _encode(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this is no JSON value: {error}") from None
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def schema_fault(schema: Mapping[str, Any]) -> str | None:
    """Return why a mapping is no JSON Schema that can be used; None for one that is."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return _said(error.message)
    except Exception as error:  # a reference that leads nowhere, a depth that nobody reads
        return _said(f"{type(error).__name__}: {error}")
    return None


def value_fault(schema: Mapping[str, Any], value: Any) -> str | None:
    """Return the first thing that is wrong with a value by a schema, with its place; None when it fits.

    It takes bounded time, whoever wrote the schema: see `agentsoc.reading.bounded_schema`.
    """
    if _fits_plainly(schema, value):
        return None
    from agentsoc.reading.bounded_schema import TooMuchError, counted

    try:
        with counted():
            error = next(iter(_validator(canonical(schema)).iter_errors(value)), None)
    except TooMuchError:
        return "it cannot be checked: the schema takes too many steps"
    except Exception as error:  # a reference that leads nowhere, a value that is too deep
        return _said(f"it cannot be checked: {type(error).__name__}")
    if error is None:
        return None
    place = "/".join(map(str, error.absolute_path))
    return _said(f"{place}: {error.message}" if place else error.message)


def _fits_plainly(schema: Any, value: Any, deep: bool = True) -> bool:
    """Return whether a value fits a schema of a few plain words; False also where only a validator can tell.

    Most actions and arguments do; a validator takes twenty times as long to find it out.
    """
    if type(schema) is not dict:
        return False
    kind, words = schema.get("type"), schema.keys()
    if kind == "integer" and type(value) is int and words <= _OF_NUMBER:
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        return type(low) in (int, float) and type(high) in (int, float) and low <= value <= high
    if kind == "string" and type(value) is str and words <= _OF_TEXT:
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(value))
        return type(least) is int and type(most) is int and least <= len(value) <= most
    if kind == "object" and type(value) is dict and deep and words <= _OF_OBJECT:
        inner, needed = schema.get("properties", {}), schema.get("required", [])
        if type(inner) is not dict or type(needed) is not list or not all(name in value for name in needed):
            return False
        return all(name in inner and _fits_plainly(inner[name], each, False) for name, each in value.items())
    return False


def _said(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _FAULT_MAX else flat[: _FAULT_MAX - 1] + "…"


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator:
    from referencing import Registry

    from agentsoc.reading.bounded_schema import bounded_validator

    registry: Registry[Any] = Registry()  # an empty one: a reference to an address is not followed
    return bounded_validator()(json.loads(schema), registry=registry)
