"""This module keeps imported logs on disk: two Parquet tables and a small manifest, which `agentsoc laws` reads.

An imported log keeps columns that our own runs do not have (logged roots, visibility, whatever its writer added), so
it is stored as the event table itself and not as event segments::

    DIR/imported.json       format, importer, source with its digest, rules, notes, rows and SHA-256 of the tables
    DIR/events.parquet      `EventTable.events`: one row per act
    DIR/executions.parquet  `EventTable.executions`: one row per execution

The directory appears whole or not at all, is never written twice, and is checked against its manifest when read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.files import sync_directory, write_whole
from agentsoc.log.imported import AGAIN, FORMAT, KIND, Imported, checksum, read_imported, read_tables
from agentsoc.log.imported import IMPORTED as NAME
from agentsoc.log.inside import temporary_name
from analysis.importers.loose_json import whole_text
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, EventTable, conform

AGENTS_MAX: Final = 10_000_000
"""Agents of an execution: laws count those that did nothing, too (agents)."""
SUM_MAX: Final = 1 << 62
"""Calls, or tokens, of a whole log: beyond that their sums would be no numbers."""
_CORRECT: Final = "correct this number in the source, or take the rows out, and import that into a new directory"
_COUNTS: Final = ("calls", "tokens_in", "tokens_cached", "tokens_out")
_READ: Final = frozenset({".csv", ".eval", ".gz", ".json", ".jsonl", ".ndjson", ".parquet"})


def describe(
    importer: str, source: Path, rules: Mapping[str, str], notes: Sequence[str] = (), beside: Sequence[Path] = ()
) -> Imported:
    """Return the description of an import of `source`, a file with those `beside` it, or a directory."""
    digest = source_digest(source, beside)
    return Imported(importer, whole_text(source.name or str(source)), digest, dict(rules), tuple(notes))


def source_digest(source: Path, beside: Sequence[Path] = ()) -> str:
    """Return the SHA-256 over the files at or below `source` that an importer may read, names and contents.

    Of one file it is that of its content, or with files `beside` it that of all names and contents.
    """
    if source.is_file() and beside:
        told = "".join(f"{one.name}\n{_sha256(one)}\n" for one in (source, *beside))
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
    if source.is_file():
        return _sha256(source)
    root = source.resolve()
    whole = hashlib.sha256()
    for path in sorted(p for p in source.rglob("*") if p.suffix in _READ and p.is_file()):
        if path.resolve().is_relative_to(root):  # links that lead out are not read either
            whole.update(f"{path.relative_to(source).as_posix()}\n{_sha256(path)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_new(directory: Path) -> None:
    """Raise `InputError` unless `directory` does not exist or is empty, and is not the current one."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("it exists and is not empty", str(directory), "name a new directory with --out")
    if directory.exists() and _is_current(directory):  # it would be replaced, and whoever is in it be nowhere
        raise InputError("this is the current directory", str(directory), "name a new directory with --out")


def _is_current(directory: Path) -> bool:
    try:
        return directory.samefile(Path())
    except OSError:  # whoever calls is in a directory that is gone
        return False


def save(table: EventTable, directory: Path, about: Imported) -> None:
    """Write `table` into `directory`, which must be new or empty.

    Raises:
        InputError: there is something in `directory`, it cannot be written, or `table` has numbers that no log has.
    """
    require_new(directory)
    if wrong := _beyond(conform(table.events, about.source), table.executions):
        raise InputError(wrong, about.source, "correct this number in it, or take the rows out")
    building = directory.with_name(temporary_name(directory.name))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        building.mkdir()
        files: dict[str, dict[str, object]] = {}
        for name, frame in (("events.parquet", table.events), ("executions.parquet", table.executions)):
            path = building / name
            frame.write_parquet(path, compression="zstd")
            files[name] = {"rows": frame.height, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        data: dict[str, object] = {
            "kind": KIND,
            "format": FORMAT,
            "importer": about.importer,
            "source": about.source,
            "source_digest": about.source_digest,
            "rules": dict(about.rules),
            "notes": list(about.notes),
            "files": files,
        }
        write_whole(building / NAME, json.dumps(data | {"checksum": checksum(data)}, indent=1).encode() + b"\n")
        building.replace(directory)
        sync_directory(directory.parent)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)  # its name is of this import alone: nobody would find it again
        if not isinstance(error, OSError):
            raise
        raise InputError(f"the import cannot be written: {error.strerror or error}", str(directory)) from error


def load(directory: Path) -> tuple[EventTable, Imported]:
    """Return the table of an imported log and what is known of its origin.

    Raises:
        LogDamagedError: the manifest or a table is missing, cut, altered or from a newer version.
    """
    about = read_imported(directory)
    frames = read_tables(directory)
    events, executions = frames["events.parquet"], frames["executions.parquet"]
    for frame, columns, name in ((events, EVENT_COLUMNS, "events"), (executions, EXECUTION_COLUMNS, "executions")):
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise LogDamagedError(f"the table of {name} lacks {', '.join(missing)}", str(directory), AGAIN)
    events = conform(events, str(directory))
    if wrong := _beyond(events, executions):
        raise LogDamagedError(wrong, str(directory), _CORRECT)
    return EventTable(events, executions), about


def _beyond(events: pl.DataFrame, executions: pl.DataFrame) -> str:
    """Return in words which number is none or larger than any log has it, or nothing; to count would need the memory.

    `events` has the types of its columns (`conform`), `executions` may have any.
    """
    try:
        most = executions["n_agents"].cast(pl.Float64, strict=False).max()
    except pl.exceptions.PolarsError:
        return f"n_agents holds {executions.schema['n_agents']}, which is no number"
    most = most if isinstance(most, float) else 0.0
    if most > AGENTS_MAX:
        return f"an execution of {most:,.0f} agents; the limit is {AGENTS_MAX:,}"
    sums = events.select(pl.col(_COUNTS).cast(pl.Float64).abs().sum()).row(0, named=True)
    over = next((name for name, value in sums.items() if value > SUM_MAX), "")
    return f"{over} add up to more than any log has" if over else ""
