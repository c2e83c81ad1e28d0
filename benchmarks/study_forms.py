"""In which form does a model answer best? One agent, one call a task, each form on the same tasks: a pilot.

Run: ``python -m benchmarks.study_forms [--models smollm2,0.5b,1.5b] [--kinds arithmetic,choice,sentiment]
[--forms short,json,text] [--tasks 12] [--minutes 10]``. Every cell is one run directory under ``--runs``, taken in the
order named and up to the minutes; a later call goes on. The table has, for each form, the share of right answers over
tasks, how many more than in the first form, paired by task, first attempts that stated no answer, and those of them
that their output cap cut off; p is corrected by Holm over the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from agentsoc import RunLog
from agentsoc.engine.transcript import transcript
from analysis.stats import PairedRow
from analysis.stats.permutation import holm
from benchmarks.study_influence import CALLS, CAPS, KINDS, MODELS, SEED, Cell, advance, has_run, paired, share

ONE: Final = (1, "single", {"kind": "vote"})


@dataclass(frozen=True)
class FormCell(Cell):
    """A cell of one agent that answers once."""

    def scenario(self, tasks: int) -> dict[str, Any]:
        """Return the cell as a scenario; temperature 0, as forms are compared and not draws."""
        n, topology, protocol = ONE
        agents = {"count": n, "model": MODELS[self.model], "temperature": 0.0, "max_tokens": CAPS[self.form]}
        return {
            "name": "forms",
            "seed": SEED,
            "tasks": {**KINDS[self.kind], "count": tasks},
            "agents": {**agents, "reply": self.form},
            "topology": topology,
            "protocol": protocol,
            "calls": CALLS,
        }


@dataclass(frozen=True)
class FormCounts:
    """What one form gave over the tasks that are there."""

    cell: FormCell
    right: tuple[bool, ...]
    """Whether the first reply to each task was right, by the number of the task."""
    unread: int
    """Tasks whose first reply stated no answer."""
    cut: int
    """Those of them that the output cap cut off."""

    def row(self, beside: PairedRow | None, p: float | None) -> str:
        """Return it as a line of a table, with how many more than in the first form, and p corrected over the table."""
        one = self.cell
        more = ["", ""] if beside is None or p is None else [difference(beside), f"{p:.3f}"]
        cells = [f"{one.model}, {one.kind}", one.form, share(sum(self.right), len(self.right)), *more]
        return f"| {' | '.join(cells)} | {self.unread} | {self.cut} |"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        one = self.cell
        names = {"model": one.model, "kind": one.kind, "form": one.form}
        return {**names, "right": [int(right) for right in self.right], "unread": self.unread, "cut": self.cut}

    @classmethod
    def of(cls, found: dict[str, Any]) -> FormCounts:
        """Return what `as_dict` gave."""
        cell = FormCell(found["model"], found["form"], "single", found["kind"])
        return cls(cell, tuple(bool(one) for one in found["right"]), found["unread"], found["cut"])


def counted(cell: FormCell, directory: Path) -> FormCounts:
    """Return the counts of a cell, of its first attempts alone: a repair would hide what a form costs."""
    log = RunLog(directory)
    tasks = sorted({call.task for call in log.journal()})
    firsts = [one for task in tasks for one in transcript(directory, task) if one.attempt == 0]
    unread = [one for one in firsts if one.reply is None]
    hints = [(one.reply, one.request.hint) for one in firsts]
    right = tuple(reply is not None and hint is not None and reply.answer == hint.truth for reply, hint in hints)
    return FormCounts(cell, right, len(unread), sum(one.outcome.finish == "length" for one in unread))


def difference(row: PairedRow) -> str:
    """Return a difference with its interval and the tasks won and lost."""
    found = row.difference
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}], {row.wins} to {row.losses}"


def table(found: list[FormCounts]) -> Iterator[str]:
    """Yield the lines of the table; p is corrected by Holm over all of its differences."""
    yield (
        "| model, tasks | form | right, first attempt | less the first form, won to lost | p (Holm) | no answer | "
        "of them cut off |"
    )
    yield "|---|---|---|---|---|---|---|"
    firsts = [next(one for one in found if key(one) == key(other)) for other in found]
    rows = [
        None if one is first else paired(dict(enumerate(first.right)), dict(enumerate(one.right)))
        for one, first in zip(found, firsts, strict=True)
    ]
    corrected = iter(holm(np.array([row.p for row in rows if row is not None])).tolist())
    for one, row in zip(found, rows, strict=True):
        yield one.row(row, None if row is None else next(corrected))


def key(one: FormCounts) -> tuple[str, str]:
    """Return what the forms beside each other have in common."""
    return one.cell.model, one.cell.kind


def main() -> int:
    """Advance the cells within the minutes, and print what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="smollm2,0.5b,1.5b")
    parser.add_argument("--kinds", default="arithmetic,choice,sentiment")
    parser.add_argument("--forms", default="short,json,text")
    parser.add_argument("--tasks", type=int, default=12, help="tasks of a cell")
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all cells; 0 only counts what is there")
    parser.add_argument("--runs", type=Path, default=Path("runs/forms"))
    parser.add_argument("--out", type=Path, help="file for the counts, JSON")
    told = parser.parse_args()
    deadline = time.monotonic() + 60 * told.minutes
    found = []
    for model, kind, form in product(*(axis.split(",") for axis in (told.models, told.kinds, told.forms))):
        cell = FormCell(model, form, "single", kind)
        directory = told.runs / cell.name
        advance(cell, directory, told.tasks, deadline)
        if has_run(directory) and (one := counted(cell, directory)).right:
            found.append(one)
    if told.out is not None:
        told.out.write_text(json.dumps([one.as_dict() for one in found], indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
