"""This module says which texts the choices of a request allow, where some may begin with any number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from agentsoc.contracts.model import ANY_NUMBER, ANY_WHOLE

NUMBER: Final = r"-?[0-9]{1,18}(\.[0-9]{1,12})?(/[0-9]{1,12})?"
"""A regular expression of the numbers that a choice allows: whole, decimal or a fraction, without groups of digits."""
WHOLE: Final = r"-?[0-9]{1,18}"
"""The same of the whole numbers that a choice allows."""
OPEN: Final = {ANY_NUMBER: NUMBER, ANY_WHOLE: WHOLE}
"""What a choice may begin with that leaves a number open, and which numbers it allows."""


def pattern(choices: Sequence[str]) -> str:
    """Return a regular expression, in the syntax of JSON Schema too, of all that the choices allow."""
    allowed = []
    for choice in choices:
        number, end = parted(choice)
        allowed.append(OPEN.get(number, "") + _escaped(end))
    return f"^({'|'.join(allowed)})$"


def parted(choice: str) -> tuple[str, str]:
    """Return what of a choice leaves a number open, empty where nothing does, and the rest of it."""
    number = next((each for each in OPEN if choice.startswith(each)), "")
    return number, choice.removeprefix(number)


def allows(choices: Sequence[str], text: str) -> bool:
    """Return whether a text is one of the choices."""
    if leaves_number_open(choices):
        return _compiled(tuple(choices)).fullmatch(text) is not None
    return text in choices


def leaves_number_open(choices: Sequence[str]) -> bool:
    """Return whether one of the choices begins with any number."""
    return any(choice.startswith(tuple(OPEN)) for choice in choices)


@lru_cache(maxsize=256)
def _compiled(choices: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(pattern(choices))


def _escaped(text: str) -> str:
    """Escape only what has a meaning in every dialect: JSON Schema's knows no escaped space or hash mark."""
    return re.sub(r"([.^$*+?()\[\]{}|\\/])", r"\\\1", text)
