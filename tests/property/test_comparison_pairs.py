"""Every organisation of a comparison gets the same tasks, seeds and budget: what is compared are pairs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.engine.inputs import RunTasks
from agentsoc.experiment.comparison import parse_comparison
from agentsoc.experiment.grid import Grid, make_grid

ORGANISATIONS: dict[str, dict[str, Any]] = {
    "single": {"topology": "single", "protocol": "vote"},
    "preset": {"preset": "centralized"},
    "peers": {"topology": "independent", "protocol": "vote", "agents": {"temperature": 0.1}},
    "chain": {"topology": "chain", "protocol": {"kind": "aggregate"}, "attention": {"kind": "random", "k": 2}},
    "tree": {"topology": {"kind": "tree", "fan_in": 2, "depth": 2}, "protocol": "aggregate"},
    "star": {"topology": "star", "protocol": {"kind": "debate", "rounds": 2}, "budget": {"conclude": 50}},
}
TASKS = [
    {"kind": "signal", "count": 3},
    {"kind": "arithmetic", "count": 2},
    {"kind": "sentiment", "count": 2, "seed": 5},
    {"count": 4},
]


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    names = draw(st.lists(st.sampled_from(sorted(ORGANISATIONS)), min_size=2, max_size=5, unique=True))
    data: dict[str, Any] = {
        "name": "drawn",
        "base": {
            "seed": draw(st.integers(0, 2**40)),
            "tasks": {"kind": "signal", "count": 2},
            "agents": {"count": 4, "model": {"kind": "scripted"}},
            "budget": draw(st.sampled_from([{"tokens_per_task": 4000}, {"tokens": 90_000}])),
        },
        "organisations": {name: ORGANISATIONS[name] for name in names},
        "seeds": draw(
            st.one_of(st.integers(1, 3), st.lists(st.integers(0, 2**62), min_size=1, max_size=3, unique=True))
        ),
    }
    if draw(st.booleans()):
        data["agents"] = draw(st.lists(st.integers(2, 9), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        blocks = draw(st.lists(st.sampled_from(TASKS), min_size=1, max_size=3, unique_by=str))
        data["tasks"] = {f"block-{at}": block for at, block in enumerate(blocks)}
    return make_grid(parse_comparison(yaml.safe_dump(data)))


@settings(max_examples=60, deadline=None)
@given(grid=grids())
def test_cells_of_one_block_and_seed_have_the_same_tasks_seed_and_ceiling(grid: Grid) -> None:
    groups = defaultdict(list)
    for cell in grid.cells:
        groups[cell.tasks, cell.seed].append(cell)
    for cells in groups.values():
        assert {cell.organisation for cell in cells} == set(grid.asked.organisations)
        assert len({RunTasks(cell.scenario).hash for cell in cells}) == 1
        assert len({cell.scenario.seed for cell in cells}) == 1
        ceilings = {cell.scenario.budget.per_task(cell.scenario.tasks.count) for cell in cells if cell.scenario.budget}
        assert len(ceilings) == 1
    assert len({len(cells) for cells in groups.values()}) == 1
    assert grid.matched


@settings(max_examples=60, deadline=None)
@given(grid=grids())
def test_cells_have_names_of_their_own_and_their_names_say_their_place(grid: Grid) -> None:
    assert len({cell.id.lower() for cell in grid.cells}) == len(grid.cells)
    for cell in grid.cells:
        assert cell.id == f"{cell.organisation}-n{cell.n_agents}-{cell.tasks}-s{cell.seed}"
        assert len(cell.scenario.name) <= 80
    assert len({(cell.tasks, cell.seed, cell.scenario.seed) for cell in grid.cells}) == len(
        {cell.scenario.seed for cell in grid.cells}
    )
