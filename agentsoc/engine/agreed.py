"""This module remembers what this user agreed to before: pairs of an address and an environment variable.

One small file, ``consent.json``, in the directory that the system has for settings, or in that of
``AGENTSOC_CONFIG_DIR``. It is no part of any run, and nothing that comes with a run or a scenario is taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agentsoc.contracts.address import Destination
from agentsoc.errors import InputError

VARIABLE: Final = "AGENTSOC_CONFIG_DIR"
"""Environment variable that names another directory."""
NAME: Final = "consent.json"
BYTES_MAX: Final = 1 << 20
"""Longest file that is read (bytes)."""


def config_directory() -> Path:
    """Return the directory of this user's settings; it need not exist."""
    import platformdirs

    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("agentsoc")


def remembered() -> tuple[frozenset[Destination], str]:
    """Return the pairs that were agreed to, and what is wrong with the file: then nothing is remembered."""
    path = config_directory() / NAME
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        return frozenset(), ""
    except OSError as error:
        return frozenset(), _fault(path, error.strerror or "it cannot be read")
    try:
        if len(raw) > BYTES_MAX:
            raise ValueError
        pairs = [(pair["address"], pair["variable"]) for pair in json.loads(raw)["agreed"]]
        if not all(isinstance(a, str) and isinstance(v, str | None) for a, v in pairs):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset(), _fault(path, "it is damaged")
    return frozenset(Destination(address, variable) for address, variable in pairs), ""


def _fault(path: Path, why: str) -> str:
    return f"{path}: {why}; no earlier consent counts until it is deleted or given anew"


def remember(agreed: Iterable[Destination]) -> None:
    """Add pairs to those that are remembered; the file is readable by this user alone.

    Raises:
        InputError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    directory = config_directory()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(directory / f".{NAME}.lock", timeout=10, mode=0o600):
            known, _ = remembered()
            pairs = sorted({(one.address, one.variable or "") for one in {*known, *agreed}})
            data = {"agreed": [{"address": address, "variable": variable or None} for address, variable in pairs]}
            _write(directory, json.dumps(data, indent=1).encode() + b"\n")
    except (OSError, Timeout) as error:
        raise InputError(
            f"consent cannot be remembered: {error}", str(directory), f"--yes needs no memory; {VARIABLE} moves it"
        ) from None


def _write(directory: Path, content: bytes) -> None:
    """Write the file whole: another process reads the old content or the new."""
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=f".{NAME}.")  # made for this user alone
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / NAME)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
