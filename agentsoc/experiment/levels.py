"""This module finds what an organisation does at each ceiling of a comparison with `budgets`: the value of its dial.

Where no turn of a society depends on what is said, what an episode takes follows from its schedule, and the largest
value that a ceiling pays for is found exactly. Otherwise pilots find it (`fill_pilots.py`); until they have, the dial
is unset and stands at its smallest value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentsoc.engine.columns.schedule import fixed_programme
from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.experiment.comparison import MARK, ComparisonRequest
from agentsoc.experiment.fill import COUNT, KEY, Fill, fill_of, largest_within
from agentsoc.experiment.organise import CellPlace, Organised, organised
from agentsoc.log.comparison import DialRecord
from agentsoc.log.record import hash_json
from agentsoc.society.build import build_society

SMALLEST_TRIED = 16
"""Values from the smallest on that are tried for one of which there can be a society."""

DialKey = tuple[str, str, int]
"""Organisation, task block and ceiling."""
Dials = Mapping[DialKey, DialRecord]


@dataclass(frozen=True)
class AtLevel:
    """The object says what an organisation does at one ceiling."""

    dial: DialRecord
    made: Organised | None
    """Its scenario; None where the ceiling does not pay for the smallest value, so that there is none."""
    place: CellPlace


TRIALS_MAX = 8
"""Pilots that are made for one dial at one ceiling, at most."""


def pilot_bound(asked: ComparisonRequest, dial: DialRecord) -> int:
    """Return what the pilots of a dial have taken, or can take at most where they are still to be made (tokens)."""
    return TRIALS_MAX * asked.comparison.pilot_tasks * dial.budget if dial.how == "unset" else dial.pilot_tokens


def dial_key(dial: DialRecord) -> DialKey:
    """Return what a record is of."""
    return dial.organisation, dial.tasks, dial.budget


def at_levels(asked: ComparisonRequest, organisation: str, tasks: str, seed: int, known: Dials) -> Iterator[AtLevel]:
    """Yield what an organisation does at each ceiling, from the lowest on.

    Args:
        asked: the comparison.
        organisation: whose dial.
        tasks: label of the task block.
        seed: of the scenario.
        known: dials that pilots have set.

    Raises:
        ScenarioError: it is no organisation, or its dial is none that it has.
    """
    fill = fill_of(asked.comparison.organisations[organisation])
    given = dict(zip(asked.comparison.budgets, fill.values, strict=False)) if fill is not None else {}
    finder = None if fill is None or given else _Finder(asked, organisation, tasks, seed, fill)
    for budget in sorted(asked.comparison.budgets):
        if finder is not None:
            yield finder.at(budget, known.get((organisation, tasks, budget)))
            continue
        value = given.get(budget)
        place = CellPlace(organisation, tasks, seed, budget=budget, fill=fill, value=value)
        dial = DialRecord(organisation=organisation, tasks=tasks, budget=budget, value=value)
        if fill is not None:
            dial.dial, dial.how = fill.dial, "given"
        yield AtLevel(dial, _checked(asked, place), place)


def _checked(asked: ComparisonRequest, place: CellPlace) -> Organised:
    """Return the scenario of a place, after checking that its dial turns something."""
    found = organised(asked, place)
    if found.fixed and place.fill is not None and place.fill.path == COUNT:
        what = f"{place.organisation} fixes its number of agents, so {place.fill.dial} fill nothing"
        where = asked.draft.place((MARK, place.organisation, KEY))
        raise ScenarioError([Problem(where, what, "name another dial, such as rounds or iterations, or delete fill")])
    return found


class _Finder:
    """The finder knows what an episode takes at the values of a dial, each worked out once."""

    def __init__(self, asked: ComparisonRequest, organisation: str, tasks: str, seed: int, fill: Fill) -> None:
        self._asked, self._organisation, self._tasks, self._seed = asked, organisation, tasks, seed
        self._tokens: dict[int, int | None] = {}
        if fill.path == COUNT and fill.n_values > 1:  # one agent alone may be of a size that is always one
            self._refuse_fixed(fill)
        self.fill = self._from_smallest(fill)

    def _refuse_fixed(self, fill: Fill) -> None:
        """Raise when the organisation has a number of agents of its own."""
        place = self._place(fill.value(1), max(self._asked.comparison.budgets), fill)
        try:
            fixed = organised(self._asked, place).fixed
        except ScenarioError:  # told where the value is needed
            return
        if fixed:
            _checked(self._asked, place)

    def _from_smallest(self, fill: Fill) -> Fill:
        """Return the fill from the smallest value on of which there is a society: a debate of one is none."""
        first: ScenarioError | InputError | None = None
        for place in range(min(SMALLEST_TRIED, fill.n_values)):
            try:
                build_society(
                    _checked(
                        self._asked, self._place(fill.value(place), max(self._asked.comparison.budgets), fill)
                    ).scenario
                )
            except (ScenarioError, InputError) as error:
                first = first or error
            else:
                return fill.model_copy(update={"least": fill.value(place)})
        assert first is not None
        if isinstance(first, InputError):
            where = self._asked.draft.place((MARK, self._organisation, KEY))
            what = f"fill of {self._organisation}: at {fill.dial} = {fill.least} {first.problem.what}"
            raise ScenarioError([Problem(where, what, first.problem.hint)]) from None
        raise first

    def _place(self, value: int, budget: int, fill: Fill | None = None) -> CellPlace:
        return CellPlace(
            self._organisation, self._tasks, self._seed, budget=budget, fill=fill or self.fill, value=value
        )

    def at(self, budget: int, known: DialRecord | None) -> AtLevel:
        """Return the largest value that a ceiling pays for; by `known` where that is not worked out here."""
        fill = self.fill
        dial = DialRecord(organisation=self._organisation, tasks=self._tasks, budget=budget, dial=fill.dial)
        least = self.tokens(0)
        if least is not None:
            dial.how, dial.least_tokens = "exact", least
            if self.tokens(1) == least and fill.n_values > 1:
                place, dial.reason = (0 if least <= budget else None), "it takes no more tokens when it is turned up"
            else:
                place = largest_within(fill.n_values - 1, lambda at: (self.tokens(at) or budget + 1) <= budget)
            if place is None:
                return AtLevel(dial, None, self._place(fill.least, budget))
            dial.value, dial.tokens = fill.value(place), float(self.tokens(place) or 0)
            return self._found(dial, budget)
        dial.basis = self._basis(budget)
        if known is not None and known.how == "pilot" and known.basis == dial.basis:
            if known.value is None:
                return AtLevel(known, None, self._place(fill.least, budget))
            return self._found(known, budget)
        dial.how, dial.value = "unset", fill.least
        return self._found(dial, budget)

    def _found(self, dial: DialRecord, budget: int) -> AtLevel:
        assert dial.value is not None
        place = self._place(dial.value, budget)
        return AtLevel(dial, _checked(self._asked, place), place)

    def _basis(self, budget: int) -> str:
        """Return the hash of what a pilot is of: another organisation, ceiling or range needs another pilot."""
        scenario = organised(self._asked, self._place(self.fill.least, budget)).scenario
        part = scenario.result_part()
        part.pop("seed")
        part["tasks"] = {key: value for key, value in part["tasks"].items() if key not in ("count", "seed")}
        return hash_json([part, self.fill.model_dump(mode="json"), self._asked.comparison.pilot_tasks])

    def tokens(self, place: int) -> int | None:
        """Return what an episode takes, by the place of the value; None where that is not known, or nothing can be."""
        if place not in self._tokens:
            self._tokens[place] = self._worked_out(place)
        return self._tokens[place]

    def _worked_out(self, place: int) -> int | None:
        if place >= self.fill.n_values:
            return None
        try:
            made = organised(self._asked, self._place(self.fill.value(place), max(self._asked.comparison.budgets)))
            programme = fixed_programme(build_society(made.scenario))
        except (ScenarioError, InputError):  # beyond what the dial can be turned to
            return None
        return None if programme is None else programme.tokens
