"""This family asks for single steps of the tower of Hanoi: a chain of 2^n - 1 steps, and one error spoils the rest.

The setting of maximally decomposed processes (MAKER, arXiv 2511.09030): an agent is told the strategy, the state and
the previous move, and returns the next move and the next state. Pegs are 0, 1, 2; a state lists the disks of each peg
from the bottom up; disk 1 is the smallest. All disks go from peg 0 to peg 2.

The functions of the module are the sequential view: a runner starts at `initial`, takes what an agent says through
`strict_parse`, checks `is_legal` and goes on with `apply_move` until `is_solved`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, model_validator

from agentsoc.contracts.task import MadeOnDemand, Task, TaskFamily, parse_option, plain
from agentsoc.errors import TaskError
from agentsoc.reading.options import option_stated
from agentsoc.streams import stream

DISKS_MAX: Final = 20
GOAL: Final = 2

State = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Disks on pegs 0, 1 and 2, each from the bottom up."""


class Move(NamedTuple):
    """A move takes one disk from one peg to another."""

    disk: int
    source: int
    target: int


class HanoiMove(NamedTuple):
    """A step is what an agent returns: a move and the state after it."""

    move: Move
    state: State


def steps(disks: int) -> int:
    """Return the length of the shortest solution (moves)."""
    return (1 << disks) - 1


def initial(disks: int) -> State:
    """Return the state in which all disks are on peg 0."""
    return (tuple(range(disks, 0, -1)), (), ())


def is_solved(state: State) -> bool:
    """Return whether all disks are on peg 2."""
    return not state[0] and not state[1]


def is_legal(state: State, move: Move) -> bool:
    """Return whether `move` takes the top disk of its peg to an empty peg or onto a larger disk."""
    disk, source, target = move
    if not (0 <= source <= 2 and 0 <= target <= 2) or source == target:
        return False
    return bool(state[source]) and state[source][-1] == disk and (not state[target] or state[target][-1] > disk)


def legal_moves(state: State) -> tuple[Move, ...]:
    """Return all legal moves (two or three of them, as long as there is a disk), by source and target."""
    return tuple(
        move
        for source in range(3)
        if state[source]
        for target in range(3)
        if is_legal(state, move := Move(state[source][-1], source, target))
    )


def apply_move(state: State, move: Move) -> State:
    """Return the state after a legal `move`.

    Raises:
        ValueError: the move is not legal in `state`.
    """
    if not is_legal(state, move):
        raise ValueError(f"move {list(move)} is not legal in the state {write_state(state)}")
    pegs = [list(peg) for peg in state]
    pegs[move.target].append(pegs[move.source].pop())
    return (tuple(pegs[0]), tuple(pegs[1]), tuple(pegs[2]))


def best_move(state: State, goal: int = GOAL) -> Move | None:
    """Return the first move of the one shortest way from `state` to all disks on `goal`; None when they are there.

    From the largest disk down: a disk that is not where it has to be must move there, and until it does, all smaller
    ones have to gather on the third peg.
    """
    where = {disk: peg for peg in range(3) for disk in state[peg]}
    first: Move | None = None
    for disk in range(len(where), 0, -1):
        if where[disk] != goal:
            first = Move(disk, where[disk], goal)
            goal = 3 - where[disk] - goal
    return first


def state_after(disks: int, done: int) -> State:
    """Return the state after the first `done` moves of the shortest solution, without playing them.

    Disk k moves at the odd multiples of 2^(k-1), always the same way round: down (0, 2, 1, 0, ...) if the
    number of larger disks is even, up otherwise.
    """
    pegs: tuple[list[int], list[int], list[int]] = ([], [], [])
    for disk in range(disks, 0, -1):
        turns = (done + (1 << disk - 1)) >> disk
        pegs[(-turns if (disks - disk) % 2 == 0 else turns) % 3].append(disk)
    return (tuple(pegs[0]), tuple(pegs[1]), tuple(pegs[2]))


