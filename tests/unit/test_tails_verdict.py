"""From tests to one word, at every border between two words, and likelihood ratios that a person can work out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from agentsoc.errors import InputError
from analysis.tails.bootstrap import GoodnessOfFit
from analysis.tails.compare import LikelihoodRatio, members, nested, vuong, vuong_clustered
from analysis.tails.competitor import TailModel
from analysis.tails.histogram import Histogram, histogram
from analysis.tails.powerlaw import PowerLaw
from analysis.tails.verdict import DesignRepeats, SampleDesign, Verdict, degeneracies, judge

POWER = PowerLaw(2.5, 2.0, 200, 20, 0.02, 0.1, -300.0, at_bound=False)
"""Fitted above xmin = 2; with TAIL it spans a factor of 50."""
TAIL = Histogram(np.arange(2.0, 101.0, 2.0), np.full(50, 4), discrete=True)
GOOD = GoodnessOfFit(0.5, 100, 0.02)
COMPETITORS = ("exponential", "truncated_power_law", "lognormal", "stretched_exponential")


def up_to(largest: float) -> Histogram:
    """Return a tail that ends at this value."""
    return Histogram(
        np.array([*np.linspace(2.0, largest, 19, endpoint=False), largest]), np.full(20, 10), discrete=False
    )


def against(winner: str, loser: str, p: float = 0.001) -> LikelihoodRatio:
    return LikelihoodRatio(winner, loser, 4.0, 3.3, p, math.log10(p), nested=False)


def judged(
    *wins: tuple[str, str],
    tail: Histogram | None = TAIL,
    power: PowerLaw | None = POWER,
    gof: GoodnessOfFit | None = GOOD,
    rate: float = 0.1,
    p: float = 0.001,
    **design: Any,
) -> Verdict:
    """Return the verdict when these (winner, loser) are decided and all other tests are open."""
    models = {name: TailModel(name, 2.0, {"rate": rate}, -300.0, np.empty(0), ()) for name in COMPETITORS}
    tests = {name: against("power_law", name, 0.5) for name in COMPETITORS}
    tests["tpl_vs_lognormal"] = against("truncated_power_law", "lognormal", 0.5)
    tests["tpl_vs_stretched"] = against("truncated_power_law", "stretched_exponential", 0.5)
    for winner, loser in wins:
        pair = {winner, loser}
        name = (
            next(iter(pair - {"power_law"}))
            if "power_law" in pair
            else "tpl_vs_lognormal"
            if "lognormal" in pair
            else "tpl_vs_stretched"
        )
        tests[name] = against(winner, loser, p)
    return judge(power, tail, models, tests, gof, SampleDesign(**design))


# What is no tail to speak of


def test_a_tail_that_is_long_and_varied_enough_is_not_degenerate() -> None:
    assert degeneracies(POWER, TAIL) == ()
    assert degeneracies(replace(POWER, n_distinct=10), up_to(2.0 * 10**0.5)) == ()


def test_every_reason_why_a_tail_is_none_is_named() -> None:
    poor = replace(POWER, alpha=8.0, n_distinct=9, at_bound=True)
    assert degeneracies(poor, up_to(6.3)) == (
        "the exponent is at its bound (8)",
        "the tail has 9 distinct values, fewer than 10",
        "the tail spans a factor of 3.15, less than half a decade",
    )
    assert judged(power=poor, tail=up_to(6.3)).word == "degenerate"
    assert len(degeneracies(replace(POWER, n_distinct=9), TAIL)) == 1


# One word, tried in their order


def test_without_a_fit_there_is_no_word_for_it() -> None:
    for nothing in (
        {"power": None},
        {"tail": None},
        {"power": None, "tail": None, "replication": DesignRepeats(1.0, 0.0, 1.0, 50)},
    ):
        assert judged(**nothing).word == "no fit"


def again(
    same: float, by_chance: float = 0.0, schedule: float = 0.0, repeats: int = 50, covered: float = 1
) -> DesignRepeats:
    return DesignRepeats(same, by_chance, schedule, repeats, covered)


@pytest.mark.parametrize(
    ("replication", "word", "noted"),
    [
        (again(1.0), "deterministic", True),
        (again(0.9), "deterministic", True),
        (again(0.89), "power law", True),
        (again(0.5), "power law", True),
        (again(0.49), "power law", False),
        (None, "power law", False),
        # few whole numbers coincide by chance
        (again(0.95, by_chance=0.95), "power law", False),
        (again(0.95, by_chance=0.6), "power law", True),
        (again(0.98, by_chance=0.6), "deterministic", True),
        (again(1.0, by_chance=1.0), "deterministic", True),
        # a pair that agrees may be chance, and speaks for no other design
        (again(1.0, by_chance=0.5, repeats=1), "power law", False),
        (again(1.0, by_chance=0.5, repeats=20), "deterministic", True),
        (again(1.0, covered=0.49), "power law", False),
        (again(1.0, covered=0.5), "deterministic", True),
        # a fixed schedule, with most values the same
        (again(0.7, schedule=1.0), "deterministic", True),
        (again(0.7, schedule=0.89), "power law", True),
        (again(0.49, schedule=1.0), "power law", False),
        # one design: nothing says what chance gives
        (again(0.95, by_chance=math.nan), "power law", False),
        (again(1.0, by_chance=math.nan), "deterministic", True),
        (again(0.95, by_chance=math.nan, schedule=1.0), "deterministic", True),
        (again(0.85, by_chance=math.nan, schedule=1.0), "power law", True),
        (again(0.45, by_chance=math.nan, schedule=1.0), "power law", False),
    ],
)
def test_repeats_decide_from_nine_tenths_beyond_chance_on_and_are_told_from_a_half_on(
    replication: DesignRepeats | None, word: str, noted: bool
) -> None:
    found = judged(replication=replication)
    assert found.word == word
    assert ("of the pairs of executions of one design have the same values" in found.summary()) is noted


def test_what_chance_gives_and_a_fixed_schedule_are_told_where_they_are_known() -> None:
    chance, schedule = "of the pairs of different designs do", "who acts, when and on how many claims is the same in"
    assert chance in judged(replication=again(0.7)).summary()
    assert chance not in judged(replication=again(1.0, by_chance=math.nan)).summary()
    assert f"{schedule} 100% of the pairs" in judged(replication=again(0.7, schedule=1.0)).summary()
    assert schedule not in judged(replication=again(0.95, schedule=1.0)).summary()
    assert schedule not in judged(replication=again(0.7, schedule=0.5)).summary()


def test_repeats_are_told_with_every_word() -> None:
    told = f"{again(0.6).summary()}: few are independent"
    for found in (
        judged(replication=again(0.6)),
        judged(("truncated_power_law", "power_law"), replication=again(0.6)),
        judged(("power_law", "exponential"), gof=None, replication=again(0.6)),
        judged(("exponential", "power_law"), gof=None, replication=again(0.6)),
        judged(gof=None, replication=again(0.6)),
    ):
        assert told in found.reasons


def test_a_largest_value_that_is_the_designs_bounds_the_tail_whatever_fits() -> None:
    found = judged(max_is_cap=True, capped=0.25)
    assert found.word == "design bounded"
    assert "25% of the executions reach their cap" in found.summary()
    assert "0% of the executions reach their cap" in judged(max_is_cap=True).reasons  # nobody said how many
    assert judged(max_is_cap=True, replication=again(0.95)).word == "deterministic"
    assert judged(max_is_cap=True, power=replace(POWER, at_bound=True)).word == "design bounded"


CUT = ("truncated_power_law", "power_law")


@pytest.mark.parametrize(
    ("rate", "word"),
    [
        *((rate, "truncated") for rate in (0.5, 0.1, 0.01)),
        *((rate, "undecided") for rate in (0.51, 0.0099, 0.0, -0.1)),
    ],
)
def test_a_cut_off_counts_where_it_lies_inside_the_data(rate: float, word: str) -> None:
    """The data go from 2 to 100; at rate 0 there is no cut-off."""
    found = judged(CUT, rate=rate)
    assert found.word == word
    assert (f"the cut-off 1/rate = {1 / rate if rate else 0:.4g} lies inside the data" in found.reasons) == (
        word == "truncated"
    )


def test_a_cut_off_that_is_not_sure_or_that_a_rival_does_without_is_none() -> None:
    assert judged(CUT, p=0.049).word == "truncated"
    assert judged(CUT, p=0.05).word == "power law"
    assert judged(("power_law", "truncated_power_law")).word == "power law"
    for rival in ("lognormal", "stretched_exponential"):
        assert judged(CUT, (rival, "truncated_power_law")).word == "undecided"
        assert judged(CUT, ("truncated_power_law", rival)).word == "truncated"


def test_models_that_were_not_fitted_and_tests_that_were_not_made_cut_nothing_off() -> None:
    models = {"exponential": TailModel("exponential", 2.0, {"rate": 0.1}, -300.0, np.empty(0), ())}
    tests = {"exponential": against("power_law", "exponential", 0.5)}
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "power law"
    models["truncated_power_law"] = replace(models["exponential"], name="truncated_power_law")
    tests["truncated_power_law"] = against(*CUT)
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "truncated"
    models["lognormal"] = replace(models["exponential"], name="lognormal")  # fitted, but compared with nothing
    del tests["truncated_power_law"], models["truncated_power_law"]
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "power law"


@pytest.mark.parametrize(("p", "word"), [(0.1, "undecided"), (0.11, "power law"), (1.0, "power law")])
def test_a_power_law_needs_a_fit_that_is_better_than_one_in_ten(p: float, word: str) -> None:
    found = judged(gof=GoodnessOfFit(p, 100, 0.02))
    assert found.word == word
    assert any(text.startswith(f"goodness of fit p = {p:.3f}") for text in found.reasons)


def test_a_power_law_needs_a_decade() -> None:
    assert judged(tail=up_to(20.0)).word == "power law"
    short = judged(tail=up_to(19.9))
    assert short.word == "undecided"
    assert "the tail spans a factor of 9.95, less than a decade, so a power law is not claimed" in short.reasons
    assert not any("decade" in text for text in judged(gof=GoodnessOfFit(0.05, 100, 0.02)).reasons)


@pytest.mark.parametrize("name", ["exponential", "lognormal", "stretched_exponential"])
def test_a_power_law_needs_that_no_competitor_wins(name: str) -> None:
    found = judged((name, "power_law"))
    assert found.word == ("light tailed" if name == "exponential" else "undecided")
    assert any(text.startswith(f"{name} against power_law: {name} by 4") for text in found.reasons)
    assert judged((name, "power_law"), p=0.05).word == "power law"


def test_without_goodness_of_fit_a_tail_is_heavy_light_or_undecided() -> None:
    for wins, word in (
        ([("power_law", "exponential")], "heavy tailed"),
        ([("exponential", "power_law")], "light tailed"),
        ([], "undecided"),
        ([("power_law", "exponential"), ("lognormal", "power_law")], "heavy tailed"),
    ):
        found = judged(*wins, gof=None)
        assert found.word == word
        assert "goodness of fit not computed, so a power law is not claimed" in found.reasons
        assert any("exponential" in text for text in found.reasons)
    assert judged(("power_law", "exponential"), gof=None, p=0.05).word == "undecided"
    assert judged(("exponential", "power_law"), gof=None, p=0.05).word == "undecided"


# Likelihood ratios


SMALL = histogram([1, 1, 1, 2])
MASSES = (np.array([-1.0, -2.0]), np.array([-1.2, -1.6]))
"""The first model is better by 0.2 at each 1 and worse by 0.4 at 2: together by 0.2, on average by 0.05."""
NAMES = ("a", "b")


def two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def test_vuongs_test_is_the_one_of_the_textbook() -> None:
    found = vuong(NAMES, MASSES, SMALL)
    error = math.sqrt(3 * 0.15**2 + 0.45**2)
    assert (found.first, found.second, found.nested, found.clusters) == ("a", "b", False, None)
    assert found.ratio == pytest.approx(0.2)
    assert found.z == pytest.approx(0.2 / error)
    assert found.p == pytest.approx(two_sided(0.2 / error))
    assert found.log10_p == pytest.approx(math.log10(found.p))
    turned = vuong(("b", "a"), MASSES[::-1], SMALL)
    assert (turned.ratio, turned.z, turned.p) == pytest.approx((-found.ratio, -(found.z or 0), found.p))


def test_a_small_difference_that_is_nearly_the_same_everywhere_is_sure() -> None:
    """The first model is better by 0.2 at each 1 and by 0.21 at 2: the sum is far from 0, the spread is small."""
    found = vuong(NAMES, (np.array([0.0, 0.0]), np.array([-0.2, -0.21])), SMALL)
    assert found.ratio == pytest.approx(0.81)
    assert found.z == pytest.approx(0.81 / math.sqrt(3 * 0.0025**2 + 0.0075**2))
    assert found.prefers("a", 1e-6)


def test_clusters_are_summed_before_they_are_squared() -> None:
    """Deviations .15 + .15 in the one cluster and .15 - .45 in the other; two clusters have one degree of freedom."""
    who = members(SMALL, [1, 1, 1, 2], ["x", "x", "y", "y"])
    found = vuong_clustered(NAMES, MASSES, SMALL, who)
    assert (found.clusters, found.nested) == (2, False)
    assert found.z == pytest.approx(0.2 / math.sqrt((0.3**2 + 0.3**2) * 2 / 1))
    assert found.p == pytest.approx(two_sided(found.z or 0))
    three = vuong_clustered(NAMES, MASSES, SMALL, members(SMALL, [1, 1, 1, 2], [0, 0, 1, 2]))
    assert three.z == pytest.approx(0.2 / math.sqrt((0.3**2 + 0.15**2 + 0.45**2) * 3 / 2))


def test_one_cluster_decides_nothing() -> None:
    found = vuong_clustered(NAMES, MASSES, SMALL, members(SMALL, [1, 1, 1, 2], [5, 5, 5, 5]))
    assert (found.z, found.p, found.log10_p, found.nested, found.clusters) == (0.0, 1.0, 0.0, False, 1)
    assert found.ratio == pytest.approx(0.2)


def test_members_are_the_values_of_the_tail_with_clusters_counted_from_zero() -> None:
    who = members(histogram([1, 2, 2, 5]).tail(2.0), [5, 1, 2, 2], ["q", "z", "a", "q"])
    assert (who.position.tolist(), who.cluster.tolist(), who.n_clusters) == ([1, 0, 0], [1, 0, 1], 2)
    assert members(histogram([7]).tail(7.0), [1, 2], [0, 1]).n_clusters == 0
    with pytest.raises(InputError, match="4 values but 2 cluster labels"):
        members(SMALL, [1, 1, 1, 2], [0, 1])


def test_a_nested_model_is_tested_by_chi_square_with_one_degree_of_freedom() -> None:
    found = nested(NAMES, -102.0, -100.0)
    assert (found.ratio, found.z, found.nested, found.clusters) == (-2.0, None, True, None)
    assert found.p == pytest.approx(chi2.sf(4.0, 1))
    assert found.log10_p == pytest.approx(math.log10(chi2.sf(4.0, 1)))
    equal = nested(NAMES, -100.0 + 1e-9, -100.0)  # the optimiser of the larger one stopped a little short
    assert (equal.ratio, equal.p) == (0.0, 1.0)


def test_models_that_coincide_do_not_win_by_rounding() -> None:
    same = np.array([-1.0, -2.0])
    for other in (same, same + np.array([1e-16, -1e-16])):
        found = vuong(NAMES, (same, other), SMALL)
        assert (found.z, found.p, found.log10_p) == (0.0, 1.0, 0.0)
    constant = vuong(NAMES, (same, same - 0.5), SMALL)  # better everywhere by as much: no spread to compare with
    assert (constant.ratio, constant.z, constant.p) == (2.0, 0.0, 1.0)


def test_a_test_decides_below_its_level_and_for_the_side_of_its_sign() -> None:
    found = LikelihoodRatio("a", "b", 3.0, 2.0, 0.04, -1.4, nested=False)
    assert (found.prefers("a"), found.prefers("b"), found.prefers("a", 0.04)) == (True, False, False)
    for ratio in (-3.0, -0.5):
        turned = replace(found, ratio=ratio)
        assert (turned.prefers("a"), turned.prefers("b")) == (False, True)
    assert replace(found, ratio=0.5).prefers("a")
    assert not replace(found, p=0.05).prefers("a")


def test_a_test_says_who_wins_and_on_what_basis() -> None:
    found = LikelihoodRatio("a", "b", 3.0, 2.0, 0.04, -1.4, nested=False)
    assert found.summary() == "a against b: a by 3 (z = 2.00, log10 p = -1.4)"
    clustered = replace(found, ratio=-3.0, z=-2.0, clusters=12)
    assert clustered.summary() == "a against b: b by 3 (z = -2.00, log10 p = -1.4 over 12 clusters)"
    assert replace(found, ratio=-0.5).summary().startswith("a against b: b by 0.5 (")
    assert replace(found, ratio=0.5).summary().startswith("a against b: a by 0.5 (")
    assert replace(found, z=None, nested=True).summary() == "a against b: a by 3 (nested, log10 p = -1.4)"
