"""This module reads the description of an imported log, and its tables as bytes that were checked against it.

What a log of another framework became is two Parquet tables and a manifest; `analysis.importers.store` writes them and
makes the analysis' table of them. Here is what `show` and `check` need, without the analysis::

    DIR/imported.json       format, importer, source with its digest, rules, notes, rows and SHA-256 of the tables
    DIR/events.parquet      one row per act
    DIR/executions.parquet  one row per execution
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import Inside
from agentsoc.log.parquet import read_frame

IMPORTED: Final = "imported.json"
"""File that marks the directory of an imported log."""
FORMAT: Final = 1
KIND: Final = "agentsoc imported log"
TABLES: Final = ("events.parquet", "executions.parquet")
AGAIN: Final = "import it again: agentsoc import"
_MANIFEST_BYTES: Final = 4 << 20


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
    rows: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Rows of each table, as its manifest states them."""


def is_imported(directory: Path) -> bool:
    """Return whether `directory` holds an imported log, sound or not."""
    return (directory / IMPORTED).is_file()


def read_imported(directory: Path) -> Imported:
    """Return what an imported log says about itself.

    Raises:
        LogDamagedError: the manifest is missing, cut, altered or from a newer version.
    """
    data = _manifest(directory)
    try:
        rows = {name: int(data["files"][name]["rows"]) for name in TABLES}
        said = (str(data["importer"]), str(data["source"]), str(data["source_digest"]))
        rules = {str(name): str(value) for name, value in data["rules"].items()}
        return Imported(*said, rules, tuple(str(note) for note in data["notes"]), rows)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise LogDamagedError("the manifest of the import lacks a part", str(directory / IMPORTED), AGAIN) from None


def read_tables(directory: Path) -> dict[str, pl.DataFrame]:
    """Return the tables of an imported log by file name, each compared with its hash.

    Raises:
        LogDamagedError: the manifest or a table is missing, cut, altered or from a newer version.
    """
    data = _manifest(directory)
    frames = {}
    for name in TABLES:
        path = directory / name
        try:
            raw = Inside(directory).read(name)
            if hashlib.sha256(raw).hexdigest() != data["files"][name]["sha256"]:
                raise LogDamagedError("this table is not what was written", str(path), AGAIN)
            frames[name] = read_frame(raw)
        except FileNotFoundError:
            raise LogDamagedError("this table is missing", str(path), AGAIN) from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise LogDamagedError(f"this table cannot be read ({type(error).__name__})", str(path), AGAIN) from None
    return frames


def _manifest(directory: Path) -> dict[str, Any]:
    """Return the manifest of an imported log after checking its checksum and version."""
    path = directory / IMPORTED
    try:
        data = json.loads(Inside(directory).read(IMPORTED, limit=_MANIFEST_BYTES))
    except FileNotFoundError:
        raise LogDamagedError("there is no imported log here", str(directory), AGAIN) from None
    except (OSError, ValueError, RecursionError):
        raise LogDamagedError("the manifest of the import is cut or not JSON", str(path), AGAIN) from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise LogDamagedError("this is no manifest of an imported log", str(path), AGAIN)
    if not isinstance(data.get("format"), int) or data["format"] > FORMAT:
        raise LogDamagedError(
            f"this import has format {data.get('format')}; this version reads up to {FORMAT}",
            str(path),
            "update agentsoc",
        )
    stated = data.pop("checksum", None)
    if stated != checksum(data):
        raise LogDamagedError("the manifest of the import was altered: its checksum differs", str(path), AGAIN)
    return data


def checksum(data: Mapping[str, object]) -> str:
    """Return the SHA-256 of `data` in canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
