"""This module says what the journal has of an attempt that is over, and what messages call it."""

from __future__ import annotations

from typing import Final

from agentsoc.contracts.turns import Turn
from agentsoc.engine.attempts import AttemptResult
from agentsoc.log.journal import Attempt, Key

NO_ATTEMPT: Final = "no attempt"
"""The journal's word, in place of how a reply ended, for a refusal that used up no attempt."""


def row_of(key: Key, room: int, reserved: int, outcome: AttemptResult) -> Attempt:
    """Return the row of an attempt that has an outcome."""
    usage = outcome.usage
    used: tuple[int | None, int | None, int | None, bool | None] = (None, None, None, None)
    if usage is not None:
        used = (usage.tokens_in, usage.tokens_cached, usage.tokens_out, usage.known)
    return Attempt(
        *key,
        "done" if outcome.failure is None else "failed",
        outcome.request,
        outcome.model,
        room,
        reserved,
        outcome.text,
        NO_ATTEMPT if outcome.rate_limited else outcome.finish,
        outcome.shown,
        outcome.failure,
        *used,
        outcome.latency_ms,
        outcome.reasoning,
    )


def red_flag(turn: Turn, said: AttemptResult) -> str | None:
    """Return why a reply in the form asked for is discarded all the same: it is too long, or was cut off."""
    if turn.tokens_max is not None and said.usage is not None and said.usage.tokens_out > turn.tokens_max:
        return f"too long: {said.usage.tokens_out} tokens, at most {turn.tokens_max}"
    return "cut off at its output cap" if turn.strict and said.finish == "length" else None


def name_of(key: tuple[int, int, int, int, int]) -> str:
    """Return the words for a call: the key of its attempt without the attempt."""
    task, round_, agent, k, _ = key
    return f"task {task}, round {round_}, agent {agent}, call {k}"
