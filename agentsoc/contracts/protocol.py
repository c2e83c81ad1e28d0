"""A `Protocol` sets the rules of a round: whose turn it is, what they see, what a reply means and when it is over.

A protocol is a part of the scenario and holds no state: everything it needs is in the society and the board, so the
same board always gives the same plan, on replay as in the first run. To write one, derive from `Protocol`, give it a
``kind`` and the methods `plan` and `decide`; the tutorial in docs/writing-a-protocol.md does it in 30 lines.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Sequence
from typing import ClassVar, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from agentsoc.contracts.board import Board, Claim, Watcher
from agentsoc.contracts.influence import inferred_sources
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.society import Society
from agentsoc.contracts.ties import AS_MANY, tie_draw
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.events import Kind, LabelSource

DISCARDED: Final = "discarded"
"""Name of the ``flag`` event of a reply that is not used, because its turn was strict (a red flag)."""


class Act(msgspec.Struct, frozen=True, gc=False):
    """An act is what a reply amounts to: an event without its place and cost."""

    kind: Kind
    """What event it becomes."""
    answer: str | None = None
    """The answer that it states, in canonical form."""
    text: str | None = None
    """The agent's words."""
    parents: tuple[int, ...] = ()
    """Ids of the claims that it builds on."""
    target: int | None = None
    """Agent or claim that it is about, by kind, as in `Event`."""
    confidence: float | None = None
    """Confidence that the agent stated, in [0, 1]."""
    subtask: int | None = None
    """The subtask that it belongs to; None for the question itself."""
    subtask_parent: int | None = None
    """The subtask above the new one, where it hands out work."""
    mints_subtask: bool = False
    """Whether it makes a subtask, whose id is the act's own."""
    label_source: LabelSource = "rule"
    """Whether kind and parents follow from what the agent said (`rule`), or from its answers (`inferred`)."""


class Decision(msgspec.Struct, frozen=True):
    """A decision is the society's answer and, where it is one agent's, the claim that states it."""

    answer: str | None
    """The society's answer; None for none."""
    claim: int | None = None
    """The one claim that is the answer, where it is one agent's; None for a count of votes."""
    tied: tuple[str, ...] = ()
    """Answers that had equal support, when a tie was broken by a seeded draw."""
    union: tuple[str, ...] = ()
    """Answers that stand side by side in `answer`: it is as good as the worst of them."""
    note: str | None = None
    """How the answer came about, where that is not plain: samples ran out, nothing was accepted."""


Verdict = int | Literal["majority", "union"] | tuple[float, ...]
"""How a schedule ends: by one agent's standing claim (that agent); by a count of all standing claims, each agent with
one vote or with its weight; by the union of all answers."""


class Stage(msgspec.Struct, frozen=True):
    """One round of a fixed schedule: the agents that act and, for each, the agents whose last claims it is shown."""

    agents: tuple[int, ...]
    """Who acts, in the order of their turns."""
    hears: tuple[tuple[int, ...], ...] = ()
    """Per acting agent, the agents whose standing claims it sees; empty when nobody sees anything."""
    purpose: str = "answer"
    """What the agents are asked for."""
    by_rule: bool = False
    """Whether they only tally what they see; no model is asked then."""


