"""Both sides of what `laws` prints: data on which each sentence has to stand, and data on which it must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.errors import InputError
from agentsoc.events import Event
from agentsoc.log.manifest import load_manifest
from analysis.cascade_laws.elites import concentration
from analysis.cascade_laws.examine import FAST, SEEN, Laws, cannot_tell, examine
from analysis.cascade_laws.extremes import Extremes, largest_growth
from analysis.cascade_laws.growth_line import Bend, fit_line, line_of_points
from analysis.cascade_laws.input import read_tables
from analysis.cascade_laws.report import laws_of_table
from analysis.cascade_laws.switched import AgainstChance, Switched
from analysis.cascade_laws.text import laws_as_text
from analysis.claims.attachment import fit_attachment
from analysis.claims.attachment_choices import Offer, make_choices
from analysis.claims.attachment_rivals import RatioTest, _beside, _word
from analysis.claims.attachment_verdict import examine_attachment
from analysis.claims.deficits import deficits
from analysis.claims.integration import integration
from analysis.importers import store
from analysis.importers.claims import import_claims
from analysis.importers.transcripts import import_transcripts, notes
from analysis.interval import Interval
from analysis.observables.audit import structure_audit
from analysis.observables.sampled import Sample, structures
from analysis.tables import N_SEEN, EventTable, concat, from_events
from analysis.tails import Resampling, SampleDesign, fit_tail
from analysis.tails.bootstrap import ExponentInterval, GoodnessOfFit
from analysis.tails.competitor import TailModel
from analysis.tails.fit import _Asked, _card
from analysis.tails.verdict import degeneracies
from benchmarks.planted_cascades import program, random_cascades, random_routing
from benchmarks.study_attachment import World, choices_of
from tests.sides import told_apart
from tests.synthetic_logs import ended, said, write_log
from tests.unit.test_importers_claims import SAMPLE as CLAIMS
from tests.unit.test_importers_transcripts import said as transcript
from tests.unit.test_importers_transcripts import say
from tests.unit.test_tails_verdict import HEAVY, POWER, TAIL, again, against, judged, up_to

QUICK = Resampling(gof=10, interval=10)

# The report as a whole


@pytest.fixture(scope="module")
def laws() -> Laws:
    return examine(random_cascades("lognormal", 10, 1, n=300, form="star"), effort=FAST)


def text_of(found: Laws, **changed: Any) -> str:
    return laws_as_text(replace(found, **changed))


def test_parts_of_a_report_stand_where_there_is_something_to_tell(laws: Laws) -> None:
    whole = text_of(laws)
    measure = AgainstChance("depth", 4.0, 3.0, 2.0, 5.0, 0.5, 0.5)
    wired = text_of(laws, switched=Switched((measure,), 19, 8))
    told_apart({"Cascades against the same fan-in and fan-out wired at random": wired}, whole)
    told_apart({"Deficit-triggered integration, replayed offline, by topology": whole}, text_of(laws, deficits={}))
    told_apart({"(--cards prints them, --json holds them)": whole}, laws_as_text(laws, cards=True))
    name, law = next((name, law) for name, law in laws.laws.items() if law.fit.power is not None)
    both = text_of(laws, laws={name: replace(law, whole=law.fit)})
    told_apart({"% of the values; all of them: ": both}, text_of(laws, laws={name: replace(law, whole=None)}))
    corrected = laws_of_table(random_cascades("lognormal", 10, 1, n=100, form="star"), fast=True).summary()
    told_apart({"likelihood ratios; goodness of fit is not)": corrected}, whole)
    assert "Cannot be told from" in whole
    assert "Cannot be told from" not in text_of(laws, laws={})
    assert "Growth of the largest value with N" in whole
    assert "Growth of the largest value with N" not in text_of(laws, laws={})
    assert "Fit cards" not in text_of(laws, laws={})


def test_attachment_is_told_or_it_is_said_why_it_was_not_looked_for() -> None:
    table = random_routing(1, executions=3, acts=12)
    unsaid, whole, latest = (laws_as_text(examine(table, effort=FAST, risk=rule)) for rule in (None, "all", "latest"))
    reason = "not looked for: the log does not say which claims an agent could read; if all could be read, pass --risk"
    told_apart({
        reason: unsaid,
        "attachment takes it that everybody could read ": (whole, latest),
        "everybody could read every earlier claim, unless the log says otherwise": whole,
        "everybody could read everybody's latest earlier claim, unless the log says otherwise": latest,
    })  # fmt: skip


def stated(n: int, *, complete: bool = True) -> EventTable:
    """Return n executions of one design."""
    acts = [
        event
        for task in range(n)
        for event in (
            Event(task, 0, 0, 0, "propose_claim", 1),
            Event(task, 1, 1, 0, "revise_claim", 2, (1,)),
            *([Event(task, 2, -1, 0, "stop")] if complete else []),
        )
    ]
    return from_events(acts, run="r", topology="star", n_agents=2)


def test_what_limits_every_statement_stands_where_it_does() -> None:
    def caveats(table: EventTable) -> str:
        return "; ".join(examine(table, effort=FAST).caveats)

    many = concat([
        from_events([Event(0, 0, 0, 0, "propose_claim", 1), Event(0, 1, -1, 0, "stop")], run=str(i), n_agents=i + 2)
        for i in range(12)
    ])  # fmt: skip
    seen = random_cascades("lognormal", 5, 1, n=100)
    seen = replace(seen, executions=seen.executions.with_columns(pl.lit(value=True).alias(N_SEEN)))
    cut = stated(12).where(pl.lit(value=True))
    cut = replace(cut, executions=cut.executions.with_columns(complete=pl.col("execution") > 2))
    few = "tests take executions as independent, and nothing is said about other designs"
    told_apart({
        "3 of 12 executions are cut short and are counted as they are": caveats(cut),
        "N is not stated for 20 of 20 executions: it counts the agents that acted": caveats(seen),
        few: (caveats(cut), caveats(stated(12)), caveats(stated(4))),
        "there are only 4 executions: errors over so few clusters are too small": caveats(stated(4)),
        "there is one execution, so its values are taken as independent, which they are not": caveats(stated(1)),
    }, caveats(many))  # fmt: skip
    told_apart({"; 3 executions are cut short": cut.summary()}, stated(12).summary())


def test_growth_is_refused_where_n_is_what_was_seen() -> None:
    table = random_cascades("lognormal", 1, 1, n=60)
    table = replace(table, executions=table.executions.with_columns(n_agents=20 + 10 * (pl.col("execution") % 3)))
    seen = replace(table, executions=table.executions.with_columns(pl.lit(value=True).alias(N_SEEN)))
    known, unknown = (laws_as_text(examine(one, effort=FAST)) for one in (table, seen))
    told_apart({
        f"not identified: {SEEN}": unknown,
        "N is not stated: the agents that acted are counted, and more of them act where more happens": unknown,
        "by medians; one distribution for all N gives [": known,
    })  # fmt: skip


# Growth


def grown(values: dict[int, list[float]], cap: float = np.inf) -> Extremes:
    n = np.repeat(list(values), [len(one) for one in values.values()])
    x = np.concatenate([np.array(one) for one in values.values()])
    sample = Sample("size", x, np.arange(len(x)), np.full(len(x), cap), "claims")
    return largest_growth(sample, n, replicates=20)


def test_caps_and_bends_of_growth_are_told_where_they_are() -> None:
    rng = np.random.default_rng(1)
    straight = {n: list(n * np.exp(rng.normal(0, 0.1, 20))) for n in (8, 16, 32, 64, 128)}
    bent = {n: list(min(n, 32) * np.exp(rng.normal(0, 0.1, 20))) for n in (8, 16, 32, 64, 128)}
    free, capped, broken = grown(straight), grown(straight, cap=1e9), grown(bent)
    told_apart({
        "no cap of the design is known": (free.summary(), broken.summary()),
        "0% are at their cap": capped.summary(),
        "no one exponent: the means bend down (p = ": broken.summary(),
        " up to N = 32 and ": broken.summary(),
    })  # fmt: skip
    assert free.bend is not None
    assert broken.bend is not None
    three = Bend(0.5, 0.001, *(float("nan"),) * 4)
    told_apart({
        "no bend is seen (p = ": free.bend.summary(),
        "no one exponent: the means bend up (p = 0.001)": three.summary(),
        ", slope ": broken.bend.summary(),
    })  # fmt: skip


def test_the_interval_of_growth_says_what_scatter_it_is_made_of() -> None:
    log_n = np.log([8.0, 16.0, 32.0])
    once = [[np.array([value])] for value in (3.0, 5.0, 8.0)]
    twice = [[np.array([value]), np.array([value * 1.2])] for value in (3.0, 5.0, 8.0)]
    over_n, over_both = fit_line(log_n, once).method, fit_line(log_n, twice).method
    two = line_of_points(log_n[:2], np.array([1.0, 2.0]), np.ones(2)).method
    told_apart({
        "scatter over N": (over_n, over_both),
        "scatter over N and over clusters within N": over_both,
        "none: two N": two,
    })  # fmt: skip
    with pytest.raises(InputError) as refused:
        fit_line(log_n[:2], once[:2])
    with pytest.raises(InputError) as others:
        grown({8: [3.0, 4.0]})
    with pytest.raises(InputError) as none:
        largest_growth(Sample("size", np.array([]), np.array([], np.int64), np.array([]), "claims"), [8])
    told_apart({
        "there is one independent value at each of 2 numbers of agents": refused.value.problem.what,
        "values at one number of agents only": others.value.problem.what,
        "size has no values": none.value.problem.what,
    })  # fmt: skip


# Concentration, wirings at random, merges, deficits, structures


def test_concentration_says_what_it_was_held_against() -> None:
    table = random_cascades("geometric", 3, 1, n=30)
    found = concentration(table, null_replicates=20)
    every = found.summary()
    told_apart({
        "no effort recorded": replace(found, table=found.table.clear()).summary(),
        "over the agents that acted: mean Gini ": (every, replace(found, n_seen=4).summary()),
        "; over all N ": (every, replace(found, n_seen=4).summary()),
        ", which are those that acted in 4 executions, where N is not stated": replace(found, n_seen=4).summary(),
    })  # fmt: skip
    told_apart(
        {"; where each acts once and the rest by chance ": every}, replace(found, schedule_events=None).summary()
    )
    told_apart({"; where all acts fall by chance ": every}, replace(found, null_events=None).summary())


def test_cascades_are_more_less_or_as_by_chance() -> None:
    def one(value: float, p: float) -> str:
        return Switched((AgainstChance("largest share", value, 3.0, 2.0, 4.0, p, p),), 99, 9).summary()

    told_apart({
        "as by chance": one(5.0, 0.051),
        "more than by chance": one(5.0, 0.05),
        "less than by chance": one(1.0, 0.05),
        "nothing to compare: fan-in, fan-out and order leave no other wiring": Switched((), 99, 0).summary(),
    })  # fmt: skip


def merged(n: int) -> EventTable:
    """Return an execution with two claims and n merges of them."""
    merges = [Event(0, 1, i, 0, "merge_claims", 10 + i, (1, 2)) for i in range(n)]
    acts = [Event(0, 0, 0, 0, "propose_claim", 1), Event(0, 0, 1, 0, "propose_claim", 2), *merges]
    return from_events(acts, run="r", n_agents=max(n, 2), topology="star")


def test_merges_are_held_against_other_acts_where_there_are_any() -> None:
    def line(table: EventTable) -> str:
        found = structures(table)
        return integration(table, found.graph, found.cascades).summary()

    none = from_events([Event(0, 0, -1, 0, "stop")], run="r", n_agents=2)
    alone = from_events([Event(0, 0, 0, 0, "propose_claim", 1)], run="r", n_agents=2)
    told_apart({
        "no coordination events": line(none),
        "0 merges, 1 other events, 0 cascades": line(alone),
        "2 merges for 2 other events (1.000); per cascade ": line(merged(2)),
    })  # fmt: skip


def test_a_scale_of_deficits_that_few_merges_leave_open_is_called_a_default() -> None:
    def line(table: EventTable) -> str:
        found = structures(table)
        return deficits(table, found.graph, found.cascades)["star"].summary()

    told_apart({" (default: too few merges)": line(merged(4))}, line(merged(5)))
    assert "; triggers: " in line(merged(4))
    assert " (corrected: in " in line(merged(5))


def test_designs_repeat_one_structure_or_do_not() -> None:
    """Random wiring under one schedule has one structure, which is about the schedule; agents at random have none."""
    fixed, wired = structure_audit(program("star", agents=(4, 6), repeats=2)), structure_audit(random_routing(1))
    free = structure_audit(random_cascades("geometric", 1, 1, n=40, one_seed=True))
    what = "design cells with repeats have one structure (who acts, in which order, on how many claims)"
    told_apart({
        f"2 of 2 {what}; 2 structures in 4 executions": fixed.summary(),
        f"1 of 1 {what}; 1 structures in 40 executions": wired.summary(),
        f"0 of 1 {what}; 40 structures in 40 executions": free.summary(),
    })  # fmt: skip


# Attachment

YES, NO = RatioTest(30.0, 2), RatioTest(0.5, 2)


def test_words_of_attachment_have_their_reasons() -> None:
    def line(over: float, reinforced: RatioTest = YES, beta: float = 0.9, good: RatioTest = NO) -> str:
        word, reasons = _word(Interval(beta, beta - 0.2, beta + 0.2), reinforced, YES, over, good)
        return f"[{word}] {'; '.join(reasons)}"

    sure, open_, liked, none = line(20.0), line(0.0), line(-9.0), line(20.0, NO)
    avoided, misfit = line(20.0, beta=-0.9), line(20.0, good=RatioTest(40.0, 3))
    told_apart({
        "[reinforcement]": sure,
        "[looks like reinforcement; fitness not excluded]": open_,
        "[looks like reinforcement; the model does not fit]": misfit,
        "[fitness]": liked,
        "[no reinforcement]": none,
        "[avoidance]": avoided,
        " beside age and authors": (sure, open_, none, avoided, misfit),
        " than claims of unequal fitness": (sure, open_),
        "what was built on before is chosen for what it is": liked,
        "claims of unequal fitness explain the choices better than reinforcement (by AIC 9.0)": liked,
        "no better than beta = 0 (p = ": none,
        "what was built on before is chosen less": avoided,
        "goodness of fit p = ": (sure, misfit),
    })  # fmt: skip
    told_apart({"AIC 20.0 better than": sure, "AIC 3.0 worse than": line(-3.0)})
    found, lost = RatioTest(50.0, 5), RatioTest(4.0, 5)
    newer = "; ".join(_beside(found, -1.0, lost, "reinforcement"))
    older = "; ".join(_beside(found, 1.0, None, "reinforcement"))
    liked_authors = "; ".join(_beside(lost, 1.0, found, "reinforcement"))
    told_apart({
        "newer claims are preferred (p = ": newer,
        "older claims are preferred (p = ": older,
        " claims are preferred (p = ": (newer, older),
        "some authors are preferred (p = ": liked_authors,
    }, "; ".join(_beside(lost, 1.0, lost, "reinforcement")))  # fmt: skip
    either = "; ".join(_beside(found, 1.0, None, "looks like reinforcement; fitness not excluded"))
    told_apart({" claims are preferred, or claims are of unequal fitness (p = ": either}, older)


def test_an_exponent_that_few_choices_leave_open_is_not_told() -> None:
    few = examine_attachment(choices_of(World(beta=1), 0, executions=1, claims=8))
    enough = examine_attachment(choices_of(World(beta=1), 0))
    told_apart({
        "beta is not identified: fewer than 30 choices between claims that had been built on unequally": few.summary(),
        " choices between claims that had been built on unequally: too few for an estimate": few.summary(),
    }, enough.summary())  # fmt: skip
    assert enough.reason == ""
    assert "the likelihood is flat" not in enough.reason


def test_an_exponent_at_the_end_of_its_range_says_that_it_is_only_a_bound() -> None:
    """Every choice takes the claim that was built on most: the likelihood rises with beta for ever."""
    decisions = [([0, 3, 1], [1], i % 4) for i in range(60)]
    offers = [Offer([3, 2, 1], [0, 1, 2], [i * 3, i * 3 + 1, i * 3 + 2]) for i in range(60)]
    told = examine_attachment(make_choices(decisions, offers))
    plain = choices_of(World(beta=1), 0)
    assert told.at_bound
    told_apart({"the likelihood is flat, or still rises at beta = ": told.reason}, examine_attachment(plain).reason)
    bound = fit_attachment(make_choices(decisions, offers))
    told_apart({"only a bound: the likelihood still rises at beta = ": bound.reason}, fit_attachment(plain).reason)


# Tails


def test_reasons_of_tails_stand_where_they_hold() -> None:
    none, bounded = judged(power=None).summary(), judged(max_is_cap=True, capped=0.25).summary()
    good, light = judged().summary(), judged(("exponential", "power_law")).summary()
    told_apart({
        "no fit: too few values or too few distinct values for any threshold": none,
        "design bounded: the largest value is the largest that the design allows": bounded,
        "25% of the executions reach their cap": bounded,
        "power law: ": good,
        "light tailed: ": light,
        "goodness of fit p = 0.500 +- 0.050 (100 replicates)": (good, light),
        "AIC prefers it to every competitor": good,
    })  # fmt: skip
    bare = judged(HEAVY, gof=None).summary()
    told_apart({"goodness of fit not computed, so a power law is not claimed": bare}, judged(HEAVY).summary())
    few = TAIL.__class__(TAIL.values, np.array([2, *[3] * 99]), discrete=True)
    told_apart({
        "less than two decades, so a power law is not claimed": judged(HEAVY, tail=up_to(20.0)).summary(),
        "of the values, less than a tenth, so a power law is not claimed": judged(HEAVY, n=4001).summary(),
        "the tail has 299 values, fewer than 300, so a power law is not claimed": judged(HEAVY, tail=few).summary(),
        "heavy tailed: ": judged(HEAVY, ("lognormal", "power_law")).summary(),
        "power law rejected: ": judged(HEAVY, gof=GoodnessOfFit(0.02, 100, 0.02)).summary(),
    }, judged(HEAVY).summary())  # fmt: skip
    told_apart({"power law not rejected: ": judged(HEAVY, close=("lognormal",)).summary()}, judged(HEAVY).summary())
    apart, one = again(0.7).summary(), again(0.7, by_chance=float("nan")).summary()
    told_apart({" of the pairs of different designs do)": apart}, one)


def test_a_tail_that_is_none_says_what_it_lacks() -> None:
    def why(tail: float = 200.0, **power: Any) -> str:
        return "; ".join(degeneracies(replace(POWER, **power), up_to(tail)))

    told_apart({
        "the exponent is at its bound (8)": why(alpha=8.0, at_bound=True),
        "the tail has 9 distinct values, fewer than 10": why(n_distinct=9),
        "the tail spans a factor of 3.15, less than half a decade": why(6.3),
    }, why())  # fmt: skip
    told_apart(
        {" at its bound above xmin = 2 (200 values, KS ": replace(POWER, at_bound=True).summary()}, POWER.summary()
    )


def test_likelihood_ratios_say_their_clusters_and_what_they_are_corrected_for() -> None:
    plain = against("power_law", "lognormal")
    clustered, corrected = replace(plain, clusters=12), replace(plain, log10_p_holm=-1.0, family=7)
    told_apart({
        " over 12 clusters": clustered.summary(),
        ", -1.0 by Holm over 7 tests": corrected.summary(),
    }, plain.summary())  # fmt: skip
    assert plain.summary().startswith("power_law against lognormal: power_law by 4 (")
    assert replace(plain, ratio=-4.0).summary().startswith("power_law against lognormal: lognormal by 4 (")
    inside = TailModel("lognormal", 2.0, {"mu": 1.0}, -3.0, np.empty(0), ())
    told_apart({" (at bound: mu)": replace(inside, at_bound=("mu",)).summary()}, inside.summary())


def test_the_summary_of_a_fit_has_what_was_resampled() -> None:
    found = fit_tail(np.random.default_rng(1).zipf(2.2, 300).astype(float))
    interval = ExponentInterval(2.2, 2.0, 2.4, 0.95, "", clusters=40)
    told_apart({
        "95% interval of alpha [2, 2.4] over 40 clusters": replace(found, interval=interval).summary(),
        "goodness of fit p = 0.500": replace(found, gof=GoodnessOfFit(0.5, 100, 0.02)).summary(),
    }, found.summary())  # fmt: skip


def test_a_card_warns_of_ends_and_of_thresholds_that_were_not_compared() -> None:
    """Values that are nearly all alike end at a bound; of thousands of distinct values not every one is a threshold."""
    rng = np.random.default_rng(3)
    plain = fit_tail(np.random.default_rng(0).zipf(2.5, 500).astype(float)).card.summary()
    many = fit_tail(1 + rng.pareto(1.5, 4000), discrete=False).card
    told_apart({" thresholds were compared": many.summary()}, plain)
    stuck = fit_tail(np.repeat([1.0, 2.0, 3.0, 4.0, 30.0], [400, 20, 10, 5, 40]), xmin=1.0).card
    told_apart({" is at an end of its range": stuck.summary()}, plain)
    told_apart({
        "not computed": many.summary(),
        "goodness of fit: goodness of fit p = ": fit_tail(
            rng.zipf(2.2, 300).astype(float), resampling=QUICK
        ).card.summary(),
    })  # fmt: skip


def test_a_word_is_the_same_when_its_tests_are_corrected_by_nothing() -> None:
    """Far tails of lognormals: what is left of the values counts after the correction as it does before."""
    for seed in range(6):
        values = np.rint(np.exp(np.random.default_rng(seed).normal(2, 2, 1500)))
        fit = fit_tail(values[values > 0], resampling=QUICK)
        assert fit.power is not None
        assert fit.judged_by(fit.deciding, SampleDesign()).verdict == fit.verdict


def test_a_card_says_whether_values_count_as_independent() -> None:
    values = np.random.default_rng(1).zipf(2.2, 300).astype(float)
    alone, clustered = fit_tail(values), fit_tail(values, clusters={"execution": np.arange(300) // 3})
    told_apart({
        "dependence: values taken as independent": alone.card.summary(),
        "dependence: cluster-robust tests": clustered.card.summary(),
    })  # fmt: skip


def test_a_fit_that_did_not_converge_is_told() -> None:
    found = fit_tail(np.random.default_rng(1).zipf(2.2, 300).astype(float))
    stuck = {name: replace(model, converged=name != "lognormal") for name, model in found.models.items()}
    asked = _Asked("", None, None, {}, Resampling())
    cards = [_card(found.sample, found.power, models, asked).summary() for models in (stuck, found.models)]
    told_apart({"the fit of lognormal did not converge": cards[0]}, cards[1])


def test_null_models_are_named_where_nothing_speaks_against_them() -> None:
    fit = fit_tail(np.random.default_rng(1).zipf(2.2, 300).astype(float))

    def told(loser: str, growth: Extremes | None = None) -> str:
        beaten = against("stretched_exponential", loser)
        return "; ".join(cannot_tell(replace(fit, tests={"x": beaten}, levels=()), SampleDesign(), growth))

    names = ("power_law", "lognormal", "truncated_power_law", "exponential")
    power, lognormal, cut, light = (told(name) for name in names)
    told_apart({
        "power law (goodness of fit not computed)": (lognormal, cut, light),
        "sandpile or near-critical branching (truncated power law)": (power, lognormal, light),
        "subcritical growth (exponential tail)": (power, lognormal, cut),
    })  # fmt: skip
    rng = np.random.default_rng(2)
    flat = {n: list(np.exp(rng.normal(0, 0.1, 20))) for n in (8, 16, 32)}
    steep = {n: list(n * np.exp(rng.normal(0, 0.1, 20))) for n in (8, 16, 32)}
    still, growing = told("lognormal", grown(flat)), told("lognormal", grown(steep))
    told_apart({"one distribution for all N (growth of the largest)": still}, growing)
    design = SampleDesign(max_is_cap=True)
    assert cannot_tell(fit, design, None)[0] == "deterministic mixture over N"
    assert "deterministic mixture over N" not in cannot_tell(fit, SampleDesign(), None)


# What is read


def run_of(directory: Path, **manifest: Any) -> Path:
    """Write a run of two agents by hand, with these values in its manifest."""
    first = said(0, 0, 0, "A")
    assert first.claim is not None
    events = [first, said(0, 1, 1, "A", parents=(first.claim,)), *ended(0, 2, "A")]
    write_log(directory, events)
    changed = load_manifest(directory).model_copy(update=manifest)
    changed.save(directory)
    return directory


def test_where_a_table_comes_from_is_told(tmp_path: Path) -> None:
    def caveats(name: str, **manifest: Any) -> str:
        return "; ".join(read_tables([run_of(tmp_path / name, **manifest)]).caveats)

    known = {"tasks": {"kind": "signal", "count": 1}, "agents": [{"count": 2, "model": "simulated"}], "name": "x"}
    whole = known | {"topology": {"kind": "complete"}, "protocol": {"kind": "debate"}}
    cited, visible, inferred = (
        caveats(source, scenario=whole | {"parents": source}) for source in ("cited", "visible", "inferred")
    )
    odd = caveats("odd", scenario=whole | {"topology": {"kind": "of another package"}})
    begun = caveats("begun", scenario=whole, status="interrupted")
    told_apart({
        "parents in 1 run: cited, the claims that agents say they used or dispute": (cited, odd, begun),
        "visible, every claim that agents were shown, whether they used it or not": visible,
        "inferred, the shown claims that agents changed their answer to or kept it against; agreement by": inferred,
        "odd: its society cannot be built again here, so attention is not estimated": odd,
        "begun: this run is interrupted; what it has so far is counted": begun,
    })  # fmt: skip
    store.save(import_claims(CLAIMS), tmp_path / "imported", store.describe("claims", CLAIMS, {}))
    foreign = "; ".join(read_tables([tmp_path / "imported"]).caveats)
    told_apart({"imported: imported from claims": foreign, "parents in 1 run: ": cited})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="foreign logs come in by agentsoc import") as refused:
        read_tables([tmp_path / "empty"])
    told_apart({"run and no imported log": str(refused.value)}, cited)


def test_notes_on_transcripts_say_what_the_rule_forces_and_which_annotations_do_not_fit(tmp_path: Path) -> None:
    def told(directory: str, who: str, **more: object) -> str:
        (tmp_path / directory).mkdir()
        chat = transcript(tmp_path / directory, say("B"), say("A"), mistake_agent=who, mistake_step="1", **more)
        return "; ".join(notes(import_transcripts(chat), "both"))

    fits, odd = told("fits", "A"), told("odd", "B")
    told_apart({": step 1 was said by A, the annotation names B; the step counts": odd}, fits)
    assert "parents by the rule both: every message is downstream of all before it, by the rule alone" in fits
    assert "1 annotated mistakes in 1 transcripts" in fits
