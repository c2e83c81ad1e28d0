"""Ratings are conserved, find planted strengths with honest errors, and are no evidence where the judge guesses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from agentsoc.theory.ratings import START, bradley_terry, elo, expected


def matches_of(rng: np.random.Generator, n: int, m: int, accuracy: float) -> list[tuple[int, int]]:
    """Return m random matches among n items of which higher numbers are better, judged with that accuracy."""
    first, further, right = rng.integers(n, size=m), rng.integers(1, n, size=m), rng.random(m) < accuracy
    second = (first + further) % n
    better, worse = np.maximum(first, second), np.minimum(first, second)
    return list(zip(np.where(right, better, worse).tolist(), np.where(right, worse, better).tolist(), strict=True))


def test_a_win_against_an_equal_is_worth_half_of_kappa_and_the_sum_of_ratings_stays() -> None:
    assert elo(2, [(0, 1)]) == [1216.0, 1184.0]
    assert elo(3, []) == [START] * 3
    assert abs(expected(1600, 1200) - 10 / 11) < 1e-12
    for seed in range(3):
        rng = np.random.default_rng(seed)
        ratings = elo(16, matches_of(rng, 16, 2_000, 0.7), kappa=50)
        assert abs(sum(ratings) - 16 * START) < 1e-9


@pytest.mark.parametrize(
    ("accuracy", "spearman", "first"), [(1.0, 0.99, 0.93), (0.8, 0.93, 0.65), (0.6, 0.54, 0.33), (0.5, 0.08, 0.15)]
)
def test_sixteen_items_and_480_matches_rank_as_well_as_the_judge_lets_them(
    accuracy: float, spearman: float, first: float
) -> None:
    """The reference numbers are means of 40 repeats; they have errors of their own, which count here."""
    rng, ours, theirs = np.random.default_rng(12), 60, 40
    ranks, bests, better = [], 0, []
    for _ in range(ours):
        matches = matches_of(rng, 16, 480, accuracy)
        ratings = elo(16, matches)
        strengths = bradley_terry(16, matches).theta
        rank, other = (float(stats.spearmanr(range(16), one).statistic) for one in (ratings, strengths))
        ranks.append(rank)
        better.append(other - rank)
        bests += int(np.argmax(ratings)) == 15
    spread = float(np.std(ranks, ddof=1)) * (1 / ours + 1 / theirs) ** 0.5
    assert abs(float(np.mean(ranks)) - spearman) < 3 * spread + 0.005
    assert abs(bests / ours - first) < 3 * (max(first * (1 - first), 0.06) * (1 / ours + 1 / theirs)) ** 0.5
    assert np.mean(better) > -3 * float(np.std(better, ddof=1)) / ours**0.5  # not worse than Elo


def test_planted_strengths_are_recovered_within_their_errors() -> None:
    rng, inside, n = np.random.default_rng(3), 0, 6
    for _ in range(60):
        theta = rng.normal(size=n)
        theta -= theta.mean()
        matches = []
        for _ in range(300):
            a, b = rng.choice(n, size=2, replace=False).tolist()
            wins = rng.random() < 1 / (1 + np.exp(theta[b] - theta[a]))
            matches.append((a, b) if wins else (b, a))
        found = bradley_terry(n, matches, prior=0)
        assert abs(found.theta.sum()) < 1e-9
        inside += int((np.abs(found.theta - theta) < 1.96 * found.se).sum())
    share = inside / (60 * n)
    assert abs(share - 0.95) < 4 * (0.95 * 0.05 / (60 * n)) ** 0.5


def test_the_estimate_is_the_maximum_and_its_errors_are_those_of_the_curvature() -> None:
    matches = [(0, 1), (1, 2), (2, 0), (0, 2), (0, 1), (1, 0)]

    def lost(theta: np.ndarray) -> float:
        games = sum(float(np.log1p(np.exp(theta[loser] - theta[winner]))) for winner, loser in matches)
        return games + sum(float(-0.5 * np.log(1 / (1 + np.exp(-t)) / (1 + np.exp(t)))) for t in theta)

    found = bradley_terry(3, matches)
    best = optimize.minimize(lost, np.zeros(3), tol=1e-12)
    assert np.allclose(found.theta, best.x, atol=1e-4)
    h, steps = 1e-3, np.eye(3) * 1e-3
    curvature = [
        [
            (
                lost(found.theta + a + b)
                - lost(found.theta + a - b)
                - lost(found.theta - a + b)
                + lost(found.theta - a - b)
            )
            / (4 * h * h)
            for b in steps
        ]
        for a in steps
    ]
    assert np.allclose(found.se**2, np.diag(np.linalg.inv(curvature)), rtol=1e-4)


def test_who_won_everything_has_a_rating_with_a_prior_and_none_without() -> None:
    with pytest.raises(ValueError, match="give a prior"):
        bradley_terry(3, [(0, 1), (0, 2), (1, 2), (2, 1)], prior=0)
    found = bradley_terry(2, [(0, 1)] * 50)
    assert np.isfinite(found.theta).all()
    assert np.isfinite(found.se).all()
    assert found.theta[0] > 0 > found.theta[1]


def test_the_leader_of_a_pool_that_is_renewed_is_rated_ever_higher_by_a_judge_who_guesses() -> None:
    """The control for a rise of Elo: newcomers in place of the last, lots for matches, and no item better than any."""
    rng, leaders = np.random.default_rng(4), []
    for _ in range(30):
        ratings = [START] * 8
        leading = []
        for _ in range(6):
            for winner, loser in matches_of(rng, 8, 40, 0.5):
                gain = 32 * (1 - expected(ratings[winner], ratings[loser]))
                ratings[winner] += gain
                ratings[loser] -= gain
            leading.append(max(ratings))
            ratings[int(np.argmin(ratings))] = START
        leaders.append(leading)
    means = np.mean(leaders, axis=0)
    assert means[0] > START + 40
    assert means[-1] > means[0] + 10
