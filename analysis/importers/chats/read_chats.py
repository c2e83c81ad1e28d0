"""This module reads the conversations of files: wrappings off, messages read, results of tools beside their calls."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.events import MAX_ROUNDS
from agentsoc.scenario.source import printable
from analysis.importers.chats.chat import Chat, ChatMessage, ChatToolUse, ToldUsage, annotated_step
from analysis.importers.chats.foreign import foreign_format
from analysis.importers.chats.message_forms import TEXT, is_message, read_message, text_of
from analysis.importers.chats.usage_forms import usage_of
from analysis.importers.chats.wrappings import KEYS, RawChat, form_of, unwrap
from analysis.importers.loose_json import BadParts, JsonDocument, documents, whole_text

GROUPS: Final = ("conversation_id", "chat_id", "session_id", "thread_id", "episode_id")
"""Keys that tell the conversations of a file with a message a line apart, the first that every line has."""
EXTRA_CHARS: Final = 2_000
"""Length to which texts beside the messages are kept (characters)."""
DEBATE_WORK_MAX: Final = 10_000_000_000
"""Characters that are compared in one debate."""
_LOOK: Final = 1_000
"""What it takes to look for a text at all, in characters that are compared in that time."""
_EXTRA_MAX: Final = 64
"""Keys beside the messages that are kept."""


def read_chats(file: Path, bad: BadParts) -> Iterator[Chat]:
    """Yield the conversations of a file.

    Raises:
        InputError: the file or a conversation cannot be read, and `bad` does not pass over such.
    """
    lines: list[JsonDocument] = []
    for document in documents(file, bad):
        if document.line is not None and _is_line(document.value):
            lines.append(document)
            continue
        try:
            found = unwrap(document.value, document.where)
        except InputError as error:
            bad.refuse(error)
            continue
        many = document.line is not None
        for raw in found:
            chat = _or_refused(raw, document.where, bad)
            if chat is not None:
                yield replace(chat, name=_name(chat.name, document, many))
    for raw in _grouped(lines):
        chat = _or_refused(raw, str(file), bad)
        if chat is not None:
            yield chat


def _is_line(value: Any) -> bool:
    """Return whether a line is a message and no conversation of its own."""
    holds = isinstance(value, Mapping) and any(isinstance(value.get(key), list) for key in KEYS)
    return is_message(value) and not holds and foreign_format(value) is None


def _name(name: str, document: JsonDocument, many: bool) -> str:
    if not many:
        return name
    beside = document.value.get("id") if isinstance(document.value, Mapping) else None
    own = printable(str(beside), 80) if isinstance(beside, str | int) else str(document.line)
    return f"{own}/{name}" if name else own


def _grouped(lines: Sequence[JsonDocument]) -> Iterator[RawChat]:
    """Yield the conversations of a file with a message a line."""
    if not lines:
        return
    values = [line.value for line in lines]
    key = next((key for key in GROUPS if all(isinstance(one.get(key), str | int) for one in values)), None)
    if key is None:
        yield RawChat(f"{form_of(values)}, one a line", values)
        return
    groups: dict[str, list[Any]] = {}
    for one in values:
        groups.setdefault(str(one[key]), []).append(one)
    for name, group in groups.items():
        yield RawChat(f"{form_of(group)}, one a line", group, printable(name, 80))


def _or_refused(raw: RawChat, where: str, bad: BadParts) -> Chat | None:
    try:
        return _debate(raw, where) if raw.debate is not None else chat_of(raw, where)
    except InputError as error:
        bad.refuse(error)
        return None


def chat_of(raw: RawChat, where: str) -> Chat:
    """Return a conversation whose messages were read.

    Raises:
        InputError: one of them cannot be read, or nobody says anything.
    """
    if len(raw.messages) > MAX_ROUNDS:
        raise InputError(f"{len(raw.messages):,} messages; the limit is {MAX_ROUNDS:,}", where)
    passed: Counter[str] = Counter()
    kept: list[ChatMessage] = []
    calls: dict[str, tuple[int, int]] = {}
    """Where each call of a tool stands: message among those kept, place in it."""
    steps: set[int] = set()
    for index, one in enumerate(raw.messages):
        read = read_message(one, index, where)
        if read.message is not None:
            kept.append(read.message)
            steps.add(index)
            calls.update({t.id: (len(kept) - 1, at) for at, t in enumerate(read.message.tools) if t.id is not None})
        elif read.passed is not None:
            passed[read.passed] += 1
        for number, tool, gave in read.results:
            _join(kept, calls, number, (tool, gave), passed)
    if not any(message.claims for message in kept):
        told = ", ".join(f"{n} {what}" for what, n in passed.items())
        raise InputError(f"no message says anything{f' ({told})' if told else ''}", where)
    step = _step(raw.beside.get("mistake_step"), len(raw.messages), steps, where)
    agent, reason = raw.beside.get("mistake_agent"), raw.beside.get("mistake_reason")
    kept, cost = _total_usage(kept, raw.beside)
    return Chat(
        tuple(kept),
        len(raw.messages),
        raw.form,
        raw.name,
        benchmark=_text(raw.beside.get("benchmark") or raw.beside.get("benchmark_name")),
        topology=_text(raw.beside.get("topology")),
        mistake_step=step,
        mistake_agent=_text(agent),
        mistake_reason=_text(reason),
        extra=_extra(raw.beside),
        passed_over={**passed, **dict.fromkeys((*raw.notes, *cost), 1)},
    )


def _total_usage(kept: list[ChatMessage], beside: Mapping[str, Any]) -> tuple[list[ChatMessage], tuple[str, ...]]:
    """Give the usage that is told of the whole conversation alone to its last message; say so."""
    whole = usage_of(beside)
    if not whole.known or any(message.usage.known for message in kept):
        return kept, ()
    return [*kept[:-1], replace(kept[-1], usage=whole)], (
        "usage told of whole conversations: counted at their last message",
    )


def _join(
    kept: list[ChatMessage],
    calls: Mapping[str, tuple[int, int]],
    number: str | None,
    result: tuple[str | None, str],
    passed: Counter[str],
) -> None:
    """Put what a tool gave beside its call: that of its id, or else the latest without a result."""
    tool, gave = result
    place = calls.get(number) if number is not None else None
    if place is None:
        open_calls = (
            (at, k)
            for at in range(len(kept) - 1, max(-1, len(kept) - 9), -1)
            for k, one in enumerate(kept[at].tools)
            if one.result is None and (tool is None or one.name == tool)
        )
        place = next(open_calls, None) if number is None else None
    if place is None:
        passed["results of tools that nobody was seen to call"] += 1
        return
    message = kept[place[0]]
    tools: list[ChatToolUse] = list(message.tools)
    tools[place[1]] = replace(tools[place[1]], result=gave)
    kept[place[0]] = replace(message, tools=tuple(tools))


def _step(raw: object, n: int, steps: set[int], where: str) -> int | None:
    """Return the annotated step as the index of a message of an agent."""
    step = annotated_step(raw, n, where)
    if step is not None and step not in steps:
        raise InputError(f"mistake_step {step} is no message of an agent", where, "name the message that is wrong")
    return step


def _text(value: object) -> str | None:
    return whole_text(str(value))[:EXTRA_CHARS] if isinstance(value, str | int | float) else None


def _extra(beside: Mapping[str, Any]) -> dict[str, object]:
    """Return the plain values beside the messages, texts cut, and the annotations of MAST."""
    known = {"mistake_step", "mistake_agent", "mistake_reason"}
    plain: dict[str, object] = {}
    for key, value in beside.items():
        if len(plain) >= _EXTRA_MAX or key in known or key in KEYS:
            continue
        if isinstance(value, str):
            plain[whole_text(key)[:100]] = whole_text(value)[:EXTRA_CHARS]
        elif isinstance(value, bool | float | int) and abs(value) < 1 << 63:
            plain[whole_text(key)[:100]] = value
        elif key == "mast_annotation" and isinstance(value, Mapping):
            plain[key] = {str(k)[:20]: v for k, v in list(value.items())[:100] if isinstance(v, int | float)}
    return plain


def _debate(raw: RawChat, where: str) -> Chat:
    """Return a debate: each agent answers in each round, after the answers of the others that its prompt repeats."""
    contexts = raw.debate or ()
    order = _answers(contexts, where)
    if len(order) > MAX_ROUNDS:
        raise InputError(f"{len(order):,} answers; the limit is {MAX_ROUNDS:,}", where)
    before: dict[int, tuple[int, str]] = {}
    """Index and text of the latest answer of each agent."""
    kept: list[ChatMessage] = []
    work = 0
    for _, together in itertools.groupby(order, key=lambda one: one[0]):
        said: dict[int, tuple[int, str]] = {}
        for _, agent, prompt, text, usage in together:
            work += len(before) * (len(prompt) + _LOOK)
            if work > DEBATE_WORK_MAX:
                raise InputError("too many agents and too much text to find who was shown what", where, "import parts")
            shown = [i for other, (i, t) in before.items() if other == agent or (t.strip() and t.strip() in prompt)]
            kept.append(
                ChatMessage(len(kept), f"agent {agent}", None, text, usage=usage, builds_on=tuple(sorted(shown)))
            )
            said[agent] = (kept[-1].index, text)
        before |= said
    return Chat(tuple(kept), len(kept), raw.form, raw.name, extra=_extra(raw.beside))


def _answers(contexts: Sequence[Sequence[Any]], where: str) -> list[tuple[int, int, str, str, ToldUsage]]:
    """Return (round, agent, prompt, answer, usage) of every answer, by round and agent."""
    found = []
    for agent, context in enumerate(contexts):
        prompt, number = "", 0
        for index, one in enumerate(context):
            if not isinstance(one, Mapping):
                raise InputError("not an object with role and content", f"{where}: agent {agent}, message {index}")
            said = next((text_of(one[key]) for key in TEXT if one.get(key) is not None), "")
            if one.get("role") == "assistant":
                found.append((number, agent, prompt, said, usage_of(one)))
                number += 1
            elif one.get("role") != "system":
                prompt = said
    if not found:
        raise InputError("a debate in which nobody answers", where)
    return sorted(found, key=lambda one: (one[0], one[1]))
