"""The fold that totals are: exact, the same in whatever order and cut, and nothing from what is not theirs."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from agentsoc.cli.ls import rows_of
from agentsoc.cli.summary import tokens_text
from agentsoc.engine.run import Run
from agentsoc.events import SOCIETY, Event
from agentsoc.log.episodes import SCHEMA as ROWS
from agentsoc.log.manifest import Totals
from agentsoc.log.schema import SCHEMA, to_table
from agentsoc.log.totals import EpisodeTotals, EventTotals, ExactSum, ceilings, fold
from tests.forged import Forged, task_row

UNIT = 10**12


def summed(*groups: list[float]) -> ExactSum:
    found = ExactSum()
    for group in groups:
        found.add(group)
    return found


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.0],
        [-0.0, 0.0],
        [1.0],
        [0.1] * 10,
        [1e308, -1e308, 1e-308],
        [5e-324, 5e-324],
        [-5e-324],
        [2.0**-1074, 2.0**1023],
        [1e16, 1.0, -1e16],
        [-1.5, 0.25, 1e-3],
        [math.nextafter(1.0, 0.0)] * 3,
    ],
)
def test_a_sum_is_rounded_once_over_any_number(values: list[float]) -> None:
    exact = sum(map(Fraction, values), Fraction(0))
    for n in (1, 3, 7):
        assert summed(values).over(n) == float(exact / n)
    assert summed(values[:1], values[1:]).over() == float(exact)


def test_a_sum_does_not_depend_on_order_or_groups() -> None:
    rng = random.Random(1)
    values = [rng.choice([-1, 1]) * rng.random() * 10.0 ** rng.randrange(-300, 300) for _ in range(500)]
    expected = float(sum(map(Fraction, values)))
    for _ in range(5):
        rng.shuffle(values)
        at = rng.randrange(500)
        assert summed(values[:at], values[at:]).over() == expected


def test_very_many_large_mantissas_do_not_overflow() -> None:
    value = math.nextafter(1.0, 0.0)
    assert summed([value] * (1 << 12)).over(1 << 12) == value
    assert summed([-value] * (1 << 12)).over(1 << 12) == -value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_summed(value: float) -> None:
    with pytest.raises(ValueError, match="a score or a time is infinite or no number"):
        ExactSum().add([1.0, value])


def test_a_copy_goes_on_alone() -> None:
    first = summed([1.0])
    second = first.copy()
    second.add([2.0])
    assert (first.over(), second.over()) == (1.0, 3.0)


EVENTS = [
    Event(0, 0, 0, 0, "answer", answer="agent's", correct=0.9, calls=1, tokens_in=5, tokens_cached=2, tokens_out=3),
    Event(0, 0, 1, 0, "stop", answer="agent's"),
    Event(0, 0, 2, 0, "call_failed", calls=2, tokens_in=7),
    Event(0, 1, SOCIETY, 0, "answer", answer="a", correct=1.0),
    Event(0, 1, SOCIETY, 1, "stop", answer="finished"),
    Event(1, 1, SOCIETY, 0, "answer", answer=None, correct=None),
    Event(1, 1, SOCIETY, 1, "stop", answer="budget_exhausted"),
    Event(2, 1, SOCIETY, 0, "answer", answer="b", correct=0.5),
    Event(2, 1, SOCIETY, 1, "stop", answer="finished"),
    Event(2, 2, SOCIETY, 0, "flag", answer="c", correct=0.25),
    Event(2, 2, SOCIETY, 2, "stop", answer=None),
]


def added(*tables: pa.Table) -> EventTotals:
    found = EventTotals()
    for table in tables:
        found.add(table)
    return found


def of(found: EventTotals) -> dict[str, Any]:
    return fold(found, EpisodeTotals(), {}).model_dump()


def test_events_amount_to_what_the_society_said_and_everybody_used() -> None:
    expected: dict[str, Any] = {
        "events": 11,
        "episodes": 3,
        "calls": 3,
        "tokens_in": 12,
        "tokens_cached": 2,
        "tokens_out": 3,
    }
    expected |= {"events_by_kind": {"answer": 4, "call_failed": 1, "flag": 1, "stop": 5}, "calls_failed": 1}
    expected |= {"answered": 2, "score": 0.5, "stops": {"budget_exhausted": 1, "finished": 2}}
    found = of(added(to_table(EVENTS)))
    assert {name: found[name] for name in expected} == expected
    assert list(found["events_by_kind"]) == sorted(found["events_by_kind"])
    assert list(found["stops"]) == sorted(found["stops"])


def test_events_amount_to_the_same_in_whatever_cut() -> None:
    whole = of(added(to_table(EVENTS)))
    assert of(added(*(to_table([event]) for event in EVENTS))) == whole
    assert of(added(to_table(EVENTS[:4]), SCHEMA.empty_table(), to_table(EVENTS[4:]))) == whole
    joined = pa.concat_tables([to_table(EVENTS[:4]), to_table(EVENTS[4:])])
    assert of(added(joined)) == whole
    assert of(added(joined.unify_dictionaries())) == whole
    plain = [(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in SCHEMA]
    assert of(added(to_table(EVENTS).cast(pa.schema(plain)))) == whole


def test_words_that_nobody_used_are_not_counted() -> None:
    """A slice keeps the dictionary of the whole."""
    found = of(added(to_table(EVENTS).slice(3, 2)))
    assert found["events_by_kind"] == {"answer": 1, "stop": 1}
    assert found["stops"] == {"finished": 1}


def test_nothing_amounts_to_nothing() -> None:
    empty = EpisodeTotals()
    empty.add(rows())
    for one in (EpisodeTotals(), empty):
        assert fold(EventTotals(), one, {}) == Totals()
    assert of(added(SCHEMA.empty_table())) == of(EventTotals())


def test_without_answers_there_is_no_score() -> None:
    assert of(EventTotals())["score"] is None
    assert of(added(to_table(EVENTS[:3])))["score"] is None
    assert of(added(to_table(EVENTS[5:6])))["score"] == 0.0


def test_totals_of_now_do_not_change_later() -> None:
    found = added(to_table(EVENTS[:5]))
    now = found.copy()
    before = of(now)
    found.add(to_table(EVENTS[5:]))
    assert of(now) == before != of(found)
    now.add(to_table(EVENTS[5:]))
    assert of(now) == of(found)


def rows(*cells: dict[str, Any]) -> pa.Table:
    base: dict[str, Any] = {field.name: None if field.nullable else 0 for field in ROWS}
    base |= {"stop": "finished", "answered": True, "virtual_s": 0.0, "score": 0.0}
    money = {"cost", "cost_lost"}
    full = [
        {name: Decimal(v) if name in money and v is not None else v for name, v in {**base, **one}.items()}
        for one in cells
    ]
    return pa.Table.from_pylist(full, schema=ROWS)


SUMS = (
    *("rounds", "turns", "broadcasts", "deliveries", "tokens_lost", "calls_lost", "tokens_overrun"),
    *("claims_due", "claims_left_out"),
)


def test_rows_add_up_by_column() -> None:
    found = EpisodeTotals()
    one = {name: at + 1 for at, name in enumerate(SUMS)}
    found.add(rows({**one, "virtual_s": 0.1, "cost": UNIT, "cost_lost": 0}))
    found.add(rows({**one, "virtual_s": 0.2, "cost": UNIT // 2, "cost_lost": UNIT}, {"cost": 0, "cost_lost": 0}))
    totals = fold(EventTotals(), found, {})
    assert {name: getattr(totals, name) for name in SUMS} == {name: 2 * value for name, value in one.items()}
    assert totals.virtual_s == float(Fraction(0.1) + Fraction(0.2))
    assert (totals.cost, totals.cost_lost) == (1.5, 1.0)
    assert found.rows == 3


def test_a_copy_of_what_rows_add_up_to_goes_on_alone() -> None:
    found = EpisodeTotals()
    found.add(rows({"turns": 1, "cost": UNIT, "cost_lost": UNIT, "virtual_s": 1.0}))
    now = found.copy()
    found.add(rows({"turns": 1, "cost": UNIT, "cost_lost": UNIT, "virtual_s": 1.0}))
    totals = [fold(EventTotals(), one, {}) for one in (now, found)]
    assert [(one.turns, one.cost, one.cost_lost, one.virtual_s) for one in totals] == [(1, 1, 1, 1), (2, 2, 2, 2)]
    assert (now.rows, found.rows) == (1, 2)


@pytest.mark.parametrize(
    ("tables", "cost"),
    [
        ([], None),
        ([[None]], None),
        ([[UNIT, None]], None),
        ([[None], [UNIT]], None),
        ([[UNIT], [None]], None),
        ([[UNIT], [None], [UNIT]], None),
        ([[0]], 0.0),
        ([[], [UNIT]], 1.0),
        ([[UNIT], []], 1.0),
        ([[UNIT], [2 * UNIT]], 3.0),
    ],
)
def test_a_cost_is_known_only_where_every_row_has_one(tables: list[list[int | None]], cost: float | None) -> None:
    found = EpisodeTotals()
    for table in tables:
        found.add(rows(*({"cost": value, "cost_lost": 0} for value in table)))
    assert fold(EventTotals(), found, {}).cost == cost


def test_columns_that_an_earlier_format_lacks_count_nothing() -> None:
    found = EpisodeTotals()
    found.add(rows({"turns": 3, "tokens_lost": 9}).drop_columns(["tokens_lost", "cost", "cost_lost"]))
    totals = fold(EventTotals(), found, {})
    assert (totals.turns, totals.tokens_lost, totals.cost, totals.cost_lost) == (3, 0, None, None)


def test_ceilings_are_those_of_all_tasks_together() -> None:
    none = dict.fromkeys(("budget", "budget_calls", "budget_cost"))
    tasks = {"tasks": {"count": 4}}
    assert ceilings({}) == none
    assert ceilings({"budget": None, **tasks}) == none
    assert ceilings({"budget": {"tokens_per_task": 10}, **tasks}) == {**none, "budget": 40}
    assert ceilings({"budget": {"tokens": 43}, **tasks}) == {**none, "budget": 40}  # split over tasks that may not lend
    assert ceilings({"budget": {"calls_per_task": 2}, **tasks}) == {**none, "budget_calls": 8}
    assert ceilings({"budget": {"money_per_task": 0.5, "shown": "team"}, **tasks}) == {**none, "budget_cost": 2.0}


@pytest.mark.parametrize(
    "scenario",
    [
        {"budget": {"tokens": 10}},
        {"budget": {"tokens": 10}, "tasks": None},
        {"budget": {"tokens": 10}, "tasks": {}},
        {"budget": {"tokens": 10}, "tasks": {"count": "many"}},
        {"budget": 7, "tasks": {"count": 1}},
        {"budget": {"tokens": -1}, "tasks": {"count": 1}},
        {"budget": {}, "tasks": {"count": 1}},
    ],
)
def test_limits_that_do_not_hold_are_a_value_error(scenario: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        ceilings(scenario)
    assert not isinstance(raised.value, KeyError)


def test_tokens_of_a_run_are_those_of_its_rows_with_what_was_lost(tmp_path: Path) -> None:
    rows = [task_row(0, tokens_lost=500), task_row(1, "tails", 0.0, tokens_lost=20), task_row(2, None, 0.0)]
    Forged(tmp_path / "run", rows=rows, lost=2).write().check()
    run = Run(tmp_path / "run")
    table = run.episode_rows()
    assert table is not None
    told = run.summary()
    assert told["tokens"] == sum(sum(table[name].to_pylist()) for name in ("tokens_in", "tokens_out", "tokens_lost"))
    assert f"{told['tokens']:,}: " in tokens_text(run.manifest.totals)
    assert rows_of([tmp_path / "run"], tmp_path)[0]["tokens"] == told["tokens"]
