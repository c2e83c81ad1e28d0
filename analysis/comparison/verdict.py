"""This module says the result of a comparison in a few sentences: who is better, who is worse, what is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from analysis.comparison.block import BaselineBlock
from analysis.comparison.looks import out_of_reach
from analysis.comparison.report import Report, measured
from analysis.stats import MeanRow, PairedRow
from analysis.stats.clusters import effective_size
from analysis.stats.proportions import score_bounds

IDLE: Final = 0.5
"""Share of the budget left unspent above which the report says what that means."""
MISSED: Final = 0.05
"""Chance of meeting none of them, above which tasks of a kind may exist that a comparison did not see."""


def verdict(report: Report) -> str:
    """Return the result of the comparison in a sentence or two."""
    better: list[str] = []
    worse: list[str] = []
    open_: list[str] = []
    before: list[str] = []
    hanging: list[str] = []
    for block in report.blocks:
        for row in block.found.rows:
            name, up = block.name(row.organisation), decided(report, block, row)
            if up is None:
                open_.append(name)
            elif (row.difference.value > 0) != up or row.difference.value == 0:  # an earlier look decided
                before.append(f"{name} {'better' if up else 'worse'}, now {row.difference.text(sign=True)}")
            elif not stands(report, block, row, better=up):
                hanging.append(f"{name}, {block.lost[row.organisation].text()}")
            else:
                (better if up else worse).append(f"{name} by {row.difference.text(sign=True)}")
    said = [f"not comparable: {label}: {why}" for label, why in report.not_comparable.items()]
    if not report.blocks:
        said.append("there is no difference to tell")
    base = report.results.record.baseline
    if better:
        said.append(f"better than {base}: {'; '.join(better)}")
    if worse:
        said.append(f"worse than {base}: {'; '.join(worse)}")
    if before:
        said.append(f"an earlier look found, and all the data do not show, against {base}: {'; '.join(before)}")
    if hanging:
        said.append(
            f"different from {base} only if what was lost in failed runs is like the rest: {'; '.join(hanging)}"
        )
    if open_:
        said.append(f"cannot be told from {base} with this much data: {', '.join(open_)}")
    said += _within_margins(report)
    if idle := _idle_ceilings(report):
        said.append(f"but the ceiling decided part of this: {'; '.join(idle)}")
    return ". ".join(text[0].upper() + text[1:] for text in said) + "."


def decided(report: Report, block: BaselineBlock, row: PairedRow) -> bool | None:
    """Return whether an organisation was found better (True) or worse (False) than the baseline; None if neither.

    By the corrected p; where looks are planned by the levels of the looks so far.
    """
    if report.looks is not None:
        return report.looks.now.decided.get(block.name(row.organisation))
    return row.difference.value > 0 if row.p_holm <= 1 - block.found.level else None


def stands(report: Report, block: BaselineBlock, row: PairedRow, *, better: bool) -> bool:
    """Return whether a difference is found at both ends of what lost episodes could have scored.

    Where looks are planned, at the largest level that a look so far had: at 5 % each, many looks at an end would tell
    differences that are none.
    """
    lost = block.lost.get(row.organisation)
    if lost is None:
        return True
    if report.looks is not None:
        return lost.stands(max(look.level for look in report.looks.looks), better=better, alone=True)
    return lost.stands(1 - block.found.level, better=better)


def of_label(report: Report, label: str) -> pl.Expr:
    """Return the condition for the rows of an organisation in the table of results."""
    return report.results.rows_of(label)


def design_notes(report: Report) -> Iterator[str]:
    """Yield what looks, lost episodes, margins and task blocks make of the differences."""
    if report.looks is not None:
        yield report.looks.words()
        if limited := out_of_reach(report.looks.now.level, (row for one in report.blocks for row in one.found.rows)):
            yield limited
    if worth := [text for row in report.rows() if (text := _worth(report, row))]:
        yield f"seeds repeat the same tasks: {'; '.join(worth)}"
    base = report.results.record.baseline
    for block in report.blocks:
        for row in block.found.rows:
            yield from _lost_note(report, block, row)
    yield from _unseen_notes(report)
    if any(block.margins for block in report.blocks):
        one = next(one for block in report.blocks for one in block.margins.values())
        yield (
            f"within {one.margin:g}: two one-sided tests of size {1 - one.level:.2g} ({_tests(report)}), corrected by "
            "Holm; the margin has to be chosen before the results are seen"
        )
    for block in report.blocks:
        for label, found in block.pooled.items():
            many = "; not corrected for the number of organisations" if report.n_tests > 1 else ""
            yield f"{block.name(label)} against {base} over blocks of tasks: {found.summary('blocks of tasks')}{many}"


def _worth(report: Report, row: MeanRow) -> str:
    """Return how many independent episodes those of an organisation are worth, where tasks were repeated."""
    if row.n_rows == row.n_tasks:
        return ""
    rows = report.table.filter(of_label(report, row.organisation)).drop_nulls("score")
    if row.organisation in report.left_out:
        rows = rows.filter(pl.col("failed_infrastructure") == 0)
    task = rows.select(pl.struct(report.results.cluster).rank("dense")).to_series().to_numpy()
    worth = effective_size(rows["score"].cast(pl.Float64).to_numpy(), task)
    return f"{row.n_rows:,} episodes of {row.organisation} are worth {worth:.0f} independent ones"


def _tests(report: Report) -> str:
    return ", ".join(sorted({one.test for block in report.blocks for one in block.margins.values()}))


def _lost_note(report: Report, block: BaselineBlock, row: PairedRow) -> Iterator[str]:
    """Yield between which ends the difference of an organisation lies, whatever its lost episodes would have scored."""
    lost = block.lost.get(row.organisation)
    if lost is None:
        return
    base = block.found.baseline.organisation
    who = [f"{n:,} of {name}" for name, n in ((row.organisation, lost.n_lost), (base, lost.n_lost_baseline)) if n]
    text = (
        f"lost episodes ({', '.join(who)}) counted as all wrong and all right: the difference of "
        f"{block.name(row.organisation)} to {base} lies {lost.text()}"
    )
    up = decided(report, block, row)
    if up is None:
        yield text
    else:
        holds = "holds" if stands(report, block, row, better=up) else "does not hold"
        yield f"{text}; the verdict {holds} at both ends"


def _unseen_notes(report: Report) -> Iterator[str]:
    """Yield which differences of graded scores are so small that tasks which nobody met could turn them round."""
    if score_bounds(report.table["score"].cast(pl.Float64).to_numpy()) is None:
        return
    for block in report.blocks:
        for row in block.found.rows:
            size, share = abs(row.difference.value), 1 - MISSED ** (1 / row.n_paired_tasks)
            if decided(report, block, row) is not None and row.odds_ratio is None and size < share:
                n = row.n_paired_tasks
                yield (
                    f"{block.name(row.organisation)}: the difference is so small that one task in {1 / share:,.0f} "
                    f"which comes out wholly the other way would outweigh it, and {n} tasks may hold none of that "
                    "kind: neither interval nor p allows for it"
                )


def margin_stands(report: Report, block: BaselineBlock, label: str) -> bool | None:
    """Return whether what was shown of a margin is shown whatever lost episodes scored; None before the last look."""
    if report.looks is not None and report.looks.number != report.looks.planned:
        return None
    lost = block.lost.get(label)
    return lost is None or lost.margin_stands(block.margins[label].verdict)


def _within_margins(report: Report) -> list[str]:
    """Return what is shown of equivalence, where a margin was given: at the last look, if looks are planned."""
    if not any(block.margins for block in report.blocks):
        return []
    if report.looks is not None and report.looks.number != report.looks.planned:  # each look would be one more test
        return [f"margins are tested once, at look {report.looks.planned}"]
    said = []
    for block in report.blocks:
        for label, one in block.margins.items():
            said.append(f"{block.name(label)} is {one.words(block.found.baseline.organisation)}")
            if not margin_stands(report, block, label):
                said[-1] += " only if what was lost in failed runs is like the rest"
    return said


def _idle_ceilings(report: Report) -> list[str]:
    """Return for which organisations the ceiling refused turns while more than half of it was unspent, in words."""
    found = []
    for label in report.metrics:
        use, spent = report.results.ceilings.get(report.results.members[label]), measured(report, label, "budget_use")
        if use is None or not use.refused or spent is None:
            continue
        rows = report.table.filter(of_label(report, label) & pl.col("budget").is_not_null())
        ended = rows.filter((pl.col("stop") == "budget_exhausted") & (2 * pl.col("charged") < pl.col("budget"))).height
        turns = "1 turn" if use.refused == 1 else f"{use.refused:,} turns"
        if ended:
            tasks = "1 task" if ended == 1 else f"{ended:,} of {rows.height:,} tasks"
            found.append(f"it refused {turns} of {label} and ended {tasks} with more than half of it unspent")
        elif spent.value < 1 - IDLE:  # shares: the episode goes on without who has spent theirs
            found.append(f"it refused {turns} of {label} while {100 * (1 - spent.value):.0f} % of it was unspent")
    return found
