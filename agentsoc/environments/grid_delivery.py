"""`grid-delivery`: carriers on one map, each with a parcel to fetch and to bring, who are in each other's way.

Nobody walks through walls, through others, or changes places with another; two who want into one cell both stay where
they are. Every map is drawn so that the fastest joint plan is known: it takes no longer than the longest way of anybody
alone, which nothing can beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from pydantic import Field

from agentsoc.contracts.environments import Action, Draw, Environment, State, Step
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.task import Task
from agentsoc.environments.grid_search import MOVES, Cell, alone, distances, length, together
from agentsoc.errors import InputError
from agentsoc.streams import stream

CARRIERS_MAX: Final = 8
_TRIES: Final = 60
"""Maps that are drawn before one without walls is."""
_DETOUR: Final = 24
"""Steps by which a plan that was spoiled may be longer than the longest way alone."""


class GridDelivery(Environment):
    """A map with walls, a parcel for each carrier, and others in the way."""

    kind: Literal["grid-delivery"] = "grid-delivery"
    size: int = Field(default=6, ge=3, le=16)
    """Rows and columns of the map (cells)."""
    walls: float = Field(default=0.2, ge=0, le=0.4)
    """Share of the cells that are walls."""
    steps: int = Field(default=60, ge=1, le=1_000)
    """Steps after which what is not delivered is lost."""
    crossing: bool = True
    """Whether maps are preferred on which carriers who only go their own shortest ways meet."""

    def check_agents(self, n: int) -> None:
        """Refuse more carriers than there is room for."""
        most = min(CARRIERS_MAX, self.size * self.size // 8)
        if n > most:
            raise InputError(
                f"a map of {self.size} by {self.size} has room for {most} carriers, got {n}",
                "agents.count",
                f"use a larger map, or at most {CARRIERS_MAX} carriers" if n <= CARRIERS_MAX else "use fewer carriers",
            )

    def horizon(self) -> int:
        """Return the steps that there are."""
        return self.steps

    def rules(self) -> str:
        """Return what carriers do."""
        return (
            "You and the others carry parcels on one map. Each goes to its pick-up cell, then to its drop cell, one "
            "cell a step: up, down, left, right, or stay. Nobody can enter a wall, a cell in which somebody stays or "
            "which another enters too, or change places with another. Be done together as early as you can."
        )

    def task(self, seed: int, index: int) -> Task:
        """Return map `index`; it is drawn when it is known how many carriers there are."""
        return Task(index, f"{self.kind}-{index}", self.rules(), "", data={"seed": seed})

    def opening(self, task: Task, n: int, seed: int) -> State:
        """Return a map on which everybody stands at the start."""
        self.check_agents(n)
        return {
            **_drawn(self, task.data["seed"], task.index, n),
            "n": n,
            "stage": 0,
            "done": [0] * n,
            "ended": None,
        }

    def observe(self, state: State, agent: int) -> Sight:
        """Return the map, and where to go."""
        if state["ended"] is not None:
            return Sight("It is over.", may_act=False)
        marks = {tuple(cell): str(other) for other, cell in enumerate(state["at"])}
        open_cells = {tuple(cell) for cell in state["open"]}
        rows = [
            "".join(
                marks.get((row, column), "." if (row, column) in open_cells else "#") for column in range(self.size)
            )
            for row in range(self.size)
        ]
        reached = state["done"][agent]
        pick_up, drop = (_place(goal) for goal in state["goals"][agent])
        todo = [
            f"Fetch the parcel at {pick_up} and bring it to {drop}.",
            f"Bring the parcel to {drop}.",
            "You are done.",
        ]
        others = ", ".join(
            f"{other} to {_place(state['goals'][other][state['done'][other]])}"
            for other in range(state["n"])
            if other != agent and state["done"][other] < 2
        )
        lines = [
            f"Step {state['stage'] + 1} of {self.steps}. The map, row 0 on top, # walls, digits carriers:",
            *rows,
            f"You are carrier {agent} at {_place(state['at'][agent])}. {todo[reached]}",
            f"Others are on their way: {others}." if others else "All others are done.",
        ]
        return Sight("\n".join(lines), tuple(MOVES))

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        """Move everybody who can move; whoever reaches a goal picks up or delivers."""
        at = [tuple(cell) for cell in state["at"]]
        wanted = [_moved(at[agent], actions[agent]) for agent in range(state["n"])]
        after = moved(at, wanted, frozenset(tuple(cell) for cell in state["open"]))
        told: dict[int, str] = {}
        rewards: dict[int, float] = {}
        done = list(state["done"])
        for agent, cell in enumerate(after):
            if cell != wanted[agent]:
                told[agent] = "The way is blocked: you stay where you are."
            while done[agent] < 2 and tuple(state["goals"][agent][done[agent]]) == cell:
                done[agent] += 1
                rewards[agent] = float(done[agent] == 2)
                told[agent] = "You have the parcel." if done[agent] == 1 else "The parcel is delivered."
        stage = state["stage"] + 1
        ended = "delivered" if min(done) == 2 else "time is up" if stage >= self.steps else None
        cells = [list(cell) for cell in after]
        return Step({**state, "at": cells, "done": done, "stage": stage, "ended": ended}, told, rewards)

    def default(self, state: State, agent: int) -> Action:
        """Return staying."""
        return "stay"

    def over(self, state: State) -> str | None:
        """Return that all is delivered, or that time is up."""
        return state["ended"]  # type: ignore[no-any-return]

    def score(self, task: Task, state: State) -> float:
        """Return the share of the parcels that were delivered, times the fastest plan's steps over those taken."""
        fastest: int = state["fastest"]
        took: int = max(state["stage"], fastest)
        delivered: int = sum(done == 2 for done in state["done"])
        n: int = state["n"]
        return delivered / n * fastest / took

    def outcome(self, task: Task, state: State) -> str:
        """Return what was delivered, and when."""
        delivered = sum(done == 2 for done in state["done"])
        return f"{delivered} of {state['n']} delivered in {state['stage']} steps, {state['fastest']} are possible"

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        """Return the next move of the joint plan, made anew where somebody has left it."""
        stage, at = state["stage"], [tuple(cell) for cell in state["at"]]
        ways = [[tuple(cell) for cell in way] for way in state["ways"]]
        if [way[min(stage, len(way) - 1)] for way in ways] == at:
            return _move(at[agent], ways[agent][min(stage + 1, len(ways[agent]) - 1)])
        left = tuple(
            tuple(tuple(goal) for goal in goals[done:])
            for goals, done in zip(state["goals"], state["done"], strict=True)
        )
        anew = _planned(frozenset(tuple(cell) for cell in state["open"]), tuple(at), left)
        return _move(at[agent], anew[agent])


