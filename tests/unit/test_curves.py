"""Curves with bends: planted forms come back, breaks are reported where they should be, and nothing else is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import approx_fprime, least_squares

import agentsoc
import analysis
from agentsoc.errors import InputError
from analysis.cascade_laws.as_json import laws_as_dict
from analysis.cascade_laws.examine import FAST, examine
from analysis.cascade_laws.growth_curve import growth_curve
from analysis.cascade_laws.text import laws_as_text
from analysis.curves import Break, CurveLaw, Resampled, curve_of, fit_curve
from analysis.curves.forms import CANDIDATES, CONSTANT, POWER, Form
from analysis.curves.holdout import Choice, beats, choose
from analysis.curves.points import points_of
from analysis.curves.search import best_of_sides, sides
from analysis.fitcard import FitCard
from analysis.interval import Interval
from analysis.measures.sweep import curves_of
from analysis.measures.text import as_dict, as_text
from analysis.tables import EventTable
from benchmarks.planted_cascades import table_of
from benchmarks.study_curves import broken, logistic, octave, one_break, plain, recovered
from tests.sides import told_apart
from tests.strategies import scenario

F64 = NDArray[np.float64]
X: F64 = np.geomspace(1.0, 1000.0, 40)
EVERY = [one for form in CANDIDATES for one in sides(form)]


@pytest.mark.parametrize("form", EVERY, ids=lambda form: f"{form.name} {form.sign}")
def test_derivatives_of_every_form_are_those_of_differences(form: Form) -> None:
    log_x = np.linspace(-3.0, 3.0, 7)
    rng = np.random.default_rng(1)
    start = [5.0] if form.limit else []
    theta = np.array([*start, 0.3, *rng.uniform(0.1, 0.9, form.n_parameters - len(start) - 1)])
    for at, place in enumerate(log_x):

        def value(own: F64, place: float = place) -> float:
            return float(form.log_y(own[None], np.array([place]))[0][0, 0])

        exact = form.log_y(theta[None], log_x)[1][0, at]
        assert exact == pytest.approx(approx_fprime(theta, value, 1e-7), abs=2e-5)


def test_the_equation_is_the_published_one() -> None:
    """y = a + b x^-c0 (1 + (x/d)^(1/f))^(-c1 f), arXiv 2210.14891."""
    a, b, c0, c1, d, f = 0.1, 2.0, 0.3, 0.5, 20.0, 0.2
    theta = np.array([[a, math.log(b), c0, c1, math.log(d), math.log(f)]])
    wanted = a + b * X**-c0 * (1 + (X / d) ** (1 / f)) ** (-c1 * f)
    assert np.exp(Form(1, limit=True).log_y(theta, np.log(X))[0][0]) == pytest.approx(wanted)


def test_the_search_finds_what_scipy_finds_from_the_truth() -> None:
    planted = one_break(3)
    points = points_of(planted.x, planted.y, None, names=("x", "y"))
    found = best_of_sides(Form(1), points.whole())

    def off(theta: F64) -> F64:
        return np.asarray(Form(1).log_y(theta[None], points.log_x)[0][0] - points.log_y)

    b, f, _ = planted.parameters
    first, second = planted.slopes
    truth = np.array([math.log(b) - points.level + first * points.centre, -first, first - second,
                      math.log(planted.d) - points.centre, math.log(f)])  # fmt: skip
    best = least_squares(off, truth, xtol=1e-12, ftol=1e-12)
    assert float(found.loss[0]) == pytest.approx(2 * best.cost / X.size, rel=1e-4)
    assert found.theta[0, :4] == pytest.approx(best.x[:4], abs=2e-2)


def test_a_planted_break_comes_back_with_its_slopes() -> None:
    told = []
    for seed in range(2):
        planted = one_break(seed, slopes=(-0.2, -0.8), points=24)
        law = fit_curve(planted.x, planted.y, draws=40)
        own, single, _ = octave(law, planted)
        assert own < single
        told.append(recovered(law, planted)[:2])
    assert told == [(True, True)] * 2


def test_a_power_law_has_no_break_and_a_logistic_is_no_power_law() -> None:
    one = plain(2, points=12)
    assert fit_curve(one.x, one.y, draws=20).word == "power law"
    assert fit_curve(*logistic(1, points=16), draws=20).word == "logistic"


def test_a_limit_is_found_on_either_side() -> None:
    x = np.geomspace(1, 1000, 16)
    noise = np.exp(0.02 * np.random.default_rng(5).normal(size=x.size))
    for y, limit, slope in ((0.1 + x**-0.7, 0.1, -0.7), (0.9 - 0.8 * x**-0.5, 0.9, -0.5)):
        law = fit_curve(x, y * noise, draws=60)
        assert law.word == "power law with a limit"
        assert law.limit is not None
        assert law.limit.value == pytest.approx(limit, rel=0.1)
        assert law.slopes[0].value == pytest.approx(slope, abs=0.1)


def test_units_of_x_and_y_change_nothing_but_units() -> None:
    planted = one_break(1, points=20)
    one, other = (fit_curve(planted.x * a, planted.y * b, draws=30) for a, b in ((1.0, 1.0), (1e-6, 1e30)))
    assert other.breaks[0].at.value == pytest.approx(one.breaks[0].at.value * 1e-6, rel=1e-3)
    assert [s.value for s in other.slopes] == pytest.approx([s.value for s in one.slopes], abs=1e-3)
    assert other.predict(2e-4)[0].value == pytest.approx(one.predict(200.0)[0].value * 1e30, rel=1e-3)


def test_equal_data_give_equal_laws_and_cards() -> None:
    planted = one_break(2, points=14)
    one, other = (fit_curve(planted.x, planted.y, draws=30, seed=4) for _ in range(2))
    assert one.as_dict() == other.as_dict()
    assert one.card.digest() == other.card.digest()
    assert one.card.optimisation["hold-out at the largest x, relative error"] == pytest.approx(0, abs=0.3)


def test_values_of_one_cluster_are_left_out_together_and_resampled_together() -> None:
    """Runs with a level of their own at every x: taken as independent, the interval is far too narrow."""
    rng = np.random.default_rng(6)
    level = np.repeat(0.3 * rng.normal(size=12), 6)
    x = np.tile(np.geomspace(1, 100, 6), 12)
    y, run = np.exp(level + 0.01 * rng.normal(size=72)) * x**0.5, np.repeat(np.arange(12), 6)
    clustered, alone = (fit_curve(x, y, clusters=labels, draws=60) for labels in (run, None))
    assert clustered.predict(10)[0].width > 3 * alone.predict(10)[0].width
    assert clustered.card.data["units"] == "clusters"
    assert alone.card.data["units"] == "values with one x"
    few = fit_curve(x[:18], y[:18], clusters=run[:18], draws=20)
    only = fit_curve(x[:6], y[:6], clusters=run[:6], draws=20)
    warned = [" ".join(one.card.warnings) for one in (few, only, clustered)]
    told_apart({
        "values are of only 3 clusters": warned[0],
        "all values are of one cluster": warned[1],
        "so each x is taken as independent, which it may not be": tuple(warned[:2]),
    }, warned[2])  # fmt: skip
    told_apart({"values with one x": str(alone.card.data["units"])}, str(clustered.card.data["units"]))


def test_many_x_are_taken_together() -> None:
    x = np.geomspace(1, 1e4, 3000)
    y = x**0.5 * np.exp(0.1 * np.random.default_rng(1).normal(size=3000))
    points = points_of(x, y, None, names=("x", "y"))
    assert points.n_x == 128
    assert points.merged
    assert points.at.size == 3000
    assert float(-best_of_sides(POWER, points.whole()).theta[0, 1]) == pytest.approx(0.5, abs=0.01)
    assert not points_of(x[:100], y[:100], None, names=("x", "y")).merged


def test_a_form_that_is_wildly_wrong_once_is_still_beaten() -> None:
    good, wild = np.full(20, 0.01) + 0.001 * np.arange(20), np.full(20, 0.02)
    wild[3] = 100.0
    assert beats(good, wild)
    assert not beats(wild, good)
    assert not beats(good, good)


def test_breaks_are_bought_by_held_out_error_alone() -> None:
    """Training fit always prefers more breaks; what was left out does not."""
    one = plain(7, points=20)
    points = points_of(one.x, one.y, None, names=("x", "y"))
    forms = (CONSTANT, POWER, Form(1), Form(2))
    losses = [float(best_of_sides(form, points.whole()).loss[0]) for form in forms]
    assert losses == sorted(losses, reverse=True)
    assert choose(points, forms).chosen == POWER


@pytest.mark.parametrize(
    ("x", "y", "more", "said"),
    [
        ([1, 2, 3], [1, 2, 3], {}, "x has 3 distinct values"),
        ([1, 2, 3, 4], [1, 2, 3], {}, "x has 4 values and y has 3"),
        ([1, 2, 3, 4], [1, 2, 0, -1], {}, "y has 0 in row 2 and 1 more"),
        ([1, 2, 3, math.nan], [1, 2, 3, 4], {}, "x has nan in row 3"),
        ([1, 2, 3, 4], ["a", 2, 3, 4], {}, "y is not a column of numbers"),
        ([[1, 2], [3, 4]], [1, 2, 3, 4], {}, "x has 2 dimensions"),
        ([1, 2, 3, 4], [1e-80, 1, 1, 1e80], {}, "y spans a factor of more than 1e100"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"clusters": [1, 2]}, "2 clusters are named for 4 values of x"),
    ],
)
def test_what_no_curve_can_be_fitted_to_is_refused(x: Any, y: Any, more: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_curve(x, y, **more)


def test_a_prediction_has_its_reach() -> None:
    law = straight()
    assert law.predict([2000.0])[0].value == pytest.approx(2000**0.5)
    with pytest.raises(InputError, match=r"told from 0\.1 to 10000"):
        law.predict([10_001.0])
    with pytest.raises(InputError, match="told from"):
        law.predict([math.nan])


def test_a_new_value_scatters_more_than_the_curve() -> None:
    one = plain(3, points=12)
    law = fit_curve(one.x, one.y, draws=200)
    assert law.predict(500, new=True)[0].width > 2 * law.predict(500)[0].width


def test_resampled_values_give_intervals_of_their_own_and_need_one_value_at_each_x() -> None:
    one = plain(3, points=12)
    values = one.y * np.exp(0.2 * np.random.default_rng(1).normal(size=(200, 12)))
    law = fit_curve(one.x, one.y, draws=200, resampled=Resampled(values, 50, "bootstrap over papers"))
    (slope,) = law.slopes
    assert slope.method == law.predict(500)[0].method == "bootstrap over papers"
    assert slope.width == pytest.approx(2 * 2.01 * 0.2 / np.log(one.x).std() / np.sqrt(12), rel=0.2)
    assert law.card.optimisation["uncertainty"] == "bootstrap over papers, 200 samples"
    with pytest.raises(InputError, match="one value at each x"):
        fit_curve(np.repeat(one.x, 2), np.repeat(one.y, 2), resampled=Resampled(values, 50))


def test_columns_of_a_table_become_a_curve() -> None:
    table = pl.DataFrame(
        {"tokens": [1, 2, 4, 8, 16, 32, None], "score": [0.1, 0.2, 0.4, None, 1.6, 3.2, 1.0], "run": list("abcdefg")}
    )
    law = curve_of(table, "tokens", "score", cluster="run", draws=20)
    assert law.names == ("tokens", "score")
    assert law.x.tolist() == pytest.approx([1, 2, 4, 16, 32])
    assert law.slopes[0].value == pytest.approx(1.0)
    with pytest.raises(InputError, match="no column rounds"):
        curve_of(table, "rounds", "score")
    with pytest.raises(InputError, match="column run holds String"):
        curve_of(table, "run", "score")


@settings(max_examples=5, deadline=None)
@given(
    n=st.integers(4, 8), seed=st.integers(0, 2**32 - 1), scale=st.floats(-40, 40), wild=st.sampled_from([0.0, 0.1, 3.0])
)
def test_any_positive_columns_give_a_law_with_ordered_intervals(n: int, seed: int, scale: float, wild: float) -> None:
    rng = np.random.default_rng(seed)
    x = np.unique(np.exp(rng.uniform(0, 8, n)))
    y = np.exp(scale + wild * rng.normal(size=x.size))
    if x.size < 4:
        return
    law = fit_curve(x, y, draws=20)
    shown = [*law.slopes, *law.predict([x[0], 2 * x[-1]]), *(one.at for one in law.breaks)]
    assert all(one.low <= one.value <= one.high for one in shown)
    assert law.summary()


def test_forms_are_told_by_their_names() -> None:
    names = {form: form.name for form in CANDIDATES}
    limited = tuple(name for form, name in names.items() if form.limit and not form.logistic)
    told_apart({
        "power law with one break": (names[Form(1)], names[Form(1, limit=True)]),
        "power law with two breaks": (names[Form(2)], names[Form(2, limit=True)]),
        ", with a limit": limited,
        ", with a floor": names[Form(limit=True, logistic=True)],
    }, *names.values())  # fmt: skip
    assert len(set(names.values())) == len(CANDIDATES)
    assert [form.n_parameters for form in CANDIDATES] == [1, 2, 3, 3, 4, 5, 6, 8, 9]


def grown(n_agents: tuple[int, ...]) -> EventTable:
    """Return executions of N agents in which one claim gathers about N^1.2 others."""
    parents: list[int | None] = []
    where: list[int] = []
    agents: list[int] = []
    rng = np.random.default_rng(1)
    for e, n in enumerate(n_agents):
        size, first = max(2, round(n**1.2 * float(np.exp(0.1 * rng.normal())))), len(parents)
        parents += [None, *[first] * (size - 1)]
        where += [e] * size
        agents += [at % n for at in range(size)]
    return table_of(parents, where, np.array(agents), one_seed=False, n_agents=list(n_agents))


def test_laws_tell_a_curve_where_there_are_numbers_of_agents_enough() -> None:
    numbers = (2, 4, 8, 16, 32)
    many, quick = (
        examine(grown(numbers * times), effort=one) for times, one in ((2, replace(FAST, curve=40)), (1, FAST))
    )
    words = "    as a curve: largest cascade_size over N (5 of them from 2 to 32): power law, slope +1."
    told_apart({words: laws_as_text(many), "    as a curve: ": laws_as_text(many)}, laws_as_text(quick))
    told = laws_as_dict(many)["gamma"]["cascade_size"]["curve"]  # type: ignore[index]
    assert told["word"] == "power law"
    sample, cells = many.laws["cascade_size"].sample, np.arange(10)
    assert growth_curve(sample, numbers * 2, clusters=cells, draws=40) is not None
    assert growth_curve(sample, (8, 8, 8, 16, 32) * 2, clusters=cells, draws=40) is None  # too few N
    assert growth_curve(sample, (8, 9, 10, 16, 32) * 2, clusters=cells, draws=40) is None  # too short a range
    assert growth_curve(sample, numbers * 2, clusters=cells, draws=0) is None


def test_metrics_tell_how_the_score_of_a_sweep_goes(tmp_path: Path) -> None:
    voter = {"kind": "simulated", "signal": 0.1, "fidelity": 1.0}
    numbers = (1, 3, 5, 7, 11)
    for n in numbers:
        agents, tasks = {"count": n, "model": voter}, {"kind": "signal", "count": 20}
        agentsoc.run(scenario(name="n", tasks=tasks, agents=agents, topology="independent"), tmp_path / f"n{n}")
    law = analysis.curve(tmp_path, x="n_agents", y="score")
    assert law.x.tolist() == pytest.approx(numbers)
    reports = analysis.metrics(tmp_path)
    known = {name: curve.names[0] for name, curve in curves_of(reports.runs)}
    assert set(known) == {"independent, vote"}
    some = replace(reports, runs=reports.runs[:3])
    told_apart(
        {"curve, independent, vote: score over n_agents (5 of them from 1 to 11)": as_text(reports)}, as_text(some)
    )
    assert as_dict(reports)["curves"][0]["x"] == "n_agents"


@cache
def straight() -> CurveLaw:
    """Return the law of a power law of eight x."""
    x = np.geomspace(1.0, 1000.0, 8)
    return fit_curve(x, x**0.5, draws=20)


def said(form: Form, **more: Any) -> CurveLaw:
    """Return a law as it is told, made by hand."""
    made = straight()
    told = Interval(0.5, 0.4, 0.6)
    base = replace(made, form=form, theta=np.zeros(form.n_parameters), rivals=(), slopes=(told,))
    samples = replace(made.samples, true=np.zeros((20, form.n_parameters)), fitted=np.zeros((20, form.n_parameters)))
    errors = {POWER: np.full(40, 0.01), form.either: np.full(40, 0.0001)}
    return replace(base, samples=samples, choice=Choice(errors, 40, form.either), **more)


def test_each_word_is_said_of_what_it_is_true_of() -> None:
    inside = Break(Interval(30.0, 20.0, 40.0), Interval(0.2, 0.1, 0.3), Interval(-0.4, -0.5, -0.3), inside=True)
    slopes = (Interval(0.5, 0.4, 0.6), Interval(0.1, 0.0, 0.2))
    one = said(Form(1), breaks=(inside,), slopes=slopes)
    two = said(Form(2), breaks=(inside, inside), slopes=(*slopes, slopes[0]))
    outside = said(Form(1), breaks=(replace(inside, inside=False),), slopes=slopes)
    even = replace(one, choice=Choice({POWER: np.full(40, 0.0001), Form(1): np.full(40, 0.0001)}, 40, Form(1)))
    power, flat = said(POWER), said(CONSTANT, slopes=())
    limited = said(Form(0, limit=True), limit=Interval(0.9, 0.8, 1.0))
    s = Interval(2.0, 1.0, 3.0)
    curve = said(Form(logistic=True), slopes=(), steepness=s, middle=s)
    floor = said(Form(limit=True, logistic=True), slopes=(), steepness=s, middle=s, limit=Interval(0.25, 0.2, 0.3))
    short = replace(power, x=X[:4])
    narrow = replace(power, x=np.linspace(10.0, 50.0, 9))
    texts = {name: law.summary() for name, law in locals().items() if isinstance(law, CurveLaw)}
    own = {"one": "broken power law", "two": "broken power law", "outside": "bends", "even": "bends",
           "power": "power law", "flat": "constant", "limited": "power law with a limit", "curve": "logistic",
           "floor": "logistic", "short": "too few x", "narrow": "too few x"}  # fmt: skip
    laws = {name: law for name, law in locals().items() if isinstance(law, CurveLaw)}
    assert {name: law.word for name, law in laws.items()} == own
    of_power = tuple(text for name, text in texts.items() if name not in ("power", "short", "narrow"))
    told_apart({
        "too few x or too short a range for a law; power law predicts best": (texts["short"], texts["narrow"]),
        "no change is seen": texts["flat"],
        "levels off as a logistic, steepness 2.000 [1.000, 3.000], middle at": (texts["curve"], texts["floor"]),
        " above 0.250 [0.200, 0.300]": texts["floor"],
        " towards the limit 0.900 [0.800, 1.000]": texts["limited"],
        "): power law, slope +0.500 [+0.400, +0.600]": texts["power"],
        "it bends, but no break is reported: forms without a break predict as well": texts["even"],
        "it bends, but no break is reported: its interval reaches beyond the data": texts["outside"],
        "broken power law, slope +0.500 [+0.400, +0.600], then +0.100": (texts["one"], texts["two"]),
        "with a break at 30.0 [20.0, 40.0];": texts["one"],
        "with a break at 30.0 [20.0, 40.0] and 30.0 [20.0, 40.0]": texts["two"],
        "% for a power law": of_power,
    })  # fmt: skip
    for text in texts.values():
        assert "; held-out error " in text
        assert ", if it goes on so" in text
    assert isinstance(one.card, FitCard)
    assert broken(np.array([1.0]), 1.0, (0.0, 0.0), (1.0, 0.1, 0.0)) == 1.0
