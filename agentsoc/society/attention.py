"""Attention: which of the visible claims an agent is shown. Pure: the same board gives the same choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentsoc.contracts.board import Board
from agentsoc.contracts.society import Society
from agentsoc.streams import uniforms


def attend(society: Society, board: Board, agent: int, visible: Sequence[int]) -> tuple[int, ...]:
    """Return the ids out of `visible` that `agent` is shown in round `board.round`, in increasing order.

    ``random`` draws k without replacement. ``reinforced`` draws k without replacement with probability proportional
    to (engagement + 1)^beta, renormalised after each draw; Gumbel keys do that in one pass (Efraimidis & Spirakis,
    Inf. Process. Lett. 97 (2006)).

    Args:
        society: whose `attention` decides.
        board: the state of the episode, for engagement and for the place of the draws.
        agent: whom the claims are shown to.
        visible: ids of the claims that it may see.
    """
    rule = society.attention
    if rule.kind == "all" or len(visible) <= rule.k:
        return tuple(visible)
    draws = uniforms(society.seed, "attention", board.task, board.round, agent, draws=len(visible))[0]
    keys = -np.log(-np.log(np.clip(draws, 1e-300, 1 - 1e-16)))
    if rule.kind == "reinforced":
        counts = board.engagement
        engagement = np.array([counts.get(claim, 0) for claim in visible])
        keys = keys + rule.beta * np.log(engagement + 1.0)
    chosen = np.argsort(-keys, kind="stable")[: rule.k]
    return tuple(sorted(visible[i] for i in chosen.tolist()))


def standing_of(board: Board, agents: Sequence[int]) -> list[int]:
    """Return the ids of the claims that `agents` stand by, in increasing order.

    A claim that several of them stand by occurs once for each: a count of votes needs that, a prompt shows it once.
    """
    standing = board.standing
    try:
        return sorted(map(standing.__getitem__, agents))
    except KeyError:  # somebody has not spoken yet
        return sorted([standing[agent] for agent in agents if agent in standing])
