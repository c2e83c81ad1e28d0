"""The page "Three claims, asked of small models", written from what is kept of the comparisons.

No figure stands in this file. Each sentence follows from the tables; a comparison that is not finished has no line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from analysis.interval import Interval, shown
from analysis.measures.exposure import share_of
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import oracle_gap
from analysis.measures.team_size import FLAT, MISFIT, SizedRun, TeamSize, team_size
from analysis.stats import PairedRow, compare_paired
from analysis.stats.paired import MeanRow
from analysis.stats.permutation import holm
from benchmarks.claims import CLAIMS, TWICE, ClaimsPart
from benchmarks.claims import TEAMS as TEAMS_FILE
from benchmarks.when import DEBATE, PLACEBO, ROOT
from benchmarks.when_page import LEVEL, p_words, took_table

PAGE: Final = ROOT / "docs" / "experiments" / "claims-with-small-models.md"
VOTE: Final = "vote-"
AGAIN: Final = "self-correction"
FIRST: Final = "first answers"
TALKING: Final = "debate-"
"""Teams of several sizes that talk, as `VOTE` those that do not."""
PAIRS: Final = (
    (AGAIN, FIRST), (DEBATE, FIRST), (PLACEBO, FIRST), (DEBATE, AGAIN), (PLACEBO, AGAIN), (DEBATE, PLACEBO),
)  # fmt: skip
"""What is compared with what; of a debate nothing is told without its placebo."""
PILOT_MOST: Final = 5
"""Agents of the largest team of a pilot."""
NARROW: Final = 3.0
"""Upper over lower end of a prediction or a measurement above which hardly any value could contradict it."""
ONE_ANSWER: Final = 0.8
"""Share of last answers from which on an answer is called the one that nearly all give."""
FEW_TASKS: Final = 8
"""Tasks below which no share is told."""

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
  same seed; temperature 0.8, no system prompt, at most 16 tokens a reply. Reviews are positive or negative; sums and
  products are sums, differences and products; a question has four options. Where there are options, replies are held to
  their words.
- **First answers are the same everywhere.** Nobody is told how many there are. So the smaller team is the first agents
  of the larger, and the five who vote, look again, debate or read a placebo begin with the same answers.
- **Two rounds.** In the second one each of the five answers again: alone (self-correction), with the claims of the four
  others in view (debate), or with as many claims that were said about another question (placebo). Those who read claims
  are also asked which of them their answer rests on, in a form of its own; who looks again alone is not. So debate less
  placebo is a difference of what is read, and either less self-correction is not that alone.
- **Votes and single answers.** A vote scores what most of the five say; where answers tie it counts their mean, so no
  draw is in it. Single answers are the mean accuracy of the five. An agent without a second answer that can be used
  keeps its first one.
- **Tests.** Differences are paired by task; p by swapping names, corrected by Holm over the twelve differences of a
  model ([statistics](../statistics.md)) and not over the models. They were chosen after the runs were made: at first
  only five differences of scores were to be told, with the draws of ties in them. Each interval holds by itself: one
  that leaves 0 out can have a corrected p above 0.05, and then it cannot be told whether there is a difference.
- **Again.** `make study` makes these comparisons too, and `python -m benchmarks.study_when page` writes this page from
  `benchmarks/results/study`. The measures are those of [`agentsoc metrics`](../metrics.md).
"""
RINGELMANN: Final = f"""\
Claimed (arXiv 2606.02646, of the diversity of answers and of correctness): N agents are worth N_eff = N / (1 + c
(N - 1) N^-b) independent ones; a pilot of five foretells the ceiling of thirty; on mathematics with free answers, at
four times the scale, a placebo does as well as self-correction. These tasks are easier and these models smaller.

Voters who hear nobody, with one model and one prompt, are as alike in a large team as in a small one. So b is 0 here by
design, whatever the models do, and these runs speak neither for the law nor against it. They say how large c is (how
alike a model's answers are, mostly because tasks are easy or hard for it), and how well two to five agents measure it.
A test of the law needs teams whose agents hear each other or differ.

N_eff counts final votes that are right ([how](../metrics.md)). Prediction and measurement rest on the same tasks, and
the first five of the thirty are the pilot. A prediction or a measurement whose upper end is more than {NARROW:g} times
its lower one is called too wide to be wrong. *Hard ceiling*: the interval of b holds 0 and lies within {FLAT:g} of it;
*undecided*: it is open, or holds 0 and reaches further, or the law does not fit (p below {MISFIT:g}).
"""
MOVEMENT: Final = """\
Claimed (arXiv 2508.17536): most of what debates gain is the vote's; in a model of debate, beliefs do not move on
average; interventions that favour right answers can make debate gain, and there are none here. What would speak
against it: a debate whose vote is better than that of the first answers, and single answers that the debate moves more
than its placebo does.
"""
TEAMS: Final = """\
Agents that hear each other need not be as alike in a large team as in a small one. So here the law can fail: by its
fit, or by a prediction for the largest team that the measurement contradicts. In each team all read the first answers
of all others; what counts are last answers, and the teams begin with the same first ones.
"""
CONSENSUS: Final = """\
Claimed (arXiv 2605.00914, of teams of models of 7 to 8 billion parameters in three rounds): debate costs 2.1 to 3.4
times the tokens of isolated self-correction for equal or lower accuracy; agents adopt the most frequent answer (modal
adoption), leave right answers (vulnerability: right to wrong) and lose what one of them had (oracle gap). How many
times the tokens follows from rounds, agents and the length of claims. An oracle gap grows with the number of answers
that are counted: ten are counted of each organisation here, and five of the first answers. Shares are of the agents
that answered twice, with their numbers; of fewer than 8 tasks none is told.
"""
LIMITS: Final = """\
## What does not follow

- That other models, tasks or prompts would do the same. Each model was asked one kind of tasks, so differences between
  the sections are not differences between models alone.
- That there is no difference where none is told. The intervals say what so few tasks leave open.
- That an unmoved mean shows a martingale: a mean over tasks can stay while easy tasks gain and hard ones lose.
- That the law of team sizes holds: {law}
- That agents reason. They give a word or a number, without any steps.
"""