class Protocol(Part):
    """Base of all protocols; the ``protocol`` block of a scenario."""

    slot: ClassVar[str] = "agentsoc.protocols"
    concludes: ClassVar[bool] = False
    """Whether an episode may end with a model call of its own, for which the budget keeps tokens aside."""
    rehearsable: ClassVar[bool] = True
    """Whether most calls are made when everybody says something else and uses all that is shown, as bounds assume."""

    worlds: ClassVar[bool] = False
    """Whether it can lead a society through tasks that go through states (`agentsoc.contracts.world`)."""
    plays: ClassVar[bool] = False
    """Whether it leads agents through an environment (`agentsoc.contracts.environments`): its turns act."""
    alone: ClassVar[str | None] = None
    """Why no other protocol can go around it; None where one can."""
    follows_routes: ClassVar[bool] = False
    """Whether it asks `Society.hears` whom an agent hears, so that edges may change while an episode goes on."""
    elsewhere: ClassVar[bool] = False
    """Whether turns are shown, in place of each claim that they see, what was said in the episode of another task."""
    remembers: ClassVar[bool] = False
    """Whether what it `keeps` of a task decides later ones, so that tasks have to follow each other."""
    artefacts: ClassVar[bool] = False
    """Whether pieces of work are answered in free text, also on tasks with options; parts of the task are not."""

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

    def keeps(self, society: Society, board: Board) -> str | None:
        """Return what is kept of an ended episode for later tasks (`Board.kept`), where they follow each other."""
        return None

    def weighs_claims(self) -> bool:
        """Return whether agents that merge by rule weigh claims by the confidence that they state."""
        return False

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Return how many agents the acts of a turn are sent to, summed over the acts.

        By default a claim or endorsement reaches everybody who hears its author, and a delegation its taker. Where
        edges change from round to round, the claims that come to an agent are counted, when it reads them.
        """
        if society.wiring.live:
            return len(turn.sees)
        if len(acts) == 1:
            return 1 if acts[0].kind == "delegate_subtask" else society.reach[turn.agent]
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

    def verdict(self, society: Society) -> Verdict | None:
        """Return how `decide` ends a schedule: one agent's claim, majority, weighted majority or union of all claims.

        None, the default, for any other way: such a society is not computed as columns.
        """
        return None

    def watcher(self, society: Society) -> Watcher | None:
        """Return a new fold to be kept with the board of an episode; None when the board says all that is needed.

        The protocol finds it again in ``board.watchers``. It sees every round of the episode, also those that another
        protocol ruled before a fork.
        """
        return None

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Return notes of this round that later plans need and that no claim carries (a lead's decision to stop)."""
        return {}


