"""This module keeps the account of the study: calls that no agent made and that no budget of the team pays for."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from agentsoc.contracts.model import CallError
from agentsoc.scenario.prices import UNIT, Rate, money, money_text


class Study(BaseModel):
    """The account adds up the attempts that are journaled under the society's id."""

    model_config = ConfigDict(extra="forbid")

    calls: int = Field(default=0, ge=0)
    """Attempts."""
    tokens_in: int = Field(default=0, ge=0)
    """Their prompts, as far as providers reported it (tokens)."""
    tokens_out: int = Field(default=0, ge=0)
    """Their replies, as far as providers reported it (tokens)."""
    tokens_lost: int = Field(default=0, ge=0)
    """What was reserved for those of them that were billed and whose usage is not known (tokens)."""

    cost: float | None = Field(default=None, ge=0)
    """What they cost by the scenario's prices, lost tokens at the highest (money); None without prices, or where one is
    missing."""

    def text(self) -> str:
        """Return the account in words."""
        lost = f", {self.tokens_lost:,} lost" if self.tokens_lost else ""
        tokens = self.tokens_in + self.tokens_out + self.tokens_lost
        kinds = f"{self.tokens_in:,} input, {self.tokens_out:,} output{lost}"
        paid = "" if self.cost is None else f", {money_text(round(self.cost * UNIT))} in money"
        return f"{self.calls:,} calls of the study, {tokens:,} tokens ({kinds}){paid}, on top of the agents' own"


class StudyAccount:
    """The object adds up, row by row of a journal, what the calls of a study took and cost."""

    def __init__(self, rates: Callable[[int], Rate | None] | None = None) -> None:
        """Begin with nothing.

        Args:
            rates: gives the price of a call by its number, None where it is not known; left out without prices.
        """
        self.study = Study()
        self._rates = rates
        self._units = 0
        self._known = rates is not None

    def add(self, k: int, used: tuple[int, int, int] | None, failure: str | None, held: tuple[int, int]) -> None:
        """Charge an attempt that is journaled under the society's id.

        Args:
            k: number of the call.
            used: input, cached input and output (tokens); None when the provider did not say.
            failure: ``kind: message`` of one that failed.
            held: what was reserved for it, and how much of that for the output (tokens).
        """
        study = self.study
        study.calls += 1
        reserved, room = held
        if used is not None:
            study.tokens_in += used[0]
            study.tokens_out += used[2]
        elif failure is None or CallError(failure.partition(": ")[0], "").billed:  # type: ignore[arg-type]
            study.tokens_lost += reserved
        else:
            return  # it was refused before work
        rate = None if self._rates is None else self._rates(k)
        if rate is None:
            self._known = False
        elif used is not None:
            self._units += rate.cost(*used, 1)
        else:
            self._units += rate.most(reserved - min(room, reserved), min(room, reserved), 1)
        study.cost = money(self._units) if self._known else None
