"""Data in which nothing is so: reports are to say nothing of them, or as seldom as their tests allow.

Counts are of fixed seeds; with the rate of 5 % that is allowed a limit here is exceeded in fewer than one of 500 seeds.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.cascade_laws.text import laws_as_text
from benchmarks.study_attachment import World, called, examined
from benchmarks.study_attacks import (
    DRAWN,
    TOKENS,
    differ,
    holds,
    looked,
    not_worse,
    weighted,
    words_of,
)
from benchmarks.study_laws_together import PLANTED, base, false_words, report
from benchmarks.study_shared_shocks import called as shared
from benchmarks.study_shared_shocks import transcript, vacuous, votes


@pytest.mark.parametrize("name", list(DRAWN))
def test_three_equal_organisations_are_seldom_told_from_a_fourth(name: str) -> None:
    rng = np.random.default_rng(1)
    assert sum(differ(DRAWN[name](rng, 20, 1, 4)) for _ in range(100)) <= 12
    better = DRAWN[name](rng, 60, 1, 4)
    better[..., 2] = 1.0
    assert differ(better)


def test_none_of_three_that_are_worse_by_the_margin_is_said_not_to_be() -> None:
    rng = np.random.default_rng(2)
    assert sum(not_worse(rng, 100, 0.1) for _ in range(60)) <= 9


def test_a_task_with_most_of_the_rows_is_one_task() -> None:
    rng = np.random.default_rng(3)
    by_task, by_row = np.array([weighted(rng, 20, 100, 0.2) for _ in range(100)]).sum(axis=0)
    assert by_task <= 12
    assert by_row > 90


def test_an_end_of_lost_runs_is_tested_at_the_level_of_the_look() -> None:
    by_look, each = (
        sum(looked(np.random.default_rng(seed), 3, 15, by_look=own) for seed in range(100)) for own in (True, False)
    )
    assert by_look <= 12
    assert each > by_look


@pytest.mark.parametrize("form", ["uniform", "preferential", "merges"])
def test_trees_at_random_are_as_by_chance(form: str) -> None:
    assert sum(bool(words_of(seed, form, wirings=59)) for seed in range(8)) <= 3


def test_choices_by_age_and_author_are_no_reinforcement() -> None:
    said = called([examined(World(recency=-1, authors=1), seed) for seed in range(12)])
    assert said["reinforcement"] <= 3
    assert said["no reinforcement"] >= 7


def test_heavy_tails_of_tokens_are_doubted_where_they_are_seen() -> None:
    rng = np.random.default_rng(4)
    light, heavy = (
        np.mean([holds(rng, *TOKENS[name], 200)[2] for _ in range(10)])
        for name in ("lognormal, sigma 0.5", "lognormal, sigma 2")
    )
    assert light == 0
    assert heavy > 0.8


def test_a_report_of_twenty_laws_without_a_tail_has_no_false_word() -> None:
    laws = base()
    planted = PLANTED["geometric, mean 4"]
    made = [report(laws, planted, seed, n=200, fit=0) for seed in range(3)]
    assert [one for one in made if false_words(one, planted)[1]] == []
    assert "by Holm over" not in laws_as_text(made[0])


def test_what_votes_share_has_its_own_name() -> None:
    """Of 60 samples, each with tests at 1 %."""
    from analysis.synergy.estimation.sibling_correlation import estimate_rho

    of_run = [shared(estimate_rho(votes(seed, run=0.3))) for seed in range(20)]
    of_task = [shared(estimate_rho(votes(seed, task=0.3))) for seed in range(20)]
    once = [shared(estimate_rho(votes(seed, run=0.3, runs=1))) for seed in range(20)]
    assert sum("difficulty" in one for one in of_run) <= 2
    assert sum("shock of the run" in one for one in of_task) <= 2
    assert sum("shock of the run" in one for one in of_run) >= 15
    assert sum("difficulty" in one for one in of_task) >= 15
    assert not any("difficulty" in one for one in once)


def test_where_nobody_is_said_to_answer_nothing_is_told_of_a_fault() -> None:
    bare, silent = vacuous(0.1, 40)
    assert bare == silent > 0
    assert vacuous(1.0, 10) == (0, 0)
    assert not any(transcript(0, 0.0).events["parents"].list.len())
