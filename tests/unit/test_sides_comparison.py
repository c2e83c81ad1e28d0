"""Both sides of what `compare` prints: data on which each sentence has to stand, and data on which it must not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agentsoc.engine.run import run
from agentsoc.log.manifest import load_manifest
from analysis.comparison.plan import PlanRow, PowerPlan
from analysis.comparison.report import Report, make_report
from analysis.comparison.table import CeilingUse, _read_run
from analysis.comparison.text import notes, report_as_text
from analysis.comparison.verdict import verdict
from analysis.comparison.write import write_report
from analysis.measures.failures import failed_text
from analysis.stats.bootstrap import columns_for, interval_from
from analysis.stats.clusters import sums_by_task
from analysis.stats.margins import WithinMargin
from analysis.stats.pooled import random_effects
from tests.sides import told_apart
from tests.strategies import scenario
from tests.unit.test_comparison_design import equal_with_lost, graded, looked, two, with_lost
from tests.unit.test_comparison_report import ALONE, lost, of, report, results, sized


@cache
def usual() -> Report:
    """Return a comparison of four on twenty tasks."""
    return report()


def told(found: Report) -> str:
    return " | ".join(notes(found))


# The sentence


def broken(failed: int, *, turns: int = 3) -> pl.DataFrame:
    """Return rows of votes with so many failed turns in each episode."""
    return of("votes", 3, [1.0] * 20, failed_infrastructure=failed, turns=turns)


def test_what_can_be_compared_and_what_cannot_is_told_apart() -> None:
    plain, none = report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20)), report(of("alone", 1, ALONE), broken(2))
    gone = [lost(1, organisation="talk", n_agents=5, error="no route to host")]
    unmade = report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20), missing=gone)
    told_apart({
        "Better than alone: votes by +0.600": (verdict(plain), verdict(unmade)),
        "ot comparable: votes: 40 of 60 turns failed": verdict(none),
        "There is no difference to tell": verdict(none),
        "ot comparable: talk: no run is finished: no route to host": verdict(unmade),
    })  # fmt: skip
    told_apart({
        "votes is not comparable: 40 of 60 turns failed; make its failed turns again with agentsoc compare DIR":
            told(none),
        "or compare the episodes without failures with --accept-failures": told(none),
        "talk is not comparable: no run is finished: no route to host; agentsoc compare DIR makes its runs again":
            told(unmade),
        "p: sign-flip test over tasks (": (told(plain), told(unmade)),
        "an interval leaves 0 out exactly where its p, before correction, is at most 0.05; d is told from":
            (told(plain), told(unmade)),
        '"could find" is the smallest true difference that this many tasks and seeds find in 4 of 5 comparisons':
            (told(plain), told(unmade)),
        "; the last column is how many tasks a true difference of 0.05 needs for that": (told(plain), told(unmade)),
        "(same task, same seed); intervals and tests resample": (told(plain), told(unmade)),
    })  # fmt: skip


def test_ceilings_that_refuse_with_most_of_the_budget_left_are_part_of_the_result() -> None:
    spent: dict[str, Any] = {"tokens": 300, "charged": 300}
    use = {("votes", 3): CeilingUse(refused=40)}
    frames = [of("alone", 1, ALONE), of("votes", 3, [1.0] * 20, stop="budget_exhausted", **spent)]
    idle, free = report(*frames, ceilings=use), report(*frames)
    goes_on = report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20, **spent), ceilings=use)
    told_apart({
        "But the ceiling decided part of this: it refused 40 turns of votes and ended 20 of 20 tasks": verdict(idle),
        " with more than half of it unspent": verdict(idle),
        "it refused 40 turns of votes while 70 % of it was unspent": verdict(goes_on),
    }, verdict(free))  # fmt: skip


def test_verdicts_over_lost_runs_stand_or_hang_on_them() -> None:
    one, most, none, equal = with_lost(1), with_lost(4), with_lost(0), equal_with_lost(3)
    told_apart({
        "Different from alone only if what was lost in failed runs is like the rest: votes, ": verdict(most),
        "Better than alone: votes by": (verdict(one), verdict(none)),
    })  # fmt: skip
    told_apart({
        "; the verdict holds at both ends": told(one),
        "; the verdict does not hold at both ends": told(most),
        " counted as all wrong and all right: the difference of votes to alone lies between ": (told(one), told(most)),
    }, told(none))  # fmt: skip
    told_apart({" only if what was lost in failed runs is like the rest": verdict(equal)}, verdict(equal_with_lost(0)))


def test_an_organisation_is_better_worse_or_not_told_apart() -> None:
    up, down, same = (
        verdict(report(of("alone", 1, ALONE), of("votes", 3, score))) for score in ([1.0] * 20, [0.0] * 20, ALONE)
    )
    told_apart({
        "Better than alone: votes by": up,
        "Worse than alone: votes by": down,
        "Cannot be told from alone with this much data: votes": same,
    })  # fmt: skip


def test_margins_have_a_word_for_each_result() -> None:
    def words(not_worse: float, equivalent: float) -> str:
        one = WithinMargin("twin", 0.1, not_worse, equivalent, "Tango's score", 0.95, not_worse, equivalent)
        return f"[{one.verdict}] {one.words('alone')}"

    told_apart({
        "[equivalent] equivalent to alone within 0.1": words(0.05, 0.05),
        "[not worse] not worse than alone by more than 0.1": words(0.05, 0.0501),
        "[undecided] undecided: neither equivalent to alone within 0.1 nor not worse by more is shown":
            words(0.0501, 0.0501),
    })  # fmt: skip
    frames = [of("alone", 1, ALONE * 10), of("twin", 2, ALONE * 10)]
    asked, plain = report(*frames, asked={"margin": 0.1}), report(*frames)
    told_apart({
        "within 0.1: two one-sided tests of size 0.05 (Tango's score), corrected by Holm; ": told(asked),
        "chosen before the results are seen": told(asked),
    }, told(plain))  # fmt: skip


def test_looks_say_what_they_may_decide(tmp_path: Path) -> None:
    first = looked(tmp_path, 1)
    write_report(first)
    second = looked(tmp_path, 3)
    write_report(second)
    third = looked(tmp_path, 4, better=0.0)
    plain = report(of("alone", 1, ALONE), of("votes", 3, ALONE), earlier=["x"])
    told_apart({
        "look 1 of 2 planned (alpha spending by Lan and DeMets, O'Brien-Fleming type): differences are told at p <=":
            told(first),
        "; intervals are those of a single look": (told(first), told(second)),
        "look 2 of 2 planned": told(second),
        "look 3 of a comparison planned for 2: alpha is spent, so this look decides nothing that": told(third),
        "this comparison was made larger after runs had been there; if it was because of what they showed": told(plain),
    })  # fmt: skip


def test_repeated_tasks_and_blocks_of_tasks_have_their_notes() -> None:
    again = [of(name, n, score, seed=seed) for seed in range(3) for name, n, score in two()]
    repeated, apart = (told(report(*again, same_tasks=same)) for same in (True, False))
    told_apart({
        "seeds repeat the same tasks: ": repeated,
        "60 episodes of alone are worth 20 independent ones": repeated,
    }, apart)  # fmt: skip
    same, other = random_effects([0.3, 0.31, 0.29], [0.05] * 3), random_effects([0.3, -0.3, 0.1], [0.05] * 3)
    told_apart({
        "beyond these models a difference: ": same.summary("models"),
        "beyond these models no difference is shown: ": other.summary("models"),
    })  # fmt: skip
    assert same.summary("models").startswith("for these 3 models +0.300 [")
    frames = [
        of(name, n, score, tasks=tasks) for tasks in ("easy", "hard") for name, n, score in two()
    ]  # fmt: skip
    blocks, one = report(*frames), report(*(of(*part) for part in two()))
    more = report(*frames, *(of("talk", 5, ALONE, tasks=tasks) for tasks in ("easy", "hard")))
    told_apart({
        "votes against alone over blocks of tasks: for these 2 blocks of tasks": (told(blocks), told(more)),
        "one more of them [": (told(blocks), told(more)),
        "; not corrected for the number of organisations": told(more),
    }, told(one))  # fmt: skip
    told_apart({"Differences to alone by tasks": report_as_text(blocks)}, report_as_text(one))


def test_small_graded_differences_are_at_the_mercy_of_rare_tasks() -> None:
    small, large = told(graded(40, 0.01)), told(graded(40, 0.2))
    told_apart(
        {"which comes out wholly the other way would outweigh it, and 40 tasks may hold none of that": small}, large
    )


# Notes


def test_notes_stand_where_what_they_tell_is_so() -> None:
    plain = told(usual())
    nobody = told(report(of("votes", 3, ALONE), of("talk", 5, ALONE), baseline="votes"))
    told_apart({
        "overhead and efficiency are relative to alone; overhead counts turns": plain,
        "overhead and efficiency are relative to votes, because no organisation is a single agent; overhead": nobody,
    })  # fmt: skip
    ended = of("votes", 3, ALONE, stop="budget_exhausted")
    told_apart({
        "votes: the budget ended 20 of 20 episodes before the protocol was done":
            told(report(of("alone", 1, ALONE), ended)),
        "(-: not even the largest possible one)":
            told(report(of("alone", 1, ALONE[10:15]), of("votes", 3, ALONE[11:16]))),
        "missing: 2 more runs, see comparison.json": told(report(missing=[lost(k) for k in range(10)])),
    }, plain)  # fmt: skip
    free: dict[str, Any] = {"budget": None, "budget_left": None}
    loose = told(report(of("alone", 1, ALONE, **free), of("votes", 3, ALONE, **free)))
    told_apart({"left unspent of the budget: ": plain}, loose)
    assert "comparison c0ffeec0ffeec0ff; digests of all 4 runs are in report.json" in plain
    fifteen = told(report(of("alone", 1, ALONE[:15]), of("votes", 3, ALONE[:15])))
    uneven = told(report(of("alone", 1, ALONE), of("votes", 3, [*ALONE, 1.0])))
    told_apart({
        "only 15 tasks: intervals are rough below 20": fifteen,
        "1 rows of votes or alone have no score on the other side and are left out of their difference": uneven,
        "; if the failures are no accident, neither is the difference": uneven,
    }, plain)  # fmt: skip


def test_accepted_failures_are_bounded() -> None:
    half = of("votes", 3, [1.0] * 20).with_columns(failed_infrastructure=pl.col("task") % 2)
    accepted = make_report(results(of("alone", 1, ALONE), half), replicates=200, accept_failures=True)
    all_ = of("votes", 3, [1.0] * 20, failed_infrastructure=1)
    none = make_report(results(of("alone", 1, ALONE), all_), replicates=200, accept_failures=True)
    told_apart({
        "votes: 10 of 20 ": told(accepted),
        "episodes hold turns that failed by the infrastructure and are left out": (told(accepted), told(none)),
        "as all wrong and all right its score is 0.500 and 1.000": told(accepted),
        ", and its difference to alone between ": told(accepted),
        "votes: 20 of 20 episodes hold turns that failed by the infrastructure": told(none),
        "votes is not comparable: no episode is whole": told(none),
    }, told(usual()))  # fmt: skip
    at_base = of("alone", 1, ALONE).with_columns(failed_infrastructure=pl.col("task") % 2)
    own = make_report(results(at_base, of("votes", 3, ALONE)), replicates=200, accept_failures=True)
    told_apart({", and its difference to ": told(accepted)}, told(own))
    failed = failed_text(all_)
    told_apart({"failed turns: ": failed or ""}, failed_text(of("votes", 3, ALONE)) or "none")


def test_sizes_have_a_table_each() -> None:
    told_apart(
        {"Scores at n=3": report_as_text(sized()), "Scores at n=5": report_as_text(sized())}, report_as_text(report())
    )


# Plans


def test_a_plan_says_what_it_rests_on_and_what_it_cannot_find() -> None:
    row = PlanRow("votes", 20, (0.1, 0.5), 0.2, 300)
    before = PowerPlan("x", False, (0.05, 0.1), 0.05, 0.05 / 3, 3, (row,))
    made, few = replace(before, from_runs=True), replace(before, comparisons=1, rows=(replace(row, detectable=None),))
    told_apart({
        "tasks vary as in the runs that were made, and each has as many seeds": made.summary(),
        "no run says yet how much tasks vary: right-or-wrong answers are assumed, one row a task":
            (before.summary(), few.summary()),
        '"told apart" is the share of tasks that one organisation gets right and the other wrong though neither':
            (before.summary(), few.summary()),
        '"-" under "could find": so few tasks find not even the largest possible difference': few.summary(),
        "probability of finding a true difference of the score at 5% false alarms over 1 comparison\n": few.summary(),
        "x: probability of finding a true difference of the score at 5% false alarms over 3 comparisons":
            (made.summary(), before.summary()),
    })  # fmt: skip
    for plan in (made, before, few):
        assert (
            '"could find" is the smallest true difference found in 4 of 5 comparisons; the last column is how many'
            in (plan.summary())
        )


# How intervals and tests were made


def test_the_method_of_each_interval_is_the_one_that_was_used() -> None:
    def method(base: list[float], other: list[float], *, seeds: int = 1) -> str:
        pairs = (("alone", 1, base), ("votes", 3, other))
        frames = [of(name, n, score, seed=seed) for name, n, score in pairs for seed in range(seeds)]
        found = report(*frames, same_tasks=seeds > 1)
        [row] = found.blocks[0].found.rows
        return f"{row.difference.method}; {row.test}; {'' if row.odds_ratio is None else row.odds_ratio.method}"

    rng = np.random.default_rng(1)
    graded_, other = list(rng.random(60)), list(rng.random(60))
    right, graded_rows = method(ALONE, [1.0] * 20), method(graded_, other)
    rare = method([0.25] * 60, [*[0.25] * 58, 0.75, 0.5])
    told_apart({
        "Tango's score": right,
        "; exact; ": (right, rare),
        "Clopper-Pearson among pairs that differ": right,
        "bootstrap over tasks": graded_rows,
        "; random swaps; ": graded_rows,
        "Student's t with pseudo-tasks": rare,
    })  # fmt: skip
    again = method(ALONE, [1.0] * 20, seeds=2)
    told_apart({"bootstrap over tasks, percentiles": again}, right, rare)


def test_intervals_of_values_without_bounds_say_what_they_rest_on() -> None:
    def method(values: list[float], **kind: Any) -> str:
        sums = sums_by_task(np.array(values), np.arange(len(values)), len(values))
        drawn = np.random.default_rng(0).normal(size=(200, columns_for(sums, kind["kind"]).shape[1]))
        return interval_from(sums, None, kind["kind"], np.abs(drawn), level=0.95).method

    told_apart({
        "one task: nothing is known of the others": method([1.0], kind="studentised"),
        "no spread between tasks": method([1.0] * 9, kind="studentised"),
        "bootstrap over tasks, studentised": method([1.0, 2.0, 5.0], kind="studentised"),
        "bootstrap over tasks, expanded": method([1.0, 2.0, 5.0], kind="expanded"),
    })  # fmt: skip


def test_a_run_that_is_not_the_one_that_was_finished_is_missing(tmp_path: Path) -> None:
    run(scenario(tasks={"kind": "signal", "count": 2}), tmp_path / "r")
    kept = load_manifest(tmp_path / "r").scenario_hash
    cell = lost(0, status="finished", scenario_hash=kept)
    own, other = (
        _read_run(tmp_path / "r", one).fault for one in (cell, cell.model_copy(update={"scenario_hash": "x"}))
    )
    told_apart({"the run is not the one that was finished here": f"missing: {other}"}, f"missing: {own}")


def test_tokens_that_few_tasks_took_are_doubted() -> None:
    """Of twenty tasks one takes three times as many tokens as all others together, or four times as many as another."""

    def told_of(most: int) -> str:
        heavy = pl.when(pl.col("task") == 0).then(most * 300).otherwise(300).cast(pl.Int64)
        return told(report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20).with_columns(tokens=heavy)))

    told_apart({
        "votes: few tasks took most of the tokens (one of 20 took 75%), so tokens a task and what is made": told_of(57),
        " of them may lie far outside their intervals": told_of(57),
    }, told_of(4))  # fmt: skip
