"""This module keeps what a model thought apart from what it says, however its provider marks it.

Some providers send the reasoning in a field of its own, others leave it in the text between ``<think>`` and
``</think>``, where nobody who looks for the answer may find it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agentsoc.backends.secrets import mask
from agentsoc.backends.text import plain
from agentsoc.contracts.model import Completion

FIELDS: Final = ("reasoning_content", "reasoning")
"""Names of the field of a message in which providers send reasoning."""
REASONING_CHARS: Final = 256 * 1024
"""Reasoning beyond this is cut off (characters): it is kept for people, and a run has many calls."""
_THOUGHT: Final = re.compile(r"\s*<(think|thinking|thought)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_REST_OF_THOUGHT: Final = re.compile(r"\A(.*?)</think>", re.DOTALL | re.IGNORECASE)


def with_reasoning(said: Completion, message: Mapping[str, Any]) -> Completion:
    """Return a completion with the reasoning that the provider's message holds in a field of its own, if any."""
    for name in FIELDS:
        thought = message.get(name)
        if isinstance(thought, str) and thought.strip():
            kept = _kept(mask(plain(thought.strip())))
            return msgspec.structs.replace(said, text=said.text.lstrip(), reasoning=kept)
    return said


def settled(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message with its answer as its content, where a server took the whole reply for reasoning.

    Some servers do that as they hold a reply to a schema: the content is empty, and the reasoning is one JSON object.
    """
    if message.get("content"):
        return message
    for name in FIELDS:
        thought = message.get(name)
        if isinstance(thought, str) and _is_object(thought):
            return {**message, "content": thought.strip(), **dict.fromkeys(FIELDS)}
    return message


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text.strip()), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False


def apart(said: Completion) -> Completion:
    """Return a completion whose text no longer holds the reasoning that it begins with.

    Reasoning that was cut off before its end leaves no text at all. Some chat templates open the mark in the prompt,
    so that a reply holds only its end: what stands before it is reasoning as well.
    """
    if "<" not in said.text:  # a mark begins with it, and looking for one takes time
        return said
    text, thoughts = said.text, [] if said.reasoning is None else [said.reasoning]
    while (found := _THOUGHT.match(text)) is not None:
        thoughts.append(found[2].strip())
        text = text[found.end() :]
    if not thoughts and "<think>" not in text.lower() and (found := _REST_OF_THOUGHT.match(text)) is not None:
        thoughts.append(found[1].strip())
        text = text[found.end() :]
    if text == said.text:
        return said
    return msgspec.structs.replace(said, text=text.lstrip(), reasoning=_kept("\n\n".join(thoughts)))


def _kept(thought: str) -> str:
    return thought[:REASONING_CHARS]
