"""This module says what the agents on a host see: tasks, boards, and what they remember of earlier tasks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import View
from agentsoc.contracts.world import asked
from agentsoc.engine.attempts import PlannedTurn
from agentsoc.events import Event
from agentsoc.society.build import BuiltSociety
from agentsoc.society.calls import Exchange
from agentsoc.society.reply_form import VERDICTS
from agentsoc.streams import uniforms


class Views:
    """The object keeps tasks and boards of the episodes under way, and gives the views that turns have of them."""

    def __init__(self, society: BuiltSociety, boards: dict[int, Board] | None) -> None:
        """Prepare.

        Args:
            society: whose agents look.
            boards: the driver's boards when the host lives in its process; None to keep own ones and fold them.
        """
        self.society = society
        self._scenario = society.scenario
        self._family = society.scenario.tasks
        self._seed = society.scenario.seed
        self._boards: dict[int, Board] = {} if boards is None else boards
        self._folds = boards is None
        self._tasks: dict[int, Task] = {}
        self._memory: dict[int, list[str]] = {}

    def task(self, index: int) -> Task:
        """Return a task, made once and kept until its episode ends."""
        task = self._tasks.get(index)
        if task is None:
            task = self._tasks[index] = self._family.make(self._scenario.tasks_seed, index)
        return task

    def asked(self, planned: PlannedTurn) -> Task:
        """Return what a turn is asked: the task, or the question of the state in which the turn is taken."""
        task, state = self._tasks.get(planned.task) or self.task(planned.task), planned.turn.state
        return task if state is None else asked(self._family, task, state)

    def board(self, index: int) -> Board:
        """Return the board of an episode."""
        board = self._boards.get(index)
        if board is None:
            board = self._boards[index] = Board(index, self.task(index))
        return board

    def fold(self, task: int, events: Sequence[Event]) -> None:
        """Take in the committed events of one round of an episode."""
        board = self.board(task)
        if self._folds:
            board.fold(events)
        if events and events[-1].kind == "stop":  # a stop ends the episode
            self._remember(board)
            self._tasks.pop(task, None)
            if self._folds:
                self._boards.pop(task, None)

    def drop(self, task: int) -> None:
        """Forget an episode that has ended."""
        self._tasks.pop(task, None)
        self._boards.pop(task, None)

    def _remember(self, board: Board) -> None:
        """Keep what the agents said for later tasks, when these are taken one after the other."""
        if self._scenario.episodes != "sequential" or not any(group.memory for group in self._scenario.agents):
            return
        question = self.task(board.task).question
        for agent in board.standing:
            claim = board.position(agent)
            if claim is not None and self.society.group(agent).memory:
                notes = self._memory.setdefault(agent, [])
                notes.append(f"Earlier question: {question[:200]}\nYou answered: {claim.answer}")
                del notes[: -self.society.group(agent).memory]

    def view(self, planned: PlannedTurn) -> View:
        """Return what the agent of a turn sees."""
        task = self.asked(planned)
        board = self._boards.get(planned.task) or self.board(planned.task)
        turn = planned.turn
        claims, standing = board.claims, board.standing.get(turn.agent)
        question, options = task.question, task.options
        if turn.subtask is not None:
            subtask = board.subtasks[turn.subtask]
            if subtask.text != question:
                question = subtask.text if subtask.text in task.parts else f"{question}\nYour part: {subtask.text}"
                free = self._scenario.protocol.artefacts or subtask.text in task.parts
                options = () if free else task.options
        sees = turn.sees
        shown: tuple[Claim, ...] = tuple(map(claims.__getitem__, dict.fromkeys(sees))) if sees else ()
        own = None if standing is None or turn.fresh else claims.get(standing)
        left, team_left = planned.left, planned.team_left
        told = team_left if left is None else left
        round_, agent, seed = planned.round, turn.agent, self._seed
        return View(
            planned.task, round_, agent, question, options, turn, shown, own, told, seed, team_left, planned.note
        )

    def prompted(self, planned: PlannedTurn) -> View:
        """Return what an agent sees that is asked by a prompt: shown claims are in an order drawn for the turn.

        Models prefer places, so that places must not belong to authors. Where claims are compared with each other the
        protocol has drawn the order itself.
        """
        view = self.view(planned)
        n, turn = len(view.claims), planned.turn
        if n < 2 or turn.purpose in VERDICTS or self.society.rules.prompts == 1:
            return view
        purpose = f"order of claims {turn.slot}" if turn.slot else "order of claims"
        draws = uniforms(self._seed, purpose, planned.task, planned.round, turn.agent, draws=n)[0]
        return msgspec.structs.replace(view, claims=tuple([view.claims[i] for i in np.argsort(draws).tolist()]))

    def exchanges(self, planned: PlannedTurn) -> tuple[Exchange, ...]:
        """Return what the agent of a turn was asked and said before, each with the claims that it was shown."""
        return tuple(
            [
                Exchange(self.prompted(PlannedTurn(planned.task, each.round, each.turn)), each.said)
                for each in planned.earlier
            ]
        )

    def memory(self, agent: int) -> tuple[str, ...]:
        """Return what an agent remembers of earlier tasks, oldest first."""
        return tuple(self._memory.get(agent, ()))

    def instructed(self, planned: PlannedTurn) -> PlannedTurn:
        """Add what the agent remembers to the turn's instruction; by the first rules, others have it apart."""
        if self.society.rules.prompts > 1:
            return planned
        group = self.society.group(planned.turn.agent)
        if not group.memory or planned.turn.fresh:
            return planned
        notes = list(self._memory.get(planned.turn.agent, ()))
        board = self.board(planned.task)
        own = [c for c in board.claims.values() if c.agent == planned.turn.agent][-group.memory :]
        notes += [f"You said in round {c.round}: {c.answer or c.text}" for c in own[:-1]]
        if not notes:
            return planned
        text = "\n".join(notes[-group.memory :])
        instruction = f"{text}\n{planned.turn.instruction}".strip()
        return msgspec.structs.replace(planned, turn=msgspec.structs.replace(planned.turn, instruction=instruction))
