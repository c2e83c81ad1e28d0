"""This module reads a reply that was cut off by its output cap: only an answer that was complete before the cut counts.

A reply that is cut off in the middle of its reasoning has numbers and options in it, and none of them is its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from agentsoc.reading.anchors import Statement, find
from agentsoc.reading.numbers import NUMBER, opens_with_number
from agentsoc.reading.options import OUTER
from agentsoc.reading.text import CUT, first_sentence, folded, readable

_OPEN_NUMBER: Final = re.compile(r"[-+]?[\d.,/]*\d[.,/]?\Z")
_NUMBER_MAX: Final = 400
"""Characters of a number that may have been cut off."""

_OPERATOR: Final = re.compile(r"\s*[-+*/=^×÷·]")
"""The start of a line that goes on with the calculation of the line before."""


def closed(text: str) -> str:
    """Return a reply that was cut off with a mark in place of a number at its end, which might have gone on."""
    return text[:-_NUMBER_MAX] + _OPEN_NUMBER.sub(CUT, text[-_NUMBER_MAX:])


def option_before_cut(text: str, options: Sequence[str], read: Callable[[str], str | None]) -> str | None:
    """Return the option that a reply states which was cut off, or None.

    The whole reply, its first line, or what it announces in a box or in a sentence that is over has to be an option; at
    the very end an option counts too, announced or alone, unless another one begins with it.

    Args:
        text: the reply; a line end at its end closes its last line.
        options: what may be answered.
        read: how an option is read in a text.
    """
    said = text + CUT
    statements = find(readable(said)).statements
    if statements:
        whole = all(
            each.boxed or _is_over(each) or _alone(each.text.replace(CUT, ""), options)
            for each in statements
            if each.text
        )
        option = read(text) if whole else None
    elif _alone(readable(text), options):
        option = read(text.strip())
    else:
        option = _first_line(said, read, lambda line: _alone(line, options))
    return None if option is None or _goes_on(option, text, options) else option


def number_before_cut(text: str, read: Callable[[str], str | None]) -> str | None:
    """Return the number that a reply states which was cut off, or None.

    It stands in a box, in a sentence that announces it and is over, or alone on a first line that is over. A number at
    the very end does not count, not even alone: 1234 may be the beginning of 12345.
    """
    said = _marked(text)
    statements = find(readable(said)).statements
    if statements:
        whole = all(each.boxed or (_is_over(each) and opens_with_number(each.text)) for each in statements if each.text)
        return read(said) if whole else None
    return _first_line(said, read, lambda line: NUMBER.whole(line) is not None)


def line_before_cut(text: str, read: Callable[[str], str | None]) -> str | None:
    """Return the free answer that a reply announces which was cut off, where the sentence or box is over; else None."""
    said = _marked(text)
    statements = find(readable(said)).statements
    if not statements or not all(each.boxed or _is_over(each) for each in statements if each.text):
        return None
    answer = read(said)
    return None if answer is None or CUT in answer else answer


def _marked(text: str) -> str:
    """Return a reply with a mark where it was cut off."""
    said = closed(text)
    return said if said.endswith(CUT) else said + CUT


def _is_over(statement: Statement) -> bool:
    """Tell whether the sentence of a statement ended before the cut."""
    return CUT not in first_sentence(statement.text)[0]


def _line_is_over(text: str) -> bool:
    return text.rstrip(" \t").endswith("\n")


def _alone(text: str, options: Sequence[str]) -> bool:
    said = folded(text).strip(OUTER)
    return any(said == folded(option).strip(OUTER) for option in options)


def _goes_on(option: str, text: str, options: Sequence[str]) -> bool:
    """Tell whether a text ends with an option that another one begins with, so that it may have been cut off."""
    form = folded(option)
    if _line_is_over(text) or not folded(text).endswith(form):
        return False
    return any(other != option and folded(other).startswith(form) for other in options)


def _first_line(said: str, read: Callable[[str], str | None], whole: Callable[[str], bool]) -> str | None:
    """Return the answer that the first line of a reply is, where it is over and nothing after it says otherwise."""
    first, over, rest = readable(said).partition("\n")
    if not over or not whole(first) or _OPERATOR.match(rest):
        return None
    answer = read(first)
    return answer if answer is not None and read(said) == answer else None