def write_state(state: State) -> str:
    """Return a state as ``[[3,2],[],[1]]``."""
    return json.dumps(state, separators=(",", ":"))


def write_step(step: HanoiMove) -> str:
    """Return the canonical form of an answer: ``move = [1,0,2] next_state = [[3,2],[],[1]]``."""
    return f"move = {json.dumps(step.move, separators=(',', ':'))} next_state = {write_state(step.state)}"


def write_move(move: Move) -> str:
    """Return a move in words."""
    return f"disk {move.disk} from peg {move.source} to peg {move.target}"


_INT: Final = r"\s*\d{1,4}\s*"
_LIST: Final = rf"\[(?:{_INT}(?:,{_INT})*|\s*)\]"
_MOVE = re.compile(rf"\bmove\b[^\w\[]{{0,8}}(\[{_INT},{_INT},{_INT}\])", re.IGNORECASE | re.ASCII)
_STATE = re.compile(
    rf"\bnext[ _]state\b[^\w\[]{{0,8}}(\[\s*{_LIST}\s*,\s*{_LIST}\s*,\s*{_LIST}\s*\])", re.IGNORECASE | re.ASCII
)


def strict_parse(text: str, disks: int) -> HanoiMove | None:
    """Return the step that `text` states, or None when anything about its form is suspicious.

    Exactly one ``move = [disk, from, to]`` and one ``next_state = [[..], [..], [..]]``; disk and pegs that exist; every
    disk exactly once. An answer that breaks its form is a warning that its content is wrong too, so it is to be drawn
    again, not repaired. That the move is legal or right is not checked here.
    """
    moves, states = _found(text)
    if len(moves) != 1 or len(states) != 1:
        return None
    move, state = moves[0], states[0]
    if not (1 <= move.disk <= disks and 0 <= move.source <= 2 and 0 <= move.target <= 2):
        return None
    return HanoiMove(move, state) if sorted(sum(state, ())) == list(range(1, disks + 1)) else None


def lenient_parse(text: str) -> HanoiMove | None:
    """Return the last move and the last state in `text`, whatever they say; None when either is missing."""
    moves, states = _found(text)
    return HanoiMove(moves[-1], states[-1]) if moves and states else None


def _found(text: str) -> tuple[list[Move], list[State]]:
    readable = unicodedata.normalize("NFKC", plain(text))
    moves = [Move(*map(int, re.findall(r"\d+", raw))) for raw in _MOVE.findall(readable)]
    states: list[State] = []
    for raw in _STATE.findall(readable):
        pegs = [tuple(map(int, re.findall(r"\d+", peg))) for peg in re.findall(r"\[([^\[\]]*)\]", raw)]
        states.append((pegs[0], pegs[1], pegs[2]))
    return moves, states


