"""This module is the section of a run: its page as HTML, and the data of its episodes for the script."""

from __future__ import annotations

from analysis.viewer.blocks import Block, figure_of, folded, heading, listed, paragraph, table_of, verbatim
from analysis.viewer.charts.runs import rounds_chart, society_chart, strip_chart
from analysis.viewer.document.episodes import EpisodeData
from analysis.viewer.document.parts import DocumentSection, counted, html_of
from analysis.viewer.pages.run import BudgetLine, RunPage
from analysis.viewer.pages.society import SocietyMap


def run_section(page: RunPage, at: int, episodes: EpisodeData | None = None) -> DocumentSection:
    """Return the section of a run; `at` is its number in the document, `episodes` what its script shows."""
    name = f"run-{at}"
    parts = [run_html(page)]
    notes: tuple[str, ...] = ()
    if episodes is not None and episodes.packed:
        parts.append(
            html_of([*heading("Episodes"), *(one for note in episodes.notes for one in paragraph(note, "muted"))])
        )
        parts.append(
            f'<div class="episodes" id="{name}-episodes" data-source="{name}-data"><p class="muted">The episodes need '
            "a script, which this viewer of the document does not run.</p></div>"
        )
        notes = episodes.notes
    packed = b"" if episodes is None else episodes.packed
    return DocumentSection(name, f"Run {page.name}", "".join(parts), packed, notes)


def run_html(page: RunPage) -> str:
    """Return the page of a run without its episodes."""
    said = [*told_first(page), *table_of(("", ""), run_facts(page))]
    pictures = (strip_chart(page), rounds_chart(page), society_chart(page.society))
    return html_of(
        [
            *said,
            *(one for chart in pictures for one in figure_of(chart)),
            *society_note(page.society),
            *counts_of(page),
            *told_last(page),
        ]
    )


def told_first(page: RunPage) -> list[Block]:
    """Return what a run came to in a sentence, and that it is not finished where it is not."""
    blocks = paragraph(page.sentence, "said")
    if page.status not in ("finished", "imported"):
        blocks += paragraph(f"This run is {page.status}: what it has so far is shown. {page.error or ''}".strip())
        if page.planned:
            blocks += paragraph(f"{page.episodes:,} of {page.planned:,} task{'s' * (page.planned != 1)} ended.")
    if page.status == "running":
        blocks += paragraph("What is counted below is what its manifest says, which is written now and then.", "muted")
    return blocks


def run_facts(page: RunPage) -> list[tuple[str, object]]:
    """Return what there is to say of a run in a table, name by name."""
    facts: list[tuple[str, object]] = [
        ("place", page.place),
        ("status", page.status),
    ]
    if page.seed is not None:
        facts.append(("seed", page.seed))
    if page.models:
        facts.append(("models", ", ".join(page.models)))
    if page.budget is not None:
        facts.append(("tokens", budget_words(page.budget)))
        if page.budget.cost is not None:
            facts.append(("cost", f"{page.budget.cost:g} by the prices of the scenario"))
    facts.append(("events", f"{page.events:,}: {counted(page.kinds)}"))
    if page.status == "imported":  # nothing else is counted in it
        return facts
    facts += [
        ("calls", _calls_words(page)),
        ("turns", f"{page.turns:,} in {page.rounds:,} rounds, {page.deliveries:,} deliveries"),
        ("digest", page.digest or "none: the run is not finished"),
    ]
    if any(page.tool_calls):
        facts.append(("calls of tools", f"{page.tool_calls[0]:,} made, {page.tool_calls[1]:,} beyond a limit"))
    if page.rewards:
        facts.append(("rewards", ", ".join(f"{name} {value}" for name, value in page.rewards.items())))
    return facts


def _calls_words(page: RunPage) -> str:
    """Return how many calls there were, in the numbers of `agentsoc show`."""
    told = f"{page.calls:,}, {page.calls_failed - page.unanswered:,} failed, {page.calls_lost:,} lost"
    return told + (f"; {page.unanswered:,} more had failed when the run ended" if page.unanswered else "")


def society_note(society: SocietyMap) -> list[Block]:
    """Return why links are those that the log shows, where they are."""
    return paragraph(f"Links are those that the log shows: {society.why}", "muted") if society.why else []


def counts_of(page: RunPage) -> list[Block]:
    """Return stops, failures and flags with their counts."""
    blocks: list[Block] = []
    for title, rows in (("Stops", page.stops), ("Failures", page.failures), ("Flags", page.flags)):
        if rows:
            blocks += heading(title)
            blocks += table_of(("what", "count", "said most often"), [(r.name, f"{r.count:,}", r.text) for r in rows])
    return blocks


def told_last(page: RunPage) -> list[Block]:
    """Return notes, commands, scenario and versions."""
    blocks = [*listed(page.notes), *listed(page.not_reproducible)]
    if page.commands:
        blocks += [*heading("From the command line"), *verbatim("\n".join(page.commands))]
    if page.scenario:
        blocks += folded("the scenario", verbatim(page.scenario))
    if page.versions:
        blocks += folded("made with", table_of(("package", "version"), list(page.versions.items())))
    return blocks


def budget_words(budget: BudgetLine) -> str:
    """Return what was spent of a budget in words."""
    lost = f", {budget.lost:,} lost" if budget.lost else ""
    over = f", {budget.overrun:,} beyond the caps that were sent" if budget.overrun else ""
    if budget.budget is None:
        return f"{budget.used:,} used{lost}{over}; no budget"
    return f"{budget.used:,} used{lost}{over}; budget {budget.budget:,}, {budget.left or 0:,} left"
