"""From a scenario to a society: agents with their settings, wired by the topology. A pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentsoc.contracts.board import Board, Watcher
from agentsoc.contracts.prompts import PromptSet
from agentsoc.contracts.rules import NEWEST, Rules
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.topology import check_window
from agentsoc.contracts.world import World
from agentsoc.errors import InputError, TopologyError
from agentsoc.scenario.model import Scenario
from agentsoc.society.equipment import offered_toolsets, require_acting_fits
from agentsoc.society.templates import check_prompts
from agentsoc.streams import stream


@dataclass(frozen=True)
class BuiltSociety(Society):
    """A society with the scenario that it was built from: its protocol, its budget, how calls are made."""

    scenario: Scenario


def build_society(scenario: Scenario, *, stored: bool = False, rules: Rules = NEWEST) -> BuiltSociety:
    """Return the society of a scenario.

    Args:
        scenario: what it says.
        stored: whether a run was made from it before; then nobody's reading is measured against a window, as an earlier
            version may have allowed more, and its log replays all the same.
        rules: the rules that its runs are made by; those of a stored run stand in its manifest.

    Raises:
        TopologyError: the topology does not exist for this number of agents, or a node's reading does not fit its
            model's context window.
        InputError: the protocol cannot run on this society.
    """
    n, start = _sizes(scenario)
    wiring = scenario.topology.wiring(n, stream(scenario.seed, "topology"))
    society = BuiltSociety(
        seed=scenario.seed,
        wiring=wiring,
        groups=scenario.agents,
        group_start=tuple(start),
        tasks=scenario.tasks,
        tasks_seed=scenario.tasks_seed,
        attention=scenario.attention,
        message_tokens=scenario.message_tokens,
        parents=scenario.parents,
        faults=scenario.faults,
        rules=rules,
        prompts=scenario.prompts,
        peers_see=scenario.peers_see,
        scenario=scenario,
        toolsets=offered_toolsets(scenario),
    )
    for index, group in enumerate(scenario.agents):
        window = group.model.context_window()
        if window is not None and not stored:
            check_window(wiring, scenario.message_tokens, window, agents=slice(start[index], start[index + 1]))
    if rules.prompts > 1 and not stored:
        _require_memory_to_matter(scenario)
    if any(block != PromptSet() for block in (scenario.prompts, *(group.prompts for group in scenario.agents))):
        check_prompts(society)
    _require_parts_that_fit(scenario)
    require_acting_fits(society, scenario)
    scenario.protocol.check(society)
    if scenario.budget is not None and scenario.budget.policy is not None:
        scenario.budget.policy.check(society)
    return society


def _sizes(scenario: Scenario) -> tuple[int, list[int]]:
    """Return the number of agents, and the first agent of each group with that number at the end."""
    counts = [group.count for group in scenario.agents]
    if None in counts and len(counts) > 1:
        raise InputError(
            "a list of agent groups needs a count in each group", "agents", "only a single group may leave it out"
        )
    given = None if counts[0] is None else sum(count for count in counts if count is not None)
    n = scenario.topology.size(given)
    if given is None:
        counts = [n]
    elif given != n:
        raise TopologyError(
            f"{scenario.topology.kind} is an organisation of {n} agents here, but agents counts {given}"
        )
    start = [0]
    for count in counts:
        start.append(start[-1] + (count or 0))
    return n, start


def _require_parts_that_fit(scenario: Scenario) -> None:
    """Refuse a protocol that asks one question where the task has many steps, and probes where nobody reads a prompt.

    Raises:
        InputError: that is so.
    """
    if isinstance(scenario.tasks, World) and not scenario.protocol.worlds:
        raise InputError(
            f"{scenario.tasks.kind} is a task of many steps, and {scenario.protocol.kind} asks one question",
            "protocol",
            "use protocol resample, which decides step by step",
        )
    if scenario.protocol.elsewhere and (scenario.episodes == "sequential" or scenario.tasks.count < 2):
        short = scenario.tasks.count < 2
        raise InputError(
            f"{scenario.protocol.kind} shows what was said in another task"
            + (", and there is only one" if short else " that goes on at the same time"),
            "tasks.count" if short else "episodes",
            "give it two tasks or more" if short else "use episodes: concurrent",
        )
    if scenario.topology.live and not scenario.protocol.follows_routes:
        raise InputError(
            f"edges of {scenario.topology.kind} change while it runs, which {scenario.protocol.kind} does not follow",
            "topology",
            "use protocol debate, whose agents hear others anew in every round",
        )
    if scenario.protocol.remembers and scenario.episodes != "sequential":
        raise InputError(
            f"{scenario.protocol.kind} remembers earlier tasks, so it takes tasks one after the other",
            "episodes",
            "use episodes: sequential, or protocol.memory: none",
        )
    judge = scenario.tasks.judged_by()
    if judge is not None and not judge.model.open(seed=scenario.seed).journaled:
        where = "tasks.scoring.judge.model"
        raise InputError(f"{judge.model.label()} reads no rubric", where, "name a model that does")
    if scenario.probe is not None and not any(
        group.model.open(seed=scenario.seed).journaled for group in scenario.agents
    ):
        raise InputError(
            "probe asks models again, and no agent here is a model that reads a prompt", "probe", "leave it out"
        )


def _require_memory_to_matter(scenario: Scenario) -> None:
    """Refuse memory that nothing is carried over by: episodes that run side by side have no earlier tasks.

    Raises:
        InputError: there is a group with such a memory.
    """
    if scenario.episodes != "sequential" and any(group.memory for group in scenario.agents):
        raise InputError(
            "memory carries an agent's replies over from task to task, and these tasks are taken side by side",
            "agents.memory",
            "set episodes: sequential; or, to show agents their earlier rounds of the same task, history: own",
        )


def open_board(societies: Sequence[BuiltSociety], index: int, task: Task) -> Board:
    """Return the empty board of an episode, with the folds that the protocols of these societies keep beside it."""
    board = Board(index, task)
    board.watchers = new_watchers(societies)
    return board


def new_watchers(societies: Sequence[BuiltSociety]) -> tuple[Watcher, ...]:
    """Return new folds for a board, one for each society whose protocol keeps one."""
    watchers = [society.scenario.protocol.watcher(society) for society in societies]
    watchers += [society.scenario.topology.router(society) for society in societies]
    return tuple(watcher for watcher in watchers if watcher is not None)