PROTOCOLS: Slot[Protocol] = Slot("agentsoc.protocols", "protocol")
"""The protocols that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""


def interpret_reply(society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
    """Return the acts that the `reply` to a `turn` amounts to, on a `board` of a `society`; the first rule decides.

    1. The reply hands out work: one ``delegate_subtask`` per taker (and nothing else, unless it also answers).
    2. It disputes a visible claim: ``contradict_claim``; parents are the disputed and the used claims.
    3. It uses two or more claims: ``merge_claims``.
    4. It uses one claim of another agent and gives the same answer: ``endorse_claim``; no claim is minted.
    5. It uses one claim: ``revise_claim``.
    6. The agent stands by a claim already: the same answer endorses it again, another answer revises it.
    7. Otherwise: ``propose_claim``.

    A turn that chooses endorses the claim that it chose, and its text says in which order they were shown. A turn that
    checks endorses the claim, or disputes it without another answer. A turn that acts gives an ``action``, one that
    talks a ``propose_claim`` that states no answer.

    Used and disputed claims count only among those that the turn showed. With ``parents: visible`` in the scenario,
    and for a merge turn whose reply format cannot name its sources, everything shown counts as used. With ``parents:
    inferred`` what a reply names does not count: its answer says which shown claims it uses and disputes (see
    `agentsoc.contracts.influence`), and its act is marked.
    """
    if turn.purpose in _APART:
        return _acts_apart(board, turn, reply)
    acts = _handed_out(turn, reply) if reply.delegations else []
    answer, text, confidence = reply.answer, reply.text, reply.confidence
    if answer is None and (acts or text is None):
        return acts
    label: LabelSource = "rule"
    if reply.uses or reply.disputes or turn.sees:
        if society.parents == "inferred":
            disputes, uses = inferred_sources(board, turn, answer)
            label = "rule" if turn.purpose == "merge" or not turn.sees else "inferred"
        else:
            disputes, uses = _cited(society, turn, reply)
    else:  # most turns of a society of talkers that hear nobody
        disputes = uses = _NONE
    subtask = turn.subtask
    if disputes:
        parents = tuple(sorted([*disputes, *uses]))
        acts.append(Act("contradict_claim", answer, text, parents, disputes[0], confidence, subtask))
    elif len(uses) >= 2:
        acts.append(Act("merge_claims", answer, text, tuple(sorted(uses)), None, confidence, subtask))
    elif len(uses) == 1:
        used = board.claims[uses[0]]
        if used.answer == answer and answer is not None and used.agent != turn.agent:
            acts.append(Act("endorse_claim", answer, text, (used.id,), used.id, confidence, subtask))
        else:
            acts.append(Act("revise_claim", answer, text, (used.id,), None, confidence, subtask))
    else:
        standing = board.standing.get(turn.agent)
        own = board.claims.get(standing) if standing is not None else None
        if own is None or own.subtask != subtask:
            acts.append(Act("propose_claim", answer, text, (), None, confidence, subtask))
        elif own.answer == answer and answer is not None:
            acts.append(Act("endorse_claim", answer, text, (own.id,), own.id, confidence, subtask))
        else:
            acts.append(Act("revise_claim", answer, text, (own.id,), None, confidence, subtask))
    if label != "rule":
        acts[-1] = msgspec.structs.replace(acts[-1], label_source=label)
    return acts


def _handed_out(turn: Turn, reply: Reply) -> list[Act]:
    """Return one act for each taker of work that the reply hands out."""
    return [
        Act("delegate_subtask", text=one.text, target=one.to, subtask_parent=turn.subtask, mints_subtask=True)
        for one in reply.delegations
    ]


def _cited(society: Society, turn: Turn, reply: Reply) -> tuple[Sequence[int], Sequence[int]]:
    """Return the visible claims that a reply disputes and those that it uses, each once and none in both."""
    sees, named = turn.sees, reply.uses
    searched = len(sees) >= _MANY and (named != sees or reply.disputes)
    seen: Collection[int] = frozenset(sees) if searched else sees
    disputes = [c for c in dict.fromkeys(reply.disputes) if c in seen] if reply.disputes else _NONE
    if society.parents == "visible" or (turn.purpose == "merge" and not named and not disputes):
        named = sees
    uses: Sequence[int]
    if not named:
        uses = _NONE
    elif named == sees:
        uses = named if len(named) == 1 else list(dict.fromkeys(named))
    else:
        uses = [c for c in dict.fromkeys(named) if c in seen]
    if disputes:
        refused = disputes if len(disputes) < _MANY else frozenset(disputes)
        uses = [c for c in uses if c not in refused]
    return disputes, uses


_APART: Final = frozenset({"choose", "check", "act", "talk"})
"""Purposes of turns whose replies are no claim that rests on others."""


def _acts_apart(board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
    """Return the act of a verdict on claims, of a move in an environment, or of something said before moves."""
    if turn.purpose == "act":
        return () if reply.answer is None else (Act("action", reply.answer, reply.text),)
    if turn.purpose == "talk":
        return () if reply.text is None else (Act("propose_claim", reply.answer, reply.text),)
    return _verdicts(board, turn, reply)


def _verdicts(board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
    """Return the act of a turn that chooses among claims or checks one; none when the reply does neither."""
    if turn.purpose == "choose":
        shown = tuple(dict.fromkeys(turn.sees))
        if reply.chosen is None or reply.chosen not in shown:
            return ()
        chosen = board.claims[reply.chosen]
        order = " ".join(str(board.claims[claim].agent) for claim in shown)
        why = f": {reply.text}" if reply.text else ""
        text = f"#{shown.index(chosen.id) + 1} of agents {order}{why}"
        return (Act("endorse_claim", chosen.answer, text, (chosen.id,), chosen.id, reply.confidence, turn.subtask),)
    if reply.accepts is None or not turn.sees:
        return ()
    checked = board.claims[turn.sees[0]]
    if reply.accepts:
        return (Act("endorse_claim", checked.answer, reply.text, (checked.id,), checked.id, reply.confidence),)
    return (Act("contradict_claim", None, reply.text, (checked.id,), checked.id, reply.confidence),)


_NONE: Sequence[int] = ()
_MANY = 16
"""Claims from which on a set is worth making: a hub may be shown a hundred thousand."""


def majority(
    claims: Sequence[Claim], *, seed: int, task: int, round_: int, agent: int, weights: Sequence[float] | None = None
) -> Decision:
    """Return the answer with the most votes (or weight); a tie is broken by a seeded fair draw and stated.

    Claims without an answer do not vote.

    Args:
        claims: the claims that are counted, in any order; one that several agents stand by occurs once for each.
        seed: the run's seed; with the next three it is the place of the draw that breaks a tie.
        task: index of the task.
        round_: round of the episode.
        agent: whoever counts.
        weights: weight of each claim; None for one vote each.
    """
    tally: Counter[str] = Counter()
    for index, claim in enumerate(claims):
        if claim.answer is not None:
            tally[claim.answer] += 1 if weights is None else weights[index]  # type: ignore[assignment]
    if not tally:
        return Decision(None)
    best = max(tally.values())
    leading = sorted(answer for answer, count in tally.items() if count >= best - AS_MANY)
    answer = leading[0]
    if len(leading) > 1:
        answer = leading[int(tie_draw(seed, task, round_, agent) * len(leading))]
    return Decision(answer, tied=tuple(leading) if len(leading) > 1 else ())
