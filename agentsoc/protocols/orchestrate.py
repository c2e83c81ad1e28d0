"""`orchestrate`: a lead plans subtasks, delegates, reads the findings, stops or goes on, and synthesises.

The turn structure is that of the centralized architecture of "Towards a Science of Scaling Agent Systems" (arXiv
2512.08296); with peer edges among the workers (topology hybrid) it is its hybrid architecture. With n workers, k calls
a turn and r rounds the calls are

- ``guidance: joint``: r (1 + n k) + 1 (the lead speaks once a round to all, and decides to stop in the same call);
- ``guidance: each``: 1 + r (n + n k) + (r - 1) [decision: lead] + 1 (one guidance call for each worker and round);
- ``guidance: none``: 1 + r n k + (r - 1) [decision: lead] + 1,

one less for the plan when it is made by rule, and one for each worker with peers in each exchange.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply, majority
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.society.attention import attend, standing_of

PLAN = "You lead the team. Give each worker one piece of work that helps to answer the question."
GUIDE = "You lead the team. Read the findings and tell this worker what to do next."
GUIDE_FIRST = "You lead the team. Nobody has reported a finding yet. Tell this worker how to go about its part."
JUDGE = "You lead the team. Are the findings enough to answer the question?"
SYNTHESISE = "You lead the team. Give the answer that follows from the findings above."
SYNTHESISE_ALONE = "You lead the team. No worker has reported a finding. Answer the question yourself."
_STOP = "lead"


class Orchestrate(Protocol):
    """A lead (hub, root) and workers (whoever the lead may address)."""

    concludes: ClassVar[bool] = True

    kind: Literal["orchestrate"] = "orchestrate"
    rounds: int = Field(default=3, ge=1, le=100)
    """Rounds of work at most (rounds)."""
    plan_by: Literal["model", "parts", "same"] = "model"
    """Subtasks are planned by the lead's model, taken from the task's own parts, or all are the question itself."""
    guidance: Literal["joint", "each", "none"] = "none"
    """After the plan: one call a round to all workers, one for each worker, or no further guidance."""
    decision: Literal["lead", "agreement", "rounds"] = "lead"
    """When to stop early: the lead says so, all workers give one answer, or never."""
    synthesis: Literal["model", "majority", "parts"] = "model"
    """How the findings become an answer: a model call of the lead, a count, or the task's own combination of parts."""
    peer_rounds: int = Field(default=1, ge=0, le=100)
    """Rounds in which workers with peers see each other's findings and revise before they report (rounds)."""

    def check(self, society: Society) -> None:
        """Refuse an organisation without a lead, or with a lead who has nobody to lead."""
        lead = society.wiring.root
        if lead is None or not society.addresses(lead):
            raise InputError(
                f"orchestrate needs a lead who can address workers; {society.wiring.kind} has none",
                "protocol",
                "use topology star, hybrid or tree",
            )
        if self.guidance == "each" and len(society.addresses(lead)) > (1 << 15) // SLOT_WIDTH - 1:
            raise InputError("guidance: each is limited to 511 workers", "protocol.guidance", "use joint or none")

    # The steps of an episode, one engine round each. A step is (name, round of work).

    def _steps(self, society: Society) -> list[tuple[str, int]]:
        steps: list[tuple[str, int]] = []
        for r in range(self.rounds):
            if r == 0 or (self.guidance == "joint" and self.plan_by == "model"):
                steps.append(("plan", r))
            elif self.decision == "lead":
                steps.append(("judge", r))
            if self.guidance == "each":
                steps.append(("guide", r))
            steps.append(("work", r))
            if r < self.peer_rounds and any(self._peers(society, worker) for worker in self._workers(society)):
                steps.append(("exchange", r))
        if self.synthesis == "model":
            steps.append(("synthesise", self.rounds))
        return steps

    def _due(self, society: Society, board: Board) -> tuple[str, int] | None:
        steps = society.remember(("orchestrate", self), lambda: self._steps(society))
        done = sum(1 for name in board.flags if name.startswith("step:"))
        stopped = board.flags.get(_STOP) == "stop"
        for name, r in steps[done:]:
            if (stopped or (r > 0 and self._agreed(society, board))) and name != "synthesise":
                continue
            return name, r
        return None

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of the step that is due."""
        due = self._due(society, board)
        if due is None or (due[0] == "synthesise" and _STOP + ":answered" in board.flags):
            return ()
        name, _ = due
        lead = society.wiring.root
        assert lead is not None
        workers = self._workers(society)
        findings = attend(society, board, lead, standing_of(board, workers))
        if name == "plan":
            if self.plan_by != "model":
                return [Turn(lead, purpose="plan", targets=tuple(workers), by_rule=True)]
            return [Turn(lead, purpose="plan", sees=findings, targets=tuple(workers), instruction=PLAN)]
        if name == "guide":
            asked = _by_findings(society, findings, GUIDE, GUIDE_FIRST)
            return [
                Turn(lead, "guide", slot, findings, asked, next(iter(_open(board, worker)), None), (worker,))
                for slot, worker in enumerate(workers)
            ]
        if name == "judge":
            return [Turn(lead, purpose="judge", sees=findings, instruction=JUDGE)]
        if name == "work":
            return [
                Turn(worker, "work", slot, subtask=subtask, iterations=society.group(worker).iterations)
                for worker in workers
                for slot, subtask in enumerate(_open(board, worker))
            ]
        if name == "exchange":
            turns = []
            for worker in workers:
                peers = self._peers(society, worker)
                if peers:
                    sees = attend(society, board, worker, standing_of(board, peers))
                    turns.append(Turn(worker, "work", sees=sees, subtask=next(iter(_open(board, worker)), None)))
            return turns
        return [self._synthesis(society, board)]

    def _synthesis(self, society: Society, board: Board) -> Turn:
        lead = society.wiring.root
        assert lead is not None
        sees = standing_of(board, self._workers(society))
        asked = _by_findings(society, sees, SYNTHESISE, SYNTHESISE_ALONE)
        return Turn(lead, purpose="merge", sees=tuple(sees), instruction=asked)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Let the lead synthesise what there is, if that is a model's work."""
        lead = society.wiring.root
        if self.synthesis != "model" or lead in board.standing or not board.standing:
            return None
        return self._synthesis(society, board)

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Hand out the parts for a plan by rule; read everything else as usual, and turn a judgement into a flag."""
        if turn.purpose == "plan" and turn.by_rule:
            return [
                Act("delegate_subtask", text=text, target=worker, mints_subtask=True)
                for worker, text in self._by_rule(board, turn.targets)
            ]
        if turn.purpose in ("plan", "guide"):
            acts = [act for act in interpret_reply(society, board, turn, reply) if act.kind == "delegate_subtask"]
            if turn.purpose == "plan" and self.guidance == "joint" and reply.stop:
                return [Act("flag", answer=_STOP, text="stop")]
            return acts
        if turn.purpose == "judge":
            return [Act("flag", answer=_STOP, text="stop" if reply.stop else "go on")]
        return interpret_reply(society, board, turn, reply)

    def flags(self, society: Society, board: Board, turns: Sequence[Turn], replies: Sequence[Reply]) -> dict[str, str]:
        """Note which step was taken."""
        due = self._due(society, board)
        if due is None:  # the concluding turn, in place of a synthesis that the budget refused
            return {}
        steps = society.remember(("orchestrate", self), lambda: self._steps(society))
        taken = steps.index(due)
        done = sum(1 for name in board.flags if name.startswith("step:"))
        return {f"step:{i:03d}": steps[i][0] for i in range(done, taken + 1)}

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the lead's synthesis, the combination of parts, or the majority of the findings."""
        lead = society.wiring.root
        assert lead is not None
        own = board.position(lead)
        if self.synthesis == "model" and own is not None:
            return Decision(own.answer, own.id)
        workers = self._workers(society)
        if self.synthesis == "parts" and board.problem is not None:
            found = _findings_by_part(board)
            answer = society.tasks.combine(board.problem, [c.answer if c else None for c in found])
            return Decision(answer)
        claims = [board.claims[board.standing[worker]] for worker in workers if worker in board.standing]
        return majority(claims, seed=society.seed, task=board.task, round_=board.round, agent=SOCIETY)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count one delivery for each piece of work and each finding, or one a peer where an exchange follows."""
        delegated = sum(1 for act in acts if act.kind == "delegate_subtask")
        claims = sum(1 for act in acts if act.kind not in ("delegate_subtask", "flag"))
        if turn.agent == society.wiring.root:
            return delegated
        due = self._due(society, board)
        exchange_follows = due is not None and due[0] == "work" and due[1] < self.peer_rounds
        return claims * ((len(self._peers(society, turn.agent)) if exchange_follows else 0) or 1)

    def _workers(self, society: Society) -> Sequence[int]:
        lead = society.wiring.root
        return () if lead is None else society.addresses(lead)

    def _peers(self, society: Society, worker: int) -> list[int]:
        level = society.wiring.level
        return [v for v in society.neighbours[worker] if level[v] == level[worker]]

    def _by_rule(self, board: Board, workers: Sequence[int]) -> list[tuple[int, str]]:
        """Return who gets which piece: the parts dealt round, or the whole question to everybody."""
        problem = board.problem
        if self.plan_by == "parts" and problem is not None and problem.parts:
            return [(workers[i % len(workers)], part) for i, part in enumerate(problem.parts)]
        return [(worker, problem.question if problem is not None else "") for worker in workers]

    def _agreed(self, society: Society, board: Board) -> bool:
        if self.decision != "agreement":
            return False
        answers = Counter(
            board.claims[board.standing[worker]].answer for worker in self._workers(society) if worker in board.standing
        )
        return len(answers) == 1 and None not in answers


def _by_findings(society: Society, findings: Sequence[int], some: str, none: str) -> str:
    """Return the words for a lead with findings, or for one without; the first rules of prompts knew one way."""
    return none if not findings and society.rules.prompts > 1 else some


def _open(board: Board, worker: int) -> list[int]:
    """Return the subtasks that `worker` was given last, in the order in which they were given."""
    mine = [subtask for subtask in board.subtasks.values() if subtask.taker == worker]
    latest = max((subtask.round for subtask in mine), default=0)
    return sorted(subtask.id for subtask in mine if subtask.round == latest)


def _findings_by_part(board: Board) -> list[Claim | None]:
    """Return, for each part of the task, the last claim about it."""
    assert board.problem is not None
    by_text: dict[str, Claim] = {}
    for claim in board.claims.values():
        if claim.subtask in board.subtasks:
            by_text[board.subtasks[claim.subtask].text] = claim
    return [by_text.get(part) for part in board.problem.parts]