class Hanoi(TaskFamily):
    """One task a step of the shortest solution, from the first on; `count` is at most its length, 2^disks - 1."""

    kind: Literal["hanoi"] = "hanoi"
    disks: int = Field(default=4, ge=1, le=DISKS_MAX)
    """Disks of the tower; the solution has 2^disks - 1 steps."""
    ask: Literal["step", "move"] = "step"
    """The next move and the next state, as free text; or the next move alone, out of the two or three legal ones."""
    order: Literal["run", "sample"] = "run"
    """Task i is step i of the solution; or a step drawn at random, to estimate an error rate before a long run."""
    strict: bool = True
    """Whether an answer whose form is suspicious counts as none (see `strict_parse`)."""

    @model_validator(mode="before")
    @classmethod
    def _no_longer_than_the_solution(cls, data: Any) -> Any:
        """Lower the default of `count` to the length of a short solution, so that the run plays it to its end."""
        if isinstance(data, dict) and "count" not in data and data.get("order", "run") == "run":
            disks = data.get("disks", cls.model_fields["disks"].default)
            if type(disks) is int and 1 <= disks <= DISKS_MAX:
                return {**data, "count": min(steps(disks), cls.model_fields["count"].default)}
        return data

    @model_validator(mode="after")
    def _within_the_solution(self) -> Hanoi:
        if self.order == "run" and self.count > steps(self.disks):
            raise ValueError(
                f"with {self.disks} disks the solution has {steps(self.disks):,} steps, count is {self.count:,}:"
                " lower count, raise disks, or sample steps with order: sample"
            )
        return self

    def make(self, seed: int, index: int) -> Task:
        """Return step `index` of the solution, or sampled step `index`.

        Raises:
            TaskError: `order` is "run" and the solution has fewer steps.
        """
        total = steps(self.disks)
        step = index
        if self.order == "sample":
            step = int(stream(seed, "task", self.kind, index).integers(total))
        elif index >= total:
            raise TaskError(
                f"hanoi with {self.disks} disks has {total:,} steps, there is no step {index:,}",
                "tasks",
                "take more disks, or order: sample",
            )
        state = state_after(self.disks, step)
        following = state_after(self.disks, step + 1)
        move = _between(state, following)
        previous = _between(state_after(self.disks, step - 1), state) if step else None
        options = tuple(write_move(m) for m in legal_moves(state)) if self.ask == "move" else ()
        return Task(
            index=index,
            id=f"{self.kind}-{self.disks}-{step}" if self.order == "run" else f"{self.kind}-{self.disks}-draw-{index}",
            question=question(self.disks, state, previous, options),
            truth=write_move(move) if options else write_step(HanoiMove(move, following)),
            options=options,
            chance=1 / len(options) if options else 0.0,
        )

    def tasks(self, seed: int) -> Sequence[Task]:
        """Return the steps in order, as a sequence that makes each when it is looked at."""
        return MadeOnDemand(self, seed, self.count)

    def parse(self, task: Task, text: str) -> str | None:
        """Return the move that `text` names, or its move and state in canonical form."""
        if task.options:
            return parse_option(text, task.options)
        step = strict_parse(text, self.disks) if self.strict else lenient_parse(text)
        return None if step is None else write_step(step)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the move that `text` states, or its move and state in canonical form."""
        return option_stated(text, task.options) if task.options else self.parse(task, text)

    def takes_all(self) -> bool:
        """Return True: a move is read where it is whole, and one that is cut off is none."""
        return True


def question(disks: int, state: State, previous: Move | None, options: Sequence[str] = ()) -> str:
    """Return what an agent is asked in `state`: the rules, the strategy, the state and the move before it."""
    way = "0 to 1, 1 to 2, 2 to 0" if disks % 2 == 0 else "0 to 2, 2 to 1, 1 to 0"
    lines = [
        f"Towers of Hanoi with {disks} disk{'s' * (disks > 1)} on pegs 0, 1 and 2; disk 1 is the smallest."
        " Only the top disk of a peg moves, and never onto a smaller disk. All disks have to reach peg 2.",
        f"Strategy: if the previous move was not of disk 1, move disk 1 one peg on ({way});"
        " otherwise make the only legal move of another disk.",
        f"State, each peg from the bottom up: {write_state(state)}",
        f"Previous move [disk, from, to]: {'none' if previous is None else list(previous)}",
    ]
    if options:
        lines.append(f"What is the next move: {'; '.join(options)}?")
    else:
        lines.append("Give the next move and the state after it, in this form:")
        lines.append("move = [disk, from, to] next_state = [[..], [..], [..]]")
    return "\n".join(lines)


def _between(before: State, after: State) -> Move:
    """Return the move that leads from one state to the next."""
    source = next(peg for peg in range(3) if len(after[peg]) < len(before[peg]))
    target = next(peg for peg in range(3) if len(after[peg]) > len(before[peg]))
    return Move(before[source][-1], source, target)
