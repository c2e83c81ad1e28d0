"""This module rewrites the ways in which people and LaTeX write numbers into one plain way, for `numbers` to read."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

GROUP: Final = "\x1e"
"""Stands between groups of three digits that were kept apart by something that is no plain space."""
SYMBOL: Final = "§"
"""Stands for a command of LaTeX that is part of an expression and no number, such as a root."""

_VULGAR: Final = re.compile("[¼-¾⅐-⅞]")
_AMOUNT: Final = re.compile(r"([$€£¥]\s?-?[0-9][0-9.,]{0,40})\s?[kKmMbBtT](?![A-Za-z$])")
"""An amount of money in thousands or more; without a currency the letter is a unit."""
_REPEATING: Final = re.compile(r"([0-9]\.[0-9]{0,40})\([0-9]{1,20}\)")
_SUPER: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_SUBSCRIPT: Final = re.compile("[₀-₉]+")
_FROM_SUPER: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_APART: Final = re.compile(r"(?<=[0-9])(?:\{,\}|\\[,;:! ]|~|['’_٬\u00a0\u2007\u2008\u2009\u202f])(?=[0-9]{3}(?![0-9]))")
_SIGNS: Final = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u2012": "-", "\u2011": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/",
    "\u2044": "/",
    "٫": ".", "≃": "≈", "∼": "≈", "⇒": "→", "‰": "%",
})  # fmt: skip
_FRACTION: Final = re.compile(
    r"\\[dtc]?frac\s*(?:\{\s*(-?[0-9][0-9.,\x1e]*)\s*\}|([0-9]))\s*(?:\{\s*([0-9][0-9.,\x1e]*)\s*\}|([0-9]))"
)
_POWER: Final = re.compile(r"\^\s*[{(]\s*([-+]?[0-9]{1,4})\s*[})]")
_COMMANDS: Final = {
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "approx": "≈", "sim": "≈", "simeq": "≈", "leq": "≤", "le": "≤",
    "lt": "<",
    "geq": "≥", "ge": "≥", "gt": ">", "neq": "≠", "ne": "≠", "to": "→", "rightarrow": "→", "Rightarrow": "→",
    "implies": "→",
    "left": "", "right": "", "displaystyle": "", "quad": " ", "qquad": " ", "pm": "±", "circ": "°", "degree": "°",
    "therefore": " so ",
}  # fmt: skip
_COMMAND: Final = re.compile(r"\\([A-Za-z]+)")
_ESCAPED: Final = re.compile(r"\\([%$#&_,;:! ])")
_DEGREES: Final = re.compile(r"\^\s*°|\^\s*\{\s*°\s*\}")
_MATH: Final = re.compile(r"\\[()\[\]]|[{}$]")


def plain_numbers(text: str) -> str:
    """Return `text` with its numbers written plainly: ASCII digits, ``a/b``, ``a^n``, `GROUP` between groups.

    >>> plain_numbers("2½ and 10²")
    '2 1/2 and 10^2'
    """
    text = _VULGAR.sub(lambda sign: " " + unicodedata.normalize("NFKC", sign[0]), text)
    text = _SUPER.sub(lambda digits: "^" + digits[0].translate(_FROM_SUPER), text)
    text = _SUBSCRIPT.sub(SYMBOL, text)
    text = "".join([_ascii(letter) for letter in text]) if not text.isascii() else text
    text = _APART.sub(GROUP, text)
    text = unicodedata.normalize("NFKC", text) if not text.isascii() else text
    text = text.translate(_SIGNS).replace("**", "^")
    text = _REPEATING.sub(rf"\1{SYMBOL}", _AMOUNT.sub(rf"\1{SYMBOL}", text))
    if "\\" in text or "{" in text:
        text = _FRACTION.sub(_over, text)
        text = _ESCAPED.sub(lambda sign: sign[1] if sign[1] in "%#&_" else " ", text)
        text = _COMMAND.sub(lambda name: _COMMANDS.get(name[1], SYMBOL), text)
        text = _DEGREES.sub("°", _POWER.sub(r"^\1", text))
    return _MATH.sub(" ", _POWER.sub(r"^\1", text))


def _over(part: re.Match[str]) -> str:
    """Return a fraction of LaTeX as a/b; after a digit it is the rest of a mixed number."""
    mixed = " " if part.string[part.start() - 1 : part.start()].isdigit() else ""
    return f"{mixed}{part[1] or part[2]}/{part[3] or part[4]} "


def _ascii(letter: str) -> str:
    """Return a decimal digit of any script as an ASCII digit, anything else as it is."""
    if letter.isascii() or not letter.isdecimal():
        return letter
    return str(unicodedata.decimal(letter))
