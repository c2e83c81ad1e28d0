"""`roles`: a chain of stages, each with its own question, that pass artefacts on; the last one gives the answer.

The shape of chains of roles such as ChatDev (arXiv 2307.07924) and of planner, executor and critic. A stage asks one
agent for one thing; what it writes is an artefact with a name, which later stages read. A stage may check an earlier
artefact: while it rejects it, the chain goes back to where that was written, a limited number of times.

A chain that never goes back makes as many calls as it has stages (times the iterations of those who write); going back
from stage j to stage i makes j - i + 1 more. Each artefact is delivered to each later stage that reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from pydantic import Field, StringConstraints, field_validator

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.part import Part
from agentsoc.contracts.protocol import Act, Decision, Protocol, interpret_reply
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.errors import InputError
from agentsoc.events import COORDINATION, Event
from agentsoc.protocols.asking import answer_asks, refuse_inference, sourced, with_asks, work_asks
from agentsoc.society.attention import attend

_OVER: Final = frozenset(COORDINATION - {"delegate_subtask"}) | {"call_failed", "budget_exhausted", "flag"}
"""Kinds of events that say what became of a stage."""

_ABOVE: Final = "Written so far:"
WRITE: Final = work_asks(_ABOVE)
"""What a stage is asked that writes text: without a word on how to end with an answer, since it gives none."""
FINISH: Final = answer_asks(_ABOVE)
"""What the last stage is asked."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class RoleStage(Part):
    """One stage: who is asked for what, and what that agent reads."""

    name: Name
    """Name of what the stage writes: small letters, digits and dashes."""
    asks: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    """What the agent is asked to do, besides the task's question, which it is always told."""
    agent: Annotated[int, Field(ge=0)] | None = None
    """Who is asked; None for the agents in turn, one a stage."""
    reads: tuple[Name, ...] | None = None
    """Artefacts of earlier stages that it is shown; None for all of them."""
    checks: Name | None = None
    """The artefact that it accepts or rejects; None for a stage that writes something."""
    form: Literal["json", "short", "text"] | None = None
    """Form of the reply; None for that of the agent. A check in JSON has a reason, in a short form a verdict alone."""


