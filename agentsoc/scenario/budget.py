"""The ``budget`` block sets limits by scope and resource, says how they are split and what agents are told of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.part import Part, Slot, nearest
from agentsoc.scenario.prices import Money, units

if TYPE_CHECKING:
    from agentsoc.contracts.policy import Policy
else:
    Policy = Annotated[Part, Slot("agentsoc.policies", "budget policy")]

Tokens = Annotated[int, Field(ge=1, le=10**15)]
Calls = Annotated[int, Field(ge=1, le=10**12)]
Scope = Literal["hidden", "self", "team", "both"]
Sum = Annotated[Money, Field(gt=0)]

PLACEHOLDERS: Final = ("whose", "resource", "used", "limit", "left", "percent", "tier")
"""What the line about a resource may name in braces."""
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
NUMBER_CHARS: Final = 24
"""No amount is longer than this in a note (characters)."""


class Limits(NamedTuple):
    """The ceilings of one scope; None means that there is no limit."""

    tokens: int | None = None
    calls: int | None = None
    money: int | None = None
    """In units of 10^-12."""

    @property
    def any(self) -> bool:
        """Tell whether anything is limited."""
        return self.tokens is not None or self.calls is not None or self.money is not None


class Tier(Part):
    """A range of what is left, with the advice that goes with it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    """Stands for {tier}."""
    at_least: Annotated[int, Field(ge=0, le=100)]
    """The tier holds when at least this much is left and no higher tier does (percent)."""
    advice: Annotated[str, StringConstraints(max_length=400)] = ""
    """Said once, after the lines, for the tier of the scarcest resource."""


TIERS: Final = (
    Tier(name="HIGH", at_least=70, advice="There is room to explore: work thoroughly."),
    Tier(name="MEDIUM", at_least=30, advice="Spend on what decides the question."),
    Tier(name="LOW", at_least=10, advice="Settle open points and stop exploring."),
    Tier(name="CRITICAL", at_least=0, advice="Give your best answer now, briefly."),
)


