"""Run directories made by hand: exactly the events that a test needs, with a manifest that the reader accepts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentsoc.events import SOCIETY, Event, Kind, pack_id
from agentsoc.log.journal import Journal
from agentsoc.log.manifest import Manifest, SegmentEntry, Totals
from agentsoc.log.names import EVENTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.segments import SegmentWriter


def write_log(
    directory: Path, events: Iterable[Event], *, name: str = "synthetic", budget: int | None = None
) -> RunLog:
    """Write events, in canonical order, as the log of a finished run of an earlier version: without episodes."""
    directory.mkdir(parents=True)
    listed = list(events)
    writer = SegmentWriter(directory / EVENTS)
    writer.add(listed)
    digest = writer.finish()
    n = len({event.task for event in listed})
    truth = {event.task: "A" for event in listed}
    tasks = {"task": pa.array(list(truth), pa.int64()), "truth": pa.array(list(truth.values()), pa.string())}
    pq.write_table(pa.table(tasks), directory / TASKS)
    Journal(directory / JOURNAL).close()
    whole = None if budget is None else budget * n
    Manifest(
        status="finished",
        name=name,
        seed=0,
        scenario={"tasks": {"kind": "signal", "count": n, "choices": 2}, "agents": [{"count": 1}], "topology": {}},
        scenario_hash="",
        tasks_hash=f"{n} tasks",
        segments=[SegmentEntry(file=s.file, rows=s.rows, digest=s.digest, chain=s.chain) for s in writer.segments],
        digest=digest,
        totals=Totals(events=len(listed), episodes=n, budget=whole),
    ).save(directory)
    return RunLog(directory)


def said(task: int, round_: int, agent: int, answer: str, *, parents: Sequence[int] = (), truth: str = "A") -> Event:
    """Return an agent's act of one turn: a claim with this answer, ten tokens in and ten out."""
    kind: Kind = "merge_claims" if len(parents) > 1 else "revise_claim" if parents else "propose_claim"
    return Event(
        task, round_, agent, 0, kind, pack_id(round_, agent, 0), tuple(parents),
        answer=answer, correct=float(answer == truth), calls=1, tokens_in=10, tokens_out=10,
    )  # fmt: skip


def ended(task: int, round_: int, answer: str | None, *, parents: Sequence[int] = (), truth: str = "A") -> list[Event]:
    """Return the society's answer and the stop of an episode."""
    score = float(answer == truth)
    return [
        Event(task, round_, SOCIETY, 0, "answer", parents=tuple(parents), answer=answer, correct=score),
        Event(task, round_, SOCIETY, 1, "stop", answer="finished"),
    ]
