"""What a comparison says of margins, lost runs, looks and task blocks: each sentence where it belongs, only there."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.errors import InputError, LogDamagedError
from analysis.comparison.estimates import COLUMNS, estimates
from analysis.comparison.looks import look_again, read_looks
from analysis.comparison.report import Report, make_report
from analysis.comparison.text import notes, report_as_dict, report_as_text, verdict
from analysis.comparison.write import write_report
from analysis.stats.looks import look_levels, spent
from analysis.stats.margins import within_margin
from analysis.stats.permutation import most_swaps, sign_flip_p, smaller_p
from analysis.stats.pooled import random_effects
from benchmarks.study_comparison import false_alarms_of_looks, graded_row, margin_row, pooled_row, rare_row
from tests.sides import told_apart
from tests.unit.test_comparison_report import ALONE, lost, of, report, results

SAME = "cannot be told from alone with this much data: "


def told(found: Report) -> str:
    return " | ".join(notes(found))


# Margins


def near(n: int, *, off: int = 0) -> Report:
    """Return a comparison of two that differ on two tasks each way, and on `off` more for the worse."""
    base = [1.0, 0.0] * (n // 2)
    other = [0.0, 1.0, 0.0, 1.0, *base[4:]]
    other[4 : 4 + 2 * off : 2] = [0.0] * off
    return report(of("alone", 1, base), of("twin", 2, other), asked={"margin": 0.1})


def test_who_is_equivalent_who_is_not_worse_and_who_is_neither_is_told() -> None:
    equal, worse, few = near(200), near(200, off=24), near(20)
    assert "Twin is equivalent to alone within 0.1" in verdict(equal)
    assert "Twin is undecided: neither equivalent to alone within 0.1 nor not worse by more is shown" in verdict(worse)
    assert "Twin is undecided" in verdict(few)
    better = report(of("alone", 1, ALONE * 5), of("twin", 2, [1.0] * 20 + ALONE * 4), asked={"margin": 0.05})
    assert "Twin is not worse than alone by more than 0.05" in verdict(better)
    assert "equivalent" not in verdict(better).split("Twin is not worse")[1]
    for found in (equal, worse, few, better):
        assert "two one-sided tests of size 0.05" in told(found)
    assert "equivalent" not in report_as_text(report())
    assert "one-sided" not in report_as_text(report())


def test_a_margin_of_the_call_wins_over_that_of_the_file() -> None:
    found = make_report(near(200).results, replicates=200, margin=0.001)
    assert "within 0.001" in verdict(found)
    assert "within 0.1" not in verdict(found)


def test_margins_are_corrected_over_all_organisations() -> None:
    frames = [of("alone", 1, ALONE * 10), *(of(f"o{i}", 2, ALONE * 10) for i in range(3))]
    table = pl.concat([frame.select("organisation", "tasks", "task", "seed", "score") for frame in frames])
    rows = within_margin(table, 0.05, baseline="alone")
    assert [one.p_equivalent_holm for one in rows] == pytest.approx([3 * one.p_equivalent for one in rows])
    with pytest.raises(InputError, match="positive difference, got 0"):
        within_margin(table, 0.0, baseline="alone")


def test_the_tests_of_a_margin_hold_their_size() -> None:
    """20,000 samples of answers, 2,000 of scores: 5.0 % is exceeded by so much in fewer than one of 1,000 seeds."""
    assert margin_row(0.05, 0.2, 400, -0.05, 20_000)[0] <= 0.056
    assert margin_row(0.05, 0.2, 400, 0.05, 20_000)[1] <= 0.056
    assert graded_row(0.05, 100, -0.05, 2000)[0] <= 0.066
    assert graded_row(0.05, 100, 0.0, 500)[1] > 0.95
    assert rare_row(0.05, 50, -0.05, 2000)[0] <= 0.066  # without tasks added that nobody met 8 %, of 20 tasks 36 %
    assert rare_row(0.1, 100, 0.1, 2000)[1] <= 0.066
    assert rare_row(0.1, 100, 0.0, 500)[1] > 0.95
    assert margin_row(0.1, 0.1, 400, 0.0, 2000)[1] > 0.99


# Lost runs


def with_lost(n_lost: int, **more: Any) -> Report:
    """Return a comparison over seeds of 20 tasks in which some runs of votes failed."""
    frames = [of("alone", 1, ALONE, seed=seed) for seed in range(5)]
    frames += [of("votes", 3, [1.0] * 20, seed=seed) for seed in range(5 - n_lost)]
    gone = [lost(at, organisation="votes", n_agents=3, seed=4 - at, **more) for at in range(n_lost)]
    return report(*frames, missing=gone)


def test_a_verdict_over_failed_runs_is_given_where_it_holds_at_both_ends() -> None:
    one, most = with_lost(1), with_lost(4)
    assert verdict(one).startswith("Better than alone: votes by +0.600")
    assert "(20 of votes) counted as all wrong and all right" in told(one)
    assert "lies between +0.400 and +0.600" in told(one)
    assert "the verdict holds at both ends" in told(one)
    assert "Better than alone" not in verdict(most)
    assert (
        "Different from alone only if what was lost in failed runs is like the rest: votes, between -0.200"
        in verdict(most)
    )
    assert "the verdict does not hold at both ends" in told(most)
    data = report_as_dict(most)["blocks"][0]["lost"]["votes"]
    assert (data["n_lost"], data["n_lost_baseline"], data["verdict_holds"]) == (80, 0, False)
    assert report_as_dict(one)["blocks"][0]["lost"]["votes"]["verdict_holds"] is True


def test_nothing_is_said_of_lost_episodes_where_no_run_failed() -> None:
    for found in (with_lost(0), with_lost(2, status="waiting")):
        assert "lost episodes" not in told(found)
        assert "failed runs" not in verdict(found)
        assert report_as_dict(found)["blocks"][0]["lost"] == {}


def test_a_run_that_all_lost_counts_with_the_tasks_of_another_seed() -> None:
    frames = [of("alone", 1, ALONE, seed=0), of("votes", 3, [1.0] * 20, seed=0)]
    gone = [lost(0, organisation="votes", n_agents=3, seed=1), lost(1, organisation="alone", n_agents=1, seed=1)]
    [one] = report(*frames, missing=gone).blocks[0].lost.values()
    assert (one.n_lost, one.n_lost_baseline) == (20, 20)
    assert (one.low.value, one.high.value) == pytest.approx((0.3 - 0.5, 0.3 + 0.5))


def test_a_difference_that_is_not_told_is_bounded_without_a_verdict() -> None:
    frames = [of("alone", 1, ALONE, seed=seed) for seed in range(2)]
    found = report(*frames, of("same", 2, ALONE, seed=0), missing=[lost(0, organisation="same", n_agents=2, seed=1)])
    assert SAME.capitalize()[1:] in verdict(found)
    assert "lost episodes (20 of same)" in told(found)
    assert "both ends" not in told(found)
    assert report_as_dict(found)["blocks"][0]["lost"]["same"]["verdict_holds"] is None


def equal_with_lost(n_lost: int) -> Report:
    """Return a comparison of equals over 10 seeds of 100 tasks, of which some runs of twin failed."""
    half = [0.0, 1.0] * 50
    frames = [of("alone", 1, half, seed=seed) for seed in range(10)]
    frames += [of("twin", 2, half, seed=seed) for seed in range(10 - n_lost)]
    gone = [lost(at, organisation="twin", n_agents=2, seed=9 - at) for at in range(n_lost)]
    return report(*frames, missing=gone, asked={"margin": 0.1})


def test_equivalence_over_failed_runs_is_told_where_it_holds_whatever_they_scored() -> None:
    whole, few, many = equal_with_lost(0), equal_with_lost(1), equal_with_lost(4)
    only = "Twin is equivalent to alone within 0.1 only if what was lost in failed runs is like the rest"
    assert "Twin is equivalent to alone within 0.1." in verdict(whole)
    assert "Twin is equivalent to alone within 0.1." in verdict(few)
    assert only in verdict(many)
    told_of = [report_as_dict(found)["blocks"][0]["margins"][0]["stands"] for found in (whole, few, many)]
    assert told_of == [True, True, False]
    words = [estimates(found).filter(pl.col("quantity") == "equivalent")["verdict"].item() for found in (few, many)]
    assert words == ["equivalent", "undecided"]


def graded(n: int, difference: float) -> Report:
    base = [0.3 + 0.4 * task / n for task in range(n)]
    return report(
        of("alone", 1, base), of("votes", 3, [one + difference + 1e-3 * (at % 7) for at, one in enumerate(base)])
    )


def test_a_small_difference_of_graded_scores_is_told_to_be_at_the_mercy_of_rare_tasks() -> None:
    small, large = graded(40, 0.01), graded(40, 0.2)
    assert "Better than alone: votes" in verdict(small)
    assert "votes: the difference is so small that one task in 14 which comes out wholly the other way" in told(small)
    assert "and 40 tasks may hold none of that kind" in told(small)
    assert "Better than alone: votes" in verdict(large)
    for found in (large, graded(40, -0.003), report()):  # large, nothing found, right or wrong
        assert "comes out wholly the other way" not in told(found)


# Looks


def test_margins_are_tested_at_the_last_planned_look_alone(tmp_path: Path) -> None:
    said = []
    for seeds in (2, 4, 6):
        frames = [of(name, n, ALONE, seed=seed) for seed in range(seeds) for name, n in (("alone", 1), ("twin", 2))]
        read = replace(results(*frames, asked={"looks": 2, "margin": 0.2}), directory=tmp_path)
        found = make_report(read, replicates=200)
        write_report(found)
        said.append(verdict(found))
        assert ("Margins are tested once, at look 2" in said[-1]) is (seeds != 4)
    assert "Twin is equivalent to alone within 0.2" in said[1]
    assert "equivalent" not in said[0] + said[2]


def test_what_an_earlier_look_found_is_not_said_of_data_that_no_longer_show_it(tmp_path: Path) -> None:
    write_report(looked(tmp_path, 1))
    write_report(looked(tmp_path, 3))
    gone = verdict(looked(tmp_path, 4, better=0.0))
    assert "An earlier look found, and all the data do not show, against alone: votes better, now +0.000" in gone
    assert "Better than" not in gone
    assert "An earlier look" not in verdict(looked(tmp_path, 4))
    assert "Better than alone: votes" in verdict(looked(tmp_path, 4))


def test_the_levels_are_those_of_lan_and_demets() -> None:
    """Published limits of the O'Brien-Fleming type: 4.877, 3.357, 2.680, 2.290, 2.031 for five looks at 5 %."""
    from scipy import stats

    limits = stats.norm.isf(np.array(look_levels([1, 2, 3, 4, 5], 5)) / 2)
    assert limits == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=2e-3)
    assert look_levels([40], 1) == pytest.approx([0.05])
    assert look_levels([10, 20, 30], 2)[2] == 0.0
    assert spent(5, 5, 0.05) == pytest.approx(0.05)
    with pytest.raises(InputError, match="more data than the one before"):
        look_levels([10, 10], 3)
    with pytest.raises(InputError, match="from 1 to 50, got 0"):
        look_levels([10], 0)


