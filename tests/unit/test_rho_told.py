"""A correlation is told however wide its interval is; what is refused then is the decision, with the reason."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis.synergy.estimation.assumptions import check_channel
from analysis.synergy.estimation.channel_errors import channel_errors
from analysis.synergy.estimation.estimate import Measurements, estimate_phase
from analysis.synergy.estimation.fidelity_fit import fit_fidelity, gamma_interval
from analysis.synergy.estimation.interval import WIDEST, Estimate, as_wide, given
from analysis.synergy.estimation.known import KnownParameters
from analysis.synergy.estimation.node_response import fit_response
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.phase_of_runs import phase_of_votes
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from benchmarks.study_rho import merged
from benchmarks.study_shapes import votes
from tests.nightly import NIGHTLY

ROUGH = "undecided, because the interval of rho is wider than 0.5; measure more merges or replicates"


def of_votes(tasks: int, gamma: float = 0.95, rho: float = 0.05) -> PhaseEstimate:
    return phase_of_votes(votes("lock", rho=rho, gamma=gamma, tasks=tasks, mu=0.1), gamma=gamma)[0]


def test_a_wide_rho_is_told_and_decides_nothing() -> None:
    wide, narrow = of_votes(10), of_votes(200)
    assert wide.rho is not None
    assert narrow.rho is not None
    assert wide.rho.width > WIDEST > narrow.rho.width
    assert f"rho = {wide.rho} from replicates" in wide.summary()
    assert ROUGH in wide.summary()
    assert ROUGH not in narrow.summary()
    assert (wide.verdict, narrow.verdict) == ("undecided", "amplify")
    assert narrow.too_rough == ()


def test_few_tasks_behind_an_estimate_decide_nothing_either() -> None:
    few = of_votes(28)
    assert few.rho is not None
    assert few.rho.width < WIDEST
    assert few.verdict == "undecided"
    assert "because 28 tasks; below 30 no interval here is to be trusted" in few.summary()
    assert "below 30" not in of_votes(40).summary()


def test_a_gamma_of_few_round_trips_is_told_and_decides_nothing() -> None:
    def with_trips(n: int) -> PhaseEstimate:
        rng = np.random.default_rng(3)
        read = np.where(rng.random(n) < 0.95, "A", "B")
        trips = pl.DataFrame({"task": [f"g{i}" for i in range(n)], "m": 9.0, "sent": ["A"] * n, "read": read, "k": 2})
        received = votes("lock", rho=0.05, gamma=0.95, tasks=200, mu=0.1).with_columns(k=pl.lit(2))
        data = Measurements(trips=trips, votes=received)
        return estimate_phase(data, 5, known=KnownParameters(rho=0.05), n_draws=200)

    wide, narrow = with_trips(7), with_trips(400)
    assert wide.gamma is not None
    assert narrow.gamma is not None
    assert wide.gamma.width > WIDEST > narrow.gamma.width
    words = "because the interval of gamma is wider than 0.5; measure more round trips or merges"
    assert words in wide.summary()
    assert words not in narrow.summary()
    assert (wide.verdict, narrow.verdict) == ("undecided", "amplify")


def test_rho_of_few_merges_is_not_too_small_on_average_for_being_told() -> None:
    """30 samples, 100 each night, of 40 merges with rho .2: those that are narrow have a mean of .06."""
    found = [merged(np.random.default_rng([1, seed]), 40, 0.2) for seed in range(100 if NIGHTLY else 30)]
    told = [one for one in found if one is not None]
    assert len(told) == len(found)
    assert np.mean([one.value for one in told]) >= 0.2
    assert np.mean([one.value for one in told if one.width <= WIDEST]) < 0.15
    assert np.mean([one.covers(0.2) for one in told]) >= 0.87  # a true 95 % of 100 falls below in one of 1,000 cases


def merges(n_tasks: int, each: int, n_right: int, wrong: int = 0) -> pl.DataFrame:
    """Return merges of five votes, of which `n_right` are right; the first `wrong` do not end as the majority."""
    task = np.repeat(np.arange(n_tasks), each)
    out = np.full(task.size, int(n_right * 2 > 5))
    out[:wrong] = 1 - out[:wrong]
    return pl.DataFrame({"task": task, "b": 5, "right": n_right, "first": 1, "out": out, "k": 2})


def trips(n_tasks: int, each: int, wrong: int, k: int = 2) -> pl.DataFrame:
    """Return round trips, the first `wrong` of them misread; -1 for none that can be read."""
    n = n_tasks * each
    read = pl.Series([None if wrong < 0 else "B" if i < wrong else "A" for i in range(n)], dtype=pl.String)
    names = [f"g{i // each}" for i in range(n)]
    return pl.DataFrame({"task": names, "m": 9.0, "sent": ["A"] * n, "read": read, "k": k})


def gamma(n_tasks: int, each: int, wrong: int, k: int = 2) -> Estimate:
    return fit_fidelity(trips(n_tasks, each, wrong, k)).points[0].gamma


def test_votes_that_all_agree_leave_rho_open_however_often_they_are_drawn_again() -> None:
    """Every resample of equal merges is the same: once that gave rho 0 [0, 0], and a regime."""
    found = fit_response(merges(40, 3, 5))
    assert found.gamma is not None
    assert found.rho is not None
    assert (found.rho.low, found.rho.high) == (0, 1)
    kept = (1 + found.gamma.low) / 2
    chance = float(stats.binom.sf(2, 5, kept)) ** 40  # of 40 right majorities, at the end of the interval
    assert -2 * np.log(chance) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-3)
    assert found.gamma.high == 1


@pytest.mark.parametrize("wrong", [0, 1, 8, 40])
def test_unanimous_votes_tell_no_rho_whatever_came_of_them(wrong: int) -> None:
    """One kind of merges and two parameters: any rho fits, also where resamples differ."""
    found = fit_response(merges(40, 3, 5, wrong)).rho
    assert found is not None
    assert (found.low, found.high) == (0, 1)
    assert estimate_phase(Measurements(merges=merges(40, 3, 5, wrong)), 5, n_draws=100).verdict == "undecided"


def test_where_hardly_a_task_is_unusual_the_interval_holds_that_of_one_merge_a_task() -> None:
    often, once = fit_response(merges(40, 3, 3)), fit_response(merges(40, 1, 3))
    assert often.rho is not None
    assert once.rho is not None
    assert often.rho.low == once.rho.low == 0
    assert often.rho.high == pytest.approx(once.rho.high, abs=1e-6)
    assert often.gamma is not None
    assert often.gamma.method == "profile"
    differing = fit_response(read_twice(np.random.default_rng(5), 300, 0.8, 0.2))
    assert differing.rho is not None
    assert differing.rho.method == "bootstrap"


def read_twice(rng: np.random.Generator, n_tasks: int, fidelity: float, rho: float) -> pl.DataFrame:
    """Return two merges a task of five votes; the votes are those of the task, nodes hear and are locked apart."""
    task = np.repeat(np.arange(n_tasks), 2)
    sent = np.repeat(rng.random((n_tasks, 5)) < 0.6, 2, axis=0)
    read = sent ^ (rng.random(sent.shape) < (1 - fidelity) / 2)
    out = np.where(rng.random(task.size) < rho, read[:, 0], read.sum(axis=1) > 2)
    columns = {"task": task, "b": 5, "right": sent.sum(axis=1), "first": sent[:, 0].astype(int)}
    return pl.DataFrame({**columns, "out": out.astype(int), "k": 2})


@pytest.mark.parametrize(("fidelity", "rho"), [(1.0, 0.0), (0.98, 0.0), (0.9, 0.1)])
def test_intervals_of_good_readers_hold_the_truth(fidelity: float, rho: float) -> None:
    """Of 40 samples at least 35 hold it: an interval of 95 % does with probability .997 (of 90 %: .79); of 8, 6."""
    held, samples, least = np.zeros(2), *((40, 35) if NIGHTLY else (8, 6))
    for seed in range(samples):
        found = fit_response(read_twice(np.random.default_rng(100 + seed), 40, fidelity, rho), n_draws=100)
        assert found.gamma is not None
        assert found.rho is not None
        held += [found.gamma.low <= fidelity <= found.gamma.high + 1e-3, found.rho.covers(rho)]
    assert (held >= least).all()


def test_a_gamma_with_hardly_a_wrong_reading_has_the_interval_of_its_tasks() -> None:
    assert gamma(20, 4, 0) == gamma_interval(20, 20, 0.5)
    assert gamma(20, 4, 0).low < 0.8
    assert gamma(20, 1, 3) == gamma_interval(17, 20, 0.5)
    lows = [gamma(20, 4, wrong).low for wrong in range(9)]
    assert lows == sorted(lows, reverse=True), "more errors never give a higher end"
    spread = trips(40, 4, 0).with_columns(read=pl.Series(["B" if i % 8 == 0 else "A" for i in range(160)]))
    assert fit_fidelity(spread).points[0].gamma.method == "bootstrap"


@pytest.mark.parametrize("k", [2, 3, 5, 7, 10])
def test_of_replies_that_cannot_be_read_gamma_is_0_as_far_as_the_tasks_say(k: int) -> None:
    """Rounding of 1/k once made the resamples differ by 1e-17, which was then the width of the interval."""
    found = gamma(20, 4, -1, k)
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.low < -0.05
    assert found.high > 0.2


def test_what_follows_is_as_open_as_what_it_follows_from() -> None:
    """alpha was 1.375 [1.375, 1.375], P(alpha > 1) 1 and the regime told, of a gamma that may be .77."""
    found = estimate_phase(Measurements(trips=trips(30, 4, 0)), 3, known=KnownParameters(rho=0.25))
    assert found.gamma is not None
    assert found.alpha is not None
    assert found.gamma.low == pytest.approx(0.773, abs=1e-3)
    assert found.alpha.low == pytest.approx(1.375 * found.gamma.low, abs=0.05)
    assert min(found.p_amplify_by.values()) < 0.97
    assert found.verdict == "undecided"
    many = estimate_phase(Measurements(trips=trips(400, 4, 0)), 3, known=KnownParameters(rho=0.25))
    assert many.verdict == "amplify"


def test_draws_are_as_wide_as_the_interval_and_left_alone_where_they_are() -> None:
    told = Estimate(1.0, 0.8, 1.0, method="wilson")
    wide = as_wide(told, np.ones(4000))
    assert np.quantile(wide, 0.025) == pytest.approx(0.8, abs=0.015)
    assert wide.max() == 1
    draws = np.random.default_rng(1).normal(1, 0.1, 400)
    assert np.array_equal(as_wide(told, draws), draws)
    fixed = given(0.3)
    assert as_wide(fixed, np.full(5, 0.3)).tolist() == [0.3] * 5


def test_the_fidelity_of_a_channel_without_errors_is_as_open_as_its_tasks_leave_it() -> None:
    def told(wrong: int) -> Estimate:
        n = 40
        sent = np.arange(n) % 2
        read = np.where(np.arange(n) < wrong, 1 - sent, sent)
        columns = {"task": np.arange(n) // 2, "m": 9.0, "sent_correct": sent, "read_correct": read}
        return channel_errors(pl.DataFrame(columns)).gamma

    assert told(0).high == 1
    assert told(0).low == pytest.approx(gamma_interval(20, 20, 0.5).low)
    assert told(2).low < told(0).low
    assert told(20).method == "bootstrap"


def votes_of(groups: tuple[tuple[int, ...], ...], n_tasks: int = 30) -> pl.DataFrame:
    """Return votes that are the same in every task: a group for each run."""
    rows = [
        (task, run, agent, float(vote), 2)
        for task in range(n_tasks)
        for run, group in enumerate(groups)
        for agent, vote in enumerate(group)
    ]
    return pl.DataFrame(rows, schema=["task", "run", "agent", "correct", "k"], orient="row").with_columns(node=0)


@pytest.mark.parametrize(("groups", "value"), [(((1, 1, 0), (1, 1, 0)), -0.5), (((1, 1, 1), (0, 0, 0)), 1.0)])
def test_replicates_that_are_alike_in_every_task_leave_rho_as_open_as_two_tasks_more(
    groups: tuple[tuple[int, ...], ...], value: float
) -> None:
    fit = estimate_rho(votes_of(groups))
    assert fit.within is not None
    assert fit.few_unusual
    assert fit.within.value == pytest.approx(value)
    assert 0.03 < fit.within.width / 2 < 0.4
    more = estimate_rho(votes_of(groups, 300)).within
    assert more is not None
    assert more.width < fit.within.width / 4
    found = estimate_phase(Measurements(votes=votes_of(groups)), 3, known=KnownParameters(gamma=0.9))
    assert found.alpha is not None
    assert found.rho is not None
    if value > 0:  # at rho - reach alpha is larger
        assert found.alpha.high > found.alpha.value + 0.01
    ordinary = estimate_rho(votes("lock", rho=0.2, gamma=0.9, tasks=60, mu=0.1))
    assert not ordinary.few_unusual


def test_draws_reach_to_the_end_of_each_side_of_the_interval() -> None:
    """A regime was told against a gamma whose own lower end says collapse: draws were a third narrower than it."""
    rng = np.random.default_rng(2)
    draws = 0.77 + 0.08 * rng.standard_normal(4000)
    told = Estimate(0.77, 0.45, 0.93, method="wilson")
    wide = as_wide(told, draws)
    assert np.quantile(wide, 0.025) == pytest.approx(0.45, abs=1e-9)
    assert np.array_equal(np.argsort(wide), np.argsort(draws)), "they keep their order, so parameters move together"
    assert np.array_equal(wide[draws > 0.77], draws[draws > 0.77])
    misread = trips(30, 4, 0).with_columns(
        read=pl.Series(["B" if i // 4 < 7 and i % 4 < 2 else "A" for i in range(120)])
    )
    found = estimate_phase(Measurements(trips=misread), 5, known=KnownParameters(rho=0.0))
    assert found.gamma is not None
    assert found.alpha is not None
    assert found.alpha.low < 1.0
    assert found.gamma.low == pytest.approx(found.alpha.low / found.alpha.value * found.gamma.value, abs=0.02)


def test_the_delta_method_reaches_as_far_down_as_the_interval() -> None:
    told = [
        estimate_phase(Measurements(trips=trips(30, 4, 0)), 3, known=KnownParameters(rho=0.25), method=method).alpha
        for method in ("bootstrap", "delta")
    ]
    assert told[0] is not None
    assert told[1] is not None
    assert told[1].low == pytest.approx(told[0].low, abs=0.06)


def test_a_reader_that_always_says_wrong_is_not_called_symmetric() -> None:
    sent = np.arange(160) % 2
    columns = {"task": np.arange(160) // 4, "m": 9.0, "sent_correct": sent, "read_correct": 0 * sent, "k": 2}
    deaf = pl.DataFrame(columns)
    found = channel_errors(deaf)
    assert (found.e1, found.e2) == (1, 0)
    assert found.z > 10
    assert check_channel(deaf).status == "violated"
    assert channel_errors(deaf.with_columns(read_correct=sent)).z == 0
