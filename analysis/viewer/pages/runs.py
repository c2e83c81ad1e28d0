"""This module is the page of runs: what is below a directory, from manifests alone, sweeps and comparisons folded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from agentsoc.errors import AgentsocError
from agentsoc.log.below import is_run, runs_below
from agentsoc.log.comparison import load_comparison_record
from agentsoc.log.imported import is_imported
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import Manifest, load_manifest
from agentsoc.log.names import CALIBRATION, COMPARISON, MANIFEST
from agentsoc.printing.text import line
from analysis.viewer.pages.run import NAME_CHARS, models_of

VALUES_MAX: Final = 12
"""Settings of a folded group that have a column; the first ones that differ."""
KNOWN_BYTES: Final = 32 << 20
"""Files whose manifests are remembered between two looks, the first ones (bytes)."""
_State = tuple[int, int, int]
"""Inode, size (bytes) and time of change (ns) of a file."""
Known = dict[Path, tuple[_State, Manifest]]
"""Manifests that were read: where -> the file as it was, and what it said."""
Group = Literal["run", "sweep", "comparison", "calibration", "imported"]


class RunLine(msgspec.Struct, frozen=True):
    """One run in the list."""

    place: str
    """Relative to the directory that was asked for, with slashes."""
    name: str
    status: str
    """Of the run; ``damaged`` where its manifest does not hold."""
    seed: int | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    episodes: int = 0
    events: int = 0
    tokens: int = 0
    budget: int | None = None
    calls_failed: int = 0
    stops: dict[str, int] = {}
    models: list[str] = []
    changed: float | None = None
    """When its manifest was written (seconds since 1970)."""
    varied: dict[str, Any] = {}
    """What differs from the other runs of its group: dotted setting -> value."""
    error: str | None = None


class RunGroup(msgspec.Struct, frozen=True):
    """One row of the list: a run alone, or runs that belong together."""

    kind: Group
    place: str
    name: str
    status: str
    columns: list[str]
    """What its runs differ in."""
    runs: list[RunLine]


class RunsPage(msgspec.Struct, frozen=True):
    """What is below a directory."""

    directory: str
    groups: list[RunGroup]


def runs_page(directory: Path, known: Known | None = None) -> RunsPage:
    """Return the runs, comparisons, calibrations and imported logs at or below a directory; no log is read.

    Args:
        directory: where they are.
        known: manifests that an earlier look has read, which are not read again as long as their files are the same;
            those of this look take their place, up to `KNOWN_BYTES` of files. None to read all.
    """
    seen: Known = {}
    folded: dict[tuple[str, Group], list[tuple[Path, Manifest | str]]] = {}
    for path in runs_below(directory, is_one=_is_shown, skip_unreadable=True):
        place, kind = _group(path, directory)
        folded.setdefault((place, kind), []).append((path, _manifest(path, known or {}, seen)))
    if known is not None:
        _remember(known, seen)
    groups = []
    for (place, kind), members in sorted(folded.items()):
        if kind == "sweep" and len(members) == 1:
            kind, place = "run", _place(members[0][0], directory)
        groups.append(_folded(kind, place, members, directory))
    return RunsPage(str(directory), sorted(groups, key=lambda group: group.place))


def _is_shown(path: Path) -> bool:
    return is_run(path) or is_imported(path)


def _place(path: Path, directory: Path) -> str:
    return path.relative_to(directory).as_posix() if path != directory else "."


def _group(path: Path, directory: Path) -> tuple[str, Group]:
    """Return what a run belongs to: the comparison or calibration above it, or runs of a sweep beside it."""
    if not is_run(path):
        return _place(path, directory), "imported"
    if path != directory:
        for above in (path.parent, path.parent.parent):
            if os.path.lexists(above / COMPARISON):
                return _name(above, directory), "comparison"
            if os.path.lexists(above / CALIBRATION):
                return _name(above, directory), "calibration"
        if "--" in path.name and path.parent != directory:
            return _place(path.parent, directory), "sweep"
    return _place(path, directory), "run"


def _name(above: Path, directory: Path) -> str:
    return _place(above, directory) if above.is_relative_to(directory) else above.name


def _manifest(path: Path, known: Known, seen: Known) -> Manifest | str:
    try:
        if not is_run(path):
            return ""
        file = Inside(path).look(MANIFEST)  # before it is read: what changes meanwhile is read again
        state = (0, 0, 0) if file is None else (file.st_ino, file.st_size, file.st_mtime_ns)
        before = known.get(path)
        found = before[1] if before is not None and before[0] == state else load_manifest(path)
        seen[path] = (state, found)
        return found
    except (AgentsocError, OSError) as error:
        return line(str(error), NAME_CHARS)


def _remember(known: Known, seen: Known) -> None:
    """Keep what one look has read for the next one; of runs that are gone nothing stays."""
    known.clear()
    room = KNOWN_BYTES
    for path, (state, manifest) in seen.items():
        room -= state[1]
        if room < 0:
            return
        known[path] = (state, manifest)


def _folded(kind: Group, place: str, members: list[tuple[Path, Manifest | str]], directory: Path) -> RunGroup:
    settings = [_flat(found.scenario) if isinstance(found, Manifest) else {} for _, found in members]
    names = list(dict.fromkeys(name for one in settings for name in one))
    ones = [name for name in names if name not in ("name", "description") and _differs(settings, name)][:VALUES_MAX]
    lines = [
        _line(path, found, directory, {name: one.get(name) for name in ones} if len(members) > 1 else {})
        for (path, found), one in zip(members, settings, strict=True)
    ]
    name, status = lines[0].name, lines[0].status
    if len(lines) > 1 or kind in ("comparison", "calibration"):
        name = place.rsplit("/", 1)[-1]
        states = {one.status for one in lines}
        status = states.pop() if len(states) == 1 else "mixed"
    if kind == "comparison":
        try:
            record = load_comparison_record(directory / place)
            name, status = line(record.name, NAME_CHARS), record.status
        except (AgentsocError, OSError):
            status = "damaged"
    return RunGroup(kind, place, name, status, ones if len(members) > 1 else [], lines)


def _differs(settings: list[dict[str, Any]], name: str) -> bool:
    return len({repr(one.get(name)) for one in settings}) > 1


def _flat(scenario: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a scenario by dotted names; values that are no plain ones are left out."""
    found: dict[str, Any] = {}
    todo: list[tuple[str, Any, int]] = [("", scenario, 0)]
    while todo:
        name, value, depth = todo.pop()
        if isinstance(value, dict) and depth < 4:
            todo += [(f"{name}.{key}".lstrip(".")[:NAME_CHARS], one, depth + 1) for key, one in reversed(value.items())]
        elif isinstance(value, list) and name == "agents" and len(value) <= VALUES_MAX:
            single = len(value) == 1
            pairs = [("agents" if single else f"agents.{at}", one, depth + 1) for at, one in enumerate(value)]
            todo += reversed(pairs)
        elif isinstance(value, str | int | float) or value is None:
            found[name] = value[:NAME_CHARS] if isinstance(value, str) else value
    return found


def _line(path: Path, found: Manifest | str, directory: Path, varied: dict[str, Any]) -> RunLine:
    place = _place(path, directory)
    if isinstance(found, str):
        if not is_run(path):
            return RunLine(place, path.name, "imported")
        return RunLine(place, path.name, "damaged", error=found)
    totals = found.totals
    low, high = totals.score_ci95 or (None, None)
    return RunLine(
        place, line(found.name, NAME_CHARS), found.status, found.seed, totals.score, low, high, totals.episodes,
        totals.events, totals.tokens, totals.budget, found.calls_failed, dict(totals.stops), models_of(found),
        _changed(path), varied, found.error,
    )  # fmt: skip


def _changed(path: Path) -> float | None:
    try:
        found = Inside(path).look(MANIFEST)
    except (AgentsocError, OSError):
        return None
    return None if found is None else found.st_mtime
