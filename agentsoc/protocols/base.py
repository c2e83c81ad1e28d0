"""`Protocol`: the rules of a round. Whose turn it is and what they see, what a reply means, when it is over.

A protocol is a part of the scenario and holds no state: everything it needs is in the society and the board, so the
same board always gives the same plan, on replay as in the first run. To write one, derive from `Protocol`, give it a
``kind`` and the methods `plan` and `decide`; the tutorial in docs/writing-a-protocol.md does it in 30 lines.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from agentsoc.events import Kind
from agentsoc.scenario.part import Part, Slot
from agentsoc.society.board import Board, Claim
from agentsoc.society.build import Society
from agentsoc.society.turns import Reply, Turn
from agentsoc.streams import uniform


class Act(msgspec.Struct, frozen=True, gc=False):
    """What a reply amounts to: an event without its place and cost."""

    kind: Kind
    answer: str | None = None
    text: str | None = None
    parents: tuple[int, ...] = ()
    target: int | None = None
    confidence: float | None = None
    subtask: int | None = None
    subtask_parent: int | None = None
    mints_subtask: bool = False


class Decision(msgspec.Struct, frozen=True):
    """The society's answer."""

    answer: str | None
    claim: int | None = None
    """The one claim that is the answer, where it is one agent's; None for a count of votes."""
    tied: tuple[str, ...] = ()
    """Answers that had equal support, when a tie was broken by a seeded draw."""


class Stage(msgspec.Struct, frozen=True):
    """One round of a fixed schedule: the agents that act and, for each, the agents whose last claims it is shown."""

    agents: tuple[int, ...]
    hears: tuple[tuple[int, ...], ...] = ()
    """Per acting agent, the agents whose standing claims it sees; empty when nobody sees anything."""
    purpose: str = "answer"
    by_rule: bool = False


class Protocol(Part):
    """Base of all protocols; the ``protocol`` block of a scenario."""

    slot: ClassVar[str] = "agentsoc.protocols"
    concludes: ClassVar[bool] = False
    """Whether an episode may end with a model call of its own, for which the budget keeps tokens aside."""

    kind: str

    def check(self, society: Society) -> None:
        """Raise `InputError` when the protocol cannot run on this society."""

    @abstractmethod
    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of round `board.round`, at most one per agent; none when the episode is over."""

    @abstractmethod
    def decide(self, society: Society, board: Board) -> Decision:
        """Return the society's answer from the board as it stands; also called when the budget ended the episode."""

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Return the one turn that is still taken when the budget is spent; None when deciding needs no model."""
        return None

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Return the acts that a reply amounts to; a pure function. See `interpret_reply` for the default."""
        return interpret_reply(society, board, turn, reply)

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """Return all rounds beforehand when they do not depend on what is said; None when they do.

        A schedule lets simulated societies be computed as columns. `plan` must agree with it.
        """
        return None

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Return how many agents the acts of a turn are sent to, summed over the acts.

        By default a claim or endorsement reaches everybody who hears its author, and a delegation its taker.
        """
        claims = len([act for act in acts if act.kind != "delegate_subtask"])
        return claims * society.reach[turn.agent] + (len(acts) - claims)

    def deliveries_each(
        self, society: Society, board: Board, agents: NDArray[np.int64], turn: Turn, acts: Sequence[Act]
    ) -> NDArray[np.int64]:
        """Return `deliveries` of a turn like `turn` for each of `agents`, shape (n,), for simulated societies."""
        if type(self).deliveries is Protocol.deliveries and all(act.kind != "delegate_subtask" for act in acts):
            return len(acts) * society.wiring.fan_out[agents]
        like = [msgspec.structs.replace(turn, agent=agent) for agent in agents.tolist()]
        return np.array([self.deliveries(society, board, one, acts) for one in like], dtype=np.int64)

    def verdict(self, society: Society) -> int | Literal["majority"] | None:
        """Return how `decide` ends a schedule: by one agent's standing claim (that agent), by majority of all claims.

        None, the default, for any other way: such a society is not computed as columns.
        """
        return None

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Return notes of this round that later plans need and that no claim carries (a lead's decision to stop)."""
        return {}


PROTOCOLS: Slot[Protocol] = Slot("agentsoc.protocols", "protocol")


