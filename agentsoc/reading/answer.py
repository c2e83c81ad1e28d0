"""This module decides which place of a reply counts as its answer, for any sort of answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from agentsoc.reading.anchors import find, retracted
from agentsoc.reading.text import lines, readable

T = TypeVar("T")
Answer = TypeVar("Answer", covariant=True)

_LINES: Final = 200
"""Lines that are looked at for one that is an answer alone, counted from the end."""


class Sort(Protocol[Answer]):
    """What answers of one sort look like; each question is answered by None where it cannot be told."""

    def whole(self, text: str) -> Answer | None:
        """Return the answer that `text` is, but for marks around it."""

    def stated(self, text: str, after: str | None) -> Answer | None:
        """Return the answer that `text` gives, which is announced; `after` is the text behind it, None for a box."""

    def loose(self, text: str) -> Answer | None:
        """Return the answer that `text` gives although it announces none."""


def answer_in(text: str, sort: Sort[T], clean: Callable[[str], str] = readable) -> T | None:
    """Return the answer that a reply states, or None when it states none or more than one.

    In this order: the whole reply; a box or tag, which an announcement after it must not contradict; the last
    announcement; the last line that is an answer alone; the reply as a whole; the first line that is one alone. What is
    looked at is `clean(text)`.
    """
    said = clean(text)
    if not said:
        return None
    if (whole := sort.whole(said)) is not None:
        return whole
    found = find(said)
    if found.statements:
        answers = [
            sort.stated(each.text, None if each.boxed else each.after) if each.text else None
            for each in found.statements
        ]
        told = {answer for answer in answers if answer is not None}
        return answers[0] if len(told) == 1 else None
    own = lines(found.text)[-_LINES:]
    alone = [sort.whole(line) for line in own]
    if alone and alone[-1] is not None:
        listed = len(alone) > 1 and alone[-2] not in (None, alone[-1])
        return None if listed else alone[-1]
    answer = sort.loose(found.text)
    told = {each for each in alone if each is not None}
    if not told or alone[0] is None or len(told) > 1:
        return answer
    return None if answer not in (None, alone[0]) or retracted("\n".join(own[1:])) else alone[0]
