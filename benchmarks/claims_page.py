"""The page "Three claims, asked of small models", written from what is kept of the comparisons.

No figure stands in this file. Each sentence follows from the tables; a comparison that is not finished has no line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from analysis.interval import Interval, shown
from analysis.measures.exposure import TRANSITIONS, exposure_of
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import moved, oracle_gap
from analysis.measures.team_size import SizedRun, TeamSize, team_size
from analysis.stats import PairedComparison, PairedRow, compare_paired
from benchmarks.claims import CLAIMS, DEBATE, ClaimsPart
from benchmarks.when import ROOT
from benchmarks.when_page import p_words, took_table

PAGE: Final = ROOT / "docs" / "experiments" / "claims-with-small-models.md"
LEVEL: Final = 0.05
VOTE: Final = "vote-"
AGAIN: Final = "self-correction"
PLACEBO: Final = "placebo"
PILOT_MOST: Final = 5
"""Agents of the largest team of a pilot."""
_SHARES: Final = dict(zip(TRANSITIONS, ("modal adoption", "vulnerability", "correction"), strict=True))

INTRODUCTION: Final = """\
# Three claims, asked of small models

<!-- Written by benchmarks/study_when.py (page). Do not edit. -->

[The Ringelmann law](ringelmann.md), [debate or vote](debate-or-vote.md) and
[the cost of consensus](cost-of-consensus.md) plant a truth and look whether it is found. Here small language models are
asked, and nobody knows the truth. The figures are of these models, tasks and prompts; they say nothing about strong
models.
"""
METHOD: Final = """\
## How it was asked

- **Files.** `scenarios/study/claims-*.yaml`. Every organisation has the same tasks and the same seed; temperature 0.8.
- **First answers are the same everywhere.** Nobody is told how many there are. So the smaller team is the first agents
  of the larger, and the five who vote, look again, debate or read a placebo begin with the same answers: what differs
  in the end comes of the second round.
- **Two rounds.** In the second one each of the five answers again: alone (self-correction), with the claims of the four
  others in view (debate), or with as many claims that were said about another question (placebo).
- **Tests.** Differences are paired by task; p by swapping names, corrected by Holm over the differences of its table
  ([statistics](../statistics.md)). The measures are those of [`agentsoc metrics`](../metrics.md).
- **Again.** `make study` makes these comparisons too, and `python -m benchmarks.study_when page` writes this page from
  `benchmarks/results/study`.
"""
LIMITS: Final = """\
## What does not follow

- That other models, tasks or prompts would do the same. Each model was asked one kind of tasks, so differences between
  the sections are not differences between models alone.
