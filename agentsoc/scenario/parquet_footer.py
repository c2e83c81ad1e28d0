"""This module reads what the footer of a Parquet file says of its size, before a library is let near the file.

pyarrow tells the same, but a footer that contradicts itself makes it end the process there. The footer is a Thrift
structure in the compact protocol (Apache Parquet format, parquet.thrift: FileMetaData); everything but a few numbers
is passed over.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

_END: Final = b"PAR1"
_NODES_MAX: Final = 2_000_000
"""Most values in a footer: a file of ten thousand columns and ten row groups has about as many."""
_DEPTH_MAX: Final = 32
_ROWS, _GROUPS = 3, 4  # fields of FileMetaData
_CHUNKS: Final = 1  # field of RowGroup
_CHUNK: Final = 3  # field of ColumnChunk
_TYPE, _VALUES, _UNCOMPRESSED = 1, 5, 6  # fields of ColumnMetaData
_WIDTHS: Final = (1, 4, 8, 12, 4, 8, 4, 8)
"""What a value of each physical type takes at least once it is read: texts as indices (bytes)."""


class Footer(NamedTuple):
    """The footer holds the sizes as a file states them."""

    rows: int
    stored: int
    """All pages, not compressed (bytes)."""
    unfolded: int
    """All values, texts as indices of a dictionary (bytes)."""


def read_footer(content: bytes) -> Footer:
    """Return what the footer of a Parquet file says of its size.

    Raises:
        ValueError: it is no Parquet file, or its footer is broken.
    """
    if len(content) < 12 or content[-4:] != _END:
        raise ValueError("no Parquet file")
    length = struct.unpack("<I", content[-8:-4])[0]
    if length > len(content) - 8:
        raise ValueError("the footer is longer than the file")
    try:
        whole = _Reader(content[len(content) - 8 - length : -8]).structure(0)
        chunks = [
            chunk[_CHUNK] for group in whole.get(_GROUPS, []) for chunk in group.get(_CHUNKS, []) if _CHUNK in chunk
        ]
        return Footer(
            int(whole.get(_ROWS, 0)),
            sum(max(int(chunk.get(_UNCOMPRESSED, 0)), 0) for chunk in chunks),
            sum(max(int(chunk.get(_VALUES, 0)), 0) * _WIDTHS[chunk.get(_TYPE, 2)] for chunk in chunks),
        )
    except (IndexError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"the footer is broken ({type(error).__name__})") from None


class _Reader:
    """The reader takes values in Thrift's compact protocol, one after the other."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._nodes = 0

    def structure(self, depth: int) -> dict[int, Any]:
        """Return the fields of a structure by number."""
        found: dict[int, Any] = {}
        field = 0
        while True:
            head = self._byte()
            if head == 0:
                return found
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            found[field] = self._value(head & 15, depth + 1)

    def _value(self, kind: int, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > _NODES_MAX or depth > _DEPTH_MAX:
            raise ValueError("the footer is too large")
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return self._take(8)
            case 8:
                return self._take(self._varint())
            case 9 | 10:
                return self._list(depth)
            case 11:
                return self._map(depth)
            case 12:
                return self.structure(depth)
        raise ValueError("the footer has a type that there is none of")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = self._varint() if head >> 4 == 15 else head >> 4
        if size > len(self._raw) - self._at:  # an item takes a byte at least
            raise ValueError("a list of the footer is longer than the footer")
        kind = head & 15
        return [self._byte() == 1 if kind in (1, 2) else self._value(kind, depth + 1) for _ in range(size)]

    def _map(self, depth: int) -> None:
        size = self._varint()
        if not size:
            return
        if size > len(self._raw) - self._at:
            raise ValueError("a map of the footer is longer than the footer")
        kinds = self._byte()
        for _ in range(size):
            self._value(kinds >> 4, depth + 1)
            self._value(kinds & 15, depth + 1)

    def _byte(self) -> int:
        value = self._raw[self._at]
        self._at += 1
        return value

    def _take(self, n: int) -> bytes:
        if n > len(self._raw) - self._at:
            raise ValueError("the footer is cut")
        self._at += n
        return self._raw[self._at - n : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of the footer is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
