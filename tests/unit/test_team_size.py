"""The law of team size: exact where the votes are, within its errors where they are drawn, and no word too many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentsoc.engine.run import run
from analysis.interval import Interval
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.report import examine
from analysis.measures.team_size import SizedRun, TeamSize, fit_law, setting_of, team_size
from analysis.measures.text import as_dict, as_text
from tests.sides import told_apart
from tests.strategies import scenario
from tests.unit.test_exchange import locked, spoken

SIZES = np.array([2.0, 3.0, 5.0])


@pytest.mark.parametrize("rho", [0.05, 0.3, 0.9])
def test_votes_of_one_correlation_give_c_equal_to_it_and_b_zero(rho: float) -> None:
    """Kish's design effect is the law with b = 0: N_eff of thirty is 30 / (1 + 29 rho)."""
    law = fit_law(SIZES, np.full(3, rho), np.diag([1e-6] * 3))
    assert law.b.value == pytest.approx(0, abs=1e-9)
    assert law.c.value == pytest.approx(rho)
    assert law.fit == pytest.approx(1, abs=1e-4)
    assert law.regime == "hard ceiling"
    assert law.predicted is not None
    assert law.predicted.value == pytest.approx(30 / (1 + 29 * rho))
    assert law.predicted.covers(30 / (1 + 29 * rho))


@pytest.mark.parametrize(
    ("b", "said"), [(0.0, "hard ceiling"), (0.5, "sublinear"), (1.5, "linear"), (1.0, "undecided"), (-0.5, "undecided")]
)
def test_the_regime_follows_the_interval_of_b(b: float, said: str) -> None:
    sizes = np.array([2.0, 4.0, 8.0, 16.0])
    law = fit_law(sizes, 0.4 * sizes**-b, np.diag((0.002 * sizes**-b) ** 2))
    assert law.regime == said
    assert law.b.covers(b)
    assert law.c.covers(0.4)
    loose = fit_law(sizes, 0.4 * sizes**-b, np.diag([4.0] * 4))
    assert loose.regime == "undecided"
    assert loose.b.open_low
    assert loose.b.open_high
    assert loose.predicted is not None
    assert (loose.predicted.low, loose.predicted.high) == (1, 30)


def drawn(rho: float, tasks: int, sizes: tuple[int, ...], seed: int, b: float = 0.0) -> TeamSize:
    """Return the law of votes of accuracy .65 whose correlation is rho N^-b, each N with tasks of its own."""
    rng = np.random.default_rng(seed)
    runs = []
    for n in sizes:
        found = independent_votes(spoken([locked(tasks, n, rho * n**-b, 0.65, rng)]))
        assert isinstance(found, IndependentVotes)
        runs.append(SizedRun(found, str(n)))
    law = team_size(runs)
    assert law is not None
    return law


@pytest.mark.parametrize("rho", [0.1, 0.3, 0.6])
def test_drawn_votes_of_one_correlation_give_it_back(rho: float) -> None:
    law = drawn(rho, 3_000, (2, 4, 8, 16), seed=2)
    assert law.regime == "hard ceiling"
    assert abs(law.b.value) < 3 * law.b.width / 3.92
    assert abs(law.c.value - rho) < 3 * law.c.width / 3.92
    assert law.predicted is not None
    assert law.predicted.covers(30 / (1 + 29 * rho))


def test_a_pilot_of_up_to_five_predicts_thirty_with_an_interval() -> None:
    for b in (0.0, 0.5):
        law = drawn(0.5, 3_000, (2, 3, 4, 5), seed=4, b=b)
        assert law.target == 30
        assert law.predicted is not None
        assert law.predicted.covers(30 / (1 + 29 * 0.5 * 30**-b))
        assert law.predicted.low < law.predicted.value < law.predicted.high
    assert drawn(0.5, 300, (2, 30), seed=4).target is None


def test_runs_that_have_their_tasks_in_common_are_not_taken_as_independent() -> None:
    """Votes of the smaller team are part of those of the larger: what their tasks do to both falls out of b."""
    votes = locked(600, 8, 0.4, 0.65, np.random.default_rng(6))
    parts = [independent_votes(spoken([votes[:, :n]])) for n in (2, 8)]
    known = [one for one in parts if isinstance(one, IndependentVotes)]
    assert len(known) == 2
    apart, common = (
        team_size([SizedRun(one, name) for one, name in zip(known, names, strict=True)])
        for names in (("x", "y"), ("x", "x"))
    )
    assert apart is not None
    assert common is not None
    assert common.b.width < 0.9 * apart.b.width


