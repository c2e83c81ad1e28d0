"""What holds of the voting laws whatever the numbers: bounds, monotony, limits, agreement of one law with another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats import holm, sign_flip_p
from analysis.voting.ahead import (
    ahead_right,
    ahead_votes,
    chain_right,
    first_to,
    shared,
    shared_ceiling,
    smallest_lead,
)
from analysis.voting.judge import best_of
from analysis.voting.maker import StepSample, plan_maker
from analysis.voting.verifier import TaskType, accuracy, best_attempts, ceiling

P = st.floats(0.0, 1.0)
BETTER = st.floats(0.51, 0.9999)
K = st.integers(1, 60)


@given(p=P, k=K)
def test_right_and_wrong_are_mirror_images(p: float, k: int) -> None:
    assert float(ahead_right(p, k) + ahead_right(1 - p, k)) == pytest.approx(1)
    assert float(first_to(p, k) + first_to(1 - p, k)) == pytest.approx(1)


@given(p=P, q=P, k=K)
def test_a_better_sample_never_makes_a_worse_vote(p: float, q: float, k: int) -> None:
    low, high = sorted((p, q))
    assert ahead_right(low, k) <= ahead_right(high, k) + 1e-12
    assert first_to(low, k) <= first_to(high, k) + 1e-12


@given(p=BETTER, k=K)
def test_a_longer_lead_helps_and_costs(p: float, k: int) -> None:
    assert p - 1e-12 <= ahead_right(p, k) <= ahead_right(p, k + 1) <= 1
    assert k - 1e-9 <= ahead_votes(p, k) < ahead_votes(p, k + 1)
    assert ahead_votes(p, k) <= k / (2 * p - 1) + 1e-9  # the paper's bound


@given(p=st.floats(0.45, 0.55), k=K)
def test_votes_are_continuous_at_one_half(p: float, k: int) -> None:
    assert ahead_votes(p, k) <= k * k + 1e-6
    assert float(ahead_votes(0.5 + 1e-5, k)) == pytest.approx(k * k, rel=1e-3)


@given(p=BETTER, k=K, rho=P)
def test_shared_errors_only_harm_and_never_pass_their_ceiling(p: float, k: int, rho: float) -> None:
    got = float(shared(p, k, rho))
    assert p - 1e-12 <= got <= ahead_right(p, k) + 1e-12
    assert got <= shared_ceiling(p, rho) + 1e-12


@given(p=BETTER, steps=st.integers(1, 10**9), target=st.floats(0.01, 0.999))
def test_the_smallest_lead_is_enough_and_one_less_is_not(p: float, steps: int, target: float) -> None:
    k = float(smallest_lead(p, steps, target=target))
    log_full = steps * math.log(float(ahead_right(p, k)))
    assert log_full >= math.log(target) - 1e-6 * max(1.0, abs(math.log(target)))
    if k > 1:
        assert chain_right(ahead_right(p, k - 1), steps) < target + 1e-9


@given(n=st.integers(1, 300), data=st.data(), steps=st.integers(1, 10**6))
def test_every_plan_is_ordered(n: int, data: st.DataObject, steps: int) -> None:
    right = data.draw(st.integers(0, n))
    plan = plan_maker(steps, StepSample(right, n), price=1.0)
    for found in (plan.p, plan.k_min, plan.p_sub, plan.p_full, plan.votes, plan.single):
        assert found.low <= found.value <= found.high
    if plan.k is not None:
        assert plan.p_full.low >= 0.95 - 1e-9
        assert plan.votes.low >= steps * (1 - 1e-12)


@given(p=P, c=P, f=P, k=st.integers(1, 100))
def test_resampling_stays_below_its_ceiling_and_never_falls(p: float, c: float, f: float, k: int) -> None:
    now, more = accuracy(p, c, f, k), accuracy(p, c, f, k + 1)
    assert 0 <= now <= more + 1e-12 <= 1 + 1e-12
    if p * c + (1 - p) * f > 0:
        assert now <= ceiling(p, c, f) + 1e-12
        gained = float(ceiling(p, c, f)) - p  # a verifier helps just when it accepts right answers more often
        assert gained >= -1e-12 if c >= f else gained <= 1e-12


@given(shares=st.lists(st.floats(0.05, 1), min_size=1, max_size=4), data=st.data(), f=P, loss=st.floats(-5, 0))
def test_no_number_of_attempts_beats_the_best(shares: list[float], data: st.DataObject, f: float, loss: float) -> None:
    total = sum(shares)
    types = [TaskType(share / total, data.draw(P)) for share in shares]
    price = data.draw(st.floats(0, 0.2))
    found = best_attempts(types, f=f, loss=loss, price=price, most=200)
    assert found.value >= max(0.0, float(found.curve.max())) - 1e-12
    if found.best:
        assert found.value == pytest.approx(float(found.curve[found.best - 1]))
        assert found.enough <= found.best


@given(p=P, n=st.integers(1, 40), w=st.floats(0, 1e6), v=st.floats(0, 1e6))
def test_a_better_judge_picks_better_within_bounds(p: float, n: int, w: float, v: float) -> None:
    low, high = sorted((w, v))
    assert best_of(p, n, low) <= best_of(p, n, high) + 1e-9
    assert p**n - 1e-9 <= best_of(p, n, low)
    assert best_of(p, n, high) <= 1 - (1 - p) ** n + 1e-9
    assert best_of(p, n, 1.0) == pytest.approx(p, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(p: list[float]) -> None:
    raw = np.array(p)
    fixed = holm(raw)
    assert np.all(fixed >= raw - 1e-15)
    assert np.all(fixed <= 1)
    assert np.all(np.diff(fixed[np.argsort(raw, kind="stable")]) >= 0)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60))
def test_the_swap_test_does_not_mind_signs_order_or_ties(totals: list[int]) -> None:
    array = np.array(totals, dtype=float)
    p, _ = sign_flip_p(array)
    assert 0 < p <= 1
    assert sign_flip_p(-array)[0] == pytest.approx(p)
    assert sign_flip_p(np.append(array[::-1], [0.0, 0.0]))[0] == pytest.approx(p)
