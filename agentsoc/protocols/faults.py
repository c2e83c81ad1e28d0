"""This module plants errors, wrong claims in agents' mouths, so that one can count what becomes of an error.

A fault replaces the answer of one claim by a wrong one, before anybody reads it. The log says so with a ``fault``
event whose target is the claim: what is downstream of it can then be told from mistakes of the agents' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import SLOT_WIDTH, Turn
from agentsoc.events import SCORED, pack_id
from agentsoc.streams import uniform

UNLIKELY: Final = "a planted error"
"""What is planted where a task has no options and the scenario gives no answer."""


def planted(society: Society, board: Board, turn: Turn, acts: Sequence[Act], task: Task) -> Sequence[Act]:
    """Return the acts of a turn with the faults that the scenario plants there; the first that is drawn counts.

    Args:
        society: whose scenario has ``faults``.
        board: before the round.
        turn: whose acts these are.
        acts: what its reply amounts to.
        task: the question that it answers.
    """
    due = [
        fault
        for number, fault in enumerate(society.faults)
        if fault.agent in (None, turn.agent)
        and fault.round in (None, board.round)
        and uniform(society.seed, f"fault-{number}", board.task, board.round, turn.agent, turn.slot) < fault.probability
    ]
    if not due:
        return acts
    for k, act in enumerate(acts):
        if act.answer is not None and act.kind in SCORED:
            wrong = due[0].answer or _wrong(society, board, turn, task)
            # who said the same as somebody else now says something else, on the same grounds
            kind = "revise_claim" if act.kind == "endorse_claim" else act.kind
            target = None if act.kind == "endorse_claim" else act.target
            claim = pack_id(board.log_round, turn.agent, turn.slot * SLOT_WIDTH + k)
            changed = msgspec.structs.replace(act, kind=kind, answer=wrong, target=target)
            note = Act("fault", wrong, f"instead of {act.answer}", target=claim, subtask=act.subtask)
            return [*acts[:k], changed, *acts[k + 1 :], note]
    return acts


def _wrong(society: Society, board: Board, turn: Turn, task: Task) -> str:
    others = [option for option in task.options if option != task.truth]
    if not others:
        return UNLIKELY
    return others[
        int(uniform(society.seed, "fault-answer", board.task, board.round, turn.agent, turn.slot) * len(others))
    ]
