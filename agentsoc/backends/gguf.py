"""This module reads the metadata of a GGUF model file, the part before the tensors, without any library.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 2 and 3, little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Container
from pathlib import Path
from typing import Any, BinaryIO, Final

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9
_LONGEST: Final = 64 * 1024 * 1024
"""Bound on one string or array (bytes, elements): a damaged length must not take the machine's memory."""


def read_metadata(path: Path, wanted: Container[str]) -> dict[str, Any]:
    """Return the metadata of `path` whose keys are in `wanted`; texts as bytes, arrays as lists.

    Raises:
        ValueError: the file is no GGUF file, or it ends too early.
    """
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("no GGUF file: it does not begin with the letters GGUF")
        version, _, n_entries = struct.unpack("<IQQ", _take(file, 20))
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version} is not known")
        found: dict[str, Any] = {}
        for _ in range(n_entries):
            key = _text(file).decode("utf-8", "replace")
            (kind,) = struct.unpack("<I", _take(file, 4))
            value = _value(file, kind)
            if key in wanted:
                found[key] = value
        return found


def _take(file: BinaryIO, size: int) -> bytes:
    raw = file.read(size)
    if len(raw) != size:
        raise ValueError("the GGUF file ends too early")
    return raw


def _text(file: BinaryIO) -> bytes:
    (size,) = struct.unpack("<Q", _take(file, 8))
    if size > _LONGEST:
        raise ValueError(f"a text of {size} bytes in the GGUF file")
    return _take(file, size)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind in _SCALARS:
        form = "<" + _SCALARS[kind]
        return struct.unpack(form, _take(file, struct.calcsize(form)))[0]
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        raise ValueError(f"value of unknown type {kind} in the GGUF file")
    inner, size = struct.unpack("<IQ", _take(file, 12))
    if size > _LONGEST or inner == _ARRAY:
        raise ValueError(f"an array of {size} elements of type {inner} in the GGUF file")
    if inner in _SCALARS:
        form = f"<{size}{_SCALARS[inner]}"
        return list(struct.unpack(form, _take(file, struct.calcsize(form))))
    return [_value(file, inner) for _ in range(size)]