@lru_cache(maxsize=512)
def _planned(
    open_cells: frozenset[Cell], starts: tuple[Cell, ...], goals: tuple[tuple[Cell, ...], ...]
) -> tuple[Cell, ...]:
    """Return where everybody goes next by a new plan; by their own shortest ways where none is found."""
    bound = max(alone(open_cells, start, each) or 0 for start, each in zip(starts, goals, strict=True))
    ways = together(open_cells, starts, goals, bound + _DETOUR)
    if ways is not None:
        return tuple(way[min(1, len(way) - 1)] for way in ways)
    return tuple(_own_way(open_cells, start, each)[1] for start, each in zip(starts, goals, strict=True))


def moved(at: Sequence[Cell], wanted: Sequence[Cell], open_cells: frozenset[Cell]) -> list[Cell]:
    """Return where everybody is after all have tried to move at once.

    Whoever wants into a wall, into a cell that somebody else comes to as well, or is in and does not leave, or to
    change places, stays; until nothing changes, because whoever stays may be in the way of the next.
    """
    after = [cell if cell in open_cells else here for here, cell in zip(at, wanted, strict=True)]
    while True:
        stays = {
            agent
            for agent, cell in enumerate(after)
            if cell != at[agent]
            and any(
                other != agent and (after[other] == cell or (at[other] == cell and after[other] == at[agent]))
                for other in range(len(at))
            )
        }
        if not stays:
            return after
        for agent in stays:
            after[agent] = at[agent]