@dataclass(frozen=True)
class Difference:
    """A difference is told of votes and of single answers."""

    votes: PairedRow
    singles: PairedRow


Differences = dict[tuple[str, str], Difference]
"""By (organisation, baseline), those of `PAIRS`."""


def page(found: Sequence[ClaimsPart], teams: ClaimsPart | None = None) -> str | None:
    """Return the page; None without a finished comparison.

    Args:
        found: comparisons of those who vote, look again, debate and read a placebo.
        teams: the one of teams that talk.
    """
    if not found:
        return None
    pairs = [(one, differences(one)) for one in found]
    blocks = [INTRODUCTION, *_summary(pairs, teams), METHOD]
    for heading, claim, section in (
        ("The Ringelmann law: what further agents are worth", RINGELMANN, _team_sizes),
        ("Debate or vote: which of the two gains", MOVEMENT, _movements),
        ("The cost of consensus: what agents make of what they are shown", CONSENSUS, _exchange),
    ):
        blocks += [f"## {heading}\n", claim]
        for one, rows in pairs:
            blocks += [f"**{about(one)}** ({label(one)})\n", *section(one, rows)]
        if section is _team_sizes and teams is not None:
            blocks += [f"**Teams that talk** ({label(teams)})\n", TEAMS, *_team_sizes(teams, {})]
    every = [*found, teams] if teams is not None else found
    took = "\n".join(took_table([one.part for one in every], "../providers.md"))
    asked = "of voters who hear nobody it could not have failed"
    asked += "." if teams is None else ", and of teams that talk it was asked once."
    return "\n".join([*blocks, took, LIMITS.format(law=asked)]).rstrip() + "\n"


def about(one: ClaimsPart) -> str:
    """Return what a comparison is about."""
    return one.part.about.rstrip(".")


def label(one: ClaimsPart) -> str:
    """Return the name of a comparison in a sentence: its model and its kind of tasks."""
    return f"{one.part.made['model']} on {one.part.results.table['tasks'][0]}"


def sized(one: ClaimsPart) -> dict[int, str]:
    """Return the teams of a comparison that differ in N, by N: those who vote alone, or else those that talk."""
    names = one.standing["organisation"].unique().to_list()
    for start in (VOTE, TALKING):
        if found := {int(name.removeprefix(start)): name for name in names if name.startswith(start)}:
            return dict(sorted(found.items()))
    return {}


def sizes(one: ClaimsPart) -> list[int]:
    """Return the N of the teams of a comparison, increasing."""
    return list(sized(one))


def team(one: ClaimsPart, n: int) -> IndependentVotes | str:
    """Return N_eff of the last votes of a team over the tasks in which all of them answered, or why there is none."""
    found = independent_votes(_of(one.standing, sized(one)[n]))
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


