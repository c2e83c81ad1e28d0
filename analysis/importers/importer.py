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
from agentsoc.log.imported import Imported
from analysis.importers import store
from analysis.importers.chats.foreign import foreign_format, unread_format
from analysis.importers.loose_json import BadParts
from analysis.importers.sample import ImportSample
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
    beside: tuple[Path, ...] = ()
    """Files that were read beside the one that the user named; the digest of the source covers them."""


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

    def read_parts(self, path: Path, parents: str, bad: BadParts, *, partial: bool) -> LogReading:
        """Return what is in `path`; an importer that can pass over what is bad, or take parts of a whole, overrides it.

        Args:
            path: what the user named.
            parents: as for `read`.
            bad: says whether what cannot be read is passed over, and is told of it.
            partial: whether a log is taken of which parts are known to be missing.

        Raises:
            InputError: as `read`; or this importer can do neither.
        """
        if bad.skip:
            raise InputError(f"{self.reads} is read whole or not at all", "--skip-bad", "leave the option out")
        if partial:
            raise InputError(f"{self.reads} has no parts that can be missing", "--partial", "leave the option out")
        return self.read(path, parents)

    def recognises(self, sample: ImportSample) -> str | None:
        """Return the name of the format where this importer reads what the sample is of; None, the default, if not."""
        return None

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

AUTO: Final = "auto"
"""What stands in place of an importer's name where it is to be found out."""


def recognised(path: Path) -> Importer:
    """Return the first importer that recognises what is at `path`.

    Raises:
        InputError: none does; says what was met and what each reads.
    """
    sample = ImportSample.of(path)
    for one in IMPORTERS.all().values():
        if one.recognises(sample) is not None:
            return one
    if (known := foreign_format(sample.value) or unread_format(sample.value)) is not None:
        raise InputError(f"this is {known.name}", sample.where, known.hint)
    named = "; ".join(f"{name}: {one.reads}" for name, one in IMPORTERS.all().items())
    raise InputError(f"no importer recognises {sample.seen}", sample.where, f"name one: {named}")


def import_log(
    importer: str,
    path: Path,
    out: Path,
    *,
    parents: str | None = None,
    skip_bad: bool = False,
    partial: bool = False,
) -> tuple[EventTable, Imported]:
    """Read `path` with an importer, store what it holds in the new directory `out`, and return both.

    Args:
        importer: name of an importer, or ``auto`` for the first that recognises what is there.
        path: a file or a directory, as that importer wants it.
        out: directory for the imported log; it must be new or empty.
        parents: rule for the parents of claims, of those that the importer knows; None for its default.
        skip_bad: whether conversations, lines or spans that cannot be read are passed over and counted.
        partial: whether traces are taken of which spans are missing.

    Raises:
        InputError: there is no such importer or rule, `path` is not what it should be, `out` cannot be written, or the
            importer gave something other than a reading.
    """
    store.require_new(out)
    chosen = IMPORTERS.get(importer, "SOURCE") if importer != AUTO else recognised(path)
    importer = chosen.name
    read: object = chosen.read_parts(path, chosen.rule(parents), BadParts(skip_bad), partial=partial)
    if not isinstance(read, LogReading) or not isinstance(read.table, EventTable):
        found = f"a {type(read.table).__name__} as table" if isinstance(read, LogReading) else type(read).__name__
        what = f"the importer {importer} gave {found}, not a LogReading with an EventTable"
        raise InputError(what, IMPORTERS.group, "mend the importer")
    about = store.describe(importer, path, read.rules, read.notes, read.beside)
    store.save(read.table, out, about)
    return read.table, about
