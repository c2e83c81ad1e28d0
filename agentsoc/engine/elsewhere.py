"""This module lets an episode show what was said in the episode of another task: the control of exposure to others.

Each task is shown what was said in the one before it, the first one what was said in the second. A turn of stage r is
shown what stood there after r stages, so it waits for stage r - 1 of another episode and never for one of its own
stage or a later one: whatever the order of events, somebody can go on. What stands where an episode has ended is shown
from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from agentsoc.contracts.board import Board, Claim
from agentsoc.contracts.turns import Turn


def shown_in(task: int) -> int:
    """Return the task whose episode `task` is shown."""
    return task - 1 if task else 1


class Elsewhere:
    """The object keeps what stood on boards after each stage, as long as another episode may be shown it."""

    def __init__(self, n_tasks: int) -> None:
        self._n = n_tasks
        self._stages: dict[int, list[Mapping[int, Claim]]] = {}
        self._ended: set[int] = set()
        self._moved: dict[int, asyncio.Event] = {}

    def _readers(self, task: int) -> list[int]:
        """Return the tasks that are shown what is said in `task`."""
        return [reader for reader in (0, task + 1) if reader < self._n and shown_in(reader) == task]

    def committed(self, board: Board) -> None:
        """Take in what stands on a board after a stage."""
        if self._readers(board.task):
            stands = {agent: board.claims[claim] for agent, claim in sorted(board.standing.items())}
            self._stages.setdefault(board.task, []).append(stands)
            self._move(board.task)

    def ended(self, task: int) -> None:
        """Take in that an episode has ended; what nobody will be shown any more is forgotten."""
        self._ended.add(task)
        self._move(task)
        source = shown_in(task)
        if all(reader in self._ended for reader in self._readers(source)):
            self._stages.pop(source, None)

    def _move(self, task: int) -> None:
        moved = self._moved.pop(task, None)
        if moved is not None:
            moved.set()

    async def dressed(self, board: Board, turns: Sequence[Turn]) -> Sequence[Turn]:
        """Return the turns of a stage with what they are shown in place of what they see."""
        if not any(turn.sees for turn in turns):
            return turns
        said = await self._stood(shown_in(board.task), board.round)
        return [in_place(turn, board, said) if turn.sees else turn for turn in turns]

    async def _stood(self, task: int, stages: int) -> Mapping[int, Claim]:
        """Return what stood in the episode of `task` after so many stages, or when it ended before."""
        while (there := len(self._stages.get(task, ()))) < stages and task not in self._ended:
            await self._moved.setdefault(task, asyncio.Event()).wait()
        return self._stages[task][min(stages, there) - 1] if there else {}


def in_place(turn: Turn, board: Board, said: Mapping[int, Claim]) -> Turn:
    """Return a turn that is shown what others said about another question, each claim as long as the one it replaces.

    In place of an agent's claim stands what the same agent said there, or, where it said nothing, what others said, in
    turn; where nobody said anything, nothing is shown.
    """
    if not said:
        return msgspec.structs.replace(turn, sees=())
    others = list(said.values())
    instead = []
    for place, claim in enumerate(dict.fromkeys(turn.sees)):
        own = board.claims[claim]
        other = said.get(own.agent) or others[place % len(others)]
        text = _as_long(other.text, own.text)
        shown = msgspec.structs.replace(own, answer=other.answer, text=text, confidence=other.confidence)
        instead.append(shown)
    return msgspec.structs.replace(turn, instead=tuple(instead))


def _as_long(text: str | None, like: str | None) -> str | None:
    """Return a text with as many words as another one: cut, or said again from its beginning."""
    words, wanted = (text or "").split(), len((like or "").split())
    if not words or not wanted:
        return None
    return " ".join([words[place % len(words)] for place in range(wanted)])
