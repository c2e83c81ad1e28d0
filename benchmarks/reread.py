"""Which replies of stored runs does another reader read otherwise? Nobody is asked anything, and no log changes.

Run: ``python -m benchmarks.reread RUN [RUN ...] [--reader 3]``. Every reply is read in its place, with what was shown
to the agent, by the rules of its run and by the reader named; those that differ are printed with both readings, for a
person to judge. Where a reply would have been read otherwise, what followed it in the run might have been another: only
the replies that were given are compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from agentsoc import RunLog
from agentsoc.contracts.rules import NEWEST
from agentsoc.contracts.turns import Reply
from agentsoc.engine import host
from agentsoc.engine.transcript import transcript
from agentsoc.society.reply_reader import Fault, read_whole


@dataclass(frozen=True)
class Read:
    """A reply and what two readers make of it."""

    run: str
    text: str
    finish: str
    before: str
    """What it was read as by the rules of its run."""
    after: str
    """What the other reader makes of it."""


def reread(directory: Path, reader: int) -> Iterator[Read]:
    """Yield every reply of a run with both readings, in order of its task."""
    found: list[Read] = []

    def both(society: Any, family: Any, task: Any, view: Any, text: str, finish: str, due: int) -> Reply | Fault:
        first = read_whole(society, family, task, view, text, finish, due)
        other = replace(society, rules=msgspec.structs.replace(society.rules, reader=reader))
        then = read_whole(other, family, task, view, text, finish, due)
        found.append(Read(directory.name, text, finish, _said(first), _said(then)))
        return first

    tasks = sorted({call.task for call in RunLog(directory).journal()})
    with patch.object(host, "read_whole", both):
        for task in tasks:
            transcript(directory, task)
            yield from found
            found.clear()


def _said(read: Reply | Fault) -> str:
    """Return a reading in a line."""
    if isinstance(read, Fault):
        return f"nothing: {read.what}"
    verdict = "" if read.stop is None and read.accepts is None else f" stop {read.stop} accepts {read.accepts}"
    return f"{read.answer!r} uses {len(read.uses)} disputes {len(read.disputes)}{verdict}"


def main() -> int:
    """Print the replies that are read otherwise, and how many there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--reader", type=int, default=NEWEST.reader)
    told = parser.parse_args()
    every = [one for run in told.runs for one in reread(run, told.reader)]
    answered = [
        sum(not reading.startswith("nothing") for reading in side)
        for side in zip(*((e.before, e.after) for e in every), strict=True)
    ]
    for one in every:
        if one.before != one.after:
            print(f"{one.run}, ended by {one.finish}: {one.text!r}\n  {one.before}\n  {one.after}")
    differ = sum(one.before != one.after for one in every)
    cut = sum(one.finish == "length" for one in every)
    print(f"{len(every):,} replies, {cut:,} cut off; read before and after: {answered}; read otherwise: {differ:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
