"""This module is the sections of results: comparisons, laws and phases, each the verdict first."""

from __future__ import annotations

from analysis.viewer.charts.comparisons import cost_chart, forest_chart
from analysis.viewer.charts.phases import depth_chart, plane_chart
from analysis.viewer.charts.svg import figure
from analysis.viewer.charts.tails import growth_chart, tail_chart
from analysis.viewer.document.parts import (
    DocumentSection,
    counted,
    figure_html,
    folded,
    heading,
    listed_html,
    paragraph,
    table_html,
)
from analysis.viewer.pages.compare import ComparePage, CrossoverLine, Matrix
from analysis.viewer.pages.laws import LawLine, LawsPage
from analysis.viewer.pages.phase import PhasePage
from analysis.viewer.pages.plain import Span

NOT_MATCHED = "The organisations had no common ceiling: a difference may be one of spending, not of organisation."


def compare_section(page: ComparePage, at: int) -> DocumentSection:
    """Return the section of a comparison."""
    return DocumentSection(f"comparison-{at}", f"Comparison {page.name}", compare_html(page))


def compare_html(page: ComparePage) -> str:
    """Return the page of a comparison."""
    parts = [paragraph(page.verdict, "said")]
    if not page.matched:
        parts.append(paragraph(NOT_MATCHED))
    head = ("organisation", "score", "minus the baseline", "p (Holm)", "won/tied/lost", "tokens of a task", "stops")
    rows = [
        (
            one.label + (" (baseline)" if one.against is None and one.not_comparable is None else ""),
            span_words(one.score), span_words(one.difference), figure(one.p_holm),
            "" if one.against is None else f"{one.won:,}/{one.tied:,}/{one.lost:,}", span_words(one.tokens),
            one.not_comparable or counted(one.stops),
        )
        for one in page.organisations
    ]  # fmt: skip
    parts += [table_html(head, rows), figure_html(forest_chart(page)), figure_html(cost_chart(page))]
    if page.crossovers:
        parts += [heading("Crossovers"), listed_html(crossover_words(one) for one in page.crossovers)]
    if page.unequal_stops or page.failures:
        parts.append(heading("Failures and unequal stops"))
        parts.append(listed_html(page.unequal_stops))
        parts.append(listed_html(f"{label}: {counted(found)} failures" for label, found in page.failures.items()))
    if page.matrix is not None and page.matrix.rows:
        parts.append(matrix_html(page.matrix))
    parts += [heading("Notes"), listed_html(page.notes)]
    if page.missing:
        parts += [heading("Runs that are missing"), listed_html(page.missing)]
    return "".join(parts)


def crossover_words(one: CrossoverLine) -> str:
    """Return in a sentence whether and where one organisation overtakes another."""
    begun = f"{one.one} and {one.other}: {one.verdict.replace('_', ' ')}"
    if one.at.value is not None:
        return f"{begun}, at {figure(one.at.value)} tokens [{figure(one.at.low)}, {figure(one.at.high)}]"
    if one.ahead:
        begun += f", {one.ahead} is ahead"
    return f"{begun}; {one.reason}" if one.reason else begun


def matrix_html(matrix: Matrix) -> str:
    """Return scores task by task."""
    differ = sum(row.differ for row in matrix.rows)
    more = f" (of {matrix.rows_in_all:,})" if matrix.rows_in_all > len(matrix.rows) else ""
    said = f"{differ:,} of {len(matrix.rows):,} tasks{more} shown differ between organisations; they come first."
    head = ("tasks", "seed", "task", *matrix.labels)
    rows = [(row.tasks, row.seed, row.task, *(figure(score) for score in row.scores)) for row in matrix.rows]
    return heading("Task by task") + paragraph(said) + folded("scores task by task", table_html(head, rows))


def span_words(span: Span | None) -> str:
    """Return a number with its interval."""
    if span is None or span.value is None:
        return "-"
    return f"{figure(span.value)} [{figure(span.low)}, {figure(span.high)}]"


def laws_section(page: LawsPage, at: int) -> DocumentSection:
    """Return the section of laws, each group after the whole."""
    html = laws_html(page) + "".join(
        folded(f"group: {group.title}", laws_html(group)) for group in page.groups
    )  # fmt: skip
    return DocumentSection(f"laws-{at}", "Laws", html)


def laws_html(page: LawsPage) -> str:
    """Return the page of laws."""
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
    parts = [paragraph(page.verdict, "said"), paragraph(counts), table_html(head, rows)]
    parts += [law_html(one) for one in page.laws]
    if page.concentration:
        effort = [(name, figure(value)) for name, value in page.concentration.items()]
        parts += [heading("Concentration of effort"), table_html(("measure", "mean over executions"), effort)]
    if page.caveats:
        parts += [heading("What a reader must know"), listed_html(page.caveats)]
    return "".join(parts)


def law_html(one: LawLine) -> str:
    """Return what is said of one observable."""
    parts = [heading(f"{one.name}: {one.verdict}")]
    if one.reasons:
        parts += [paragraph("Reasons:"), listed_html(one.reasons)]
    if one.nulls:
        parts.append(paragraph(f"Cannot be told from: {', '.join(one.nulls)}"))
    parts += [figure_html(tail_chart(one)), figure_html(growth_chart(one))]
    if one.growth is not None and one.growth.reason:
        parts.append(paragraph(f"No growth exponent: {one.growth.reason}", "muted"))
    if one.ratios:
        rows = [(test.first, test.second, figure(test.ratio), figure(test.p)) for test in one.ratios]
        parts.append(
            folded("likelihood ratios", table_html(("model", "against", "ratio (above 0: the first)", "p"), rows))
        )
    return "".join(parts)


def phase_section(page: PhasePage, at: int) -> DocumentSection:
    """Return the section of a phase."""
    return DocumentSection(f"phase-{at}", f"Phase at fan-in {page.b}", phase_html(page))


def phase_html(page: PhasePage) -> str:
    """Return the page of a phase."""
    chances = ", ".join(f"P({name}) {figure(value)}" for name, value in page.probabilities.items() if value is not None)
    parts = [paragraph(page.sentence, "said"), paragraph(chances) if chances else ""]
    rows = [
        (one.name, one.meaning, span_words(one.value), "" if one.value is None else one.value.method)
        for one in page.parameters
    ]
    parts.append(table_html(("parameter", "meaning", "value", "method"), rows))
    parts += [figure_html(plane_chart(page)), figure_html(depth_chart(page))]
    if page.refusals:
        parts += [heading("Refused"), listed_html(page.refusals)]
    if page.assumptions:
        parts += [heading("What is assumed"), table_html(("", "status", "assumption"), page.assumptions)]
    if page.trials:
        rows_of = [(name, f"{n:,}", f"{page.tokens.get(name, 0):,}") for name, n in page.trials.items()]
        parts += [heading("What was measured"), table_html(("purpose", "trials", "tokens"), rows_of)]
    if page.ignored:
        parts += [heading("Runs that told nothing"), listed_html(page.ignored)]
    return "".join(parts)
