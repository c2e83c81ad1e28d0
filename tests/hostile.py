"""Real small runs, and the means to make them hostile: right checksums, hashes and seals over whatever they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from agentsoc.log.digest import Digest, digest_of
from agentsoc.log.manifest import NAME, SEAL, seal
from agentsoc.log.record import record_bytes
from agentsoc.log.segments import chain
from tests.zygote import Zygote

SECRET: Final = "CANARY-7f3a"
"""Stands in every text of the canary folder: output that shows it has read there."""

TASKS_FILE: Final = "\n".join(
    json.dumps({"id": f"q{i}", "question": f"Is {i} even?", "answer": "yes" if i % 2 == 0 else "no",
                "options": ["yes", "no"]})
    for i in range(4)
) + "\n"  # fmt: skip

SCENARIO: Final = """
name: guest
seed: 7
tasks: {kind: jsonl, file: tasks.jsonl, count: 4}
agents: {count: 4, model: {kind: scripted, accuracy: 0.7}}
topology: {kind: custom, file: edges.csv}
protocol: {kind: debate, rounds: 2}
budget: {tokens_per_task: 4000}
prices: {scripted: {input: 1, output: 2}}
"""

COMPARISON: Final = """
name: guests
base:
  tasks: {kind: signal, count: 6}
  agents: {model: {kind: simulated, signal: 0.3}}
organisations:
  one: {topology: single, protocol: vote}
  three: {agents: {count: 3}, topology: independent, protocol: vote}
seeds: 1
baseline: one
"""

CALIBRATED: Final = """
name: gauge
seed: 7
tasks: {kind: signal, count: 10}
agents: {count: 5, model: {kind: simulated, signal: 0.3, fidelity: 0.9, compute: 10, message: 10}}
topology: independent
protocol: vote
"""
CALIBRATE: Final = ("--budget", "200000", "--fan-in", "3", "--quiet")


def build(zygote: Zygote, base: Path) -> None:
    """Make one of everything in `base`: run, unfinished, comparison, calibration, imported."""
    base.mkdir()
    (base / "tasks.jsonl").write_text(TASKS_FILE)
    (base / "edges.csv").write_text("0,1\n0,2\n0,3\n1,0\n2,0\n3,0\n")
    (base / "claims.csv").write_text("claim,parents,agent\na,,x\nb,a,y\nc,a;b,x\n")
    for name, text in (("guest", SCENARIO), ("guests", COMPARISON), ("gauge", CALIBRATED)):
        (base / f"{name}.yaml").write_text(text)
    for command in (
        ("run", base / "guest.yaml", "--out", base / "run", "--quiet"),
        ("compare", base / "guests.yaml", "--out", base / "comparison", "--quiet", "--workers", "1"),
        ("calibrate", base / "gauge.yaml", "--out", base / "calibration", *CALIBRATE),
        ("import", "claims", base / "claims.csv", "--out", base / "imported"),
    ):
        outcome = zygote.call(*command, cwd=base)
        assert outcome.code == 0, outcome
    shutil.copytree(base / "run", base / "unfinished")
    interrupt(base / "unfinished")


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest and give it a right checksum and, where it had one, a right seal."""
    data = json.loads((directory / NAME).read_bytes())
    data.pop("checksum")
    change(data)
    content = record_bytes(data)
    (directory / NAME).write_bytes(content)
    if (directory / SEAL).is_file():
        (directory / SEAL).write_bytes(seal(content))


def interrupt(directory: Path) -> None:
    """Make a finished run one that was interrupted: its journal is whole."""

    def change(data: dict[str, Any]) -> None:
        data.update(status="interrupted", digest=None)

    edit(directory, change)


def rescenario(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the scenario of a manifest, with everything over it made right."""

    def whole(data: dict[str, Any]) -> None:
        change(data["scenario"])
        part = {key: value for key, value in data["scenario"].items() if key not in ("engine", "description", "name")}
        text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        data["scenario_hash"] = hashlib.sha256(text.encode()).hexdigest()

    edit(directory, whole)


def pin(directory: Path, *names: str, rows: int | None = None) -> None:
    """Make the manifest pin files as they are now: tables, ``inputs/x``, ``journal.sqlite`` or ``events``.

    Args:
        directory: the run.
        names: files.
        rows: what the manifest is to say of the rows of the first segment, where pyarrow must not read it.
    """

    def change(data: dict[str, Any]) -> None:
        for name in names:
            if name == "events":
                _pin_events(directory, data, rows)
                continue
            digest = hashlib.sha256((directory / name).read_bytes()).hexdigest()
            if name.startswith("inputs/"):
                data["inputs"][name.removeprefix("inputs/")] = digest
            else:
                data[{"tasks.parquet": "tasks_file", "episodes.parquet": "episodes_file"}.get(name, "journal_file")] = (
                    digest
                )

    edit(directory, change)


def _pin_events(directory: Path, data: dict[str, Any], rows: int | None) -> None:
    entries, whole, previous = [], Digest(), ""
    for path in sorted((directory / "events").iterdir()):
        digest, n = "0" * 64, rows
        if rows is None:
            from agentsoc.log.schema import SCHEMA

            table = pq.read_table(path).select(SCHEMA.names).cast(SCHEMA)
            digest, n = digest_of(table), table.num_rows
            whole.update(table)
        previous = chain(previous, digest)
        raw = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append({"file": path.name, "rows": n, "digest": digest, "chain": previous, "sha256": raw})
    data["segments"] = entries
    if data["digest"] is not None:
        data["digest"] = whole.hexdigest()


def sql(path: Path, *statements: str) -> None:
    """Run statements on a database."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
