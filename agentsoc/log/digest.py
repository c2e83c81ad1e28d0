"""This module takes the digest of a log over what its columns hold in canonical order, never over the bytes of files.

Every column feeds its own SHA-256 streams: values as little-endian 64-bit numbers, validity as one byte a row, text as
lengths and UTF-8 bytes, lists as lengths and values. Concatenation does not see where tables were cut, so the digest
is the same however the rows were batched, and on every platform and library version.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.log.schema import REWARDS, SCHEMA

_NAME: Final = b"agentsoc-events-1"


class Digest:
    """A running digest of event tables with the schema of `agentsoc.log.schema`."""

    def __init__(self) -> None:
        self._streams: dict[str, Any] = {}
        self.rows = 0

    def update(self, table: pa.Table) -> None:
        """Take in the rows of `table`; only their order counts, not how they are split over calls."""
        if REWARDS.name in table.column_names:
            self._add_rewards(table.column(REWARDS.name))
        self.rows += table.num_rows
        for field in SCHEMA:
            for chunk in table.column(field.name).chunks:
                if len(chunk):
                    self._column(field, chunk)

    def hexdigest(self) -> str:
        """Return the digest of everything so far as 64 hexadecimal digits."""
        whole = hashlib.sha256(_NAME)
        whole.update(self.rows.to_bytes(8, "little"))
        for field in (*SCHEMA, REWARDS) if f"{REWARDS.name}/values" in self._streams else SCHEMA:
            for part in ("valid", "lengths", "values"):
                stream = self._streams.get(f"{field.name}/{part}")
                whole.update(stream.digest() if stream is not None else bytes(32))
        return whole.hexdigest()

    def _add_rewards(self, column: pa.ChunkedArray) -> None:
        """Take in the rewards that there are, each with its row: without any, a digest is what it was before them."""
        valid = np.flatnonzero(column.is_valid().to_numpy())
        if len(valid):
            values = column.drop_null().to_numpy().astype("<f8") + 0.0
            self._feed(REWARDS.name, "lengths", (valid + self.rows).astype("<i8"))
            self._feed(REWARDS.name, "values", values)

    def _column(self, field: pa.Field, chunk: pa.Array) -> None:
        if pa.types.is_dictionary(chunk.type):
            chunk = chunk.cast(pa.string())  # first of all: a null may be an index or what an index points to
        if field.nullable:
            valid = chunk.is_valid() if chunk.null_count else None
            flags = (
                np.ones(len(chunk), np.uint8) if valid is None else valid.to_numpy(zero_copy_only=False).astype("u1")
            )
            self._feed(field.name, "valid", flags)
        if pa.types.is_string(chunk.type):
            self._text(field.name, chunk)
        elif pa.types.is_list(chunk.type):
            self._feed(field.name, "lengths", pc.list_value_length(chunk).to_numpy().astype("<i8"))
            self._feed(field.name, "values", chunk.flatten().to_numpy().astype("<i8"))
        elif pa.types.is_floating(chunk.type):
            # adding zero turns -0.0 into 0.0, which compares equal and must digest equal; damage may be any NaN
            with np.errstate(invalid="ignore"):
                self._feed(field.name, "values", chunk.fill_null(0.0).to_numpy().astype("<f8") + 0.0)
        else:
            if chunk.null_count:
                chunk = chunk.fill_null(0)
            self._feed(field.name, "values", chunk.to_numpy().astype("<i8"))

    def _text(self, name: str, chunk: pa.Array) -> None:
        if chunk.null_count:
            chunk = chunk.fill_null("")
        lengths = pc.binary_length(chunk).to_numpy().astype("<i8")
        self._feed(name, "lengths", lengths)
        total = int(lengths.sum())
        if total:
            start = int(np.frombuffer(chunk.buffers()[1], dtype="<i4", count=1, offset=4 * chunk.offset)[0])
            self._feed(name, "values", np.frombuffer(chunk.buffers()[2], dtype="u1", count=total, offset=start))

    def _feed(self, name: str, part: str, values: np.ndarray[Any, Any]) -> None:
        key = f"{name}/{part}"
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = hashlib.sha256()
        stream.update(np.ascontiguousarray(values).data)


def digest_of(table: pa.Table) -> str:
    """Return the digest of one table."""
    digest = Digest()
    digest.update(table)
    return digest.hexdigest()
