"""The manifest: what a run is, with what it was made, how far it got, and the digests of its log."""

from __future__ import annotations

import hashlib
import json
import platform
import stat
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentsoc.errors import LogDamagedError
from agentsoc.log.files import write_whole

FORMAT_VERSION: Final = 1
"""Version of the run directory. Readers exist for every version that was ever released."""
NAME: Final = "manifest.json"
SIZE_MAX: Final = 64 << 20
_PACKAGES: Final = ("agentsoc", "ray", "litellm", "xllamacpp", "polars", "pyarrow", "numpy", "networkx", "pydantic")

Status = Literal["running", "finished", "interrupted", "failed"]


class SegmentEntry(BaseModel):
    """A file of the event log."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(pattern=r"^part-\d{5,}\.parquet$")
    rows: int = Field(ge=0)
    digest: str
    chain: str


class Totals(BaseModel):
    """What a run amounts to. Counts, except where the name says otherwise."""

    model_config = ConfigDict(extra="forbid")

    episodes: int = 0
    """Episodes that ended."""
    events: int = 0
    events_by_kind: dict[str, int] = {}
    rounds: int = 0
    turns: int = 0
    calls: int = 0
    """Model attempts that had an outcome."""
    calls_failed: int = 0
    calls_lost: int = 0
    """Attempts whose outcome a crash swallowed; charged in full."""
    broadcasts: int = 0
    """Claims that somebody could hear."""
    deliveries: int = 0
    """Claims times agents who hear their author."""
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    tokens_lost: int = 0
    """Reservations charged for lost attempts and attempts without usage (tokens)."""
    tokens_overrun: int = 0
    """Tokens a provider used beyond the cap it was given; 0 unless the provider breaks its own limit."""
    budget: int | None = None
    """Ceiling of the whole run (tokens)."""
    budget_calls: int | None = None
    """Ceiling of the whole run (attempts)."""
    budget_cost: float | None = None
    """Ceiling of the whole run (money)."""
    cost: float | None = None
    """What calls of known usage cost by the scenario's prices (money); None where a price is missing."""
    cost_lost: float | None = None
    """What was charged beside it for calls of unknown usage (money)."""
    score: float | None = None
    """Mean verifier score of the societies' answers."""
    answered: int = 0
    stops: dict[str, int] = {}
    """Why episodes ended."""
    virtual_s: float = 0.0
    """Critical path of simulated latencies, summed over episodes (seconds)."""


class Before(BaseModel):
    """A scenario that was in force before a fork."""

    model_config = ConfigDict(extra="forbid")

    start: tuple[int, int]
    """(task, round) from which it was in force."""
    scenario: dict[str, Any]


class Fork(BaseModel):
    """Where a forked run came from, and what was in force up to there."""

    model_config = ConfigDict(extra="forbid")

    run: str
    digest: str | None
    task: int
    round: int
    before: list[Before] = []


class Manifest(BaseModel):
    """The small file that answers `ls` and `show` without opening the log."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT_VERSION
    status: Status = "running"
    name: str
    seed: int
    scenario: dict[str, Any]
    """The resolved scenario; `agentsoc.scenario.load` gives the model back."""
    scenario_hash: str
    """SHA-256 of what in the scenario can change a result."""
    tasks_hash: str
    """SHA-256 of the questions and reference answers."""
    tasks_file: str | None = None
    """SHA-256 of the file that holds them."""
    episodes_file: str | None = None
    """SHA-256 of the table of episodes; set when the run is finished, never set by earlier versions."""
    code: dict[str, str] = {}
    """Loose code files that the run was allowed to use: name -> SHA-256."""
    inputs: dict[str, str] = {}
    """Files that the scenario names, copied into the run: name -> SHA-256."""
    models: list[dict[str, Any]] = []
    """Identity of each group's model."""
    versions: dict[str, str] = {}
    machine: dict[str, str] = {}
    not_reproducible: list[str] = []
    """What running again may give otherwise. Replay does not depend on any of it."""
    segments: list[SegmentEntry] = []
    digest: str | None = None
    """Digest of the whole event log; set when the run is finished."""
    journal_rows: int | None = None
    journal_digest: str | None = None
    totals: Totals = Totals()
    error: str | None = None
    fork: Fork | None = None

    def save(self, directory: Path) -> None:
        """Write the manifest whole, with a checksum over its content."""
        data = self.model_dump(mode="json")
        data["checksum"] = _checksum(data)
        try:
            text = json.dumps(data, indent=1, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # half a character in an error message: JSON can escape it
            text = json.dumps(data, indent=1).encode()
        write_whole(directory / NAME, text + b"\n")


def load_manifest(directory: Path) -> Manifest:
    """Return the manifest of a run directory.

    Raises:
        LogDamagedError: there is none, or it is cut, altered or from a newer version.
    """
    path = directory / NAME
    try:
        status = path.stat()
        if status.st_size > SIZE_MAX or not stat.S_ISREG(status.st_mode):
            raise LogDamagedError("the manifest is too large, or no file at all", str(path))
        raw = path.read_bytes()
    except FileNotFoundError:
        raise LogDamagedError(
            "there is no manifest here, so this is no run directory", str(directory), "agentsoc ls shows the runs"
        ) from None
    except OSError as error:
        raise LogDamagedError(f"the manifest cannot be read: {error.strerror}", str(path)) from None
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise LogDamagedError("the manifest is cut or not JSON", str(path)) from None
    if not isinstance(data, dict):
        raise LogDamagedError("the manifest is not a JSON object", str(path))
    if isinstance(data.get("format"), int) and data["format"] > FORMAT_VERSION:
        raise LogDamagedError(
            f"this run has log format {data['format']}; this version reads up to {FORMAT_VERSION}",
            str(path),
            "update agentsoc to read it",
        )
    stated = data.pop("checksum", None)
    try:
        altered = stated != _checksum(data)
    except RecursionError:  # read with the last bit of stack
        altered = True
    if altered:
        raise LogDamagedError("the manifest was altered: its checksum differs", str(path))
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(f"the manifest does not hold: {where}: {first['msg']}", str(path)) from None


def _checksum(data: dict[str, Any]) -> str:
    return hash_json(data)


def hash_json(data: Any) -> str:
    """Return the SHA-256 of plain data in canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that shape a run, without importing them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Return what is recorded of the machine: no names, no paths."""
    return {"system": platform.system(), "machine": platform.machine(), "byteorder": sys.byteorder}
