"""The page of the study "When is a society worth its tokens?", written from what is kept of its comparisons.

No figure stands in this file. A part that is not finished has no line on the page, and without any part there is no
page. Whatever is said of talking is said of a debate beside its placebo, in which as much was read that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from analysis.comparison.crossovers import Crossover
from analysis.comparison.curve_text import crossover_text
from analysis.comparison.curves import Curves
from analysis.comparison.text import report_as_dict
from analysis.comparison.verdict import verdict
from analysis.interval import Interval, shown
from analysis.stats import Alternatives, Discordant, PairedRow, compare_paired
from analysis.stats.paired import pilots
from analysis.stats.permutation import holm
from analysis.viewer.charts.budgets import curves_chart
from analysis.viewer.pages.compare import compare_page
from benchmarks.when import DEBATE, PARTS, PLACEBO, ROOT, Part
from benchmarks.when_facts import (
    claims_words,
    cut_words,
    guess_words,
    one_answer,
    read_nothing,
    room_words,
    same_answers,
    worth_words,
)

PAGE: Final = ROOT / "docs" / "when-is-a-society-worth-its-tokens.md"
IMAGES: Final = ROOT / "docs" / "images" / "study"
BANNER: Final = "<!-- Written by benchmarks/study_when.py (page). Do not edit. -->"
LEVEL: Final = 0.05
RATES: Final = (0.1, 0.2, 0.4)
"""Shares of tasks that would tell two equals apart, for which it is said what could be found."""

INTRODUCTION: Final = f"""\
# When is a society worth its tokens?

{BANNER}

Small language models in several organisations, each under the same ceilings of tokens. What each scored for what it
spent, with intervals, and what so few tasks leave open.
The figures are of these models, tasks and dials; they say nothing about strong models.
"""

TALKING: Final = """\
- **Talking.** Beside each debate with several ceilings stands its *placebo*: as many agents are asked as often and read
  about as many claims of the same length, which were said about another question. What is said of talking is debate
  less placebo, at ceilings at which anything is read at all (two rounds or more), corrected by Holm over these. A
  placebo may harm its readers; so a gain is told only where the debate is ahead of the baseline as well.
"""
METHOD: Final = """\
## How it was asked

- **Files.** `scenarios/study/` has a comparison a part. Every organisation has the same tasks and one seed. In
  a part with several ceilings it has one dial, set so that it should not pass the ceiling; many use far less of it. The
  values of the dials are in the files. They were chosen by what calls cost in a pilot of the sums on three tasks, which
  had other ceilings, and in a trial of one or two tasks of another seed.
- **Spending.** A ceiling is not a spending. Scores stand beside what was spent; see [budget curves](budget-curves.md).
- **Tests.** Differences are from the baseline at the same ceiling, paired by task, p by swapping names and corrected by
  Holm over all differences of a part ([statistics](statistics.md)). Of those that are better, the differences from the
  cheapest are corrected by themselves. Intervals, gains and crossovers are each of one comparison and not corrected:
  where an interval leaves out 0 and p is above 0.05, nothing is told. Parts are not corrected for each other. A
  crossover is read between measured points.
- **Again.** `make study` makes all of it, goes on where it stopped, and says first what it takes;
  `python -m benchmarks.study_when page` writes this page from `benchmarks/results/study`.
