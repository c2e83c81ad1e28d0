"""This module says how much of a reply others see: the words as they were written, cut in the middle, answer kept."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from agentsoc.contracts.board import Claim
from agentsoc.contracts.group import PeersSee
from agentsoc.contracts.templates import Value
from agentsoc.society.reply_form import CHARS_PER_TOKEN

TAIL_SHARE: Final = 0.7
"""Part of a cut text that is kept from its end, where replies conclude."""
_SPACE: Final = re.compile(r"\s")


def cut(text: str, tokens: int) -> str:
    """Return a text cut in its middle to about `tokens` (4 characters each), with a mark that says how much is gone.

    Lines and indentation of what is left stay as they are, and a word is cut only where it is longer than what is left.
    """
    limit = tokens * CHARS_PER_TOKEN
    if len(text) <= limit:
        return text
    tail = max(1, int(limit * TAIL_SHARE))
    head = limit - tail
    start, end = text[:head], text[-tail:]
    if (spaces := list(_SPACE.finditer(start))) and not text[head].isspace():
        start = start[: spaces[-1].start()]
    if (space := _SPACE.search(end)) is not None and not text[-tail - 1].isspace():
        end = end[space.end() :] or end
    gone = -(-(len(text) - len(start) - len(end)) // CHARS_PER_TOKEN)
    return f"{start.rstrip()} [... {gone} tokens left out ...] {end.lstrip(' ')}"


def states(text: str, answer: str) -> bool:
    """Return whether a text holds an answer as a word of its own, in whatever case."""
    if answer.casefold() not in text.casefold():
        return False
    found = re.search(rf"(?<![\w.,-]){re.escape(answer)}(?!\w|[.,]\d)", text, re.IGNORECASE)
    return found is not None


def claim_values(claim: Claim, number: int, see: PeersSee, tokens: int) -> dict[str, Value]:
    """Return what the template of a claim is given.

    Args:
        claim: the claim.
        number: its number in the prompt.
        see: which part of it its readers see.
        tokens: length to which its text is cut (tokens).
    """
    answer, text, stated = _seen(claim.answer or "", claim.text or "", see, tokens)
    return {"number": number, "agent": claim.agent, "answer": answer, "text": text, "stated": stated}


@lru_cache(maxsize=1024)
def _seen(answer: str, text: str, see: PeersSee, tokens: int) -> tuple[str, str, bool]:
    """Return answer and text as readers see them, and whether the text holds the answer; many read the same claim."""
    if text.strip() == answer.strip() or (see == "answer" and answer):
        text = ""
    elif see != "whole":
        text = cut(text, tokens)
    return answer if see == "whole" else cut(answer, tokens), text, bool(text and answer) and states(text, answer)
