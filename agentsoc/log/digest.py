"""This module takes the digest of a log over what its columns hold in canonical order, never over the bytes of files.

Every column feeds its own SHA-256 streams: values as little-endian 64-bit numbers, validity as one byte a row, text as
lengths and UTF-8 bytes, lists as lengths and values. Concatenation does not see where tables were cut, so the digest
is the same however the rows were batched, and on every platform and library version.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.log.schema import REWARDS, SCHEMA

_NAME: Final = b"agentsoc-events-1"


Pieces = list[tuple[str, str, "np.ndarray[Any, Any] | int"]]
"""What streams take in, in order: name of the column, part of it, the values, or how many zero bytes they are."""


class Digest:
    """A running digest of event tables with the schema of `agentsoc.log.schema`."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self.rows = 0

    def update(self, table: pa.Table) -> None:
        """Take in the rows of `table`; only their order counts, not how they are split over calls."""
        self.feed(pieces_of(table, self.rows), table.num_rows)

    def feed(self, pieces: Pieces, rows: int) -> None:
        """Take in rows as `pieces_of` has them, so that several digests can share that work.

        Args:
            pieces: of rows that follow those taken in so far; rewards know their rows.
            rows: how many they are.
        """
        self.rows += rows
        for name, part, values in pieces:
            key = f"{name}/{part}"
            stream = self._streams.get(key)
            if stream is None:
                stream = self._streams[key] = _Stream()
            stream.update(values)

    def hexdigest(self) -> str:
        """Return the digest of everything so far as 64 hexadecimal digits."""
        whole = hashlib.sha256(_NAME)
        whole.update(self.rows.to_bytes(8, "little"))
        for field in (*SCHEMA, REWARDS) if f"{REWARDS.name}/values" in self._streams else SCHEMA:
            for part in ("valid", "lengths", "values"):
                stream = self._streams.get(f"{field.name}/{part}")
                whole.update(stream.digest() if stream is not None else bytes(32))
        return whole.hexdigest()


class _Stream:
    """A stream is one SHA-256. Zeros wait until something else follows them: many columns hold nothing else.

    Streams that hold equally many zeros and nothing else then share one hash.
    """

    def __init__(self) -> None:
        self._hash: Any = None
        self._zeros = 0

    def update(self, values: np.ndarray[Any, Any] | int) -> None:
        if isinstance(values, int):
            self._zeros += values
            return
        if self._hash is None:
            self._hash = hashlib.sha256()
        self._settle()
        self._hash.update(np.ascontiguousarray(values).data)

    def _settle(self) -> None:
        while self._zeros:
            now = min(self._zeros, len(_ZEROS))
            self._hash.update(memoryview(_ZEROS)[:now])
            self._zeros -= now

    def digest(self) -> bytes:
        if self._hash is None:
            return _zeros_digest(self._zeros)
        self._settle()
        return bytes(self._hash.digest())


_ZEROS: Final = bytes(1 << 16)


@lru_cache(maxsize=64)
def _zeros_digest(n: int) -> bytes:
    """Return the SHA-256 of `n` zero bytes."""
    found = hashlib.sha256()
    for first in range(0, n, len(_ZEROS)):
        found.update(memoryview(_ZEROS)[: min(len(_ZEROS), n - first)])
    return found.digest()


def pieces_of(table: pa.Table, rows_before: int = 0) -> Pieces:
    """Return what the streams of a digest take in for the rows of `table`.

    Args:
        table: events.
        rows_before: rows that the digest took in before; rewards are told by their row.
    """
    pieces: Pieces = []
    if REWARDS.name in table.column_names:
        _add_rewards(pieces, table.column(REWARDS.name), rows_before)
    for field in SCHEMA:
        for chunk in table.column(field.name).chunks:
            if len(chunk):
                _add_column(pieces, field, chunk)
    return pieces


def has_rewards(pieces: Pieces) -> bool:
    """Return whether rewards are among some pieces: these fit no digest that began at another row."""
    return bool(pieces) and pieces[0][0] == REWARDS.name


def _add_rewards(pieces: Pieces, column: pa.ChunkedArray, rows_before: int) -> None:
    """Take in the rewards that there are, each with its row: without any, a digest is what it was before them."""
    valid = np.flatnonzero(column.is_valid().to_numpy())
    if len(valid):
        values = column.drop_null().to_numpy().astype("<f8") + 0.0
        pieces.append((REWARDS.name, "lengths", (valid + rows_before).astype("<i8")))
        pieces.append((REWARDS.name, "values", values))


def _add_column(pieces: Pieces, field: pa.Field, chunk: pa.Array) -> None:
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.cast(pa.string())  # first of all: a null may be an index or what an index points to
    n = len(chunk)
    nothing = chunk.null_count == n
    if field.nullable:
        if nothing:
            pieces.append((field.name, "valid", n))
        elif chunk.null_count:
            _add(pieces, field.name, "valid", chunk.is_valid().to_numpy(zero_copy_only=False).astype("u1"))
        else:
            pieces.append((field.name, "valid", np.ones(n, np.uint8)))
    if pa.types.is_string(chunk.type):
        if nothing:
            pieces.append((field.name, "lengths", 8 * n))
        else:
            _add_text(pieces, field.name, chunk)
    elif pa.types.is_list(chunk.type):
        _add(pieces, field.name, "lengths", pc.list_value_length(chunk).to_numpy().astype("<i8"))
        _add(pieces, field.name, "values", chunk.flatten().to_numpy().astype("<i8"))
    elif nothing:
        pieces.append((field.name, "values", 8 * n))
    elif pa.types.is_floating(chunk.type):
        # adding zero turns -0.0 into 0.0, which compares equal and must digest equal; damage may be any NaN
        with np.errstate(invalid="ignore"):
            _add(pieces, field.name, "values", chunk.fill_null(0.0).to_numpy().astype("<f8") + 0.0)
    else:
        if chunk.null_count:
            chunk = chunk.fill_null(0)
        _add(pieces, field.name, "values", chunk.to_numpy().astype("<i8", copy=False))


def _add_text(pieces: Pieces, name: str, chunk: pa.Array) -> None:
    if chunk.null_count:
        chunk = chunk.fill_null("")
    lengths = pc.binary_length(chunk).to_numpy().astype("<i8")
    _add(pieces, name, "lengths", lengths)
    total = int(lengths.sum())
    if total:
        start = int(np.frombuffer(chunk.buffers()[1], dtype="<i4", count=1, offset=4 * chunk.offset)[0])
        pieces.append((name, "values", np.frombuffer(chunk.buffers()[2], dtype="u1", count=total, offset=start)))


def _add(pieces: Pieces, name: str, part: str, values: np.ndarray[Any, Any]) -> None:
    """Add values, or how many bytes they have where all of these are zero."""
    zero = not values.any()  # of floats too: minus zero has become zero
    pieces.append((name, part, values.nbytes if zero else values))


def digest_of(table: pa.Table) -> str:
    """Return the digest of one table."""
    digest = Digest()
    digest.update(table)
    return digest.hexdigest()
