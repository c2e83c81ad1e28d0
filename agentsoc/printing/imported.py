"""This module tells an imported log for `agentsoc show`: what it is, and the acts of one of its executions in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import SOCIETY, unpack_id
from agentsoc.log.imported import Imported, read_imported, read_tables
from agentsoc.printing.text import line

TEXT_CHARS: Final = 160
"""Length to which texts of acts are shown (characters)."""
_EXECUTIONS: Final = 12
"""Executions that are listed (executions)."""


def imported_text(directory: Path) -> str:
    """Return what an imported log is: where it comes from, how much it holds, what its import assumed.

    Raises:
        LogDamagedError: it is not what was written.
    """
    about, tables = read_imported(directory), read_tables(directory)
    events, executions = tables["events.parquet"], tables["executions.parquet"]
    rules = ", ".join(f"{name} {value}" for name, value in about.rules.items())
    lines = [
        f"imported  from {line(about.source, 120)}, read by {line(about.importer, 40)}",
        f"rules     {line(rules or 'none', 200)}",
        f"holds     {executions.height:,} executions, {events.height:,} acts: {_kinds(events)}",
        f"tokens    {_sum(events, 'tokens_in'):,} input, {_sum(events, 'tokens_out'):,} output",
        *(f"note      {line(note, 300)}" for note in about.notes),
    ]
    for row in executions.head(_EXECUTIONS).iter_rows(named=True):
        agents = row.get("agents") or []
        named = f": {line(', '.join(map(str, agents)), 120)}" if agents else ""
        name = line(str(row["task_name"]), 80)
        lines.append(f"{row['execution']:>8}  {name}, {row['n_events']:,} acts, {row['n_agents']} agents{named}")
    if executions.height > _EXECUTIONS:
        lines.append(f"     ...  and {executions.height - _EXECUTIONS:,} more executions")
    lines.append(f"go on with: agentsoc show {line(str(directory), 200)} --task 0, agentsoc laws, metrics, report")
    return "\n".join(lines)


def _kinds(events: pl.DataFrame) -> str:
    kinds = events["kind"].cast(pl.String).fill_null("others").value_counts(sort=True)
    return ", ".join(f"{n:,} {kind}" for kind, n in kinds.rows())


def _sum(events: pl.DataFrame, name: str) -> int:
    return int(events[name].sum() or 0)


def imported_acts(directory: Path, execution: int | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the first `limit` acts, of one execution if it is given, and whether there are more.

    Raises:
        InputError: there is no such execution.
        LogDamagedError: the log is not what was written.
    """
    tables = read_tables(directory)
    events, n = tables["events.parquet"], tables["executions.parquet"].height
    if execution is not None:
        if execution >= n:
            raise InputError(f"there is no execution {execution}", "--task", f"there are {n:,}: 0 to {n - 1}")
        events = events.filter(pl.col("execution") == execution)
    return events.head(limit).to_dicts(), events.height > limit


def act_text(act: dict[str, Any], *, packed: bool = False) -> str:
    """Return an act as one line: who, what, on what it builds, at what cost.

    Args:
        act: a row of the table of events.
        packed: whether ids of claims are places, as those of our own runs are; others are numbers in their execution.
    """
    who = "society" if act["agent"] == SOCIETY else f"agent {act['agent']}"
    parts = [f"{act['execution']}:{act['round']} {who} {act['kind'] or 'other act'}"]
    if act["answer"] is not None:
        parts.append(f'"{line(act["answer"], TEXT_CHARS)}"')
    if act["correct"] is not None:
        parts.append(f"[{act['correct']:g}]")
    if act["parents"]:
        more = " ..." if len(act["parents"]) > 8 else ""
        parts.append("on " + ", ".join(_claim(one, packed) for one in act["parents"][:8]) + more)
    if act["target"] is not None:
        to = (
            "to agent"
            if act["kind"] == "delegate_subtask"
            else "against"
            if act["kind"] == "contradict_claim"
            else "of"
        )
        delegated = act["kind"] == "delegate_subtask"
        parts.append(f"{to} {act['target'] if delegated else _claim(act['target'], packed)}")
    if act["claim"] is not None:
        parts.append(f"= claim {_claim(act['claim'], packed)}")
    if act["calls"]:
        parts.append(f"({act['calls']} calls, {act['tokens_in']} + {act['tokens_out']} tokens)")
    if act["text"]:
        parts.append(f"- {line(act['text'], TEXT_CHARS)}")
    return " ".join(parts)


def _claim(number: int, packed: bool) -> str:
    if number < 0:
        return f"unseen {-number}"
    return ".".join(map(str, unpack_id(number))) if packed else str(number)


def is_packed(about: Imported) -> bool:
    """Return whether a log was made of one of our own runs, whose ids of claims are places."""
    return about.rules.get("parents") in ("as exported", "as the run has them")
