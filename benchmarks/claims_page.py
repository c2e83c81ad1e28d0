"""The page "Three claims, asked of small models", written from what is kept of the comparisons.

No figure stands in this file. Each sentence follows from the tables; a comparison that is not finished has no line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from analysis.interval import Interval, shown
from analysis.measures.exposure import TRANSITIONS, exposure_of
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import Moved, moved, oracle_gap
from analysis.measures.team_size import MISFIT, SizedRun, TeamSize, team_size
from analysis.stats import PairedRow, compare_paired
from analysis.stats.permutation import holm
from benchmarks.claims import CLAIMS, ClaimsPart
from benchmarks.when import DEBATE, PLACEBO, ROOT
from benchmarks.when_page import LEVEL, p_words, took_table

PAGE: Final = ROOT / "docs" / "experiments" / "claims-with-small-models.md"
VOTE: Final = "vote-"
AGAIN: Final = "self-correction"
Differences = dict[tuple[str, str], PairedRow]
"""Rows by (organisation, baseline)."""
TALK: Final = (DEBATE, PLACEBO)
"""Of a debate nothing is told without its placebo."""
PILOT_MOST: Final = 5
"""Agents of the largest team of a pilot."""
_SHARES: Final = dict(
    zip(
        TRANSITIONS,
        (
            "modal adoption: to the most frequent answer of others",
            "vulnerability: right to wrong",
            "correction: wrong to right",
        ),
        strict=True,
    )
)

INTRODUCTION: Final = """\
# Three claims, asked of small models

<!-- Written by benchmarks/study_when.py (page). Do not edit. -->

[The Ringelmann law](ringelmann.md), [debate or vote](debate-or-vote.md) and
[the cost of consensus](cost-of-consensus.md) plant a truth and look whether it is found. Here small language models are
asked. The right answers are known; how alike the agents err, and what reading does to them, is not. The figures are of
these models, tasks and prompts; they say nothing about strong models.
"""
METHOD: Final = """\
## How it was asked

- **Files.** Those in `scenarios/study/` whose names begin with `claims-`. Every organisation has the same tasks and the
  same seed; temperature 0.8.
- **First answers are the same everywhere.** Nobody is told how many there are. So the smaller team is the first agents
  of the larger, and the five who vote, look again, debate or read a placebo begin with the same answers. What differs
  in the end comes of the second round, or of the draw that breaks a tie of the votes; *majority* below counts the mean
  of those that tie, so that it has no draw in it.
- **Two rounds.** In the second one each of the five answers again: alone (self-correction), with the claims of the four
  others in view (debate), or with as many claims that were said about another question (placebo).
- **Tests.** Differences are paired by task; p by swapping names, corrected by Holm over the five differences of a model
  ([statistics](../statistics.md)) and not over the models. Each interval holds by itself: one that leaves 0 out can
  have a corrected p above 0.05, and then nothing is said of it. The words of mean accuracy ("it moved") are not
  corrected.
- **Again.** `make study` makes these comparisons too, and `python -m benchmarks.study_when page` writes this page from
  `benchmarks/results/study`. The measures are those of [`agentsoc metrics`](../metrics.md).
"""
RINGELMANN: Final = """\
Claimed (arXiv 2606.02646, of the diversity of answers and of correctness): N agents are worth N_eff = N / (1 + c
(N - 1) N^-b) independent ones; a pilot of five foretells the ceiling of thirty; on mathematics with free answers, at
four times the scale, a placebo does as well as self-correction. These tasks are easier and these models smaller. What
would speak against it here: teams that do not follow the law (p of its fit below 0.05), a prediction whose interval has
no value in common with that of the thirty, a placebo that differs from self-correction. N_eff counts final votes that
are right ([how](../metrics.md)); prediction and measurement rest on the same tasks, and the first five of the thirty
are the pilot.
"""
MOVEMENT: Final = """\
Claimed (arXiv 2508.17536): most of what debates gain is the vote's; in a model of debate, beliefs do not move on
average; interventions that favour right answers can make debate gain, and there are none here. What would speak
against it: mean accuracy that moves in the debate and not in the placebo, and a debate that is better than the vote of
the first answers. *First* and *last* are the answers of the agents that answered in both rounds.
"""
CONSENSUS: Final = """\
Claimed (arXiv 2605.00914, of teams of models of 7 to 8 billion parameters in three rounds): debate costs 2.1 to 3.4
times the tokens of isolated self-correction for equal or lower accuracy; agents adopt the most frequent answer (modal
adoption), leave right answers (vulnerability) and lose what one of them had (oracle gap). Who was shown no other answer
than its own is no control of equal difficulty: these are the tasks on which the agents agree.
"""
LIMITS: Final = """\
## What does not follow

- That other models, tasks or prompts would do the same. Each model was asked one kind of tasks, so differences between
  the sections are not differences between models alone.
