"""What a comparison says of a table of results: the sentence, the blocks, the notes, each at its borders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.errors import InputError
from agentsoc.log.comparison import CellRecord, ComparisonRecord
from agentsoc.log.first_answers import OneOption
from analysis.comparison.plan import plan_from_report
from analysis.comparison.report import Report, make_report, measured
from analysis.comparison.table import CeilingUse, Results
from analysis.comparison.text import notes, p_text, report_as_dict, report_as_text, verdict
from analysis.stats import Interval

SHAPE = dict.fromkeys(("score", "virtual_s", "wall_s", "consensus", "disagreement", "vote_entropy"), pl.Float64)
SHAPE |= dict.fromkeys(("voter_accuracy", "majority_correct", "information_gain", "redundancy"), pl.Float64)
SHAPE |= dict.fromkeys(("k_star", "cost", "message_density_broadcasts", "message_density_deliveries"), pl.Float64)


def of(
    organisation: str, n: int, scores: Sequence[float], *, tasks: str = "sums", seed: int = 0, **more: Any
) -> pl.DataFrame:
    """Return the rows of one run: a score for each task, a turn of 100 tokens for each agent, 1,000 tokens allowed."""
    spent = {"turns": n, "calls": n, "tokens": 100 * n, "broadcasts": n - 1, "deliveries": n - 1, "rounds": 1}
    counted = {"calls_failed": 0, "tokens_in": 90 * n, "tokens_cached": 0, "tokens_out": 10 * n, "events": n + 2}
    known: dict[str, Any] = {
        **spent, **counted, "budget": 1000, "charged": 100 * n, "budget_left": 1000 - 100 * n, "stop": "finished",
        "n_voters": n, "n_answers": 1, "answered": True, "answer": "1",
        "failed_infrastructure": 0, "failed_format": 0, "failed_model": 0, **more,
    }  # fmt: skip
    rows = [
        {
            "organisation": organisation,
            "n_agents": n,
            "tasks": tasks,
            "task": task,
            "seed": seed,
            "score": score,
            **known,
        }
        for task, score in enumerate(scores)
    ]
    frame = pl.DataFrame(rows, schema_overrides={"score": pl.Float64, "cost": pl.Float64})
    return frame.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in SHAPE.items() if name not in frame.columns
    )


def results(
    *frames: pl.DataFrame,
    baseline: str = "alone",
    counts: Mapping[tuple[str, int], int] | None = None,
    missing: Sequence[CellRecord] = (),
    same_tasks: bool = False,
    budgets: Mapping[str, int | None] | None = None,
    ceilings: Mapping[tuple[str, int], CeilingUse] | None = None,
    options: Mapping[tuple[str, int], OneOption] | None = None,
    **record: Any,
) -> Results:
    """Return the results of a comparison whose runs gave these rows."""
    columns = sorted(frames[0].columns) if frames else []
    table = pl.concat([frame.select(columns) for frame in frames]) if frames else pl.DataFrame()
    cells = [
        CellRecord(
            id=f"{name}-n{n}-{tasks}-s{seed}", organisation=name, n_agents=n, count=(counts or {}).get((name, n)),
            tasks=tasks, seed=seed, run="runs/x", scenario_hash="", status="finished",
        )
        for frame in frames
        for name, n, tasks, seed in [frame.select("organisation", "n_agents", "tasks", "seed").row(0)]
    ]  # fmt: skip
    cells += missing
    whole: dict[str, Any] = {
        "name": "by-hand", "asked": {}, "text_hash": "", "hash": "c0ffee" * 8, "matched": True, "baseline": baseline,
        "organisations": list(dict.fromkeys(cell.organisation for cell in cells)), "cells": cells,
    }  # fmt: skip
    made = ComparisonRecord(**{**whole, **record})
    return Results(
        Path("out"),
        made,
        table,
        tuple(missing),
        same_tasks,
        budgets or {"sums": 1000},
        ceilings or {},
        {},
        options or {},
    )


def lost(number: int, **more: Any) -> CellRecord:
    known = {"id": f"lost-{number}", "organisation": "alone", "n_agents": 1, "tasks": "sums", "seed": 90 + number}
    return CellRecord(**{**known, "run": "runs/y", "scenario_hash": "", "status": "failed", **more})


ALONE = [0.0] * 12 + [1.0] * 8
"""Twenty tasks, of which one agent does eight."""


def report(*frames: pl.DataFrame, **more: Any) -> Report:
    return _report(*frames, **more) if frames or more else _usual()


@cache
def _usual() -> Report:
    """Return the report of the usual four organisations, which many tests look at."""
    return _report()


def _report(*frames: pl.DataFrame, **more: Any) -> Report:
    chosen = frames or (
        of("alone", 1, ALONE),
        of("votes", 3, [1.0] * 20),
        of("talk", 5, [0.0] * 20),
        of("same", 2, ALONE),
    )
    return make_report(results(*chosen, **more), replicates=200)


# The sentence


def test_the_sentence_says_who_is_better_who_is_worse_and_of_whom_nothing_can_be_said() -> None:
    assert verdict(report()) == (
        f"Better than alone: votes by {text(report(), 'votes')}. Worse than alone: talk by {text(report(), 'talk')}. "
        "Cannot be told from alone with this much data: same."
    )
    assert text(report(), "votes").startswith("+0.600 [+0.")
    assert text(report(), "talk").startswith("-0.400 [-0.")
    turned = report(of("alone", 1, [1.0] * 20), of("votes", 3, ALONE), of("same", 1, [1.0] * 20))
    assert verdict(turned).startswith("Worse than alone: votes by -0.600 [-0.")
    assert verdict(turned).endswith("]. Cannot be told from alone with this much data: same.")


def text(found: Report, name: str) -> str:
    [row] = [row for block in found.blocks for row in block.found.rows if row.organisation == name]
    return row.difference.text(sign=True)


@pytest.mark.parametrize(("p", "said"), [(0.049, "Better"), (0.05, "Better"), (0.0501, "Cannot"), (1.0, "Cannot")])
def test_a_difference_is_stated_where_its_corrected_p_is_at_most_one_minus_the_level(p: float, said: str) -> None:
    found = report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20))
    [block] = found.blocks
    rows = tuple(replace(row, p=0.0, p_holm=p) for row in block.found.rows)
    changed = replace(found, blocks=(replace(block, found=replace(block.found, rows=rows)),))
    assert verdict(changed).startswith(said)
    strict = replace(block, found=replace(block.found, rows=rows, level=0.99))
    assert verdict(replace(found, blocks=(strict,))).startswith("Cannot")


def test_the_sentence_says_where_an_idle_ceiling_refused_turns() -> None:
    """It ended tasks of which it paid for less than half, so it is part of what was compared."""
    stopped = of("votes", 3, [1.0] * 20, stop="budget_exhausted", tokens=300, charged=300)
    use = {("votes", 3): CeilingUse(refused=40)}
    said = verdict(report(of("alone", 1, ALONE), stopped, ceilings=use))
    assert said.endswith(
        "But the ceiling decided part of this: it refused 40 turns of votes and ended 20 of 20 tasks with more than "
        "half of it unspent."
    )
    full = of("votes", 3, [1.0] * 20, stop="budget_exhausted", tokens=501, charged=501)
    assert "ceiling" not in verdict(report(of("alone", 1, ALONE), full, ceilings=use))
    shares = of("votes", 3, [1.0] * 20)
    said = verdict(report(of("alone", 1, ALONE), shares, ceilings={("votes", 3): CeilingUse(refused=1)}))
    assert said.endswith("it refused 1 turn of votes while 70 % of it was unspent.")
    assert "ceiling" not in verdict(report(of("alone", 1, ALONE), stopped))


def test_wide_bounds_of_prompts_are_told() -> None:
    wide = {("votes", 3): CeilingUse(prompts={"bytes": (2_644, 46), "exact": (50, 50)})}
    found = notes(report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20), ceilings=wide))
    [said] = [text for text in found if text.startswith("votes: prompts")]
    assert said == (
        "votes: prompts reserved 2,644 tokens (a token for each byte) and had 46: the bound was 57.5 times what calls "
        "then used, and a tokenizer would narrow it"
    )
    narrow = {("votes", 3): CeilingUse(prompts={"bytes": (92, 46)})}
    found = notes(report(of("alone", 1, ALONE), of("votes", 3, [1.0] * 20), ceilings=narrow))
    assert not any("prompts reserved" in text for text in found)


def test_the_sentence_stands_in_the_text_and_in_the_json() -> None:
    found = report()
    assert report_as_dict(found)["verdict"] == verdict(found)
    assert report_as_dict(found)["format"] == 1
    assert notes(found)[-1] == "comparison c0ffeec0ffeec0ff; digests of all 4 runs are in report.json"
    flat = " ".join(report_as_text(found).split())
    assert f"result {verdict(found)}" in flat
    assert "comparison by-hand: 4 organisations, baseline alone tasks 20 of sums; new tasks for every seed" in flat


# Blocks


def test_every_organisation_is_in_the_one_block_of_a_baseline_of_one_size() -> None:
    found = report()
    [block] = found.blocks
    assert (block.count, found.n_tests, block.by_tasks) == (None, 3, {})
    assert [row.organisation for row in found.rows()] == ["alone", "votes", "talk", "same"]
    assert [row.organisation for row in block.rows] == ["alone", "votes", "talk", "same"]


SIZES = {("votes", 3): 3, ("votes", 5): 5, ("talk", 3): 3, ("talk", 5): 5}


def sized(**more: Any) -> Report:
    """Return a comparison with two sizes of baseline; the wider talk is better, the single agent fixes its size."""
    frames = [
        of("votes", 3, ALONE), of("votes", 5, ALONE), of("talk", 3, ALONE),
        of("talk", 5, [1.0] * 20), of("alone", 1, [0.0, 1.0] * 10),
    ]  # fmt: skip
    return make_report(results(*frames, baseline="votes", counts=SIZES, **more), replicates=200)


def test_each_size_of_the_baseline_is_compared_with_its_like_and_with_those_of_one_size() -> None:
    found = sized()
    assert [(block.count, block.found.baseline.organisation) for block in found.blocks] == [
        (3, "votes n=3"), (5, "votes n=5")
    ]  # fmt: skip
    assert [[row.organisation for row in block.found.rows] for block in found.blocks] == [
        ["talk n=3", "alone"], ["talk n=5", "alone"]
    ]  # fmt: skip
    assert [row.organisation for row in found.rows()] == ["votes n=3", "votes n=5", "talk n=3", "talk n=5", "alone"]
    said = verdict(found)
    assert said.startswith("Better than votes: talk n=5 (at n=5) by +0.600 [")
    assert said.endswith("with this much data: talk n=3 (at n=3), alone (at n=3), alone (at n=5).")
    titles = [line for line in report_as_text(found).splitlines() if line.startswith("Scores")]
    assert titles == ["Scores at n=3", "Scores at n=5"]


def test_a_baseline_of_one_size_is_compared_with_every_size_of_the_others() -> None:
    frames = [of("alone", 1, ALONE), of("votes", 3, ALONE), of("votes", 5, ALONE)]
    [block] = make_report(results(*frames, counts=SIZES), replicates=200).blocks
    assert block.count is None
    assert [row.organisation for row in block.found.rows] == ["votes n=3", "votes n=5"]


def test_p_values_are_corrected_over_all_blocks() -> None:
    """Four comparisons: the smallest p is multiplied by four, not by the two of its own block."""
    found = sized()
    assert found.n_tests == 4
    [best] = [row for block in found.blocks for row in block.found.rows if row.organisation == "talk n=5"]
    assert best.p_holm == pytest.approx(4 * best.p)
    assert "corrected by Holm for 4 comparisons" in " ".join(notes(found))


def test_blocks_of_tasks_are_compared_each_alone_and_without_p_values() -> None:
    frames = [
        of("alone", 1, ALONE), of("votes", 3, ALONE),
        of("alone", 1, ALONE, tasks="words"), of("votes", 3, [1.0] * 20, tasks="words"),
    ]  # fmt: skip
    [block] = report(*frames).blocks
    assert {name: found.rows[0].difference.value for name, found in block.by_tasks.items()} == {
        "sums": 0.0, "words": pytest.approx(0.6)
    }  # fmt: skip
    assert block.found.rows[0].difference.value == pytest.approx(0.3)
    text = report_as_text(report(*frames))
    lines = text[text.index("Differences to alone by tasks\n") :].splitlines()
    assert [row.split()[0] for row in lines[1:4]] == ["organisation", "alone", "votes"]
    assert lines[2].split()[1:3] == ["score", "0.400"]
    differences = [found.rows[0].difference.text(sign=True) for found in block.by_tasks.values()]
    assert lines[3].split() == ["votes", *" ".join(differences).split()]
    assert "Differences" not in report_as_text(report())
    [without] = report(*frames[:3]).blocks  # no votes on words
    assert list(without.by_tasks) == ["sums"]
    some = report(*frames, of("talk", 5, ALONE))
    assert [row for row in report_as_text(some).splitlines() if row.split()[:1] == ["talk"]][-1].split()[-1] == "-"


def test_without_a_baseline_or_anybody_else_there_is_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="no run of the baseline nobody is finished"):
        report(of("alone", 1, ALONE), of("votes", 3, ALONE), baseline="nobody")
    with pytest.raises(InputError, match="no run of the baseline"):
        make_report(results(missing=[lost(1)]))
    with pytest.raises(InputError, match="only one organisation has finished runs"):
        report(of("alone", 1, ALONE))
    with pytest.raises(InputError, match="only one organisation has finished runs"):
        report(of("alone", 1, ALONE), missing=[lost(1, organisation="votes", n_agents=3)])


def test_a_size_of_the_baseline_with_nobody_to_compare_is_left_out() -> None:
    frames = [of("votes", 3, ALONE), of("votes", 5, ALONE), of("talk", 5, [1.0] * 20)]
    found = make_report(results(*frames, baseline="votes", counts=SIZES), replicates=200)
    assert [block.count for block in found.blocks] == [5]


# What things cost, and relative to whom


def test_overhead_is_relative_to_one_agent_first_of_the_baseline_else_to_the_baseline() -> None:
    votes, talk, alone, other = (
        of("votes", 3, ALONE),
        of("talk", 5, ALONE),
        of("alone", 1, ALONE),
        of("other", 1, ALONE),
    )
    assert report(votes, talk, alone, baseline="votes").reference == "alone"
    assert report(other, votes, alone).reference == "alone"
    assert report(other, votes, alone, baseline="votes").reference == "other"
    nobody = report(votes, talk, baseline="votes")
    assert nobody.reference == "votes"
    assert "relative to votes, because no organisation is a single agent; overhead counts turns" in " ".join(
        notes(nobody)
    )
    assert "efficiency are relative to alone; overhead counts turns" in " ".join(notes(report()))
    overhead = measured(report(), "talk", "overhead_turns")
    assert overhead is not None
    assert overhead.value == pytest.approx(400.0)


def test_money_is_told_only_where_every_task_of_an_organisation_has_its_cost() -> None:
    priced = of("votes", 3, ALONE, cost=0.25)
    partly = of("talk", 5, ALONE).with_columns(cost=pl.when(pl.col("task") > 0).then(0.5))
    found = report(of("alone", 1, ALONE), priced, partly)
    assert list(found.costs) == ["votes"]
    cost = measured(found, "votes", "cost")
    assert cost is not None
    assert (cost.value, cost.low, cost.high) == (0.25, found.costs["votes"].low, found.costs["votes"].high)
    tokens = measured(found, "votes", "tokens")
    assert tokens is not None
    assert tokens.value == 300
    assert "cost/1k tasks" in report_as_text(found)
    assert "250" in report_as_text(found)
    assert "cost/1k tasks" not in report_as_text(report())


def test_what_was_spent_stands_in_the_table_as_it_was() -> None:
    lines = report_as_text(report()).splitlines()
    start = lines.index("Per task: what was spent, and how it was coordinated")
    titles, talk = lines[start + 1].split(), next(row for row in lines[start:] if row.split()[:1] == ["talk"]).split()
    assert titles[:3] == ["organisation", "tokens/task", "left"]
    assert talk[:3] == ["talk", "500", "500"]
    assert {"turns", "messages", "delivered"} <= set(titles)
    assert "redundancy" not in titles  # nothing is known of it


def test_tasks_that_recur_with_several_seeds_count_once_in_what_they_cost() -> None:
    frames = [
        of("alone", 1, ALONE, seed=1), of("alone", 1, ALONE, seed=2),
        of("votes", 3, ALONE, seed=1), of("votes", 3, ALONE, seed=2, tokens=500),
    ]  # fmt: skip
    for same, n_tasks in ((True, 20), (False, 40)):
        found = report(*frames, same_tasks=same)
        assert found.metrics["votes"].n_tasks == n_tasks
        tokens = measured(found, "votes", "tokens")
        assert tokens is not None
        assert tokens.value == 400
        drawn = "the same tasks for all seeds" if same else "new tasks for every seed"
        assert f"20 of sums; {drawn}" in report_as_text(found)
        assert f"resample {n_tasks} tasks" in " ".join(notes(found))
    assert measured(report(), "nobody", "tokens") is None


# Notes


def test_an_ended_budget_is_told_with_its_number_of_episodes() -> None:
    ended = of("votes", 3, ALONE).with_columns(
        stop=pl.when(pl.col("task") < 7).then(pl.lit("budget_exhausted")).otherwise(pl.col("stop"))
    )
    found = report(of("alone", 1, ALONE), ended)
    told = [text for text in notes(found) if "the budget ended" in text]
    assert told == ["votes: the budget ended 7 of 20 episodes before the protocol was done"]
    assert report_as_dict(found)["stops"] == {
        "alone": {"finished": 20}, "votes": {"budget_exhausted": 7, "finished": 13}
    }  # fmt: skip


def test_every_method_of_an_interval_is_named() -> None:
    """Where nearly all tasks come out alike, pseudo-tasks stand for what was not seen; else tasks are resampled."""
    alone, rare = [0.0, 0.5] * 20, [0.0, 0.5] * 19 + [0.5, 0.5]
    often = [0.5, 0.0] * 9 + [0.0, 0.5] * 11
    found = report(of("alone", 1, alone), of("rare", 3, rare), of("often", 3, often))
    methods = [row.difference.method for row in found.blocks[0].found.rows]
    assert len(set(methods)) == 2
    assert f"difference: {methods[0]} or {methods[1]}" in " ".join(notes(found))
    alike = report(of("alone", 1, alone), of("often", 3, often))
    assert notes(alike)[0].endswith(f"mean: {methods[1]}, difference: {methods[1]}")


def test_what_makes_a_comparison_rough_is_told_once() -> None:
    few = "only 15 tasks: intervals are rough below 20"
    frames = [of(name, n, ALONE[:15]) for name, n in SIZES] + [of("alone", 1, ALONE[:15])]
    assert notes(make_report(results(*frames, baseline="votes", counts=SIZES), replicates=200)).count(few) == 1
    assert not any("intervals are rough" in text for text in notes(report()))
    uneven = notes(report(of("alone", 1, ALONE), of("votes", 3, [*ALONE, 1.0])))
    assert sum(text.startswith("1 rows of votes or alone have no score on the other side") for text in uneven) == 1


@pytest.mark.parametrize(("left", "told"), [(501, True), (499, False)])
def test_who_leaves_more_than_half_of_the_budget_is_told_what_that_means(left: int, told: bool) -> None:
    spent: dict[str, Any] = {"charged": 1000 - left, "budget_left": left, "tokens": 1000 - left}
    found = " ".join(notes(report(of("alone", 1, ALONE, **spent), of("votes", 3, ALONE, **spent))))
    assert f"left unspent of the budget: alone {left / 10:.1f} %, votes {left / 10:.1f} %" in found
    assert ("was not stopped by it" in found) is told


def test_one_who_leaves_most_of_it_is_enough() -> None:
    spent: dict[str, Any] = {"charged": 900, "budget_left": 100, "tokens": 900}
    assert any(
        "was not stopped by it" in text for text in notes(report(of("alone", 1, ALONE), of("votes", 3, ALONE, **spent)))
    )


def test_a_comparison_without_a_common_ceiling_or_made_larger_says_so() -> None:
    plain = " ".join(notes(report()))
    assert "no common ceiling" not in plain
    assert "made larger" not in plain
    loose = report(matched=False)
    assert any("no common ceiling" in text for text in notes(loose))
    assert "not the same for all: not a matched comparison" in report_as_text(loose)
    assert "none: what is compared is not matched" in report_as_text(report(matched=False, budgets={"sums": None}))
    partly = report(matched=False, budgets={"sums": None, "words": 100})
    assert "not the same for all" in report_as_text(partly)
    assert any("the p values are too small" in text for text in notes(report(earlier=["ab"])))


def test_budgets_are_named_by_their_tasks_where_there_are_several() -> None:
    assert "budget      1,000 tokens a task, the same for all" in report_as_text(report())
    assert "1,000 tokens a task (sums); 50 tokens a task (words), the same for all" in report_as_text(
        report(budgets={"sums": 1000, "words": 50})
    )
    three = report_as_text(report(budgets={"sums": 1000, "words": None, "games": 50}))
    assert "1,000 tokens a task (sums); limits other than tokens; 50 tokens a task (games), the same for all" in three


def test_the_first_eight_missing_runs_are_named_and_the_others_counted() -> None:
    def told(n: int) -> list[str]:
        missing = [lost(k, error="it broke\nhere") for k in range(n)]
        frames = (of("alone", 1, ALONE), of("votes", 3, ALONE))
        return [text for text in notes(report(*frames, missing=missing)) if text.startswith("missing")]

    assert told(0) == []
    assert told(8) == [f"missing: lost-{k} (failed): it broke" for k in range(8)]
    assert told(10) == [*told(8), "missing: 2 more runs, see comparison.json"]
    waiting = report(of("alone", 1, ALONE), of("votes", 3, ALONE), missing=[lost(0, status="waiting")])
    assert "missing: lost-0 (waiting)" in notes(waiting)
    assert report_as_dict(waiting)["missing"] == ["lost-0"]


def test_pairs_and_tasks_are_a_range_where_organisations_differ() -> None:
    frames = (of("alone", 1, ALONE), of("votes", 3, ALONE[:15]), of("talk", 5, ALONE))
    first = notes(report(*frames))[0]
    assert first.startswith(
        "pairs: 15 to 20 (same task, same seed); intervals and tests resample 15 to 20 tasks, 200 samples"
    )
    assert notes(report())[0].startswith(
        "pairs: 20 (same task, same seed); intervals and tests resample 20 tasks, 200 samples, seed 0;"
    )


@pytest.mark.parametrize(
    ("seeds", "said"), [((4,), "1: 4"), ((1, 2), "2: 1, 2"), ((1, 2, 3), "3: 1 to 3"), ((1, 2, 4), "3: 1, 2, 4")]
)
def test_seeds_are_a_range_where_they_follow_each_other(seeds: tuple[int, ...], said: str) -> None:
    frames = [of(name, n, ALONE, seed=seed) for name, n in (("alone", 1), ("votes", 3)) for seed in seeds]
    assert f"seeds       {said}\n" in report_as_text(report(*frames))


def test_more_than_twelve_seeds_are_cut() -> None:
    for n, end in ((12, "22\n"), (13, "22...\n")):
        seeds = [2 * k for k in range(n)]
        frames = [of(name, a, ALONE[:2], seed=seed) for name, a in (("alone", 1), ("votes", 3)) for seed in seeds]
        assert f"seeds       {n}: 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, {end}" in report_as_text(report(*frames))


def test_notes_say_where_not_even_the_largest_difference_could_be_found() -> None:
    said = "(-: not even the largest possible one)"
    assert not any(said in note for note in notes(report()))
    three = report(of("alone", 1, [0.0, 1.0, 0.0]), of("votes", 3, [1.0, 1.0, 0.0]))
    assert any(said in note for note in notes(three))
    assert three.blocks[0].found.rows[0].detectable is None


def test_a_plan_from_runs_has_a_row_for_each_organisation_and_size() -> None:
    found = plan_from_report(report())
    assert [row.n_tasks for row in found.rows if row.what == "votes"] == [20, 50, 100, 200, 500, 1000]
    assert {row.what for row in found.rows} == {"votes", "talk", "same"}
    assert (found.comparisons, found.alpha, found.effect) == (3, 0.05 / 3, 0.05)
    same = [row for row in found.rows if row.what == "same"]
    assert all(a.power[-1] <= b.power[-1] + 1e-5 for a, b in pairwise(same))
    now = report().blocks[0].found.row("same")
    assert (same[0].detectable, same[0].tasks_needed) == (now.detectable, now.tasks_needed)
    text = found.summary()
    assert "tasks vary as in the runs that were made" in text
    assert "no run says yet" not in text
    assert "so few tasks find not even" not in text
    assert json.loads(json.dumps(found.as_dict()))["rows"][0]["power"].keys() == {"0.02", "0.05", "0.1", "0.2"}
    few = plan_from_report(report(of("alone", 1, [0.0, 1.0, 0.0]), of("votes", 3, [1.0, 1.0, 0.0])), effect=0.3)
    assert "so few tasks find not even the largest possible difference" in few.summary()
    assert few.differences == (0.02, 0.05, 0.1, 0.2, 0.3)


def test_a_p_value_has_three_decimals_or_one_figure() -> None:
    said = ["0.500", "0.012", "0.001", "1e-03", "1e-09", "<1e-09"]
    assert [p_text(p) for p in (0.5, 0.0123, 0.001, 0.00099, 1e-9, 1e-12)] == said


def test_the_row_of_an_organisation_holds_its_figures_in_their_columns() -> None:
    found = report()
    [line] = [line for line in report_as_text(found).splitlines() if line.split()[:1] == ["votes"]][:1]
    row = found.blocks[0].found.rows[0]
    assert isinstance(row.mean, Interval)
    assert line.split() == [
        "votes", *row.mean.text().split(), *row.difference.text(sign=True).split(),
        f"{row.d.value:+.3f}" if row.d else "-", "12/8/0", p_text(row.p_holm),
        f"{row.detectable:.3f}", f"{row.tasks_needed:,}",
    ]  # fmt: skip
    one = report(of("alone", 1, [0.0]), of("votes", 3, [1.0]))
    [line] = [line for line in report_as_text(one).splitlines() if line.split()[:1] == ["votes"]][:1]
    assert line.split()[-5:] == ["-", "1/0/0", "1.000", "-", "-"]