def test_looks_keep_their_false_alarms_and_five_per_cent_each_does_not() -> None:
    """4,000 comparisons of equals: a true 5 % exceeds 6.1 % in one of 1,000 seeds."""
    assert false_alarms_of_looks(5, 100, 0.4, 4000, planned=True) <= 0.061
    assert false_alarms_of_looks(5, 100, 0.4, 4000, planned=False) > 0.08


def looked(tmp_path: Path, seeds: int, *, better: float = 1.0, planned: int = 2) -> Report:
    frames = [of("alone", 1, ALONE, seed=seed) for seed in range(seeds)]
    frames += [of("votes", 3, [better] * 4 + ALONE[4:], seed=seed) for seed in range(seeds)]
    read = replace(results(*frames, asked={"looks": planned}, earlier=["x"]), directory=tmp_path)
    return make_report(read, replicates=200)


def test_a_comparison_remembers_its_looks_and_what_they_decided(tmp_path: Path) -> None:
    first = looked(tmp_path, 1)  # 4 of 20 won: p = 1/8
    write_report(first)
    assert "look 1 of 2 planned" in told(first)
    assert "made larger" not in told(first)
    assert "Better" not in verdict(first)
    again = looked(tmp_path, 1)
    assert again.looks is not None
    assert again.looks.number == 1  # the same data again
    second = looked(tmp_path, 3)
    write_report(second)
    assert "look 2 of 2 planned" in told(second)
    assert "Better than alone: votes" in verdict(second)
    third = looked(tmp_path, 4, better=0.0)  # it is as good again, but alpha is spent
    assert "look 3 of a comparison planned for 2: alpha is spent" in told(third)
    assert third.looks is not None
    assert third.looks.now.level == 0
    assert third.looks.now.decided == {"votes": True}
    assert json.loads((tmp_path / "looks.json").read_text())["planned"] == 2
    assert report_as_dict(third)["looks"]["planned"] == 2


