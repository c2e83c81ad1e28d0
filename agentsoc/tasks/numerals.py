"""This module finds numbers as rules 1 read them and as scores do; new runs read replies by `reading/numbers.py`.

Exactly, and without limit of size or precision. The rule everywhere: the last number of the text is the answer, because
models put the result at the end. If that number is not of the wanted sort (an integer, say), the text states no answer:
to look further back would be to guess.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction
from typing import Final

from agentsoc.contracts.task import plain

DIGITS_MAX: Final = 400
"""Digits, and size of a power of ten, beyond which a number counts as unreadable; Python refuses 4,300."""

_MINUS = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2012": "-"})
# A sign belongs to a number unless something that it could be subtracted from stands before it.
_NUMBER = re.compile(
    r"(?:(?<![\w)\].])[-+])?"
    r"(?:(?<!\w)(?<!\d\.)\d{1,3}(?:,\d{3})+(?!\d)|(?<!\w)(?<!\d\.)\d+|(?<![\w.])(?=\.\d))"
    r"(?:\.\d+)?(?:[eE][-+]?\d{1,9}(?![\w.]))?",
    re.ASCII,
)


def numbers(text: str) -> list[Decimal | None]:
    """Return the numbers in `text`, in order; None stands for one that is too long to read.

    ``1,234`` is one number, ``1,2,3`` are three; ``3-5`` is 3 and 5, ``= -5`` is minus five. Total: no text raises.
    """
    return [
        _value(match.group())
        for match in _NUMBER.finditer(unicodedata.normalize("NFKC", plain(text)).translate(_MINUS))
    ]


def last_number(text: str) -> Decimal | None:
    """Return the last number in `text`, or None when there is none that can be read."""
    found = numbers(text)
    return found[-1] if found else None


def last_integer(text: str) -> int | None:
    """Return the last number in `text` if it is an integer (``12.0`` is one), else None."""
    value = last_number(text)
    return None if value is None else _whole(value)


def integers(text: str) -> list[int]:
    """Return those numbers in `text` that are integers, in order."""
    whole = [_whole(value) for value in numbers(text) if value is not None]
    return [x for x in whole if x is not None]


def canonical(value: Decimal) -> str:
    """Return the one way to write `value`: no exponent, no superfluous zeros, no minus zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _whole(value: Decimal) -> int | None:
    exact = Fraction(value)  # Decimal's own arithmetic would round to the precision of its context
    return exact.numerator if exact.denominator == 1 else None


def _value(token: str) -> Decimal | None:
    token = token.replace(",", "")
    if len(token) > DIGITS_MAX:
        return None
    value = Decimal(token)
    return value if abs(value.adjusted()) <= DIGITS_MAX else None
