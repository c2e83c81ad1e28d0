"""This module reads a file that a person names on the command line: ordinary, bounded and UTF-8, or it says why not."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from agentsoc.contracts.part import nearest
from agentsoc.errors import Problem, ScenarioError

LIMIT_BYTES: Final = 1_000_000
"""Largest scenario or code file (bytes)."""

_BOMS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xef\xbb\xbf": "",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS: Final = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def printable(text: str, limit: int = 120) -> str:
    """Return `text` safe to print: at most `limit` characters, without control, escape or direction characters."""
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


def read_bytes(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of an ordinary file; never waits on a pipe, never reads past the limit.

    Raises:
        ScenarioError: there is no such file, it is not an ordinary one, it is too big or it cannot be read.
    """
    where = printable(str(path))
    try:
        # Looked at before it is opened: opening a device can have effects. Looked at again after: it may be exchanged.
        _require_ordinary(where, path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _require_ordinary(where, found.st_mode)
            if found.st_size > limit_bytes:
                raise _too_big(where, f"{found.st_size:,}", limit_bytes)
            raw = file.read(limit_bytes + 1)  # a file can grow, or hide its size
    except FileNotFoundError:
        raise _fault(where, "there is no such file", _beside(path)) from None
    except ValueError as error:  # a NUL in the name
        raise _fault(where, f"not a file name: {error}", "give the path of a scenario file") from None
    except OSError as error:
        raise _fault(
            where, f"cannot be read: {error.strerror or error}", "check the path and its permissions"
        ) from None
    if len(raw) > limit_bytes:
        raise _too_big(where, f"more than {limit_bytes:,}", limit_bytes)
    return raw


def decode(raw: bytes, where: str) -> str:
    """Return `raw` as text.

    Raises:
        ScenarioError: a byte order mark, bytes that are not UTF-8, or control characters, each with its place.
    """
    for mark, name in _BOMS.items():
        if raw.startswith(mark):
            what = f"the file is {name}" if name else "the file starts with a byte order mark (BOM)"
            raise _fault(f"{where}:1:1", what, "save it as UTF-8 without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _place(where, raw[: error.start].decode("utf-8"))
        raise _fault(place, f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8") from None
    found = _CONTROL.search(text)
    if found is not None:
        raise _fault(
            _place(where, text[: found.start()]),
            f"a control character, U+{ord(found.group()):04X}, is not allowed in a scenario",
            "delete it, or write it as an escape inside double quotes",
        )
    return text


def _place(where: str, before: str) -> str:
    return f"{where}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _too_big(where: str, size: str, limit_bytes: int) -> ScenarioError:
    what = f"the file has {size} bytes, the limit is {limit_bytes:,}"
    return _fault(where, what, "move large tables to a file beside it and name that file")


def _fault(where: str, what: str, hint: str) -> ScenarioError:
    return ScenarioError([Problem(where, what, hint)])


def _require_ordinary(where: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _fault(where, f"this is {_KINDS.get(stat.S_IFMT(mode), 'a device')}, not a file", "name an ordinary file")


def _beside(path: Path) -> str:
    """Return a suggestion from the names in the same directory."""
    try:
        names = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml", ".py"))[:1_000]
    except OSError:
        return f"there is no directory {printable(str(path.parent))} either"
    return nearest(path.name, names) if names else "give the path of a scenario file"
