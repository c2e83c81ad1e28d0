"""This module names the files of a run directory, and those by which other directories are known."""

from __future__ import annotations

from typing import Final

MANIFEST: Final = "manifest.json"
"""File that marks the directory of a run."""
EVENTS: Final = "events"
JOURNAL: Final = "journal.sqlite"
TASKS: Final = "tasks.parquet"
EPISODES: Final = "episodes.parquet"
INPUTS: Final = "inputs"
COMPARISON: Final = "comparison.json"
"""File that marks the directory of a comparison, whose runs are below it."""
CALIBRATION: Final = "calibration.json"
"""File that marks the directory of a calibration, whose runs are below it."""
FILE_BACK: Final = "put back the file that the run was made with: nothing of the run can be computed without it"
"""The advice for a copy of a file of the scenario that was altered."""