def test_a_p_below_five_per_cent_is_not_enough_at_an_early_look() -> None:
    early, late = (look_again((), planned, ["a"], {"votes": (40, 0.02, True)}, 0.05) for planned in (5, 1))
    assert early.now.decided == {}
    assert late.now.decided == {"votes": True}
    both = {"votes": (40, 0.03, True), "talk": (40, 0.5, False)}
    assert look_again((), 1, ["a"], both, 0.05).now.decided == {}  # two comparisons share alpha


def test_looks_that_were_planned_otherwise_or_are_damaged_are_refused(tmp_path: Path) -> None:
    write_report(looked(tmp_path, 1))
    with pytest.raises(InputError, match="planned 2 looks before the first one, now its file says 3"):
        read_looks(tmp_path, 3)
    (tmp_path / "looks.json").write_text("{}")
    with pytest.raises(LogDamagedError, match="cannot be read"):
        read_looks(tmp_path, 2)


def test_without_planned_looks_none_are_kept(tmp_path: Path) -> None:
    found = make_report(replace(report().results, directory=tmp_path), replicates=200)
    write_report(found)
    assert not (tmp_path / "looks.json").exists()
    assert "look 1" not in report_as_text(found)
    assert report_as_dict(found)["looks"] is None


# What episodes are worth


