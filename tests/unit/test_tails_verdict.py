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
"""Fitted above xmin = 2; with TAIL it spans a factor of 100."""
TAIL = Histogram(np.arange(2.0, 201.0, 2.0), np.full(100, 4), discrete=True)
GOOD = GoodnessOfFit(0.5, 100, 0.02)
COMPETITORS = ("exponential", "truncated_power_law", "lognormal", "stretched_exponential")


def up_to(largest: float) -> Histogram:
    """Return a tail that ends at this value."""
    return Histogram(
        np.array([*np.linspace(2.0, largest, 19, endpoint=False), largest]), np.full(20, 20), discrete=False
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
    close: tuple[str, ...] = (),
    n: int | None = None,
    plain: float = 20.0,
    **design: Any,
) -> Verdict:
    """Return the verdict when these (winner, loser) are decided, other tests are open, and AIC leaves `close` open.

    The AIC of the exponential is worse than that of the other competitors by `plain`.
    """
    models = {
        name: TailModel(name, 2.0, {"rate": rate}, -300.0 if name in close else -301.0, np.empty(0), ())
        for name in COMPETITORS
    }
    models["exponential"] = replace(models["exponential"], loglik=-301.0 - plain / 2)
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
    return judge(power, tail, models, tests, gof, SampleDesign(**design), n)


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
        *((rate, "undecided") for rate in (0.51, 0.0049, 0.0, -0.1)),
    ],
)
def test_a_cut_off_counts_where_it_lies_inside_the_data(rate: float, word: str) -> None:
    """The data go from 2 to 200; at rate 0 there is no cut-off."""
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


def test_a_cut_off_that_an_exponential_explains_nearly_as_well_is_none() -> None:
    """An exponential is a power law with a cut-off whose exponent is 0."""
    assert judged(CUT, plain=10.0).word == "truncated"
    assert judged(CUT, plain=9.9).word == "undecided"
    assert judged(CUT, ("exponential", "power_law"), plain=0.0).word == "light tailed"


def test_a_cut_off_names_the_curved_laws_that_it_does_not_exclude() -> None:
    open_, one, none = (
        judged(CUT),
        judged(CUT, (CUT[0], "lognormal")),
        judged(CUT, *((CUT[0], x) for x in COMPETITORS[2:])),
    )
    assert open_.reasons[-1] == "not excluded: lognormal, stretched exponential"
    assert one.reasons[-1] == "not excluded: stretched exponential"
    assert "not excluded" not in none.summary()


def test_a_cut_off_is_not_told_where_aic_prefers_another_law() -> None:
    models = {name: TailModel(name, 2.0, {"rate": 0.1}, -301.0, np.empty(0), ()) for name in COMPETITORS}
    models["exponential"] = replace(models["exponential"], loglik=-320.0)
    tests = {name: against("power_law", name, 0.5) for name in COMPETITORS} | {CUT[0]: against(*CUT)}
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "truncated"
    models["lognormal"] = replace(models["lognormal"], loglik=-300.9)
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "undecided"


def test_a_power_law_is_told_for_the_range_that_was_seen_alone() -> None:
    told = "from 2 to 200: a cut-off that so few values do not show is not excluded"
    assert told in judged().reasons
    assert told not in judged(close=("lognormal",)).reasons


def test_models_that_were_not_fitted_and_tests_that_were_not_made_cut_nothing_off() -> None:
    models = {"exponential": TailModel("exponential", 2.0, {"rate": 0.1}, -301.0, np.empty(0), ())}
    tests = {"exponential": against("power_law", "exponential", 0.5)}
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "power law"
    models["truncated_power_law"] = replace(models["exponential"], name="truncated_power_law")
    models["exponential"] = replace(models["exponential"], loglik=-320.0)
    tests["truncated_power_law"] = against(*CUT)
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "truncated"
    models["lognormal"] = replace(models["exponential"], name="lognormal")  # fitted, but compared with nothing
    del tests["truncated_power_law"], models["truncated_power_law"]
    assert judge(POWER, TAIL, models, tests, GOOD, SampleDesign()).word == "power law"


HEAVY = ("power_law", "exponential")


