"""This module says on which shown claims a reply rests by its answer alone, whatever the agent says of that.

Models often name no claim, or always the first. What they answer shows more: an answer that changed to one that was
shown, or was kept although another one was shown. That is a guess all the same: two agents may come to the same answer
without each other, so events that are labelled by it say so (``label_source = inferred``).
"""

from __future__ import annotations

from collections.abc import Sequence

from agentsoc.contracts.board import Board
from agentsoc.contracts.turns import Turn


def inferred_sources(board: Board, turn: Turn, answer: str | None) -> tuple[Sequence[int], Sequence[int]]:
    """Return the shown claims that an answer disputes and those that it uses, each once, in the order shown.

    Claims of the agent itself are never among them. `answer` is compared with the agent's answer to the same question
    before the turn:

    - it changed to an answer that was shown, or is the first and was shown: the claims that give it are used;
    - it was kept although others were shown: those are disputed, and the claims that agree are used;
    - it changed to what nobody showed, or was kept where nobody disagreed: there are none.

    A merge turn is asked to make one answer of what it is shown, so it uses all of it.

    Args:
        board: before the round.
        turn: the turn; its `sees` is what was shown.
        answer: what it answers; None for no answer, which rests on nothing.
    """
    shown = tuple(dict.fromkeys(turn.sees))
    if turn.purpose == "merge":
        return (), shown
    if answer is None:
        return (), ()
    others = [claim for claim in map(board.claims.__getitem__, shown) if claim.agent != turn.agent]
    same = [claim.id for claim in others if claim.answer == answer]
    before = answer_before(board, turn)
    if before != answer:
        return (), same
    different = [claim.id for claim in others if claim.answer is not None and claim.answer != answer]
    return (different, same) if different else ((), ())


def answer_before(board: Board, turn: Turn) -> str | None:
    """Return the answer that the agent of a turn stands by on the same question; None when it has none."""
    own = None if turn.fresh else board.position(turn.agent)
    return own.answer if own is not None and own.subtask == turn.subtask else None
