"""This module takes from a reply what others may read of it: its words as they were written, lines and all."""

from __future__ import annotations

import re
from typing import Final

from agentsoc.contracts.turns import NONE, Reply
from agentsoc.reading.objects import find_object

_SOURCES: Final = re.compile(rf"(?:\s+(?:not\s+)?#\d+|\s+{NONE})+\s*$", re.IGNORECASE)
"""What a reply of one line says after its answer."""
_HANDLES: Final = re.compile(r"(?:[ \t]+(?:not[ \t]+)?#\d+)+\s*$", re.IGNORECASE)
"""What a text says at its end of the claims that it rests on."""
_FIELDS: Final = ("answer", "why")
"""What an object has at least one of, for others to read."""


def text_of(reply: Reply, said: str, form: str, *, free: bool) -> str | None:
    """Return the text of a reply for the log and for those who read it; None where the answer is all there is to it.

    Answers are compared in lower case, so that a free one is kept in its text as it was written.

    Args:
        reply: what was read out of it.
        said: the reply as it came, without reasoning.
        form: the form that was asked for.
        free: whether the answer is not one out of a list.
    """
    clean = said.strip()
    if form == "text":
        # handles belong to the author's prompt: in a reader's they would name other claims
        return (_HANDLES.sub("", clean) or clean) if reply.text is not None else None
    if form == "short":
        line = _SOURCES.sub("", clean)
        return line if free and reply.answer is not None and line != reply.answer else reply.text
    data = find_object(clean, _FIELDS) or {}
    return text_of_object(reply, data.get("answer"), data.get("why"), free=free)


def text_of_object(reply: Reply, answer: object, why: object, *, free: bool) -> str | None:
    """Return the text of a reply that was an object, from its fields; see `text_of`."""
    text = why.strip() if isinstance(why, str) and reply.text is not None else ""
    if free and isinstance(answer, str) and reply.answer is not None and answer.strip() != reply.answer:
        return f"{answer.strip()}\n{text}".strip()
    return text or reply.text
