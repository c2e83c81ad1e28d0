"""This module tells organisations of which nothing can be said, because server, network or key failed in their runs.

A dead server makes its organisation wrong everywhere, and a difference to it is one between servers. So an organisation
of which more than one turn in a hundred failed by the infrastructure is not compared, unless somebody asks for that:
then by the tasks in which nothing failed, with bounds for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from agentsoc.log.failures import BROKEN_SHARE
from agentsoc.printing.text import line
from analysis.comparison.table import Results, number_of

_SAID: Final = 200
"""Characters of an error that are told."""
_NO_RUN: Final = "no run is finished"


@dataclass(frozen=True)
class LeftOut:
    """The object says which episodes of an organisation are left out, and what they could change."""

    n_left_out: int
    """Episodes with a turn that failed by the infrastructure."""
    n: int
    """Episodes in all."""
    low: float
    """Mean score with all that are left out counted as wrong."""
    high: float
    """Mean score with all of them counted as right."""


def not_comparable(results: Results, table: pl.DataFrame) -> dict[str, str]:
    """Return label -> reason of the organisations that cannot be compared.

    Args:
        results: the runs of the comparison.
        table: their rows, with labels for organisations.
    """
    found: dict[str, str] = {}
    for label, member in results.members.items():
        rows = table.filter(pl.col("organisation") == label) if table.height else table
        if not rows.height:
            errors = [cell.error for cell in results.missing if (cell.organisation, number_of(cell)) == member]
            if told := next((error for error in errors if error), None):
                found[label] = f"{_NO_RUN}: {line(told.splitlines()[0], _SAID)}"
            continue
        turns, failed = int(rows["turns"].sum()), int(rows["failed_infrastructure"].sum())
        if failed > BROKEN_SHARE * max(turns, 1):
            words = line(results.failures.get(member, ""), _SAID)
            found[label] = f"{failed:,} of {turns:,} turns failed" + (f" ({words})" if words else "")
    return found


def ways_out(why: str) -> str:
    """Return how to go on with an organisation that is not comparable for this reason."""
    if why.startswith(_NO_RUN):
        return "agentsoc compare DIR makes its runs again"
    return (
        "make its failed turns again with agentsoc compare DIR --retry-failed, or compare the episodes without "
        "failures with --accept-failures"
    )


def left_out(table: pl.DataFrame) -> dict[str, LeftOut]:
    """Return what is left out of each organisation when only whole episodes count; nothing for those without failures.

    Args:
        table: rows of the comparison, with labels for organisations.
    """
    found = {}
    for (label,), rows in table.group_by("organisation", maintain_order=True):
        whole = rows.filter(pl.col("failed_infrastructure") == 0)
        n, missing = rows.height, rows.height - whole.height
        if missing:
            right = float(whole["score"].sum())
            found[str(label)] = LeftOut(missing, n, right / n, (right + missing) / n)
    return found


def bounds_text(label: str, baseline: str, found: Mapping[str, LeftOut], scores: Mapping[str, float]) -> str:
    """Return what the episodes that are left out of an organisation could change, in a sentence.

    Args:
        label: the organisation.
        baseline: what it is compared with.
        found: what is left out of each.
        scores: mean score of each over all its episodes that count.
    """
    own = found[label]
    text = (
        f"{label}: {own.n_left_out:,} of {own.n:,} episodes hold turns that failed by the infrastructure and are left "
        f"out; with these counted as all wrong and all right its score is {own.low:.3f} and {own.high:.3f}"
    )
    if label == baseline or baseline not in scores:
        return text
    other = found.get(baseline)
    low, high = (scores[baseline],) * 2 if other is None else (other.low, other.high)
    return f"{text}, and its difference to {baseline} between {own.low - high:+.3f} and {own.high - low:+.3f}"