def test_one_size_is_no_law() -> None:
    votes = independent_votes(spoken([locked(100, 3, 0.4, 0.65, np.random.default_rng(6))]))
    assert isinstance(votes, IndependentVotes)
    assert team_size([SizedRun(votes, "x"), SizedRun(votes, "y")]) is None


def test_each_word_on_the_law_is_said_where_the_fit_allows_it() -> None:
    def of(b: tuple[float, float], **more: Any) -> str:
        middle = (b[0] + b[1]) / 2
        made = TeamSize((2, 4, 40), Interval(middle, *b), Interval(0.3, 0.2, 0.4), 0.5, None, None)
        return replace(made, **more).summary()

    flat, some, all_of_it, wide = of((-0.1, 0.1)), of((0.2, 0.8)), of((1.1, 1.4)), of((-0.1, 0.9))
    two, off = of((-0.1, 0.1), fit=None, sizes=(2, 4)), of((-0.1, 0.1), fit=0.01)
    ahead = of((-0.1, 0.1), target=30, predicted=Interval(3.0, 2.0, 4.0), sizes=(2, 4, 5))
    told_apart({
        "hard ceiling (b = 0 to within 0.2)": (flat, two, ahead),
        ": sublinear": some,
        ": linear": all_of_it,
        ": undecided": (wide, off),
        "the law goes through any two runs, so whether it holds is not tested": two,
        "the runs do not follow it (p = 0.01)": off,
        "N_eff of 30 agents 3.000 [2.000, 4.000], if the law holds that far": ahead,
    })  # fmt: skip
    for text in (flat, some, wide):
        assert "R(N) = 1 / (1 + c (N - 1) N^-b) over N = 2, 4, 40: b " in text
    assert ", c [0.2, 0.4] about 0.3: " in flat
    assert of((-0.1, 0.19)).count("hard ceiling") == 1
    assert of((-0.15, -0.05)).count("hard ceiling") == 0  # it does not hold 0
    for b in ((-0.1, 0.21), (-0.21, 0.1), (0.9, 1.1)):
        assert "undecided" in of(b)


def test_runs_belong_together_that_differ_in_number_seed_and_tasks_alone() -> None:
    def key(**changes: Any) -> str:
        return setting_of(scenario(**changes).model_dump(mode="json"))

    agents: dict[str, Any] = {"count": 3, "model": {"kind": "simulated"}}
    base = key(agents=agents)
    assert key(agents=agents | {"count": 7}, seed=4, tasks={"kind": "coin", "count": 9}, name="other") == base
    assert key(agents=agents, topology="chain") != base
    assert key(agents=agents | {"model": {"kind": "simulated", "signal": 0.7}}) != base
    assert key(agents=agents, tasks={"kind": "signal", "count": 4}) != base


def test_metrics_tell_the_law_of_runs_of_several_sizes(tmp_path: Path) -> None:
    voter = {"kind": "simulated", "signal": 0.3}
    for n in (2, 3, 5):
        agents = {"count": n, "model": voter}
        parts: dict[str, Any] = {"tasks": {"kind": "signal", "count": 200}, "topology": "independent"}
        run(scenario(name=f"n{n}", agents=agents, **parts), tmp_path / f"n{n}")
    several, one = examine([tmp_path]), examine([tmp_path / "n5"])
    told_apart({"team size, independent, vote: R(N) = ": as_text(several)}, as_text(one))
    assert "R(N) = 1 / (1 + c (N - 1) N^-b) over N = 2, 3, 5: b " in as_text(several)
    assert "R(N) = 1 / (1 + c (N - 1) N^-b) over N = " not in as_text(one)
    [law] = as_dict(several)["team_size"]
    assert law["n"] == [2, 3, 5]
    assert law["target"] == 30
    assert law["regime"] == "undecided"  # independent votes have no correlation whose decay could be seen
    assert as_dict(one)["team_size"] == []
