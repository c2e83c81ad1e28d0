"""This module writes a run without its texts: an imported log that `laws`, `metrics`, `show` and `check` read.

Nothing is crossed out. A new log is made of the columns that hold no words: places, kinds, claims and what they build
on, scores, tokens. Answers become a1, a2, ... in each task, so that who agreed with whom can still be counted; reasons
for stops, and sorts of failures, are kept where they are words of ours. Prompts, questions, claims, replies, names of
models, addresses, keys and files of the scenario are not in it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

import polars as pl

from agentsoc.contracts.task import normalise
from agentsoc.events import Stop
from agentsoc.log.imported import Imported
from agentsoc.log.read import RunLog
from analysis.exporters.episodes import failure_sort
from analysis.importers import store
from analysis.tables import EVENT_COLUMNS, EventTable, from_log

IMPORTER: Final = "agentsoc-redacted"
RULES: Final = {"redacted": "texts, answers and names left out", "parents": "as the run has them"}
_STOPS: Final = frozenset(get_args(Stop))
"""Reasons for stops that are words of ours; a log that somebody made may have others."""
_OWN_KINDS: Final = frozenset({"stop", "budget_exhausted"})


def redacted_table(log: RunLog) -> EventTable:
    """Return the events of a run without texts.

    Raises:
        LogDamagedError: the run is not what was written.
    """
    scenario = log.manifest.scenario
    counts = [group.get("count") for group in scenario.get("agents", [])]
    known = counts and all(isinstance(count, int) for count in counts)
    names = [name for name in EVENT_COLUMNS if name != "execution"]
    frame = log.frame().select(names).with_columns(pl.col("kind", "label_source").cast(pl.String))
    answers, texts = [], []
    number: dict[tuple[int, str], str] = {}
    count: dict[int, int] = {}
    for task, kind, answer, text in frame.select("task", "kind", "answer", "text").iter_rows():
        texts.append(failure_sort(text) if kind == "call_failed" else None)
        answers.append(_answer(task, kind, answer, number, count))
    frame = frame.with_columns(pl.Series("answer", answers, pl.String), pl.Series("text", texts, pl.String))
    return from_log(
        frame,
        run="redacted",
        topology=_kind(scenario.get("topology")),
        n_agents=sum(counts) if known else None,
        seed=None,
        benchmark=_kind(scenario.get("tasks")),
    )


def _answer(
    task: int, kind: str, answer: str | None, number: dict[tuple[int, str], str], count: dict[int, int]
) -> str | None:
    """Return what stands for an answer: its number among those of the task, or the reason for a stop."""
    if answer is None:
        return None
    if kind in _OWN_KINDS:
        return answer if answer in _STOPS else None
    key = (task, normalise(answer))
    if key not in number:
        count[task] = count.get(task, 0) + 1
        number[key] = f"a{count[task]}"
    return number[key]


def _kind(part: object) -> str | None:
    kind = part.get("kind") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,39}", kind) else None


def write_redacted(log: RunLog, out: Path) -> tuple[EventTable, Imported]:
    """Write a run without its texts into the new directory `out`, and return what was written.

    Raises:
        InputError: `out` is there already, or cannot be written.
        LogDamagedError: the run is not what was written.
    """
    store.require_new(out)
    table = redacted_table(log)
    notes = (
        "redacted: prompts, questions, claims, replies, names and addresses are not in this log",
        "answers are numbered in each task; equal ones have equal numbers",
        f"the digest of the run it was made of is {log.manifest.digest or 'not set'}",
    )
    about = Imported(IMPORTER, "a run", log.manifest.digest or "", RULES, notes)
    store.save(table, out, about)
    return table, about
