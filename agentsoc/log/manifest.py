"""The manifest says what a run is, with what it was made and how far it got, and holds the digests of its log."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agentsoc.contracts.failure import FailureFamily
from agentsoc.errors import LogDamagedError, NoRunError
from agentsoc.log.files import LOCK
from agentsoc.log.inside import Inside, is_inside
from agentsoc.log.names import CALIBRATION, COMPARISON, EPISODES, EVENTS, JOURNAL, MANIFEST, TASKS
from agentsoc.log.record import read_record, record_bytes
from agentsoc.log.study import Study
from agentsoc.theory.proportion import Z95, wilson

FORMAT_VERSION: Final = 2
"""Version of the run directory. Readers exist for every version that was ever released."""
NAME: Final = MANIFEST
SEAL: Final = "manifest.sha256"
"""SHA-256 of the manifest's bytes, as ``sha256sum`` writes and checks it; of a finished run, from format 2 on."""
SEAL_MAX: Final = 1_000
"""Size up to which a seal is read (bytes)."""
_SEALS: Final = re.compile(rb"(?:[0-9a-f]{64}  manifest\.json\n){1,2}")
_OF_A_RUN: Final = frozenset({SEAL, LOCK, EVENTS, JOURNAL, TASKS, EPISODES})
"""Files by which a directory is known as that of a run whose manifest is missing."""
_COUNT_MAX: Final = 10_000_000
"""More agents in a group, or tasks, than any scenario may have."""
_PACKAGES: Final = ("agentsoc", "ray", "litellm", "xllamacpp", "polars", "pyarrow", "numpy", "networkx", "pydantic")

Status = Literal["running", "finished", "interrupted", "failed"]


def _inside(name: str) -> str:
    if not is_inside(name) or len(name) > 1_000:
        raise ValueError("a file's name is relative and stays in its directory")
    return name


FileName = Annotated[str, AfterValidator(_inside)]


