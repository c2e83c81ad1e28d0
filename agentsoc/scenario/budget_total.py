"""A ``budget_total`` is a ceiling over all runs of a comparison or a sweep, split over them before the first starts.

Every task of every run gets the same part, whatever the run: so organisations stay matched, and what one run does not
use is not passed on to another, because then it would matter which of them was faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.part import Part
from agentsoc.errors import InputError
from agentsoc.scenario.budget import Budget, Sum, Tokens
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.prices import UNIT, money, units

_STEP: Final = UNIT // 10**6
"""A sum of money in a scenario has six decimals at most (units)."""


class BudgetTotal(Part):
    """A ceiling over all runs together, split evenly over the tasks of all of them before the start."""

    tokens: Tokens | None = None
    """Input and output of all runs (tokens)."""
    money: Sum | None = None
    """Cost of all runs by the scenario's prices (money)."""

    @model_validator(mode="after")
    def _some_limit(self) -> BudgetTotal:
        if self.tokens is None and self.money is None:
            raise PydanticCustomError(
                "no_limit",
                "budget_total needs a limit: tokens, money or both",
                {"hint": "for example: budget_total: {tokens: 1000000}"},
            )
        return self


def under_total(scenarios: Sequence[Scenario], total: BudgetTotal, where: str) -> list[Scenario]:
    """Return the scenarios with their part of a ceiling over all of them; of two limits the stricter one holds.

    Args:
        scenarios: of all runs.
        total: the ceiling.
        where: what an error names as its place.

    Raises:
        InputError: it is too small to give each task anything.
    """
    n_tasks = sum(scenario.tasks.count for scenario in scenarios)
    part: dict[str, float] = {}
    if total.tokens is not None:
        part["tokens_per_task"] = total.tokens // n_tasks
    if total.money is not None:
        part["money_per_task"] = money(units(total.money) // n_tasks // _STEP * _STEP)
    if not all(part.values()):
        raise InputError(
            f"budget_total gives nothing to each of {n_tasks:,} tasks in {len(scenarios):,} runs",
            where,
            "raise it, or take fewer runs or tasks",
        )
    return [_limited(scenario, part) for scenario in scenarios]


def under_total_of_levels(
    scenarios: Sequence[Scenario], total: BudgetTotal, where: str, *, besides: int = 0
) -> list[Scenario]:
    """Return the scenarios of a comparison with several budgets under a ceiling over all of them.

    What is compared is what each budget gives, so none is lowered: the tokens have to pay for all of them. Money is
    split over the tasks in proportion to their tokens.

    Args:
        scenarios: of all runs, each with its tokens of a task.
        total: the ceiling.
        where: what an error names as its place.
        besides: what pilots take, or can take at most (tokens).

    Raises:
        InputError: it is too small.
    """
    each = [(0 if one.budget is None else one.budget.per_task(one.tasks.count) or 0) for one in scenarios]
    needed = sum(tokens * one.tasks.count for tokens, one in zip(each, scenarios, strict=True))
    if total.tokens is not None and total.tokens < needed + besides:
        pilots = f", pilots to {besides:,}" if besides else ""
        raise InputError(
            f"budget_total is {total.tokens:,} tokens, and the budgets of {len(scenarios):,} runs come to "
            f"{needed:,}{pilots}",
            where,
            "raise it, or take fewer budgets, seeds or tasks: lowering the budgets would change what is compared",
        )
    if total.money is None:
        return list(scenarios)
    found = []
    for tokens, one in zip(each, scenarios, strict=True):
        part = units(total.money) * tokens // needed // _STEP * _STEP
        if not part:
            raise InputError(
                f"budget_total gives no money to a task with {tokens:,} tokens", where, "raise it, or take fewer runs"
            )
        found.append(_limited(one, {"money_per_task": money(part)}))
    return found


def _limited(scenario: Scenario, part: dict[str, float]) -> Scenario:
    own = {} if scenario.budget is None else scenario.budget.model_dump()
    stricter = {name: limit for name, limit in part.items() if own.get(name) is None or limit < own[name]}
    if not stricter:
        return scenario
    return scenario.model_copy(update={"budget": Budget.model_validate({**own, **stricter})})
