"""This module names the files of a run directory."""

from __future__ import annotations

from typing import Final

EVENTS: Final = "events"
JOURNAL: Final = "journal.sqlite"
TASKS: Final = "tasks.parquet"
EPISODES: Final = "episodes.parquet"
INPUTS: Final = "inputs"
