"""Three published claims, asked of small models: what is kept of each comparison beside its table, and read again.

The table has the scores; what agents stood by first and last is in the runs alone, so two more tables are kept.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

import analysis
from agentsoc.errors import InputError
from agentsoc.experiment.grid import Grid
from agentsoc.log.comparison import load_comparison_record
from agentsoc.log.read import RunLog
from analysis.comparison.table import read_results
from analysis.measures.outputs import Outputs, outputs_of
from analysis.measures.standing import STANDING, standing_of
from benchmarks.when import DEBATE, MADE, PLACEBO, RESULTS, Part, keep, kept

CLAIMS: Final = ("claims-smollm2", "claims-0.5b", "claims-1.5b")
"""The comparisons; each is a file in `scenarios/study`."""
TEAMS: Final = "claims-teams-0.5b"
"""The comparison of teams of several sizes that talk, a file as well."""
VOTES: Final = {"standing": "standing.parquet", "answers": "answers.parquet"}
TWICE: Final = ("self-correction", DEBATE, PLACEBO)
"""Organisations whose agents answer twice."""
ANSWERS: Final[dict[str, type[pl.DataType]]] = {
    "organisation": pl.String, "task": pl.Int64, "agent": pl.Int64, "said": pl.Int64, "first": pl.String,
    "last": pl.String, "right_first": pl.Float64, "right_last": pl.Float64,
}  # fmt: skip
"""Columns that are kept of each agent of these: how many answers it gave, the first and the last one."""
_EMPTY: Final = {
    "standing": pl.DataFrame(schema={"organisation": pl.String, **STANDING}),
    "answers": pl.DataFrame(schema=ANSWERS),
}


@dataclass(frozen=True)
class ClaimsPart:
    """A finished comparison: its table, and what became of answers."""

    part: Part
    standing: pl.DataFrame
    """Columns organisation and those of `STANDING`, a row a task."""
    answers: pl.DataFrame
    """Columns `ANSWERS`, a row for each agent and task of those who answer twice."""


def keep_claims(name: str, directory: Path, root: Path = RESULTS, asked: Grid | None = None) -> Path:
    """Keep what a finished comparison gave, its votes with it, and return where; as `benchmarks.when.keep` else.

    Raises:
        InputError: it is not finished or another comparison, has several seeds, or runs that cannot be compared.
    """
    results = read_results(directory)
    if left_out := analysis.compare(results).not_comparable:
        raise InputError(f"{', '.join(left_out)} cannot be compared", str(directory), "make these runs again")
    cells = load_comparison_record(directory).cells
    if len({cell.seed for cell in cells}) > 1:
        raise InputError("tasks of several seeds are not told apart here", str(directory), "ask with one seed")
    target = keep(name, directory, root, asked)
    standing, answers = [], []
    for cell in cells:
        log = RunLog(directory / cell.run)
        said = outputs_of(log.frame())
        named = pl.lit(cell.organisation).alias("organisation")
        standing.append(standing_of(said).select(named, *STANDING))
        if cell.organisation in TWICE:
            answers.append(_answers(said).with_columns(named).select(*ANSWERS).cast(ANSWERS))  # type: ignore[arg-type]
    made = json.loads((target / MADE).read_text(encoding="utf-8"))
    for what, tables in (("standing", standing), ("answers", answers)):
        path = target / VOTES[what]
        pl.concat([_EMPTY[what], *tables], how="diagonal").write_parquet(
            path, compression="zstd", compression_level=19, statistics=False
        )
        made[f"{what}_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (target / MADE).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return target


def _answers(said: Outputs) -> pl.DataFrame:
    """Return the first and the last answer of each agent to each task."""
    votes = said.votes.group_by("task", "agent", maintain_order=True)
    found = votes.agg(
        pl.len().alias("said"),
        *(getattr(pl.col("answer"), end)().alias(end) for end in ("first", "last")),
        *(getattr(pl.col("correct"), end)().alias(f"right_{end}") for end in ("first", "last")),
    )
    return found.sort("task", "agent")


def kept_claims(name: str, root: Path = RESULTS) -> ClaimsPart | None:
    """Return a comparison from what is kept of it; None where nothing is.

    Raises:
        LogDamagedError: the record is not what was written.
        InputError: a table is missing, or is not the one that was kept.
    """
    part = kept(name, root)
    if part is None:
        return None
    found = {}
    for what, file in VOTES.items():
        path = root / name / file
        content = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(content).hexdigest() != part.made.get(f"{what}_sha256"):
            raise InputError("the table is not the one that was kept", str(path), "keep it again")
        found[what] = pl.read_parquet(content)
    return ClaimsPart(part, **found)


def claims_parts(root: Path = RESULTS) -> list[ClaimsPart]:
    """Return the comparisons of which something is kept."""
    return [one for name in CLAIMS if (one := kept_claims(name, root)) is not None]
