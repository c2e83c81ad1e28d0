"""This module reads an unquoted YAML word by the core of YAML 1.2 and refuses it wherever YAML readers disagree.

To a YAML 1.1 reader ``no`` is false, ``012`` is ten and ``12:30:00`` is 45000; to a YAML 1.2 reader they are a text,
twelve and a text. A scenario must mean the same to everybody, so such words are refused with what to write instead.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

Scalar = str | int | float | bool | None


class Plain(NamedTuple):
    """The value of a plain word; when it is refused, a likely value and why."""

    value: Scalar
    what: str = ""
    hint: str = ""


_WORDS: dict[str, bool | None] = {"": None, "~": None}
for _word, _value in (("null", None), ("true", True), ("false", False)):
    _WORDS.update(dict.fromkeys((_word, _word.capitalize(), _word.upper()), _value))
_SWITCHES = {
    form: word in ("yes", "on")
    for word in ("yes", "no", "on", "off")
    for form in (word, word.capitalize(), word.upper())
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASED = re.compile(r"[-+]?0(o[0-7_]+|x[0-9a-fA-F_]+|b[01_]+)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_UNDERSCORED = re.compile(r"[-+]?(?=.*_)\.?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 40


def read_plain(text: str) -> Plain:
    """Return what an unquoted `text` means."""
    if text in _WORDS:
        return Plain(_WORDS[text])
    if text in _SWITCHES:
        guess = _SWITCHES[text]
        return Plain(
            guess,
            f"{text} is true or false to some YAML readers and a text to others",
            f'write {str(guess).lower()}, or "{text}" in quotes if it is a text',
        )
    if not text[0].isdigit() and text[0] not in "+-.":
        return Plain(text)
    return _read_number(text)


def _read_number(text: str) -> Plain:
    shown = text if len(text) <= _MAX_DIGITS else text[:20] + "..."
    quoted = f'"{shown}" in quotes if it is a text'
    is_number = bool(_INT.fullmatch(text) or _FLOAT.fullmatch(text))
    if len(text) > _MAX_DIGITS:
        if is_number:
            return Plain(0, f"the number {shown} has {len(text)} characters", f"write a shorter number, or {quoted}")
        return Plain(text)
    if is_number:
        if _LEADING_ZERO.fullmatch(text):
            return Plain(
                int(text), f"{text} is octal to some YAML readers and not to others", f"write {int(text)}, or {quoted}"
            )
        if _INT.fullmatch(text):
            return Plain(int(text))
        number = float(text)
        if not math.isfinite(number):
            return Plain(0.0, f"the number {text} is too large", f"write a smaller number, or {quoted}")
        return Plain(number)
    if _NOT_FINITE.fullmatch(text):
        return Plain(0.0, f"{text} is not a finite number", f"write a finite number, or {quoted}")
    if _BASED.fullmatch(text):
        digits = text.replace("_", "")
        decimal = int(digits, 0) if len(digits.lstrip("+-")) > 2 else 0  # 0b_ is zero to some readers
        what = f"{text} is a number to some YAML readers and a text to others"
        return Plain(decimal, what, f"write {decimal}, or {quoted}")
    if _UNDERSCORED.fullmatch(text):
        return Plain(
            0,
            f"{text} is a number to some YAML readers and a text to others",
            f"write {text.replace('_', '')}, or {quoted}",
        )
    if _SEXAGESIMAL.fullmatch(text):
        return Plain(text, f"{shown} is a number in base 60 to some YAML readers", f'write "{shown}" in quotes')
    if _DATE.fullmatch(text):
        return Plain(text, f"{shown} is a date to some YAML readers and a text to others", f'write "{shown}" in quotes')
    return Plain(text)
