"""This module tells the author of a scenario what a validation error means: where, in plain words, and the cure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from agentsoc.contracts.part import MAX_PROBLEMS, nearest
from agentsoc.errors import Problem
from agentsoc.scenario.draft import Draft
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import Path, dotted

_WANTED: Final = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_unicode": "a text without broken surrogate characters",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing (null)",
}
_BOUND: Final = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_SIZE: Final = {
    "too_short": ("min_length", "at least", "items"),
    "too_long": ("max_length", "at most", "items"),
    "string_too_short": ("min_length", "at least", "characters"),
    "string_too_long": ("max_length", "at most", "characters"),
}


def show(value: Any) -> str:
    """Return a value as a message shows it: short, and safe to print."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{printable(value, 40)}"'
    if isinstance(value, int | float):
        return printable(str(value), 44)
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"


def problems_of(error: ValidationError, draft: Draft) -> list[Problem]:
    """Return the faults of a draft, one per place and cause."""
    faults = [(fault, draft.path(fault["loc"])) for fault in error.errors(include_url=False)[:MAX_PROBLEMS]]
    problems: list[Problem] = []
    unions: set[Path] = set()
    for fault, path in faults:
        loc = fault["loc"]
        within = [f for f, _ in faults if f is not fault and f["loc"][: len(loc)] == loc and len(f["loc"]) > len(loc)]
        # Pydantic counts only the items that passed: a list of one bad item is "too short" besides.
        if fault["type"] == "too_short" and within:
            continue
        if _is_alternative(fault, path):
            if path in unions or within:  # said already, or the fault lies inside one of the alternatives
                continue
            unions.add(path)
            members = [f for f, p in faults if p == path and _is_alternative(f, p)]
            problems.append(_wrong_type(fault, path, " or ".join(dict.fromkeys(map(_demand, members))), draft))
        elif fault["type"] in _WANTED:
            problems.append(_wrong_type(fault, path, _WANTED[fault["type"]], draft))
        else:
            problems.append(_problem(fault, path, draft))
    return problems


def _is_alternative(fault: Any, path: Path) -> bool:
    """Tell whether a fault is what one member of a union says: its location ends with the member's name."""
    kind, loc = fault["type"], fault["loc"]
    demands = kind in _WANTED or kind in _BOUND or kind == "literal_error"
    return bool(demands and loc != () and loc[-1:] != path[-1:])


def _demand(fault: Any) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in _BOUND:
        return f"{_BOUND[kind][1]} {context.get(_BOUND[kind][0])}"
    if kind == "literal_error":
        return str(context.get("expected", "")).replace("'", "")
    return str(context.get("message", fault["msg"]))


def _wrong_type(fault: Any, path: Path, wanted: str, draft: Draft) -> Problem:
    value, number = fault["input"], wanted.split(" or ")[0] in ("a whole number", "a number", "a finite number")
    written = show(value)
    if isinstance(value, float):
        written = draft.written(path) or written
    hint = f"write {wanted}"
    if number and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value):
        hint = f"write {value} without quotation marks"
    elif number and isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        hint = f"write {int(value)}"
    elif wanted == "a text" and isinstance(value, int | float):
        hint = f'put it in quotation marks: "{printable(str(value), 40)}"'
    elif wanted == "a list" and value is not None:
        hint = "write [ ] around it, or one item a line with a dash before each"
    elif wanted == "a mapping":
        keys = fault.get("ctx", {}).get("known", ())
        hint = "write key: value pairs below it" + (f"; keys: {', '.join(keys)}" if keys and len(path) == 0 else "")
    elif value is None:
        hint += ", or delete the key to have the default"
    return Problem(draft.place(path), f"{_name(path)} must be {wanted}, found {written}", _with_about(hint, fault))


