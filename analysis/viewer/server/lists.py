"""This module answers what is below the directory: runs, comparisons, and files of laws and measurements."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import AgentsocError
from agentsoc.log.below import is_run
from analysis.extras import require
from analysis.files import read_json
from analysis.viewer.charts.svg import figure
from analysis.viewer.pages.compare import Matrix, compare_page, read_report
from analysis.viewer.pages.runs import RunGroup, runs_page
from analysis.viewer.server.answers import Asked, place_of, rows_from, whole
from analysis.viewer.server.places import ViewedPlaces
from analysis.viewer.server.shown import ROWS_MAX, plain, plain_blocks

FILES_MAX: Final = 100
"""Files of results that are looked at."""
FILE_BYTES: Final = 8 << 20
"""Largest file that is looked at for the list (bytes)."""
ALL_BYTES: Final = 16 << 20
"""How much is read for the list in all (bytes): a file of a stranger may take long to take apart."""


def runs(places: ViewedPlaces, asked: Asked) -> Any:
    """Return what is below the directory, filtered by a text: 200 rows, of each at most 200 runs."""
    page = runs_page(places.root, places.manifests)
    needle = asked.get("text", "").lower()
    found = [group for group in page.groups if needle in _words(group)]
    rows = rows_from(found, asked)
    for group in rows["rows"]:
        group["runs_in_all"] = len(group["runs"])
        group["runs"] = group["runs"][:ROWS_MAX]
    return rows | {"directory": plain(str(places.root)), "n_groups": len(page.groups)}


def _words(group: RunGroup) -> str:
    """Return what a filter looks at."""
    told = [group.kind, group.place, group.name, group.status]
    for one in group.runs:
        told += [one.place, one.name, one.status, *one.models]
    return " ".join(told).lower()


def results(places: ViewedPlaces, asked: Asked) -> Any:
    """Return the files below the directory that hold laws or measurements, and how many files were not looked at."""
    found, files, left, passed_over = [], FILES_MAX, ALL_BYTES, 0
    for path, size in _files(places.root):
        if not files or size > min(left, FILE_BYTES):
            passed_over += 1
            continue
        files, left = files - 1, left - size
        with contextlib.suppress(AgentsocError, OSError, ValueError):
            kind = _kind(read_json(path))
            if kind is not None:
                found.append({"file": path.relative_to(places.root).as_posix(), "kind": kind})
    return {"rows": plain(found), "passed_over": passed_over}


def _kind(data: Any) -> str | None:
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("phase"), dict) or (data.get("kind") and "parameters" in data):
        return "phase"
    return "laws" if "concentration" in data and "gamma" in data else None


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield JSON files with their sizes (bytes), in the directory and right below it, outside of runs and links."""
    for directory in [root, *_below(root)]:
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_size


def _below(root: Path) -> list[Path]:
    if is_run(root):
        return []
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        found = sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        return [path for path in found if not is_run(path)]
    return []


def result(places: ViewedPlaces, asked: Asked) -> Any:
    """Return the page of a file of laws, measurements or a comparison; what that takes is loaded when it is asked."""
    name = asked.get("file", "")
    path = places.path(name)
    require("numba", "scipy")
    from analysis.viewer.document.sources import data_section

    section = data_section(read_json(path), 1, name)
    return {"title": plain(section.title), "blocks": plain_blocks(section.blocks)}


def compare(places: ViewedPlaces, asked: Asked) -> Any:
    """Return the page of a comparison with 200 rows of its tasks."""
    place = place_of(asked)
    path = places.path(place)
    page = compare_page(read_report(path), path)
    require("numba", "scipy")
    from analysis.viewer.document.result_sections import compare_blocks, compare_notes, matrix_said

    return {
        "name": plain(page.name),
        "blocks": plain_blocks(compare_blocks(page)),
        "said": None if page.matrix is None else matrix_said(page.matrix),
        "matrix": None if page.matrix is None else _matrix(place, page.matrix, asked),
        "notes": plain_blocks(compare_notes(page)),
    }


def _matrix(place: str, matrix: Matrix, asked: Asked) -> Any:
    offset = max(whole(asked, "offset", 0) or 0, 0)
    shown = matrix.rows[offset : offset + ROWS_MAX]
    return {
        "labels": plain(matrix.labels),
        "offset": offset,
        "total": len(matrix.rows),
        "rows": [
            {
                "tasks": plain(row.tasks), "seed": row.seed, "task": row.task, "differ": row.differ,
                "cells": [
                    {"score": figure(score), "place": _run(place, matrix, f"{label}|{row.tasks}|{row.seed}")}
                    for label, score in zip(matrix.labels, row.scores, strict=True)
                ],
            }
            for row in shown
        ],
    }  # fmt: skip


def _run(place: str, matrix: Matrix, key: str) -> str | None:
    """Return the place of a run of the comparison; None where its report names none."""
    found = matrix.runs.get(key)
    return None if not found else found if place == "." else f"{place}/{found}"
