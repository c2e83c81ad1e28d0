"""This module writes documents of the viewer for commands, which may build societies to have prompts written again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentsoc.errors import InputError
from agentsoc.log.files import write_whole
from analysis.viewer.pages.transcript import Transcriber


def transcriber_with(allow_code: Sequence[Path] = ()) -> Transcriber:
    """Return the function that writes the prompts of a task again, with the loose code that a person allowed."""

    def transcribe(place: Path, task: int) -> Sequence[Any]:
        from agentsoc.engine.transcript import transcript

        return transcript(place, task, allow_code=allow_code)

    return transcribe


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