def interpret_reply(society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
    """Return which atomic acts a reply is; the first rule that matches decides.

    1. The reply hands out work: one ``delegate_subtask`` per taker (and nothing else, unless it also answers).
    2. It disputes a visible claim: ``contradict_claim``; parents are the disputed and the used claims.
    3. It uses two or more claims: ``merge_claims``.
    4. It uses one claim of another agent and gives the same answer: ``endorse_claim``; no claim is minted.
    5. It uses one claim: ``revise_claim``.
    6. The agent stands by a claim already: the same answer endorses it again, another answer revises it.
    7. Otherwise: ``propose_claim``.

    Used and disputed claims count only among those that the turn showed. With ``parents: visible`` in the scenario,
    and for a merge turn whose reply format cannot name its sources, everything shown counts as used.
    """
    acts = [
        Act(
            "delegate_subtask",
            text=delegation.text,
            target=delegation.to,
            subtask_parent=turn.subtask,
            mints_subtask=True,
        )
        for delegation in reply.delegations
    ]
    if reply.answer is None and reply.text is None:
        return acts
    if acts and reply.answer is None:
        return acts

    answer, text, confidence = reply.answer, reply.text, reply.confidence
    sees = turn.sees
    seen = sees if len(sees) < _MANY else frozenset(sees)
    disputes = tuple(c for c in dict.fromkeys(reply.disputes) if c in seen) if reply.disputes else ()
    refused = disputes if len(disputes) < _MANY else frozenset(disputes)
    uses: tuple[int, ...]
    if society.parents_visible or (turn.purpose == "merge" and not reply.uses and not disputes):
        uses = tuple(c for c in dict.fromkeys(sees) if c not in refused)
    elif len(reply.uses) == 1:
        uses = reply.uses if reply.uses[0] in seen and reply.uses[0] not in refused else ()
    elif reply.uses:
        uses = tuple(c for c in dict.fromkeys(reply.uses) if c in seen and c not in refused)
    else:
        uses = ()

    subtask = turn.subtask
    if disputes:
        parents = tuple(sorted({*disputes, *uses}))
        acts.append(Act("contradict_claim", answer, text, parents, disputes[0], confidence, subtask))
    elif len(uses) >= 2:
        acts.append(Act("merge_claims", answer, text, tuple(sorted(uses)), None, confidence, subtask))
    elif len(uses) == 1:
        used = board.claims[uses[0]]
        if used.answer == answer and answer is not None and used.agent != turn.agent:
            acts.append(Act("endorse_claim", answer, text, uses, uses[0], confidence, subtask))
        else:
            acts.append(Act("revise_claim", answer, text, uses, None, confidence, subtask))
    else:
        standing = board.standing.get(turn.agent)
        own = board.claims.get(standing) if standing is not None else None
        if own is None or own.subtask != subtask:
            acts.append(Act("propose_claim", answer, text, (), None, confidence, subtask))
        elif own.answer == answer and answer is not None:
            acts.append(Act("endorse_claim", answer, text, (own.id,), own.id, confidence, subtask))
        else:
            acts.append(Act("revise_claim", answer, text, (own.id,), None, confidence, subtask))
    return acts


_MANY = 16
"""Claims from which on a set is worth making: a hub may be shown a hundred thousand."""


def majority(
    claims: Sequence[Claim], *, seed: int, task: int, round_: int, agent: int, weights: Sequence[float] | None = None
) -> Decision:
    """Return the answer with the most votes (or weight); a tie is broken by a seeded fair draw and stated.

    Claims without an answer do not vote.
    """
    tally: Counter[str] = Counter()
    for index, claim in enumerate(claims):
        if claim.answer is not None:
            tally[claim.answer] += 1 if weights is None else weights[index]  # type: ignore[assignment]
    if not tally:
        return Decision(None)
    best = max(tally.values())
    leading = sorted(answer for answer, count in tally.items() if count >= best - 1e-12)
    answer = leading[0]
    if len(leading) > 1:
        answer = leading[int(uniform(seed, "tie", task, round_, agent & 0xFFFFFFFF) * len(leading))]
    return Decision(answer, tied=tuple(leading) if len(leading) > 1 else ())
