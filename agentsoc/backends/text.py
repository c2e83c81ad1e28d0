"""This module makes text safe to carry into a model and out of it: well-formed Unicode, no forged chat turns.

A reply becomes part of other agents' prompts. Chat markers in it would let one agent open a turn in another's name
where the server parses them (llama.cpp and vLLM do), so they are taken out of what is sent. A lone surrogate, which
decoding JSON can produce, breaks every encoder downstream, so it becomes U+FFFD on both ways.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentsoc.contracts.model import Message

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MARKER: Final = re.compile(
    r"<\|[A-Za-z0-9_]{1,40}\|>"  # ChatML, SmolLM, Llama 3, Phi, Qwen: <|im_start|>, <|endoftext|>, <|eot_id|>
    r"|</?(?:start_of_turn|end_of_turn|bos|eos|s)>"  # Gemma, Llama 2, Mistral
    r"|\[/?INST\]|<</?SYS>>"
    r"|<(?:repo_name|reponame|file_sep|filename|gh_stars|empty_output"  # further control tokens of SmolLM2
    r"|issue_(?:start|comment|closed)|jupyter_(?:start|text|code|output|script))>"
)


def plain(text: str) -> str:
    """Return `text` as well-formed Unicode: each lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def without_markers(text: str) -> str:
    """Return well-formed `text` with a space in place of each chat marker.

    A space, so that what stood around a marker cannot close up into another one.
    """
    if "<" not in text and "[" not in text:  # every marker begins with one of them
        return plain(text)
    return _MARKER.sub(" ", plain(text))


def sendable(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return a conversation as chat servers take it: without chat markers, and without an empty system prompt."""
    return [
        {"role": each.role, "content": without_markers(each.content)}
        for each in messages
        if each.content or each.role != "system"
    ]


def templated(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return a conversation as a chat template takes it: the first message is always the system's.

    Without one a template may invent a system prompt of its own.
    """
    found = [{"role": each.role, "content": without_markers(each.content)} for each in messages]
    return found if found and found[0]["role"] == "system" else [{"role": "system", "content": ""}, *found]
