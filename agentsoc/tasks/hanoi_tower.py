"""This family takes the whole tower of Hanoi for one task: the society decides each of 2^n - 1 steps in its state.

A step shows the agents the strategy, the current state and the previous move, and nothing else of the run: the maximal
decomposition of MAKER (arXiv 2511.09030). One wrong step spoils the run: the shortest solution is unique, and there
are as many steps as it has moves.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from pydantic import Field

from agentsoc.contracts.task import Task, parse_option
from agentsoc.contracts.world import World
from agentsoc.reading.options import option_stated
from agentsoc.tasks.hanoi import (
    HanoiMove,
    Move,
    State,
    apply_move,
    best_move,
    initial,
    is_legal,
    is_solved,
    legal_moves,
    lenient_parse,
    question,
    steps,
    strict_parse,
    write_move,
    write_state,
    write_step,
)

DISKS_MAX: Final = 14
"""An episode has at most 65,534 rounds, and a step takes one or a few of them."""
_KEPT: Final = 1 << 13
"""Questions and states that are kept: runs go through the same ones (at about 2 kB each)."""
_MOVE: Final = re.compile(r"disk (\d+) from peg (\d) to peg (\d)")

Ask = Literal["step", "move"]


class TowerProgress(NamedTuple):
    """It says where a run stands: how many moves were made, the last of them and the state after it."""

    done: int
    """Moves made."""
    previous: Move | None
    state: State
    stuck: bool = False
    """The last answer was no move that can be made here."""


class HanoiTower(World):
    """Each task is a whole run of the tower; right is the one that has all disks on peg 2 after 2^disks - 1 steps."""

    kind: Literal["hanoi-tower"] = "hanoi-tower"
    count: int = Field(default=1, ge=1, le=1_000_000)
    """Runs of the tower (tasks)."""
    disks: int = Field(default=4, ge=1, le=DISKS_MAX)
    """Disks of the tower; a run has 2^disks - 1 steps."""
    ask: Ask = "step"
    """The next move and the next state, as free text; or the next move alone, out of the two or three legal ones."""
    strict: bool = True
    """Whether an answer whose form is suspicious counts as none; for `ask: step`."""

    def make(self, seed: int, index: int) -> Task:
        """Return run `index`: all are the same tower."""
        return Task(
            index=index,
            id=f"{self.kind}-{self.disks}-{index}",
            question=f"Move a tower of {self.disks} disks from peg 0 to peg 2, one step at a time.",
            truth=write_state(((), (), tuple(range(self.disks, 0, -1)))),
        )

    def opening(self, task: Task) -> str:
        """Return the state in which all disks are on peg 0."""
        return _write(TowerProgress(0, None, initial(self.disks)))

    def at(self, task: Task, state: str) -> Task | None:
        """Return the question about the next move; None when all moves are made, or a move could not be made."""
        return _at(self.disks, self.ask, state)

    def after(self, task: Task, state: str, answer: str | None) -> str:
        """Return the state after a step; a move that is not legal, or no answer, leaves the run stuck where it is.

        With `ask: step` the next state is what the agents say it is; one that does not follow from their move leaves
        the run stuck, too.
        """
        return _after(self.disks, self.ask, state, answer)

    def outcome(self, task: Task, state: str) -> str:
        """Return the state in which the run ended, as the answer to the whole task."""
        return write_state(read_place(state).state)

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

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 for the reference answer, else 0."""
        return 1.0 if answer == task.truth else 0.0


def read_place(text: str) -> TowerProgress:
    """Return where a state says that a run stands; the inverse of how the log writes it."""
    stuck = text.endswith(_STUCK)
    done, previous, pegs = text.removesuffix(_STUCK).split(" ")
    state: list[tuple[int, ...]] = [tuple(peg) for peg in json.loads(pegs)]
    move = None if previous == "-" else Move(*json.loads(previous))
    return TowerProgress(int(done), move, (state[0], state[1], state[2]), stuck)


_STUCK: Final = " stuck"


def _write(place: TowerProgress) -> str:
    previous = "-" if place.previous is None else json.dumps(place.previous, separators=(",", ":"))
    return f"{place.done} {previous} {write_state(place.state)}{_STUCK if place.stuck else ''}"


@lru_cache(maxsize=_KEPT)
def _at(disks: int, ask: Ask, state: str) -> Task | None:
    place = read_place(state)
    move = best_move(place.state)
    if place.stuck or place.done >= steps(disks) or move is None:
        return None
    options = tuple(write_move(m) for m in legal_moves(place.state)) if ask == "move" else ()
    return Task(
        index=0,
        id=f"hanoi-{disks}-{place.done}",
        question=question(disks, place.state, place.previous, options),
        truth=write_move(move) if options else write_step(HanoiMove(move, apply_move(place.state, move))),
        options=options,
        chance=1 / len(options) if options else 0.0,
    )


@lru_cache(maxsize=_KEPT)
def _after(disks: int, ask: Ask, state: str, answer: str | None) -> str:
    place = read_place(state)
    move: Move | None = None
    claimed: State | None = None
    if answer is not None and ask == "move":
        found = _MOVE.fullmatch(answer)
        move = None if found is None else Move(*map(int, found.groups()))
    elif answer is not None and (step := strict_parse(answer, disks)) is not None:
        move, claimed = step
    if move is None or not is_legal(place.state, move):
        return _write(place._replace(stuck=True))
    following = apply_move(place.state, move)
    if claimed is not None and claimed != following:
        return _write(place._replace(stuck=True))
    return _write(TowerProgress(place.done + 1, move, following))


__all__ = ["HanoiTower", "TowerProgress", "is_solved", "read_place"]
