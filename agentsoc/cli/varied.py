"""This module finds what the runs of a sweep differ in, and their means over seeds; from manifests alone.

Runs belong together when they lie in one directory and have the name of one scenario: what follows ``--`` in a name is
the sweep's.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

import msgspec

Settings = dict[str, Any]
"""Values of a scenario by dotted path."""

_ASIDE: Final = frozenset({"name", "description", "seed", "engine"})
"""Keys that change no result, or that are told anyway."""


@dataclass(frozen=True)
class Mean:
    """Runs that differ in nothing but their seed, taken together."""

    name: str
    settings: Settings
    """What tells them from the other runs of the sweep."""
    seeds: int
    """Finished runs with a score (runs)."""
    score: float
    """Mean of their scores."""
    sd: float | None
    """Standard deviation of their scores, n - 1 in the denominator; None for one run."""
    tokens: float
    """Mean of their tokens (tokens)."""
    failed: float
    """Mean of their failed calls (calls)."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(vars(self))


def find_varied(rows: Sequence[dict[str, Any]], scenarios: Mapping[str, Mapping[str, Any]]) -> None:
    """Write into each row under ``varied`` what its run has and others of its sweep have not.

    Args:
        rows: as `agentsoc ls` makes them, with ``run`` and ``name``.
        scenarios: the scenario of each run that has a sound manifest, by its ``run``.
    """
    for members in _together(rows):
        settings = _flat_each({row["run"]: scenarios[row["run"]] for row in members})
        keys = varied_keys(list({id(one): one for one in settings.values()}.values()))
        for row in members:
            row["varied"] = {short(key): settings[row["run"]].get(key) for key in keys}


def means_over_seeds(rows: Sequence[Mapping[str, Any]]) -> list[Mean]:
    """Return the means of runs that differ in their seed only, for sweeps that have several such runs."""
    found = []
    for members in _together(rows):
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in members:
            if row["status"] == "finished" and row["score"] is not None:
                groups.setdefault(json.dumps(row["varied"], sort_keys=True), []).append(row)
        if all(len({row["seed"] for row in group}) < 2 for group in groups.values()):
            continue
        for group in groups.values():
            scores = [row["score"] for row in group]
            found.append(
                Mean(
                    _base(group[0]["name"]),
                    dict(group[0]["varied"]),
                    len(group),
                    statistics.fmean(scores),
                    statistics.stdev(scores) if len(scores) > 1 else None,
                    statistics.fmean(row["tokens"] for row in group),
                    statistics.fmean(row["failed"] for row in group),
                )
            )
    return found


def _together(rows: Iterable[Any]) -> list[list[Any]]:
    """Return the rows by sweep; those that are alone, or have no sound manifest, are in none."""
    groups: dict[tuple[PurePath, str], list[Any]] = {}
    for row in rows:
        if row["name"] is not None:
            groups.setdefault((PurePath(row["run"]).parent, _base(row["name"])), []).append(row)
    return [members for members in groups.values() if len(members) > 1]


def _base(name: str) -> str:
    return name.split("--")[0]


def flat(scenario: Mapping[str, Any]) -> Settings:
    """Return what may be varied in a stored scenario; one group of agents as people write it, without a number."""
    found: Settings = {}

    def walk(value: Any, name: str, path: str) -> None:
        if name == "agents" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(item, key, f"{path}.{key}")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for at, item in enumerate(value):
                walk(item, "", f"{path}.{at}")
        else:
            found[path] = value

    for key, item in scenario.items():
        if key not in _ASIDE:
            walk(item, key, key)
    return found


def _flat_each(scenarios: Mapping[str, Mapping[str, Any]]) -> dict[str, Settings]:
    """Return `flat` of each scenario, one object for all that say the same: most of a folder differ in seeds alone."""
    known: dict[bytes, Settings] = {}
    found = {}
    for run, scenario in scenarios.items():
        kept = {key: value for key, value in scenario.items() if key not in _ASIDE}
        try:
            text = msgspec.json.encode(kept)
        except (ValueError, OverflowError, RecursionError):  # what a forged manifest may hold
            found[run] = flat(scenario)
            continue
        if text not in known:
            known[text] = flat(scenario)
        found[run] = known[text]
    return found


def varied_keys(settings: Sequence[Settings]) -> list[str]:
    """Return the keys whose values differ, in the order of the scenario.

    Where the kind of a part differs, its other keys count only if they differ among parts of one kind.
    """
    keys = [key for key in dict.fromkeys(key for one in settings for key in one) if _differ(settings, key)]
    kinds = [key.removesuffix("kind") for key in keys if key.rsplit(".", 1)[-1] == "kind"]
    kept = []
    for key in keys:
        above = max((part for part in kinds if key.startswith(part) and key != f"{part}kind"), key=len, default=None)
        if above is None:
            kept.append(key)
            continue
        of_kind: dict[Any, list[Settings]] = {}
        for one in settings:
            of_kind.setdefault(one.get(f"{above}kind"), []).append(one)
        if any(_differ(same, key) for same in of_kind.values()):
            kept.append(key)
    return kept


def _differ(settings: Sequence[Settings], key: str) -> bool:
    return len({_compared(one.get(key)) for one in settings}) > 1


def _compared(value: Any) -> tuple[type, Any]:
    """Return what equals that of another value exactly when both are the same in JSON; most are texts or numbers."""
    kind = type(value)
    plain = value is None or kind is str or kind is int or kind is bool
    return kind, value if plain else json.dumps(value, sort_keys=True)


def short(key: str) -> str:
    """Return a key as a column names it: without what says only that it is a kind or of the one group of agents."""
    return key.removesuffix(".kind").removeprefix("agents.")
