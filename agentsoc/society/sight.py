"""This module says what the agent of a turn is shown, and in which order, from the board as it is before the round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Turn, View
from agentsoc.society.build import BuiltSociety
from agentsoc.society.reply_form import VERDICTS
from agentsoc.streams import uniform, uniforms

_ORDER: Final = "order of claims"
"""Purpose of the draws that decide it."""
_FEW: Final = 15
"""Claims up to which one draw decides their order: there are no more orders than a draw has values (claims)."""
_ORDERS: Final = tuple(math.factorial(n) for n in range(_FEW + 1))
"""Orders that so many claims may have."""


def view_of(
    society: BuiltSociety,
    task: Task,
    board: Board,
    turn: Turn,
    left: int | None = None,
    team_left: int | None = None,
    note: str = "",
    round_: int | None = None,
) -> View:
    """Return what the agent of a turn sees, its claims in the order of the turn.

    Args:
        society: the agents.
        task: what the turn is asked: the task, or the question of the state that it is in.
        board: of the episode; later rounds may be on it.
        turn: the turn.
        left: what the agent is told of its own share of the budget (tokens).
        team_left: what it is told of the team's (tokens).
        note: what its prompt says of the budget.
        round_: the round of the turn; None for the one that the board has come to.
    """
    claims, standing = board.claims, board.standing.get(turn.agent)
    question, options = task.question, task.options
    if turn.subtask is not None:
        subtask = board.subtasks[turn.subtask]
        if subtask.text != question:
            question = subtask.text if subtask.text in task.parts else question + part_line(society, board, turn)
            free = society.scenario.protocol.artefacts or subtask.text in task.parts
            options = () if free else task.options
    if turn.sight is not None:
        question = turn.sight.text
        options = turn.sight.choices if turn.purpose == "act" else ()
    sees = turn.sees
    shown: tuple[Claim, ...] = turn.instead
    if len(sees) == 1 and not shown:
        shown = (claims[sees[0]],)
    elif sees and not shown:
        shown = tuple(map(claims.__getitem__, dict.fromkeys(sees)))
    own = None if standing is None or turn.fresh else claims.get(standing)
    told = team_left if left is None else left
    when = board.round if round_ is None else round_
    return View(board.task, when, turn.agent, question, options, turn, shown, own, told, society.seed, team_left, note)


def part_line(society: BuiltSociety, board: Board, turn: Turn) -> str:
    """Return the line below a question that says which piece of work a turn is about, and whose it is."""
    assert turn.subtask is not None
    work = board.subtasks[turn.subtask]
    others = turn.purpose == "guide" and society.rules.prompts > 1  # the first rules called it the lead's own
    whose = f"The part of agent {work.taker}" if others else "Your part"
    return f"\n{whose}: {work.text}"


def in_shown_order(society: BuiltSociety, view: View, drawn: float | None = None) -> View:
    """Return a view whose claims are in the order in which a prompt shows them, drawn for the turn.

    Models prefer places, so that places must not belong to authors. Where claims are compared with each other the
    protocol has drawn the order itself.

    Args:
        society: the agents.
        view: what the agent of a turn sees.
        drawn: what `orders_drawn` gave for the turn, if it was asked.
    """
    n, turn = len(view.claims), view.turn
    if n < 2 or turn.purpose in VERDICTS or society.rules.prompts == 1:
        return view
    purpose = f"{_ORDER} {turn.slot}" if turn.slot else _ORDER
    place = society.seed, purpose, view.task, view.round, turn.agent
    if n <= _FEW:
        number = uniform(*place) if drawn is None or turn.slot else drawn
        order: Sequence[int] = _order(n, int(number * _ORDERS[n]))
    else:
        draws = uniforms(*place, draws=n)[0].tolist()
        order = sorted(range(n), key=draws.__getitem__)
    claims = view.claims
    return msgspec.structs.replace(view, claims=tuple([claims[i] for i in order]))


def orders_drawn(society: BuiltSociety, task: int, round_: int, agents: Sequence[int]) -> dict[int, float]:
    """Return what decides the order of shown claims in the first turn of each of many agents in a round.

    Drawn together they cost a small part of what they cost one by one, and are the same.
    """
    draws = uniforms(society.seed, _ORDER, task, round_, agents)[:, 0].tolist()
    return dict(zip(agents, draws, strict=True))


@lru_cache(maxsize=1024)
def _order(n: int, number: int) -> Sequence[int]:
    """Return the order of `n` places that has this number among all orders."""
    left, order = list(range(n)), []
    for size in range(n, 0, -1):  # the digits of the number, one base after the other
        number, at = divmod(number, size)
        order.append(left.pop(at))
    return tuple(order)
