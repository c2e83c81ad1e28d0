"""Aggregators make the final answer of standing claims; a hub's merge by rule is `majority` of contracts/protocol.py.

They count, unite all, or compare them in one call. The sequential rules (ahead-by-k, first-to-k, a verifier) sample
until they can decide; they are a protocol of their own, `agentsoc.protocols.resample`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.protocol import Decision, Verdict, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.streams import uniforms

CHOOSE: Final = "Compare the answers above with each other and name the best one."
UNSURE: Final = 0.5
"""Weight of a claim whose author stated no confidence."""
WEIGHT_MIN: Final = 1e-6
"""Smallest weight of a vote that counts: smaller ones would look like ties."""
BETWEEN: Final = " | "
"""Stands between the answers of a union."""

Count = Literal["majority", "weighted", "union"]


def count(
    by: Count, claims: Sequence[Claim], society: Society, board: Board, weights: Sequence[float] = ()
) -> Decision:
    """Return the society's answer from the claims that count, in the order of their authors.

    Args:
        by: one vote a claim, its weight, or all answers side by side.
        claims: one for each agent that has taken a position.
        society: whose seed breaks ties.
        board: whose task and round belong to that draw.
        weights: per agent of the society, for `weighted`; empty for the confidence that each claim states.
    """
    if by == "union":
        return union(claims)
    each = None
    if by == "weighted":
        each = [weights[c.agent] for c in claims] if weights else [stated(c) for c in claims]
    return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY, weights=each)


def stated(claim: Claim) -> float:
    """Return the weight of a claim: the confidence that it states, or `UNSURE`."""
    return UNSURE if claim.confidence is None else claim.confidence


def union(claims: Sequence[Claim]) -> Decision:
    """Return all different answers side by side, sorted; right only if nothing wrong is among them.

    With n agents of which each is wrong with probability e, it is wrong with probability 1 - (1 - e)^n.
    """
    answers = tuple(sorted({claim.answer for claim in claims if claim.answer is not None}))
    if not answers:
        return Decision(None)
    return Decision(BETWEEN.join(answers), union=answers if len(answers) > 1 else ())


def verdict_of(by: Count, weights: Sequence[float] = ()) -> Verdict:
    """Return the verdict by which columns decide as `count` does, for voters who state no confidence."""
    if by == "union":
        return "union"
    return tuple(weights) if by == "weighted" and weights else "majority"


def require_weights(by: str, weights: Sequence[float], society: Society) -> None:
    """Check that weights are given for `weighted` only, one for each agent.

    Raises:
        InputError: they are not.
    """
    if not weights:
        return
    if by != "weighted":
        raise InputError(f"weights are for by: weighted, not {by}", "protocol.weights", "set by: weighted")
    if any(0 < weight < WEIGHT_MIN for weight in weights) or not any(weights):
        raise InputError(f"a weight is 0 or at least {WEIGHT_MIN:g}, and one of them is not 0", "protocol.weights", "")
    if len(weights) != society.n:
        raise InputError(
            f"{len(weights)} weights for {society.n} agents", "protocol.weights", "give one weight for each agent"
        )


def comparison(society: Society, board: Board, agent: int, claims: Sequence[int]) -> Turn:
    """Return the turn in which `agent` sees all `claims` at once, in a seeded random order, and names the best.

    The order is drawn anew for each task and round, because models prefer places; the event says what it was.
    """
    shown = tuple(dict.fromkeys(claims))
    draws = uniforms(society.seed, "order", board.task, board.round, agent, draws=max(1, len(shown)))[0]
    order = sorted(range(len(shown)), key=lambda i: float(draws[i]))
    return Turn(agent, "choose", sees=tuple(shown[i] for i in order), instruction=CHOOSE)
