"""This module prints conversations with models as text: messages under their roles, replies, what they took."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentsoc.contracts.probe_calls import probed_agent
from agentsoc.engine.judging import GRADE
from agentsoc.events import SOCIETY
from agentsoc.printing.text import line

if TYPE_CHECKING:
    from agentsoc.contracts.model import Request
    from agentsoc.engine.rehearsal import SamplePrompt
    from agentsoc.engine.transcript import TranscribedCall


def block(text: str) -> str:
    """Return a text as it is, indented, with control characters replaced: it may come from a stranger."""
    kept = "".join(
        one if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf", "Cs") else "\ufffd" for one in text
    )
    return "\n".join(f"    {row}".rstrip() for row in kept.split("\n"))


def request_lines(request: Request) -> Iterator[str]:
    """Yield the messages of a request, and what holds the reply to its form."""
    for message in request.messages:
        yield f"  {message.role}:"
        yield block(message.content)
    if request.choices:
        yield f"  held to one of: {line(', '.join(request.choices), 1_000)}"
    if request.schema is not None:
        yield f"  held to the schema: {line(request.schema, 1_000)}"


def sample_lines(sample: SamplePrompt) -> Iterator[str]:
    """Yield a prompt that nobody was sent."""
    shown = f", {sample.claims} claims shown (made up)" if sample.claims else ""
    asked = f"template {sample.template}" if sample.template else f"{sample.turn.purpose}, in words of the protocol"
    yield f"round {sample.round}, agent {sample.agent} ({line(sample.role)}): {asked}{shown}"
    yield from request_lines(sample.request)


def call_lines(call: TranscribedCall) -> Iterator[str]:
    """Yield one attempt at a call: what was sent, what came back, what was read out of it."""
    row = call.outcome
    again = f", attempt {call.attempt}" if call.attempt else ""
    who = f"agent {call.agent}"
    if call.agent == SOCIETY:
        who = "the judge" if call.purpose == GRADE else f"a probe of agent {probed_agent(call.k)}"
    yield f"round {call.round}, {who}, call {call.k}{again}: {call.purpose}, model {line(row.model)}"
    if not call.same:
        yield "  NOT what was sent: the hash of this prompt is another than the journal's"
    yield from request_lines(call.request)
    if call.due and row.state == "done":
        yield f"  claims shown: {row.shown or 0} of {call.due} due"
    if row.reasoning:
        yield "  reasoning (no agent sees it):"
        yield block(row.reasoning)
    if row.reply is not None:
        yield "  reply:"
        yield block(row.reply)
    if row.failure is not None:
        yield f"  failed: {line(row.failure, 400)}"
    usage = "unknown usage"
    if row.usage_known:
        usage = f"{row.tokens_in} tokens in ({row.tokens_cached or 0} cached), {row.tokens_out} out"
    finish = f", ended by {line(row.finish)}" if row.finish else ""
    yield f"  {usage}, {row.latency_ms or 0} ms{finish}"
    if call.fault is not None:
        yield f"  could not be read: {line(call.fault, 400)}"
    elif call.reply is not None:
        stated = call.plain()["read"]
        yield "  read: " + line(", ".join(f"{name} {value!r}" for name, value in stated.items()), 1_000)


def transcript_text(calls: list[TranscribedCall]) -> str:
    """Return a transcript for a terminal."""
    return "\n\n".join("\n".join(call_lines(call)) for call in calls)
