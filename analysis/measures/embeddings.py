"""Vectors for texts: what an embedder is, and a cache beside the run so that no text is embedded twice.

The analysis calls no model. Whoever asks for measures over texts brings an `Embedder` (the command `agentsoc metrics`
makes one from the embedded model or from a server); without one, answers stand for themselves as one-hot vectors.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.log.inside import Inside
from agentsoc.log.parquet import read_frame

F64 = NDArray[np.float64]

DIRECTORY: Final = "embeddings"
"""Where the cache of a run is, below its directory."""
BATCH: Final = 64
"""Texts given to an embedder at once."""


class Embedder(Protocol):
    """Anything that turns texts into vectors of one length."""

    @property
    def name(self) -> str:
        """What the vectors are of: model, version, pooling. Vectors are kept under this name."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.floating]:
        """Return one vector per text, shape (len(texts), d)."""
        ...


class CachedEmbedder:
    """An embedder that remembers in a Parquet file; the same text is never embedded twice for one run."""

    def __init__(self, embedder: Embedder, directory: Path | None) -> None:
        """Wrap `embedder`.

        Args:
            embedder: asked for texts that are not known yet.
            directory: the run directory; None to remember only as long as this object lives.
        """
        self._embedder = embedder
        self.name = embedder.name
        slug = re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-")[:60]
        digest = blake2b(self.name.encode(), digest_size=4).hexdigest()
        self.path = None if directory is None else directory / DIRECTORY / f"{slug}-{digest}.parquet"
        self._known: dict[bytes, NDArray[np.float32]] = self._load()

    def _load(self) -> dict[bytes, NDArray[np.float32]]:
        if self.path is None:
            return {}
        try:
            frame = read_frame(self._inside().read(f"{DIRECTORY}/{self.path.name}"))
        except (OSError, ValueError):  # there is none, or it cannot be read: it is made again
            return {}
        try:
            vectors = np.stack([np.asarray(row, dtype=np.float32) for row in frame["vector"].to_list()])
            return dict(zip(frame["text"].to_list(), vectors, strict=True))
        except (ValueError, TypeError, pl.exceptions.PolarsError):
            return {}

    def _inside(self) -> Inside:
        """Return the files of the run: a stranger's may hold a link in place of this one."""
        assert self.path is not None
        return Inside(self.path.parent.parent)

    def embed(self, texts: Sequence[str]) -> F64:
        """Return one vector per text, shape (n, d); texts that are not known are embedded and written down.

        Raises:
            InputError: the embedder gives vectors that are not finite, or of several lengths.
        """
        keys = [blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        items = list(missing.items())
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            vectors = np.asarray(self._embedder.embed([text for _, text in part]), dtype=np.float32)
            if vectors.ndim != 2 or len(vectors) != len(part) or not np.isfinite(vectors).all():
                raise InputError(
                    f"the embedder {self.name} gave an array of shape {vectors.shape} for {len(part)} texts, "
                    "or values that are not finite"
                )
            self._known.update(zip((key for key, _ in part), vectors, strict=True))
        if items:
            self._save()
        if not texts:
            return np.zeros((0, 1))
        found = [self._known[key] for key in keys]
        if len({vector.shape for vector in found}) > 1:
            raise InputError(
                f"the vectors of {self.name} have several lengths",
                "" if self.path is None else str(self.path),
                "the model behind this name was changed: delete the file",
            )
        return np.stack(found).astype(np.float64)

    def _save(self) -> None:
        if self.path is None:
            return
        frame = pl.DataFrame(
            {"text": list(self._known), "vector": [vector.tolist() for vector in self._known.values()]},
            schema={"text": pl.Binary, "vector": pl.List(pl.Float32)},
        )
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        try:
            self._inside().write(f"{DIRECTORY}/{self.path.name}", buffer.getvalue())
        except OSError:  # a run on a read-only disk can be measured all the same
            self.path = None