- That there is no difference where none is told. The intervals say what so few tasks leave open.
- That an unmoved mean shows a martingale: a mean over tasks can stay while easy tasks gain and hard ones lose.
- That the law of team sizes holds where it is not refused. Five sizes and these intervals leave room for others.
- That agents reason. They give a word, a letter or a number, without any steps.
"""


def page(found: Sequence[ClaimsPart]) -> str | None:
    """Return the page; None without a finished comparison."""
    if not found:
        return None
    blocks = [INTRODUCTION, *_summary(found), METHOD]
    for heading, section in (
        ("The Ringelmann law: what further agents are worth", _team_sizes),
        ("Debate or vote: which of the two gains", _movements),
        ("The cost of consensus: what agents make of what they are shown", _exchange),
    ):
        blocks.append(f"## {heading}\n")
        for one in found:
            blocks += [f"### {about(one)}\n", *section(one)]
    took = "\n".join(took_table([one.part for one in found], "../providers.md"))
    return "\n".join([*blocks, took, LIMITS]).rstrip() + "\n"


def about(one: ClaimsPart) -> str:
    """Return what a comparison is about."""
    return one.part.about.rstrip(".")


def team(one: ClaimsPart, n: int) -> IndependentVotes | str | None:
    """Return N_eff of the voters of a team, or why there is none."""
    return independent_votes(_of(one.standing, f"{VOTE}{n}"))


def sizes(one: ClaimsPart) -> list[int]:
    """Return the N of the teams of a comparison, increasing."""
    names = one.standing["organisation"].unique().to_list()
    return sorted(int(name.removeprefix(VOTE)) for name in names if name.startswith(VOTE))


def law(one: ClaimsPart, most: int) -> TeamSize | None:
    """Return the law of the teams of at most so many; None where fewer than two of them have an N_eff."""
    known = [team(one, n) for n in sizes(one) if n <= most]
    return team_size([SizedRun(votes, "") for votes in known if isinstance(votes, IndependentVotes)])


def pilot_words(one: ClaimsPart) -> str:
    """Return whether the pilot foretold the largest team."""
    largest = sizes(one)[-1]
    fitted, seen = law(one, PILOT_MOST), team(one, largest)
    if fitted is None or fitted.predicted is None or not isinstance(seen, IndependentVotes):
        return f"What {largest} are worth cannot be foretold from teams of {PILOT_MOST} at most, or cannot be measured."
    said = f"The pilot says {fitted.predicted} for {fitted.target}, {largest} are worth {seen.votes}"
    apart = fitted.predicted.high < seen.votes.low or seen.votes.high < fitted.predicted.low
    if apart:
        return f"{said}: the intervals have no value in common."
    if fitted.predicted.width > seen.n / 2:
        return f"{said}: the prediction leaves more than half of all values open, so this is no test of it."
    return f"{said}: the intervals have values in common."


def less(one: ClaimsPart, base: str, names: Sequence[str]) -> PairedComparison:
    """Return the scores of some organisations less that of another."""
    table = one.part.results.table
    return compare_paired(table.filter(pl.col("organisation").is_in([base, *names])), baseline=base, cluster=("task",))


def difference_words(row: PairedRow, base: str) -> str:
    """Return what a difference shows."""
    said = f"{row.organisation} less {base} {row.difference.text(sign=True)}, p {p_words(row.p_holm)}"
    if row.p_holm > LEVEL:
        return f"{said}: cannot be told."
    return f"{said}: {'better' if row.difference.value > 0 else 'worse'}."


def _summary(found: Sequence[ClaimsPart]) -> Iterator[str]:
    yield "## What came out\n"
    for one in found:
        against_vote, against_again = _debate_rows(one)
        change = moved(_of(one.standing, DEBATE))
        yield f"- **{about(one)}.** {pilot_words(one)}"
        if change is not None:
            ends = f"{change.mean_first:.3f} to {change.mean_last:.3f}"
            yield f"  In the debate mean accuracy went from {ends}: {change.word};"
        yield f"  {difference_words(against_vote, f'{VOTE}{PILOT_MOST}')} For {_times(one):.2f} times the tokens,"
        yield f"  {difference_words(against_again, AGAIN)}"
    yield ""
    names = {one.part.name for one in found}
    if rest := [f"`{name}`" for name in CLAIMS if name not in names]:
        yield f"These are not made yet: {', '.join(rest)}. Nothing here is about them.\n"


def _debate_rows(one: ClaimsPart) -> tuple[PairedRow, PairedRow]:
    """Return the debate less the vote and less self-correction, each as in the table of its section."""
    vote = f"{VOTE}{PILOT_MOST}"
    return less(one, vote, (AGAIN, DEBATE, PLACEBO)).row(DEBATE), less(one, AGAIN, (DEBATE, PLACEBO)).row(DEBATE)


def _times(one: ClaimsPart) -> float:
    """Return the tokens of the debate over those of self-correction."""
    table = one.part.results.table
    spent = [float(_of(table, name)["tokens"].sum()) for name in (DEBATE, AGAIN)]
    return spent[0] / spent[1]


def _team_sizes(one: ClaimsPart) -> Iterator[str]:
    yield "| N | score of the vote [95 %] | N_eff [95 %] | correlation of two votes [95 %] |\n" + "| --- " * 4 + "|"
    means = {row.organisation: row.mean for row in one.part.report.rows()}
    for n in sizes(one):
        found = team(one, n)
        cells = [found.votes.text(), found.rho.text()] if isinstance(found, IndependentVotes) else ["-", "-"]
        yield f"| {n} | {means[f'{VOTE}{n}'].text()} | {' | '.join(cells)} |"
    yield ""
    reasons = dict.fromkeys(found for n in sizes(one) if isinstance(found := team(one, n), str))
    yield from (f"- No N_eff where: {reason.removeprefix('N_eff of final votes: ')}." for reason in reasons)
    for most, name in ((PILOT_MOST, "The pilot"), (sizes(one)[-1], "All teams")):
        fitted = law(one, most)
        yield f"- {name}: {'fewer than two teams have an N_eff' if fitted is None else fitted.summary()}."
    yield f"- {pilot_words(one)}"
    row = less(one, AGAIN, (DEBATE, PLACEBO)).row(PLACEBO)
    yield f"- The placebo of five beside self-correction: {difference_words(row, AGAIN)}\n"


def _movements(one: ClaimsPart) -> Iterator[str]:
    base = f"{VOTE}{PILOT_MOST}"
    yield (
        f"| organisation | mean accuracy, first and last | change [95 %] | majority, first and last | change [95 %] | "
        f"score [95 %] | less {base} [95 %] | p (Holm) |\n" + "| --- " * 8 + "|"
    )
    rows = less(one, base, (AGAIN, DEBATE, PLACEBO))
    yield f"| {base} | | | | | {rows.baseline.mean.text()} | | |"
    for name in (AGAIN, DEBATE, PLACEBO):
        row, change = rows.row(name), moved(_of(one.standing, name))
        cells = ["-"] * 4
        if change is not None:
            mean, majority = (text.text(sign=True) for text in (change.mean, change.majority))
            cells = [f"{change.mean_first:.3f}, {change.mean_last:.3f}", f"{mean}: {change.word}"]
            cells += [f"{change.majority_first:.3f}, {change.majority_last:.3f}", majority]
        cells += [row.mean.text(), row.difference.text(sign=True), p_words(row.p_holm)]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _exchange(one: ClaimsPart) -> Iterator[str]:
    table = one.part.results.table
    tasks = table["task"].n_unique()
    spent = ", ".join(
        f"{name} {shown(float(_of(table, name)['tokens'].sum()) / tasks)}" for name in (AGAIN, DEBATE, PLACEBO)
    )
    yield f"Tokens a task: {spent}; the debate takes {_times(one):.2f} times those of self-correction."
    yield f"Scores: {difference_words(_debate_rows(one)[1], AGAIN)}\n"
    found = exposure_of(one.heard)
    if found is None:
        yield "Nobody in the debate was shown another answer than its own.\n"
        return
    yield f"| of the debate | shown another answer ({found.exposed}) | shown no other ({found.others}) |"
    yield "| --- | --- | --- |"
    for name, word in _SHARES.items():
        yield f"| {word} | {_or_none(found.values[name])} | {_or_none(found.placebo[name])} |"
    gap = oracle_gap(_of(one.standing, DEBATE), _of(table, DEBATE))
    if gap is not None:
        yield f"| oracle gap, points | {gap.points.text()} | of first answers: {gap.alone.text()} |"
    yield ""


def _or_none(found: Interval | None) -> str:
    return "no such turns" if found is None else found.text()


def _of(table: pl.DataFrame, organisation: str) -> pl.DataFrame:
    return table.filter(pl.col("organisation") == organisation)
