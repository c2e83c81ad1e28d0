"""This module fetches one large file over HTTP: it goes on where an earlier try stopped, and refuses a wrong file.

What has come so far stays in a file of its own until size and hash are the expected ones, so a half file is never taken
for a whole one, and a download that was stopped (a lost connection, Ctrl-C, a full disk) goes on from there.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from agentsoc.backends.known_models import KnownModel, Progress, check_room
from agentsoc.errors import BackendSetupError

TRIES: Final = 5
"""Times in a row that a download may stop without having brought anything."""
TIMEOUT_S: Final = 30.0
"""How long one read may take (seconds)."""
PAUSE_S: Final = 1.0
"""Pause before the second try; it doubles each time (seconds)."""
_BLOCK: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)$")
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a server after which asking again makes sense."""


class _StoppedError(Exception):
    """The connection ended before the file did, or was never made; another try may go on."""


def download(model: KnownModel, part: Path, progress: Progress | None = None) -> None:
    """Fetch the file of a model into `part`, which holds what earlier tries brought; it is whole when this returns.

    Args:
        model: which file; it has an address.
        part: where the bytes are collected.
        progress: told after every block.

    Raises:
        BackendSetupError: the server refuses or serves another file; the connection breaks again and again; no room.
            What can be used again is then still in `part`.
    """
    before = part.stat().st_size if part.exists() else 0
    if before > model.bytes:
        part.unlink()
        before = 0
    _collect(model, part, progress)
    found = _digest(part)
    if found != model.sha256 and before:
        # the part of an earlier try may have been another file's: what comes now is all of one
        part.unlink()
        _collect(model, part, progress)
        found = _digest(part)
    if found != model.sha256:
        part.unlink()
        raise BackendSetupError(
            f"what {host(model)} serves as {model.file} has SHA-256 {found}, expected {model.sha256}; it was removed",
            "",
            other_ways(model),
        )


def other_ways(model: KnownModel) -> str:
    """Return what to do when a download cannot be had."""
    return f"from a file at hand: agentsoc model get {model.name} --from PATH"


def host(model: KnownModel) -> str:
    """Return the host that serves a model's file."""
    return (model.address or "").partition("://")[2].partition("/")[0]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _collect(model: KnownModel, part: Path, progress: Progress | None) -> None:
    """Ask for what is missing until the part has the model's size."""
    idle, pause = 0, PAUSE_S
    while (have := part.stat().st_size if part.exists() else 0) < model.bytes:
        check_room(part.parent, model.bytes - have, model)
        try:
            _ask(model, part, have, progress)
            why = "the connection ended early"
        except _StoppedError as error:
            why = str(error)
        if (part.stat().st_size if part.exists() else 0) > have:
            idle, pause = 0, PAUSE_S
            continue
        idle += 1
        if idle >= TRIES:
            raise BackendSetupError(
                f"the download from {host(model)} stopped at {have // 10**6:,} of {model.size}: {why}",
                "",
                f"go on: agentsoc model get {model.name}; {other_ways(model)}",
            )
        time.sleep(pause)
        pause *= 2


def _ask(model: KnownModel, part: Path, have: int, progress: Progress | None) -> None:
    """Make one request for the bytes from `have` on and add what comes to the part."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "agentsoc"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(str(model.address), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            start = _start(model, response, have)
            _write(model, part, start, response, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing from there on: what is here belongs to another file
            part.unlink()
            raise _StoppedError("the server has no such part") from None
        if error.code in _AGAIN:
            raise _StoppedError(f"HTTP {error.code}") from None
        raise BackendSetupError(
            f"{host(model)} answers HTTP {error.code} for {model.file}", "", other_ways(model)
        ) from None
    except http.client.HTTPException as error:
        raise _StoppedError(f"{type(error).__name__}") from None
    except OSError as error:  # refused, reset, no such host, timed out, bad certificate
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BackendSetupError(
                f"no room for {model.name} in {part.parent}: {error.strerror}", "", "make room, then the same again"
            ) from None
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        said = reason.strerror if isinstance(reason, OSError) else None
        raise _StoppedError(str(said or reason)[:200]) from None


def _start(model: KnownModel, response: http.client.HTTPResponse, have: int) -> int:
    """Return from which byte on the response is, after a look at the sizes that it states."""
    start, total = 0, response.headers.get("Content-Length")
    if response.status == 206:
        stated = _RANGE.match(response.headers.get("Content-Range", ""))
        if stated is None or int(stated[1]) > have:
            raise _StoppedError("the server sent another part than asked for")
        start = int(stated[1])
        total = stated[2]
    if total is not None and total.isdecimal() and int(total) != model.bytes:
        raise BackendSetupError(
            f"{host(model)} serves {int(total):,} bytes as {model.file}, expected {model.bytes:,}",
            "",
            other_ways(model),
        )
    return start


def _write(
    model: KnownModel, part: Path, start: int, response: http.client.HTTPResponse, progress: Progress | None
) -> None:
    """Write what comes into the part, from byte `start` on; one byte too many is another file."""
    with part.open("r+b" if part.exists() else "xb") as file:
        file.truncate(start)
        file.seek(start)
        have = start
        while block := response.read1(_BLOCK):
            have += len(block)
            if have > model.bytes:
                file.truncate(0)
                raise BackendSetupError(
                    f"{host(model)} serves more than {model.bytes:,} bytes as {model.file}", "", other_ways(model)
                )
            file.write(block)
            if progress is not None:
                progress(have, model.bytes)
        file.flush()
        os.fsync(file.fileno())
