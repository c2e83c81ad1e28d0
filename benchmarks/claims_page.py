"""The page "Three claims, asked of small models", written from what is kept of the comparisons.

No figure stands in this file. Each sentence follows from the tables; a comparison that is not finished has no line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from analysis.interval import Interval, shown
from analysis.measures.exposure import share_of
from analysis.measures.independence import IndependentVotes, independent_votes
from analysis.measures.standing import oracle_gap
from analysis.measures.team_size import MISFIT, SizedRun, TeamSize, team_size
from analysis.stats import PairedRow, compare_paired
from analysis.stats.permutation import holm
from benchmarks.claims import CLAIMS, TWICE, ClaimsPart
from benchmarks.claims import TEAMS as TEAMS_FILE
from benchmarks.when import DEBATE, PLACEBO, ROOT
from benchmarks.when_facts import commonest
from benchmarks.when_page import LEVEL, p_words, took_table

PAGE: Final = ROOT / "docs" / "experiments" / "claims-with-small-models.md"
VOTE: Final = "vote-"
AGAIN: Final = "self-correction"
FIRST: Final = "first answers"
TALKING: Final = "debate-"
"""Teams of several sizes that talk, as `VOTE` those that do not."""
READING: Final = "placebo-"
"""The same with claims about another question."""
PAIRS: Final = (
    (AGAIN, FIRST), (DEBATE, FIRST), (PLACEBO, FIRST), (DEBATE, AGAIN), (PLACEBO, AGAIN), (DEBATE, PLACEBO),
)  # fmt: skip
"""What is compared with what; of a debate nothing is told without its placebo."""
PILOT_MOST: Final = 5
"""Agents of the largest team of a pilot."""
UNTOLD: Final = "cannot be told"
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
  same seed; temperature 0.8, no system prompt, at most 16 tokens a reply. Reviews are positive or negative; a task of
  arithmetic is a sum, a difference or a product; a question of choice (of capitals, elements, numerals, days) has four
  options. Where there are options, replies are held to their words.
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
Claimed (arXiv 2606.02646, fitted to the diversity of answers and to correctness): N agents are worth N_eff = N / (1 +
c (N - 1) N^-b) independent ones; a pilot of five foretells the ceiling of thirty; on mathematics with free answers, "at
four times the scale", a placebo does as well as self-correction (that is looked at in the next section).
These tasks are easier and these models smaller.

Voters who hear nobody, with one model and one prompt, are as alike in a large team as in a small one. So b is 0 here by
design, whatever the models do, and these runs speak neither for the law nor against it. They say how large c is, which
is how unequal the tasks are in difficulty for the model, and how well two to five agents measure it. A test of the law
needs teams whose agents hear each other or differ.

N_eff counts final votes that are right ([how](../metrics.md)); above N it means that votes are less alike than chance
makes them. Forecast and measurement rest on the same tasks, and the first five of the thirty are the pilot. Where their
intervals have no value in common the forecast is contradicted; where the upper end of one of them is more than
{NARROW:g} times its lower one it is too wide to tell much. An interval in round brackets ends where the search did.
"""
MOVEMENT: Final = """\
Claimed (arXiv 2508.17536): most of what debates gain is the vote's; in a model of debate, beliefs do not move on
average; interventions that favour right answers can make debate gain, and there are none here. What would speak
against it: a debate whose vote is better than that of the first answers, and single answers that differ between the
debate and its placebo. *Better* and *worse*: the corrected p is at most 0.05; *cannot be told*: it is above.
"""
TEAMS: Final = """\
Agents that hear each other need not be as alike in a large team as in a small one. So here the law can fail: by the fit
of all teams (p below 0.05), or by a forecast for the largest team that the measurement contradicts. In each team all
read the first answers of all others; what counts are last answers, and the teams begin with the same first ones. Larger
teams also read longer prompts; so placebos of the same sizes stand beside them, which read as many claims about another
question.
"""
CONSENSUS: Final = f"""\
Claimed (arXiv 2605.00914, of teams of models of 7 to 8 billion parameters in three rounds): debate costs 2.1 to 3.4
times the tokens of isolated self-correction for equal or lower accuracy; agents adopt the most frequent answer (modal
adoption), leave right answers (vulnerability: right to wrong) and lose what one of them had (oracle gap). How many
times the tokens follows from rounds, agents and the length of claims. An oracle gap grows with the number of answers
that are counted: ten are counted of each organisation here, and five of the first answers.

Shares are of the agents that answered twice, with their numbers; of fewer than {FEW_TASKS} tasks none is told. *Ends at
the others' answer*: of agents whose first answer is none of the most frequent first answers of the other four, how many
end at one of these. Agents who read nothing of their question end there too; only what the debate has beyond its
placebo can be adoption. With two options every change counts.
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
            blocks += _talking(teams)
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


def sized(one: ClaimsPart, start: str = VOTE) -> dict[int, str]:
    """Return the teams of a comparison that differ in N, increasing, by N."""
    names = one.standing["organisation"].unique().to_list()
    return dict(sorted((int(name.removeprefix(start)), name) for name in names if name.startswith(start)))


def team(one: ClaimsPart, n: int, start: str = VOTE) -> IndependentVotes | str:
    """Return N_eff of the last votes of a team over the tasks in which all of them answered, or why there is none."""
    found = independent_votes(_of(one.standing, sized(one, start)[n]))
    if isinstance(found, str):
        return found.removeprefix("N_eff of final votes: ")
    if found is None or found.n != n:
        return f"in too few tasks all {n} gave an answer"
    return found


def law(one: ClaimsPart, most: int, start: str = VOTE) -> TeamSize | None:
    """Return the law of the teams of at most so many; None where fewer than two of them have an N_eff."""
    known = [team(one, n, start) for n in sized(one, start) if n <= most]
    return team_size(
        [SizedRun(votes, "") for votes in known if isinstance(votes, IndependentVotes)], target=max(sized(one, start))
    )


@dataclass(frozen=True)
class Forecast:
    """A forecast is what small teams foretold of the largest one, and what became of it."""

    text: str
    contradicted: bool = False


def foretold(one: ClaimsPart, start: str = VOTE) -> Forecast:
    """Return the forecast; one of which nothing can come is a reason."""
    largest = max(sized(one, start))
    fitted, seen = law(one, PILOT_MOST, start), team(one, largest, start)
    small = f"teams of up to {PILOT_MOST}"
    if fitted is None:
        return Forecast(f"{small} foretell nothing: fewer than two of them have an N_eff")
    if fitted.predicted is None:
        return Forecast(f"{small} foretell nothing: {largest} is among them")
    if fitted.fit is not None and fitted.fit < MISFIT:
        return Forecast(f"{small} foretell nothing: they do not follow the law, p {p_words(fitted.fit)}")
    said = f"{small} foretold {fitted.predicted.text()}"
    if isinstance(seen, str):
        return Forecast(f"{said}, which nothing can be held against")
    if fitted.predicted.high < seen.votes.low or seen.votes.high < fitted.predicted.low:
        return Forecast(f"{said}, which the measurement contradicts", contradicted=True)
    named = (("forecast", fitted.predicted), ("measurement", seen.votes))
    if wide := [name for name, each in named if each.high > NARROW * each.low]:
        little = f"the {' and the '.join(wide)} tell{'s' * (len(wide) < 2)} little, being too wide"
        return Forecast(f"{said}, which is not contradicted, but {little}")
    return Forecast(f"{said}, which is not contradicted")


def worth(one: ClaimsPart, start: str = VOTE) -> str:
    """Return what the largest team is worth."""
    largest = max(sized(one, start))
    seen = team(one, largest, start)
    if isinstance(seen, str):
        return f"what a team of {largest} is worth cannot be measured ({seen})"
    return f"a team of {largest} is worth {seen.votes.text()} independent votes"


def undrawn(one: ClaimsPart) -> pl.DataFrame:
    """Return the table with the score of the vote, the mean over answers that tie, in place of a drawn one."""
    return one.part.results.table.with_columns(score=pl.col("majority_correct").fill_null(0.0))


def votes_of(one: ClaimsPart) -> pl.DataFrame:
    """Return the score of the vote of each task: columns organisation, task, seed, score."""
    names = {f"{VOTE}{PILOT_MOST}": FIRST} | {name: name for name in TWICE}
    return (
        undrawn(one)
        .filter(pl.col("organisation").is_in(list(names)))
        .select(pl.col("organisation").replace_strict(names, return_dtype=pl.String), "task", "seed", "score")
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


def mean_of(table: pl.DataFrame, organisation: str) -> Interval:
    """Return the mean score of an organisation, by its own rows alone."""
    return compare_paired(_of(table, organisation), baseline=organisation, cluster=("task",)).baseline.mean


def verdict(row: PairedRow) -> str:
    """Return what a difference shows."""
    if row.p_holm > LEVEL:
        return UNTOLD
    return "better" if row.difference.value > 0 else "worse"


def grouped(pairs: Sequence[tuple[ClaimsPart, PairedRow]]) -> str:
    """Return for which comparisons each verdict holds, with the differences that are told."""
    told = [
        f"{verdict(row)} by {row.difference.text(sign=True)} in {label(one)}"
        for one, row in pairs
        if verdict(row) != UNTOLD
    ]
    rest = [label(one) for one, row in pairs if verdict(row) == UNTOLD]
    if not told:
        return f"{UNTOLD} in any of them" if len(pairs) > 1 else f"{UNTOLD} in {rest[0]}"
    return "; ".join([*told, f"{UNTOLD} in {', '.join(rest)}"] if rest else told)


def one_answer(one: ClaimsPart) -> str | None:
    """Return a sentence where nearly all last answers are the same one, whatever is asked; None where they are not."""
    firsts = _of(one.answers, AGAIN)["first"]
    told: dict[str, list[str]] = {}
    for name in TWICE:
        last = _of(one.answers, name)["last"]
        answer, n = commonest(last)
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


def _summary(pairs: Sequence[tuple[ClaimsPart, Differences]], teams: ClaimsPart | None) -> Iterator[str]:
    yield "## What came out\n"
    for one, _ in pairs:
        yield f"- **Further agents, {label(one)}.** Who hear nobody: {worth(one)}; {foretold(one).text}."
    if teams is not None:
        yield f"- **Teams that talk, {label(teams)}.** {talking_words(teams)}"
    for start, name, base, claim in (
        ("Debate or vote", DEBATE, FIRST, "The debate less its first answers"),
        ("Debate or placebo", DEBATE, PLACEBO, "The debate less its placebo"),
        ("Placebo or looking again", PLACEBO, AGAIN, "The placebo less self-correction"),
        ("Consensus", DEBATE, AGAIN, "The debate less self-correction"),
    ):
        votes, singles = ([(one, getattr(rows[name, base], of)) for one, rows in pairs] for of in ("votes", "singles"))
        yield f"- **{start}.** {claim}. Votes: {grouped(votes)}. Single answers: {grouped(singles)}."
    cost = ", ".join(f"{_times(one):.2f} ({label(one)})" for one, _ in pairs)
    yield f"- **Tokens.** The debate takes so many times the tokens of self-correction: {cost}."
    if same := [label(one) for one, _ in pairs if one_answer(one) is not None]:
        yield f"- **One answer.** In {', '.join(same)} at least {100 * ONE_ANSWER:.0f} % of the last answers of an"
        yield "  organisation are the same one, so that its differences say little of reading."
    yield ""
    names = {one.part.name for one, _ in pairs} | ({teams.part.name} if teams is not None else set())
    if rest := [f"`{name}`" for name in (*CLAIMS, TEAMS_FILE) if name not in names]:
        yield f"Not made yet: {', '.join(rest)}.\n"


def _times(one: ClaimsPart) -> float:
    """Return the tokens of the debate over those of self-correction."""
    table = one.part.results.table
    spent = [float(_of(table, name)["tokens"].sum()) for name in (DEBATE, AGAIN)]
    return spent[0] / spent[1]


def _team_sizes(one: ClaimsPart, _: Differences, start: str = VOTE) -> Iterator[str]:
    alone = start == VOTE
    heads = ["N", "score of the vote [95 %]", "N_eff [95 %]", "correlation of two votes [95 %]", "tasks with N votes"]
    heads += [] if alone else ["agents without a second answer"]
    yield f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|"
    table = undrawn(one)
    teams = {n: team(one, n, start) for n in sized(one, start)}
    for n, found in teams.items():
        name = sized(one, start)[n]
        cells = [str(n), mean_of(table, name).text(), *["-"] * 3]
        if isinstance(found, IndependentVotes):
            cells[2:] = [found.votes.text(), found.rho.text(), str(found.n_tasks)]
        if not alone:
            own = _of(one.standing, name)
            cells.append(f"{int((own['voters'] - own['revisers']).sum())} of {n * _of(table, name).height}")
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from (f"- No N_eff of {n}: {found}." for n, found in teams.items() if isinstance(found, str))
    fits = {most: law(one, most, start) for most in (PILOT_MOST, max(teams))}
    for most, fitted in fits.items():
        yield f"- Teams of up to {most}: {law_words(fitted)}."
    yield f"- Of {max(teams)}: {foretold(one, start).text}.\n"


def _talking(one: ClaimsPart) -> Iterator[str]:
    """Yield the section of teams that talk, and of those that read about another question."""
    yield f"**Teams that talk** ({label(one)})\n\n{TEAMS}"
    for start, name in ((TALKING, "Debates"), (READING, "Their placebos")):
        if sized(one, start):
            yield f"{name}:\n"
            yield from _team_sizes(one, {}, start)


def talking_words(teams: ClaimsPart) -> str:
    """Return what teams that talk say of the law, and those that read about another question beside them."""
    known = list(sized(teams, TALKING))
    text = f"Debates of {known[0]} to {known[-1]}: {worth(teams, TALKING)}; {law_verdict(teams, TALKING)}"
    if sized(teams, READING):
        text += f" Their placebos: {worth(teams, READING)}; {law_verdict(teams, READING)}"
    return text


def law_verdict(teams: ClaimsPart, start: str) -> str:
    """Return whether teams depart from the law: by the fit of all of them, or by the forecast."""
    fitted, forecast = law(teams, max(sized(teams, start)), start), foretold(teams, start)
    said = f"{forecast.text}."
    if fitted is None or fitted.fit is None:
        return f"{said} The law is not tested."
    if fitted.fit < MISFIT or forecast.contradicted:
        how = " and ".join(
            word
            for word, holds in (
                (f"its fit (p {p_words(fitted.fit)})", fitted.fit < MISFIT),
                ("its forecast", forecast.contradicted),
            )
            if holds
        )
        return f"{said} The law fails by {how}."
    if fitted.b.open_low and fitted.b.open_high:
        return f"{said} Every b fits, so they say nothing of the law."
    return f"{said} No departure from the law is shown (p of the fit {p_words(fitted.fit)}, b {fitted.b.brackets()})."


def law_words(fitted: TeamSize | None) -> str:
    """Return the law of some teams and the p of its fit."""
    if fitted is None:
        return "fewer than two have an N_eff, so no law is fitted"
    said = f"b {fitted.b.brackets()} about {fitted.b.value:.3g}, c {fitted.c.brackets()} about {fitted.c.value:.3g}"
    listed = ", ".join(str(n) for n in fitted.sizes)
    return f"{said}, over N = {listed}" + ("" if fitted.fit is None else f"; p of the fit {p_words(fitted.fit)}")


def _movements(one: ClaimsPart, rows: Differences) -> Iterator[str]:
    votes, singles = votes_of(one), singles_of(one)
    yield "| | vote of five [95 %] | single answers [95 %] | agents without a second answer |\n" + "| --- " * 4 + "|"
    for name in (FIRST, *TWICE):
        once = (
            "" if name == FIRST else f"{(_of(one.answers, name)['said'] < 2).sum()} of {_of(one.answers, name).height}"
        )
        yield f"| {name} | {mean_of(votes, name).text()} | {mean_of(singles, name).text()} | {once} |"
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
    table = undrawn(one)
    tasks = table["task"].n_unique()
    gaps = {name: oracle_gap(_of(one.standing, name), _of(table, name)) for name in TWICE}
    yield f"| | {' | '.join(TWICE)} |\n" + "| --- " * 4 + "|"
    spent = [shown(float(_of(table, name)["tokens"].sum()) / tasks) for name in TWICE]
    yield f"| tokens a task | {' | '.join(spent)} |"
    points = ["-" if gap is None else gap.points.text() for gap in gaps.values()]
    yield f"| oracle gap, points [95 %] | {' | '.join(points)} |"
    moved = {name: changes(_of(one.answers, name)) for name in TWICE}
    for said, turns, holds in (
        ("ends at the others' answer", pl.col("led"), pl.col("followed")),
        ("right to wrong", pl.col("right_first") == 1, pl.col("right_last") != 1),
        ("wrong to right", pl.col("right_first") == 0, pl.col("right_last") != 0),
    ):
        cells = [counted(rows.filter(turns), holds) for rows in moved.values()]
        yield f"| {said} [95 %] | {' | '.join(cells)} |"
    yield f"\nThe debate takes {_times(one):.2f} times the tokens of self-correction."
    if (first := gaps[AGAIN]) is not None:
        yield f"Oracle gap of the first answers: {first.alone.text()} points."
    yield f"{said}\n" if (said := one_answer(one) or "") else ""


def changes(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the agents that answered twice, with columns led and followed.

    ``led``: the most frequent first answers of the others of its team do not include its own; ``followed``: its last
    answer is one of these.
    """
    rows = []
    for _, own in answers.group_by("task", maintain_order=True):
        firsts = dict(own.select("agent", "first").iter_rows())
        for row in own.filter(pl.col("said") > 1).iter_rows(named=True):
            counts = Counter(answer for agent, answer in firsts.items() if agent != row["agent"])
            most = {answer for answer, n in counts.items() if n == max(counts.values())}
            led = bool(most) and row["first"] not in most
            rows.append({**row, "led": led, "followed": led and row["last"] in most})
    return pl.DataFrame(rows, schema={**answers.schema, "led": pl.Boolean, "followed": pl.Boolean})


def counted(turns: pl.DataFrame, holds: pl.Expr) -> str:
    """Return the share of turns for which something holds, with what it is of; no share of few tasks."""
    tasks = turns["task"].n_unique()
    found: Interval | None = share_of(turns, holds) if tasks >= FEW_TASKS else None
    if found is None:
        return f"too few tasks ({tasks})"
    return f"{found.text()} of {turns.height} in {tasks} tasks"


def _of(table: pl.DataFrame, organisation: str) -> pl.DataFrame:
    return table.filter(pl.col("organisation") == organisation)
