"""This module reads what other programs wrote as JSON: one document, or one a line, packed or not, within bounds.

Other programs write a byte order mark, NaN for what they do not know, and halves of surrogate pairs; all of that is
read (NaN as null, a lone half as the replacement character). What is cut, nested beyond the stack or no JSON
is refused with its line; a caller may ask to pass over such lines, and gets their number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.files import JSON_BYTES, unpacked

LINES_BYTES: Final = 256 << 20
"""Largest file of one document a line, unpacked (bytes)."""
PARTS_MAX: Final = 5_000_000
"""Lists and objects of a document, at most; each takes some 60 bytes of memory and as little as two of a file."""
ENDINGS: Final = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
FILES_MAX: Final = 20_000
"""Files that are taken from a directory (files)."""
_LINES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_LONE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class JsonDocument:
    """A document is one value of a file, with its place."""

    value: Any
    file: Path
    line: int | None = None
    """Line of the file, counted from 1; None for a file that is one document."""

    @property
    def where(self) -> str:
        """Place of the document, for messages."""
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


@dataclass
class BadParts:
    """The object says what to do with what cannot be read: refuse it, or pass over it and count."""

    skip: bool = False
    skipped: list[str] = field(default_factory=list)
    """First words on each part that was passed over."""

    def refuse(self, error: InputError) -> None:
        """Raise `error`, or note it where bad parts are passed over."""
        if not self.skip:
            raise error
        self.skipped.append(printable(str(error.problem).split("\n")[0], 200))

    def notes(self) -> list[str]:
        """Return what a reader must know."""
        if not self.skipped:
            return []
        more = f", and {len(self.skipped) - 3:,} more" if len(self.skipped) > 3 else ""
        return [f"passed over {len(self.skipped):,} that cannot be read: {'; '.join(self.skipped[:3])}{more}"]


def files_at(path: Path, endings: tuple[str, ...] = ENDINGS) -> list[Path]:
    """Return the file `path`, or the ordinary files below it that end in one of `endings`, by name.

    Raises:
        InputError: there is no such file, or none below it, or too many.
    """
    if not path.exists():
        raise InputError("no such file or directory", printable(str(path), 200))
    if not path.is_dir():
        return [path]
    root = path.resolve()
    found: list[Path] = []
    out = 0
    for one in path.rglob("*"):
        if one.name.endswith(endings) and one.is_file():
            if one.resolve().is_relative_to(root):
                found.append(one)
            else:
                out += 1
        if len(found) > FILES_MAX:
            raise InputError(f"more than {FILES_MAX:,} files below it", str(path), "import it in parts")
    if not found:
        raise InputError(f"no file below it ends in {', '.join(endings)}", str(path), left_out(out) or "name a file")
    return sorted(found)


def own_files(path: Path, files: Iterable[Path]) -> list[Path]:
    """Return those of `files` that no link puts into the directory `path` from outside, by name."""
    root = path.resolve()
    return sorted(file for file in files if file.resolve().is_relative_to(root))


def left_out(count: int) -> str:
    """Return in words that so many files are links out of a directory, and what to do; nothing where there are none."""
    if not count:
        return ""
    are = "1 is a link that leads" if count == 1 else f"{count:,} are links that lead"
    return f"{are} out of it: copy what is meant, e.g. with cp -rL"


def documents(file: Path, bad: BadParts | None = None) -> Iterator[JsonDocument]:
    """Yield the documents of a file: its lines where its name or its text says so, otherwise the whole of it.

    Raises:
        InputError: it cannot be read, or a document is no JSON and `bad` does not pass over such.
    """
    bad = bad or BadParts()
    raw = unpacked(file, limit_bytes=LINES_BYTES)
    if file.name.endswith(_LINES):
        yield from _lines(raw, file, bad)
        return
    if len(raw) <= JSON_BYTES:
        try:
            yield JsonDocument(_decode(raw, str(file)), file)
            return
        except InputError as error:
            if not _several(raw):
                bad.refuse(error)
                return
    elif not _several(raw):
        what = f"one JSON document of {len(raw):,} bytes; the limit is {JSON_BYTES:,}"
        bad.refuse(InputError(what, str(file), "write one conversation a line (.jsonl)"))
        return
    yield from _lines(raw, file, bad)


def _several(raw: bytes) -> bool:
    """Return whether the first line is a document of its own, and there is more behind it."""
    first, _, rest = raw.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    if not rest.strip() or len(first) > JSON_BYTES:
        return False
    try:
        return isinstance(json.loads(first), dict | list)
    except (ValueError, RecursionError):
        return False


def _lines(raw: bytes, file: Path, bad: BadParts) -> Iterator[JsonDocument]:
    start, number = 0, 0
    while start < len(raw):
        number += 1
        end = raw.find(b"\n", start)
        end = len(raw) if end < 0 else end
        line = raw[start:end].strip()
        start = end + 1
        if not line:
            continue
        where = f"{file}:{number}"
        if len(line) > JSON_BYTES:
            bad.refuse(InputError(f"a line of {len(line):,} bytes; the limit is {JSON_BYTES:,}", where))
            continue
        try:
            value = _decode(line, where)
        except InputError as error:
            bad.refuse(error)
            continue
        yield JsonDocument(value, file, number)


def _decode(raw: bytes, where: str) -> Any:
    if raw.count(b"[") + raw.count(b"{") > PARTS_MAX or raw.count(b",") > 2 * PARTS_MAX:
        what = f"more than {PARTS_MAX:,} lists and objects, or twice as many entries"
        raise InputError(what, where, "write one conversation a line (.jsonl)")
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=lambda _: None)
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start:,}", where, "save the file as UTF-8") from None
    except RecursionError:
        raise InputError("this is nested too deeply", where) from None
    except ValueError as error:
        raise InputError(f"this is no JSON: {printable(str(error))}", where) from None


def whole_text(text: str) -> str:
    """Return `text` with lone halves of surrogate pairs replaced, which no file and no table takes."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)
