"""This module holds conversations as importers read them; `chat_rows` makes events of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable

ParentRule = Literal["both", "addressee", "previous"]
PARENT_RULES: tuple[ParentRule, ...] = get_args(ParentRule)


@dataclass(frozen=True, slots=True)
class ToldUsage:
    """The usage of a model as a file tells it (tokens)."""

    tokens_in: int = 0
    tokens_cached: int = 0
    """Those of `tokens_in` that were read from a cache."""
    tokens_out: int = 0
    known: bool = False
    """Whether the file says anything of it."""

    def plus(self, other: ToldUsage) -> ToldUsage:
        """Return both together."""
        return ToldUsage(
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
            self.known or other.known,
        )


@dataclass(frozen=True, slots=True)
class ChatToolUse:
    """A call of a tool that a message asks for."""

    name: str
    arguments: str
    id: str | None = None
    result: str | None = None
    """What the tool gave, where the file says it."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message stands at one place of a conversation."""

    index: int
    speaker: str
    addressee: str | None
    text: str
    tools: tuple[ChatToolUse, ...] = ()
    usage: ToldUsage = ToldUsage()
    claims: bool = True
    """Whether it says something; false for one that only calls tools."""
    hands_over: bool = False
    """Whether it gives the turn to its addressee, and says nothing besides."""
    builds_on: tuple[int, ...] | None = None
    """Indices of the messages it builds on, where the file's form says it; None for the rule."""


@dataclass(frozen=True)
class Chat:
    """A conversation with what the file says about it."""

    messages: tuple[ChatMessage, ...]
    n_messages: int
    """Messages in the file, system ones included."""
    form: str = "messages"
    """Name of the format that it was written in."""
    name: str = ""
    """Name of the conversation in its file; empty where it is the only one."""
    benchmark: str | None = None
    topology: str | None = None
    mistake_step: int | None = None
    mistake_agent: str | None = None
    mistake_reason: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    """Other keys of the file with a plain value."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """Messages that are no acts of an agent (system, thoughts, chunks), counted by what they are."""


def parted(who: str) -> tuple[str, str | None]:
    """Return the speaker and the addressee of ``Speaker (-> Other)``; another remark in brackets is left out."""
    head, mark, inner = who[:-1].rpartition("(") if who.endswith(")") else (who, "", "")
    if not mark or ")" in inner:
        return who, None
    arrow, inner = inner.strip().startswith("->"), inner.strip().removeprefix("->").strip()
    return head.rstrip(), inner if arrow and inner else None


def annotated_step(raw: object, n: int, where: str) -> int | None:
    """Return a step that a file annotates as an index below `n`; it may be a number or its text. None for no step.

    Raises:
        InputError: it is no index of a message.
    """
    if raw is None or raw == "":
        return None
    try:
        step = int(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else -1
    except ValueError:
        step = -1
    if not 0 <= step < n:
        shown = printable(repr(raw), 60)
        raise InputError(f"mistake_step is {shown}", where, f"it is the index of a message, 0 to {n - 1}")
    return step
