"""`tournament`: everybody answers, a judge compares answers two by two, and the one that is rated highest is given.

The ranking of the AI co-scientist (arXiv 2502.18864): matches between answers, Elo ratings from them, and matches
dealt to newcomers, near equals and leaders. Ratings are Elo's, or Bradley-Terry strengths from all matches at once
(`agentsoc.theory.ratings`). The judge is who ends the organisation (a hub), who then proposes nothing; without one,
peers judge who wrote neither answer.

With n who propose and m matches, b at once, the calls are n + m (times the iterations of those who propose), the rounds
1 + ceil(m / b) and the deliveries 2 m: each match sends two answers to its judge. Two answers and one match by a judge
who prefers right to wrong with odds w are right with probability p^2 + 2 p (1 - p) w / (1 + w). A judge who draws lots
(w = 1) gains nothing, however many matches: p. A rating that rises says that somebody won, not that it is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.protocol import Decision, Protocol
from agentsoc.contracts.society import Society
from agentsoc.contracts.ties import tie_draw
from agentsoc.contracts.turns import SLOT_WIDTH, Turn
from agentsoc.errors import InputError
from agentsoc.events import CLAIMING, SOCIETY, Event
from agentsoc.streams import uniforms
from agentsoc.theory.ratings import KAPPA, START, bradley_terry, expected

COMPARE: Final = "Compare the two answers above with each other and name the better one."
_ALIKE: Final = 1e-9
"""Ratings that differ by less are the same."""


class Pair(NamedTuple):
    """A match that is to be played: the claims in the order in which they are shown, and who judges."""

    first: int
    second: int
    judge: int
    slot: int


class Tournament(Protocol):
    """Answers are compared two by two and rated. Edges of the topology are not used."""

    alone: ClassVar[str | None] = "its matches follow each other"

    kind: Literal["tournament"] = "tournament"
    matches: int = Field(default=24, ge=1, le=100_000)
    """Matches in all (matches)."""
    at_once: int = Field(default=8, ge=1, le=511)
    """Matches of a round: ratings are known to the pairing from one round to the next (matches)."""
    pairing: Literal["spread", "random"] = "spread"
    """Who meets whom: in turn a newcomer and anybody, two near equals, and two of the leaders; or pairs at random."""
    by: Literal["elo", "bradley-terry"] = "elo"
    """How matches become ratings: one after the other, or all at once by maximum likelihood, with standard errors."""
    kappa: float = Field(default=KAPPA, gt=0, le=1_000)
    """For Elo: points that an unexpected win is worth."""

    def check(self, society: Society) -> None:
        """Refuse a tournament of one."""
        if len(self.proposers(society)) < 2:
            raise InputError(
                "a tournament needs two who propose",
                "agents.count",
                "give it more agents; a hub judges and proposes nothing",
            )

    def proposers(self, society: Society) -> Sequence[int]:
        """Return who answers: everybody but a judge in whom the organisation ends."""
        root = society.wiring.root
        return society.remember(("tournament", root), lambda: tuple(a for a in range(society.n) if a != root))

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that keeps the ratings."""
        return Ranking(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Let all propose, then let the matches of a round be judged."""
        ranking = self._ranking(board)
        if not ranking.stage:
            return [Turn(agent, iterations=society.group(agent).iterations) for agent in self.proposers(society)]
        turns = [
            Turn(pair.judge, "choose", pair.slot, (pair.first, pair.second), COMPARE, fresh=True)
            for pair in ranking.due(board.task)
        ]
        return sorted(turns, key=lambda turn: (turn.agent, turn.slot))

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the answer that is rated highest; equal ratings are decided by a draw that is stated."""
        ranking = self._ranking(board)
        if not ranking.items:
            return Decision(None)
        ratings, note = ranking.rated()
        best = max(ratings)
        leading = [claim for claim, rating in zip(ranking.items, ratings, strict=True) if rating >= best - _ALIKE]
        chosen = leading[0]
        if len(leading) > 1:
            chosen = leading[int(tie_draw(society.seed, board.task, board.round, SOCIETY) * len(leading))]
        answers = {board.claims[claim].answer or "" for claim in leading}
        tied = tuple(sorted(answers)) if len(answers) > 1 else ()
        return Decision(board.claims[chosen].answer, chosen, tied=tied, note=note)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[object]) -> int:
        """Count the answers that a match sends to its judge."""
        return len(turn.sees) if turn.purpose == "choose" else 0

    def _ranking(self, board: Board) -> Ranking:
        found = [watcher for watcher in board.watchers if isinstance(watcher, Ranking)]
        return next(ranking for ranking in found if ranking.rules == self)


