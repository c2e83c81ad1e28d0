"""This module says which call of a turn a request is made for, what may be added to it later, and what scripts know."""

from __future__ import annotations

from typing import Final

import msgspec

from agentsoc.contracts.model import ActHint, Hint
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import SLOT_WIDTH, View

REPAIR_TOKENS: Final = 256
"""Bound on what naming a fault adds to a prompt (bytes, hence tokens)."""


def later_prompt_bound(first: int, tokens_out: int, window: int | None) -> int:
    """Return a bound on the prompt of a turn's later calls, which hold a draft and may name a fault (tokens).

    Args:
        first: bound on the prompt of its first call (tokens).
        tokens_out: output cap of each call (tokens).
        window: context window of the model (tokens); None when unknown.
    """
    later = first + tokens_out + REPAIR_TOKENS
    return later if window is None else min(later, max(first, window - tokens_out))


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What an agent was asked in an earlier turn of the episode, and what it replied."""

    view: View | None
    """None where the agent is shown of its earlier turns only what it said last."""
    said: str
    """The reply as it came, without reasoning."""


class ModelCall(msgspec.Struct, frozen=True, gc=False):
    """Which call of a turn a request is made for, and what it says besides the view."""

    k: int
    """Number of the call in its turn."""
    max_tokens: int
    """Output cap (tokens)."""
    attempt: int = 0
    draft: str | None = None
    """What the call before said, when a turn makes several."""
    fault: str | None = None
    """What was wrong with the last reply, when this attempt is its repair."""
    earlier: tuple[Exchange, ...] = ()
    """What the agent was asked and said before in this episode, oldest first."""
    memory: tuple[str, ...] = ()
    """What the agent remembers of earlier tasks, oldest first."""


def hint_of(society: Society, task: Task, view: View, shown: tuple[str | None, ...], call: ModelCall) -> Hint:
    """Return what scripted models know of a call; `view` has the claims that fit, `shown` the answers of all."""
    turn = view.turn
    acts = turn.tools or turn.step
    hint = Hint(
        task=view.task,
        round=view.round,
        agent=view.agent,
        k=turn.slot * SLOT_WIDTH + call.k,
        purpose=turn.purpose,
        truth=task.truth,
        options=view.options,
        shown=shown,
        shown_unique=tuple([claim.answer for claim in view.claims]),
        targets=turn.targets,
        attempt=call.attempt,
        own=None if view.own is None else view.own.answer,
        by_rule=turn.by_rule,
        speaks=society.speaks(view.agent),
        difficulty=task.difficulty,
    )
    if not acts:
        return hint
    results = view.steps[-1].results if view.steps else ()
    return ActHint(*msgspec.structs.astuple(hint), turn.step, bool(turn.tools), results, view.question)  # type: ignore[call-arg]


def fault_text(fault: str) -> str:
    """Return what is wrong with a reply, short enough for what is reserved to name it."""
    return fault.encode("utf-8", "replace")[:150].decode("utf-8", "ignore")  # REPAIR_TOKENS is a bound on bytes


def repair_line(fault: str) -> str:
    """Return what a repair says besides the prompt, by the first rules."""
    return f"Your last reply could not be used: {fault_text(fault)}\nReply again in the form asked for."