def test_episodes_of_repeated_tasks_are_worth_fewer() -> None:
    again = [of(name, n, score, seed=seed) for seed in range(3) for name, n, score in two()]
    repeated = told(report(*again, same_tasks=True))
    assert (
        "seeds repeat the same tasks: 60 episodes of alone are worth 20 independent ones; 60 episodes of " in repeated
    )
    assert "are worth" not in told(report(*again, same_tasks=False))  # then each seed has tasks of its own
    assert "are worth" not in told(report(*(of(name, n, score) for name, n, score in two()), same_tasks=True))


def two() -> list[tuple[str, int, list[float]]]:
    return [("alone", 1, ALONE), ("votes", 3, [1.0] * 10 + ALONE[10:])]


# Blocks of tasks


def test_a_difference_over_task_blocks_is_told_for_these_and_beyond_them() -> None:
    frames = []
    for tasks in ("easy", "hard", "odd"):
        frames += [of("alone", 1, ALONE, tasks=tasks), of("votes", 3, [1.0] * 20, tasks=tasks)]
    several = report(*frames, budgets={"easy": 1000, "hard": 1000, "odd": 1000})
    note = next(text for text in notes(several) if "over blocks of tasks" in text)
    assert note.startswith("votes against alone over blocks of tasks: for these 3 blocks of tasks +0.600 [")
    assert "; beyond these blocks of tasks a difference: +0.600 [" in note
    assert "not corrected for the number" not in note
    third = [of("talk", 5, ALONE, tasks=tasks) for tasks in ("easy", "hard", "odd")]
    assert "; not corrected for the number of organisations" in told(
        report(*frames, *third, budgets=several.results.budgets)
    )
    assert "over blocks of tasks" not in told(report())
    opposite = [of("alone", 1, ALONE, tasks="easy"), of("votes", 3, [1.0] * 20, tasks="easy")]
    opposite += [of("alone", 1, [1.0] * 20, tasks="hard"), of("votes", 3, ALONE, tasks="hard")]
    torn = report(*opposite, budgets={"easy": 1000, "hard": 1000})
    assert "beyond these blocks of tasks no difference is shown" in told(torn)
    assert "a difference:" not in told(torn)


def test_pooling_by_hand() -> None:
    """Equal errors: tau^2 is the variance less that of the errors, and the interval that of Student's t."""
    from scipy import stats

    x = [0.1, 0.3, 0.5, 0.9]
    found = random_effects(x, [0.1] * 4)
    assert found.tau**2 == pytest.approx(np.var(x, ddof=1) - 0.01, rel=1e-3)
    reach = stats.t.ppf(0.975, 3) * np.std(x, ddof=1) / 2
    assert (found.beyond.low, found.beyond.high) == pytest.approx((0.45 - reach, 0.45 + reach), rel=1e-3)
    assert found.these.width == pytest.approx(2 * 1.96 * 0.05, rel=1e-3)
    assert found.another.width > found.beyond.width
    cut = random_effects([0.1, 0.9], [0.1, 0.1], within=(-1.0, 1.0))
    assert (cut.another.low, cut.another.high) == (-1.0, 1.0)
    equal = random_effects([0.2, 0.2], [0.1, 0.1])
    assert equal.tau == pytest.approx(0, abs=1e-3)
    with pytest.raises(InputError, match="at least 2 differences"):
        random_effects([0.1], [0.1])
    with pytest.raises(InputError, match="errors above 0"):
        random_effects([0.1, 0.2], [0.1, 0.0])


