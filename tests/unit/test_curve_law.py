"""The broken power law of a budget curve: told where the points bear one, refused with a reason, and never beyond."""

from __future__ import annotations

import json
from dataclasses import replace
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


def again(data: CurvePoints, step: int) -> CurvePoints:
    """Return every `step`-th point twice."""
    tokens, score, error = (np.repeat(one[::step], 2) for one in (data.tokens, data.score, data.error))
    return CurvePoints("talk", tokens, score, error, 400)


def test_points_that_spend_the_same_are_one() -> None:
    data = planted(8)
    twice = again(data, 1)
    one, other = fitted(data), fitted(twice)
    assert "by 8 points" in other.words
    assert one.words == other.words
    assert len(other.fitted) == 16
    four = again(data, 2)
    assert "there are 4 over" in str(Broken().fit(four, 0))


def resampled(data: CurvePoints, common: float) -> CurvePoints:
    """Return the points with samples of tasks that all err by the same factor, and by 1 % each."""
    rng = stream(4, "curve-law-test")
    factor = np.exp(common * rng.normal(size=(300, 1)) + 0.01 * rng.normal(size=(300, len(data.score))))
    return replace(data, samples=data.score * factor)


def test_intervals_are_over_tasks_where_these_are_known() -> None:
    """What all points share moves the level and no slope."""
    alike, apart = fitted(resampled(planted(8), 0.3)), fitted(resampled(planted(8), 0.0))
    widths = [one.shape["slopes"][0]["high"] - one.shape["slopes"][0]["low"] for one in (alike, apart)]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)
    truth = 2 * 1.96 * 0.01 / np.log(planted(8).tokens).std() / np.sqrt(8)
    assert widths[1] == pytest.approx(truth, rel=0.25)
    assert alike.shape["slopes"][0]["method"] == "bootstrap over tasks"
    nothing = planted(8)
    some = replace(nothing, samples=np.where(np.arange(300)[:, None] % 2, nothing.score, 0.0))
    assert np.isfinite(fitted(some).shape["slopes"][0]["low"])  # samples without a right answer have no logarithm


def test_a_logistic_that_the_points_do_not_tell_has_no_steepness() -> None:
    x = np.geomspace(LOW, HIGH, 10)
    step = fitted(points(np.where(x > 4_000, 0.8, 0.4)))
    clear = fitted(points(np.asarray(0.1 + 0.8 / (1 + (x / 5_000) ** -1.2))))
    beyond = fitted(points(np.asarray(0.9 / (1 + 200_000 / x))))
    told_apart({
        ": it changes in a step between 3,871 and 6,458, and how steep that is cannot be told;": step.words,
        "it bends as a logistic whose middle lies outside of these points": beyond.words,
        "levels off as a logistic, steepness 1.": clear.words,
    })  # fmt: skip
    assert step.shape["steepness"] is None
    assert beyond.shape["middle"] is None
    assert clear.shape["steepness"]["value"] == pytest.approx(1.2, rel=0.05)


def test_equal_points_give_an_equal_card() -> None:
    one, again = fitted(planted(8)), fitted(planted(8))
    assert one.card.digest() == again.card.digest()
    assert one.as_dict() == again.as_dict()
