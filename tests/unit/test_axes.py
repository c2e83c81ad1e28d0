"""Five dials: each makes tasks harder on its own side, and the organisation that is right for it pulls ahead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.puzzles.worksheet import MODULUS, exact, operations, sheets_in, worked_out
from agentsoc.puzzles.worksheet_calls import due_after
from agentsoc.streams import stream
from agentsoc.tasks.axes import Axes
from tests.societies import logged

ORGANISATIONS: dict[str, tuple[Any, Any, int]] = {
    "single": ("single", "vote", 1),
    "votes": ("independent", "vote", 5),
    "parts": (
        "star",
        {"kind": "orchestrate", "rounds": 1, "plan_by": "parts", "decision": "rounds", "synthesis": "parts"},
        5,
    ),
}


def scores(organisation: str, n: int = 80, *, model: dict[str, Any], **dials: int) -> list[float]:
    """Return the score of each task."""
    topology, protocol, agents = ORGANISATIONS[organisation]
    _, events = logged(
        check=False,
        tasks={"kind": "axes", "count": n, **dials},
        agents={"count": agents, "model": {"kind": "solver", **model}, "max_tokens": 400},
        topology=topology,
        protocol=protocol,
    )
    return [float(event.correct or 0.0) for event in events if event.kind == "answer"]


def lead(organisation: str, *, model: dict[str, Any], **dials: int) -> tuple[float, float]:
    """Return by how much an organisation beats one agent on the same tasks, and the variance of that mean."""
    pairs = zip(scores(organisation, model=model, **dials), scores("single", model=model, **dials), strict=True)
    gains = [a - b for a, b in pairs]
    mean = sum(gains) / len(gains)
    return mean, sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1) / len(gains)


TIRED = {"stamina": 8, "tired": 0.03}
DIALS: list[tuple[str, str, dict[str, Any], dict[str, int], tuple[int, int]]] = [
    ("depth", "votes", {"slip": 0.03}, {"breadth": 1}, (1, 16)),
    ("horizon", "votes", {"span": 1, "forget": 0.03}, {"depth": 10, "breadth": 1}, (1, 4)),
    ("breadth", "parts", TIRED, {"parallel": 4, "depth": 2}, (1, 6)),
    ("parallel", "parts", TIRED, {"breadth": 4, "depth": 4}, (1, 4)),
    ("robustness", "votes", {"gullible": 0.06}, {"breadth": 10, "depth": 2}, (0, 10)),
]
"""Dial, the organisation that is right for it, the weakness, the other dials, a low and a high setting."""


@pytest.mark.parametrize(("dial", "organisation", "weakness", "others", "ends"), DIALS, ids=[row[0] for row in DIALS])
def test_each_dial_moves_the_lead_of_the_right_organisation_up(
    dial: str, organisation: str, weakness: dict[str, Any], others: dict[str, int], ends: tuple[int, int]
) -> None:
    low, high = (lead(organisation, model=weakness, **others, **{dial: end}) for end in ends)
    moved, error = high[0] - low[0], (low[1] + high[1]) ** 0.5
    assert moved - 1.96 * error > 0, (low, high)


def test_work_that_is_not_split_gains_nothing_from_a_lead_and_shared_mistakes_nothing_from_votes() -> None:
    assert lead("parts", model={"slip": 0.03}, depth=12, breadth=1)[0] == pytest.approx(0, abs=0.2)
    gain, variance = lead("votes", model={"slip": 0.03, "shared": 1.0}, depth=12, breadth=1)
    assert (gain, variance) == (0.0, 0.0)


@pytest.mark.parametrize(
    "weakness",
    [{"slip": 0.05}, {"forget": 0.05}, {"miss": 0.05}, {"gullible": 0.05}, {"stamina": 3, "tired": 0.05}],
    ids=lambda weakness: next(iter(weakness)),
)
def test_without_weakness_the_solver_is_always_right_and_each_weakness_costs(weakness: dict[str, Any]) -> None:
    dials = {"depth": 6, "horizon": 3, "breadth": 4, "parallel": 2, "robustness": 3}
    assert set(scores("single", 30, model={}, **dials)) == {1.0}
    mild = sum(scores("single", 60, model=weakness, **dials))
    bad = {name: 0.4 if name != "stamina" else value for name, value in weakness.items()}
    assert 60 > mild > sum(scores("single", 60, model=bad, **dials))


def test_one_agent_slips_as_often_as_the_closed_form_says() -> None:
    right = sum(scores("single", 300, model={"slip": 0.05}, depth=10, breadth=1))
    expected = 0.95**10
    assert abs(right / 300 - expected) < 4 * (expected * (1 - expected) / 300) ** 0.5


@given(
    depth=st.integers(0, 30), horizon=st.integers(0, 12), breadth=st.integers(1, 20), parallel=st.integers(1, 8),
    robustness=st.integers(0, 20), seed=st.integers(0, 2**40),
)  # fmt: skip
def test_a_question_reads_back_and_the_parts_make_the_whole(
    depth: int, horizon: int, breadth: int, parallel: int, robustness: int, seed: int
) -> None:
    dials = {"breadth": breadth, "parallel": parallel, "robustness": robustness}
    family = Axes(depth=depth, horizon=min(horizon, max(depth - 1, 0)), **dials)
    task = family.make(seed, 2)
    sheets = sheets_in(task.question)
    assert len(sheets) == parallel
    assert str(sum(worked_out(sheet) for sheet in sheets)) == task.truth
    for part, truth, sheet in zip(task.parts, task.part_truths, sheets, strict=True):
        assert sheets_in(part) == [sheet]
        assert str(worked_out(sheet, exact)) == truth
        assert 0 <= int(truth) < MODULUS
        assert operations(sheet) == depth + breadth
        facts = dict(sheet.facts)
        assert len(sheet.hearsay) == robustness
        assert all(facts[name] != value for name, value in sheet.hearsay)
    assert family.combine(task, list(task.part_truths)) == task.truth
    assert family.combine(task, [None] * parallel) is None


def test_a_mistake_anywhere_is_a_mistake_in_the_end() -> None:
    family = Axes(depth=9, breadth=5, robustness=5)
    for index in range(5):
        (sheet,) = sheets_in(family.make(4, index).question)
        right = worked_out(sheet)
        for kind, places in (("fact", 5), ("step", 9)):
            for where in range(places):
                off = 1 + int(stream(1, "off", index, where).integers(MODULUS - 1))

                def mistake(made: str, place: int, value: int, wrong: int | None) -> int:
                    return (value + off) % MODULUS if (made, place) == (kind, where) else value  # noqa: B023

                assert worked_out(sheet, mistake) != right


@given(text=st.text(max_size=300))
def test_any_text_can_be_searched_for_sheets(text: str) -> None:
    assert sheets_in(text) == []
    assert sheets_in("Sheet A. Facts: ant is 5. Result 0 is ant. " + text)[0].facts == (("ant", 5),)


def test_a_horizon_beyond_the_depth_is_refused() -> None:
    with pytest.raises(ValidationError, match="the horizon is at most 2, got 3"):
        Axes(depth=3, horizon=3)


CALCULATES = {"kind": "solver", "calculates": True}


def calculated(
    model: dict[str, Any], tool_use: dict[str, int], n: int = 12, *, calls_in_all: int | None = None, **dials: int
) -> tuple[list[float], list[Any]]:
    """Return the score of each task of one agent with a calculator, and its calls."""
    _, events = logged(
        check=False,
        tasks={"kind": "axes", "count": n, **dials},
        agents={
            "count": 1,
            "model": {**CALCULATES, **model},
            "tools": ["calculator"],
            "tool_use": tool_use,
            "max_tokens": 400,
        },
        topology="independent",
        protocol="vote",
        budget=None if calls_in_all is None else {"tool_calls_per_task": calls_in_all},
    )
    right = [float(event.correct or 0.0) for event in events if event.kind == "answer"]
    return right, [event for event in events if event.kind == "tool_call"]


@pytest.mark.parametrize(
    ("dials", "most", "steps"),
    [
        ({"depth": 3, "breadth": 3, "parallel": 4}, 4, 4),
        ({"depth": 3, "breadth": 3, "parallel": 4}, 3, 8),
        ({"depth": 5, "horizon": 3, "breadth": 2}, 2, 6),
        ({"depth": 0, "breadth": 1, "parallel": 2}, 8, 1),
    ],
)
def test_a_calculator_is_asked_for_each_operation_once_and_a_careful_agent_is_right(
    dials: dict[str, int], most: int, steps: int
) -> None:
    right, calls = calculated({}, {"calls": most, "steps": steps + 1}, 5, **dials)
    assert set(right) == {1.0}
    assert len(calls) == 5 * (dials["depth"] + 1) * dials.get("parallel", 1)
    assert {event.round for event in calls if event.task == 0} == set(range(steps))


def test_with_a_calculator_steps_do_not_slip_but_numbers_are_misread() -> None:
    dials, use = {"depth": 6, "breadth": 2}, {"steps": 8}
    assert set(calculated({"slip": 0.5}, use, **dials)[0]) == {1.0}
    right, _ = calculated({"miss": 0.02}, use, 150, **dials)
    expected = 0.98**20  # two facts and three numbers a step
    assert abs(sum(right) / 150 - expected) < 4 * (expected * (1 - expected) / 150) ** 0.5


def test_what_the_calculator_is_not_asked_any_more_is_worked_out_in_the_head() -> None:
    dials = {"depth": 6, "breadth": 2}
    right, calls = calculated({}, {"steps": 3}, 5, **dials)
    assert (set(right), len(calls)) == ({1.0}, 10)  # two replies may call, the third has to answer
    assert sum(calculated({"slip": 0.5}, {"steps": 3}, 20, **dials)[0]) < 20
    right, calls = calculated({}, {"steps": 9}, 5, calls_in_all=2, **dials)
    assert set(right) == {1.0}  # a call that is over the limit gives no number
    assert {(event.text or "").partition(":")[0] for event in calls if event.round == 2} == {"limit"}
    assert max(event.round for event in calls) == 2


@pytest.mark.parametrize(
    ("told", "due", "known"),
    [
        ((), [0, 1], [[], []]),
        ((("5", "6"),), [0, 1], [[5], [6]]),
        ((("5", "error: no"),), [0], [[5], []]),
        ((("[left out for want of room]", ""),), [], [[], []]),
        ((("٥", "6"), ("7",)), [], [[], [6, 7]]),
        ((("5", "6"), ("1e3", "7")), [], [[5], [6, 7]]),
        ((("5",),), [1], [[5], []]),
    ],
)
def test_a_sheet_of_which_a_result_is_missing_goes_no_further(
    told: tuple[tuple[str, ...], ...], due: list[int], known: list[list[int]]
) -> None:
    sheet = sheets_in(Axes(depth=1, breadth=2).make(1, 0).question)[0]
    assert due_after([sheet, sheet], told, 8) == (due, known)


def test_peers_who_agree_are_believed_without_a_call() -> None:
    _, events = logged(
        check=False,
        tasks={"kind": "axes", "count": 4, "depth": 2},
        agents={"count": 3, "model": CALCULATES, "tools": ["calculator"], "max_tokens": 400},
        topology="decentralized",
        protocol={"kind": "debate", "rounds": 2},
    )
    assert all(event.correct for event in events if event.kind == "answer")
    assert sum(event.kind == "tool_call" for event in events) == 4 * 3 * 3
