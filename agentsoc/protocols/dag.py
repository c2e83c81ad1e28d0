"""`dag`: work along a graph without circles: an author at each node, a critic on each edge, and artefacts that travel.

After "Scaling Large-Language-Model-based Multi-Agent Collaboration" (arXiv 2406.07155). Nodes are taken in topological
order, those of one depth at once. Whoever stands at a node reads what its predecessors wrote and what the critics on
the edges between found, and nothing else of the episode: no prompt grows with the number of agents, only with the
edges that end at its node.

With V nodes and E edges the calls are V + E with critics and V without; with d edges on the longest path the rounds are
2 d + 1 and d + 1; the deliveries are E, one for each artefact and edge, and with the author as critic 2 E, as the
verdict is then sent as well (by agents who find something wrong or right; who fails sends nothing).

In a chain whose rejected artefacts are left out, an artefact is right with the probability of `refine`: a right one
stays right with probability (1 - f) + f p, a wrong one becomes right with probability d p, one edge after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal, NamedTuple

import msgspec
from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import MAX_K, SOCIETY, Event
from agentsoc.protocols.asking import refuse_inference
from agentsoc.society.attention import attend

CRITICISE: Final = "Go through the answer above step by step. Is it right? If it is wrong, say what has to be changed."
IMPROVE: Final = (
    "Above are the answers that you build on, and what was found wrong with them. Keep what holds, put right what does "
    "not, and give one answer."
)


class Dag(Protocol):
    """Authors at the nodes of a graph, critics on its edges; the answer is what the last node writes.

    A topology without circles is taken as it stands. In any other each pair of neighbours has one edge: from the one
    further from the end of the organisation to the one nearer to it, among equals from the lower number to the higher.
    Where several nodes are last, the majority of what they write is the answer.
    """

    concludes: ClassVar[bool] = True
    alone: ClassVar[str | None] = "its nodes follow each other"

    kind: Literal["dag"] = "dag"
    critic: Literal["reader", "author", "none"] = "reader"
    """Who checks an artefact on each edge, in a call of its own: who will build on it, its author, or nobody."""
    critic_form: Literal["json", "short", "text"] | None = None
    """Form of a critic's reply; None for that of the agent. JSON has a reason with the verdict, a short form none."""
    rejected: Literal["shown", "left-out"] = "shown"
    """Whether who builds on an artefact is shown it with what is wrong with it, or not at all, when it was rejected."""
    direction: Literal["inward", "outward"] = "inward"
    """Along the edges, or against all of them: from one root to many leaves."""
    instruction: str = Field(default=IMPROVE, min_length=1, max_length=4_000)
    """What is asked of who builds on artefacts, besides the question."""
    checks: str = Field(default=CRITICISE, min_length=1, max_length=4_000)
    """What a critic is asked."""

    def check(self, society: Society) -> None:
        """Refuse more edges at a node than one agent can take turns for, and parents that artefacts do not show."""
        refuse_inference(society, self.kind)
        most = max((len(near) for near in self._checked(self.graph(society))), default=0)
        if self.critic != "none" and most > MAX_K // SLOT_WIDTH - 1:
            raise InputError(
                f"an agent would check {most:,} artefacts in one round; at most {MAX_K // SLOT_WIDTH - 1}",
                "protocol.critic",
                "use critic: none, or a topology with fewer edges at a node, such as decentralized with a degree",
            )

    def graph(self, society: Society) -> WorkGraph:
        """Return the graph that a society works along."""
        return society.remember(("dag", self.direction), lambda: work_graph(society, self.direction))

    def _checked(self, graph: WorkGraph) -> Sequence[Sequence[int]]:
        """Return for each agent the other ends of the edges whose artefacts it checks."""
        return graph.before if self.critic == "reader" else graph.after

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that follows the artefacts."""
        return Artefacts(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the checks on the edges into the nodes that are due, or the turns of their authors."""
        seen, graph = self._artefacts(board), self.graph(society)
        if seen.depth >= len(graph.layers):
            return ()
        if seen.checking:
            return sorted(
                [self._check(*edge, graph, seen) for edge in seen.due()], key=lambda turn: (turn.agent, turn.slot)
            )
        return [self._write(society, board, agent) for agent in graph.layers[seen.depth]]

    def _check(self, author: int, reader: int, graph: WorkGraph, seen: Artefacts) -> Turn:
        """Return the turn of the critic on an edge; its slot is the place of the edge at its node."""
        critic, other = (reader, author) if self.critic == "reader" else (author, reader)
        slot, sees = self._checked(graph)[critic].index(other), (seen.written[author],)
        return Turn(critic, "check", slot, sees, self.checks, fresh=True, form=self.critic_form)

    def _write(self, society: Society, board: Board, agent: int) -> Turn:
        """Return the turn of the author at a node."""
        graph, iterations = self.graph(society), society.group(agent).iterations
        sees = attend(society, board, agent, self._artefacts(board).readable(agent, graph.before[agent]))
        if not sees:
            return Turn(agent, iterations=iterations, fresh=True)
        return Turn(agent, sees=sees, instruction=self.instruction, iterations=iterations, fresh=True)

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read a reply as usual; what an author writes is a claim of its own, also where it takes an answer over."""
        acts = interpret_reply(society, board, turn, reply)
        if turn.purpose == "check":
            return acts
        return [
            msgspec.structs.replace(act, kind="revise_claim", target=None) if act.kind == "endorse_claim" else act
            for act in acts
        ]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the last nodes wrote; before that, the majority of what nobody has built on yet."""
        graph, written = self.graph(society), self._artefacts(board).written
        last = [agent for agent in graph.last if agent in written] or [
            agent for agent in sorted(written) if not any(later in written for later in graph.after[agent])
        ]
        claims = [board.claims[written[agent]] for agent in last]
        if len(claims) == 1:
            return Decision(claims[0].answer, claims[0].id)
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let who stands at the one last node make an answer of what nobody has built on yet."""
        graph, seen = self.graph(society), self._artefacts(board)
        if len(graph.last) != 1 or graph.last[0] in seen.written:
            return None
        open_ = [a for a in sorted(seen.written) if not any(later in seen.written for later in graph.after[a])]
        sees = seen.readable(graph.last[0], open_) or tuple(sorted(seen.written[agent] for agent in open_))
        return Turn(graph.last[0], sees=sees, instruction=self.instruction, fresh=True) if board.standing else None

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count an artefact once for each edge that it goes along; a verdict where the author has it sent along."""
        if turn.concluding:
            return 0
        if turn.purpose == "check":
            return len(acts) if self.critic == "author" else 0
        return len(acts) * len(self.graph(society).after[turn.agent])

    def _artefacts(self, board: Board) -> Artefacts:
        found = [watcher for watcher in board.watchers if isinstance(watcher, Artefacts)]
        return next(seen for seen in found if seen.rules == self)