def test_pooled_intervals_hold() -> None:
    """300 experiments: a true 95 % falls below 91 % in one of 500 seeds."""
    these, beyond, _, _ = pooled_row(5, 1.0, 300)
    assert these >= 0.91
    assert beyond >= 0.91


def test_the_prediction_of_one_more_by_hand() -> None:
    """Equal errors: tau^2 is the sum of squares over a quantile of chi^2, less the error, and at least 0."""
    from scipy import optimize, stats

    x = [0.1, 0.3, 0.5, 0.6]
    chi2 = stats.chi2.ppf((np.arange(200) + 0.5) / 200, 3)
    tau2 = np.maximum(4 * np.var(x) / chi2 - 0.04, 0)
    assert 0.2 < np.mean(tau2 == 0) < 0.95  # some of the doubt is that they do not differ at all
    spread = np.sqrt(tau2 + (tau2 + 0.04) / 4)

    def beyond(value: float) -> float:
        return float(stats.norm.cdf((value - np.mean(x)) / spread).mean()) - 0.975

    high = optimize.brentq(beyond, 0.0, 100.0, xtol=1e-12)
    found = random_effects(x, [0.2] * 4).another
    assert (found.low, found.high) == pytest.approx((2 * np.mean(x) - high, high), rel=1e-6)


def test_the_prediction_of_one_more_holds_where_tau_is_often_estimated_as_nothing() -> None:
    """600 experiments: a true 93.5 % falls below 91 % in one of 150 seeds; a single estimate of tau^2 gave 88 %."""
    *_, more, _ = pooled_row(10, 1.0, 600)
    assert more >= 0.91


# The table of estimates


def test_every_figure_is_a_row_of_the_table_of_estimates(tmp_path: Path) -> None:
    found = replace(with_lost(1), results=replace(with_lost(1).results, directory=tmp_path))
    write_report(found)
    table = pl.read_parquet(tmp_path / "estimates.parquet")
    assert table.schema == pl.Schema(COLUMNS)
    assert pl.read_csv(tmp_path / "estimates.csv").columns == list(COLUMNS)
    row = table.filter(pl.col("quantity") == "difference").row(0, named=True)
    own = found.blocks[0].found.row("votes")
    assert (row["organisation"], row["baseline"], row["tasks"]) == ("votes", "alone", None)
    assert (row["value"], row["low"], row["high"], row["p"]) == (
        own.difference.value, own.difference.low, own.difference.high, own.p,
    )  # fmt: skip
    assert {"score", "difference", "difference_lost_low", "difference_lost_high"} <= set(table["quantity"])
    margins = estimates(near(200)).filter(pl.col("quantity") == "equivalent").row(0, named=True)
    assert (margins["verdict"], margins["margin"], margins["value"]) == ("equivalent", 0.1, None)
    sink = io.BytesIO()
    estimates(report()).write_csv(sink)
    assert b"inf" not in sink.getvalue()


# What is corrected over all blocks of a report, at the ends of lost runs too