"""


NOTES: Final = {
    "shelves-1.5b": (
        "The vote and the debate are shown no shelf: they guess among six names. Only the experts can ask for what is\n"
        "on the shelves. So this asks whether experts beat guessing, and nothing is learnt of votes of those who know."
    ),
    "sums-0.5b": "The tasks are 15 sums, 15 differences and 10 products.",
    "orders-0.5b": (
        "Who has no calculator is shown an example that states the answer before its working, so nobody works in\n"
        "steps: these are sums done at once. Who has it is shown an example of a call."
    ),
}
"""What has to be known of the tasks or the prompts of a part."""


@dataclass(frozen=True)
class Talk:
    """What a debate scored beyond its placebo at one ceiling."""

    budget: int
    row: PairedRow
    p: float
    """P value, corrected by Holm over the ceilings."""
    beats_baseline: bool = False
    """Whether the debate is better than the baseline at this ceiling, after the correction of the part."""


def talking(part: Part) -> list[Talk]:
    """Return debate less placebo at each ceiling at which agents read anything and both can be compared."""
    results = part.results
    usable = {row.organisation for row in part.report.rows()}
    rounds = {(dial.organisation, dial.budget): dial.value or 0 for dial in results.record.dials}
    found: list[tuple[int, PairedRow]] = []
    for budget in results.sizes.get(DEBATE, []) if results.at_budgets else []:
        labels = [results.label(name, budget) for name in (PLACEBO, DEBATE)]
        if not set(labels) <= usable or rounds.get((DEBATE, budget), 0) < 2:
            continue
        both = pl.concat([results.table.filter(results.rows_of(label)) for label in labels])
        found.append((budget, compare_paired(both, baseline=PLACEBO, cluster=results.cluster).row(DEBATE)))
    corrected = holm(np.array([row.p for _, row in found]))
    ahead = {
        row.organisation
        for block in part.report.blocks
        for row in block.found.rows
        if row.p_holm <= LEVEL and row.difference.value > 0
    }
    return [
        Talk(budget, row, float(p), results.label(DEBATE, budget) in ahead)
        for (budget, row), p in zip(found, corrected, strict=True)
    ]


def talk_of(part: Part) -> str:
    """Return what can be said of talking in a part; nothing where nobody debates."""
    if DEBATE not in part.results.sizes:
        return ""
    talks, same = talking(part), same_answers(part)
    alike = [
        f"{one.budget:,}"
        for one in talks
        if {part.results.label(name, one.budget) for name in (DEBATE, PLACEBO)} & set(same)
    ]
    if alike and len(alike) == len(talks):
        at = ", ".join(alike)
        return f"Of talking nothing follows: the debate or its placebo gives nearly all tasks one answer at {at}."
    return talk_words(talks, part.results.record.baseline, has_placebo=PLACEBO in part.results.sizes)


def talk_words(talks: Sequence[Talk], base: str, *, has_placebo: bool = False) -> str:
    """Return what can be said of talking, in a sentence or two.

    A placebo may harm its readers, so that to beat it is no gain yet: talking gains where the debate beats the baseline
    at the same ceiling as well.
    """
    if not talks:
        why = "no debate that talks can be held against its placebo" if has_placebo else "there is no placebo"
        return f"Nothing is said of talking: {why}."
    told = [one for one in talks if one.p <= LEVEL]
    each = "; ".join(f"{_difference(one.row.difference)} at {one.budget:,}" for one in told or talks)
    if not told:
        return f"Whether what is said in the debate matters cannot be told: debate less placebo {each}."
    better = {one.row.difference.value > 0 for one in told}
    word = "better" if better == {True} else "worse" if better == {False} else "better at one ceiling, worse at another"
    text = f"What agents read matters, the debate does {word} than its placebo: {each}."
    if better == {False}:
        return text
    ahead = [f"{one.budget:,}" for one in told if one.row.difference.value > 0 and one.beats_baseline]
    if ahead:
        return f"{text} It is ahead of {base} as well at {', '.join(ahead)}: there, talking gains, for what it spends."
    return f"{text} It is not shown to be ahead of {base}, so no gain by talking is shown."


def among_better(part: Part) -> str:
    """Return how those that are better than the baseline at one ceiling differ from the cheapest of them.

    A tool, or an example, may be what is better in all of them; more agents are, only if they beat the cheapest.
    """
    report = part.report
    if report.curves is not None:
        return ""
    (block,) = report.blocks
    better = [row.organisation for row in block.found.rows if row.p_holm <= LEVEL and row.difference.value > 0]
    spent = {name: found.value for name in better if (found := report.metrics[name].values["tokens"]) is not None}
    if len(spent) < 2:
        return ""
    least = min(spent, key=lambda name: spent[name])
    table = part.results.table.filter(pl.col("organisation").is_in(list(spent)))
    rows = compare_paired(table, baseline=least, cluster=part.results.cluster).rows
    each = "; ".join(
        f"{row.organisation} {_difference(row.difference)}, p {p_words(row.p_holm)}, for "
        f"{spent[row.organisation] / spent[least]:.1f} times the tokens"
        for row in rows
    )
    told = [
        f"{row.organisation} is {'better' if row.difference.value > 0 else 'worse'}"
        for row in rows
        if row.p_holm <= LEVEL
    ]
    words = ", ".join(told) if told else "none is told from it"
    return f" Of the better ones {least} is the cheapest. Less {least}: {each} ({words})."


def _difference(found: Interval) -> str:
    return found.text(sign=True)


def page(found: Sequence[Part], pilot: Part | None) -> str | None:
    """Return the page of some parts; None without any."""
    if not found:
        return None
    talked = (TALKING,) if any(PLACEBO in part.results.sizes for part in found) else ()
    blocks = [INTRODUCTION, *_summary(found), METHOD, *talked, *_power(found, pilot)]
    for part in found:
        blocks += _part(part)
    took = [*found, *([] if pilot is None else [pilot])]
    return "\n".join([*blocks, *took_table(took), *_limits()]) + "\n"


def picture(part: Part) -> str | None:
    """Return the picture of a part, SVG; None of one that has no curves."""
    chart = curves_chart(compare_page(report_as_dict(part.report)))
    if chart is None:
        return None
    number = chart.svg.partition('aria-labelledby="t')[2].partition(" ")[0]
    plain = chart.svg.replace(f'"t{number} d{number}"', '"t d"')  # the numbers count pictures of this process
    plain = plain.replace(f'id="t{number}"', 'id="t"').replace(f'id="d{number}"', 'id="d"')
    style = 'class="chart" style="background:#ffffff;font-family:sans-serif"'
    return plain.replace('class="chart"', style, 1) + "\n"


def _summary(found: Sequence[Part]) -> Iterator[str]:
    yield "## What came out\n"
    for part in found:
        worth, note = worth_words(part), NOTES.get(part.name, "").replace("\n", " ")
        yield f"- **{part.about}** {guess_words(part)} {f'{worth} ' if worth else ''}{verdict(part.report)}"
        for said in (among_better(part).strip(), talk_of(part), note):
            if said:
                yield f"  {said}"
    yield ""
    names = {part.name for part in found}
    if rest := [f"`{name}`" for name in PARTS if name not in names]:
        yield f"Of the study these parts are not made yet: {', '.join(rest)}. Nothing here is about them.\n"


def _power(found: Sequence[Part], pilot: Part | None) -> Iterator[str]:
    """Yield what could be found, by what was known before the run."""
    yield "## What could be found\n"
    yield (
        "Worked out from the design: the smallest true difference of the score that so many tasks find in 4 of 5 "
        "experiments, by\nthe share of tasks on which two equal organisations would come out differently (-: not even "
        "the largest one).\nThe level is 0.05 divided by the tests; how many tasks the baseline would get right was "
        "not known.\n"
    )
    yield f"| part | difference from | tasks | tests | {' | '.join(f'{rate:.0%} differ' for rate in RATES)} |"
    yield "| --- " * (4 + len(RATES)) + "|"
    for part in found:
        n_tasks = part.results.table["task"].n_unique()
        for what, tests in _tests(part):
            least = [Discordant.known(rate).detectable(n_tasks, alpha=LEVEL / tests) for rate in RATES]
            cells = ["-" if one is None else f"{one:.2f}" for one in least]
            yield f"| `{part.name}` | {what} | {n_tasks} | {tests} | {' | '.join(cells)} |"
    yield ""
    for part in found:
        base, (_, tests) = part.results.record.baseline, next(_tests(part))
        for number in part.results.sizes[base]:
            yield from room_words(part, part.results.label(base, number), tests, LEVEL)
    yield ""
    if pilot is not None:
        yield from _pilot(found, pilot)


def _tests(part: Part) -> Iterator[tuple[str, int]]:
    record = part.results.record
    yield record.baseline, sum(cell.organisation != record.baseline for cell in record.cells)
    if talks := talking(part):
        yield PLACEBO, len(talks)


def _pilot(found: Sequence[Part], pilot: Part) -> Iterator[str]:
    """Yield what the pilot says of the same, which is little."""
    results = pilot.results
    alike = (part for part in found if part.results.at_budgets and part.made["model"] == pilot.made["model"])
    part = next((one for one in alike if one.results.record.baseline in results.sizes), None)
    if part is None:
        return
    base = part.results.record.baseline
    seen: dict[str, tuple[int, Alternatives | None]] = {}
    for budget in results.sizes[base][1:]:  # at the least ceiling it is one agent, as all others are nearly
        labels = [label for label, (_, at) in results.members.items() if at == budget]
        table = pl.concat(
            [results.table.filter(results.rows_of(one)).with_columns(organisation=pl.lit(one)) for one in labels]
        )
        seen |= pilots(table, baseline=results.label(base, budget), cluster=results.cluster)
    n_tasks, tests = part.results.table["task"].n_unique(), next(_tests(part))[1]
    least = [one.detectable(n_tasks, alpha=LEVEL / tests) for _, one in seen.values() if one is not None]
    known = [one for one in least if one is not None]
    if not known:
        return
    of = f"each of {len(seen)}" if len(known) == len(seen) else f"{len(known)} of {len(seen)}"
    yield (
        f"By the shares of the pilot, which had {results.table['task'].n_unique()} tasks, `{part.name}` finds "
        f"{min(known):.2f} to {max(known):.2f}\nin {of} differences from {base}"
        f"{'' if len(known) == len(seen) else ', and nothing in the others'}.\n"
    )


def _part(part: Part) -> Iterator[str]:
    """Yield the tables of a part, its picture and its crossovers."""
    report, curves = part.report, part.report.curves
    yield f"## {part.about.rstrip('.')}\n"
    n_tasks = part.results.table["task"].n_unique()
    yield f"`scenarios/study/{part.name}.yaml`: {n_tasks} tasks, {len(part.results.record.cells)} runs.\n"
    if part.name in NOTES:
        yield f"{NOTES[part.name]}\n"
    if curves is None:
        yield from _block(part)
    else:
        yield from _curves(part, curves)
    facts = [guess_words(part), *cut_words(part), claims_words(part), read_nothing(part), one_answer(part)]
    yield "".join(f"- {said}\n" for said in facts if said)
    for label, why in report.not_comparable.items():
        yield f"{label} is left out: {why}.\n"


def _block(part: Part) -> Iterator[str]:
    """Yield the table of a comparison at one ceiling."""
    report = part.report
    (block,) = report.blocks
    less = f"less {block.found.baseline.organisation} [95 %]"
    yield f"| organisation | score [95 %] | tokens a task | {less} | won/tied/lost | p (Holm) |"
    yield "| --- " * 6 + "|"
    for row in block.rows:
        spent = report.metrics[row.organisation].values["tokens"]
        cells = [row.organisation, row.mean.text(), "-" if spent is None else shown(spent.value)]
        if isinstance(row, PairedRow):
            cells += [_difference(row.difference), f"{row.wins}/{row.ties}/{row.losses}", p_words(row.p_holm)]
        else:
            cells += ["", "", ""]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _curves(part: Part, curves: Curves) -> Iterator[str]:
    report, base = part.report, part.results.record.baseline
    heads = " | ".join(f"at {budget:,}" for budget in curves.budgets)
    line = "| --- " * (1 + len(curves.budgets)) + "|"
    yield f"![score against tokens spent](images/study/{part.name}.svg)\n"
    yield f"Score [95 %], and tokens spent on a task.\n\n| organisation | {heads} |\n{line}"
    for curve in curves.curves:
        points = {one.budget: f"{one.score.text()} ({shown(one.tokens.value)})" for one in curve.points}
        yield f"| {curve.organisation} | {' | '.join(points.get(one, '-') for one in curves.budgets)} |"
    yield f"\nScore less that of {base} at the same ceiling [95 %], p (Holm).\n\n| organisation | {heads} |\n{line}"
    rows = {row.organisation: row for block in report.blocks for row in block.found.rows}
    for curve in curves.curves:
        if curve.organisation != base:
            own = [rows.get(part.results.label(curve.organisation, one)) for one in curves.budgets]
            cells = ["-" if row is None else f"{_difference(row.difference)}, {p_words(row.p_holm)}" for row in own]
            yield f"| {curve.organisation} | {' | '.join(cells)} |"
    yield from _gains(curves, heads, line)
    if talks := talking(part):
        yield f"\n| {DEBATE} less {PLACEBO} | difference [95 %] | won/tied/lost | p (Holm) |\n{'| --- ' * 4}|"
        for one in talks:
            games = f"{one.row.wins}/{one.row.ties}/{one.row.losses}"
            yield f"| at {one.budget:,} | {_difference(one.row.difference)} | {games} | {p_words(one.p)} |"
    yield ""
    for spent in curves.spending:
        (least, low), (most, high) = spent.least, spent.most
        word = "within a tenth of each other" if spent.matched else "not the same"
        yield f"- Spent at {spent.budget:,}: {shown(low)} ({least}) to {shown(high)} ({most}), {word}."
    yield from (f"- {_sentence(one)}" for one in curves.crossovers if _told(one, base, _silent(part)))
    yield ""


def _gains(curves: Curves, heads: str, line: str) -> Iterator[str]:
    """Yield the table of the gain over one agent."""
    by_name: dict[str, dict[int, str]] = {}
    for one in curves.gains:
        text = one.gain if isinstance(one.gain, str) else one.gain.text() + ("" if one.matched else " *")
        by_name.setdefault(one.organisation, {})[one.budget] = text
    if by_name:
        yield f"\nGain G: score over that of {curves.single} at the same ceiling (*: not at equal spending).\n"
        yield f"| organisation | {heads} |\n{line}"
        for name, own in by_name.items():
            yield f"| {name} | {' | '.join(own.get(one, '-') for one in curves.budgets)} |"


def _told(one: Crossover, base: str, silent: bool) -> bool:
    """Return whether a crossover has a line: of the baseline, or of talking, which a round without any cannot tell."""
    if silent and {one.one, one.other} & {DEBATE, PLACEBO}:
        return False
    return base in (one.one, one.other) or {one.one, one.other} == {DEBATE, PLACEBO}


def _silent(part: Part) -> bool:
    """Return whether a point of a debate or its placebo is of one round, so that a line through it joins two kinds."""
    return read_nothing(part) is not None


def _sentence(one: Crossover) -> str:
    text = crossover_text(one)
    return f"{text[0].upper()}{text[1:]}."


def took_table(found: Sequence[Part], speeds: str = "providers.md") -> Iterator[str]:
    """Yield what the parts took; `speeds` is the page of the speed of each model, from that which holds the table."""
    yield "## What it took\n"
    yield f"CPU-hours are worked out from the tokens and the [speed of each model]({speeds}) on one core; replies"
    yield "that several organisations have in common count in each, as if nothing were kept.\n"
    yield "| part | model | SHA-256 of its file | calls | tokens | CPU-hours | comparison |\n" + "| --- " * 7 + "|"
    for part in found:
        hashes = ", ".join(f"`{one['sha256'][:16]}`" for one in part.made["models"] if one.get("sha256")) or "-"
        digest = part.results.record.hash[:16]
        yield f"| `{part.name}` | {part.made['model']} | {hashes} | {_taken([part])} | `{digest}` |"
    if len(found) > 1:
        yield f"| all | | | {_taken(found)} | |"
    machines = ", ".join(dict.fromkeys(part.made["machine"] for part in found))
    yield f"\nMade on {machines}. The digest of every run is in `benchmarks/results/study`.\n"


def _taken(found: Sequence[Part]) -> str:
    """Return three cells: calls, tokens and CPU-hours of parts together."""
    calls, tokens_in, tokens_out = (
        sum(part.made[name] for part in found) for name in ("calls", "tokens_in", "tokens_out")
    )
    hours = [part.made["cpu_hours"] for part in found]
    return f"{calls:,} | {tokens_in + tokens_out:,} | {'-' if None in hours else f'{sum(hours):.2f}'}"


def _limits() -> Iterator[str]:
    yield "## What does not follow\n"
    yield "- That other models, tasks, prompts or dials would rank organisations in the same way."
    yield "- That there is no difference where none is told: see what could be found."
    yield "- That a debate gains by talking where it beats a vote: only where it beats its placebo as well."


def p_words(p: float) -> str:
    """Return a p value."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"
