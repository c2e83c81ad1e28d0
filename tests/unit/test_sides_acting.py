"""Both sides of what `metrics` prints of tools, rewards, a shared resource and games."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from analysis.interval import Interval
from analysis.measures.acting import Acting
from analysis.measures.amplification import Taint
from analysis.measures.commons import SharedResource
from analysis.measures.cooperation import Cooperation
from analysis.stats.survival import kaplan_meier
from tests.sides import told_apart

HALF = Interval(0.5, 0.4, 0.6)
FAULT = Taint(pl.DataFrame({"faults": [1], "tainted": [2], "downstream": [3], "reached": [1], "per_fault": [3.0]}))
CALLED = Acting(
    calls=6,
    by_tool={"table": 6},
    failed_by_kind={"limit": 2},
    per_task=HALF,
    per_score=3.0,
    per_1k_tokens=2.0,
    failed=HALF,
    redundant=HALF,
    wrong_after_failure=HALF,
    wrong_after_success=HALF,
    spread=FAULT,
    reward=HALF,
    reward_per_1k_tokens=4.0,
)


def lines(found: Acting | SharedResource | Cooperation) -> str:
    return "\n".join(found.summary())


def test_of_tools_only_what_there_is_is_told() -> None:
    every = lines(CALLED)
    nothing = lines(
        replace(CALLED, calls=0, wrong_after_failure=None, spread=FAULT.__class__(FAULT.table.clear()), reward=None)
    )
    told_apart(
        {
            "tools: 6 calls (6 table), ": every,
            "  failed 0.500 [0.400, 0.600] (2 limit), redundant": every,
            "  claims wrong after a failed call": every,
            "  through tool results: 1 faults": every,
            "rewards: ": every,
            " for 1,000 tokens": every,
        },
        nothing,
    )
    assert nothing == ""
    told_apart({" for a point of score": every}, lines(replace(CALLED, per_score=None)))
    free = lines(replace(CALLED, calls=0, spread=None, wrong_after_failure=None, reward_per_1k_tokens=None))
    told_apart({", 4 for 1,000 tokens": every}, free)
    assert free.startswith("rewards: ")
    assert free.endswith(" a task")


def test_half_have_collapsed_or_more_than_half_lived_through() -> None:
    lived = kaplan_meier(np.array([12, 12, 12, 4]), np.array([0.0, 0.0, 0.0, 1.0]))
    died = kaplan_meier(np.array([3, 4, 4, 12]), np.array([1.0, 1.0, 1.0, 0.0]))
    shared = SharedResource(4, 12, HALF, HALF, lived, HALF, HALF, HALF, HALF)
    told_apart({
        "(more than half lived through)": lines(shared),
        "(half collapsed by round 4)": lines(replace(shared, curve=died)),
    })  # fmt: skip
    assert "commons: survival rate 0.5" in lines(shared)
    told_apart({"  survival time 0.5": lines(shared)}, lines(replace(shared, survival_time=None)))


def test_of_a_game_of_one_round_no_change_is_told_and_without_punishment_no_fines() -> None:
    many = Cooperation("public-goods", 4, HALF, HALF, HALF, HALF, HALF, HALF)
    one = replace(many, first=None, last=None, change=None, fines=None)
    told_apart({
        "  first round 0.5": lines(many),
        ", change +0.5": lines(many),
        "  fines 0.5": lines(many),
        " points an agent and round": lines(many),
    }, lines(one))  # fmt: skip
    for found in (many, one):
        assert lines(found).startswith("public-goods: cooperation 0.5")
        assert "  payoff 0.5" in lines(found)
