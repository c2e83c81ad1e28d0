"""This module asks the verifier about the answers of one episode: to its question, to a state or to a part of it."""

from __future__ import annotations

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Decision
from agentsoc.contracts.task import Task, TaskFamily
from agentsoc.contracts.world import asked
from agentsoc.errors import RunFailedError

_SCORES_MAX = 4096
"""Verdicts kept of an episode; answers that are free text may all differ (answers)."""


class Scores:
    """The object asks the verifier of an episode, once for answers that many agents give alike."""

    def __init__(self, family: TaskFamily, task: Task, board: Board) -> None:
        self._family = family
        self._task = task
        self._board = board
        self._judged = family.judged_by() is not None
        self._known: dict[str | None, float] = {}

    def of_act(self, act: Act, state: str | None) -> float | None:
        """Return the verifier's score of an answer: to the question, or to a part of it; None for other subtasks."""
        task, answer, subtask = self._task, act.answer, act.subtask
        if state is not None:
            return self._verified(asked(self._family, task, state), answer)
        if self._judged and subtask is None:
            return None  # a judge grades final answers alone
        if subtask is None or subtask not in self._board.subtasks:
            score = self._known.get(answer)
            if score is None:
                score = self._verified(task, answer)
                if len(self._known) < _SCORES_MAX:
                    self._known[answer] = score
            return score
        text = self._board.subtasks[subtask].text
        if text in task.parts and task.part_truths:
            if answer is None:
                return 0.0
            return self._in_range(self._family.score_part(task, task.parts.index(text), answer))
        return self._verified(task, answer) if text == task.question and not self._judged else None

    def of_decision(self, decision: Decision) -> float:
        """Return the score of the society's answer; a union is right only if nothing in it is wrong."""
        score = self._verified(self._task, decision.answer) if decision.answer is not None else 0.0
        if decision.union:
            score = min(self._verified(self._task, part) for part in decision.union)
        return score

    def _verified(self, task: Task, answer: str | None) -> float:
        return self._in_range(self._family.score(task, answer))

    def _in_range(self, score: float) -> float:
        if not 0.0 <= score <= 1.0:  # no number is in no range: it must not reach a mean
            index = self._board.task
            raise RunFailedError(f"the verifier gave task {index} the score {score}; a score is between 0 and 1")
        return score