class Shown(Part):
    """What agents are told of the budget: the state at the start of the round, as the committed events have it.

    In place of the mapping the scope alone may stand: `shown: team`.
    """

    scope: Scope = "team"
    """Nothing; the agent's own share, which needs a policy; the whole team's; both."""
    style: Annotated[str, StringConstraints(min_length=1, max_length=400)] = (
        "{whose} {resource}: {left} of {limit} left ({percent} %)."
    )
    """One line for each limited resource and scope: {whose}, {resource}, {used}, {limit}, {left}, {percent}, {tier}."""
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=10)] = TIERS
    """From most to least left; the last one begins at 0."""
    placebo: bool = False
    """Whether neutral words of the same length take the note's place: the control for having said anything at all."""

    @field_validator("style")
    @classmethod
    def _known_names(cls, style: str) -> str:
        for match in _BRACES.finditer(style):
            if match.group(1) not in PLACEHOLDERS:
                raise PydanticCustomError(
                    "note_variable",
                    "{variable} is nothing that a line about the budget can name",
                    {"variable": "{" + match.group(1)[:60] + "}", "hint": nearest(match.group(1), PLACEHOLDERS)},
                )
        return style

    @field_validator("tiers")
    @classmethod
    def _descending(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        bounds = [tier.at_least for tier in tiers]
        if bounds != sorted(set(bounds), reverse=True) or bounds[-1] != 0:
            raise PydanticCustomError(
                "tier_order",
                "tiers go from most to least left, each at_least once, and end with 0",
                {"hint": "for example at_least: 70, 30, 10, 0"},
            )
        return tiers

    @property
    def told(self) -> bool:
        """Tell whether agents learn anything of the budget."""
        return self.scope != "hidden" and not self.placebo

    def bytes_max(self) -> int:
        """Return a bound on the length of a note (bytes, hence tokens)."""
        if self.scope == "hidden":
            return 0
        tier = max(len(t.name.encode()) for t in self.tiers)
        line = len(self.style.encode()) + len(_BRACES.findall(self.style)) * max(NUMBER_CHARS, tier) + 1
        advice = max(len(t.advice.encode()) for t in self.tiers) + tier + 3
        return 4 * line * (2 if self.scope == "both" else 1) + advice


class Budget(Part):
    """What may be spent: no call is made that could pass it.

    Each limit holds for itself; of two limits on one resource the stricter one holds.
    """

    tokens: Tokens | None = None
    """Input and output of the whole run (tokens); split evenly over its tasks before the start."""
    tokens_per_task: Tokens | None = None
    """Input and output of each task (tokens)."""
    calls: Calls | None = None
    """Attempts to call a model in the whole run (attempts); split evenly over its tasks."""
    calls_per_task: Calls | None = None
    """Attempts to call a model in each task (attempts)."""
    money: Sum | None = None
    """Cost of the whole run by the scenario's prices (money); split evenly over its tasks."""
    money_per_task: Sum | None = None
    """Cost of each task by the scenario's prices (money)."""
    tool_calls: Calls | None = None
    """Calls of tools in the whole run (calls); split evenly over its tasks."""
    tool_calls_per_task: Calls | None = None
    """Calls of tools in each task (calls): all that agents ask for but those that are refused for want of budget."""
    conclude: Annotated[int, Field(ge=0, le=10**15)] | None = None
    """Kept aside in each task for one concluding call (tokens); None for what that call needs at most."""
    policy: Policy | None = None
    """How a task's budget is split into shares; None for one purse that all agents draw on in turn order."""
    shown: Shown = Shown(scope="hidden")
    """What agents are told of it."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"calls", "calls_per_task", "money", "money_per_task", "tool_calls", "tool_calls_per_task", "policy", "shown"}
    )

    @field_validator("shown", mode="before", json_schema_input_type=Shown | Scope)
    @classmethod
    def _scope_alone(cls, value: Any) -> Any:
        """Take a bare word for a scope."""
        return {"scope": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Budget:
        tokens = [limit for limit in (self.tokens, self.tokens_per_task) if limit is not None]
        others = (
            *(self.calls, self.calls_per_task, self.money, self.money_per_task),
            *(self.tool_calls, self.tool_calls_per_task),
        )
        if not tokens and all(limit is None for limit in others):
            raise PydanticCustomError(
                "no_limit",
                "a budget needs a limit: tokens, calls or money, for the run or per task",
                {"hint": "for example: budget: {tokens_per_task: 3000}; delete budget for no limit"},
            )
        if self.conclude is not None and (not tokens or self.conclude >= min(tokens)):
            raise PydanticCustomError(
                "nothing_left",
                "conclude keeps {conclude} tokens aside, and the budget is {limit}",
                {
                    "conclude": self.conclude,
                    "limit": min(tokens) if tokens else "not in tokens",
                    "hint": "lower conclude, or raise the budget",
                },
            )
        if self.policy is not None and not tokens and self.policy.needs_tokens:
            raise PydanticCustomError(
                "policy_tokens",
                "the policy {kind} splits tokens, and the budget limits none",
                {"kind": self.policy.kind, "hint": "add tokens_per_task"},
            )
        if self.shown.scope in ("self", "both") and self.policy is None:
            raise PydanticCustomError(
                "no_shares",
                "agents have no share of their own to be shown: all draw on one purse",
                {"hint": "show the team's budget (shown: team), or split it: policy: uniform"},
            )
        return self

    def per_task(self, n_tasks: int) -> int | None:
        """Return the ceiling of one task (tokens); None when tokens are not limited."""
        return self.limits(n_tasks).tokens

    def tool_call_limit(self, n_tasks: int) -> int | None:
        """Return how many calls of tools a task may make; None without a limit."""
        return _stricter(self.tool_calls, self.tool_calls_per_task, n_tasks)

    def limits(self, n_tasks: int) -> Limits:
        """Return the ceilings of one task; those of `n_tasks` tasks add up to no more than the run's."""
        run_money = None if self.money is None else units(self.money)
        task_money = None if self.money_per_task is None else units(self.money_per_task)
        return Limits(
            _stricter(self.tokens, self.tokens_per_task, n_tasks),
            _stricter(self.calls, self.calls_per_task, n_tasks),
            _stricter(run_money, task_money, n_tasks),
        )


def _stricter(run: int | None, task: int | None, n_tasks: int) -> int | None:
    given = [run // n_tasks] if run is not None else []
    return min([*given, task]) if task is not None else given[0] if given else None
