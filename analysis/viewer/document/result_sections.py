"""This module is the sections of results: comparisons, laws and phases, each the verdict first."""

from __future__ import annotations

from analysis.synergy.estimation.interval import equals, sure
from analysis.viewer.blocks import Block, figure_of, folded, heading, listed, paragraph, table_of
from analysis.viewer.charts.comparisons import cost_chart, forest_chart
from analysis.viewer.charts.phases import depth_chart, plane_chart
from analysis.viewer.charts.svg import figure
from analysis.viewer.charts.tails import growth_chart, tail_chart
from analysis.viewer.document.parts import DocumentSection, counted, html_of
from analysis.viewer.pages.compare import ComparePage, CrossoverLine, Matrix
from analysis.viewer.pages.laws import LawLine, LawsPage
from analysis.viewer.pages.phase import PhasePage
from analysis.viewer.pages.plain import Span

NOT_MATCHED = "The organisations had no common ceiling: a difference may be one of spending, not of organisation."


PAIRS = (
    "Won, tied and lost are the pairs of one task and one seed in which an organisation scored more, as much, or less."
)
CROSSED = {
    "crossover": "one overtakes the other",
    "none": "neither overtakes the other",
    "open": "undecided, either may overtake",
}
"""What the verdicts on crossovers are called on a page."""


def compare_section(page: ComparePage, at: int) -> DocumentSection:
    """Return the section of a comparison."""
    return _section(f"comparison-{at}", f"Comparison {page.name}", whole_comparison(page))


def compare_html(page: ComparePage) -> str:
    """Return the page of a comparison."""
    return html_of(whole_comparison(page))


def whole_comparison(page: ComparePage) -> list[Block]:
    """Return the page of a comparison with its tasks."""
    matrix = matrix_blocks(page.matrix) if page.matrix is not None and page.matrix.rows else []
    return [*compare_blocks(page), *matrix, *compare_notes(page)]


def compare_blocks(page: ComparePage) -> list[Block]:
    """Return the page of a comparison down to its tasks."""
    blocks = paragraph(page.verdict, "said")
    if not page.matched:
        blocks += paragraph(NOT_MATCHED)
    found = "it" if page.effect is None else figure(page.effect)
    head = (
        "organisation", "score", "minus the baseline", "won/tied/lost", "p (Holm)", "could find", f"tasks for {found}",
        "tokens of a task", "stops",
    )  # fmt: skip
    rows = [
        (
            one.label + (" (baseline)" if one.against is None and one.not_comparable is None else ""),
            span_words(one.score), span_words(one.difference),
            "" if one.against is None else f"{one.won:,}/{one.tied:,}/{one.lost:,}", figure(one.p_holm),
            figure(one.detectable), "-" if one.tasks_needed is None else f"{one.tasks_needed:,}",
            span_words(one.tokens), one.not_comparable or counted(one.stops),
        )
        for one in page.organisations
    ]  # fmt: skip
    blocks += table_of(head, rows)
    if page.level is not None:
        said = f"Scores are means over tasks; square brackets hold their intervals at {page.level:.0%}. {PAIRS}"
        blocks += paragraph(said, "muted")
    blocks += [*figure_of(forest_chart(page)), *figure_of(cost_chart(page))]
    if page.crossovers:
        blocks += [*heading("Crossovers"), *listed([crossover_words(one) for one in page.crossovers])]
    if page.unequal_stops or page.failures:
        blocks += [*heading("Failures and unequal stops"), *listed(page.unequal_stops)]
        blocks += listed([f"{label}: {counted(found)} failures" for label, found in page.failures.items()])
    return blocks


def compare_notes(page: ComparePage) -> list[Block]:
    """Return what a reader of a comparison must know, and what is missing."""
    blocks = heading("Notes")
    if page.notes:
        blocks += paragraph("These are the notes of report.txt, which has more columns than this page.", "muted")
    blocks += listed(page.notes)
    if page.own_notes:
        blocks += [*paragraph("Of this page:", "muted"), *listed(page.own_notes)]
    if page.missing:
        blocks += [*heading("Runs that are missing"), *listed(page.missing)]
    return blocks


def crossover_words(one: CrossoverLine) -> str:
    """Return in a sentence whether and where one organisation overtakes another."""
    begun = f"{one.one} and {one.other}: {CROSSED.get(one.verdict) or one.verdict.replace('_', ' ')}"
    if one.at.value is not None:
        return f"{begun}, at {figure(one.at.value)} tokens a task [{figure(one.at.low)}, {figure(one.at.high)}]"
    if one.ahead:
        begun += f", {one.ahead} is ahead"
    return f"{begun}; {one.reason}" if one.reason else begun


def matrix_said(matrix: Matrix) -> str:
    """Return in words on how many tasks organisations differ."""
    differ = sum(row.differ for row in matrix.rows)
    more = f" (of {matrix.rows_in_all:,})" if matrix.rows_in_all > len(matrix.rows) else ""
    return f"{differ:,} of {len(matrix.rows):,} tasks{more} shown differ between organisations; they come first."


