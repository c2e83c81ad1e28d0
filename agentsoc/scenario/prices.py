"""The ``prices`` of a scenario say what tokens and calls cost; arithmetic with them is exact.

Money is counted in whole numbers of 10^-12 of whatever currency the prices are in, so that sums are exact, never
depend on an order, and a limit can be kept to the last digit. Nothing here uses the context of `decimal`, whose
precision is everybody's to change (a task family of reasoning-gym does). Prices per million tokens with up to six
decimals are whole numbers of that unit per token.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.part import Part

UNIT: Final = 10**12
"""Units of money in one of the currency."""
DECIMALS: Final = 6


def _decimals(value: float) -> float:
    if (Fraction(repr(value)) * 10**DECIMALS).denominator > 1:
        raise PydanticCustomError(
            "too_fine",
            "a sum of money has at most {n} decimals",
            {"n": DECIMALS, "hint": f"round it: {value:.{DECIMALS}f}"},
        )
    return value


Money = Annotated[float, Field(ge=0, le=1e9), AfterValidator(_decimals)]
"""A sum of money, in the currency of the prices."""


class Price(Part):
    """The price of one model, in money per million tokens and per call."""

    input: Money
    """A million prompt tokens that are not cached (money)."""
    output: Money
    """A million output tokens, reasoning included (money)."""
    cached: Money | None = None
    """A million prompt tokens that the provider served from its cache (money); None for the price of input."""
    call: Money = 0.0
    """Every attempt that had an outcome, and every one lost in a crash (money)."""

    @model_validator(mode="before")
    @classmethod
    def _call_alone(cls, data: Any) -> Any:
        """Let the price of a tool say what a call costs and nothing else."""
        return {"input": 0.0, "output": 0.0, **data} if isinstance(data, dict) and set(data) == {"call"} else data

    @property
    def rate(self) -> Rate:
        """Return the same price in units, as arithmetic needs it."""
        cached = self.input if self.cached is None else self.cached
        per_token = UNIT // 10**6
        return Rate(
            units(self.input, per_token), units(cached, per_token), units(self.output, per_token), units(self.call)
        )


Prices = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Price], Field(max_length=1_000)
]
"""Prices by model: its own name (openai/gpt-4o-mini) or else its kind (local); by tool: ``tool:`` and its name."""


class Rate(NamedTuple):
    """A price in units of 10^-12, per token and per call."""

    input: int
    cached: int
    output: int
    call: int

    def cost(self, tokens_in: int, tokens_cached: int, tokens_out: int, calls: int) -> int:
        """Return the cost of what was used (units). `tokens_in` includes the cached ones."""
        cached = min(tokens_cached, tokens_in)
        return (tokens_in - cached) * self.input + cached * self.cached + tokens_out * self.output + calls * self.call

    def most(self, tokens_in: int, tokens_out: int, calls: int) -> int:
        """Return the most that this may cost, however much of it is cached (units)."""
        return tokens_in * max(self.input, self.cached) + tokens_out * self.output + calls * self.call


FREE: Final = Rate(0, 0, 0, 0)
TOOL: Final = "tool:"
"""How the name of a tool begins in a table of prices."""


def tool_prices(prices: Mapping[str, Price]) -> dict[str, int]:
    """Return what a call of each tool costs that has a price (units), by its name."""
    return {name.removeprefix(TOOL): price.rate.call for name, price in prices.items() if name.startswith(TOOL)}


def tool_cost(prices: Mapping[str, int], calls: Iterable[tuple[str | None, str | None]]) -> int:
    """Return what calls of tools cost (units), given the answer and the text of their events; refused ones are free."""
    total = 0
    for said, text in calls:
        if not (text or "").startswith("limit: "):
            with contextlib.suppress(ValueError, RecursionError):  # a stranger's event may say anything
                call = json.loads(said or "null")
                total += prices.get(str(call.get("tool")), 0) if isinstance(call, dict) else 0
    return total


def units(value: float, per: int = UNIT) -> int:
    """Return a sum of money in units."""
    return int(Fraction(repr(value)) * per)


def money(amount: int) -> float:
    """Return units as a sum of money, as near as a float comes."""
    return amount / UNIT  # of whole numbers, so it is rounded once


def money_text(amount: int) -> str:
    """Return units as text with four decimals, rounded half up, six where four would show nothing."""
    places = 4 if amount == 0 or amount >= UNIT // 10**4 else 6
    scale = UNIT // 10**places
    whole, part = divmod((amount + scale // 2) // scale, 10**places)
    return f"{whole:,}.{part:0{places}d}"


def label(model: Mapping[str, Any]) -> str:
    """Return under which label the price of a model is looked for first: its name, else its kind."""
    name = model.get("name")
    return name if isinstance(name, str) and name else str(model.get("kind"))


def price_of(model: Mapping[str, Any], prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model, given as the mapping that a scenario dumps; None when there is none."""
    return prices.get(label(model)) or prices.get(str(model.get("kind")))


def rates(agents: Sequence[Mapping[str, Any]], prices: Mapping[str, Price]) -> list[Rate | None]:
    """Return the rate of each group of agents; None where the model has no price."""
    found = (price_of(group["model"], prices) for group in agents)
    return [None if price is None else price.rate for price in found]


def run_rates(
    scenario: Mapping[str, Any], prices: Mapping[str, Price] | None = None
) -> tuple[list[Rate | None], list[int]] | None:
    """Return the rates of the groups of a dumped scenario, and the first agent of each; None without any prices.

    A group whose model has no price has no rate.

    Args:
        scenario: as the manifest holds it.
        prices: in place of the scenario's own.
    """
    if prices is None:
        prices = {name: Price.model_validate(price) for name, price in scenario.get("prices", {}).items()}
    if not prices:
        return None
    agents = scenario["agents"]
    starts = [0, *accumulate(group.get("count") or 0 for group in agents)][: len(agents)]
    return rates(agents, prices), starts
