"""Which part of a task a subtask is: by its words, and among parts of the same words by the order of handing out."""

from __future__ import annotations

from agentsoc.contracts.board import Board
from agentsoc.contracts.task import Task


def part_of(task: Task, board: Board, subtask: int | None) -> int | None:
    """Return the index of the part of `task` that `subtask` is; None when it is none of them.

    Args:
        task: whose `parts` are looked through.
        board: the state of the episode, which holds the subtask's text.
        subtask: its id; None for the question itself, which is no part.
    """
    work = None if subtask is None else board.subtasks.get(subtask)
    if work is None or work.text not in task.parts:
        return None
    if task.parts.count(work.text) == 1:
        return task.parts.index(work.text)
    same = [part for part, text in enumerate(task.parts) if text == work.text]
    handed = sorted(one.id for one in board.subtasks.values() if one.text == work.text)
    return same[handed.index(work.id) % len(same)]