@pytest.mark.parametrize(("p", "word"), [(0.1, "power law rejected"), (0.11, "power law"), (1.0, "power law")])
def test_a_power_law_needs_a_fit_that_is_better_than_one_in_ten(p: float, word: str) -> None:
    for wins in ((), (HEAVY,)):
        found = judged(*wins, gof=GoodnessOfFit(p, 100, 0.02))
        assert found.word == word
        assert any(text.startswith(f"goodness of fit p = {p:.3f}") for text in found.reasons)


@pytest.mark.parametrize(("p", "word"), [(0.05, "power law rejected"), (0.06, "power law")])
def test_a_tail_of_a_thousand_values_needs_one_in_twenty(p: float, word: str) -> None:
    large = Histogram(TAIL.values, np.full(100, 10), discrete=True)
    assert judged(tail=large, gof=GoodnessOfFit(p, 100, 0.02)).word == word
    almost = Histogram(TAIL.values, np.array([9, *[10] * 99]), discrete=True)
    assert judged(tail=almost, gof=GoodnessOfFit(p, 100, 0.02)).word == "power law rejected"


def test_a_rejected_fit_outranks_that_the_tail_is_heavy_and_not_that_it_is_light() -> None:
    bad = GoodnessOfFit(0.02, 100, 0.02)
    heavy = judged(HEAVY, gof=bad)
    assert heavy.word == "power law rejected"
    assert heavy.reasons[0] == bad.summary()
    assert any(text.startswith("it is heavier than an exponential: ") for text in heavy.reasons)
    assert judged(gof=bad).reasons == (bad.summary(),)
    assert judged(("exponential", "power_law"), gof=bad).word == "light tailed"
    assert judged(HEAVY, ("lognormal", "power_law"), gof=bad).word == "power law rejected"


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        (
            {"tail": up_to(199.9)},
            "the tail spans a factor of 100, less than two decades, so a power law is not claimed",
        ),
        ({"tail": up_to(20.0)}, "the tail spans a factor of 10, less than two decades, so a power law is not claimed"),
        ({"n": 4001}, "the tail holds 10.0% of the values, less than a tenth, so a power law is not claimed"),
        (
            {"tail": Histogram(TAIL.values, np.array([2, *[3] * 99]), discrete=True)},
            "the tail has 299 values, fewer than 300, so a power law is not claimed",
        ),
        ({"close": ("lognormal",)}, "not excluded, by AIC: lognormal"),
        (
            {"close": ("lognormal", "stretched_exponential")},
            "not excluded, by AIC: lognormal, stretched exponential",
        ),
    ],
)
def test_a_power_law_that_fits_and_lacks_something_is_not_rejected_and_not_claimed(
    lacks: dict[str, Any], said: str
) -> None:
    found = judged(HEAVY, **lacks)
    assert found.word == "power law not rejected"
    assert found.reasons[-1] == said
    assert judged(**lacks).word == "undecided"  # nor does it beat the exponential
    assert said in judged(**lacks).reasons
    assert said not in judged(HEAVY).reasons


def test_a_power_law_is_claimed_from_two_decades_a_tenth_and_three_hundred_values_on() -> None:
    assert judged(tail=up_to(200.0), n=4000).word == "power law"
    least = Histogram(TAIL.values, np.full(100, 3), discrete=True)
    found = judged(HEAVY, tail=least)
    assert found.word == "power law"
    assert "AIC prefers it to every competitor" in found.reasons
    assert "AIC prefers it to every competitor" not in judged(HEAVY, close=("lognormal",)).reasons


@pytest.mark.parametrize("name", ["exponential", "lognormal", "stretched_exponential"])
def test_a_power_law_needs_that_no_competitor_wins(name: str) -> None:
    found = judged((name, "power_law"))
    assert found.word == ("light tailed" if name == "exponential" else "undecided")
    assert any(text.startswith(f"{name} against power_law: {name} by 4") for text in found.reasons)
    assert judged((name, "power_law"), p=0.05).word == "power law"
    if name != "exponential":
        assert judged(HEAVY, (name, "power_law")).word == "heavy tailed"


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
