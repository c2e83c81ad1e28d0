"""Both sides of what `phase` and `calibrate` print: data on which each sentence has to stand or must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.errors import InputError
from agentsoc.streams import stream
from analysis.commands.calibration_runs import require_measurable
from analysis.fitcard import range_warnings
from analysis.synergy.estimation.assumptions import check_answers, check_chance, check_leaf_law, check_size
from analysis.synergy.estimation.count_shapes import compare_shapes, node_slope
from analysis.synergy.estimation.estimate import Measurements, estimate_phase
from analysis.synergy.estimation.fidelity_fit import CurveFit, fit_fidelity
from analysis.synergy.estimation.interval import Estimate
from analysis.synergy.estimation.leaf_law import fit_leaf_law, spread_refusals
from analysis.synergy.estimation.node_response import fit_response
from analysis.synergy.estimation.operating import OperatingPoint, reader_in_place
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.run_roles import sort_runs
from analysis.synergy.estimation.sibling_correlation import estimate_rho
from analysis.synergy.planning.calibration import relay_runs
from benchmarks.study_shapes import votes as planted
from tests.e2e.test_phase_logs import base, execute
from tests.sides import told_apart
from tests.strategies import scenario
from tests.unit import test_phase_recommend
from tests.unit.test_phase_estimate import leaf_trials, locked, merges, trips, votes
from tests.unit.test_phase_estimate_report import measured
from tests.unit.test_sentences import leaf


@pytest.fixture(scope="module")
def estimate() -> PhaseEstimate:
    return estimate_phase(measured(), 5, n_draws=100)


def test_the_regime_says_what_it_rests_on(estimate: PhaseEstimate) -> None:
    def text(**changed: Any) -> str:
        return replace(estimate, **changed).summary()

    rough_rho, rough_gamma = Estimate(0.2, -0.2, 0.6), Estimate(0.8, 0.4, 1.0)
    few = (*(one for one in estimate.checks if one.code != "size"), check_size(12))
    plain = text()
    told_apart({
        "the interval of rho is wider than 0.5; measure more merges or replicates, or clearer messages":
            text(rho=rough_rho),
        "the interval of gamma is wider than 0.5; measure more round trips or merges": text(gamma=rough_gamma),
        "because 12 tasks; below 30 no interval here is to be trusted": text(checks=few),
        "refused: nothing was measured": text(refusals=("nothing was measured",)),
    }, plain)  # fmt: skip
    assert plain.startswith("phase of trees with b = 5 (")
    half, sure_ = text(mu_star=0.5), text(mu_star=1.0)
    told_apart({"= 0.5: leaves with a stronger signal are made worse": half}, sure_)
    told_apart({"  P(s > beta) ": plain}, text(p_synergy=None))
    told_apart({" if shared errors are beta-binomial)": plain}, text(p_synergy_beta_binomial=None))


def test_sizes_are_counted_for_each_estimate() -> None:
    told_apart({
        "12 tasks; below 30 no interval here is to be trusted": check_size(12).text,
        "400 tasks, but rho from 12; below 30 an interval is not to be trusted": check_size(400, {"rho": 12}).text,
    }, check_size(400, {"rho": 40}).text)  # fmt: skip


def test_checks_that_were_not_made_say_why() -> None:
    told_apart({
        "power law of the leaf signal; no levels of compute were measured": check_leaf_law(None).text,
        "power law of the leaf signal; tasks are reused, so counts are not": check_leaf_law(leaf(float("nan"))).text,
        "leaf signals do not follow a power law of the tokens (p = 0.001)": check_leaf_law(leaf(0.001)).text,
        "power law of the leaf signal (misfit p = 0.5)": check_leaf_law(leaf(0.5)).text,
    })  # fmt: skip
    two, four = (pl.DataFrame({"k": [k]}) for k in (2, 4))
    told_apart({
        "answers instead of two: alpha holds where wrong answers concentrate on one; where they spread, growth at":
            check_answers((four,), 3, 0.9).text,
    }, check_answers((two,), 3, 0.9).text)  # fmt: skip
    right = pl.DataFrame({"task": np.repeat(np.arange(80), 5), "correct": 1.0, "k": 2})
    told_apart({
        "votes are right in 100.0% of the cases, chance gives 50.0%": check_chance((right,)).text,
        "votes no worse than chance; needs votes on two tasks": check_chance((right.filter(pl.col("task") < 1),)).text,
    })  # fmt: skip


def test_what_was_not_measured_is_refused_by_name() -> None:
    rng = stream(1, "sides")
    everything = estimate_phase(measured(), 5, n_draws=50)
    bare = estimate_phase(Measurements(trips=measured().trips), 5, n_draws=50)
    deaf = estimate_phase(Measurements(leaves=measured().leaves), 5, n_draws=50)
    told_apart({
        "a, beta: no trials of single agents": bare.summary(),
        "rho: no votes of siblings and no merges": (bare.summary(), deaf.summary()),
        "gamma: no round trips and no merges": deaf.summary(),
    }, everything.summary())  # fmt: skip
    single, triple = (fit_response(merges(rng, 400, b, 0.8, 0.1)).summary() for b in (1, 3))
    told_apart({"refused: no node merged three votes or more: rho is not identified": single}, triple)
    assert triple.startswith("node response: 400 merges on 400 tasks, lock after channel")


def test_the_form_of_shared_errors_is_the_one_that_describes_the_counts_better() -> None:
    lock, other = (compare_shapes(planted(shape, tasks=300)) for shape in ("lock", "beta_binomial"))
    told_apart({
        "the lock describes the counts better": lock.summary(),
        "the beta-binomial law describes the counts better; the lock would promise too much": other.summary(),
        "the data cannot tell the laws apart": replace(lock, preferred=None).summary(),
    })  # fmt: skip
    assert lock.summary().startswith("shape of correlation (")
    assert " (lock), " in lock.summary()
    slope = node_slope(votes(locked(stream(2, "x"), np.full(200, 0.3), 2, 5, 0.2)), 5)
    assert "majority of 5: " in slope.summary()
    assert "the beta-binomial law " in slope.summary()


# Fidelity and the law of the leaf


def test_fidelity_says_whose_it_is_and_what_it_could_not_read() -> None:
    table = trips(stream(3, "trips"), 300, lambda m: 0.8, (50.0, 200.0))
    reading, counted = fit_fidelity(table), fit_fidelity(table, quantity="counted_vote")
    gone = table.with_columns(read=pl.when(pl.int_range(pl.len()) % 30 == 0).then(None).otherwise(pl.col("read")))
    unread = fit_fidelity(gone)
    told_apart({
        "reading fidelity at 50 tokens: gamma = ": (reading.summary(), unread.summary()),
        "counted-vote fidelity at 50 tokens: gamma = ": counted.summary(),
        " unreadable counted as guesses": unread.summary(),
    })  # fmt: skip
    assert "(300 trials on 300 tasks)" in reading.summary()
    one = fit_fidelity(table.filter(pl.col("m") == 50.0))
    few = fit_fidelity(trips(stream(3, "few"), 6, lambda m: 0.8, (50.0, 200.0)))
    told_apart({
        "curve refused: 1 length of messages; a curve needs at least 2": one.summary(),
        "; refused: the interval of gamma is wider than 0.5; measure more round trips": few.summary(),
    }, reading.summary())  # fmt: skip
    best = reading.candidates[0]
    far = CurveFit(best.curve, best.aic + 2.1, 1)
    near = CurveFit(best.curve, best.aic + 1.9, 1)
    open_, sure_ = (replace(reading, best=best, candidates=(best, other)).summary() for other in (near, far))
    told_apart({f"; not told apart from {best.curve.family}": open_}, sure_)


def test_the_law_of_the_leaf_is_told_or_refused() -> None:
    x = 256.0 * np.exp2(np.arange(6.0))
    good = fit_leaf_law(leaf_trials(stream(4, "leaf"), 2000, a=0.02, beta=0.3, x=x))
    narrow = fit_leaf_law(leaf_trials(stream(4, "leaf"), 50, a=0.02, beta=0.3, x=x[:2]))
    weak = fit_leaf_law(leaf_trials(stream(4, "leaf"), 30, a=0.001, beta=0.1, x=x))
    told_apart({
        "leaf law mu = a x^beta: a = ": good.summary(),
        "leaf law refused: 2 levels of compute; an exponent needs at least 4": narrow.summary(),
        "leaf law refused: compute spans a factor of 2; an exponent needs at least 16": narrow.summary(),
        "leaf law refused: the interval of beta, [": weak.summary(),
        "measure more tasks or a wider range of tokens": weak.summary(),
    })  # fmt: skip
    assert good.summary().startswith("leaf signal by tokens (")
    assert spread_refusals(x) == ()
    told_apart({
        "only 3 distinct tokens; an exponent needs at least 5": "; ".join(range_warnings([1, 10, 100], "tokens")),
        "tokens spans a factor of 5; an exponent needs at least 10":
            "; ".join(range_warnings([1, 2, 3, 4, 5], "tokens")),
    }, "; ".join(["", *range_warnings([1, 3, 5, 8, 10], "tokens")]))  # fmt: skip


# Siblings


def test_siblings_tell_rho_or_why_they_do_not() -> None:
    twice = planted("lock", tasks=60)
    once = twice.filter(pl.col("run") == "0")
    equal = twice.with_columns(correct=pl.lit(1.0))
    known, single, alike = (estimate_rho(table).summary() for table in (twice, once, equal))
    told_apart({
        "rho (within runs) = ": known,
        "rho refused: 0 tasks were run twice with siblings; rho needs at least ": single,
        "without replicates it cannot be told from difficulty": single,
        "rho refused: all votes are equal: their correlation is not defined": alike,
    })  # fmt: skip
    parts = replace(estimate_rho(once), between_variance=Estimate(0.1, 0.0, 0.2), one_run=True).summary()
    told_apart({
        "variance of signal between tasks = ": known,
        "variance of signal between tasks or runs (each task was run once) = ": parts,
    }, single)  # fmt: skip
    assert known.startswith("siblings: ")
    told_apart({": includes task difficulty, not for alpha": known}, alike)
    fit = estimate_rho(twice)
    told = replace(fit, run_variance=Estimate(0.1, 0.0, 0.2)).summary()
    told_apart({"variance of signal between runs of a task = ": told}, replace(fit, run_variance=None).summary())


# Runs and operating points


def test_two_agents_who_both_answer_by_themselves_tell_nothing_of_hearing(tmp_path: Path) -> None:
    """A planted message is heard; an answer that a reader may have found by itself is not."""
    [planted_] = relay_runs(base(12), [200])
    alike = {**planted_.scenario, "name": "alike", "agents": [planted_.scenario["agents"][1] | {"count": 2}]}
    own = replace(planted_, scenario=alike)
    hears, agrees = (sort_runs(execute([one], tmp_path)) for one in (planted_, own))
    told_apart({
        "each agent heard one other that answered by itself: agreement there is no hearing (plant the message)":
            "; ".join(agrees.ignored),
    }, "; ".join(hears.ignored))  # fmt: skip
    assert len(hears.relays) == 1
    counted = reader_in_place(hears.relays, test_phase_recommend.measured(nodes="tally"))
    assert counted is not None
    assert "; a node of 5 that asks a reader instead of counting: alpha = " in counted
    assert reader_in_place((), test_phase_recommend.measured(nodes="tally")) is None


def test_a_node_raises_keeps_or_lowers_a_signal() -> None:
    def said(above: float | None) -> str:
        limit = None if above is None else 0.6
        return OperatingPoint("temperature = 0.3", Estimate(0.4, 0.3, 0.5), 90, 120.0, above, limit).said()

    told_apart({
        "; a node raises it: 0.5 if tasks are equally hard (mu* = 0.6)": said(0.5),
        "; a node lowers it: 0.3 if tasks are equally hard (mu* = 0.6)": said(0.3),
        "; a node keeps it: 0.4 if tasks are equally hard (mu* = 0.6)": said(0.4),
    }, said(None))  # fmt: skip
    assert said(None).startswith("temperature = 0.3: signal ")
    assert said(None).endswith(" (90 trials, 120 tokens each)")


def test_tasks_without_one_number_of_answers_cannot_be_calibrated() -> None:
    def refused(*options: int, reads: bool = True) -> str:
        made = [SimpleNamespace(options=("x",) * n) for n in options]
        tasks = SimpleNamespace(count=len(made), make=lambda seed, index: made[index])
        asked: Any = SimpleNamespace(tasks=tasks, tasks_seed=0)
        with pytest.raises(InputError) as found:
            require_measurable(asked, reads=reads)
        return str(found.value)

    told_apart({
        "and of these tasks their answers are free": refused(0, 0),
        "1 of the first 2 have free answers": refused(0, 2),
        "they offer 2, 3 answers": refused(2, 3),
        "nodes that read votes are measured for two answers, and these tasks offer 3": refused(3, 3),
    })  # fmt: skip
    require_measurable(scenario(tasks={"kind": "signal", "count": 2}), reads=True)
