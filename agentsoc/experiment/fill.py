"""A `fill` names the dial that an organisation turns up to use the tokens that it may: rounds, agents, samples, layers.

The dial of each ceiling is found from what an episode takes: exactly where that follows from the scenario, else by
pilots (`fill_pilots.py`). `largest_within` is the search that both need; it asks for as few values as it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from agentsoc.contracts.part import Part, nearest

KEY: Final = "fill"
COUNT: Final = ("agents", "count")
DIALS: Final[dict[str, tuple[str, ...]]] = {
    "samples": COUNT,
    "agents": COUNT,
    "rounds": ("protocol", "rounds"),
    "layers": ("protocol", "layers"),
    "iterations": ("agents", "iterations"),
    "max_tokens": ("agents", "max_tokens"),
    "compute": ("agents", "model", "compute"),
    "depth": ("topology", "depth"),
    "fan_in": ("topology", "fan_in"),
}
"""What a bare word stands for; any other dial is named by its path, such as ``protocol.peer_rounds``."""
ROOTS: Final = ("agents", "protocol", "topology", "attention", "message_tokens")
"""Blocks of a scenario in which a dial can be."""
MOST: Final = 4_096
MOST_TOKENS: Final = 10**9
TOKENS: Final = ("compute", "max_tokens")
"""Dials that are amounts of tokens."""
_UNITS: Final = {"": 1, "k": 1_000, "m": 1_000_000}
_AMOUNT: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))? ?([kKmM]?)")


def read_tokens(value: Any) -> Any:
    """Return the number that a text such as ``5k``, ``1.5k`` or ``2M`` stands for; anything else as it is."""
    if not isinstance(value, str) or (found := _AMOUNT.fullmatch(value)) is None:
        return value
    whole, part, unit = found.group(1), found.group(2) or "", _UNITS[found.group(3).lower()]
    number = int(whole + part) * unit
    return number // 10 ** len(part) if number % 10 ** len(part) == 0 else value


Level = Annotated[
    int,
    BeforeValidator(read_tokens, json_schema_input_type=int | str),
    Field(ge=1, le=10**12),
]
"""A ceiling of a task (tokens), also written as 5k or 2M."""
Value = Annotated[int, Field(ge=0, le=10**9)]


class Fill(Part):
    """What an organisation turns up until it uses what a ceiling allows. The word alone may stand for it."""

    dial: Annotated[str, Field(min_length=1, max_length=100)]
    """samples, agents, rounds, layers, iterations, max_tokens, compute, depth, fan_in; or the path of a whole number in
    the scenario of the organisation, such as `protocol.peer_rounds`."""
    least: Value = 1
    """Smallest value; a ceiling that does not pay for it is left out, and the report says so."""
    most: Value | None = None
    """Largest value; None for 4,096, and for amounts of tokens (compute, max_tokens) for any that a ceiling pays."""
    step: Annotated[int, Field(ge=1, le=10**6)] = 1
    """Values are `least`, `least + step`, and so on: 2 keeps the number of votes odd."""
    values: Annotated[tuple[Value, ...], Field(max_length=32)] = ()
    """The value at each of the budgets, in their order; then nothing is looked for."""

    @model_validator(mode="after")
    def _known(self) -> Fill:
        if self.dial not in DIALS and (
            "." not in self.dial
            or self.path[0] not in ROOTS
            or not all(re.fullmatch(r"[a-z0-9_]+|\*", x) for x in self.path)
        ):
            raise PydanticCustomError(
                "dial", "there is no dial {name}", {"name": f'"{self.dial[:40]}"', "hint": nearest(self.dial, DIALS)}
            )
        if self.largest < self.least:
            what = "the largest value, {most}, is below the smallest, {least}"
            context = {"most": self.largest, "least": self.least, "hint": "raise most"}
            raise PydanticCustomError("dial_range", what, context)
        return self

    @property
    def path(self) -> tuple[str, ...]:
        """The dial's path in a scenario."""
        return DIALS.get(self.dial) or tuple(self.dial.split("."))

    @property
    def largest(self) -> int:
        """The largest value, also where none is given."""
        if self.most is not None:
            return self.most
        return max(MOST_TOKENS if self.dial in TOKENS else MOST, self.least)

    @property
    def n_values(self) -> int:
        """How many values there are from the smallest to the largest."""
        return (self.largest - self.least) // self.step + 1

    def value(self, place: int) -> int:
        """Return a value by its place, from 0."""
        return self.least + place * self.step

    def place(self, value: float) -> int:
        """Return the place of the largest value that is not above `value`, within the range."""
        return min(max(int((value - self.least) // self.step), 0), self.n_values - 1)


def fill_of(keys: Any) -> Fill | None:
    """Return the fill of an organisation's keys; None where it has none.

    Raises:
        ValidationError: it is none; see `Fill`.
    """
    said = keys.get(KEY) if isinstance(keys, dict) else None
    if said is None:
        return None
    return Fill.model_validate({"dial": said} if isinstance(said, str) else said)


def largest_within(most: int, fits: Callable[[int], bool]) -> int | None:
    """Return the largest place from 0 to `most` that fits, where what fits is a range from 0 on; None where 0 does not.

    Places are tried at growing steps, then by halves: for a place p about 2 log2 p questions.
    """
    if not fits(0):
        return None
    low, step = 0, 1
    while low + step <= most and fits(low + step):
        low, step = low + step, 2 * step
    high = min(low + step, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


__all__ = ["COUNT", "DIALS", "KEY", "Fill", "Level", "fill_of", "largest_within", "read_tokens"]
