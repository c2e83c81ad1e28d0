"""This module is the part of `agentsoc check` that says whether an imported log is as it was written."""

from __future__ import annotations

from pathlib import Path

from agentsoc.errors import InputError
from agentsoc.log.imported import read_imported, read_tables
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import line


def check_imported(directory: Path, code: list[Path], as_json: bool) -> None:
    """Check that the tables of an imported log are as they were written, and print what it holds.

    Raises:
        LogDamagedError: they are not.
    """
    if code:
        raise InputError("an imported log has no code", "--allow-code", "leave the option out")
    about = read_imported(directory)
    rows = {name: frame.height for name, frame in read_tables(directory).items()}
    redacted = "redacted" in about.rules
    if as_json:
        found = {"imported": str(directory), "sound": True, "importer": about.importer, "rows": rows}
        print_json({**found, "redacted": redacted})
        return
    say(
        f"sound{', redacted' if redacted else ''}: {rows['events.parquet']:,} act"
        f"{'s' * (rows['events.parquet'] != 1)} in {rows['executions.parquet']:,} execution"
        f"{'s' * (rows['executions.parquet'] != 1)}, imported by {line(about.importer, 40)} from "
        f"{line(about.source, 120)}"
    )
