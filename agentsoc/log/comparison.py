"""``comparison.json``: what a comparison asked, which runs it stands for, and how far it got.

It is an index. What a run gave stands in the run's own manifest, and that is what decides when the two differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agentsoc.errors import LogDamagedError
from agentsoc.log.files import write_whole
from agentsoc.log.manifest import hash_json

FILE: Final = "comparison.json"
FORMAT: Final = 1
RUNS: Final = "runs"
SIZE_MAX: Final = 64 << 20

CellStatus = Literal["waiting", "finished", "interrupted", "failed"]


class CellRecord(BaseModel):
    """One run of the comparison."""

    model_config = ConfigDict(extra="forbid")

    id: str
    organisation: str
    n_agents: int
    count: int | None = None
    """The number on the agents axis; None without one, and where an organisation fixes its own."""
    tasks: str
    seed: int
    run: str
    """Its directory, relative to that of the comparison."""
    scenario_hash: str
    """SHA-256 of what in its scenario can change a result."""
    status: CellStatus = "waiting"
    digest: str | None = None
    """Digest of its event log, once it is finished."""
    error: str | None = None


class ComparisonRecord(BaseModel):
    """The small file that answers what a result directory is."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    name: str
    description: str = ""
    status: Literal["running", "finished", "interrupted", "failed"] = "running"
    asked: dict[str, Any]
    """The comparison as plain data, with what the command line set; it gives the cells back."""
    text_hash: str
    """SHA-256 of the file that it came from."""
    hash: str
    """SHA-256 of cells and baseline: equal for comparisons that ask for the same."""
    organisations: list[str]
    baseline: str
    matched: bool
    """Whether all organisations had the same ceiling, and there was one."""
    inputs: dict[str, str] = {}
    """Files that the comparison names, kept in ``inputs``: name -> SHA-256."""
    code: dict[str, str] = {}
    """Loose code files that its runs were allowed to use: name -> SHA-256."""
    earlier: list[str] = []
    """Hashes of smaller comparisons that were in this directory before; their runs were kept."""
    cells: list[CellRecord]

    def save(self, directory: Path) -> None:
        """Write the record whole, with a checksum over its content."""
        data = self.model_dump(mode="json")
        data["checksum"] = hash_json(data)
        write_whole(directory / FILE, json.dumps(data, indent=1).encode() + b"\n")


def load_comparison_record(directory: Path) -> ComparisonRecord:
    """Return the record of a result directory.

    Raises:
        LogDamagedError: there is none, or it is cut, altered or from a newer version.
    """
    path = directory / FILE
    try:
        if path.stat().st_size > SIZE_MAX:
            raise LogDamagedError("the record of the comparison is too large", str(path))
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise LogDamagedError(
            "there is no comparison here", str(directory), "agentsoc compare FILE begins one"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise LogDamagedError(f"the record of the comparison cannot be read: {error}", str(path)) from None
    if not isinstance(data, dict):
        raise LogDamagedError("the record of the comparison is not a JSON object", str(path))
    if isinstance(data.get("format"), int) and data["format"] > FORMAT:
        raise LogDamagedError(
            f"this comparison has format {data['format']}; this version reads up to {FORMAT}",
            str(path),
            "update agentsoc to read it",
        )
    if data.pop("checksum", None) != hash_json(data):
        raise LogDamagedError("the record of the comparison was altered: its checksum differs", str(path))
    try:
        return ComparisonRecord.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(f"the record does not hold: {where}: {first['msg']}", str(path)) from None
