"""This module holds the filters of prompt templates, each bounded in what it takes and what it makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final

MADE_MAX: Final = 4_000_000
"""Longest text that a template may make (characters)."""
WORK_MAX: Final = 10 * MADE_MAX
"""Texts that the filters of one rendering may make in between, all together (characters)."""
INDENT_MAX: Final = 16
TESTS: Final = ("defined", "even", "odd")


class BadTemplateError(Exception):
    """What is wrong with a template, and where in it."""

    def __init__(self, what: str, line: int = 1, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.line, self.hint = what, line, hint


def joined(values: Any, between: str = "") -> str:
    """Return texts as one, bounded before it is made; the filter ``join``."""
    if not isinstance(values, list | tuple):
        raise BadTemplateError("join takes a list")
    bounded(sum(map(len, values)) + len(between) * len(values))
    return between.join(values)


def _indent(text: str, width: int = 4) -> str:
    if width not in range(INDENT_MAX + 1):
        raise BadTemplateError(f"indent takes 0 to {INDENT_MAX} spaces")
    bounded(len(text) + width * text.count("\n"))
    return text.replace("\n", "\n" + " " * width)


def _first(values: Sequence[str]) -> str:
    return values[0] if values else ""


def _last(values: Sequence[str]) -> str:
    return values[-1] if values else ""


def is_odd(value: object) -> bool:
    """Return whether a number is odd; the test ``odd``."""
    if not isinstance(value, int):  # of a text, Python's % makes another one, as long as the text says
        raise BadTemplateError("even and odd are said of numbers")
    return value % 2 == 1


class Work(threading.local):
    """What the filters of the rendering under way have made (characters); a rendering stays in its thread."""

    chars = 0


WORK: Final = Work()


def _counted(make: Callable[..., str]) -> Callable[..., str]:
    """Return a filter of texts that bounds what many of them make together, of which little may be in the end."""

    @wraps(make)
    def made(*args: Any, **kwargs: Any) -> str:
        text = make(*args, **kwargs)
        WORK.chars += len(text)
        if WORK.chars > WORK_MAX:
            raise BadTemplateError(f"its filters make more than {WORK_MAX:,} characters")
        return text

    return made


def _of_text(name: str, change: Callable[[str], str]) -> Callable[..., str]:
    """Return a filter of a text or a number; a list as a text doubles its backslashes at every turn."""

    def made(value: object) -> str:
        if isinstance(value, list | tuple):
            raise BadTemplateError(f"{name} takes a text, not a list: use join first")
        return change(str(value))

    return _counted(made)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "capitalize": _of_text("capitalize", str.capitalize),
    "first": _first,
    "indent": _counted(_indent),
    "join": _counted(joined),
    "last": _last,
    "length": len,
    "lower": _of_text("lower", str.lower),
    "trim": _of_text("trim", str.strip),
    "upper": _of_text("upper", str.upper),
}


def said_as_it_is(value: Any) -> Any:
    """Return a value that is put into the text as it is; a list is bounded before it becomes one."""
    if isinstance(value, list | tuple):
        bounded(_size(value))
    return value


def _size(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str) else 1


def bounded(size: int) -> None:
    """Raise `BadTemplateError` for a text of so many characters, if it is too long."""
    if size > MADE_MAX:
        raise BadTemplateError(f"it makes more than {MADE_MAX:,} characters")