- That there is no difference where none is told. The intervals say what so few tasks leave open.
- That an unmoved mean shows a martingale: a mean over tasks can stay while easy tasks gain and hard ones lose.
- That the law of team sizes holds where it is not refused. A few sizes and these intervals leave room for others.
- That agents reason. They give a word, a letter or a number, without any steps.
"""


def page(found: Sequence[ClaimsPart]) -> str | None:
    """Return the page; None without a finished comparison."""
    if not found:
        return None
    pairs = [(one, differences(one)) for one in found]
    blocks = [INTRODUCTION, *_summary(pairs), METHOD]
    for heading, claim, section in (
        ("The Ringelmann law: what further agents are worth", RINGELMANN, _team_sizes),
        ("Debate or vote: which of the two gains", MOVEMENT, _movements),
        ("The cost of consensus: what agents make of what they are shown", CONSENSUS, _exchange),
    ):
        blocks += [f"## {heading}\n", claim]
        for one, rows in pairs:
            blocks += [f"**{about(one)}**\n", *section(one, rows)]
    took = "\n".join(took_table([one.part for one in found], "../providers.md"))
    return "\n".join([*blocks, took, LIMITS]).rstrip() + "\n"


def about(one: ClaimsPart) -> str:
    """Return what a comparison is about."""
    return one.part.about.rstrip(".")


def sizes(one: ClaimsPart) -> list[int]:
    """Return the N of the teams of a comparison, increasing."""
    names = one.standing["organisation"].unique().to_list()
    return sorted(int(name.removeprefix(VOTE)) for name in names if name.startswith(VOTE))


def team(one: ClaimsPart, n: int) -> IndependentVotes | str:
    """Return N_eff of the voters of a team over the tasks in which all of them answered, or why there is none."""
    found = independent_votes(_of(one.standing, f"{VOTE}{n}"))
    if isinstance(found, str):
        return found.removeprefix("N_eff of final votes: ")
    if found is None or found.n != n:
        return f"in too few tasks all {n} gave an answer"
    return found


def law(one: ClaimsPart, most: int) -> TeamSize | None:
    """Return the law of the teams of at most so many; None where fewer than two of them have an N_eff."""
    known = [team(one, n) for n in sizes(one) if n <= most]
    return team_size(
        [SizedRun(votes, "") for votes in known if isinstance(votes, IndependentVotes)], target=sizes(one)[-1]
    )


def pilot_words(one: ClaimsPart) -> str:
    """Return whether the small teams foretold what the largest is worth."""
    largest = sizes(one)[-1]
    fitted, seen = law(one, PILOT_MOST), team(one, largest)
    if isinstance(seen, str):
        return f"What {largest} are worth cannot be measured: {seen}."
    small = f"teams of {sizes(one)[0]} to {PILOT_MOST}"
    if fitted is None or fitted.predicted is None:
        return f"No law can be fitted to {small}, so nothing is foretold; {largest} are worth {seen.votes}."
    if fitted.fit is not None and fitted.fit < MISFIT:
        return f"The {small} do not follow the law (p = {fitted.fit:.2g}), so it foretells nothing."
    said = f"The law fitted to {small} predicts N_eff {fitted.predicted} for {largest}; measured is {seen.votes}"
    if fitted.predicted.high < seen.votes.low or seen.votes.high < fitted.predicted.low:
        return f"{said}: the intervals have no value in common."
    wide = [
        name
        for name, interval in (("prediction", fitted.predicted), ("measurement", seen.votes))
        if interval.width > (largest - 1) / 2
    ]
    if wide:
        return f"{said}: the {' and the '.join(wide)} would fit half of all values, so this tests nothing."
    return f"{said}: the intervals have values in common."


def differences(one: ClaimsPart) -> Differences:
    """Return the five differences of a comparison by (organisation, baseline), p corrected over them together."""
    table = one.part.results.table
    rows: Differences = {}
    for base, names in ((f"{VOTE}{PILOT_MOST}", (AGAIN, DEBATE, PLACEBO)), (AGAIN, (DEBATE, PLACEBO))):
        of_both = table.filter(pl.col("organisation").is_in([base, *names]))
        found = compare_paired(of_both, baseline=base, cluster=("task",))
        rows |= {(name, base): found.row(name) for name in names}
    corrected = holm(np.array([row.p for row in rows.values()]))
    return {key: replace(row, p_holm=float(p)) for (key, row), p in zip(rows.items(), corrected, strict=True)}


def difference_words(row: PairedRow, base: str) -> str:
    """Return what a difference shows."""
    said = f"{row.organisation} less {base} {row.difference.text(sign=True)}, p {p_words(row.p_holm)}"
    if row.p_holm > LEVEL:
        return f"{said}: cannot be told"
    return f"{said}: {'better' if row.difference.value > 0 else 'worse'}"


def moved_words(change: Moved) -> str:
    """Return how far mean accuracy moved, and what that shows."""
    return f"first {change.mean_first:.3f}, last {change.mean_last:.3f}, {change.mean.text(sign=True)}: {change.word}"


def _summary(pairs: Sequence[tuple[ClaimsPart, Differences]]) -> Iterator[str]:
    yield "## What came out\n"
    for one, rows in pairs:
        yield f"- **{about(one)}.**\n  - Team size: {pilot_words(one)}"
        told = [f"in the {who}: {moved_words(own)}" for who in TALK if (own := moved(_of(one.standing, who)))]
        accuracy = f"Mean accuracy {'; '.join(told)}. " if told else ""
        vote = f"{VOTE}{PILOT_MOST}"
        yield f"  - Debate or vote: {accuracy}Scores: {difference_words(rows[DEBATE, vote], vote)}."
        cost = f"the debate takes {_times(one):.2f} times the tokens of self-correction"
        yield f"  - Consensus: {cost}; {difference_words(rows[DEBATE, AGAIN], AGAIN)}."
    yield ""
    names = {one.part.name for one, _ in pairs}
    if rest := [f"`{name}`" for name in CLAIMS if name not in names]:
        yield f"These are not made yet: {', '.join(rest)}. Nothing here is about them.\n"


def _times(one: ClaimsPart) -> float:
    """Return the tokens of the debate over those of self-correction."""
    table = one.part.results.table
    spent = [float(_of(table, name)["tokens"].sum()) for name in (DEBATE, AGAIN)]
    return spent[0] / spent[1]


def _team_sizes(one: ClaimsPart, rows: Differences) -> Iterator[str]:
    yield "| N | score of the vote [95 %] | N_eff [95 %] | correlation of two votes [95 %] | tasks with N votes |"
    yield "| --- " * 5 + "|"
    means = {row.organisation: row.mean for row in one.part.report.rows()}
    teams = {n: team(one, n) for n in sizes(one)}
    for n, found in teams.items():
        cells = ["-"] * 3
        if isinstance(found, IndependentVotes):
            cells = [found.votes.text(), found.rho.text(), str(found.n_tasks)]
        yield f"| {n} | {means[f'{VOTE}{n}'].text()} | {' | '.join(cells)} |"
    yield ""
    yield from (f"- No N_eff of {n}: {found}." for n, found in teams.items() if isinstance(found, str))
    for most, name in ((PILOT_MOST, f"Teams of up to {PILOT_MOST}"), (sizes(one)[-1], "All teams")):
        fitted = law(one, most)
        yield f"- {name}: {'fewer than two have an N_eff' if fitted is None else fitted.summary()}."
    yield f"- {pilot_words(one)}"
    yield f"- The placebo: {difference_words(rows[PLACEBO, AGAIN], AGAIN)}.\n"


def _movements(one: ClaimsPart, rows: Differences) -> Iterator[str]:
    yield (
        "| organisation | mean accuracy | majority, first and last | change [95 %] | score [95 %] | tasks |\n"
        + "| --- " * 6
        + "|"
    )
    means = {row.organisation: row.mean for row in one.part.report.rows()}
    vote = f"{VOTE}{PILOT_MOST}"
    yield f"| {vote} | | | | {means[vote].text()} | |"
    for name in (AGAIN, DEBATE, PLACEBO):
        change = moved(_of(one.standing, name))
        cells = ["-", "-", "-"]
        if change is not None:
            ends = f"{change.majority_first:.3f}, {change.majority_last:.3f}"
            cells = [moved_words(change), ends, change.majority.text(sign=True)]
        tasks = "-" if change is None else str(change.n_tasks)
        yield f"| {name} | {' | '.join(cells)} | {means[name].text()} | {tasks} |"
    yield "\n| difference of scores | [95 %] | won/tied/lost | p (Holm) |\n" + "| --- " * 4 + "|"
    for (name, base), row in rows.items():
        games = f"{row.wins}/{row.ties}/{row.losses}"
        yield f"| {name} less {base} | {row.difference.text(sign=True)} | {games} | {p_words(row.p_holm)} |"
    yield ""


def _exchange(one: ClaimsPart, rows: Differences) -> Iterator[str]:
    table = one.part.results.table
    tasks = table["task"].n_unique()
    spent = ", ".join(
        f"{name} {shown(float(_of(table, name)['tokens'].sum()) / tasks)}" for name in (AGAIN, DEBATE, PLACEBO)
    )
    yield f"Tokens a task: {spent}; the debate takes {_times(one):.2f} times those of self-correction."
    yield f"Scores: {difference_words(rows[DEBATE, AGAIN], AGAIN)}."
    gap = oracle_gap(_of(one.standing, DEBATE), _of(table, DEBATE))
    if gap is not None:
        yield f"Oracle gap of the debate {gap.points.text()} points; of its first answers and their majority"
        yield f"{gap.alone.text()} points."
    found = exposure_of(one.heard)
    if found is None:
        yield "No reply of the debate that states an answer was shown another one than its agent's own.\n"
        return
    yield f"\n| replies of the debate | shown another answer ({found.exposed}) | shown no other ({found.others}) |"
    yield "| --- | --- | --- |"
    for name, word in _SHARES.items():
        yield f"| {word} | {_or_none(found.values[name])} | {_or_none(found.placebo[name])} |"
    yield ""


def _or_none(found: Interval | None) -> str:
    return "no such turns" if found is None else found.text()


def _of(table: pl.DataFrame, organisation: str) -> pl.DataFrame:
    return table.filter(pl.col("organisation") == organisation)
