"""This module takes a sample of what somebody wants to import: enough for importers to say whether it is theirs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.log.below import is_run
from agentsoc.log.imported import is_imported
from agentsoc.scenario.source import printable
from analysis.files import read_rows
from analysis.importers.loose_json import ENDINGS, BadParts, documents, left_out, own_files

_TABLES: Final = (".csv", ".parquet")
_LOOKED_AT: Final = 4_000
"""Files and folders that are looked at in a directory (entries)."""


@dataclass(frozen=True)
class ImportSample:
    """The sample holds what is known of a path without reading all of it."""

    path: Path
    file: Path
    """The file that was looked into: `path`, or the first one below it that can be."""
    value: Any = None
    """First document of a JSON file; None for others."""
    columns: tuple[str, ...] = ()
    """Columns of a table; empty for others."""
    names: frozenset[str] = field(default_factory=frozenset)
    """Names of the files below a directory, as far as they were looked at."""

    @property
    def where(self) -> str:
        """Place, for messages."""
        return printable(str(self.path), 200)

    @property
    def seen(self) -> str:
        """What was met, in words."""
        if self.columns:
            return f"a table with the columns {printable(', '.join(self.columns[:8]), 160)}"
        if isinstance(self.value, dict):
            return f"an object with the keys {printable(', '.join(map(str, list(self.value)[:8])), 160) or 'none'}"
        if self.value is not None:
            return f"JSON that begins with {printable(json.dumps(self.value, default=str)[:60], 80)}"
        return f"a file called {printable(self.file.name, 80)}" if self.file.is_file() else "what is there"

    @classmethod
    def of(cls, path: Path) -> ImportSample:
        """Return the sample of a file or directory.

        Raises:
            InputError: there is no such file, it is a run of our own or it cannot be read.
        """
        if not path.exists():
            raise InputError("no such file or directory", printable(str(path), 200))
        if path.is_dir() and (is_run(path) or is_imported(path)):
            raise InputError("this is a run, or a log that was imported already", str(path), f"agentsoc laws {path}")
        names: frozenset[str] = frozenset()
        file = path
        if path.is_dir():
            below = []
            for one in path.rglob("*"):
                below.append(one)
                if len(below) >= _LOOKED_AT:
                    break
            names = frozenset(one.name for one in below)
            ends = (*ENDINGS, *_TABLES, ".eval")
            named = [one for one in below if one.name.endswith(ends) and one.is_file()]
            readable = own_files(path, named)
            if not readable:
                hint = left_out(len(named)) or ", ".join(ENDINGS)
                raise InputError("no file below it is of a kind that is imported", str(path), hint)
            file = readable[0]
        if file.suffix in _TABLES:
            return cls(path, file, columns=tuple(read_rows(file, text=True).columns), names=names)
        if file.suffix == ".eval":
            return cls(path, file, names=names)
        first = next(iter(documents(file, BadParts(skip=True))), None)
        if first is None:
            next(iter(documents(file)), None)  # says what is wrong with it
            raise InputError("the file is empty", str(file))
        return cls(path, file, first.value, names=names)