class RoleChain(Protocol):
    """Stages follow each other. All but the last write freely; the last one is asked for the answer to the task."""

    concludes: ClassVar[bool] = True
    alone: ClassVar[str | None] = "its stages follow each other"
    artefacts: ClassVar[bool] = True

    kind: Literal["roles"] = "roles"
    stages: Annotated[tuple[RoleStage, ...], Field(min_length=1, max_length=64)]
    """The stages in their order; the last one gives the society's answer."""
    returns: int = Field(default=1, ge=0, le=100)
    """Times in an episode that a stage which rejects what it checks sends the chain back (returns)."""

    @field_validator("stages")
    @classmethod
    def _in_order(cls, stages: tuple[RoleStage, ...]) -> tuple[RoleStage, ...]:
        """Refuse a chain that names something which is not there yet, or that ends in a check."""
        written: dict[str, bool] = {}
        for stage in stages:
            for name in (*(stage.reads or ()), *((stage.checks,) if stage.checks else ())):
                if name not in written:
                    raise ValueError(f"stage {stage.name} names {name}, which no earlier stage writes")
            if stage.checks and written[stage.checks]:
                raise ValueError(f"stage {stage.name} checks {stage.checks}, which is a check itself")
            if stage.name in written:
                raise ValueError(f"two stages are called {stage.name}")
            written[stage.name] = stage.checks is not None
        if stages[-1].checks:
            raise ValueError("the last stage gives the answer, so it cannot be a check")
        return stages

    def check(self, society: Society) -> None:
        """Refuse a stage of an agent that does not exist, and parents that artefacts do not show."""
        refuse_inference(society, self.kind)
        for number, stage in enumerate(self.stages):
            if stage.agent is not None and stage.agent >= society.n:
                raise InputError(
                    f"there is no agent {stage.agent}; the society has agents 0 to {society.n - 1}",
                    f"protocol.stages.{number}.agent",
                )

    def agent_of(self, society: Society, stage: int) -> int:
        """Return who takes a stage."""
        given = self.stages[stage].agent
        return stage % society.n if given is None else given

    def _writers(self, society: Society) -> dict[int, int]:
        """Return the agents of the stages that write freely, by stage."""
        return {at: self.agent_of(society, at) for at, stage in enumerate(self.stages[:-1]) if stage.checks is None}

    def watcher(self, society: Society) -> Watcher:
        """Return the fold that follows the chain."""
        return StageProgress(self, society)

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Let agents take up the stages that are theirs, then return the stage that is due."""
        progress = self._progress(board)
        if not progress.begun:
            return [Turn(agent, "plan", by_rule=True) for agent in sorted(set(self._writers(society).values()))]
        return [] if progress.at >= len(self.stages) else [self._turn(society, board, progress.at)]

    def _turn(self, society: Society, board: Board, at: int) -> Turn:
        """Return the turn of a stage."""
        stage, agent, progress = self.stages[at], self.agent_of(society, at), self._progress(board)
        if stage.checks:
            checked = (progress.written[stage.checks],)
            return Turn(agent, "check", sees=checked, instruction=stage.asks, fresh=True, form=stage.form)
        sees = attend(society, board, agent, progress.readable(at))
        turn = Turn(agent, sees=sees, iterations=society.group(agent).iterations, fresh=True, form=stage.form)
        if at not in progress.subtasks:
            return with_asks(society, board, msgspec.structs.replace(turn, instruction=stage.asks), FINISH, "answer")
        turn = msgspec.structs.replace(turn, purpose="work", subtask=progress.subtasks[at])
        return with_asks(society, board, turn, WRITE, "work")

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read a check as usual; what a stage writes is a claim of its own, whose text begins with the stage's name."""
        progress = self._progress(board)
        if turn.purpose == "plan":
            mine = [at for at, agent in self._writers(society).items() if agent == turn.agent]
            return [
                Act("delegate_subtask", text=self.stages[at].asks, target=turn.agent, mints_subtask=True) for at in mine
            ]
        acts = interpret_reply(society, board, turn, sourced(turn, reply))
        if turn.purpose == "check":  # what is said of an artefact is as little an answer as the artefact
            subtask = board.claims[turn.sees[0]].subtask
            return [msgspec.structs.replace(act, subtask=subtask) for act in acts]
        name = self.stages[progress.at].name if turn.subtask is not None else None
        return [_as_written(act, name) for act in acts]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return what the last stage said; artefacts are no answers."""
        answer = self._progress(board).answer
        return Decision(None) if answer is None else Decision(board.claims[answer].answer, answer)

    def conclude(self, society: Society, board: Board) -> Turn | None:
        """Take the last stage with the artefacts that there are."""
        return None if self._progress(board).answer is not None else self._turn(society, board, len(self.stages) - 1)

    def deliveries(self, society: Society, board: Board, turn: Turn, acts: Sequence[Act]) -> int:
        """Count the later stages that read what was written; a rejection goes to whoever has to write again."""
        progress = self._progress(board)
        if turn.purpose == "plan" or turn.concluding or not acts or progress.at >= len(self.stages):
            return 0
        stage = self.stages[progress.at]
        if stage.checks:
            if acts[0].kind != "contradict_claim":
                return 0
            if progress.returns < self.returns:
                return 1
        return sum(1 for _ in self._readers(progress.at))

    def _readers(self, at: int) -> Iterator[RoleStage]:
        """Yield the later stages that are shown what a stage writes."""
        name = self.stages[at].name
        for later in self.stages[at + 1 :]:
            if later.checks == name or (not later.checks and (later.reads is None or name in later.reads)):
                yield later

    def _progress(self, board: Board) -> StageProgress:
        found = [watcher for watcher in board.watchers if isinstance(watcher, StageProgress)]
        return next(progress for progress in found if progress.rules == self)


class StageProgress:
    """The fold follows a chain: which stage is due, what was written, and how often the chain was sent back."""

    __slots__ = ("answer", "at", "begun", "returns", "rules", "society", "subtasks", "writers", "written")

    def __init__(self, rules: RoleChain, society: Society) -> None:
        self.rules, self.society = rules, society
        self.begun = not rules._writers(society)
        """Whether the agents have taken up their stages."""
        self.subtasks: dict[int, int] = {}
        """Stage -> its subtask, for stages that write freely."""
        self.at = 0
        """The stage that is due."""
        self.written: dict[str, int] = {}
        """Name of a stage -> the claim that it wrote last."""
        self.returns = 0
        """Times that the chain was sent back."""
        self.answer: int | None = None
        """What the last stage said (a claim)."""

    def readable(self, at: int) -> tuple[int, ...]:
        """Return the artefacts that a stage is shown; on a return also its own last one and what is said against it."""
        stage = self.rules.stages[at]
        wanted = [one.name for one in self.rules.stages[:at]] if stage.reads is None else list(stage.reads)
        if stage.name in self.written:
            wanted += [stage.name, *(one.name for one in self.rules.stages if one.checks == stage.name)]
        return tuple(sorted({self.written[name] for name in wanted if name in self.written}))

    def fold(self, events: Sequence[Event]) -> None:
        """Take in the events of one round: stages that agents take up, or what became of the stage that was due."""
        if not self.begun:
            self._take_up(events)
            return
        if self.at >= len(self.rules.stages):
            return
        last = self.rules.agent_of(self.society, len(self.rules.stages) - 1)
        for event in events:
            if event.kind not in _OVER:
                continue
            if event.claim is not None and event.answer is not None and event.subtask is None and event.agent == last:
                self.answer, self.at = event.claim, len(self.rules.stages)  # also by the concluding turn
            elif event.agent == self.rules.agent_of(self.society, self.at):
                self._step(event)
            return

    def _take_up(self, events: Sequence[Event]) -> None:
        taken: dict[int, list[int]] = {}
        for event in events:
            if event.kind == "delegate_subtask" and event.subtask is not None:
                taken.setdefault(event.agent, []).append(event.subtask)
        for at, agent in self.rules._writers(self.society).items():
            if taken.get(agent):
                self.subtasks[at] = taken[agent].pop(0)
        self.begun = True

    def _step(self, event: Event) -> None:
        """Note what a stage wrote or found, and which stage follows."""
        stages = self.rules.stages
        stage = stages[self.at]
        if event.claim is not None:
            self.written[stage.name] = event.claim
            for one in stages:
                if one.checks == stage.name:  # what was said against an earlier version
                    self.written.pop(one.name, None)
        if stage.checks and event.kind == "contradict_claim" and self.returns < self.rules.returns:
            self.returns += 1
            self.at = next(at for at, one in enumerate(stages) if one.name == stage.checks)
            return
        self.at += 1
        while self.at < len(stages) and (name := stages[self.at].checks) is not None and name not in self.written:
            self.at += 1  # there is nothing to check


def _as_written(act: Act, name: str | None) -> Act:
    """Return the claim that a stage makes: never an endorsement of what it read, and with its name before the text."""
    if act.kind == "endorse_claim":
        act = msgspec.structs.replace(act, kind="revise_claim", target=None)
    if name is None:
        return act
    return msgspec.structs.replace(act, text=name if act.text is None else f"{name}: {act.text}")