def _problem(fault: Any, path: Path, draft: Draft) -> Problem:
    kind, loc, context = fault["type"], fault["loc"], fault.get("ctx", {})
    place, name, found = draft.place(path), _name(path), show(fault["input"])
    message = str(context.get("message", fault["msg"]))
    if kind == "missing":
        return _missing(fault, path, draft)
    if kind == "extra_forbidden":
        owner = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
        known = [key for key in context.get("known", ()) if key != "kind"]
        known += ["models", "preset", "sweep"] * (len(path) == 1 and "topology" in known)
        hint = _nearest_and_known(loc[-1], known) if known else "delete it: nothing can be set here"
        return Problem(draft.place(path, of_key=True), f'there is no key "{printable(str(loc[-1]), 60)}"{owner}', hint)
    if kind == "unknown_kind":
        what = f"{name}: there is no {context.get('noun')} of kind {found.removeprefix('the text ')}"
        return Problem(place, what, _nearest_and_known(fault["input"], context.get("known", ())))
    if kind == "literal_error":
        allowed = re.findall(r"'((?:[^'\\]|\\.)*)'", str(context.get("expected", "")))
        hint = f"write one of: {', '.join(allowed)}" if allowed else f"write {context.get('expected', '')}"
        near = nearest(fault["input"], allowed)
        what = f"{name} is {found}, which is not one of its values"
        return Problem(place, what, f"{near} {hint}" if near.startswith("did") else hint)
    if kind in _BOUND:
        key, words = _BOUND[kind]
        bound = context.get(key)
        hint = f"write {words} {bound}" if words.startswith("a ") else f"write a number that is {words} {bound}"
        return Problem(place, f"{name} must be {words} {bound}, found {found}", _with_about(hint, fault))
    if kind in _SIZE:
        key, words, unit = _SIZE[kind]
        size = len(fault["input"]) if hasattr(fault["input"], "__len__") else context.get("actual_length")
        bound = context.get(key)
        unit = unit[:-1] if bound == 1 else unit
        hint = f"write {words} {bound} {unit}"
        return Problem(place, f"{name} must have {words} {bound} {unit}, found {size}", _with_about(hint, fault))
    if kind == "string_pattern_mismatch":
        about = _about(fault) or f"it must match {context.get('pattern', '')}"
        return Problem(place, f"{name} cannot be {found}", about)
    hint = str(context.get("hint") or "") or _with_about(f"correct {name}", fault)
    return Problem(place, f"{name}: {printable(message, 300)}", printable(hint, 300))


def _missing(fault: Any, path: Path, draft: Draft) -> Problem:
    key = str(fault["loc"][-1])
    context = fault.get("ctx", {})
    kinds: Sequence[str] = context.get("slots", ())
    about = _about(fault)
    hint = f"add {key}:"
    if kinds:
        hint += f" one of {', '.join(kinds[:24])}"
    elif about:
        hint += f" ({about})"
    inside = f" in {dotted(path)}" if path else ""
    if key == "model" and path[:1] == ("agents",):
        hint = f"add model: NAME (a kind: {', '.join(kinds[:24])}; provider/model; or a name under models)"
        return Problem(draft.place(path), f"the group {dotted(path)} has no model", hint)
    return Problem(draft.place(path), f"the key {key} is missing{inside}", hint)


def _nearest_and_known(word: Any, known: Sequence[str]) -> str:
    hint = nearest(word, known)
    return hint if hint.startswith("known") else f"{hint} known: {', '.join(known[:24])}"


def _name(path: Path) -> str:
    return dotted(path) if path else "a scenario"


def _about(fault: Any) -> str:
    """Return the first sentence of what the field is."""
    about = " ".join(str(fault.get("ctx", {}).get("about", "")).split())
    first = re.split(r"(?<=[.:]) (?=[A-Z])|; ", about)[0].rstrip(".")
    return first if len(first) <= 160 else first[:157] + "..."


def _with_about(hint: str, fault: Any) -> str:
    about = _about(fault)
    return f"{hint} ({about})" if about else hint
