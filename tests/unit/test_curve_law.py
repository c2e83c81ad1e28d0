"""The broken power law of a budget curve: told where the points bear one, refused with a reason, and never beyond."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from agentsoc.streams import stream
from analysis.comparison.curve_law import Broken, CurvePoints, FittedCurve
from analysis.comparison.curve_text import curve_notes
from analysis.interval import FloatArray
from tests.sides import told_apart
from tests.unit.test_curve_text import curve, curves

LOW, HIGH = 500.0, 50_000.0


def points(score: FloatArray, high: float = HIGH) -> CurvePoints:
    tokens = np.geomspace(LOW, high, len(score))
    return CurvePoints("talk", tokens, score, np.full(len(score), 0.01), 400)


def planted(n: int, *, then: float = 0.3, high: float = HIGH) -> CurvePoints:
    """Return points with an error of 1 %: slope .3, from 5,000 tokens on another one."""
    x = np.geomspace(LOW, high, n) / 5_000
    noise = stream(3, "curve-law-test").normal(size=n)
    return points(0.4 * np.where(x < 1, x**0.3, x**then) * np.exp(0.01 * noise), high)


def fitted(data: CurvePoints) -> FittedCurve:
    found = Broken().fit(data, 0)
    assert isinstance(found, FittedCurve), found
    return found


def note(*found: FittedCurve, **more: Any) -> str:
    return " | ".join(curve_notes(curves(curve("talk", fits=found, **more))))


def test_a_planted_break_is_reported_with_its_place_and_slopes() -> None:
    one = fitted(planted(14, then=0.02))
    assert (one.shape["word"], one.p) == ("broken power law", None)
    (at,) = one.shape["breaks"]
    assert 4_000 < at["at"]["value"] < 6_200
    first, second = one.shape["slopes"]
    assert first["low"] < 0.3 < first["high"]
    assert second["value"] < 0.1
    assert np.abs(one.fitted / planted(14, then=0.02).score - 1).max() < 0.05
    card = one.as_dict()["card"]
    assert card["data"]["tasks"] == 400
    assert card["data"]["largest standard error of a point"] == 0.01
    assert any(
        line.startswith("broken") or "break" in line for line in card["optimisation"]["held-out rms error of ln y"]
    )


def test_the_law_is_told_in_a_note_where_there_are_enough_points() -> None:
    few, narrow = Broken().fit(planted(4), 0), Broken().fit(planted(6, high=4_000), 0)
    told_apart({
        "talk: score over tokens, by 8 points from 500 to 50,000 and for these alone: power law, slope +0":
            note(fitted(planted(8))),
        "talk: score over tokens, by 6 points from 500 to 50,000 and for these alone: no form predicts points left out "
        "better than a constant; held-out error": note(fitted(points(np.array([0.6, 0.62, 0.59, 0.6, 0.61, 0.6])))),
    }, note(unfitted={"broken power law": str(few)}))  # fmt: skip
    needs = "a law of the curve needs 5 points at different spending over a factor of 10, and there are"
    told_apart({f"{needs} 4 over 100": str(few), f"{needs} 6 over 8": str(narrow)}, fitted(planted(5)).words)


def test_nothing_is_said_beyond_the_points() -> None:
    plain = fitted(planted(8)).as_dict()
    text = json.dumps({**plain, "card": {**plain["card"], "form": None}})
    assert "octave" not in text
    assert "goes on" not in text
    assert len(plain["fitted"]) == 8


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_scores_that_have_no_logarithm_are_refused_with_their_reason(bad: float) -> None:
    score = planted(8).score.copy()
    score[3] = bad
    assert str(Broken().fit(points(score), 0)).startswith(f"score has {bad:g} in row 3")


@pytest.mark.parametrize(
    "tokens", [np.zeros(6), np.full(6, 900.0), np.zeros(0), np.array([0.0, *np.geomspace(1, 99, 6)])]
)
def test_spending_that_bears_no_law_is_refused(tokens: FloatArray) -> None:
    data = CurvePoints("talk", tokens, np.full(len(tokens), 0.5), np.full(len(tokens), 0.1), 9)
    assert str(Broken().fit(data, 0)).startswith("a law of the curve needs 5 points")


def test_equal_points_give_an_equal_card() -> None:
    one, again = fitted(planted(8)), fitted(planted(8))
    assert one.card.digest() == again.card.digest()
    assert one.as_dict() == again.as_dict()
