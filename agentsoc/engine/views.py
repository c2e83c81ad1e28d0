"""This module says what the agents on a host see: tasks, boards, and what they remember of earlier tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from agentsoc.contracts.board import Board
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import View
from agentsoc.contracts.world import asked
from agentsoc.engine.attempts import PlannedTurn
from agentsoc.events import Event
from agentsoc.society.build import BuiltSociety
from agentsoc.society.calls import Exchange
from agentsoc.society.probe import with_answer, without_claim
from agentsoc.society.sight import in_shown_order, orders_drawn, view_of

_MANY: Final = 16
"""Turns of a round from which on it pays to draw for all of them at once (turns)."""
_NONE_DRAWN: Final[tuple[int, dict[int, float]]] = (-1, {})


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
        self._boards: dict[int, Board] = {} if boards is None else boards
        self._folds = boards is None
        self._tasks: dict[int, Task] = {}
        self._memory: dict[int, list[str]] = {}
        self._drawn: dict[int, tuple[int, dict[int, float]]] = {}
        """Task -> its round under way, and what decides for agents in which order claims are shown."""

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
            self._drawn.pop(task, None)
            if self._folds:
                self._boards.pop(task, None)

    def drop(self, task: int) -> None:
        """Forget an episode that has ended."""
        self._tasks.pop(task, None)
        self._drawn.pop(task, None)
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
        index, turn, stage = planned.task, planned.turn, planned.stage
        task = self._tasks.get(index) or self.task(index)
        if turn.state is not None:
            task = asked(self._family, task, turn.state)
        board = self._boards.get(index) or self.board(index)
        when = planned.round if stage is None else stage  # `seen_at`, which costs a call of its own for every turn
        view = view_of(self.society, task, board, turn, planned.left, planned.team_left, planned.note, when)
        return msgspec.structs.replace(view, steps=planned.steps) if planned.steps else view

    def prompted(self, planned: PlannedTurn) -> View:
        """Return what an agent sees that is asked by a prompt: shown claims are in an order drawn for the turn."""
        round_, drawn = self._drawn.get(planned.task, _NONE_DRAWN)
        number = drawn.get(planned.turn.agent) if round_ == planned.seen_at else None
        view = in_shown_order(self.society, self.view(planned), number)
        if planned.swapped is not None:
            return with_answer(view, *planned.swapped)
        return view if planned.without is None else without_claim(view, planned.without)

    def expect(self, turns: Sequence[PlannedTurn]) -> None:
        """Draw the orders in which the turns of a round show claims, where they are many."""
        if len(turns) < _MANY or self.society.rules.prompts == 1:
            return
        task, round_ = turns[0].task, turns[0].seen_at
        agents = [each.turn.agent for each in turns if len(each.turn.sees) > 1]
        if agents:
            self._drawn[task] = round_, orders_drawn(self.society, task, round_, agents)

    def exchanges(self, planned: PlannedTurn) -> tuple[Exchange, ...]:
        """Return what the agent of a turn was asked and said before, each with the claims that it was shown."""
        if not planned.earlier:
            return ()
        history = self.society.group(planned.turn.agent).history
        if history == "none":
            return (Exchange(None, planned.earlier[-1].said),)
        seen = (
            self.prompted if history == "all" else self.view
        )  # an order of claims is drawn where they are shown again
        return tuple(
            [
                Exchange(seen(PlannedTurn(planned.task, each.round, each.turn, steps=each.steps)), each.said)
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
