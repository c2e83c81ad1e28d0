"""This module tells a comparison as text that can be pasted into a paper, and as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from agentsoc.printing.text import WIDE, line, prompt_bounds_text, table
from analysis.comparison.block import BaselineBlock
from analysis.comparison.broken import bounds_text, ways_out
from analysis.comparison.curve_text import curve_lines, curve_notes, curve_table
from analysis.comparison.gain import gain_text
from analysis.comparison.head import design_of, head, wrapped
from analysis.comparison.report import SHOWN_METRICS, Report, measured
from analysis.comparison.table import Results
from analysis.comparison.verdict import IDLE, decided, design_notes, margin_stands, of_label, stands, verdict
from analysis.interval import Interval, shown
from analysis.measures.failures import failed_text, failed_turns
from analysis.measures.uneven import uneven_tokens
from analysis.stats import PairedRow
from analysis.stats.effects import FEWEST_TASKS, FEWEST_UNUSUAL

FORMAT: Final = 1
LEAST_P: Final = 1e-9
"""Exact p values are worked out to a resolution of 1e-12, and corrected they are multiples of that."""
_FAILED_SHOWN: Final = 8
_TIMES: Final = {"cost": 1000.0}
"""Factor of each column that is not shown as a mean per task: costs are shown per 1,000 tasks."""
_RIGHT: Final = frozenset(range(1, 12))


def report_as_text(report: Report) -> str:
    """Return the report: what was compared, scores and differences, what they cost, and what limits them."""
    parts = [*head(report), ""]
    if report.curves is not None:
        lines = curve_lines(report.curves, report.results.record.baseline)
        parts += [*curve_table(report.curves), *(row for text in lines for row in wrapped("  ", text)), ""]
    for block in report.blocks:
        parts += [*_scores(report, block), ""]
    if report.metrics:
        parts += [*_costs(report), ""]
    for block in report.blocks:
        parts += _by_tasks(block)
    return "\n".join([*parts, "Notes", *(row for text in notes(report) for row in wrapped("- ", text))])


def report_as_dict(report: Report) -> dict[str, Any]:
    """Return the report as plain values: the same figures under the names of the columns."""
    results, record = report.results, report.results.record
    return {
        "format": FORMAT,
        "name": record.name,
        "hash": record.hash,
        "directory": str(results.directory),
        "baseline": record.baseline,
        "reference": report.reference,
        "matched": record.matched,
        "budget_per_task": dict(results.budgets),
        "design": design_of(results),
        "verdict": verdict(report),
        "failures": {
            label: failed_turns(results.table.filter(of_label(report, label)))
            for label in (results.members if results.table.height else ())
        },
        "not_comparable": dict(report.not_comparable),
        "left_out": {label: asdict(found) for label, found in report.left_out.items()},
        "looks": None if report.looks is None else report.looks.as_dict(),
        "blocks": [
            {
                "count": block.count,
                "comparison": block.found.as_dict(),
                "margins": [
                    one.as_dict() | {"stands": margin_stands(report, block, label)}
                    for label, one in block.margins.items()
                ],
                "gains": {
                    label: {"reason": one} if isinstance(one, str) else one.as_dict()
                    for label, one in block.gains.items()
                },
                "lost": {
                    row.organisation: block.lost[row.organisation].as_dict()
                    | {"verdict_holds": _holds(report, block, row)}
                    for row in block.found.rows
                    if row.organisation in block.lost
                },
                "pooled": {
                    label: {"these": one.these.as_dict(), "beyond": one.beyond.as_dict(), "tau": one.tau}
                    | {"another": one.another.as_dict(), "blocks": one.n}
                    for label, one in block.pooled.items()
                },
                "by_tasks": {name: found.as_dict() for name, found in block.by_tasks.items()},
            }
            for block in report.blocks
        ],
        "metrics": {
            label: {name: _plain(measured(report, label, name)) for name in SHOWN_METRICS} for label in report.metrics
        },
        "stops": {label: _stops(report, label) for label in report.metrics},
        **({} if report.curves is None else report.curves.as_dict()),
        "notes": notes(report),
        "cells": [cell.model_dump(mode="json") for cell in record.cells],
        "missing": [cell.id for cell in results.missing],
    }


def _holds(report: Report, block: BaselineBlock, row: PairedRow) -> bool | None:
    """Return whether a verdict holds at both ends of what lost episodes could have scored; None without a verdict."""
    up = decided(report, block, row)
    return None if up is None else stands(report, block, row, better=up)


def notes(report: Report) -> list[str]:
    """Return what a reader must know to trust, repeat or doubt the figures."""
    return [line(text) for text in _notes(report)]


def _scores(report: Report, block: BaselineBlock) -> list[str]:
    """Return the table of scores and differences."""
    found = block.found
    level = f"{found.level:.0%}"
    base = found.baseline
    head = ["organisation", f"score [{level}]", f"minus {base.organisation} [{level}]", "d", "won/tied/lost"]
    head += ["p (Holm)", "could find", "tasks for " + (f"{found.effect:g}" if found.effect else "it")]
    rows = [head, [base.organisation, base.mean.text(), "(baseline)", "", "", "", "", ""]]
    rows += [
        [
            row.organisation,
            row.mean.text(),
            row.difference.text(sign=True),
            "-" if row.d is None else shown(row.d.value, sign=True),
            f"{row.wins:,}/{row.ties:,}/{row.losses:,}",
            p_text(row.p_holm),
            "-" if row.detectable is None else shown(row.detectable),
            "-" if row.tasks_needed is None else f"{row.tasks_needed:,}",
        ]
        for row in found.rows
    ]
    title = f"Scores{block.where}"
    told = wrapped("  ", line(gain_text(block.gains))) if block.gains and report.curves is None else []
    return [title, table(rows, right=_RIGHT, indent="  "), *told]


def _costs(report: Report) -> list[str]:
    """Return the table of what organisations spend and how they coordinate."""
    columns: list[tuple[str, str, bool]] = [
        ("tokens/task", "tokens", False),
        ("left", "budget_left", False),
        ("score/1k tokens", "success_per_1k_tokens", True),
        ("cost/1k tasks", "cost", False),
        ("turns", "turns", False),
        ("messages", "broadcasts", False),
        ("delivered", "deliveries", False),
        ("overhead %", "overhead_turns", False),
        ("efficiency", "efficiency", True),
        ("gain bits", "information_gain", False),
        ("redundancy", "redundancy", False),
    ]
    known = [
        column for column in columns if any(measured(report, label, column[1]) is not None for label in report.metrics)
    ]
    rows = [["organisation", *(title for title, _, _ in known)]]
    rows += [
        [label, *(_cell(measured(report, label, name), bounds, _TIMES.get(name, 1.0)) for _, name, bounds in known)]
        for label in report.metrics
    ]
    return ["Per task: what was spent, and how it was coordinated", table(rows, right=_RIGHT, indent="  ")]


def _cell(found: Interval | None, bounds: bool, times: float) -> str:
    if found is None:
        return "-"
    value, low, high = (shown(times * number) for number in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]" if bounds else value


def _by_tasks(block: BaselineBlock) -> list[str]:
    """Return the differences for each task block, without p values: they are for looking, not for testing."""
    if not block.by_tasks:
        return []
    names = list(block.by_tasks)
    rows = [["organisation", *names]]
    first = next(iter(block.by_tasks.values()))
    rows.append(
        [first.baseline.organisation, *(f"score {found.baseline.mean.text()}" for found in block.by_tasks.values())]
    )
    for organisation in dict.fromkeys(row.organisation for found in block.by_tasks.values() for row in found.rows):
        cells = []
        for found in block.by_tasks.values():
            differences = [row.difference.text(sign=True) for row in found.rows if row.organisation == organisation]
            cells.append(differences[0] if differences else "-")
        rows.append([organisation, *cells])
    return [
        f"Differences to {first.baseline.organisation} by tasks{block.where}",
        table(rows, right=_RIGHT, indent="  "),
        "",
    ]


def _notes(report: Report) -> Iterator[str]:
    results, record = report.results, report.results.record
    if report.curves is not None:
        yield from curve_notes(report.curves)
    if report.blocks:
        yield from _test_notes(report)
        yield from design_notes(report)
    yield from _money_notes(report)
    if report.metrics:
        yield (
            f"overhead and efficiency are relative to {report.reference}"
            + (" or the same organisation at the same budget" if results.at_budgets else "")
            + ("" if results.agents[report.reference] == 1 else ", because no organisation is a single agent")
            + "; overhead counts turns"
        )
    for label in report.metrics:
        if uneven := uneven_tokens(report.table.filter(of_label(report, label))):
            yield f"{label}: {uneven}"
    yield from _left_out_notes(results)
    for label in results.members if results.table.height else ():
        if failed := failed_text(results.table.filter(of_label(report, label))):
            yield f"{label}: {failed}"
        if one := results.options.get(results.members[label]):
            yield f"{label}: in a run of it {one.text()}"
    for label, why in report.not_comparable.items():
        yield f"{label} is not comparable: {why}; {ways_out(why)}"
    scores = {row.organisation: row.mean.value for row in report.rows()}
    for label in report.left_out:
        block = next((block for block in report.blocks for row in block.rows if row.organisation == label), None)
        base = record.baseline if block is None else block.found.baseline.organisation
        yield bounds_text(label, base, report.left_out, scores)
    if not record.matched:
        yield "the organisations had no common ceiling: a difference may be one of spending, not of organisation"
    for label in report.metrics:
        ended = _stops(report, label).get("budget_exhausted", 0)
        n = report.table.filter(of_label(report, label)).height
        if ended:
            yield f"{label}: the budget ended {ended:,} of {n:,} episodes before the protocol was done"
    if record.earlier and report.looks is None:
        yield (
            "this comparison was made larger after runs had been there; if it was because of what they showed, "
            "the p values are too small"
        )
    yield from dict.fromkeys(text for block in report.blocks for text in block.found.warnings)
    for cell in results.missing[:_FAILED_SHOWN]:
        why = f": {line(cell.error.splitlines()[0], 200)}" if cell.error else ""
        yield f"missing: {cell.id} ({cell.status}){why}"
    if len(results.missing) > _FAILED_SHOWN:
        yield f"missing: {len(results.missing) - _FAILED_SHOWN} more runs, see comparison.json"
    yield f"comparison {record.hash[:16]}; digests of all {len(record.cells)} runs are in report.json"


def _test_notes(report: Report) -> Iterator[str]:
    """Yield how intervals and tests were made."""
    found = report.blocks[0].found
    pairs = [row.n_pairs for block in report.blocks for row in block.found.rows]
    tasks = [row.n_paired_tasks for block in report.blocks for row in block.found.rows]
    yield (
        f"pairs: {_range(pairs)} (same task, same seed); intervals and tests resample {_range(tasks)} tasks, "
        f"{found.replicates:,} samples, seed {found.seed}; mean: {_methods(row.mean for row in report.rows())}, "
        f"difference: {_methods(row.difference for block in report.blocks for row in block.found.rows)}"
    )
    tests = {row.test for block in report.blocks for row in block.found.rows}
    yield (
        f"an interval leaves 0 out exactly where its p, before correction, is at most {1 - found.level:.2g}; d is told "
        f"from {FEWEST_TASKS} tasks on, {FEWEST_UNUSUAL} of them off the commonest difference"
    )
    yield (
        f"p: sign-flip test over tasks ({', '.join(sorted(tests))}), corrected by Holm for {report.n_tests} "
        "comparisons; intervals hold one at a time, not all together"
    )
    none = any(row.detectable is None for block in report.blocks for row in block.found.rows)
    yield (
        '"could find" is the smallest true difference that this many tasks and seeds find in 4 of 5 comparisons'
        f"{' (-: not even the largest possible one)' if none else ''}; "
        f"the last column is how many tasks a true difference of {found.effect or 0.05:g} needs for that"
    )


def _methods(intervals: Iterable[Interval]) -> str:
    """Return how intervals were made: organisations whose tasks differ little have another method than the others."""
    return " or ".join(dict.fromkeys(interval.method for interval in intervals))


def _left_out_notes(results: Results) -> Iterator[str]:
    """Say of which organisations prompts had no room for all the claims that their agents were to read."""
    if "claims_due" not in results.table.columns:
        return
    for label in results.members:
        own = results.table.filter(results.rows_of(label))
        due, left_out = (int(own[name].fill_null(0).sum()) for name in ("claims_due", "claims_left_out"))
        if left_out:
            yield (
                f"{label}: {left_out:,} of {due:,} claims that its agents were to read ({left_out / due:.1%}) were "
                "left out of prompts, for want of room in the window or the budget"
            )


def _money_notes(report: Report) -> Iterator[str]:
    """Yield what was left of the budget."""
    spent = [(label, measured(report, label, "budget_use")) for label in report.metrics]
    known = [(label, found) for label, found in spent if found is not None]
    if known:
        yield f"left unspent of the budget: {', '.join(f'{at} {100 * (1 - x.value):.1f} %' for at, x in known)}"
    for label in report.metrics:
        use = report.results.ceilings.get(report.results.members[label])
        for counted, (bound, used) in ({} if use is None else use.prompts).items():
            if used and bound > WIDE * used:
                yield f"{label}: {prompt_bounds_text(counted, bound, used)}"
    if any(found.value < 1 - IDLE for _, found in known):
        yield (
            "who leaves most of the budget unspent was not stopped by it: the same ceiling is not the same spending; "
            "see score/1k tokens, or give it more calls (iterations, rounds, agents)"
        )


def _stops(report: Report, label: str) -> dict[str, int]:
    rows = report.table.filter(of_label(report, label))
    return dict(sorted(rows["stop"].value_counts().iter_rows()))


def p_text(p: float) -> str:
    """Return a p value as text; it never stands without its interval. Below `LEAST_P` it is told as less than that."""
    if p < LEAST_P:
        return f"<{LEAST_P:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _plain(found: Interval | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


__all__ = ["PairedRow", "notes", "p_text", "report_as_dict", "report_as_text", "verdict"]
