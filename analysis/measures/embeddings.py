"""This module defines what an embedder of texts is, and keeps a cache of the user's own so that none is embedded twice.

What a run directory holds may come from a stranger, so vectors are never taken from there.

The analysis calls no model. Whoever asks for measures over texts brings an `Embedder` (the command `agentsoc metrics`
makes one from the embedded model or from a server); without one, answers stand for themselves as one-hot vectors.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import platformdirs
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.log.inside import Inside
from agentsoc.log.parquet import read_frame
from agentsoc.log.read import RunLog

F64 = NDArray[np.float64]

DIRECTORY: Final = "embeddings"
"""Where the caches of runs are, below the user's own directory for caches."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
BATCH: Final = 64
"""Texts given to an embedder at once."""


class Embedder(Protocol):
    """An embedder turns texts into vectors of one length."""

    @property
    def name(self) -> str:
        """What the vectors are of: model, version, pooling. Vectors are kept under this name."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.floating]:
        """Return one vector per text, shape (len(texts), d)."""
        ...


def cache_of(run: RunLog) -> Path | None:
    """Return where vectors of the texts of a run are kept; None for one without a digest, or without room for them.

    It is in the directory that AGENTSOC_CACHE_DIR names, or in the user's own cache.
    """
    digest = run.manifest.digest
    if digest is None or not _DIGEST.fullmatch(digest):
        return None
    named = os.environ.get("AGENTSOC_CACHE_DIR", "")
    directory = (Path(named) if named else platformdirs.user_cache_path("agentsoc")) / DIRECTORY / digest
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return directory


class CachedEmbedder:
    """The embedder remembers in a Parquet file; the same text is never embedded twice for one run."""

    def __init__(self, embedder: Embedder, directory: Path | None) -> None:
        """Wrap `embedder`.

        Args:
            embedder: asked for texts that are not known yet.
            directory: where the file is, see `cache_of`; None to remember only as long as this object lives.
        """
        self._embedder = embedder
        self.name = embedder.name
        slug = re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-")[:60]
        digest = blake2b(self.name.encode(), digest_size=4).hexdigest()
        self.path = None if directory is None else directory / f"{slug}-{digest}.parquet"
        self._known: dict[bytes, NDArray[np.float32]] = self._load()

    def _load(self) -> dict[bytes, NDArray[np.float32]]:
        if self.path is None:
            return {}
        try:
            frame = read_frame(Inside(self.path.parent).read(self.path.name))
        except (OSError, ValueError):  # there is none, or it cannot be read: it is made again
            return {}
        try:
            vectors = np.stack([np.asarray(row, dtype=np.float32) for row in frame["vector"].to_list()])
            return dict(zip(frame["text"].to_list(), vectors, strict=True))
        except (ValueError, TypeError, pl.exceptions.PolarsError):
            return {}

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
            Inside(self.path.parent).write(self.path.name, buffer.getvalue())
        except OSError:  # without room for a cache a run can be measured all the same
            self.path = None
