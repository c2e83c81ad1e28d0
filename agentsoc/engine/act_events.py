"""This module turns the acts of a turn into events: places, the claims and subtasks they mint, scores, costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentsoc.contracts.protocol import Act
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.events import CLAIMING, SCORED, Event, pack_id


def add_events(
    events: list[Event],
    place: tuple[int, int],
    turn: Turn,
    reply: Reply,
    acts: Sequence[Act],
    score: Callable[[Act, str | None], float | None],
) -> None:
    """Append the events of one turn; its tokens stand on the first of them.

    Args:
        events: those of the turns before, in the order of their places.
        place: (task, round) of the turn.
        turn: the turn.
        reply: what its attempts cost.
        acts: what the reply amounts to.
        score: gives the verifier's score of the answer of an act in a state of the task.
    """
    task, round_ = place
    agent = turn.agent
    calls, tokens_in, cached, tokens_out = reply.calls, reply.tokens_in, reply.tokens_cached, reply.tokens_out
    k = turn.slot * SLOT_WIDTH
    here = pack_id(round_, agent, k)
    for act in acts:
        kind, answer = act.kind, act.answer
        events.append(
            Event(
                task,
                round_,
                agent,
                k,
                kind,
                here if kind in CLAIMING else None,
                act.parents,
                act.target,
                here if act.mints_subtask else act.subtask,
                act.subtask_parent,
                answer,
                score(act, turn.state) if answer is not None and kind in SCORED else None,
                act.confidence,
                act.text,
                calls,
                tokens_in,
                cached,
                tokens_out,
                act.label_source,
            )
        )
        calls = tokens_in = cached = tokens_out = 0
        k += 1
        here += 1
