"""This module keeps ``comparison.json``: what a comparison asked, which runs it stands for, and how far it got.

It is an index. What a run gave stands in the run's own manifest, and that is what decides when the two differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import FileName
from agentsoc.log.names import COMPARISON
from agentsoc.log.record import read_record, record_bytes

FILE: Final = COMPARISON
FORMAT: Final = 1
RUNS: Final = "runs"
PILOTS: Final = "pilots"

CellStatus = Literal["waiting", "finished", "interrupted", "failed"]


class CellRecord(BaseModel):
    """A record says which scenario one run of the comparison has and how far it is."""

    model_config = ConfigDict(extra="forbid")

    id: str
    organisation: str
    n_agents: int
    count: int | None = None
    """The number on the agents axis; None without one, and where an organisation fixes its own."""
    budget: int | None = None
    """Ceiling of a task (tokens), where the comparison has several."""
    tasks: str
    seed: int
    run: FileName
    """The directory of the run, relative to that of the comparison."""
    scenario_hash: str
    """SHA-256 of what in its scenario can change a result."""
    status: CellStatus = "waiting"
    digest: str | None = None
    """Digest of its event log, once it is finished."""
    error: str | None = None


class DialRecord(BaseModel):
    """A record says what an organisation turns up to fill a ceiling, how far, and how that was found."""

    model_config = ConfigDict(extra="forbid")

    organisation: str
    tasks: str
    budget: int
    """Ceiling of a task (tokens)."""
    dial: str = ""
    """As the comparison names it; empty for an organisation that has none."""
    value: int | None = None
    """None without a dial, and where the ceiling does not pay for the smallest value: then there is no run."""
    how: Literal["none", "given", "exact", "pilot", "unset"] = "none"
    """From the file, from the schedule, by pilots; unset until these have been made."""
    tokens: float | None = None
    """Tokens that an episode takes at it, as far as that is known beforehand: of a pilot the mean (tokens)."""
    least_tokens: float | None = None
    """The same at the smallest value (tokens)."""
    reason: str = ""
    """Why it stands where it does, where that is not the ceiling; in words."""
    basis: str = ""
    """SHA-256 of what the pilots were made for."""
    pilots: list[FileName] = []
    """Directories of the pilots, relative to that of the comparison."""
    pilot_tokens: int = 0
    """Tokens of these pilots, which are in no other figure (tokens)."""

    @property
    def left_out(self) -> bool:
        """Whether there is no run at this ceiling."""
        return self.value is None and self.how in ("exact", "pilot")


class ComparisonRecord(BaseModel):
    """The record is the small file that says what a result directory is."""

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
    """Whether all organisations had a budget, and the same one."""
    inputs: dict[FileName, str] = {}
    """Files that the comparison names, kept in ``inputs``: name -> SHA-256."""
    code: dict[str, str] = {}
    """Loose code files that its runs were allowed to use: name -> SHA-256."""
    earlier: list[str] = []
    """Hashes of smaller comparisons that were in this directory before; their runs were kept."""
    dials: list[DialRecord] = []
    """With several budgets, what each organisation turns up at each of them; else none."""
    cells: list[CellRecord]

    def save(self, directory: Path) -> None:
        """Write the record whole, with a checksum over its content.

        What only comparisons with several budgets have is written of these alone, so that earlier versions read others.
        """
        data = self.model_dump(mode="json")
        if not self.dials:
            data.pop("dials")
            for cell in data["cells"]:
                cell.pop("budget")
        Inside(directory).write(FILE, record_bytes(data))


def load_comparison_record(directory: Path) -> ComparisonRecord:
    """Return the record of a result directory.

    Raises:
        LogDamagedError: there is none, or it is cut, altered or from a newer version.
    """
    try:
        data = read_record(directory, FILE, "the record of the comparison", FORMAT)
    except FileNotFoundError:
        raise LogDamagedError(
            "there is no comparison here", str(directory), "agentsoc compare FILE begins one"
        ) from None
    try:
        return ComparisonRecord.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(f"the record does not hold: {where}: {first['msg']}", str(directory / FILE)) from None
