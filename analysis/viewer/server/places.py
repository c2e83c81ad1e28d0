"""This module finds what is shown below one directory, never outside of it, and keeps the last logs open."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import AgentsocError, InputError
from agentsoc.log.inside import Inside, is_inside
from agentsoc.log.names import JOURNAL, MANIFEST
from analysis.viewer.charts.escape import visible
from analysis.viewer.pages.runs import Known
from analysis.viewer.pages.store import OpenLog, Teller, is_log, open_log
from analysis.viewer.pages.transcript import Transcriber

LOGS_MAX: Final = 2
"""Logs that are kept open: the two of a comparison side by side."""
LOOK_S: Final = 0.5
"""Time for which a run that goes on is taken to be as it was (seconds)."""
PLACE_CHARS: Final = 1_000


@dataclass(frozen=True)
class Means:
    """What only somebody who may build societies can do; None for what is not to be had."""

    transcriber: Transcriber | None = None
    """Writes prompts again."""
    teller: Teller | None = None
    """Tells the events of a run that goes on."""
    replayer: Callable[[Path], str] | None = None
    """Replays a run and says what came of it."""


@dataclass
class _Kept:
    log: OpenLog
    state: object
    looked: float
    lock: threading.RLock = field(default_factory=threading.RLock)
    working: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    """One for each piece of work, so that nobody waits for another one's."""
    done: dict[str, Any] = field(default_factory=dict)
    changes: int = 0


class ViewedPlaces:
    """The object answers for places below one directory; a place is a path relative to it, with slashes."""

    def __init__(self, root: Path, means: Means) -> None:
        """Look below `root`."""
        self.root = root
        self.means = means
        self.manifests: Known = {}
        """Manifests that the list of runs has read, until their files are others."""
        self._logs: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def path(self, place: str) -> Path:
        """Return the path of a place.

        Raises:
            InputError: it is outside, or leads there by a link.
        """
        if place == ".":
            return self.root
        if len(place) > PLACE_CHARS or not is_inside(place):
            raise InputError("this is no place below the directory that is shown", "", "begin with the list of runs")
        path = self.root
        for part in place.split("/"):
            path = _named(path, part)
            if path.is_symlink():
                raise InputError("a link leads there, and links are not followed", place, "show the directory itself")
        return path

    @contextlib.contextmanager
    def log(self, place: str) -> Iterator[OpenLog]:
        """Open the log at a place, for one caller at a time; one that goes on is looked at again."""
        with self._opened(place) as kept:
            yield kept.log

    def worked_out(self, place: str, what: str, work: Callable[[OpenLog], Any]) -> Any:
        """Return what `work` makes of the log at a place; the same again until its events are others.

        It may take a look at every event, so others are not kept from the log meanwhile: `work` may read columns and
        small tables, and leaves the blocks that are kept alone.
        """
        with self._opened(place) as kept:
            if kept.changes != kept.log.changes:
                kept.done, kept.changes = {}, kept.log.changes
            done, working = kept.done, kept.working[what]
        with working:
            if what not in done:
                done[what] = work(kept.log)
            return done[what]

    @contextlib.contextmanager
    def _opened(self, place: str) -> Iterator[_Kept]:
        path = self.path(place)
        with self._lock:
            kept = self._logs.get(place)
            if kept is None:
                if not is_log(path):
                    raise InputError("there is no run here, or no longer", place, "begin with the list of runs")
                kept = _Kept(open_log(path, self.means.teller), stamp(path), time.monotonic())
                self._logs[place] = kept
            self._logs.move_to_end(place)
            while len(self._logs) > LOGS_MAX:
                self._logs.popitem(last=False)
        with kept.lock:
            now, state = time.monotonic(), stamp(path)
            if state != kept.state or (kept.log.live and now - kept.looked > LOOK_S):
                kept.log.refresh()
                kept.state, kept.looked = state, now
            yield kept


def _named(above: Path, part: str) -> Path:
    """Return the entry of a directory with that name, or the only one that pages write so; see `visible`."""
    path = above / part
    if "\\" not in part or os.path.lexists(path):  # what cannot be seen is written with a backslash
        return path
    with contextlib.suppress(OSError), os.scandir(above) as entries:
        found = [entry.name for entry in entries if visible(entry.name) == part]
        if len(found) == 1:
            return above / found[0]
    return path


def stamp(path: Path) -> list[int]:
    """Return numbers that are others once a run has changed: of its manifest and its journal."""
    found: list[int] = []
    for name in (MANIFEST, JOURNAL, f"{JOURNAL}-wal"):
        with contextlib.suppress(AgentsocError, OSError):
            if (state := Inside(path).look(name)) is not None:
                found += [state.st_size, state.st_mtime_ns // 1_000]
    return found
