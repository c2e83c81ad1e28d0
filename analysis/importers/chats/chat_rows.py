"""This module makes events of conversations: a message is a claim, a stated rule says what it builds on.

A transcript does not say what a message builds on, so the parents are an assumption, the same for all messages:

    previous    the message right before it
    addressee   the latest earlier message that was addressed to its speaker and not answered yet, and the latest
                earlier message of the one that it addresses
    both        the union, listed in the order in which they were said (the default)

Labels come from `analysis.importers.labels` (``label_source = "rule"``), where only messages of others count as parents
and one for each speaker, so that going on with one's own thought is no merge. ``round`` is the index of the message. A
call of a tool is an event ``tool_call`` (what was called as its answer, what it gave as its text), a message that hands
the turn over is a ``delegate_subtask``; neither is a claim. An annotated mistake becomes a ``fault`` on its message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import polars as pl

from agentsoc.events import MAX_K
from analysis.importers.chats.chat import Chat, ChatMessage, ParentRule, ToldUsage
from analysis.importers.labels import LabelledAct, label
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, N_SEEN, EventTable, conform

_FAULT_K: Final = 1
"""`k` of a fault event: the message itself is act 0 of its round."""
_TOOL_K: Final = 2
"""`k` of the first tool that a message calls."""
_ANNOTATION: Final[dict[str, pl.DataType]] = {
    "mistake_step": pl.Int64(), "mistake_agent": pl.String(), "mistake_reason": pl.String(), "extra": pl.String(),
}  # fmt: skip
CHAT_COLUMNS: Final[dict[str, pl.DataType]] = {
    **EXECUTION_COLUMNS, N_SEEN: pl.Boolean(), "agents": pl.List(pl.String()), **_ANNOTATION,
}  # fmt: skip
"""Columns of `executions` of conversations."""


class PlacedChat(NamedTuple):
    """A conversation with the names that it has among the others that were read."""

    run: str
    name: str
    chat: Chat
    benchmark: str | None = None
    """Benchmark by its place, for a conversation that names none."""


def table_of(chats: Sequence[PlacedChat], parents: ParentRule, where: str) -> EventTable:
    """Return the event table of conversations, one execution each, in their order.

    `executions` also says who the agents are (`agents`), which step was annotated (`mistake_step`, `mistake_agent`,
    `mistake_reason`) and, in `extra`, the other plain values of the file as JSON.
    """
    events: dict[str, list[object]] = {name: [] for name in EVENT_COLUMNS}
    executions: list[dict[str, object]] = []
    for number, placed in enumerate(chats):
        agents = _agents(placed.chat)
        count = 0
        for row in _rows(placed.chat, agents, parents):
            for name, column in events.items():
                column.append(number if name in ("execution", "task") else row.get(name))
            count += 1
        executions.append(_execution(placed, agents, number, count))
    table = conform(pl.DataFrame(events, schema=EVENT_COLUMNS), where)
    return EventTable(table, pl.DataFrame(executions, schema=CHAT_COLUMNS))


def _agents(chat: Chat) -> dict[str, int]:
    """Return a number for each name, letter case aside: speakers in order of their first message, then addressees."""
    numbers: dict[str, int] = {}
    for name in [m.speaker for m in chat.messages] + [m.addressee for m in chat.messages if m.addressee]:
        numbers.setdefault(str(name).casefold(), len(numbers))
    return numbers


class _Heard:
    """The object knows what was said so far, and from it what a message builds on by the rule."""

    def __init__(self, rule: ParentRule) -> None:
        self._rule = rule
        self.said: dict[int, int] = {}
        """Latest claim of each agent."""
        self.asked: dict[int, int] = {}
        """Latest claim that was addressed to each agent and not answered yet."""
        self.before: int | None = None

    def parents(self, me: int, to: int | None) -> set[int]:
        found: set[int] = set()
        if self._rule != "addressee" and self.before is not None:
            found.add(self.before)
        if self._rule != "previous":
            if me in self.asked:
                found.add(self.asked.pop(me))
            if to is not None and to in self.said:
                found.add(self.said[to])
        return found


def _rows(chat: Chat, agents: Mapping[str, int], rule: ParentRule) -> Iterator[dict[str, object]]:
    """Yield the events of one conversation; the claim of a message is its index."""
    heard = _Heard(rule)
    speaker_of: dict[int, int] = {}
    for message in chat.messages:
        me, index = agents[message.speaker.casefold()], message.index
        to = agents[message.addressee.casefold()] if message.addressee else None
        spent = message.usage
        if message.hands_over:
            yield _row(index, me, 0, "delegate_subtask", text=message.text, usage=spent) | {
                "target": to, "subtask": index
            }  # fmt: skip
            if to is not None and to != me and me in heard.said:
                heard.asked[to] = heard.said[me]
        elif message.claims:
            found = heard.parents(me, to) if message.builds_on is None else {*message.builds_on} & speaker_of.keys()
            parents = sorted(found)
            others = {speaker_of[p]: p for p in parents if speaker_of[p] != me}
            act = LabelledAct(str(index), tuple(str(p) for p in others.values()), text=message.text)
            kind = label(act, frozenset())
            target = min(others.values()) if kind == "contradict_claim" and others else None
            yield _row(index, me, 0, kind, claim=index, parents=parents, text=message.text, usage=spent) | {
                "target": target
            }
            heard.said[me] = heard.before = index
            speaker_of[index] = me
            if to is not None and to != me:
                heard.asked[to] = index
        if index == chat.mistake_step:
            yield _row(index, me, _FAULT_K, "fault", parents=[index], text=chat.mistake_reason) | {
                "label_source": "logged"
            }
        told = message.claims or message.hands_over
        yield from _tool_rows(message, me, ToldUsage() if told else spent)


def _tool_rows(message: ChatMessage, me: int, spent: ToldUsage) -> Iterator[dict[str, object]]:
    """Yield the tools that a message calls; the first bears the usage of a message that does nothing else."""
    for at, tool in enumerate(message.tools[: MAX_K - _TOOL_K]):
        call = f"{tool.name}({tool.arguments})"
        usage = spent if at == 0 else ToldUsage()
        row = _row(message.index, me, _TOOL_K + at, "tool_call", text=tool.result, usage=usage)
        yield row | {"answer": call, "label_source": "logged"}


def _row(
    index: int,
    agent: int,
    k: int,
    kind: str | None,
    *,
    claim: int | None = None,
    parents: Sequence[int] = (),
    text: str | None = None,
    usage: ToldUsage = ToldUsage(),  # noqa: B008 (frozen)
) -> dict[str, object]:
    """Return an event with the columns that a conversation can fill."""
    return {
        "round": index, "agent": agent, "k": k, "kind": kind, "claim": claim, "parents": list(parents), "text": text,
        "calls": int(usage.known), "tokens_in": usage.tokens_in, "tokens_cached": usage.tokens_cached,
        "tokens_out": usage.tokens_out, "label_source": "rule",
    }  # fmt: skip


def _execution(placed: PlacedChat, agents: Mapping[str, int], number: int, n_events: int) -> dict[str, object]:
    """Return the row of `executions` for one conversation."""
    chat = placed.chat
    names = {message.speaker.casefold(): message.speaker for message in reversed(chat.messages)}
    named = {str(m.addressee).casefold(): str(m.addressee) for m in chat.messages if m.addressee}
    return {
        "execution": number, "run": placed.run, "task": number, "attempt": 0,
        "benchmark": chat.benchmark or placed.benchmark, "task_name": placed.name, "topology": chat.topology,
        "n_agents": len(agents), "seed": None, "n_events": n_events, "complete": None, N_SEEN: True,
        "agents": [names.get(key, named.get(key, key)) for key in agents],
        "mistake_step": chat.mistake_step, "mistake_agent": chat.mistake_agent,
        "mistake_reason": chat.mistake_reason,
        "extra": json.dumps(chat.extra, sort_keys=True) if chat.extra else None,
    }  # fmt: skip
