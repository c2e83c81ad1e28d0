"""This module reads a free answer: a line of text in the form in which answers are compared."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from agentsoc.reading.answer import answer_in
from agentsoc.reading.text import REFUSAL, legible, lines

_OUTER: Final = " .,;:!?\"'`*()[]"
_LEAD: Final = re.compile(r"(?:the )?(?:final )?answer(?: is\b:?|:)\s*(?=\S)")
_SENTENCE: Final = re.compile(
    r"(?:(?<=[A-Za-z]{4})(?<!Prof)(?<!Capt)|(?<=[\d)\]\"'”]))[.!](?=\s+[A-Z])|[。！？](?=\S)|[。！？]$"
)
_SET: Final = re.compile(r"\$?\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}\$?")
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f]+")
_REFUSAL_CHARS: Final = 200
_AGAIN: Final = 8
"""Announcements within an announcement that are followed."""


class _Line:
    """How a free answer looks: it has no look, so that only what is announced, or the last line, can be one."""

    def whole(self, text: str) -> str | None:
        return None

    def stated(self, text: str, after: str | None) -> str | None:
        end = _SENTENCE.search(text)
        said = (text if end is None else text[: end.start()]).strip()
        words = _SET.fullmatch(said)
        return compared(said if words is None else words[1])

    def loose(self, text: str) -> str | None:
        for line in reversed(lines(text)):
            if said := compared(line):
                # one word such as "unknown" may be the right answer
                refused = " " in said and len(line) <= _REFUSAL_CHARS and REFUSAL.search(line)
                return None if refused else said
        return None


_LINE: Final = _Line()


def compared(text: str) -> str | None:
    """Return a line in the form in which free answers are compared: folded, without "answer:" and marks around it."""
    said = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    said = _SPACE.sub(" ", said).strip(_OUTER)
    return _LEAD.sub("", said, count=1).strip(_OUTER) or None


def line_stated(text: str) -> str | None:
    """Return the free answer that a reply states: what it announces, else its last line; None for a refusal.

    Total, linear in the length, and idempotent: an answer says itself, or it is none.
    """
    said = answer_in(text, _LINE, legible)
    for _ in range(_AGAIN):
        again = None if said is None else answer_in(said, _LINE, legible)
        if again == said:
            return said
        said = again
    return None