@lru_cache(maxsize=256)
def _drawn(world: GridDelivery, seed: int, index: int, n: int) -> dict[str, object]:
    """Return a map with starts and goals whose fastest plan is known."""
    rng = stream(seed, "task", world.kind, index, n)
    spare: dict[str, object] | None = None
    for attempt in range(2 * _TRIES):
        found = _tried(world, rng, n, world.walls if attempt < _TRIES else 0.0)
        if found is None:
            continue
        layout, meet = found
        if meet or not world.crossing or n == 1:
            return layout
        spare = spare or layout
        if attempt >= _TRIES:
            break
    if spare is None:
        raise InputError(
            f"found no map of {world.size} by {world.size} for {n} carriers on which the fastest plan is known",
            "tasks.environment.size",
            "use a larger map, more steps, or fewer carriers",
        )
    return spare


def _tried(
    world: GridDelivery, rng: np.random.Generator, n: int, walls: float
) -> tuple[dict[str, object], bool] | None:
    """Return one drawn map, and whether own ways meet on it.

    None when somebody has no way, or the fastest plan is not known.
    """
    cells = [(row, column) for row in range(world.size) for column in range(world.size)]
    open_list = [cell for cell, draw in zip(cells, rng.random(len(cells)).tolist(), strict=True) if draw >= walls]
    order = rng.permutation(len(open_list)).tolist()
    if len(open_list) < 3 * n:
        return None
    open_cells = frozenset(open_list)
    picked = [open_list[place] for place in order[: 3 * n]]
    starts, goals = picked[:n], [[picked[n + agent], picked[2 * n + agent]] for agent in range(n)]
    alone_steps = [alone(open_cells, start, each) for start, each in zip(starts, goals, strict=True)]
    if any(steps is None for steps in alone_steps):
        return None
    bound = max(steps for steps in alone_steps if steps is not None)
    ways = together(open_cells, starts, goals, min(bound, world.steps))
    if ways is None:
        return None
    own = [_own_way(open_cells, start, each) for start, each in zip(starts, goals, strict=True)]
    layout = {
        "open": [list(cell) for cell in open_list],
        "at": [list(cell) for cell in starts],
        "goals": [[list(goal) for goal in each] for each in goals],
        "ways": [[list(cell) for cell in way] for way in ways],
        "fastest": length(ways),
    }
    return layout, _meet(own)


def _own_way(open_cells: frozenset[Cell], start: Cell, goals: Sequence[Cell]) -> list[Cell]:
    """Return a shortest way that looks at nobody; at least the start twice."""
    way = [start]
    for goal in goals:
        field = distances(open_cells, goal)
        while way[-1] != goal:
            row, column = way[-1]
            cells = [(row + down, column + right) for down, right in MOVES.values()]
            way.append(min((cell for cell in cells if cell in field), key=lambda cell: field[cell]))
    return way if len(way) > 1 else [start, start]


def _meet(ways: Sequence[Sequence[Cell]]) -> bool:
    """Tell whether two who go these ways are ever in one place, or change places."""
    for time in range(1, max(map(len, ways))):
        now = [way[min(time, len(way) - 1)] for way in ways]
        before = [way[min(time - 1, len(way) - 1)] for way in ways]
        if len(set(now)) < len(now):
            return True
        steps = {(a, b) for a, b in zip(before, now, strict=True) if a != b}
        if any((b, a) in steps for a, b in steps):
            return True
    return False


def _moved(cell: Cell, action: Action) -> Cell:
    down, right = MOVES[action]
    return cell[0] + down, cell[1] + right


def _move(cell: Cell, to: Cell) -> str:
    return next(name for name in MOVES if _moved(cell, name) == to)


def _place(cell: Sequence[int]) -> str:
    return f"row {cell[0]}, column {cell[1]}"
