"""Golden numbers of the voting laws, and each formula against votes that were held.

Simulations: 40,000 trials and 4 standard errors, exceeded once in 15,000 by a right formula.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from agentsoc.errors import InputError
from analysis.voting.ahead import (
    ahead_right,
    ahead_votes,
    chain_right,
    first_to,
    shared,
    shared_ceiling,
    simulate_ahead,
    smallest_lead,
)
from analysis.voting.judge import best_of, judge_odds, picked_right
from analysis.voting.maker import StepSample, growth_table, plan_maker, plan_stated, shared_rate
from analysis.voting.saturation import fit_saturation, saturation_point
from analysis.voting.verifier import TaskType, accuracy, best_attempts, ceiling, coverage
from analysis.voting.verifier_plan import LabelledAttempts, plan_verifier
from benchmarks.study_statistics_coverage import maker_row, saturation_tasks, verifier_row

TRIALS = 40_000
FOUR = ((0.6, 3, 0.7714, 8.143), (0.8, 3, 0.9846, 4.846), (0.9, 2, 0.9878, 2.439), (0.7, 5, 0.9858, 12.144))


@pytest.mark.parametrize(("p", "k", "right", "votes"), FOUR)
def test_a_lead_of_k_is_right_and_costs_as_derived(p: float, k: int, right: float, votes: float) -> None:
    assert ahead_right(p, k) == pytest.approx(right, abs=1e-4)
    assert ahead_votes(p, k) == pytest.approx(votes, abs=5e-4)
    won, drawn = simulate_ahead(p, k, trials=TRIALS, seed=1)
    assert won.mean() == pytest.approx(right, abs=4 * np.sqrt(right * (1 - right) / TRIALS))
    assert drawn.mean() == pytest.approx(votes, abs=4 * drawn.std() / np.sqrt(TRIALS))


def test_the_published_table_of_leads_comes_out() -> None:
    """arXiv 2511.09030: per-step error rates and k_min of 20 disks (1,048,575 steps) at 95 %."""
    wrong = [0.3571, 0.0040, 0.0022, 0.0018, 0.1839, 0.0358, 0.2342, 0.0569, 0.0393]
    leads = smallest_lead(1 - np.array(wrong), 2**20 - 1, target=0.95)
    assert leads.tolist() == [29, 4, 3, 3, 12, 6, 15, 6, 6]


def test_leads_grow_with_the_logarithm_of_the_chain() -> None:
    table = growth_table(0.9, target=0.95)
    assert [k for _, k, _ in table] == [3, 4, 5, 6, 7, 8]
    assert [math.floor(votes) for _, _, votes in table] == [37, 500, 6_250, 75_000, 875_000, 10_000_000]


def test_the_smallest_lead_is_the_smallest() -> None:
    for p in (0.55, 0.8, 0.97, 0.9999):
        for steps in (1, 10, 10**4, 10**7):
            k = float(smallest_lead(p, steps))
            assert chain_right(ahead_right(p, k), steps) >= 0.95 * (1 - 1e-9)
            assert k == 1 or chain_right(ahead_right(p, k - 1), steps) < 0.95


def test_a_filter_costs_what_it_drops() -> None:
    assert ahead_votes(0.8, 3, valid=0.9) == pytest.approx(5.385, abs=5e-4)
    won, drawn = simulate_ahead(0.8, 3, valid=0.9, trials=TRIALS, seed=2)
    assert drawn.mean() == pytest.approx(5.385, abs=4 * drawn.std() / np.sqrt(TRIALS))
    assert won.mean() == pytest.approx(0.9846, abs=4 * np.sqrt(0.0152 / TRIALS))


def test_wrong_answers_that_spread_help_and_the_formula_is_silent() -> None:
    won, _ = simulate_ahead(0.5, 3, wrong=4, trials=TRIALS, seed=3)
    assert won.mean() == pytest.approx(0.967, abs=0.004)
    assert ahead_right(0.5, 3) == 0.5
    assert ahead_votes(0.5, 3) == 9.0
    assert smallest_lead(0.5, 10) == np.inf


def test_shared_errors_set_a_ceiling_that_no_lead_lifts() -> None:
    assert shared(0.8, 3, [0.01, 0.05, 0.2]) == pytest.approx([0.9828, 0.9754, 0.9477], abs=5e-5)
    won, _ = simulate_ahead(0.8, 3, rho=0.2, trials=TRIALS, seed=4)
    assert won.mean() == pytest.approx(0.9477, abs=4 * np.sqrt(0.0496 / TRIALS))
    assert shared(0.8, 200, 0.05) == pytest.approx(float(shared_ceiling(0.8, 0.05)))
    assert shared_ceiling(0.3, 0.5) == pytest.approx(0.15)  # below 1/2 votes drive the right answer out


def test_first_to_k_is_another_rule() -> None:
    rng = np.random.default_rng(5)
    for p, k in ((0.6, 3), (0.8, 2)):
        right = (rng.random((TRIALS, 2 * k - 1)) < p).sum(axis=1) >= k
        expected = float(first_to(p, k))
        assert right.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / TRIALS))
        assert expected < ahead_right(p, k)


def test_a_chain_voted_on_with_the_planned_lead_holds() -> None:
    """1,023 steps (ten disks) at k_min, 300 chains: at least 95 % are to be right."""
    p, steps = 0.9, 1023
    k = int(smallest_lead(p, steps))
    won, _ = simulate_ahead(p, k, trials=300 * steps, seed=6)
    chains = won.reshape(300, steps).all(axis=1).mean()
    assert k == 5
    assert chains == pytest.approx(float(chain_right(ahead_right(p, k), steps)), abs=4 * np.sqrt(0.05 * 0.95 / 300))
    assert chains >= 0.95 - 4 * np.sqrt(0.05 * 0.95 / 300)


def test_a_plan_carries_the_doubt_of_its_sample_through() -> None:
    plan = plan_maker(1000, StepSample(180, 200, 4), price=0.01)
    assert plan.p.low < 180 / 196 < plan.p.high
    assert plan.k_min.low <= plan.k_min.value <= plan.k_min.high == plan.k
    assert plan.votes.low < plan.votes.value < plan.votes.high
    assert plan.cost is not None
    assert plan.cost.high == pytest.approx(0.01 * plan.votes.high)
    assert plan.p_full.low >= 0.95
    assert plan.single.value < 1e-30
    surer = plan_maker(1000, StepSample(1800, 2000, 40), price=0.01)
    assert surer.k is not None
    assert surer.k <= (plan.k or 0)
    assert surer.votes.width < plan.votes.width


def test_the_planned_lead_reaches_the_target_in_at_least_95_of_100_samples() -> None:
    """The exact interval covers at least 97.5 % on the side that matters; 400 samples, 4 standard errors."""
    held, nothing, _ = maker_row(0.8, 100, 1000, 400)
    assert held >= 0.975 - 4 * np.sqrt(0.975 * 0.025 / 400)
    assert nothing < 0.05


def test_a_sample_that_allows_half_gives_no_lead() -> None:
    plan = plan_maker(100, StepSample(6, 10))
    assert plan.k is None
    assert math.isinf(plan.votes.value)
    assert "no finite lead is safe" in plan.summary()
    json.dumps(plan.as_dict(), allow_nan=False)


def test_shared_errors_are_in_the_plan() -> None:
    plan = plan_maker(1000, StepSample(900, 1000), rho=0.01)
    assert plan.ceiling == pytest.approx((1 - 0.01 * 0.1) ** 1000)
    assert "keep the chain below the target" in plan.summary()
    assert plan_stated(1000, 0.9).rho_allowed == pytest.approx((1 - 0.95 ** (1 / 1000)) / 0.1)


def test_steps_taken_together_make_fewer_and_easier_subtasks_to_keep() -> None:
    apart, together = plan_stated(1000, 0.9), plan_stated(1000, 0.9, m=10)
    assert (together.k or 0) < (apart.k or 0)
    assert together.votes.value < apart.votes.value / 10


def test_a_stated_p_is_called_stated() -> None:
    plan = plan_stated(1000, 0.9, valid=0.9)
    assert plan.k == 5
    assert plan.p.method == "stated, not measured"
    assert "p is stated" in plan.summary()


def test_the_shared_rate_is_recovered_from_pairs() -> None:
    rng = np.random.default_rng(7)
    n, p, rho = 20_000, 0.8, 0.1
    wrong = rng.random((n, 2)) > p
    locked = rng.random(n) < rho
    wrong[locked, 1] = wrong[locked, 0]
    found = shared_rate(int(wrong.all(axis=1).sum()), int((~wrong).sum()), n)
    assert found == pytest.approx(rho, abs=0.03)
    assert shared_rate(0, 2 * n, n) == 0.0
    with pytest.raises(InputError, match="impossible"):
        shared_rate(5, 20, 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: plan_maker(10, StepSample(11, 10)),
        lambda: plan_maker(10, StepSample(5, 10), target=1.0),
        lambda: plan_maker(10, StepSample(5, 10), m=11),
        lambda: plan_stated(10, 1.5),
        lambda: ahead_right(1.2, 3),
        lambda: ahead_right(0.8, 0),
        lambda: ahead_votes(0.8, 3, valid=0.0),
        lambda: simulate_ahead(0.8, 3, wrong=0),
        lambda: best_of(0.5, 0, 1.0),
        lambda: judge_odds(0.4, 8, 0.999),
        lambda: saturation_point(0.0, 0.01),
        lambda: ceiling(-0.1, 1, 0.2),
        lambda: best_attempts([TaskType(0.5, 0.5)], f=0.1),
        lambda: best_attempts([TaskType(1.0, 0.5)], f=0.1, loss=1.0),
        lambda: plan_verifier(LabelledAttempts(10, 10, 11, 0)),
    ],
)
def test_numbers_that_cannot_be_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()


def test_the_verifier_sets_the_ceiling() -> None:
    assert ceiling(0.3, 1, 0.2) == pytest.approx(0.6818, abs=5e-5)
    assert accuracy(0.3, 1, 0.2, [1, 2, 5, 10, 50]) == pytest.approx([0.300, 0.468, 0.644, 0.680, 0.682], abs=5e-4)
    assert np.isnan(ceiling(0.0, 1, 0.0))
    assert accuracy(0.0, 1, 0.0, 5) == 0


def test_resampling_until_accepted_does_what_the_formula_says() -> None:
    rng = np.random.default_rng(8)
    p, c, f, k = 0.3, 0.9, 0.2, 4
    right = rng.random((TRIALS, k)) < p
    accepted = rng.random((TRIALS, k)) < np.where(right, c, f)
    first = accepted.argmax(axis=1)
    some = accepted.any(axis=1)
    won = some & right[np.arange(TRIALS), first]
    expected = float(accuracy(p, c, f, k))
    assert won.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / TRIALS))
    assert some.mean() == pytest.approx(float(coverage(p, c, f, k)), abs=0.01)
    assert won.sum() / some.sum() == pytest.approx(float(ceiling(p, c, f)), abs=4 * np.sqrt(0.25 / some.sum()))


@pytest.mark.parametrize(("loss", "best", "value"), [(-0.7, 3, 0.5246), (-1.0, 2, 0.4724), (-2.0, 1, 0.3388)])
def test_the_best_number_of_attempts_on_mixed_tasks(loss: float, best: int, value: float) -> None:
    types = [TaskType(0.58, 0.87), TaskType(0.42, 0.13)]
    found = best_attempts(types, f=0.25, loss=loss)
    assert (found.best, round(found.value, 4)) == (best, value)
    assert found.curve[best - 1] == pytest.approx(found.value)


def test_the_value_of_attempts_on_mixed_tasks_is_that_of_attempts_made() -> None:
    rng = np.random.default_rng(9)
    share, rate, f, loss, price, k = 0.58, (0.87, 0.13), 0.25, -1.0, 0.02, 3
    r = np.where(rng.random(TRIALS) < share, *rate)
    worth, open_ = np.zeros(TRIALS), np.ones(TRIALS, dtype=bool)
    for _ in range(k):
        right = rng.random(TRIALS) < r
        accepted = right | (rng.random(TRIALS) < f)
        worth -= price * open_
        worth += np.where(open_ & accepted, np.where(right, 1.0, loss), 0.0)
        open_ &= ~accepted
    expected = best_attempts([TaskType(share, rate[0]), TaskType(1 - share, rate[1])], f=f, loss=loss, price=price)
    assert worth.mean() == pytest.approx(expected.curve[k - 1], abs=4 * worth.std() / np.sqrt(TRIALS))


def test_attempts_that_always_pay_have_no_best_number() -> None:
    endless = best_attempts([TaskType(1.0, 0.3)], f=0.2)
    assert endless.best is None
    assert endless.value == pytest.approx(float(ceiling(0.3, 1, 0.2)))
    assert endless.curve[endless.enough - 1] >= 0.99 * endless.value > endless.curve[endless.enough - 2]
    assert best_attempts([TaskType(1.0, 0.3)], f=0.2, price=0.31).best == 0
    assert best_attempts([TaskType(1.0, 0.3)], f=0.9, loss=-1.0).best == 0
    assert best_attempts([TaskType(0.5, 0.9), TaskType(0.5, 0.0)], f=0.0, price=0.01).best == 2


def test_a_plan_before_a_verifier_has_intervals_that_hold() -> None:
    """60 samples: a right interval is missed more than 8 times once in 200 seeds."""
    held = verifier_row(0.3, 0.9, 0.2, 200, 60)
    assert min(held.values()) >= 1 - 8 / 60 - 1e-9


def test_a_verifier_plan_says_how_many_attempts() -> None:
    plan = plan_verifier(
        LabelledAttempts(120, 280, 110, 56), types=[TaskType(0.58, 0.87), TaskType(0.42, 0.13)], loss=-1.0
    )
    assert plan.best.value == plan.attempts.best == 3
    assert plan.best.low <= 3 <= plan.best.high
    assert plan.ceiling.value == pytest.approx(110 / 166)
    assert "at the first attempt" in plan.summary()
    json.dumps(plan.as_dict(), allow_nan=False)
    flat = plan_verifier(LabelledAttempts(120, 280, 110, 56))
    assert flat.attempts.best is None
    assert "whatever K" in flat.summary()
    json.dumps(flat.as_dict(), allow_nan=False)
    none = plan_verifier(LabelledAttempts(0, 50, 0, 10), loss=-1.0)
    assert none.attempts.best == 0
    assert "answer nothing" in none.summary()


def test_a_judge_among_attempts() -> None:
    odds = (1, 2, 5, 20, math.inf)
    assert [round(best_of(0.4, 8, w), 3) for w in odds] == [0.4, 0.549, 0.728, 0.896, 0.983]
    assert best_of(0.4, 8, math.inf) == pytest.approx(1 - 0.6**8)
    rng = np.random.default_rng(10)
    j = rng.binomial(8, 0.4, TRIALS)
    picked = rng.random(TRIALS) < picked_right(8, 5.0)[j]
    assert picked.mean() == pytest.approx(0.728, abs=4 * np.sqrt(0.2 / TRIALS))


def test_what_a_judge_is_worth_is_read_off_its_results() -> None:
    for w in (0.2, 1.0, 7.0, 300.0):
        assert judge_odds(0.4, 8, best_of(0.4, 8, w)) == pytest.approx(w, rel=1e-6)
    assert judge_odds(0.4, 8, best_of(0.4, 8, math.inf)) == math.inf


def test_the_saturation_point() -> None:
    assert saturation_point(0.2, 0.01) == pytest.approx(13.4, abs=0.05)
    n = saturation_point(0.1, 0.005, top=0.6)
    assert 0.6 * 0.1 * 0.9**n == pytest.approx(0.005)
    assert saturation_point(0.2, 0.5) == 0.0


def test_a_planted_saturation_comes_back_with_its_card() -> None:
    units = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    right = saturation_tasks(np.random.default_rng(11), 400, units, 0.8, 0.2)
    fit = fit_saturation(units, right, replicates=100)
    assert fit.top.covers(0.8)
    assert fit.p.covers(0.2)
    assert fit.point.covers(saturation_point(0.2, 0.01, top=0.8))
    assert float(fit.card.optimisation["hold_out_error"]) < 0.1  # type: ignore[arg-type]
    short = fit_saturation(units[:3], right[:, :3], replicates=50)
    assert short.card.digest() == fit_saturation(units[:3], right[:, :3], replicates=50).card.digest()
    assert "extrapolated" in short.card.warnings[-1]
    assert "saturates at" in fit.summary()
    with pytest.raises(InputError, match="nothing to fit"):
        fit_saturation(units, np.zeros((10, 5)))
    with pytest.raises(InputError, match="3 or more levels"):
        fit_saturation(units[:2], right[:, :2])
