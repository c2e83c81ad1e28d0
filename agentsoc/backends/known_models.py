"""This module lists the model files that `agentsoc model get` knows by name: publisher's file, size, hash, address.

A scenario may name one in place of a file: ``model: {kind: local, file: qwen2.5-coder-0.5b}``. All are small enough for
a laptop. The hash is the publisher's own, so it does not matter where the bytes came from.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from agentsoc.errors import BackendSetupError

Progress = Callable[[int, int], None]
"""Is told how many bytes are there and how many there will be."""


@dataclass(frozen=True)
class KnownModel:
    """A known model is one file of one publisher."""

    name: str
    """What scenarios and commands call it."""
    title: str
    """What its publisher calls it."""
    file: str
    """Name of the file in the cache."""
    bytes: int
    """Size of the file (bytes)."""
    sha256: str
    license: str
    address: str | None
    """Where its publisher serves the file; None for the embedded model, which comes as a package."""

    @property
    def size(self) -> str:
        """Return the size as people say it."""
        return f"{self.bytes // 10**6:,} MB"


SMOLLM2: Final = KnownModel(
    "smollm2",
    "SmolLM2-135M-Instruct",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    98_362_432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "Apache-2.0",
    None,
)

MODELS: Final[dict[str, KnownModel]] = {
    model.name: model
    for model in (
        SMOLLM2,
        KnownModel(
            "qwen2.5-coder-0.5b",
            "Qwen2.5-Coder-0.5B-Instruct",
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            "Apache-2.0",
            "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        ),
        KnownModel(
            "qwen2.5-coder-1.5b",
            "Qwen2.5-Coder-1.5B-Instruct",
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            "Apache-2.0",
            "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        ),
    )
}


def place(model: KnownModel) -> Path:
    """Return where `agentsoc model get` keeps a model's file; it need not be there."""
    return platformdirs.user_cache_path("agentsoc") / "models" / model.file


def named(file: Path | None) -> KnownModel | None:
    """Return the known model that a scenario's ``file`` names; None for a path of the user's own, or for no file."""
    return None if file is None else MODELS.get(str(file))


def check_room(folder: Path, wanted: int, model: KnownModel) -> None:
    """Raise `BackendSetupError` when a folder has no room for so many bytes more."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise BackendSetupError(
            f"no room for {model.name}: {wanted // 10**6:,} MB needed, {free // 10**6:,} MB free in {folder}",
            "",
            "make room, or name another place in XDG_CACHE_HOME",
        )