def foretold(one: ClaimsPart) -> tuple[str, str]:
    """Return what the small teams foretold of the largest, and what became of it."""
    largest = sizes(one)[-1]
    fitted, seen = law(one, PILOT_MOST), team(one, largest)
    if fitted is None or fitted.predicted is None:
        return "nothing", "no law can be fitted"
    if fitted.fit is not None and fitted.fit < MISFIT:
        return "nothing", f"they do not follow the law, p = {fitted.fit:.2g}"
    said = fitted.predicted.text()
    if isinstance(seen, str):
        return said, "it cannot be measured"
    if fitted.predicted.high < seen.votes.low or seen.votes.high < fitted.predicted.low:
        return said, "the intervals have no value in common"
    if any(one.high > NARROW * one.low for one in (fitted.predicted, seen.votes)):
        return said, "too wide to be wrong"
    return said, "the intervals overlap, which does not show that they agree"


def worth(one: ClaimsPart) -> str:
    """Return what the largest team is worth."""
    seen = team(one, sizes(one)[-1])
    return seen if isinstance(seen, str) else seen.votes.text()


def votes_of(one: ClaimsPart) -> pl.DataFrame:
    """Return the score of the vote of each task, without the draw of a tie: columns organisation, task, seed, score."""
    table = one.part.results.table.with_columns(score=pl.col("majority_correct").fill_null(0.0))
    names = {f"{VOTE}{PILOT_MOST}": FIRST} | {name: name for name in TWICE}
    return table.filter(pl.col("organisation").is_in(list(names))).select(
        pl.col("organisation").replace_strict(names, return_dtype=pl.String), "task", "seed", "score"
    )


def singles_of(one: ClaimsPart) -> pl.DataFrame:
    """Return the mean accuracy of the agents of each task: columns organisation, task, seed, score."""
    every = [(name, name, "right_last") for name in TWICE]
    tables = [
        _of(one.answers, name)
        .group_by("task", maintain_order=True)
        .agg(score=pl.col(right).mean())
        .select(pl.lit(shown_as).alias("organisation"), "task", pl.lit(0).alias("seed"), "score")
        for name, shown_as, right in (*every, (AGAIN, FIRST, "right_first"))
    ]
    return pl.concat(tables)


def differences(one: ClaimsPart) -> Differences:
    """Return the differences of a comparison, p corrected over all of votes and of single answers together."""
    found: dict[tuple[str, str, bool], PairedRow] = {}
    for votes, table in ((True, votes_of(one)), (False, singles_of(one))):
        for base in dict.fromkeys(base for _, base in PAIRS):
            compared = compare_paired(table, baseline=base, cluster=("task",))
            found |= {(name, base, votes): compared.row(name) for name, other in PAIRS if other == base}
    corrected = holm(np.array([row.p for row in found.values()]))
    rows = {key: replace(row, p_holm=float(p)) for (key, row), p in zip(found.items(), corrected, strict=True)}
    return {(name, base): Difference(rows[name, base, True], rows[name, base, False]) for name, base in PAIRS}


def means(table: pl.DataFrame) -> dict[str, MeanRow]:
    """Return the mean of each organisation of a table."""
    compared = compare_paired(table, baseline=FIRST, cluster=("task",))
    return {row.organisation: row for row in (compared.baseline, *compared.rows)}


def verdict(row: PairedRow) -> str:
    """Return what a difference shows."""
    if row.p_holm > LEVEL:
        return "cannot be told"
    return "better" if row.difference.value > 0 else "worse"


def grouped(pairs: Sequence[tuple[ClaimsPart, PairedRow]]) -> str:
    """Return for which comparisons each verdict holds."""
    groups: dict[str, list[str]] = {"better": [], "worse": [], "cannot be told": []}
    for one, row in pairs:
        groups[verdict(row)].append(label(one))
    if len(pairs) > 1 and any(len(names) == len(pairs) for names in groups.values()):
        return next(
            f"{word} in any of them" if word == "cannot be told" else f"{word} in all"
            for word, names in groups.items()
            if names
        )
    return "; ".join(f"{word} in {', '.join(names)}" for word, names in groups.items() if names)


def one_answer(one: ClaimsPart) -> str | None:
    """Return a sentence where nearly all last answers are the same one, whatever is asked; None where they are not."""
    firsts = _of(one.answers, AGAIN)["first"]
    told: dict[str, list[str]] = {}
    for name in TWICE:
        last = _of(one.answers, name)["last"]
        answer, n = _commonest(last)
        if n >= ONE_ANSWER * len(last) and (firsts == answer).sum() < ONE_ANSWER * len(firsts):
            told.setdefault(answer, []).append(f"{n} of {len(last)} after {name}")
    if not told:
        return None
    found = "; ".join(
        f'"{answer}": {", ".join(shares)}, {(firsts == answer).sum()} of {len(firsts)} first ones'
        for answer, shares in told.items()
    )
    return (
        f"Whatever is asked, nearly all answers of the second round are one and the same ({found}). So these figures"
        " say mostly how many tasks have that right answer, and little of reading."
    )


