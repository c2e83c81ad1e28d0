"""This module is the transcript of an agent in a task: turn by turn what it was sent and said, and what came of it.

Prompts are in no file of a run. They are written again by whoever may build a society: pass that function as
`transcriber` (`agentsoc.engine.transcript.transcript`). Without it, and where a part of the run is not installed, the
replies come from the journal and the prompts are missing, and the page says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from agentsoc.errors import AgentsocError, LogDamagedError
from agentsoc.log.journal import Attempt
from agentsoc.log.names import JOURNAL
from agentsoc.log.tool_rows import is_model
from analysis.viewer.pages.events import EventLine, event_lines
from analysis.viewer.pages.store import OpenLog

TEXT_CHARS: Final = 64_000
"""Length to which each text is cut (characters)."""
JOURNAL_MAX: Final = 128 << 20
"""Largest journal that is read for a transcript, which takes the whole of it (bytes)."""
SLOTS: Final = 64
"""Calls of one turn: the number of a call is 64 times the agent's turn in the round, plus its place in the turn."""

Transcriber = Callable[[Path, int], Sequence[Any]]
"""Gives the calls of a task as objects with a method `plain()`; see `agentsoc.engine.transcript.TranscribedCall`."""


class PromptMessage(msgspec.Struct, frozen=True):
    """A message of a prompt."""

    role: str
    content: str


class CallLine(msgspec.Struct, frozen=True):
    """One attempt at a model call."""

    round: int
    agent: int
    call: int
    attempt: int
    purpose: str | None
    model: str
    state: str
    messages: list[PromptMessage]
    """As they were sent; empty where they cannot be written again."""
    as_sent: bool | None
    """Whether their hash is the one that the journal has; None without messages."""
    reply: str | None
    reasoning: str | None
    read: dict[str, Any] | None
    """What was read out of the reply."""
    fault: str | None
    """What is wrong with the form of the reply."""
    failure: str | None
    finish: str | None
    tokens_in: int | None
    tokens_cached: int | None
    tokens_out: int | None
    latency_ms: int | None
    claims_shown: int | None
    claims_due: int | None


class TurnLine(msgspec.Struct, frozen=True):
    """What an agent did in one round."""

    round: int
    calls: list[CallLine]
    acts: list[EventLine]
    """Claims, votes and so on that came of it; `parents` and `target` are what they use and dispute."""
    tools: list[EventLine]
    """Calls of tools and actions: `answer` is the call with its arguments, `text` what it gave."""


class TranscriptPage(msgspec.Struct, frozen=True):
    """What an agent was asked and said in a task."""

    task: int
    agent: int
    turns: list[TurnLine]
    why: str | None
    """Why prompts or replies are missing; None where all are there."""


def transcript_page(log: OpenLog, task: int, agent: int, *, transcriber: Transcriber | None = None) -> TranscriptPage:
    """Return the transcript of an agent in a task; see the module for `transcriber`.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    calls, why = task_calls(log, task, transcriber)
    rows = log.of_task(task)
    return transcript_of(log, task, agent, rows, calls, why)


def transcript_of(
    log: OpenLog, task: int, agent: int, rows: pl.DataFrame, calls: Sequence[CallLine], why: str | None
) -> TranscriptPage:
    """Return the transcript of an agent from the events of its task and all calls in it."""
    own = rows.filter(pl.col("agent") == agent)
    acts = event_lines(log, own)
    said = [call for call in calls if call.agent == agent]
    rounds = sorted({*(act.round for act in acts), *(call.round for call in said)})
    turns = [
        TurnLine(
            round_,
            [call for call in said if call.round == round_],
            [act for act in acts if act.round == round_ and act.kind not in ("tool_call", "action")],
            [act for act in acts if act.round == round_ and act.kind in ("tool_call", "action")],
        )
        for round_ in rounds
    ]
    return TranscriptPage(task, agent, turns, why)


def task_calls(log: OpenLog, task: int, transcriber: Transcriber | None) -> tuple[list[CallLine], str | None]:
    """Return the calls of a task, and why prompts or replies are missing."""
    if log.run is None:
        return [], "an imported log has no prompts"
    if not (size := _journal_size(log)):
        return [], "no model was called: these agents are simulated"
    if size > JOURNAL_MAX:
        return [], f"the journal is too large to be read here ({size:,} bytes); agentsoc show --prompts reads it"
    if transcriber is not None:
        try:
            return [_call(one.plain()) for one in transcriber(log.directory, task)], None
        except (AgentsocError, ValueError) as error:
            why = f"the prompts cannot be written again: {str(error).splitlines()[0][:300]}"
            if isinstance(error, LogDamagedError):
                return [], why
    else:
        why = "the prompts are not written again here"
    try:
        return [_kept(row) for row in log.run.journal(task) if is_model(row.model)], why
    except LogDamagedError as error:
        return [], f"the journal cannot be read: {str(error).splitlines()[0][:300]}"


def _journal_size(log: OpenLog) -> int:
    """Return the size of the journal; 0 for none, and for one without a row (bytes)."""
    assert log.run is not None
    if log.run.manifest.journal_rows == 0:
        return 0
    found = log.run.inside.look(JOURNAL)
    return 0 if found is None else found.st_size


def _call(data: dict[str, Any]) -> CallLine:
    """Return a call that was written again."""
    messages = [PromptMessage(str(one.get("role", "")), _cut(_content(one))) for one in data["messages"]]
    return CallLine(
        data["round"], data["agent"], data["k"], data["attempt"], data["purpose"], data["model"], data["state"],
        messages, data["same_as_sent"], _short(data["reply"]), _short(data["reasoning"]), data["read"], data["fault"],
        data["failure"], data["finish"], data["tokens_in"], data["tokens_cached"], data["tokens_out"],
        data["latency_ms"], data["claims_shown"], data["claims_due"],
    )  # fmt: skip


def _content(message: dict[str, Any]) -> str:
    """Return what a message says; calls of tools in it as JSON."""
    text = str(message.get("content") or "")
    more = {name: value for name, value in message.items() if name not in ("role", "content") and value}
    return text + ("\n" + msgspec.json.encode(more).decode() if more else "")


def _kept(row: Attempt) -> CallLine:
    """Return a call as the journal has it."""
    return CallLine(
        row.round, row.agent, row.k, row.attempt, None, row.model, row.state, [], None,
        _short(row.reply), _short(row.reasoning),
        None, None, row.failure, row.finish, row.tokens_in, row.tokens_cached, row.tokens_out, row.latency_ms,
        row.shown, None,
    )  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS else f"{text[:TEXT_CHARS]} ... ({len(text):,} characters)"


def _short(text: str | None) -> str | None:
    return None if text is None else _cut(text)