class WorkGraph(NamedTuple):
    """A graph without circles: for each agent whom it builds on and who builds on it, and who is how deep."""

    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    layers: tuple[tuple[int, ...], ...]
    """Agents by the number of edges on the longest path that ends at them."""

    @property
    def last(self) -> tuple[int, ...]:
        """Return those on whom nobody builds."""
        return tuple([agent for agent, later in enumerate(self.after) if not later])

    @property
    def n_edges(self) -> int:
        """Count the edges."""
        return sum(map(len, self.before))


def work_graph(society: Society, direction: Literal["inward", "outward"]) -> WorkGraph:
    """Return the graph of a society's edges, each pair of neighbours joined by one where they go in circles."""
    n, level = society.n, society.wiring.level
    edges = [(heard, agent) for agent in range(n) for heard in society.neighbours[agent]]
    if _layers(n, edges) is None:
        pairs = {(min(edge), max(edge)) for edge in edges}
        edges = [(a, b) if level[a] >= level[b] else (b, a) for a, b in sorted(pairs)]
    if direction == "outward":
        edges = [(b, a) for a, b in edges]
    layers = _layers(n, edges)
    assert layers is not None
    before: list[list[int]] = [[] for _ in range(n)]
    after: list[list[int]] = [[] for _ in range(n)]
    for a, b in sorted(edges):
        before[b].append(a)
        after[a].append(b)
    return WorkGraph(tuple(map(tuple, before)), tuple(map(tuple, after)), layers)


def _layers(n: int, edges: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], ...] | None:
    """Return the agents by the length of the longest path to them; None where edges go in a circle."""
    after: dict[int, list[int]] = {}
    missing = [0] * n
    for a, b in edges:
        after.setdefault(a, []).append(b)
        missing[b] += 1
    depth = [0] * n
    ready = [agent for agent in range(n) if not missing[agent]]
    for agent in ready:  # grows while it is gone through
        for later in after.get(agent, ()):
            depth[later] = max(depth[later], depth[agent] + 1)
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    if len(ready) < n:
        return None
    layers: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for agent, at in enumerate(depth):
        layers[at].append(agent)
    return tuple(map(tuple, layers))


class Artefacts:
    """The fold follows the work along the graph: what was written at each node, and what critics found on its edges."""

    __slots__ = ("checking", "depth", "graph", "rejected", "rules", "written")

    def __init__(self, rules: Dag, society: Society) -> None:
        self.rules, self.graph = rules, rules.graph(society)
        self.depth = 0
        """The layer that is due."""
        self.checking = False
        """Whether the edges into it are to be checked first."""
        self.written: dict[int, int] = {}
        """Agent -> the claim that it wrote at its node."""
        self.rejected: dict[tuple[int, int], int] = {}
        """(author, reader) of an edge -> the claim that says what is wrong with the artefact."""

    def due(self) -> list[tuple[int, int]]:
        """Return the edges into the layer that is due whose artefact is there."""
        layer = self.graph.layers[self.depth]
        return [(author, reader) for reader in layer for author in self.graph.before[reader] if author in self.written]

    def readable(self, reader: int, authors: Sequence[int]) -> tuple[int, ...]:
        """Return what `reader` is shown of these authors: artefacts, and beside rejected ones what is wrong."""
        shown = []
        for author in authors:
            if author not in self.written:
                continue
            against = self.rejected.get((author, reader))
            if against is None or self.rules.rejected == "shown":
                shown += [self.written[author], *(() if against is None else (against,))]
        return tuple(sorted(shown))

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round: verdicts on edges, or what was written at nodes."""
        if self.depth >= len(self.graph.layers) or any(event.kind == "tool_call" for event in events):
            return
        due = () if self.checking else self.graph.layers[self.depth]
        writers = frozenset((*due, *self.graph.last))  # who is last may also be asked to conclude
        for event in events:
            if event.claim is None:
                continue
            if event.answer is not None and event.agent in writers:
                self.written[event.agent] = event.claim
            elif self.checking and event.kind == "contradict_claim":
                self.rejected[self._edge(event)] = event.claim
        if self.checking:
            self.checking = False
            return
        self.depth += 1
        self.checking = self.rules.critic != "none" and self.depth < len(self.graph.layers) and bool(self.due())

    def _edge(self, event: Event) -> tuple[int, int]:
        """Return the edge on which a critic spoke: its turn is numbered by the place of the edge at its node."""
        other = self.rules._checked(self.graph)[event.agent][event.k // SLOT_WIDTH]
        return (other, event.agent) if self.rules.critic == "reader" else (event.agent, other)
