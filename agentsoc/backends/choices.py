"""This module says which texts the choices of a request allow, where some may begin with any number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from agentsoc.contracts.model import ANY_NUMBER

NUMBER: Final = r"-?[0-9]{1,18}(\.[0-9]{1,12})?(/[0-9]{1,12})?"
"""A regular expression of the numbers that a choice allows: whole, decimal or a fraction, without groups of digits."""


def pattern(choices: Sequence[str]) -> str:
    """Return a regular expression, in the syntax of JSON Schema too, of all that the choices allow."""
    ends = "|".join(
        NUMBER + _escaped(choice.removeprefix(ANY_NUMBER)) if choice.startswith(ANY_NUMBER) else _escaped(choice)
        for choice in choices
    )
    return f"^({ends})$"


def allows(choices: Sequence[str], text: str) -> bool:
    """Return whether a text is one of the choices."""
    return text in choices or (leaves_number_open(choices) and _compiled(tuple(choices)).fullmatch(text) is not None)


def leaves_number_open(choices: Sequence[str]) -> bool:
    """Return whether one of the choices begins with any number."""
    return any(choice.startswith(ANY_NUMBER) for choice in choices)


@lru_cache(maxsize=256)
def _compiled(choices: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(pattern(choices))


def _escaped(text: str) -> str:
    """Escape only what has a meaning in every dialect: JSON Schema's knows no escaped space or hash mark."""
    return re.sub(r"([.^$*+?()\[\]{}|\\/])", r"\\\1", text)