def _commonest(answers: pl.Series) -> tuple[str, int]:
    counts = answers.value_counts(sort=True)
    return str(counts[answers.name][0]), int(counts["count"][0])


def _summary(pairs: Sequence[tuple[ClaimsPart, Differences]], teams: ClaimsPart | None) -> Iterator[str]:
    yield "## What came out\n"
    largest = max(sizes(one)[-1] for one, _ in pairs)
    values = "; ".join(f"{worth(one)} ({label(one)})" for one, _ in pairs)
    pilots = "; ".join(f"{said} ({why})" for said, why in (foretold(one) for one, _ in pairs))
    yield f"- **Further agents.** {largest} voters who hear nobody are worth so many independent ones: {values}."
    yield f"  Foretold from teams of up to {PILOT_MOST}, in this order: {pilots}. The law itself is not tested."
    if teams is not None:
        yield f"- **Teams that talk.** {talking_words(teams)}"

    def told(name: str, base: str) -> str:
        votes, singles = ([(one, getattr(rows[name, base], of)) for one, rows in pairs] for of in ("votes", "singles"))
        return f"the vote: {grouped(votes)}; single answers: {grouped(singles)}."

    yield f"- **Debate or vote.** Debate less first answers, {told(DEBATE, FIRST)}"
    yield f"  Debate less its placebo, {told(DEBATE, PLACEBO)}"
    yield f"- **Placebo.** Placebo less looking again alone, {told(PLACEBO, AGAIN)}"
    cost = ", ".join(f"{_times(one):.2f}" for one, _ in pairs)
    yield f"- **Consensus.** The debate takes {cost} times the tokens of self-correction (in the order above)."
    yield f"  Debate less self-correction, {told(DEBATE, AGAIN)}"
    if same := [label(one) for one, _ in pairs if one_answer(one) is not None]:
        yield f"- **One answer.** In the second round nearly all answers are the same one in {', '.join(same)}, so that"
        yield "  its differences say little of reading."
    yield ""
    names = {one.part.name for one, _ in pairs} | ({teams.part.name} if teams is not None else set())
    if rest := [f"`{name}`" for name in (*CLAIMS, TEAMS_FILE) if name not in names]:
        yield f"These are not made yet: {', '.join(rest)}. Nothing here is about them.\n"


def _times(one: ClaimsPart) -> float:
    """Return the tokens of the debate over those of self-correction."""
    table = one.part.results.table
    spent = [float(_of(table, name)["tokens"].sum()) for name in (DEBATE, AGAIN)]
    return spent[0] / spent[1]


def _team_sizes(one: ClaimsPart, _: Differences) -> Iterator[str]:
    yield "| N | score of the vote [95 %] | N_eff [95 %] | correlation of two votes [95 %] | tasks with N votes |"
    yield "| --- " * 5 + "|"
    table = one.part.results.table.with_columns(score=pl.col("majority_correct").fill_null(0.0))
    compared = compare_paired(table, baseline=sized(one)[PILOT_MOST], cluster=("task",))
    scores = {row.organisation: row.mean for row in (compared.baseline, *compared.rows)}
    teams = {n: team(one, n) for n in sizes(one)}
    for n, found in teams.items():
        cells = ["-"] * 3
        if isinstance(found, IndependentVotes):
            cells = [found.votes.text(), found.rho.text(), str(found.n_tasks)]
        yield f"| {n} | {scores[sized(one)[n]].text()} | {' | '.join(cells)} |"
    yield ""
    yield from (f"- No N_eff of {n}: {found}." for n, found in teams.items() if isinstance(found, str))
    for most, name in ((PILOT_MOST, f"Teams of up to {PILOT_MOST}"), (sizes(one)[-1], "All teams")):
        yield f"- {name}: {law_words(law(one, most))}."
    said, why = foretold(one)
    yield f"- Foretold of {sizes(one)[-1]}: {said} ({why}); measured: {worth(one)}.\n"


def talking_words(teams: ClaimsPart) -> str:
    """Return what teams that talk say of the law."""
    known = sizes(teams)
    fitted = law(teams, known[-1])
    said, why = foretold(teams)
    text = f"Debates of {known[0]} to {known[-1]} ({label(teams)}): {known[-1]} are worth {worth(teams)} independent"
    text += f" voters; foretold from teams of up to {PILOT_MOST}: {said} ({why})."
    if fitted is None or fitted.fit is None:
        return f"{text} The law cannot be tested."
    if fitted.fit < MISFIT:
        return f"{text} They do not follow the law (p = {fitted.fit:.2g})."
    return f"{text} They are not shown to depart from the law (p {fitted.fit:.2f}, b {fitted.b.brackets()})."


