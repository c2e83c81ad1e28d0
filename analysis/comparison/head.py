"""This module tells what was compared: the first lines of a report, and its design as plain values."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import polars as pl

from agentsoc.printing.text import line
from analysis.comparison.report import Report
from analysis.comparison.table import Results
from analysis.comparison.verdict import verdict

_WIDTH: Final = 120


def head(report: Report) -> list[str]:
    """Return what was compared, on what, under which budget, and the result; one fact a line."""
    results, record = report.results, report.results.record
    design = design_of(results)
    seeds = design["seeds"]
    drawn = "the same tasks for all seeds" if results.same_tasks else "new tasks for every seed"
    facts = [
        ("comparison", f"{record.name}: {_many(results)}, baseline {record.baseline}"),
        ("tasks", ", ".join(f"{n:,} of {name}" for name, n in design["tasks"].items()) + f"; {drawn}"),
        ("seeds", f"{len(seeds)}: {_listed(seeds)}"),
        ("budget", _budget(results)),
        ("result", verdict(report)),
    ]
    return [row for name, text in facts for row in wrapped(f"{name:<12}", line(text))]


def _many(results: Results) -> str:
    if not results.at_budgets:
        return f"{len(results.members)} organisations"
    budgets = {budget for sizes in results.sizes.values() for budget in sizes}
    return f"{len(results.record.organisations)} organisations at {len(budgets)} budgets"


def _budget(results: Results) -> str:
    if results.at_budgets and results.record.matched:
        budgets = sorted({budget for sizes in results.sizes.values() for budget in sizes})
        return f"{', '.join(f'{budget:,}' for budget in budgets)} tokens a task, each the same for all"
    if not results.record.matched:
        none = all(value is None for value in results.budgets.values())
        return "none: what is compared is not matched" if none else "not the same for all: not a matched comparison"
    return (
        "; ".join(
            f"{value:,} tokens a task" + (f" ({name})" if len(results.budgets) > 1 else "")
            if value is not None
            else "limits other than tokens"
            for name, value in results.budgets.items()
        )
        + ", the same for all"
    )


def design_of(results: Results) -> dict[str, Any]:
    """Return organisations with their numbers of agents or budgets, tasks, seeds, and how many runs and rows."""
    cells = results.record.cells
    per_seed = results.table.group_by("tasks", maintain_order=True).agg(pl.col("task").n_unique())
    counts = {str(name): int(n) for name, n in per_seed.iter_rows()}
    return {
        "organisations": {name: results.sizes[name] for name in results.record.organisations},
        "tasks": counts,
        "seeds": list(dict.fromkeys(cell.seed for cell in cells)),
        "same_tasks": results.same_tasks,
        "cells": len(cells),
        "rows": results.table.height,
    }


def _listed(seeds: list[int]) -> str:
    consecutive = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    return (
        f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds[:12])) + ("..." * (len(seeds) > 12))
    )


def wrapped(begin: str, text: str) -> list[str]:
    """Return a text in lines of bounded length, the later ones indented as far as the first."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False,
        break_on_hyphens=False,
    ) or [begin.rstrip()]  # fmt: skip
