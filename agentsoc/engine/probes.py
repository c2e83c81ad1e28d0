"""This module makes the calls of probes: turns that are asked again, with, without or with another one of the claims.

They are made after the turns of a round and before anything of it is committed, so that the boards are as they were.
Nobody but the journal hears of them, and the budget of the team pays for none: `agentsoc.log.journal` adds up what is
journaled under the society's id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from agentsoc.budget.ledger import Grant, Need
from agentsoc.contracts.board import Board
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Reply
from agentsoc.engine.attempts import PlannedTurn, TurnUnderWay
from agentsoc.engine.run_state import ScenarioEpoch
from agentsoc.events import SOCIETY
from agentsoc.society.probe import left_out_of, probe_k, swapped_answer
from agentsoc.society.sight import in_shown_order, view_of


async def probe_round(
    epoch: ScenarioEpoch,
    task: Task,
    board: Board,
    planned: Sequence[PlannedTurn],
    needs: Sequence[Need],
    replies: Sequence[Reply | None],
    caps: Sequence[int],
) -> None:
    """Ask those turns of a round again that are probed; what comes of it is in the journal.

    Args:
        epoch: the society and its hosts.
        task: the question of the episode.
        board: of the episode, as it was before the round.
        planned: the turns of the round.
        needs: what each of them asked the budget for.
        replies: their replies; a turn is probed that stated something and had room for all that it was to see.
        caps: the output cap that each was granted (tokens).
    """
    if epoch.society.scenario.probe is None:
        return
    due = []
    for each, need, reply, cap in zip(planned, needs, replies, caps, strict=True):
        if reply is None or reply.failed is not None or reply.discarded is not None or not cap:
            continue
        view = in_shown_order(epoch.society, view_of(epoch.society, task, board, each.turn))
        claim = left_out_of(epoch.society, view) if reply.shown == len(view.claims) else None
        if claim is not None:
            told = msgspec.structs.replace(each, without=claim)
            due += [
                _ask(epoch, told, need, cap, probe_k(each.turn)),
                _ask(epoch, each, need, cap, probe_k(each.turn, control=True)),
            ]
            if (answer := swapped_answer(epoch.society, view, claim)) is not None:
                told = msgspec.structs.replace(each, swapped=(claim, answer))
                due.append(_ask(epoch, told, need, cap, probe_k(each.turn, swapped=True)))
    async with asyncio.TaskGroup() as group:
        for call in due:
            group.create_task(call)


async def _ask(epoch: ScenarioEpoch, planned: PlannedTurn, need: Need, cap: int, k: int) -> None:
    """Take a turn again, without one of the claims, with another answer in it or, as a control, as it was.

    All have the seed of a second attempt: a model that is asked the same with the same seed says the same.
    """
    attempts = epoch.society.scenario.calls.attempts + 1
    turn = TurnUnderWay(
        planned,
        epoch.society.group_index(planned.turn.agent),
        need,
        attempts,
        had=1,
        under=(SOCIETY, k),
    )
    await epoch.caller.turn(turn, Grant(cap, attempts, 0))
