"""This module makes one table of many runs, a row each, for whoever goes on with polars or pandas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.below import runs_at
from agentsoc.log.manifest import Manifest, load_manifest
from agentsoc.log.names import MANIFEST
from analysis.files import Places, paths_of

_WHOLE_MAX: Final = 1 << 63

COLUMNS: Final[dict[str, pl.DataType]] = {
    "run": pl.String(), "name": pl.String(), "status": pl.String(), "seed": pl.Int64(), "tasks": pl.String(),
    "topology": pl.String(), "protocol": pl.String(), "n_agents": pl.Int64(), "models": pl.List(pl.String()),
    "n_tasks": pl.Int64(), "score": pl.Float64(), "score_low": pl.Float64(), "score_high": pl.Float64(),
    "answered": pl.Int64(), "rounds": pl.Int64(), "turns": pl.Int64(), "calls": pl.Int64(), "calls_failed": pl.Int64(),
    "tokens_in": pl.Int64(), "tokens_cached": pl.Int64(), "tokens_out": pl.Int64(), "budget": pl.Int64(),
    "cost": pl.Float64(), "events": pl.Int64(), "tasks_hash": pl.String(), "digest": pl.String(),
}  # fmt: skip
"""Columns of `load_runs`, with their types; the settings that were asked for follow."""


def load_runs(places: Places, *, settings: tuple[str, ...] = (), skip_damaged: bool = False) -> pl.DataFrame:
    """Return one row for each run, from its manifest alone: quick however long the logs are.

    Args:
        places: one directory or several: runs, or directories that hold some at most three levels below.
        settings: values of the scenario that become columns, by dotted path: ``protocol.rounds``, ``agents.0.model``.
        skip_damaged: whether runs whose manifest cannot be read are left out, instead of an error.

    Returns:
        A frame with the columns `COLUMNS` in the order in which runs are found: which run (its directory), what was
        run, mean score in [0, 1] with its 95 % interval, tokens, calls, budget (tokens), cost (in the unit of the
        scenario's prices), and one column a setting (text, as JSON where it is no plain value). Null where a run has
        none. `frame.to_pandas()` makes a frame of pandas of it, where pandas is installed.

    Raises:
        InputError: there is no run at a place, or a setting has the name of another column.
        LogDamagedError: a manifest is not what was written.
    """
    for path in settings:
        if path in COLUMNS:
            raise InputError(
                "this is a column of every such table already",
                f"settings: {path}",
                "a part of it has a path of its own, such as protocol.kind",
            )
    rows: list[dict[str, Any]] = []
    for directory in runs_at(paths_of(places)):
        try:
            row = _row(directory, load_manifest(directory), settings)
            _require_fitting(row, directory)
        except LogDamagedError:
            if not skip_damaged:
                raise
            continue
        rows.append(row)
    if not rows:
        raise InputError("every run there is damaged", "", "agentsoc check RUN says what is wrong with one")
    return pl.DataFrame(rows, schema={**COLUMNS, **dict.fromkeys(settings, pl.String())})


def _row(directory: Path, manifest: Manifest, settings: tuple[str, ...]) -> dict[str, Any]:
    scenario, totals = manifest.scenario, manifest.totals
    counts = [group.get("count") for group in scenario.get("agents", [])]
    known = counts and all(isinstance(count, int) for count in counts)
    low, high = totals.score_ci95 or (None, None)
    row = {
        "run": str(directory), "name": manifest.name, "status": manifest.status, "seed": manifest.seed,
        **{name: _kind(scenario.get(name)) for name in ("tasks", "topology", "protocol")},
        "n_agents": sum(counts) if known else None,
        "models": [str(model.get("name") or model.get("kind") or "") for model in manifest.models],
        "n_tasks": totals.episodes, "score": totals.score, "score_low": low, "score_high": high,
        "calls_failed": manifest.calls_failed, "tasks_hash": manifest.tasks_hash, "digest": manifest.digest,
    }  # fmt: skip
    row |= {name: getattr(totals, name, None) for name in COLUMNS if name not in row}
    return row | {path: _setting(scenario, path) for path in settings}


def _require_fitting(row: dict[str, Any], directory: Path) -> None:
    """Refuse what no column of a table can hold: whole numbers beyond 64 bits, text that is no UTF-8.

    Raises:
        LogDamagedError: names the column.
    """
    for name, value in row.items():
        if isinstance(value, int) and not -_WHOLE_MAX <= value < _WHOLE_MAX:
            raise LogDamagedError(f"{name} is a number beyond 64 bits", str(directory / MANIFEST))
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text):
                raise LogDamagedError(f"{name} is no text that can be written", str(directory / MANIFEST))


def _kind(part: Any) -> str | None:
    return str(part["kind"]) if isinstance(part, dict) and "kind" in part else None


def _setting(scenario: Any, path: str) -> str | None:
    """Return a value of a scenario as text; None where it has none."""
    value = scenario
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)
