"""This module is the section of a run: its page as HTML, and the data of its episodes for the script."""

from __future__ import annotations

from analysis.viewer.charts.runs import rounds_chart, society_chart, strip_chart
from analysis.viewer.document.episodes import EpisodeData
from analysis.viewer.document.parts import (
    DocumentSection,
    counted,
    figure_html,
    folded,
    heading,
    listed_html,
    paragraph,
    table_html,
    verbatim,
)
from analysis.viewer.pages.run import BudgetLine, RunPage


def run_section(page: RunPage, at: int, episodes: EpisodeData | None = None) -> DocumentSection:
    """Return the section of a run; `at` is its number in the document, `episodes` what its script shows."""
    name = f"run-{at}"
    parts = [run_html(page)]
    notes: tuple[str, ...] = ()
    if episodes is not None and episodes.packed:
        parts += [heading("Episodes"), *(paragraph(note, "muted") for note in episodes.notes)]
        parts.append(
            f'<div class="episodes" id="{name}-episodes" data-source="{name}-data"><p class="muted">The episodes need '
            "a script, which this viewer of the document does not run.</p></div>"
        )
        notes = episodes.notes
    packed = b"" if episodes is None else episodes.packed
    return DocumentSection(name, f"Run {page.name}", "".join(parts), packed, notes)


def run_html(page: RunPage) -> str:
    """Return the page of a run without its episodes."""
    parts = [paragraph(page.sentence, "said")]
    if page.status not in ("finished", "imported"):
        parts.append(paragraph(f"This run is {page.status}: what it has so far is shown. {page.error or ''}".strip()))
    facts = [("place", page.place), ("status", page.status), ("seed", page.seed), ("models", ", ".join(page.models))]
    if page.budget is not None:
        facts.append(("tokens", budget_words(page.budget)))
        if page.budget.cost is not None:
            facts.append(("cost", f"{page.budget.cost:g} by the prices of the scenario"))
    facts += [
        ("calls", f"{page.calls:,}, {page.calls_failed:,} failed, {page.calls_lost:,} lost"),
        ("turns", f"{page.turns:,} in {page.rounds:,} rounds, {page.deliveries:,} deliveries"),
        ("events", f"{page.events:,}: {counted(page.kinds)}"),
        ("digest", page.digest or "none: the log is not whole"),
    ]
    if any(page.tool_calls):
        facts.append(("calls of tools", f"{page.tool_calls[0]:,} made, {page.tool_calls[1]:,} beyond a limit"))
    if page.rewards:
        facts.append(("rewards", ", ".join(f"{name} {value}" for name, value in page.rewards.items())))
    parts += [table_html(("", ""), facts)]
    parts += [figure_html(chart(page)) for chart in (strip_chart, rounds_chart)]
    parts.append(figure_html(society_chart(page.society)))
    if page.society.why:
        parts.append(paragraph(f"Links are those that the log shows: {page.society.why}", "muted"))
    for title, rows in (("Stops", page.stops), ("Failures", page.failures), ("Flags", page.flags)):
        if rows:
            parts += [
                heading(title),
                table_html(("what", "count", "said most often"), [(r.name, f"{r.count:,}", r.text) for r in rows]),
            ]
    parts += [listed_html(page.notes), listed_html(page.not_reproducible)]
    if page.commands:
        parts += [heading("From the command line"), verbatim("\n".join(page.commands))]
    if page.scenario:
        parts.append(folded("the scenario", verbatim(page.scenario)))
    if page.versions:
        parts.append(folded("made with", table_html(("package", "version"), list(page.versions.items()))))
    return "".join(parts)


def budget_words(budget: BudgetLine) -> str:
    """Return what was spent of a budget in words."""
    lost = f", {budget.lost:,} lost" if budget.lost else ""
    over = f", {budget.overrun:,} beyond the caps that were sent" if budget.overrun else ""
    if budget.budget is None:
        return f"{budget.used:,} used{lost}{over}; no budget"
    return f"{budget.used:,} used{lost}{over}; budget {budget.budget:,}, {budget.left or 0:,} left"