def _plain_parts(scenario: dict[str, Any]) -> dict[str, Any]:
    """Refuse a scenario whose blocks are not even of the kind that blocks are: readers take them apart."""
    groups = scenario.get("agents", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ValueError("agents is no list of groups")
    for name in ("tasks", "topology", "protocol", "engine", "prices", "calls"):
        if not isinstance(scenario.get(name, {}), dict):
            raise ValueError(f"{name} is no block")
    if not isinstance(scenario.get("budget") or {}, dict):
        raise ValueError("budget is no block")
    for group in (*groups, scenario.get("tasks", {})):
        count = group.get("count")
        if count is not None and not (isinstance(count, int) and 0 <= count <= _COUNT_MAX):
            raise ValueError(f"a count is no number up to {_COUNT_MAX:,}")
    return scenario


PlainScenario = Annotated[dict[str, Any], AfterValidator(_plain_parts)]


class SegmentEntry(BaseModel):
    """An entry describes one file of the event log."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(pattern=r"^part-\d{5,}\.parquet$")
    rows: int = Field(ge=0)
    digest: str
    chain: str
    sha256: str | None = None
    """SHA-256 of its bytes; None in runs of format 1."""


Count = Annotated[int, Field(ge=0, le=1 << 100)]
"""A count; its limit is far above what anybody counts and within the range of floats."""


class Totals(BaseModel):
    """The totals say what a run amounts to; see `agentsoc.log.totals`. Counts, where the name says nothing else."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    episodes: Count = 0
    """Episodes that ended."""
    events: Count = 0
    events_by_kind: dict[str, Count] = {}
    rounds: Count = 0
    turns: Count = 0
    calls: Count = 0
    """Model attempts that had an outcome."""
    calls_failed: Count = 0
    """Turns whose calls failed."""
    failures: dict[FailureFamily, Count] = {}
    """The same by who failed: infrastructure, format or model; manifests of earlier versions do not say it."""
    calls_lost: Count = 0
    """Attempts whose outcome a crash swallowed; charged in full."""
    broadcasts: Count = 0
    """Claims that somebody could hear."""
    deliveries: Count = 0
    """Claims times agents who hear their author."""
    tokens_in: Count = 0
    tokens_cached: Count = 0
    tokens_out: Count = 0
    tokens_lost: Count = 0
    """Reservations charged for lost attempts and attempts without usage (tokens)."""
    tokens_overrun: Count = 0
    """Tokens a provider used beyond the cap it was given; 0 unless the provider breaks its own limit."""
    claims_due: Count = 0
    """Claims that prompts were to show (claims)."""
    claims_left_out: Count = 0
    """Those of them for which window or budget had no room (claims)."""
    budget: Count | None = None
    """Ceiling of the whole run (tokens)."""
    budget_calls: Count | None = None
    """Ceiling of the whole run (attempts)."""
    budget_cost: float | None = None
    """Ceiling of the whole run (money)."""
    cost: float | None = None
    """What calls of known usage cost by the scenario's prices (money); None where a price is missing."""
    cost_lost: float | None = None
    """What was charged, in addition to `cost`, for calls of unknown usage (money)."""
    score: float | None = None
    """Mean verifier score of the societies' answers."""
    answered: Count = 0
    stops: dict[str, Count] = {}
    """How many episodes ended for each reason."""
    virtual_s: float = 0.0
    """Critical path of simulated latencies, summed over episodes (seconds)."""

    @property
    def tokens(self) -> int:
        """Tokens that were used, and the reservations of attempts whose use is not known."""
        return self.tokens_in + self.tokens_out + self.tokens_lost

    @property
    def score_ci95(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the score over tasks; None without a score.

        For scores that are 0 or 1 it is the usual interval of a proportion. For other scores in [0, 1] it errs on the
        wide side, because their variance is at most mean (1 - mean).
        """
        if self.score is None or not self.episodes:
            return None
        low, high = wilson(self.score, self.episodes, Z95)
        return max(low, 0.0), min(high, 1.0)


class Before(BaseModel):
    """The object names a scenario that was in force before a fork."""

    model_config = ConfigDict(extra="forbid")

    start: tuple[int, int]
    """(task, round) from which it was in force."""
    scenario: PlainScenario
    toolsets: list[list[dict[str, Any]]] = []
    """The tools of its agents; see `Manifest.toolsets`."""


class Fork(BaseModel):
    """The object says where a forked run came from, and what was in force up to there."""

    model_config = ConfigDict(extra="forbid")

    run: str
    digest: str | None
    task: int
    round: int
    before: list[Before] = []


class PromptBounds(BaseModel):
    """The object compares what was reserved for the prompts of a group's calls with what they then had."""

    model_config = ConfigDict(extra="forbid")

    counted: Annotated[str, Field(max_length=400)]
    """How prompts were bounded: ``bytes``, ``exact``, or the tokenizer that counted them."""
    calls: Count = 0
    """Attempts of known usage."""
    bound: Count = 0
    """Reserved for their prompts (tokens)."""
    used: Count = 0
    """What the provider then counted (tokens)."""


class Manifest(BaseModel):
    """The manifest is the small file that answers `ls` and `show` without opening the log."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT_VERSION
    status: Status = "running"
    name: str
    seed: int
    scenario: PlainScenario
    """The resolved scenario; `agentsoc.scenario.load` gives the model back."""
    scenario_hash: str
    """SHA-256 of what in the scenario can change a result."""
    tasks_hash: str
    """SHA-256 of the questions and reference answers."""
    tasks_file: str | None = None
    """SHA-256 of the file that holds them."""
    episodes_file: str | None = None
    """SHA-256 of the table of episodes; set when the run has ended, never set by earlier versions."""
    code: dict[str, str] = {}
    """Loose code files that the run was allowed to use: name -> SHA-256."""
    inputs: dict[FileName, str] = {}
    """Files that the scenario names, copied into the run: name -> SHA-256."""
    rules: dict[str, int] = {}
    """The rules that it was made by; empty, as in format 1, stands for 1 everywhere."""
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
    journal_file: str | None = None
    """SHA-256 of the journal's bytes; set when the run has ended, never set by format 1."""
    totals: Totals = Totals()
    prompt_bounds: list[PromptBounds] = []
    """For each group of agents; set when the run has ended, never set by earlier versions."""
    study: Study | None = None
    """Calls of the study itself, such as probes; set when a run with some has ended, None for any other."""
    toolsets: list[list[dict[str, Any]]] = []
    """For each group of agents the tools that it may call: name, description, schema, effect; empty without any."""
    judge: dict[str, Any] | None = None
    """Identity of the model that grades answers; None where none does."""
    error: str | None = None
    fork: Fork | None = None

    def save(self, directory: Path) -> None:
        """Write the manifest whole, with a checksum over its content, and its seal.

        Whenever a writer is killed, the seal names the manifest that is there: it names the one before as well until
        the next one has its place. That of a run that has ended names one.
        """
        content = record_bytes(self.model_dump(mode="json"))
        inside = Inside(directory)
        if self.format > 1:
            before = inside.read(NAME) if inside.look(NAME) is not None else None
            inside.write(SEAL, seal(content) if before is None else seal(before) + seal(content))
        inside.write(NAME, content)
        if self.format > 1 and self.status != "running":
            inside.write(SEAL, seal(content))


def seal(content: bytes) -> bytes:
    """Return the seal of a manifest with this content, a line as `sha256sum` writes it."""
    return f"{hashlib.sha256(content).hexdigest()}  {NAME}\n".encode()


def check_seal(directory: Path) -> None:
    """Compare the manifest's bytes with their seal.

    Raises:
        LogDamagedError: the seal is missing, or another manifest's.
    """
    inside = Inside(directory)
    try:
        found = inside.read(SEAL, limit=SEAL_MAX)
        content = inside.read(NAME)
        while found != (again := inside.read(SEAL, limit=SEAL_MAX)):  # the run goes on, and wrote in between
            found, content = again, inside.read(NAME)
    except OSError as error:
        what = f"the seal of the manifest cannot be read: {error.strerror}"
        raise LogDamagedError(what, str(directory / SEAL)) from None
    if not _SEALS.fullmatch(found):
        raise LogDamagedError("this is no seal of a manifest", str(directory / SEAL))
    if seal(content) not in found.splitlines(keepends=True):
        raise LogDamagedError("the manifest is not the one that was sealed", str(directory / NAME))


def load_manifest(directory: Path) -> Manifest:
    """Return the manifest of a run directory.

    Raises:
        NoRunError: there is no run at this place.
        LogDamagedError: the manifest of a run is missing, cut, altered or from a newer version.
    """
    try:
        data = read_record(directory, NAME, "the manifest", FORMAT_VERSION)
    except FileNotFoundError:
        raise _instead(directory) from None
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LogDamagedError(f"the manifest does not hold: {where}: {first['msg']}", str(directory / NAME)) from None


def _instead(directory: Path) -> LogDamagedError:
    """Return the error for a directory without a manifest: what it holds, and how to go on."""
    shows = "agentsoc ls shows the runs"
    names = Inside(directory).names() if directory.is_dir() else []
    if COMPARISON in names:
        what = "this is a comparison, whose runs are in runs/"
        hint = f"agentsoc compare {directory} goes on with it, agentsoc check {directory} checks all of it"
        return NoRunError(what, str(directory), hint)
    if CALIBRATION in names:
        what = "this is a calibration, whose runs are in runs/"
        hint = "the agentsoc calibrate command that began it goes on with it; name one of its runs for other verbs"
        return NoRunError(what, str(directory), hint)
    if not _OF_A_RUN.isdisjoint(names):
        what = "there is no manifest here, so this is no run directory"
        again = f"if a start of a run was killed here: agentsoc run SCENARIO --out {directory} takes it over"
        return LogDamagedError(what, str(directory), again if LOCK in names else shows)
    here = ", which holds something else" if names else ""
    return NoRunError(f"there is no run at {directory}{here}", "", shows)


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
