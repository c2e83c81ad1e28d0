"""This module packs the episodes of a run for the script of a report: events as columns, questions, some transcripts.

The packed data has a limit. Whole episodes are left out, at equal distances, until the rest fits; the notes say so.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl

from analysis.viewer.charts.escape import visible, visible_data
from analysis.viewer.pages.run import RunPage, TaskScore
from analysis.viewer.pages.store import OpenLog
from analysis.viewer.pages.transcript import Transcriber, task_calls

ROWS_MAX: Final = 150_000
"""Events of a run that are looked at for a report (events)."""
TEXT_CHARS: Final = 1_500
PROMPT_CHARS: Final = 12_000
CALL_TASKS: Final = 12
"""Tasks of which prompts and replies are in a report; the first ones."""
CALL_ROWS: Final = 200_000
"""Rows of a journal that are read for them, over all these tasks (rows): each task reads the whole of it."""
_LEVEL: Final = 6
_LEAST: Final = 50_000
_TIMES: Final = 6
"""Tries to make it small enough."""
_LINKS: Final = 4_000


@dataclass(frozen=True)
class EpisodeData:
    """Episodes, packed for the script."""

    packed: bytes
    """Gzipped JSON; empty where there is none to show."""
    notes: tuple[str, ...]


def pack_episodes(log: OpenLog, page: RunPage, *, limit: int, transcriber: Transcriber | None = None) -> EpisodeData:
    """Return the episodes of a run within `limit` bytes.

    Args:
        log: the run.
        page: its page.
        limit: size of the packed data (bytes).
        transcriber: writes prompts again; see `analysis.viewer.pages.transcript`.
    """
    counts = _rows_by_task(log)
    wanted = _spread(sorted(counts), _fitting(counts, ROWS_MAX))
    calls, why = _calls(log, page, wanted, transcriber)
    for _ in range(_TIMES):
        if not wanted:
            break
        packed = _packed(log, page, wanted, calls, why)
        if len(packed) <= limit:
            return EpisodeData(packed, tuple(_notes(len(counts), len(wanted), len(calls), limit)))
        keep = int(len(wanted) * limit / len(packed) * 0.9)
        if keep < 1 and calls:
            calls, keep = {}, len(wanted)
        wanted = _spread(wanted, keep)
        calls = {task: found for task, found in calls.items() if task in set(wanted)}
    return EpisodeData(b"", ("No episode is in this document: even one would be too large.",) if counts else ())


def _notes(n: int, kept: int, with_calls: int, limit: int) -> list[str]:
    notes = []
    if kept < n:
        notes.append(
            f"{kept:,} of {n:,} episodes are in this document, at equal distances, so that it stays small; "
            "agentsoc show has all of them."
        )
    if 0 < with_calls < kept:
        notes.append(
            f"Prompts and replies are here for {with_calls:,} episodes; agentsoc show RUN --task N --prompts has all."
        )
    return notes


def _rows_by_task(log: OpenLog) -> dict[int, int]:
    found: dict[int, int] = {}
    for frame in log.columns(["task"]):
        for task, n in frame.group_by("task").len().iter_rows():
            found[task] = found.get(task, 0) + n
    return found


def _fitting(counts: dict[int, int], rows: int) -> int:
    total = sum(counts.values())
    return len(counts) if total <= rows else max(int(len(counts) * rows / total), 1)


def _spread(tasks: Sequence[int], n: int) -> list[int]:
    """Return n of the tasks at equal distances."""
    if n >= len(tasks):
        return list(tasks)
    return [tasks[at * len(tasks) // n] for at in range(n)]


def _calls(
    log: OpenLog, page: RunPage, tasks: Sequence[int], transcriber: Transcriber | None
) -> tuple[dict[int, Any], dict[int, str]]:
    """Return the calls of the first tasks, as far as the journal is small enough, and why some are missing."""
    rows = log.manifest.journal_rows if log.manifest is not None else None
    n = min(CALL_TASKS, max(CALL_ROWS // max(rows or page.calls or 1, 1), 1))
    calls, why = {}, {}
    for task in tasks[:n]:
        found, reason = task_calls(log, task, transcriber)
        if found:
            calls[task] = visible_data(msgspec.to_builtins(found), PROMPT_CHARS)
        if reason is not None:
            why[task] = visible(reason)
    return calls, why


def _packed(log: OpenLog, page: RunPage, tasks: Sequence[int], calls: dict[int, Any], why: dict[int, str]) -> bytes:
    columns, words = _columns(log, tasks)
    scores = {one.task: one for one in page.tasks}
    about = _questions(log, tasks)
    society = page.society
    placed = 0 < len(society.x) <= 400
    data = {
        "tasks": [_task(task, scores.get(task), about.get(task, {})) for task in tasks],
        "columns": columns,
        "words": words,
        "society": {
            "x": society.x if placed else [],
            "y": society.y if placed else [],
            "links": [[link.speaker, link.hearer] for link in society.links[:_LINKS]] if placed else [],
        },
        "calls": calls,
        "why": why,
        "no_calls": "The prompts and replies of this episode are not in this document.",
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return gzip.compress(text.encode(), _LEVEL, mtime=0)


def _task(task: int, score: TaskScore | None, about: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"task": task, "score": None, "answer": None, "stop": None}
    if score is not None:
        value = None if score.score is None else round(score.score, 6)
        found |= {"score": value, "answer": score.answer, "stop": score.stop}
    plain: dict[str, Any] = visible_data(found | about, TEXT_CHARS)
    return plain


def _questions(log: OpenLog, tasks: Sequence[int]) -> dict[int, dict[str, Any]]:
    if log.run is None:
        return {}
    rows = log.run.tasks().filter(pl.col("task").is_in(list(tasks)))
    names = [name for name in ("question", "truth") if name in rows.columns]
    return {row["task"]: {name: row[name] for name in names} for row in rows.iter_rows(named=True)}


def _columns(log: OpenLog, tasks: Sequence[int]) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the events of some tasks as columns; texts as places in a list of all texts."""
    frame = pl.concat([log.of_task(task) for task in tasks])
    known: dict[str, int] = {}

    def places(name: str) -> list[int | None]:
        cut = frame[name].str.slice(0, TEXT_CHARS)
        return [None if text is None else known.setdefault(visible(text, TEXT_CHARS), len(known)) for text in cut]

    columns: dict[str, list[Any]] = {name: frame[name].to_list() for name in ("task", "round", "agent")}
    columns |= {name: places(name) for name in ("kind", "answer", "text")}
    columns["claim"] = [log.claim(claim) for claim in frame["claim"].to_list()]
    columns["parents"] = [
        [log.claim(parent) for parent in parents] if parents else 0 for parents in frame["parents"].to_list()
    ]
    columns["target"] = [None if target is None else str(target) for target in frame["target"].to_list()]
    for name in ("calls", "tokens_in", "tokens_out"):
        columns[name] = frame[name].fill_null(0).to_list()
    for name in ("correct", "rewards"):
        found = frame[name].fill_nan(None).to_list()
        columns[name] = [None if value is None or abs(value) == float("inf") else round(value, 6) for value in found]
    return columns, list(known)
