"""This module keeps the numbers that only count the items of a list apart from the numbers that a reply states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentsoc.reading.numbers import NUMBER
from agentsoc.reading.text import CUT, ending, lines, readable, without_reasoning

_MARK: Final = re.compile(
    r"^[ \t]*(?:[-*•>#]{1,6}[ \t]+)?(?P<mark>[*_]{0,3}\(?(?P<number>[0-9]{1,2})(?:[.)]|、)[*_]{0,3})"
    r"(?:[ \t]+(?=\S)|(?=[^\W\d_]))",
    re.MULTILINE,
)
"""A number with a point or bracket at the start of a line that goes on: "1. First", "- 3. x", "2)then", "1、首先"."""
_SENTENCE: Final = re.compile(
    r"\s*[*_]{0,3}[0-9]{1,2}\.[*_]{0,3}[ \t]+"
    r"(?![a-zà-ÿ]|(?:First|Second|Third|Next|Then|Now|Finally|Last|After|We|Let)\b)"
)
"""A number as a sentence of its own, with another sentence behind it that is no step of a calculation."""
_LEADS: Final = re.compile(r"\b(?:answer|option|choice|solution)s?\b[^\n]{0,40}[:：][\s*_]*$", re.IGNORECASE)
"""A line that announces what the next one says."""
_LEADS_MAX: Final = 200
"""Characters before a mark in which what announces it is looked for."""


def unmarked(text: str) -> str:
    """Return what is read of `text` (`ending`), with what counts its lists' items unreadable, for a reader of numbers.

    A mark is a number of up to two digits with a point or a bracket, at the start of a line on which something follows;
    alone on its line it is a number like any other. Where a reply begins with a number, a point and a new sentence, and
    the number is neither 1 nor followed by the next, it is a short answer with its reason ("42. That is 6 times 7"). Of
    a list of one item that is a number, the number is what is said: "1. 42" is 42. Linear in the length.
    """
    said, begin = _read_of(text)
    found = _marks(said, begin)
    if len(found) == 1 and _holds_number(said, found[0]):
        return said[begin : found[0].start("mark")] + said[found[0].end() :]
    return _made_unreadable(said, begin, found)


def unmarked_among(text: str, options: Sequence[str]) -> str:
    """Return `text` as `unmarked` does, for a reader of options: "2. Rome" at its start may name option 2.

    So may the line behind an announcement, and options that are marked like the items of a list are left alone. Linear
    in the length.
    """
    if any(_MARK.match(option) for option in options):
        return text
    said, begin = _read_of(text)
    opening = len(said) - len(said.lstrip())
    kept = [each for each in _marks(said, begin) if not _names_option(said, each.start(), opening)]
    return _made_unreadable(said, begin, kept)


def _read_of(text: str) -> tuple[str, int]:
    """Return a reply without its reasoning, and where in it begins what is read: marks beyond cost time alone."""
    said = without_reasoning(text)
    return said, len(said) - len(ending(said))


def _names_option(text: str, at: int, opening: int) -> bool:
    """Tell whether the mark at a place may name an option: nothing stands before it, or what announces it."""
    if at <= opening:
        return True
    before = text[max(opening, at - _LEADS_MAX) : at].rstrip()
    return _LEADS.search(before[before.rfind("\n") + 1 :]) is not None


def _marks(text: str, begin: int) -> list[re.Match[str]]:
    """Return the marks of lists in a text from a place on, in order."""
    found = list(_MARK.finditer(text, begin))
    if found and not text[: found[0].start()].strip() and _SENTENCE.match(text, found[0].start()):
        first = int(found[0]["number"])
        if first != 1 and (len(found) == 1 or int(found[1]["number"]) != first + 1):
            return found[1:]
    return found


def _made_unreadable(text: str, begin: int, marks: Sequence[re.Match[str]]) -> str:
    pieces, place = [], begin
    for mark in marks:
        # what stands in brackets behind a number is an aside to readers
        pieces += [text[place : mark.start("mark")], f"({CUT}) " if "(" in mark["mark"] else f"{CUT}. "]
        place = mark.end()
    return "".join([*pieces, text[place:]])


def _holds_number(text: str, mark: re.Match[str]) -> bool:
    """Tell whether an item is a number alone; in brackets behind other words it may be an aside."""
    if "(" in mark["mark"] and text[: mark.start()].strip():
        return False
    rest = lines(readable(text[mark.end() :].partition("\n")[0]))
    return bool(rest) and NUMBER.whole(rest[0]) is not None
