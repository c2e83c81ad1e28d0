"""Whether a run can be started at all, found out before anything is: its society, its tasks, its budget."""

from __future__ import annotations

from agentsoc.engine.forecast import require_a_call
from agentsoc.errors import InputError
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society


def ready_society(scenario: Scenario) -> BuiltSociety:
    """Return the society of a scenario of which a run can be started.

    Raises:
        InputError: no such society can be built, the tasks cannot be made, or the budget pays for no call; names the
            key of the scenario.
    """
    society = build_society(scenario)
    _require_tasks(scenario)
    require_a_call(society)
    return society


def _require_tasks(scenario: Scenario) -> None:
    """Check that the first and the last task exist: a family may read them from a file."""
    family = scenario.tasks
    try:
        family.make(scenario.tasks_seed, 0)
        family.make(scenario.tasks_seed, family.count - 1)
    except InputError as error:
        problem = error.problem
        what = f"{problem.where}: {problem.what}" if problem.where else problem.what
        raise InputError(f"the tasks cannot be made: {what}", "tasks", problem.hint) from error
