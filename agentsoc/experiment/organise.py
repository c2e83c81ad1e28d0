"""This module makes the scenario of one organisation of a comparison: base, organisation and tasks laid together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from agentsoc.contracts.topology import TOPOLOGIES
from agentsoc.errors import InputError, Problem, ScenarioError, TopologyError
from agentsoc.experiment.comparison import MARK, ComparisonRequest
from agentsoc.experiment.fill import COUNT, KEY, Fill
from agentsoc.experiment.overlay import lay
from agentsoc.scenario.block import block
from agentsoc.scenario.draft import Draft, Setting
from agentsoc.scenario.explain import problems_of
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.models import BLOCK, with_models
from agentsoc.scenario.preset import PRESETS, expand, takes_count
from agentsoc.scenario.strict import Document, Position

NAME_LENGTH: Final = 80


@dataclass(frozen=True)
class CellPlace:
    """A place says which scenario of a comparison is meant: whose, on what, and at which number, ceiling and dial."""

    organisation: str
    tasks: str
    seed: int
    count: int | None = None
    """Number on the axis of agents."""
    budget: int | None = None
    """Ceiling of a task (tokens)."""
    fill: Fill | None = None
    value: int | None = None
    """Value of the dial."""

    def at(self, value: int) -> CellPlace:
        """Return the same with another value of the dial."""
        return replace(self, value=value)


@dataclass(frozen=True)
class Organised:
    """An organised place is its scenario, checked."""

    scenario: Scenario
    n_agents: int
    fixed: bool
    """Whether the organisation fixes its own number of agents."""


def organised(asked: ComparisonRequest, place: CellPlace) -> Organised:
    """Return the scenario of a place.

    Raises:
        ScenarioError: it is no scenario; with the place of each fault in the file of the comparison.
    """
    try:
        draft, fixed = _draft(asked, place)
        scenario = Scenario.model_validate(expand(draft.data))
        return Organised(scenario, _size(scenario), fixed)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, draft)) from None
    except InputError as error:
        raise ScenarioError([_placed(error, asked, place.organisation)]) from None


def _draft(asked: ComparisonRequest, place: CellPlace) -> tuple[Draft, bool]:
    """Return the draft of a scenario, and whether the organisation fixes its own number of agents."""
    organisation, count = place.organisation, place.count
    base = block(asked.draft, ("base",), (MARK, organisation))
    over = block(asked.draft, (MARK, organisation))
    over = replace(over, data={key: value for key, value in over.data.items() if key != KEY})
    below = dict(base.data)
    if "preset" in over.data:  # a preset says how to organise: what the base says of that is not laid over it
        for key in ("topology", "protocol"):
            below.pop(key, None)
    draft = Draft(below, base)
    if isinstance(groups := below.get("agents"), list) and len(groups) == 1:
        draft = draft.having(Setting(("agents",), groups[0], base, ("agents", 0)))
    for name, model in asked.comparison.models.items():
        if name not in (below.get(BLOCK) or ()):
            draft = draft.having(Setting((BLOCK, name), model, block(asked.draft, (BLOCK,)), (name,)))
    draft = lay(draft, over)
    if place.tasks in asked.comparison.tasks:
        draft = lay(draft, block(asked.draft, ("tasks",)), ("tasks",), (place.tasks,))
    name = f"{organisation}-{place.tasks}-s{place.seed}"
    draft = draft.having(Setting(("name",), name[:NAME_LENGTH].rstrip("-."), _here(asked, "name")))
    draft = draft.having(Setting(("seed",), place.seed, _here(asked, "seeds")))
    if place.budget is not None:
        draft = draft.having(Setting(("budget", "tokens_per_task"), place.budget, _here(asked, "budgets")))
    if count is not None:
        draft = _counted(draft, count, _here(asked, "agents"))
    from_axis = count is not None
    if place.fill is not None and place.value is not None:
        here = _here(asked, MARK, organisation, KEY)
        if place.fill.path == COUNT:
            draft, from_axis = _counted(draft, place.value, here), True
        else:
            draft = draft.having(Setting(place.fill.path, place.value, here))
    return _fixed(with_models(draft), over.data, from_axis)


def _here(asked: ComparisonRequest, *path: str) -> Document:
    """Return a document of one line, the place of a key in the file: that is where a value came from."""
    return Document(asked.draft.place(path), None, Position(1, 1), lines=False)


def _counted(draft: Draft, count: int, where: Document) -> Draft:
    """Return the draft with the number of agents of the axis."""
    groups = draft.data.get("agents")
    if isinstance(groups, list):
        what = f"a number of agents cannot be set: there are {len(groups)} groups of them"
        raise ScenarioError([Problem(draft.place(("agents",)), what, "use one group, or delete the agents axis")])
    return draft.having(Setting(("agents", "count"), count, where))


def _fixed(draft: Draft, own: Mapping[str, Any], from_axis: bool) -> tuple[Draft, bool]:
    """Drop a number of agents that was meant for all from an organisation that fixes its own; say whether it does."""
    groups, said = draft.data.get("agents"), own.get("agents")
    count = groups.get("count") if isinstance(groups, Mapping) else None
    if count is None or not isinstance(groups, Mapping):
        return draft, False
    if isinstance(said, Mapping) and "count" in said and not from_axis:
        return draft, False
    if not _fixes_its_own(draft.data):
        return draft, False
    kept = {key: value for key, value in groups.items() if key != "count"}
    placed = tuple((path, by) for path, by in draft.placed if path[:2] != ("agents", "count"))
    return Draft({**draft.data, "agents": kept}, draft.document, placed), True


def _fixes_its_own(data: Mapping[str, Any]) -> bool:
    """Return whether an organisation has a number of agents of its own, and the one that it is given is another."""
    preset = data.get("preset")
    if isinstance(preset, str) and preset in PRESETS and not takes_count(preset):
        return True
    try:
        whole = expand(data)
        topology = TOPOLOGIES.parse(whole.get("topology"))
    except (ValueError, InputError):  # its faults are told when the whole scenario is checked
        return False
    try:
        topology.size(whole["agents"].get("count"))
    except TopologyError:
        try:
            topology.size(None)
        except TopologyError:
            return False
        return True
    return False


def _size(scenario: Scenario) -> int:
    """Return the number of agents of a scenario."""
    counts = [group.count for group in scenario.agents]
    given = None if None in counts else sum(count for count in counts if count is not None)
    return scenario.topology.size(given)


def _placed(error: InputError, asked: ComparisonRequest, organisation: str) -> Problem:
    problem = error.problem
    where = asked.draft.place((MARK, organisation))
    return Problem(where, f"the organisation {organisation}: {problem.what}", problem.hint)
