"""`manager`: a lead drafts a graph of work, hands out what is ready, and edits the graph as results come in.

The live graph of MACU (arXiv 2606.01533), for work in words and with tools. A node that waits for others is begun when
these are done; up to W nodes are carried out at once, one a worker. After each round of work the lead may add, rewrite,
cancel and repeat nodes (`agentsoc.protocols.live_graph`); every edit is an event of the log, a refused one with its
reason. A worker reads the results of everything that its node builds on, and what tools gave there, which it may not be
able to see again. At the end the lead gives the answer.

With V nodes that are carried out in m rounds of work the calls are V + 2 for a plan that stays as it is, and V + m + 2
where the lead is asked for edits after each round of work; the deliveries are 2 V. With W workers and the longest chain
CP, max(CP, V / W) <= m <= V / W + (1 - 1 / W) CP (`agentsoc.theory.makespan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import Event
from agentsoc.protocols.asking import refuse_inference, with_asks, work_asks, worked_text
from agentsoc.protocols.live_graph import LiveGraph, accepted, read_edits
from agentsoc.reading.objects import find_object
from agentsoc.society.attention import attend

LINES: Final = (
    "Write one line for each piece, NAME: what is to be done, or NAME after OTHER, OTHER: what is to be done."
)
DRAFT: Final = f"You lead the team. Divide the question into pieces of work that others carry out. {LINES}"
EDIT: Final = (
    f"You lead the team. These are the pieces of work. Add pieces if more are needed. {LINES} To change one that has "
    "not begun, write: rewrite NAME: what is to be done; or: cancel NAME. To have one done once more: again NAME. If "
    "nothing has to change, write: go on. If the results are enough: stop."
)
MERGE: Final = "You lead the team. Give the answer that follows from the results above."
MANAGE: Final = work_asks("Results so far:")
WORK: Final = work_asks("Results that you build on:")
"""What the lead and the workers are asked, where they answer in text."""
_TASK: Final = "Lead the work."
_SEEN: Final = "What was seen there:"
_SEEN_CHARS: Final = 600
"""Length to which a result of a tool is kept for those who build on it (characters)."""


class Manager(Protocol):
    """A lead and workers (whoever the lead may address), and a graph of work that changes while it is carried out."""

    concludes: ClassVar[bool] = True
    rehearsable: ClassVar[bool] = False
    alone: ClassVar[str | None] = "its pieces of work follow each other"
    artefacts: ClassVar[bool] = True

    kind: Literal["manager"] = "manager"
    width: int | None = Field(default=None, ge=1, le=10_000)
    """Nodes that are carried out at once (W); None for as many as there are workers (nodes)."""
    edits: int = Field(default=10, ge=0, le=1_000)
    """Times that the lead may edit the graph after its draft; 0 for a plan that stays as it is (turns)."""
    nodes_max: int = Field(default=32, ge=1, le=1_000)
    """Nodes that the graph may come to have (nodes)."""
    carries: Literal["ancestors", "direct"] = "ancestors"
    """Whose results a worker reads: of everything that its node builds on, or of what it waits for directly."""

    def check(self, society: Society) -> None:
        """Refuse an organisation without a lead, or with a lead who has nobody to lead."""
        refuse_inference(society, self.kind)
        lead = society.wiring.root
        if lead is None or not society.addresses(lead):
            raise InputError(
                f"manager needs a lead who can address workers; {society.wiring.kind} has none",
                "protocol",
                "use topology star, hybrid or tree",
            )

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that keeps the graph."""
        return GraphUnderWay(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of the step that is due."""
        under_way, lead = self._under_way(board), society.wiring.root
        assert lead is not None
        graph = under_way.graph
        if under_way.leading is None:
            return [Turn(lead, "plan", by_rule=True)]
        if not under_way.drafted:
            turn = Turn(lead, "work", subtask=under_way.leading, instruction=DRAFT, fresh=True)
            return [with_asks(society, board, turn, MANAGE, "work")]
        if under_way.answer is not None or under_way.merged:
            return ()
        if graph.running():
            return sorted(
                [self._work(society, board, agent, under_way) for agent in under_way.taken], key=lambda turn: turn.agent
            )
        if under_way.may_edit:
            asks, sees = "\n".join([EDIT, *graph.lines()]), under_way.results(list(graph.nodes))
            turn = Turn(lead, "work", 0, attend(society, board, lead, sees), asks, under_way.leading, fresh=True)
            return [with_asks(society, board, turn, MANAGE, "work")]
        if graph.ready():
            return [Turn(lead, "plan", by_rule=True)]
        return [self._merge(society, board)]

    def _work(self, society: Society, board: Board, agent: int, under_way: GraphUnderWay) -> Turn:
        """Return the turn of a worker on its node."""
        name, subtask = under_way.taken[agent]
        graph = under_way.graph
        before = graph.ancestors(name) if self.carries == "ancestors" else list(graph.nodes[name].after)
        seen = [line for one in before for line in under_way.observed.get(one, ())]
        sees = attend(society, board, agent, under_way.results(before))
        asks = "\n".join([_SEEN, *seen]) if seen else ""
        iterations = society.group(agent).iterations
        turn = Turn(agent, "work", 0, sees, asks, subtask, iterations=iterations, fresh=True)
        return with_asks(society, board, turn, WORK, "work")

    def _merge(self, society: Society, board: Board) -> Turn:
        """Return the turn in which the lead gives the answer."""
        under_way, lead = self._under_way(board), society.wiring.root
        assert lead is not None
        last = [node.name for node in under_way.graph.ends()]
        return Turn(lead, "merge", 0, attend(society, board, lead, under_way.results(last)), MERGE, fresh=True)

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read the lead's lines as edits, each an event, and hand out what is ready; read results as claims."""
        under_way = self._under_way(board)
        if turn.purpose == "merge":
            return interpret_reply(society, board, turn, reply)
        if turn.purpose == "plan" and under_way.leading is None:
            return [Act("delegate_subtask", text=_TASK, target=turn.agent, mints_subtask=True)]
        if turn.purpose == "work" and turn.subtask != under_way.leading:
            text = worked_text(reply)
            kind: Literal["propose_claim", "revise_claim", "merge_claims"] = "propose_claim"
            if turn.sees:
                kind = "revise_claim" if len(turn.sees) == 1 else "merge_claims"
            return [Act(kind, None, text, turn.sees, subtask=turn.subtask)]
        graph = under_way.graph.copy()
        acts: list[Act] = []
        if turn.purpose == "work":
            made, refused = accepted(graph, read_edits(_said(reply)), self.nodes_max)
            for edit in made:
                graph.make(edit)
                acts.append(Act("flag", answer="edit", text=edit.text()))
            acts += [Act("flag", answer="refused", text=f"{edit.text()}: {why}") for edit, why in refused]
        return [*acts, *self._handed_out(society, graph)]

    def _handed_out(self, society: Society, graph: LiveGraph) -> list[Act]:
        """Return one delegation for each node that is begun; its text begins with the node's name."""
        lead = society.wiring.root
        assert lead is not None
        workers = society.addresses(lead)
        free = workers[: len(workers) if self.width is None else self.width]
        return [
            Act("delegate_subtask", text=f"{node.name}: {node.goal}", target=worker, mints_subtask=True)
            for node, worker in zip(graph.ready(), free, strict=False)
        ]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the lead said; results of pieces of work are no answers."""
        answer = self._under_way(board).answer
        return Decision(None) if answer is None else Decision(board.claims[answer].answer, answer)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let the lead answer from the results so far."""
        return None if self._under_way(board).answer is not None or not board.standing else self._merge(society, board)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count one delivery for each piece that is handed to a worker, and one for each result."""
        if turn.purpose == "merge":
            return 0
        lead = society.wiring.root
        handed = sum(1 for act in acts if act.kind == "delegate_subtask" and act.target != lead)
        return handed if turn.agent == lead else len(acts)

    def _under_way(self, board: Board) -> GraphUnderWay:
        found = [watcher for watcher in board.watchers if isinstance(watcher, GraphUnderWay)]
        return next(under_way for under_way in found if under_way.rules == self)


class GraphUnderWay:
    """The fold keeps the graph of an episode: edits, what was handed out, results, and what tools gave there."""

    __slots__ = (
        "answer",
        "asked",
        "drafted",
        "graph",
        "lead",
        "leading",
        "may_edit",
        "merged",
        "observed",
        "rules",
        "taken",
    )

    def __init__(self, rules: Manager, society: Society) -> None:
        self.rules, self.lead = rules, society.wiring.root
        self.graph = LiveGraph()
        self.leading: int | None = None
        """The lead's own subtask."""
        self.drafted = False
        self.may_edit = False
        """Whether the lead is asked for edits before more is handed out."""
        self.asked = 0
        """Times that the lead was asked for edits."""
        self.merged = False
        self.taken: dict[int, tuple[str, int]] = {}
        """Worker -> the node that it carries out, and its subtask."""
        self.observed: dict[str, list[str]] = {}
        """Node -> what tools gave in it."""
        self.answer: int | None = None

    def results(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the claims that came of these nodes."""
        found = [self.graph.nodes[name].result for name in names]
        return tuple(sorted(claim for claim in found if claim is not None))

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round."""
        if any(event.kind == "tool_call" for event in events):
            for event in events:
                if event.kind == "tool_call" and event.agent in self.taken:
                    seen = self.observed.setdefault(self.taken[event.agent][0], [])
                    seen.append(f"{(event.answer or '')[:_SEEN_CHARS]}: {(event.text or '')[:_SEEN_CHARS]}")
            return
        if self.taken:
            self._worked(events)
            return
        led = [event for event in events if event.agent == self.lead]
        drafting = self.leading is not None and not self.drafted
        for event in led:
            if event.kind == "flag" and event.answer == "edit":
                for edit in read_edits(event.text or ""):
                    self.graph.make(edit)
            elif event.kind == "delegate_subtask" and event.subtask is not None:
                self._handed(event)
            elif event.subtask is None and event.answer is not None and event.kind not in ("flag", "action"):
                self.answer = event.claim if event.claim is not None else event.target
        if led and drafting and self.leading is not None:
            self.drafted = True
        elif led and self.drafted and not self.may_edit and not self.taken and not self.graph.ready():
            self.merged = True  # the lead was asked for the answer
        self.asked += self.may_edit
        self.may_edit = False

    def _handed(self, event: Event) -> None:
        """Note what was handed to whom; the first thing is the lead's own."""
        assert event.subtask is not None
        if event.target == self.lead:
            self.leading = event.subtask
        elif event.target is not None:
            name = (event.text or "").partition(":")[0]
            self.taken[event.target] = (name, event.subtask)
            self.graph.change(name, status="running")

    def _worked(self, events: Sequence[Event]) -> None:
        """Note what became of the nodes that were handed out, and whether the lead is asked what follows."""
        said = {event.agent: event for event in events if event.claim is not None and event.k < SLOT_WIDTH}
        for worker, (name, subtask) in self.taken.items():
            event = said.get(worker)
            if event is not None and event.subtask == subtask:
                self.graph.change(name, status="done", result=event.claim)
            else:
                self.graph.change(name, status="failed")
        self.taken = {}
        self.may_edit = not self.graph.stopped and self.asked < self.rules.edits


def _said(reply: Reply) -> str:
    """Return the lines that a lead wrote: of a model the whole reply, out of whatever form it is in."""
    if reply.said is None:
        return reply.text or ""
    found = find_object(reply.said, ("answer",))
    return reply.said if found is None else "\n".join([one for one in found.values() if isinstance(one, str)])
