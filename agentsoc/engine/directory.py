"""This module makes the directory of a new run, or takes over that of a start that was killed before its first call."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from agentsoc.errors import AgentsocError, InputError
from agentsoc.log.files import HOLDER, LOCK, RunLock
from agentsoc.log.inside import TEMPORARY, Inside, by_umask, directory_mode
from agentsoc.log.journal import holds_attempts
from agentsoc.log.manifest import NAME, SEAL
from agentsoc.log.names import EVENTS, INPUTS, JOURNAL, TASKS
from agentsoc.scenario.model import Scenario

_OTHER: Final = "name another one with --out, or resume what is there"
_BEGUN: Final = frozenset(
    {LOCK, HOLDER, INPUTS, TASKS, EVENTS, SEAL, JOURNAL, *(JOURNAL + beside for beside in ("-wal", "-shm", "-journal"))}
)
"""What a start leaves that was killed before it wrote its manifest."""


def new_directory(scenario: Scenario, out: Path | str | None) -> Path:
    """Make and return the run directory; one that holds nothing but a start without a manifest is taken over.

    Raises:
        InputError: there is something else in it, or it cannot be made.
    """
    with by_umask(scenario.engine.umask):
        return _new_directory(scenario, out)


def _new_directory(scenario: Scenario, out: Path | str | None) -> Path:
    if out is not None:
        directory = Path(out)
        try:
            if directory.exists() and (not directory.is_dir() or not take_over(directory)):
                raise InputError("this directory is not empty", str(directory), _OTHER)
            make_private(directory)
        except OSError as error:
            raise InputError(f"the run directory cannot be made: {error.strerror}", str(directory)) from None
        return directory
    base = Path("runs")
    for number in range(1, 100_000):
        directory = base / (f"{scenario.name}-s{scenario.seed}" + (f"-{number}" if number > 1 else ""))
        try:
            make_private(directory, exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"the run directory cannot be made: {error.strerror}", str(directory)) from None
        return directory
    raise InputError("there are too many runs of this name", str(base), "name another directory with --out")


def make_private(directory: Path, *, exist_ok: bool = True) -> None:
    """Make a directory that only its owner may enter, unless the umask is to decide; those above it as they come."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(mode=directory_mode())
    except FileExistsError:
        if not exist_ok or not directory.is_dir():
            raise


def take_over(directory: Path) -> bool:
    """Empty a directory in which a start was killed before it had asked anything; return whether it is empty now.

    Raises:
        RunLockedError: that start is still under way.
    """
    inside = Inside(directory)
    names = inside.names()
    if not names:
        return True
    if NAME in names or LOCK not in names or not all(name in _BEGUN or TEMPORARY.fullmatch(name) for name in names):
        return False
    with RunLock(directory):
        try:
            journal = inside.look(JOURNAL)
            if journal is not None and journal.st_size and holds_attempts(directory / JOURNAL):
                return False
        except AgentsocError:  # a start never leaves this
            return False
        for name in names:
            if name in (LOCK, HOLDER):
                continue
            if name in (INPUTS, EVENTS) and inside.has_directory(name):
                inside.remove_tree(name)
            else:
                inside.remove(name)
    return True


def clear_temporaries(directory: Path) -> None:
    """Remove what writers left that were killed before a file had its name; to be called under the lock."""
    inside = Inside(directory)
    for place in ("", EVENTS, INPUTS):
        with contextlib.suppress(OSError):
            for name in inside.names(place):
                if TEMPORARY.fullmatch(name):
                    inside.remove(f"{place}/{name}" if place else name)