class Ranking:
    """The fold keeps the answers of an episode, the matches that were played, and the ratings that follow."""

    __slots__ = ("author", "items", "played", "points", "rules", "society", "stage", "taken", "won")

    def __init__(self, rules: Tournament, society: Society) -> None:
        self.rules, self.society = rules, society
        self.stage = 0
        """Rounds that were taken: the first one of proposals, the others of matches."""
        self.items: list[int] = []
        """The answers (claims), in the order of their authors."""
        self.author: list[int] = []
        self.points: list[float] = []
        """Elo rating of each answer."""
        self.played: list[int] = []
        """Matches of each answer that had a winner."""
        self.won: list[tuple[int, int]] = []
        """Places of winner and loser of every match, in order."""
        self.taken = 0
        """Matches that were dealt, won or not."""

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round: proposals, or verdicts."""
        if not events or any(event.kind == "tool_call" for event in events):
            return
        if not self.stage:
            for event in events:
                if event.kind in CLAIMING and event.claim is not None and event.answer is not None:
                    self.items.append(event.claim)
                    self.author.append(event.agent)
            self.points, self.played = [START] * len(self.items), [0] * len(self.items)
        else:
            due = self.due(events[0].task)
            chosen = {(e.agent, e.k // SLOT_WIDTH): e.target for e in events if e.kind == "endorse_claim"}
            for pair in due:
                target = chosen.get((pair.judge, pair.slot))
                if target in (pair.first, pair.second):
                    other = pair.second if target == pair.first else pair.first
                    self._result(self.items.index(target), self.items.index(other))
            self.taken += len(due)
        self.stage += 1

    def _result(self, winner: int, loser: int) -> None:
        gain = self.rules.kappa * (1.0 - expected(self.points[winner], self.points[loser]))
        self.points[winner] += gain
        self.points[loser] -= gain
        self.played[winner] += 1
        self.played[loser] += 1
        self.won.append((winner, loser))

    def rated(self) -> tuple[list[float], str]:
        """Return the ratings, and what is to be said of the highest one."""
        n, matches = len(self.items), len(self.won)
        if self.rules.by == "elo":
            return list(self.points), f"rated {max(self.points):.0f} by Elo after {matches} matches"
        found = bradley_terry(n, self.won)
        ratings = found.on_elo_scale
        best = int(ratings.argmax())
        error = float(found.se_on_elo_scale[best])
        note = f"rated {float(ratings[best]):.0f} by Bradley-Terry (standard error {error:.0f}) after {matches} matches"
        return ratings.tolist(), note

    def due(self, task: int) -> list[Pair]:
        """Return the matches of the round that is due; none when all were dealt, or nobody could meet anybody."""
        n, rules = len(self.items), self.rules
        left = min(rules.at_once, rules.matches - self.taken)
        if n < 2 or left < 1 or not self.stage:
            return []
        draws = uniforms(self.society.seed, "match", task, self.stage, 0, draws=6 * left)[0].tolist()
        slots: dict[int, int] = {}
        pairs = []
        for number in range(left):
            drawn = draws[6 * number : 6 * number + 6]
            a, b = self._pair((self.taken + number) % 3, drawn)
            if drawn[4] < 0.5:  # models prefer places
                a, b = b, a
            judge = self._judge(a, b, drawn[5])
            slot = slots[judge] = slots.get(judge, -1) + 1
            pairs.append(Pair(self.items[a], self.items[b], judge, slot))
        return pairs

    def _pair(self, kind: int, drawn: Sequence[float]) -> tuple[int, int]:
        """Return two places: of a newcomer and anybody, of near equals, of leaders; or of anybody."""
        n = len(self.items)
        anybody = list(range(n))
        if self.rules.pairing == "random":
            a = _taken(anybody, drawn[0])
        elif kind == 0:
            least = min(self.played)
            a = _taken([i for i in anybody if self.played[i] == least], drawn[0])
        elif kind == 1:
            a = _taken(anybody, drawn[0])
            distance = {i: abs(self.points[i] - self.points[a]) for i in anybody if i != a}
            nearest = min(distance.values())
            return a, _taken([i for i, far in distance.items() if far <= nearest + _ALIKE], drawn[1])
        else:
            order = sorted(anybody, key=lambda i: -self.points[i])
            anybody = order[: max(2, round(n**0.5))]
            a = _taken(anybody, drawn[0])
        return a, _taken([i for i in anybody if i != a], drawn[1])

    def _judge(self, a: int, b: int, draw: float) -> int:
        """Return who judges: the hub, or a peer who wrote neither answer, where there is one."""
        if self.society.wiring.root is not None:
            return self.society.wiring.root
        peers = self.rules.proposers(self.society)
        return _taken([peer for peer in peers if peer not in (self.author[a], self.author[b])] or list(peers), draw)


def _taken(many: Sequence[int], draw: float) -> int:
    return many[int(draw * len(many))]
