"""Five dials: each makes tasks harder on its own side, and the organisation that is right for it pulls ahead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.puzzles.worksheet import MODULUS, exact, operations, sheets_in, worked_out
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
