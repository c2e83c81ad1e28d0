"""Crossovers, the front and the isotonic fit, on planted curves: told where they are, and not where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.comparison.crossovers import FEWEST, Crossover, crossover
from analysis.comparison.curve_draws import TaskTable
from analysis.comparison.curve_law import FALLS, CurvePoints, FittedCurve, Isotonic
from analysis.comparison.front import front_of, on_front
from analysis.comparison.predicted import StoredOrganisation, predicted_crossover
from analysis.interval import FloatArray
from benchmarks import study_budget_curves as study

X = np.array([1_000.0, 2_000.0, 4_000.0, 8_000.0])


def table(
    one: FloatArray, other: FloatArray, *, tasks: int = 400, x: FloatArray = X, of_other: FloatArray | None = None
) -> TaskTable:
    """Return scores of two curves in which exactly these shares of the tasks are right, in an order of their own."""
    rng = np.random.default_rng(7)
    n, shares = len(x), np.concatenate([one, other])
    score = np.zeros((tasks, 2 * n))
    for at, share in enumerate(shares):
        score[rng.permutation(tasks)[: round(share * tasks)], at] = 1.0
    tokens = np.tile(np.concatenate([x, x if of_other is None else of_other]), (tasks, 1))
    labels = tuple(f"{name}{k}" for name in "ab" for k in range(n))
    return TaskTable(labels, score, tokens, np.ones_like(score), bounded=True)


def pair(found: TaskTable) -> Crossover:
    draws = found.draws(replicates=500, seed=1)
    return crossover("a", "b", {name: draws.of([x for x in found.labels if x.startswith(name)]) for name in "ab"})


def test_a_crossover_is_where_the_curves_meet_in_log_tokens() -> None:
    found = pair(table(np.full(4, 0.6), np.array([0.4, 0.5, 0.7, 0.8])))
    assert found.verdict == "crossover"
    (one,) = found.crossings
    assert one.budget.value == pytest.approx(np.sqrt(2_000 * 4_000), rel=1e-6)
    assert (one.ahead_below, one.ahead_above) == ("a", "b")
    assert 2_000 < one.budget.low < one.budget.value < one.budget.high < 4_000
    assert [who for who, _, _ in found.shown] == ["a", "b"]
    turned = pair(table(np.array([0.4, 0.5, 0.7, 0.8]), np.full(4, 0.6)))
    assert turned.crossings[0].budget.value == pytest.approx(one.budget.value)
    assert (turned.crossings[0].ahead_below, turned.crossings[0].ahead_above) == ("b", "a")


def test_more_tasks_make_the_interval_narrower() -> None:
    curves = np.full(4, 0.6), np.array([0.4, 0.5, 0.7, 0.8])
    few, many = (pair(table(*curves, tasks=tasks)).crossings[0].budget for tasks in (300, 3_000))
    assert np.log(many.high / many.low) < 0.5 * np.log(few.high / few.low)


def test_two_changes_are_two_crossovers() -> None:
    found = pair(table(np.full(4, 0.5), np.array([0.3, 0.7, 0.7, 0.3])))
    assert [one.ahead_above for one in found.crossings] == ["b", "a"]
    assert found.crossings[0].budget.high < found.crossings[1].budget.low


def test_who_is_ahead_everywhere_leaves_no_crossover() -> None:
    found = pair(table(np.full(4, 0.5), np.full(4, 0.7)))
    assert (found.verdict, found.ahead, found.crossings) == ("none", "b", ())
    assert [found.low, found.high] == pytest.approx([1_000, 8_000])
    assert pair(table(np.full(4, 0.7), np.full(4, 0.5))).ahead == "a"


def test_equals_and_few_tasks_cannot_be_told() -> None:
    assert pair(table(np.full(4, 0.5), np.full(4, 0.5))).verdict == "open"
    one_end = pair(table(np.full(4, 0.5), np.array([0.5, 0.5, 0.6, 0.8])))
    assert one_end.verdict == "open"
    assert [who for who, _, _ in one_end.shown] == ["b"]
    few = pair(table(np.full(4, 0.0), np.full(4, 1.0), tasks=FEWEST - 1))
    assert (few.verdict, few.reason) == ("open", "both have only 4 tasks in common")
    assert pair(table(np.full(4, 0.0), np.full(4, 1.0), tasks=FEWEST)).verdict == "none"


def test_curves_are_compared_where_both_have_spending() -> None:
    curves = np.full(4, 0.6), np.array([0.4, 0.5, 0.7, 0.8])
    shifted = pair(table(*curves, of_other=2 * X))
    assert [shifted.low, shifted.high] == pytest.approx([2_000, 8_000])
    assert shifted.crossings[0].budget.value == pytest.approx(2 * np.sqrt(2_000 * 4_000), rel=1e-6)
    apart = pair(table(*curves, of_other=100 * X))
    assert apart.verdict == "open"
    assert (
        apart.reason == "no spending in common: a spends 1,000 to 8,000 and b spends 100,000 to 800,000 tokens a task"
    )
    still = pair(table(*curves, of_other=np.full(4, 3_000.0)))
    assert "b spends 3,000 tokens" in still.reason


def test_points_of_equal_spending_are_one_point() -> None:
    found = table(np.full(4, 0.6), np.array([0.4, 0.5, 0.7, 0.8]), of_other=np.array([1_000, 2_000, 8_000, 8_000.0]))
    crossing = pair(found).crossings[0].budget.value
    # between .5 at 2,000 and the mean of .7 and .8 at 8,000
    assert crossing == pytest.approx(2_000 * 4 ** (0.1 / 0.25), rel=1e-6)


def test_planted_crossovers_are_held_by_their_intervals() -> None:
    """The study in small; with 1,000 replicates see docs/budget-curves.md."""
    for mode in ("own", "seeds"):
        found = study.crossing_row(1_000, mode, study.BUDGETS, 25)
        assert found["told"] >= 0.8
        assert found["wrong"] == 0.0
        assert found["held"] >= 0.8  # at a true 95 % it is lower once in a thousand times


def test_no_crossover_is_told_where_there_is_none() -> None:
    assert study.none_row(0.2, 1_000, "own", 15)["none"] >= 0.9
    equal = study.none_row(0.0, 1_000, "own", 15)
    assert equal["crossover"] == 0.0
    assert equal["none"] <= 0.1


def test_the_theory_puts_the_planted_crossover_where_it_is() -> None:
    model: dict[str, object] = {
        "kind": "simulated", "signal": None, "mixture": [], "a": 0.02, "beta": 0.45, "signal_max": 0.6, "message": 20,
        "overhead": 0, "fidelity": 0.95, "lock": 0.05, "lock_order": "after_channel", "compute": 9,
    }  # fmt: skip
    tasks = {"kind": "signal", "choices": 2}

    def stored(topology: dict[str, object], protocol: str, n: int, **more: object) -> StoredOrganisation:
        scenario = {"agents": [{"model": {**model, **more}}], "tasks": tasks, "topology": topology}
        return StoredOrganisation({**scenario, "protocol": {"kind": protocol}}, n, "compute")

    single, star = stored({"kind": "single"}, "vote", 1), stored({"kind": "star"}, "aggregate", 6)
    tree = stored({"kind": "tree", "fan_in": 5}, "aggregate", 6)
    known = {"single": single, "star": star, "tree": tree}
    assert predicted_crossover(known, "single", "star") == pytest.approx(study.TRUTH)
    assert predicted_crossover(known, "star", "single") == pytest.approx(study.TRUTH)
    assert predicted_crossover(known, "single", "tree") == pytest.approx(study.TRUTH)
    assert predicted_crossover(known, "star", "tree") is None, "neither is one agent"
    other = stored({"kind": "star"}, "aggregate", 6, fidelity=0.9)
    even = stored({"kind": "star"}, "aggregate", 5)
    known_to_none = stored({"kind": "star"}, "aggregate", 6, signal=0.3)
    for unlike in (other, even, known_to_none, stored({"kind": "star"}, "debate", 6)):
        assert predicted_crossover({"single": single, "unlike": unlike}, "single", "unlike") is None
    curve = stored({"kind": "star"}, "aggregate", 6, fidelity={"kind": "exp", "m0": 10.0, "h": 1.0, "ceiling": 1.0})
    alone = stored({"kind": "single"}, "vote", 1, fidelity={"kind": "exp", "m0": 10.0, "h": 1.0, "ceiling": 1.0})
    found = predicted_crossover({"single": alone, "star": curve}, "single", "star")
    assert found is not None
    assert found > study.TRUTH, "a message of 20 tokens keeps 1 - exp(-2) = .86"


# The front


def test_the_front_is_what_nobody_beats_for_as_few_tokens() -> None:
    tokens, score = np.array([[1.0, 2.0, 2.0, 3.0, 3.0]]), np.array([[0.5, 0.4, 0.7, 0.7, 0.9]])
    assert on_front(tokens, score).tolist() == [[1, 0, 1, 0, 1]]
    assert on_front(np.ones((2, 3)), np.ones((2, 3))).tolist() == [[1, 1, 1]] * 2, "equals are on it together"


def test_the_front_is_told_with_its_share_of_samples() -> None:
    found = table(np.full(4, 0.6), np.array([0.4, 0.61, 0.7, 0.8]))
    front = {point.label: point for point in front_of(found.draws(replicates=500, seed=2))}
    assert [label for label, point in front.items() if point.on_front] == ["a0", "b1", "b2", "b3"]
    assert front["a0"].share == front["b3"].share == 1.0
    assert 0.2 < front["b1"].share < 0.8
    assert front["b0"].share == 0.0


# The isotonic fit


def test_the_isotonic_fit_pools_what_falls() -> None:
    values, weight = np.array([0.2, 0.5, 0.3, 0.4, 0.9]), np.array([1.0, 1.0, 3.0, 1.0, 1.0])
    assert fitted(values, weight**-0.5).fitted == pytest.approx([0.2, 0.35, 0.35, 0.4, 0.9])
    rising = np.array([0.1, 0.2, 0.3])
    assert fitted(rising, 1.0).fitted == pytest.approx(rising)


def fitted(score: FloatArray, error: float | FloatArray) -> FittedCurve:
    data = CurvePoints("a", np.arange(1.0, len(score) + 1), score, np.broadcast_to(error, score.shape), 400)
    fit = Isotonic().fit(data, 0)
    assert isinstance(fit, FittedCurve)
    return fit


def test_scores_that_fall_are_told_where_that_is_no_chance() -> None:
    falls, rises = fitted(np.array([0.5, 0.8, 0.6, 0.6]), 0.02), fitted(np.array([0.5, 0.6, 0.59, 0.7]), 0.02)
    assert falls.p is not None
    assert rises.p is not None
    assert falls.p <= FALLS < rises.p
    assert falls.words.startswith("its score falls by 0.200 where it spends more (p ")
    assert rises.words == ""
    assert falls.card.digest() != rises.card.digest()
    assert json_of(falls)["card"]["form"]["levels"] == 2
    assert (
        Isotonic().fit(CurvePoints("a", X[:1], X[:1], X[:1], 9), 0) == "a curve needs two points at different spending"
    )


def json_of(fit: FittedCurve) -> dict[str, dict[str, dict[str, object]]]:
    return fit.as_dict()


def test_monotone_curves_are_seldom_said_to_fall() -> None:
    assert study.falls_row(lambda x: np.full(len(x), 0.7), 400, 15) <= 0.2
    assert study.falls_row(lambda x: np.where(x > 3_000, 0.5, 0.8), 400, 5) == 1.0


def test_samples_without_a_row_of_a_point_have_its_mean() -> None:
    found = table(np.full(4, 0.5), np.full(4, 0.5), tasks=6)
    gaps = TaskTable(found.labels, found.score.copy(), found.tokens.copy(), found.rows.copy(), bounded=True)
    for part in (gaps.score, gaps.tokens, gaps.rows):
        part[1:, 0] = 0.0
    draws = gaps.draws(replicates=200, seed=3)
    assert np.isfinite(draws.score).all()
    assert (draws.tokens[:, 0] == 1_000).all()
    assert gaps.of(["a0", "a1"]).rows.shape == (1, 2)
    assert not gaps.whole.all()
    assert found.whole.all()
