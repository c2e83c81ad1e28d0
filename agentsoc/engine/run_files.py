"""This module writes the files of a run beside its events: what it is made from, manifest, table of episodes."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from agentsoc.backends.secrets import redact
from agentsoc.contracts.rules import Rules
from agentsoc.engine.inputs import RunTasks, input_files, parquet_bytes
from agentsoc.engine.loop import RunEngine
from agentsoc.errors import AgentsocError
from agentsoc.log.episodes import committed_rounds
from agentsoc.log.inside import Inside
from agentsoc.log.journal import Journal
from agentsoc.log.journal_totals import JournalTotals, read_digest
from agentsoc.log.manifest import (
    Fork,
    Manifest,
    SegmentEntry,
    Status,
    Totals,
    machine,
    versions,
)
from agentsoc.log.money import study_rates
from agentsoc.log.names import EPISODES, INPUTS, TASKS
from agentsoc.log.record import hash_json
from agentsoc.log.segments import Segment, SegmentWriter
from agentsoc.log.study import StudyAccount
from agentsoc.log.totals import EpisodeTotals, EventTotals, ceilings, fold
from agentsoc.scenario.model import Scenario

_JOURNAL_FAULTS: Final = (OSError, sqlite3.Error, AgentsocError)


class RunFiles:
    """The object keeps the directory of a run up to date; a plan without a directory writes nothing."""

    def __init__(
        self, directory: Path | None, manifest: Manifest, journal: Journal | None, writer: SegmentWriter
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self._journal = journal
        self._writer = writer

    def begin(self, scenario: Scenario, tasks: RunTasks) -> None:
        """Write down what the run is made from, and the manifest that says so."""
        manifest = self.manifest
        inputs = input_files(scenario)
        manifest.inputs = {name: hashlib.sha256(content).hexdigest() for name, content in inputs}
        if self.directory is None:
            return
        inside = Inside(self.directory)
        for name, content in inputs:
            inside.write(f"{INPUTS}/{name}", content)
        parquet = parquet_bytes(tasks.table())
        manifest.tasks_file = hashlib.sha256(parquet).hexdigest()
        inside.write(TASKS, parquet)
        manifest.save(self.directory)

    def save_so_far(self) -> None:
        """Bring the events to the disk, and the manifest that names them."""
        self._writer.flush()
        segments, so_far, rows = self._writer.durable()
        self._save(segments, "running", self._totals(so_far, rows))

    def finish(self, digest: str, rows: EpisodeTotals, episodes: pa.Table) -> Totals:
        """Write down that all episodes have ended; return what the run amounts to."""
        totals = self._totals(self._writer.totals, rows)
        if self.directory is not None:
            self.manifest.digest = digest
            self._pin_journal()
            self._write_episodes(episodes)
            self._save(self._writer.segments, "finished", totals)
        return totals

    def end(self, engine: RunEngine, status: Status) -> None:
        """Write down all that was committed of a run that ends before its episodes have."""
        # the journal first: what it cannot take of a run that is stopped makes this a failed one
        found: JournalTotals | None = None
        with contextlib.suppress(*_JOURNAL_FAULTS) if status == "failed" else contextlib.nullcontext():
            found = self._pin_journal()
        engine.close()
        self._writer.finish()
        episodes = engine.episodes.table()
        self.manifest.unanswered = None if found is None else found.unanswered(committed_rounds(episodes))
        self._write_episodes(episodes)
        self._save(self._writer.segments, status, self._totals(self._writer.totals, engine.episodes.totals))

    def fail(self, engine: RunEngine | None, error: BaseException) -> None:
        """Write down that the run failed: with all that was committed, or where the disk refuses with what is on it."""
        if self.directory is None:
            return
        self.manifest.error = redact(f"{type(error).__name__}: {error}")[:2000]
        try:
            if engine is not None:
                self.end(engine, "failed")
                return
        except (OSError, pa.ArrowException, AgentsocError):
            self.manifest.episodes_file = None
        with contextlib.suppress(OSError, AgentsocError):
            self._writer.abandon()
            segments, so_far, rows = self._writer.durable()
            self._writer.remove_others(segments)
            self._save(segments, "failed", self._totals(so_far, rows))

    def _totals(self, events: EventTotals, rows: EpisodeTotals) -> Totals:
        return fold(events, rows, ceilings(self.manifest.scenario))

    def _save(self, segments: Sequence[Segment], status: Status, totals: Totals) -> None:
        assert self.directory is not None
        manifest = self.manifest
        manifest.status = status
        manifest.totals = totals
        manifest.segments = [SegmentEntry(**msgspec.structs.asdict(segment)) for segment in segments]
        manifest.save(self.directory)

    def _write_episodes(self, episodes: pa.Table) -> None:
        assert self.directory is not None
        parquet = parquet_bytes(episodes)
        self.manifest.episodes_file = hashlib.sha256(parquet).hexdigest()
        Inside(self.directory).write(EPISODES, parquet)

    def _pin_journal(self) -> JournalTotals | None:
        """Close the journal and write down what it holds: nobody calls a model any more."""
        journal, manifest = self._journal, self.manifest
        if journal is None:
            return None
        manifest.journal_file = journal.seal()
        (manifest.journal_rows, manifest.journal_digest), found = read_digest(
            journal.path, StudyAccount(study_rates(manifest.scenario))
        )
        manifest.study = found.study if found.study.calls else None
        return found


def new_manifest(
    scenario: Scenario, tasks_hash: str, code: Mapping[str, str], fork: Fork | None, rules: Rules
) -> Manifest:
    """Return the manifest of a run that begins."""
    judge = scenario.tasks.judged_by()
    models = [*(group.model for group in scenario.agents), *([] if judge is None else [judge.model])]
    reasons = dict.fromkeys(reason for model in models if (reason := model.not_reproducible()))
    dumped = scenario.model_dump(mode="json")
    return Manifest(
        name=scenario.name,
        seed=scenario.seed,
        scenario=dumped,
        scenario_hash=hash_json(scenario.result_part()),
        tasks_hash=tasks_hash,
        code=dict(code),
        rules=rules.record(),
        versions=versions(),
        machine=machine(),
        not_reproducible=list(reasons),
        totals=Totals(**ceilings(dumped)),
        fork=fork,
    )
