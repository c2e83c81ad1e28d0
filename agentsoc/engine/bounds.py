"""This module holds what a run can take at most, in numbers and words: the team's calls, and the study's beside them.

`agentsoc.engine.forecast` works it out. The calls of a study (probes, a judge) are on an account of their own, which no
budget of the team limits, so they are counted and told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentsoc.contracts.probe import Probe
    from agentsoc.scenario.prices import Rate

UNLESS: Final = "unless a provider ignores its output cap"
"""The condition of every bound: an output cap is asked for, and the provider has to keep it."""
_COUNTS: Final = ("calls", "attempts", "tokens", "tokens_max", "cost", "cost_max")


@dataclass(frozen=True)
class Bound:
    """A bound says what a run can take at most: its agents, and its study apart."""

    calls: int = 0
    """Model calls when each succeeds at once."""
    attempts: int = 0
    """Model calls when each is repeated as often as the scenario allows."""
    tokens: int = 0
    """Input and output of `calls` at four bytes a token, full message length and full output cap (tokens)."""
    tokens_max: int = 0
    """Input and output of all attempts at one byte a token, or the budget where that is less (tokens)."""
    cost: int = 0
    """What `tokens` and `calls` cost by the scenario's prices, nothing of it cached (units of money)."""
    cost_max: int = 0
    """What all attempts may cost at most, or the budget where that is less (units of money)."""
    study: Bound | None = None
    """What the calls of the study (probes, a judge) can take besides, which no budget limits; None without any."""

    def text(self) -> str:
        """Return the bound in words, with what it rests on."""
        if self.study is None:
            return f"{self._counts()}, {UNLESS}" if self.calls else "no model calls"
        team = self._counts() if self.calls else "no model calls of agents"
        return f"{team}; {self.study.of_study()}, {UNLESS}"

    def of_study(self) -> str:
        """Return the same of a bound that is that of a study."""
        return f"besides, on the account of the study (probes, judge), {self._counts()}"

    def _counts(self) -> str:
        from agentsoc.scenario.prices import money_text

        repeats = f" ({self.attempts:,} with all repeats)" if self.attempts > self.calls else ""
        text = f"at most {self.calls:,} model calls{repeats}; about {self.tokens:,} tokens, at most {self.tokens_max:,}"
        if self.cost_max:
            text += f"; about {money_text(self.cost)} in money, at most {money_text(self.cost_max)}"
        return text


@dataclass(frozen=True)
class NoBound:
    """What a run can take at most is not known, and why."""

    why: str
    judge: Bound | None = None
    """What its judge can take, which is known all the same; None where rules grade."""

    def text(self) -> str:
        """Return the reason in words."""
        return self.why if self.judge is None else f"{self.why}; {self.judge.of_study()}"


TOO_LARGE: Final = NoBound("too large to work out how many model calls at most")


def total(bounds: Sequence[Bound | NoBound]) -> Bound | NoBound:
    """Return the sum of bounds; when one of them is not known, why: an error rather than mere size."""
    unknown = [one for one in bounds if isinstance(one, NoBound)]
    known = [one for one in bounds if isinstance(one, Bound)]
    if unknown:
        why = next((one.why for one in unknown if one.why != TOO_LARGE.why), TOO_LARGE.why)
        return NoBound(why, _sum([one.judge for one in unknown] + [one.study for one in known]))
    return _sum(known) or Bound()


def _sum(bounds: Sequence[Bound | None]) -> Bound | None:
    """Return the sum of those bounds that there are; None where there is none."""
    known = [one for one in bounds if one is not None]
    if not known:
        return None
    counts = {name: sum(getattr(one, name) for one in known) for name in _COUNTS}
    return Bound(**counts, study=_sum([one.study for one in known]))


def bound_as_dict(found: Bound | NoBound) -> dict[str, Any]:
    """Return a bound as plain values, None for what is not known, and under ``study`` that of the study."""
    from agentsoc.scenario.prices import money

    most = found if isinstance(found, Bound) else None
    study = found.study if isinstance(found, Bound) else found.judge
    return {
        "calls": None if most is None else most.calls,
        "calls_max": None if most is None else most.attempts,
        "tokens": None if most is None else most.tokens,
        "tokens_max": None if most is None else most.tokens_max,
        "cost": None if most is None else money(most.cost),
        "cost_max": None if most is None else money(most.cost_max),
        "study": None if study is None else _study_as_dict(study),
    }


def _study_as_dict(study: Bound) -> dict[str, Any]:
    found = bound_as_dict(study)
    del found["study"]
    return found if study.cost_max else {**found, "cost": None, "cost_max": None}


@dataclass
class BoundTally:
    """The object adds up what one episode takes: counts, tokens, and units of money."""

    calls: int = 0
    tokens: int = 0
    tokens_max: int = 0
    cost: int = 0
    cost_max: int = 0
    calls_cost_max: int = 0
    """Part of `cost_max` that is paid by the call."""
    dearest: int = 0
    """What a token costs at most."""
    study: BoundTally | None = None
    """What the study may ask on its own account; None for a study that asks nothing."""

    def bound(self, n: int, attempts: int) -> Bound:
        """Return `n` times what was added up, with so many attempts a call at most."""
        return Bound(
            n * self.calls,
            n * self.calls * attempts,
            n * self.tokens,
            n * self.tokens_max,
            n * self.cost,
            n * self.cost_max,
        )

    def add_calls(self, rate: Rate, likely: tuple[int, int, int], at_most: tuple[int, int, int]) -> None:
        """Add the calls of a turn: number, input and output (tokens), likely ones and all that there can be."""
        calls, tokens_in, tokens_out = likely
        self.calls += calls
        self.tokens += tokens_in + tokens_out
        self.cost += rate.cost(tokens_in, 0, tokens_out, calls)
        attempts, most_in, most_out = at_most
        self.tokens_max += most_in + most_out
        self.cost_max += rate.most(most_in, most_out, attempts)
        self.calls_cost_max += attempts * rate.call

    def add_probes(self, before: BoundTally, after: BoundTally, probe: Probe) -> None:
        """Add that a turn, which took `after` less `before`, is asked more often by a probe.

        At most all such turns are drawn; the likely tokens are those of the share.
        """
        n, likely = probe.calls, probe.calls * probe.share
        self.calls += n * (after.calls - before.calls)
        self.tokens += round(likely * (after.tokens - before.tokens))
        self.tokens_max += n * (after.tokens_max - before.tokens_max)
        self.cost += round(likely * (after.cost - before.cost))
        self.cost_max += n * (after.cost_max - before.cost_max)