def matrix_blocks(matrix: Matrix) -> list[Block]:
    """Return scores task by task."""
    head = ("tasks", "seed", "task", *matrix.labels)
    rows = [(row.tasks, row.seed, row.task, *(figure(score) for score in row.scores)) for row in matrix.rows]
    scores = folded("scores task by task", table_of(head, rows))
    return [*heading("Task by task"), *paragraph(matrix_said(matrix)), *scores]


def span_words(span: Span | None) -> str:
    """Return a number with its interval."""
    if span is None or span.value is None:
        return "-"
    return f"{figure(span.value)} [{figure(span.low)}, {figure(span.high)}]"


def laws_section(page: LawsPage, at: int) -> DocumentSection:
    """Return the section of laws, each group after the whole."""
    return _section(f"laws-{at}", "Laws", laws_blocks(page))


def laws_html(page: LawsPage) -> str:
    """Return the page of laws and of each of its groups."""
    return html_of(laws_blocks(page))


def laws_blocks(page: LawsPage) -> list[Block]:
    """Return the page of laws, each group folded after the whole."""
    counts = f"{figure(page.events)} events in {figure(page.executions)} executions."
    head = ("observable", "n", "worth", "mean", "largest", "alpha", "xmin", "tail", "fit p", "verdict")
    rows = [
        (
            one.name, figure(one.n), figure(one.n_eff, 3), figure(one.mean), figure(one.largest),
            span_words(one.interval) if one.interval is not None else figure(one.alpha),
            figure(one.xmin), figure(one.n_tail), figure(one.gof_p), one.verdict,
        )
        for one in page.laws
    ]  # fmt: skip
    blocks = [*paragraph(page.verdict, "said"), *paragraph(counts), *table_of(head, rows)]
    for one in page.laws:
        blocks += law_blocks(one)
    if page.concentration:
        effort = [(name, figure(value)) for name, value in page.concentration.items()]
        blocks += [*heading("Concentration of effort"), *table_of(("measure", "mean over executions"), effort)]
    if page.caveats:
        blocks += [*heading("What a reader must know"), *listed(page.caveats)]
    for group in page.groups:
        blocks += folded(f"group: {group.title}", laws_blocks(group))
    return blocks


def law_blocks(one: LawLine) -> list[Block]:
    """Return what is said of one observable."""
    blocks = heading(f"{one.name}: {one.verdict}")
    if one.reasons:
        blocks += [*paragraph("Reasons:"), *listed(one.reasons)]
    if one.nulls:
        blocks += paragraph(f"Cannot be told from: {', '.join(one.nulls)}")
    blocks += [*figure_of(tail_chart(one)), *figure_of(growth_chart(one))]
    if one.growth is not None and one.growth.reason:
        blocks += paragraph(f"No growth exponent: {one.growth.reason}", "muted")
    if one.ratios:
        rows = [(test.first, test.second, figure(test.ratio), figure(test.p)) for test in one.ratios]
        blocks += folded("likelihood ratios", table_of(("model", "against", "ratio (above 0: the first)", "p"), rows))
    return blocks


def phase_section(page: PhasePage, at: int) -> DocumentSection:
    """Return the section of a phase."""
    return _section(f"phase-{at}", f"Phase at fan-in {page.b}", phase_blocks(page))


def phase_html(page: PhasePage) -> str:
    """Return the page of a phase."""
    return html_of(phase_blocks(page))


def phase_blocks(page: PhasePage) -> list[Block]:
    """Return the page of a phase."""
    chances = ", ".join(
        f"P({name}) {equals(sure(value))}" for name, value in page.probabilities.items() if value is not None
    )
    blocks = [*paragraph(page.sentence, "said"), *(paragraph(chances) if chances else [])]
    rows = [
        (one.name, one.meaning, span_words(one.value), "" if one.value is None else one.value.method)
        for one in page.parameters
    ]
    blocks += table_of(("parameter", "meaning", "value", "method"), rows)
    blocks += [*figure_of(plane_chart(page)), *figure_of(depth_chart(page))]
    if page.refusals:
        blocks += [*heading("Refused"), *listed(page.refusals)]
    if page.assumptions:
        blocks += [*heading("What is assumed"), *table_of(("", "status", "assumption"), page.assumptions)]
    if page.trials:
        rows_of = [(name, f"{n:,}", f"{page.tokens.get(name, 0):,}") for name, n in page.trials.items()]
        blocks += [*heading("What was measured"), *table_of(("purpose", "trials", "tokens"), rows_of)]
    if page.ignored:
        blocks += [*heading("Runs that told nothing"), *listed(page.ignored)]
    return blocks


def _section(name: str, title: str, blocks: list[Block]) -> DocumentSection:
    return DocumentSection(name, title, html_of(blocks), blocks=blocks)
