"""This module writes documents of the viewer for commands, which may build societies to have prompts written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.log.files import write_whole
from agentsoc.log.inside import Inside
from analysis.viewer.pages.transcript import Transcriber

REPORT: Final = "report.html"
"""The document beside the data of a comparison or calibration."""


def transcriber_with(allow_code: Sequence[Path] = ()) -> Transcriber:
    """Return the function that writes the prompts of a task again, with the loose code that a person allowed."""

    def transcribe(place: Path, task: int) -> Sequence[Any]:
        from agentsoc.engine.transcript import transcript

        return transcript(place, task, allow_code=allow_code)

    return transcribe


def write_section(path: Path, data: Mapping[str, Any]) -> None:
    """Write the document on the data that a command wrote as JSON: laws, measurements, a comparison."""
    write_html(path, section_html(data))


def write_beside(directory: Path, data: Mapping[str, Any]) -> None:
    """Write the document on a comparison or on measurements into their directory, never through a link."""
    Inside(directory).write(REPORT, section_html(data, directory))


def section_html(data: Mapping[str, Any], directory: Path | None = None) -> bytes:
    """Return the document on such data; `directory` is that of a comparison, for its tasks."""
    from analysis.viewer.document.sources import data_section
    from analysis.viewer.document.whole import document

    section = data_section(data, 1, directory=directory)
    return document(section.title, [section])


def write_html(path: Path, whole: bytes) -> None:
    """Write a document, the old one or the new one at any time.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, whole)
    except OSError as error:
        what = f"the document cannot be written: {error.strerror or error}"
        raise InputError(what, str(path), "name another file") from error
