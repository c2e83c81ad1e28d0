"""Signs of slowing: indicators by hand, surrogates that change nothing, systems in which the signs are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

import agentsoc
import analysis
from agentsoc.errors import InputError
from analysis.interval import Interval
from analysis.slowing import EarlyWarning, Recovery, Sign, recovery, round_series, watch_series, watch_sweep
from analysis.slowing.indicators import INDICATORS, kendall, lag1, rolling, trend, window_ends
from analysis.slowing.monitor import WARNING
from analysis.slowing.surrogates import ar1 as ar1_like
from analysis.slowing.surrogates import phases, pooled
from analysis.synergy.simulation.poll_rounds import Push, poll_rounds
from analysis.synergy.theory.recursion import alpha, critical_gamma
from benchmarks.study_slowing import SYSTEMS, ar1
from tests.sides import told_apart
from tests.strategies import scenario


def test_indicators_of_a_window_are_those_of_numpy_and_scipy() -> None:
    x = np.cumsum(np.random.default_rng(1).normal(size=(2, 60)), axis=1) + 1e3
    found, ends = rolling(x, 25), window_ends(60, 25)
    for at, end in enumerate(ends):
        for row in range(2):
            part = x[row, end - 25 : end]
            assert found[0, row, at] == pytest.approx(np.corrcoef(part[:-1], part[1:])[0, 1], abs=1e-8)
            assert found[1, row, at] == pytest.approx(part.var(), rel=1e-7)
            assert found[2, row, at] == pytest.approx(abs(stats.skew(part)), abs=1e-6)


def test_tau_is_kendalls() -> None:
    values = np.random.default_rng(2).normal(size=(3, 40))
    wanted = [stats.kendalltau(np.arange(40), row).statistic for row in values]
    assert kendall(values) == pytest.approx(wanted)
    assert kendall(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])).tolist() == [1.0, -1.0, 0.0]


def test_the_trend_of_a_straight_line_is_the_line_where_the_kernel_fits() -> None:
    line = np.arange(100.0)[None]
    assert trend(line, 5.0)[0, 30:70] == pytest.approx(line[0, 30:70])
    assert trend(np.full((1, 50), 3.0), 5.0) == pytest.approx(np.full((1, 50), 3.0))


def test_windows_of_a_long_series_are_thinned_out() -> None:
    assert len(window_ends(500, 250)) == 126
    assert len(window_ends(100_000, 50_000)) <= 128
    assert window_ends(100_000, 50_000)[-1] == 100_000


def test_surrogates_keep_what_they_promise() -> None:
    x, rng = ar1(0.7, 1, 3)[0], np.random.default_rng(4)
    x = x - x.mean()
    own, turned = ar1_like(x, 400, rng), phases(x, 400, rng)
    assert np.abs(np.fft.rfft(turned[0])) == pytest.approx(np.abs(np.fft.rfft(x)), rel=1e-6, abs=1e-6)
    assert turned.std(axis=1) == pytest.approx(np.full(400, x.std()))
    assert float(np.mean(own.std(axis=1))) == pytest.approx(x.std(), rel=0.03)
    assert float(np.median(lag1(own))) == pytest.approx(float(lag1(x[None])[0]), abs=0.02)
    assert phases(x[:-1], 2, rng).shape == (2, 499)
    for kind in ("AR(1)", "phase-randomised"):
        both = pooled(kind, np.array([x[:250], x[250:]]), 300, rng)
        assert float(both.std()) == pytest.approx(1.0, rel=0.05)
        assert float(np.median(lag1(both))) == pytest.approx(0.7, abs=0.08)


def test_tau_alone_is_no_evidence() -> None:
    """500 steps, windows of 250: phi from .10 to .95 gives a median tau of .94, a stationary series -.74 to .74."""
    rising = kendall(rolling(ar1(np.linspace(0.1, 0.95, 500), 300, 5), 250)[0])
    still = np.quantile(kendall(rolling(ar1(0.5, 600, 6), 250)[0]), (0.05, 0.95))
    assert 0.92 < float(np.median(rising)) < 0.98
    assert -0.83 < still[0] < -0.63
    assert 0.63 < still[1] < 0.83


def test_slowing_is_seen_in_a_fold_and_not_in_what_stands_still() -> None:
    def seen(name: str, number: int) -> list[EarlyWarning]:
        return [watch_series(x, bandwidth=50, seed=at) for at, x in enumerate(SYSTEMS[name](number, 1))]

    assert sum(one.sign("autocorrelation").trend > 0 for one in seen("fold", 3)) >= 2
    assert sum(one.slowing for one in seen("stationary, phi .5", 2)) <= 1
    flips = seen("overreaction, up to a flip", 1)
    assert [one.sign("autocorrelation").trend for one in flips] == [-1]
    assert not any(one.slowing for one in flips)


def test_a_sweep_over_a_society_shows_it_slowing_down() -> None:
    top = float(critical_gamma(3, 0.0))
    shares = np.linspace(0.1, 0.97, 8)
    series = [poll_rounds(np.full(120, share * top), 200, 3, seed=at)[0] for at, share in enumerate(shares)]
    found = watch_sweep(shares[::-1], series[::-1], name="fidelity", seed=1)
    assert found.at.tolist() == shares.tolist()
    assert found.sign("autocorrelation").trend == 1
    assert found.slowing
    assert "fidelity from 0.1 to 0.97: 8 series of 120 steps" in found.summary()


def test_a_society_recovers_as_the_theory_says() -> None:
    for share in (0.5, 0.8):
        gamma = share * float(critical_gamma(3, 0.0))
        phi = float(alpha(3, gamma, 0.0))
        runs = [
            poll_rounds(np.full(40, gamma), 1000, 3, replicas=100, push=push, seed=2)[:, 19:]
            for push in (Push(19, 0.05), None)
        ]
        found = recovery(*runs)
        assert found.rate.low - 0.01 < phi < found.rate.high + 0.01
        assert found.time is not None
        assert found.time.value == pytest.approx(-1 / math.log(phi), rel=0.08)


def test_recovery_of_a_process_that_is_known() -> None:
    for phi in (0.6, 0.95, -0.7):
        noise = 0.02 * np.random.default_rng(3).normal(size=(200, 30))
        assert recovery(phi ** np.arange(30) + noise).rate.covers(phi)
    assert recovery(np.tile(0.5 ** np.arange(6), (10, 1))).rate.value == pytest.approx(0.5, abs=1e-3)


def test_each_sentence_on_recovery_is_said_where_it_holds() -> None:
    def of(low: float, value: float, high: float, **more: Any) -> str:
        return Recovery(Interval(value, low, high, **more), np.ones(3), 40).summary()

    back, over, unsure, stuck = (
        of(0.4, 0.5, 0.6),
        of(-0.8, -0.7, -0.6),
        of(-0.1, 0.1, 0.2),
        of(0.9, 0.99, 0.999, open_high=True),
    )
    told_apart({
        "recovery time 1.443 [1.091, 1.958] steps": back,
        "the system overshoots": over,
        "a recovery time is not told": (unsure, stuck),
    })  # fmt: skip
    assert "40 replicas: 0.500 [0.400, 0.600] of a push is left after a step" in back


def test_each_sentence_on_signs_is_said_where_it_holds() -> None:
    def of(*trends: int, about: str = "x") -> str:
        signs = tuple(
            Sign(name, 0.5 * (way or 1), (-0.4, 0.4), 0.05 if way else 0.051, {"AR(1)": 0.01, "phase-randomised": 0.02})
            for name, way in zip(INDICATORS, trends, strict=True)
        )
        return EarlyWarning(about, np.zeros(1), np.zeros((3, 1)), signs, 500).summary()

    slow, falls, still, lean = of(1, 1, 0), of(-1, 1, 0), of(0, 0, 0), of(0, 0, 1)
    told_apart({
        "memory and spread rise together, as in a system that slows down": slow,
        "something changes, but memory and spread do not both rise as in a system that slows down": (falls, lean),
        "nothing is told from chance, which does not say that nothing comes": still,
        "lag-1 autocorrelation rises: tau +0.50, chance -0.40 to +0.40, p = 0.050 (0.010 AR(1), 0.020 ph": slow,
        "lag-1 autocorrelation falls: tau -0.50": falls,
        "lag-1 autocorrelation has no trend beyond chance": (still, lean),
        "absolute skewness rises": lean,
    })  # fmt: skip
    for text in (slow, falls, still, lean):
        assert WARNING in text
        assert "x, 500 surrogates of each kind" in text
    x = ar1(0.3, 1, 1)[0]
    told_apart(
        {
            "trend of 50 steps taken away": watch_series(x).about,
            "no trend taken away": watch_series(x, bandwidth=0).about,
        }
    )
    assert watch_series(x, name="acts").about.startswith("acts: 500 steps, windows of 250, ")
    assert "signs point the other way" in WARNING


@pytest.mark.parametrize(
    ("series", "more", "said"),
    [
        ([1.0] * 39, {}, "series has 39 steps"),
        ([[1.0] * 40], {}, "series has 2 dimensions"),
        (["a"] * 40, {}, "series is not a series of numbers"),
        ([*range(40), math.inf], {}, "series has inf at step 40"),
        ([3.0] * 50, {}, "series is 3 at every step"),
        ([1e200, *range(50)], {}, "values beyond 1e100"),
        (list(range(50)), {"window": 45}, "a window of 45 steps does not fit a series of 50"),
        (list(range(50)), {"bandwidth": 0.5}, "a kernel of 0.5 steps is impossible"),
        (list(range(50)), {"bandwidth": math.nan}, "a kernel of nan steps is impossible"),
        (list(range(50)), {"surrogates": 499}, "499 surrogates say too little of chance"),
    ],
)
def test_a_series_that_cannot_be_watched_is_refused(series: Any, more: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        watch_series(series, **more)


def test_a_sweep_that_cannot_be_watched_is_refused() -> None:
    rows = list(ar1(0.5, 6, 1, 60))
    for at, series, said in (
        ([1, 2], rows, "2 values of parameter and 6 series"),
        ([1, 2, 3, 4], rows[:4], "4 distinct finite values in 4"),
        ([1, 2, 3, 4, 5, 5], rows, "5 distinct finite values in 6"),
        ([1, 2, 3, 4, 5, 6], [*rows[:5], rows[5][:50]], "different lengths: 60, 60, 60, 60, 60, 50"),
        ([1, 2, 3, 4, 5, 6], [*rows[:5], np.ones(60)], "the series at parameter = 6 is 1 at every step"),
    ):
        with pytest.raises(InputError, match=said):
            watch_sweep(at, series)


def test_a_recovery_that_cannot_be_measured_is_refused() -> None:
    for shape, said in (((5, 10), "5 replicas of 10 steps"), ((20, 2), "20 replicas of 2 steps"), ((20,), "has shape")):
        with pytest.raises(InputError, match=said):
            recovery(np.ones(shape))
    with pytest.raises(InputError, match="nothing is displaced"):
        recovery(np.ones((20, 5)), np.ones((20, 5)))
    with pytest.raises(InputError, match="not finite"):
        recovery(np.full((20, 5), math.nan))


def test_polls_refuse_what_is_impossible() -> None:
    for more, said in (
        ({"n": 10, "b": 2}, "b is odd"),
        ({"n": 10**9, "b": 3}, "too many answers"),
        ({"n": 10, "b": 3, "push": Push(7, 0.1)}, "a push of 0.1 after round 7"),
    ):
        with pytest.raises(InputError, match=said):
            poll_rounds([0.5] * 5, seed=1, **more)


def test_polls_follow_the_map_of_the_theory_and_a_push_moves_one_round() -> None:
    gamma = np.full(6, 0.9)
    still, pushed = (
        poll_rounds(gamma, 4000, 3, mu0=0.2, replicas=20, push=push, seed=3) for push in (None, Push(2, 0.1))
    )
    mean = still.mean(axis=0)
    wanted = 0.2
    for at in range(3):
        wanted = float(1.5 * 0.9 * wanted - 0.5 * (0.9 * wanted) ** 3)
        assert mean[at] == pytest.approx(wanted, abs=0.02)
    assert np.array_equal(still[:, :2], pushed[:, :2])
    assert np.all(pushed[:, 2] > still[:, 2])


@pytest.fixture(scope="module")
def long_debate(tmp_path_factory: pytest.TempPathFactory) -> analysis.tables.EventTable:
    """Eight agents who debate one task for sixty rounds."""
    place = tmp_path_factory.mktemp("debate") / "run"
    agentsoc.run(
        scenario(
            name="long", tasks={"kind": "signal", "count": 1}, topology="decentralized",
            agents={"count": 8, "model": {"kind": "simulated", "signal": 0.2, "fidelity": 0.5}},
            protocol={"kind": "debate", "rounds": 60},
        ),
        place,
    )  # fmt: skip
    return analysis.read_tables(place)


def test_rounds_of_a_run_become_a_series(long_debate: Any) -> None:
    found = {name: round_series(long_debate, name)[0] for name in ("right", "agreement", "disputes", "acts")}
    acts = long_debate.events.filter(pl.col("round") == 3)
    first = acts.filter(pl.col("answer").is_not_null())
    assert first.height == 8
    assert found["right"][3] == pytest.approx(first["correct"].mean())
    assert found["agreement"][3] == pytest.approx(first["answer"].value_counts()["count"].max() / first.height)
    assert len(found["acts"]) >= 60
    told = analysis.watch(long_debate, "right", bandwidth=0)
    assert told.about.startswith("right by round: 6")
    with pytest.raises(InputError, match="execution 5 has no round"):
        analysis.watch(long_debate, execution=5)
    with pytest.raises(InputError, match="no quantity 'colour'"):
        round_series(long_debate, "colour")  # type: ignore[arg-type]
