"""This module defines `Importer`: an object that reads the log of another framework into an event table.

`IMPORTERS` finds them by entry point in the group ``analysis.importers``; `import_log` reads with one and stores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from agentsoc.errors import InputError
from analysis.importers import store
from analysis.registry import Registered, Registry
from analysis.tables import EventTable


@dataclass(frozen=True)
class LogReading:
    """A reading is what an importer read."""

    table: EventTable
    rules: Mapping[str, str] = field(default_factory=dict)
    """Choices that shaped the table, such as where parents come from."""
    notes: tuple[str, ...] = ()
    """What a reader must know: what was cut, dropped, unknown or assumed."""


class Importer(Registered, ABC):
    """An importer reads files of one layout."""

    reads: ClassVar[str]
    """Name of what it reads, one phrase for the help of the command."""
    parent_rules: ClassVar[tuple[str, ...]] = ()
    """Rules for the parents of a claim, the default first; empty where the files name the parents themselves."""

    @abstractmethod
    def read(self, path: Path, parents: str) -> LogReading:
        """Return what is in the file or directory `path`.

        Args:
            path: what the user named.
            parents: one of `parent_rules`; empty where there are none.

        Raises:
            InputError: this is no such file; says where and why.
        """

    def rule(self, asked: str | None) -> str:
        """Return the rule for parents that was asked for, or the default.

        Raises:
            InputError: there is no such rule.
        """
        if asked is not None and not self.parent_rules:
            raise InputError(f"{self.reads} names its own parents", "--parents", "leave the option out")
        if asked is not None and asked not in self.parent_rules:
            raise InputError(f"no rule {asked!r}", "--parents", f"use one of {', '.join(self.parent_rules)}")
        return asked or (self.parent_rules[0] if self.parent_rules else "")


IMPORTERS: Final[Registry[Importer]] = Registry("analysis.importers", Importer)  # type: ignore[type-abstract]


def import_log(
    importer: str, path: Path, out: Path, *, parents: str | None = None
) -> tuple[EventTable, store.Imported]:
    """Read `path` with an importer, store what it holds in the new directory `out`, and return both.

    Args:
        importer: name of an importer.
        path: a file or a directory, as that importer wants it.
        out: directory for the imported log; it must be new or empty.
        parents: rule for the parents of claims, of those that the importer knows; None for its default.

    Raises:
        InputError: there is no such importer or rule, `path` is not what it should be, `out` cannot be written, or the
            importer gave something other than a reading.
    """
    store.require_new(out)
    chosen = IMPORTERS.get(importer, "SOURCE")
    read: object = chosen.read(path, chosen.rule(parents))
    if not isinstance(read, LogReading) or not isinstance(read.table, EventTable):
        found = f"a {type(read.table).__name__} as table" if isinstance(read, LogReading) else type(read).__name__
        what = f"the importer {importer} gave {found}, not a LogReading with an EventTable"
        raise InputError(what, IMPORTERS.group, "mend the importer")
    about = store.describe(importer, path, read.rules, read.notes)
    store.save(read.table, out, about)
    return read.table, about
