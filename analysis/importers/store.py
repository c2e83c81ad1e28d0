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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.files import sync_directory, write_whole
from agentsoc.log.inside import Inside
from agentsoc.log.parquet import read_frame
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, EventTable, conform

NAME: Final = "imported.json"
FORMAT: Final = 1
KIND: Final = "agentsoc imported log"
_MANIFEST_BYTES: Final = 4 << 20
_AGAIN: Final = "import it again: agentsoc import"
_READ: Final = frozenset({".csv", ".eval", ".gz", ".json", ".jsonl", ".ndjson", ".parquet"})


@dataclass(frozen=True)
class Imported:
    """The object is what an import says about itself."""

    importer: str
    """Name of the importer, such as ``claims``."""
    source: str
    """Name of the file or directory that was imported, without its path."""
    source_digest: str
    """SHA-256 over the files that were there to be read."""
    rules: Mapping[str, str]
    """Choices that shaped the table, such as where parents come from."""
    notes: tuple[str, ...]
    """What a reader must know: what was cut, dropped, unknown or assumed."""


def describe(importer: str, source: Path, rules: Mapping[str, str], notes: Sequence[str] = ()) -> Imported:
    """Return the description of an import of `source`, a file or a directory."""
    return Imported(importer, source.name or str(source), source_digest(source), dict(rules), tuple(notes))


def source_digest(source: Path) -> str:
    """Return the SHA-256 over the names and contents of the files at or below `source` that an importer may read."""
    if source.is_file():
        return hashlib.sha256(source.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for path in sorted(p for p in source.rglob("*") if p.suffix in _READ and p.is_file()):
        one = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(source).as_posix()}\n{one}\n".encode())
    return whole.hexdigest()


def is_imported(directory: Path) -> bool:
    """Return whether `directory` holds an imported log, sound or not."""
    return (directory / NAME).is_file()


def require_new(directory: Path) -> None:
    """Raise `InputError` unless `directory` does not exist or is empty."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("it exists and is not empty", str(directory), "name a new directory with --out")


def save(table: EventTable, directory: Path, about: Imported) -> None:
    """Write `table` into `directory`, which must be new or empty.

    Raises:
        InputError: there is something in `directory`, or it cannot be written.
    """
    require_new(directory)
    building = directory.with_name(f".{directory.name}.tmp")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(building, ignore_errors=True)
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
        write_whole(building / NAME, json.dumps(data | {"checksum": _checksum(data)}, indent=1).encode() + b"\n")
        building.replace(directory)
        sync_directory(directory.parent)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise InputError(f"the import cannot be written: {error.strerror or error}", str(directory)) from error


def load(directory: Path) -> tuple[EventTable, Imported]:
    """Return the table of an imported log and what is known of its origin.

    Raises:
        LogDamagedError: the manifest or a table is missing, cut, altered or from a newer version.
    """
    data = _manifest(directory)
    frames = {}
    for name in ("events.parquet", "executions.parquet"):
        path = directory / name
        try:
            raw = Inside(directory).read(name)
            stated = data["files"][name]
            if hashlib.sha256(raw).hexdigest() != stated["sha256"]:
                raise LogDamagedError("this table is not what was written", str(path), _AGAIN)
            frames[name] = read_frame(raw)
        except FileNotFoundError:
            raise LogDamagedError("this table is missing", str(path), _AGAIN) from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise LogDamagedError(f"this table cannot be read ({type(error).__name__})", str(path), _AGAIN) from None
    events, executions = frames["events.parquet"], frames["executions.parquet"]
    for frame, columns, name in ((events, EVENT_COLUMNS, "events"), (executions, EXECUTION_COLUMNS, "executions")):
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise LogDamagedError(f"the table of {name} lacks {', '.join(missing)}", str(directory), _AGAIN)
    about = Imported(
        str(data["importer"]), str(data["source"]), str(data["source_digest"]), data["rules"], tuple(data["notes"])
    )
    return EventTable(conform(events, str(directory)), executions), about


def _manifest(directory: Path) -> dict[str, Any]:
    """Return the manifest of an imported log after checking its checksum and version."""
    path = directory / NAME
    try:
        data = json.loads(Inside(directory).read(NAME, limit=_MANIFEST_BYTES))
    except FileNotFoundError:
        raise LogDamagedError("there is no imported log here", str(directory), _AGAIN) from None
    except (OSError, ValueError, RecursionError):
        raise LogDamagedError("the manifest of the import is cut or not JSON", str(path), _AGAIN) from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise LogDamagedError("this is no manifest of an imported log", str(path), _AGAIN)
    if not isinstance(data.get("format"), int) or data["format"] > FORMAT:
        raise LogDamagedError(
            f"this import has format {data.get('format')}; this version reads up to {FORMAT}",
            str(path),
            "update agentsoc",
        )
    stated = data.pop("checksum", None)
    if stated != _checksum(data):
        raise LogDamagedError("the manifest of the import was altered: its checksum differs", str(path), _AGAIN)
    return data


def _checksum(data: Mapping[str, object]) -> str:
    """Return the SHA-256 of `data` in canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
