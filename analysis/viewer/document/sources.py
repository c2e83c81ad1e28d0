"""This module finds out what a path is (run, imported log, comparison, laws, measurements) and makes its section."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.log.inside import Inside
from agentsoc.log.names import CALIBRATION, COMPARISON
from analysis.files import read_json
from analysis.synergy.estimation.measured import KIND, Measured
from analysis.viewer.document.episodes import pack_episodes
from analysis.viewer.document.parts import DocumentSection
from analysis.viewer.document.result_sections import compare_section, laws_section, phase_section
from analysis.viewer.document.run_section import run_section
from analysis.viewer.document.whole import SIZE_MAX, document
from analysis.viewer.pages.compare import ComparePage, compare_page, read_report
from analysis.viewer.pages.laws import LawsPage, laws_page
from analysis.viewer.pages.phase import PhasePage, phase_page
from analysis.viewer.pages.run import run_page
from analysis.viewer.pages.store import is_log, open_log
from analysis.viewer.pages.transcript import Transcriber

MEASUREMENTS: Final = "measurements.json"
PLACES_MAX: Final = 50
"""Paths of one document."""
_HINT: Final = "name a run, an imported log, a comparison, or a file that laws --json, phase --json or calibrate wrote"
_OVERHEAD: Final = 60_000
"""Of a document beside its sections: style, script, head (bytes)."""


def report_document(places: Sequence[Path], *, title: str = "", transcriber: Transcriber | None = None) -> bytes:
    """Return one HTML document on all `places`, in their order.

    Args:
        places: runs, imported logs, directories of comparisons or calibrations, files of laws or measurements.
        title: of the document; by default what is in it.
        transcriber: writes prompts again; see `analysis.viewer.pages.transcript`.

    Raises:
        InputError: a place holds none of these, or there are too many.
        LogDamagedError: something is not what was written.
    """
    if not 0 < len(places) <= PLACES_MAX:
        raise InputError(f"{len(places)} paths; a document takes 1 to {PLACES_MAX}", "", "report on fewer at once")
    logs = [place for place in places if place.is_dir() and is_log(place)]
    results = {at: result_section(place, at + 1) for at, place in enumerate(places) if place not in logs}
    room = SIZE_MAX - _OVERHEAD - sum(len(one.html.encode()) for one in results.values())
    sections = []
    left = len(logs)
    for at, place in enumerate(places):
        if at in results:
            sections.append(results[at])
            continue
        sections.append(log_section(place, at + 1, room=room // left, transcriber=transcriber))
        room -= _size(sections[-1])
        left -= 1
    return document(title or _title(sections), sections)


def _title(sections: Sequence[DocumentSection]) -> str:
    return sections[0].title if len(sections) == 1 else f"{sections[0].title} and {len(sections) - 1} more"


def _size(section: DocumentSection) -> int:
    return len(section.html.encode()) + (len(section.data) + 2) // 3 * 4


def log_section(
    place: Path, at: int, *, room: int = SIZE_MAX - _OVERHEAD, transcriber: Transcriber | None = None
) -> DocumentSection:
    """Return the section of a run or imported log within `room` bytes."""
    log = open_log(place)
    page = run_page(log)
    bare = run_section(page, at)
    limit = (room - len(bare.html.encode()) - 2_000) * 3 // 4
    return run_section(page, at, pack_episodes(log, page, limit=limit, transcriber=transcriber))


def result_section(place: Path, at: int) -> DocumentSection:
    """Return the section of a comparison, of laws or of measurements.

    Raises:
        InputError: the place holds none of these.
    """
    if not place.is_dir():
        if not os.path.lexists(place):
            raise InputError("there is nothing at this path", str(place), _HINT)
        return _named(data_section(read_json(place, _HINT), at, str(place)), place)
    names = Inside(place).names()
    if COMPARISON in names:
        return compare_section(compare_page(read_report(place), place), at)
    if CALIBRATION in names or MEASUREMENTS in names:
        raw = Inside(place)
        raw.require_plain(MEASUREMENTS)
        if raw.look(MEASUREMENTS) is None:
            hint = "the agentsoc calibrate command that began it goes on with it"
            raise InputError("this calibration has no measurements yet", str(place), hint)
        return _named(data_section(read_json(place / MEASUREMENTS), at, str(place / MEASUREMENTS)), place)
    raise InputError("there is nothing to report on here", str(place), _HINT)


def _named(section: DocumentSection, place: Path) -> DocumentSection:
    """Return a section with the name of its file or directory, as there may be several of one kind."""
    return replace(section, title=f"{section.title}: {place.absolute().name}")


def data_section(data: Any, at: int, where: str = "", *, directory: Path | None = None) -> DocumentSection:
    """Return the section of plain data that a command wrote, by what is in it; `at` is its number, see `data_page`."""
    page = data_page(data, where, directory=directory)
    if isinstance(page, PhasePage):
        return phase_section(page, at)
    return compare_section(page, at) if isinstance(page, ComparePage) else laws_section(page, at)


def data_page(data: Any, where: str = "", *, directory: Path | None = None) -> ComparePage | LawsPage | PhasePage:
    """Return the page of plain data that a command wrote, by what is in it.

    Args:
        data: what it wrote.
        where: the file, for messages.
        directory: that of the comparison, for its tasks; None leaves them out.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(data, Mapping):
        if isinstance(data.get("phase"), Mapping):
            data = data["phase"]
        if data.get("kind") == KIND:
            ignored = tuple(text for text in data.get("ignored") or () if isinstance(text, str))
            return phase_page(Measured.from_dict(data, where), ignored)
        if "blocks" in data and "verdict" in data:
            return compare_page(data, directory)
        if "concentration" in data and "gamma" in data:
            return laws_page(data)
    raise InputError("this file holds nothing to report on", where, _HINT)