def law_words(fitted: TeamSize | None) -> str:
    """Return the law of some teams, with the p of its fit and the ceiling that it means."""
    if fitted is None:
        return "fewer than two have an N_eff"
    said = fitted.summary()
    if fitted.fit is not None and fitted.fit >= MISFIT:
        said += f"; p of the fit {fitted.fit:.2f}"
    if fitted.regime == "hard ceiling" and fitted.c.low > 0:
        said += f"; if b is 0, N_eff stays below a ceiling between {1 / fitted.c.high:.2f} and {1 / fitted.c.low:.2f}"
    return said


def _movements(one: ClaimsPart, rows: Differences) -> Iterator[str]:
    votes, singles = means(votes_of(one)), means(singles_of(one))
    yield "| | vote of five [95 %] | single answers [95 %] | agents without a second answer |\n" + "| --- " * 4 + "|"
    for name in (FIRST, *TWICE):
        once = (
            "" if name == FIRST else f"{(_of(one.answers, name)['said'] < 2).sum()} of {_of(one.answers, name).height}"
        )
        yield f"| {name} | {votes[name].mean.text()} | {singles[name].mean.text()} | {once} |"
    yield (
        "\n| difference | votes [95 %] | won/tied/lost | p (Holm) | single answers [95 %] | p (Holm) | |\n"
        + "| --- " * 7
        + "|"
    )
    for (name, base), row in rows.items():
        games = f"{row.votes.wins}/{row.votes.ties}/{row.votes.losses}"
        both = [f"{each.difference.text(sign=True)}" for each in (row.votes, row.singles)]
        words = _verdicts(row)
        yield (
            f"| {name} less {base} | {both[0]} | {games} | {p_words(row.votes.p_holm)} | {both[1]} | "
            f"{p_words(row.singles.p_holm)} | {words} |"
        )
    yield f"\n{said}\n" if (said := one_answer(one)) else ""


def _verdicts(row: Difference) -> str:
    """Return what a difference shows in votes and in single answers."""
    votes, singles = verdict(row.votes), verdict(row.singles)
    return votes if votes == singles else f"votes: {votes}; single answers: {singles}"


def _exchange(one: ClaimsPart, _: Differences) -> Iterator[str]:
    table = one.part.results.table.with_columns(score=pl.col("majority_correct").fill_null(0.0))
    tasks = table["task"].n_unique()
    gaps = {name: oracle_gap(_of(one.standing, name), _of(table, name)) for name in TWICE}
    yield f"| | {' | '.join(TWICE)} |\n" + "| --- " * 4 + "|"
    spent = [shown(float(_of(table, name)["tokens"].sum()) / tasks) for name in TWICE]
    yield f"| tokens a task | {' | '.join(spent)} |"
    points = ["-" if gap is None else gap.points.text() for gap in gaps.values()]
    yield f"| oracle gap, points [95 %] | {' | '.join(points)} |"
    twice = one.answers.filter(pl.col("said") > 1)
    for name, before in (("right to wrong", 1.0), ("wrong to right", 0.0)):
        moved = [
            counted(_of(twice, who).filter(pl.col("right_first") == before), pl.col("right_last") != before)
            for who in TWICE
        ]
        yield f"| {name} [95 %] | {' | '.join(moved)} |"
    adopted = counted(one.heard.filter("led"), pl.col("followed"))
    yield f"\nThe debate takes {_times(one):.2f} times the tokens of self-correction."
    if (first := gaps[AGAIN]) is not None:
        yield f"Oracle gap of the first answers: {first.alone.text()} points."
    yield "Modal adoption in the debate, where the most frequent answer of the others is not one's own:"
    yield f"{adopted}.\n"


def counted(turns: pl.DataFrame, holds: pl.Expr) -> str:
    """Return the share of turns for which something holds, with what it is of; no share of few tasks."""
    tasks = turns["task"].n_unique()
    found: Interval | None = share_of(turns, holds) if tasks >= FEW_TASKS else None
    if found is None:
        return f"too few tasks ({tasks})"
    return f"{found.text()} of {turns.height} in {tasks} tasks"


def _of(table: pl.DataFrame, organisation: str) -> pl.DataFrame:
    return table.filter(pl.col("organisation") == organisation)
