"""This module finds the runs in and below a directory: for every command at the same depth, and never inside a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agentsoc.errors import InputError, NoRunError
from agentsoc.log.names import MANIFEST
from agentsoc.scenario.source import printable

DEPTH: Final = 3
"""Directories below one that is given in which runs are looked for (levels).

A comparison keeps its runs two below its own directory, which is one below that of all comparisons.
"""


def is_run(directory: Path) -> bool:
    """Return whether `directory` is that of a run, sound or not: something in it is called a manifest."""
    return os.path.lexists(directory / MANIFEST)


def runs_below(
    directory: Path, *, is_one: Callable[[Path], bool] = is_run, skip_unreadable: bool = False
) -> Iterator[Path]:
    """Yield the runs at `directory` or at most `DEPTH` below it, by name; links are not followed.

    Args:
        directory: a run, which is then the only one, or a directory that holds some.
        is_one: tells what is looked for; what is inside of one is not looked at.
        skip_unreadable: pass over directories that cannot be listed, instead of an error.

    Raises:
        NoRunError: there is no such directory.
        InputError: a directory cannot be listed.
    """
    return _below(directory, DEPTH, is_one, skip_unreadable)


def runs_at(
    places: Sequence[Path], *, is_one: Callable[[Path], bool] = is_run, what: str = "run", hint: str = ""
) -> list[Path]:
    """Return the runs at or below each of `places`, in their order.

    Args:
        places: runs, or directories that hold some.
        is_one: tells what is looked for.
        what: its name, for the error.
        hint: what to name instead, for the error.

    Raises:
        InputError: there is none at or below a place, or a directory cannot be listed.
    """
    found: list[Path] = []
    for place in places:
        here = list(runs_below(place, is_one=is_one)) if place.is_dir() else []
        if not here:
            where_else = hint or "name run directories, or directories that hold some"
            raise InputError(f"there is no {what} at {place}{_links(place)}", "", where_else)
        found += here
    return found


def _links(place: Path) -> str:
    """Return in words which entries of a directory lead elsewhere, as nobody follows them."""
    try:
        names = sorted(path.name for path in place.iterdir() if path.is_symlink()) if place.is_dir() else []
    except OSError:
        return ""
    return f"; links are not followed: {printable(', '.join(names), 200)}" if names else ""


def _below(directory: Path, depth: int, is_one: Callable[[Path], bool], skip_unreadable: bool) -> Iterator[Path]:
    if is_one(directory):
        yield directory
        return
    if depth < 1:
        return
    try:
        with os.scandir(directory) as entries:
            below = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        if skip_unreadable:
            return
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise NoRunError(f"there is no run at {directory}", "", "agentsoc ls shows the runs") from None
        raise InputError(f"this directory cannot be listed: {error.strerror}", str(directory)) from None
    for path in below:
        yield from _below(Path(path), depth - 1, is_one, skip_unreadable)
