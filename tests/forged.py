"""Run directories made by hand, whole and sound, or with one thing wrong and every hash beside it right.

A stranger who alters a run computes its hashes anew. So does this: what is changed here is what `check` has to find
without the help of a hash that no longer fits. No engine takes part, so that a test of a reader is a matter of
milliseconds.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from agentsoc.errors import LogDamagedError
from agentsoc.events import SOCIETY, Event
from agentsoc.log.episodes import EpisodeRow, EpisodeTable, conform
from agentsoc.log.journal import Attempt, Journal, journal_digest
from agentsoc.log.manifest import NAME, SEAL, Manifest, SegmentEntry, seal
from agentsoc.log.names import EPISODES, EVENTS, INPUTS, JOURNAL, TASKS
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json, record_bytes
from agentsoc.log.segments import Segment, SegmentWriter, read_all
from agentsoc.log.totals import EpisodeTotals, EventTotals, ceilings, fold


def task_events(
    task: int, answer: str | None = "heads", correct: float | None = 1.0, stop: str = "finished"
) -> list[Event]:
    """Return the events of an ended episode: two agents speak, a call fails, the society answers."""
    score = 0.0 if correct is None else correct
    return [
        Event(task, 0, 0, 0, "propose_claim", 1, answer="heads", text="so it is", calls=1, tokens_in=10, tokens_out=3),
        Event(task, 0, 1, 0, "call_failed", calls=1, tokens_in=7, tokens_cached=2),
        Event(task, 1, SOCIETY, 0, "answer", answer=answer, correct=score),
        Event(task, 1, SOCIETY, 1, "stop", answer=stop),
    ]


def task_row(task: int, answer: str | None = "heads", score: float = 1.0, **changes: Any) -> EpisodeRow:
    """Return the row of episodes that says what `task_events` say."""
    said: dict[str, Any] = {"answer": answer, "answered": answer is not None, "stop": "finished", "events": 4}
    said |= {"turns": 2, "rounds": 2, "calls": 2, "calls_failed": 1, "tokens_in": 17, "tokens_cached": 2}
    said |= {"tokens_out": 3, "broadcasts": 1, "deliveries": 1, "charged": 20, "virtual_s": 0.25}
    return EpisodeRow(task, score, **{**said, **changes})


SCENARIO: dict[str, Any] = {"name": "by-hand", "seed": 3, "tasks": {"kind": "coin", "count": 3}, "budget": None}


@dataclass
class Forged:
    """What a run directory is made from; the defaults are those of a sound, finished run of three tasks."""

    directory: Path
    parts: Sequence[Sequence[Event] | pa.Table] = field(
        default_factory=lambda: [task_events(0), [*task_events(1, "tails", 0.0), *task_events(2, None, None)]]
    )
    """One for each segment."""
    rows: Sequence[EpisodeRow] | pa.Table | None = field(
        default_factory=lambda: [task_row(0), task_row(1, "tails", 0.0), task_row(2, None, 0.0)]
    )
    """The table of episodes; None for none."""
    lost: int = 0
    """Rows of the journal whose outcome is not known, beside one that is."""
    inputs: dict[str, bytes] = field(default_factory=dict)
    format: int = 2
    status: str = "finished"
    scenario: dict[str, Any] = field(default_factory=lambda: dict(SCENARIO))
    manifest: dict[str, Any] = field(default_factory=dict)
    """Fields that are not what they would be."""
    totals: dict[str, Any] = field(default_factory=dict)
    """Totals that are not what they would be."""

    def write(self) -> RunLog:
        """Write the directory and return it opened."""
        self.directory.mkdir(parents=True)
        segments, digest, sums = self._events()
        tasks = io.BytesIO()
        count = self.scenario.get("tasks", {}).get("count", 3)
        pq.write_table(pa.table({"task": pa.array(range(count), pa.int64())}), tasks)
        (self.directory / TASKS).write_bytes(tasks.getvalue())
        for name, content in self.inputs.items():
            (self.directory / INPUTS / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / INPUTS / name).write_bytes(content)
        of_rows, episodes_file = self._episodes()
        n, of_journal, journal_file = self._journal()
        try:
            limits = ceilings(self.scenario)
        except ValueError:
            limits = {}
        part = {key: value for key, value in self.scenario.items() if key not in ("engine", "description", "name")}
        whole = Manifest(
            format=self.format,
            status=self.status,
            name=self.scenario.get("name", ""),
            seed=self.scenario.get("seed", 0),
            scenario=self.scenario,
            scenario_hash=hash_json(part),
            tasks_hash="",
            models=[dict(group["model"]) for group in self.scenario.get("agents", [])],
            tasks_file=_sha256(self.directory / TASKS),
            episodes_file=episodes_file,
            inputs={name: hashlib.sha256(content).hexdigest() for name, content in self.inputs.items()},
            segments=[SegmentEntry(**msgspec.structs.asdict(one)) for one in segments],
            digest=digest,
            journal_rows=n,
            journal_digest=of_journal,
            journal_file=journal_file,
            totals=fold(sums, of_rows, limits),
        ).model_dump(mode="json")
        whole |= self.manifest
        whole["totals"] |= self.totals
        content = record_bytes(whole)
        (self.directory / NAME).write_bytes(content)
        (self.directory / SEAL).write_bytes(seal(content))
        return RunLog(self.directory)

    def found(self) -> str:
        """Write the directory and return what is wrong with it, in the words of `check`."""
        return found(self.write())

    def _events(self) -> tuple[list[Segment], str, EventTotals]:
        writer = SegmentWriter(self.directory / EVENTS)
        for part in self.parts:
            writer.add_table(part) if isinstance(part, pa.Table) else writer.add(part)
            writer.flush()
        digest = writer.finish()
        sums = EventTotals()
        for table in read_all(self.directory / EVENTS, writer.segments):
            sums.add(table)
        return writer.segments, digest, sums

    def _episodes(self) -> tuple[EpisodeTotals, str | None]:
        of_rows = EpisodeTotals()
        if self.rows is None:
            return of_rows, None
        if isinstance(self.rows, pa.Table):
            table = self.rows
        else:
            collected = EpisodeTable()
            for row in self.rows:
                collected.add(row)
            table = collected.table()
        pq.write_table(table, self.directory / EPISODES)
        of_rows.add(conform(table))
        return of_rows, _sha256(self.directory / EPISODES)

    def _journal(self) -> tuple[int, str, str | None]:
        journal = Journal(self.directory / JOURNAL, durability="os")
        known: dict[str, Any] = {"request": b"r", "model": "m", "room": 10, "reserved": 20}
        done: dict[str, Any] = {
            "reply": "heads",
            "tokens_in": 10,
            "tokens_cached": 0,
            "tokens_out": 3,
            "usage_known": True,
        }
        attempts = [Attempt(0, 0, 0, 0, 0, state="done", **known, **done)]
        attempts += [Attempt(0, 0, 1, 0, at, state="started", **known) for at in range(self.lost)]
        journal._commit(attempts)
        n, digest = journal_digest(journal.rows())
        return n, digest, journal.seal()


def found(log: RunLog) -> str:
    """Return what is wrong with a run and where, in the words of `check`; empty for a sound one."""
    try:
        log.check()
    except LogDamagedError as error:
        return str(error)
    return ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