def test_the_ends_of_lost_runs_are_corrected_over_all_blocks() -> None:
    """Two sizes of baseline: each end of votes is one of four tests, of which its own block has two."""
    sizes = {("votes", 3): 3, ("votes", 5): 5, ("talk", 3): 3, ("talk", 5): 5, ("alone", 1): None}
    frames = [
        *(of("votes", n, ALONE, seed=seed) for n in (3, 5) for seed in (0, 1)),
        *(of("talk", 3, ALONE, seed=seed) for seed in (0, 1)),
        of("talk", 5, [1.0] * 20, seed=0),
        *(of("alone", 1, [0.0, 1.0] * 10, seed=seed) for seed in (0, 1)),
    ]
    gone = [lost(0, organisation="talk", n_agents=5, count=5, seed=1)]
    counts = {key: value for key, value in sizes.items() if value is not None}
    read = results(*frames, baseline="votes", counts=counts, missing=gone, asked={"margin": 0.5}, same_tasks=True)
    found = make_report(read, replicates=200)
    assert found.n_tests == 4
    [bounds] = [one for block in found.blocks for name, one in block.lost.items() if name == "talk n=5"]
    for corrected, alone in ((bounds.p_low, bounds.p_low_alone), (bounds.p_high, bounds.p_high_alone)):
        assert corrected == pytest.approx(min(1.0, 4 * alone))
    assert bounds.margins is not None
    for one in bounds.margins:
        assert one.p_not_worse_holm >= one.p_not_worse
    rows = [[*block.margins.values()] for block in found.blocks]
    worst = max(one.p_not_worse_holm for part in rows for one in part)
    assert bounds.margins[1].p_not_worse_holm <= max(worst, 4 * bounds.margins[1].p_not_worse)
    single = make_report(replace(read, table=read.table.filter(pl.col("n_agents") == 5)), replicates=200)
    [own] = single.blocks
    assert own.lost["talk n=5" if "talk n=5" in own.lost else "talk"].p_low_alone == pytest.approx(bounds.p_low_alone)


def test_a_verdict_over_lost_runs_at_an_early_look_needs_the_level_of_that_look(tmp_path: Path) -> None:
    """At the low end p is .03: enough for a comparison that is looked at once, not for the first of five looks."""
    bounds = with_lost(1).blocks[0].lost["votes"]
    close = replace(bounds, p_low=0.03, p_low_alone=0.03)

    def said(planned: int | None) -> str:
        whole = with_lost(1)
        [block] = whole.blocks
        changed = replace(whole, blocks=(replace(block, lost={"votes": close}),))
        if planned is None:
            return verdict(changed)
        looks = look_again((), planned, ["a"], {"votes": (80, 1e-9, True)}, 0.05)
        return verdict(replace(changed, looks=looks))

    told_apart({
        "Better than alone: votes": (said(None), said(1)),
        "Different from alone only if what was lost in failed runs is like the rest: votes": said(5),
    })  # fmt: skip


def graded_looks(tmp_path: Path, n: int, planned: int, *, difference: float = 0.3) -> Report:
    """Return the first of some looks at graded scores of n tasks that differ by as much in nearly every task."""
    rng = np.random.default_rng(n)
    base = rng.uniform(0.2, 0.6, n)
    frames = [of("alone", 1, list(base)), of("votes", 3, list(base + difference + rng.normal(0, 0.05, n)))]
    return make_report(replace(results(*frames, asked={"looks": planned}), directory=tmp_path), replicates=2000)


def test_an_early_look_at_graded_scores_can_tell_a_plain_difference(tmp_path: Path) -> None:
    """Two thousand swaps give no p below 5e-4; the first of four looks asks for 1.5e-5, and more swaps are made."""
    found = graded_looks(tmp_path, 60, 4)
    assert found.looks is not None
    [row] = found.blocks[0].found.rows
    assert row.test == "random swaps"
    assert row.p < found.looks.now.level < 1 / 2001
    assert "Better than alone: votes by +0.3" in verdict(found)
    none = graded_looks(tmp_path / "none", 60, 4, difference=0.0)
    assert none.blocks[0].found.rows[0].p > 0.01
    assert "Better" not in verdict(none)


def test_a_look_that_asks_for_a_smaller_p_than_swaps_can_give_says_so(tmp_path: Path) -> None:
    within, beyond = graded_looks(tmp_path, 60, 4), graded_looks(tmp_path / "seven", 60, 7)
    exact = looked(tmp_path / "exact", 1, planned=7)
    limited = "this look cannot tell a difference of votes: the p of graded scores comes from random swaps, of which "
    told_apart({
        limited: told(beyond),
        "there are too few for a p of ": told(beyond),
    }, told(within), told(exact))  # fmt: skip
    assert "Better" not in verdict(beyond)


def test_more_swaps_leave_a_p_that_was_reached_as_it_was() -> None:
    totals = np.random.default_rng(5).normal(0.3, 1.0, 50)
    p, how = sign_flip_p(totals, replicates=500)
    assert how == "random swaps"
    assert smaller_p(totals, p, replicates=500) == p
    strong = np.random.default_rng(5).normal(1.0, 0.5, 50)
    least = sign_flip_p(strong, replicates=500)[0]
    assert least == pytest.approx(1 / 501)
    assert smaller_p(strong, least, replicates=500) < 1e-6
    assert smaller_p(strong, least, replicates=most_swaps(50)) == least
