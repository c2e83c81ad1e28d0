"""This module reads and writes small JSON files with a checksum: the manifest of a run, the record of a comparison.

They may come from a stranger: their size is bounded, numbers that JSON does not have are refused, and what the
checksum does not cover is not believed.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import Inside

SIZE_MAX: Final = 64 << 20
"""Largest record (bytes)."""
VALUES_MAX: Final = 2_000_000
"""Most values in one: each takes some sixty bytes once it is read (values)."""


def hash_json(data: Any) -> str:
    """Return the SHA-256 of plain data in canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def record_bytes(data: dict[str, Any]) -> bytes:
    """Return plain data as the content of a record, with its checksum.

    Raises:
        ValueError: it holds a number that JSON does not have.
    """
    data = {**data, "checksum": hash_json(data)}
    try:
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # half a character in an error message: JSON can escape it
        text = json.dumps(data, indent=1, allow_nan=False).encode()
    return text + b"\n"


def read_record(directory: Path, name: str, what: str, newest: int) -> dict[str, Any]:
    """Return the content of a record without its checksum, which was compared.

    Args:
        directory: where it is.
        name: its file.
        what: what it is, for messages: "the manifest".
        newest: the newest format that this version reads.

    Raises:
        FileNotFoundError: there is none.
        LogDamagedError: it is cut, altered, too large or from a newer version.
    """
    where = str(directory / name)
    try:
        raw = Inside(directory).read(name, limit=SIZE_MAX)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(name) from None
    except OSError as error:
        raise LogDamagedError(f"{what} cannot be read: {error.strerror}", where) from None
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > VALUES_MAX:
        raise LogDamagedError(f"{what} holds more than {VALUES_MAX:,} values", where)
    data = _read_fast(raw)
    if data is not None and not _is_newer(data, newest):
        return data
    try:
        data = json.loads(raw, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise LogDamagedError(f"{what} is cut or not JSON", where) from None
    if not isinstance(data, dict):
        raise LogDamagedError(f"{what} is not a JSON object", where)
    if _is_newer(data, newest):
        found = f"{what} has log format {data['format']}; this version reads up to {newest}"
        raise LogDamagedError(found, where, "update agentsoc to read it")
    stated = data.pop("checksum", None)
    try:
        altered = stated != hash_json(data)
    except RecursionError:  # read with the last bit of stack
        altered = True
    if altered:
        raise LogDamagedError(f"{what} was altered: its checksum differs", where)
    return data


def _is_newer(data: dict[str, Any], newest: int) -> bool:
    return isinstance(data.get("format"), int) and bool(data["format"] > newest)


def _read_fast(raw: bytes) -> dict[str, Any] | None:
    """Return the content of a sound record, or None where the slower reading has to say what it is.

    `ls` reads thousands of them. The canonical JSON of msgspec is that of `hash_json` for all but some floats, such as
    1e-07; a checksum that does not fit is therefore no finding here. What msgspec reads is JSON without infinities.
    """
    try:
        data = msgspec.json.decode(raw)
        if not isinstance(data, dict):
            return None
        stated = data.pop("checksum", None)
        found = hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()
    except (ValueError, RecursionError):
        return None
    return data if stated == found else None


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"JSON has no {text}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value
