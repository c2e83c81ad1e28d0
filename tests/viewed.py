"""Asks the viewer about one directory, in this process: what `tests.zygote` runs as ``viewed DIR``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OF_RUNS = ("run", "rounds", "society", "cited", "tasks", "episode", "transcript", "events", "state", "replay")


def main(directory: str) -> int:
    """Print each answer, and on stderr each refusal; the exit code is 0 where nothing was refused, else 4."""
    from analysis.commands.view import means_with
    from analysis.viewer.server.app import ANSWERS, answered
    from analysis.viewer.server.places import ViewedPlaces

    code, places = 0, ViewedPlaces(Path(directory), means_with())

    def ask(name: str, **at: str) -> Any:
        nonlocal code
        found, status = answered(ANSWERS[name], places, at)
        print(name, json.dumps(found)[:100_000])
        if status != 200 and "is not replayed from here" not in found["error"]:
            print(f"{name}: {found['error']} {found['hint']}", file=sys.stderr)
            code = 4
        return found

    groups = ask("runs")["rows"]
    ask("results")
    if any(group["kind"] == "comparison" for group in groups):
        ask("compare", place=".")
    for place in [run["place"] for group in groups for run in group["runs"] if run["status"] != "damaged"] or ["."]:
        for name in OF_RUNS:
            ask(name, place=place, task="0", agent="0")
    return code
