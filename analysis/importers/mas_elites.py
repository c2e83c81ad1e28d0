"""This module imports the public traces of the "intellectual elites" study (arXiv 2604.02674), native or as Parquet.

Native layout: ``.../{benchmark}/{topology}/n{N}/s{seed}/{task}/`` with events.jsonl or events.jsonl.gz, run_config.json
and run_metadata.json. Traps that this module deals with: re-runs appended to one file are split into executions;
executions that were cut are flagged by the event counts that the topologies fix; endorsements that repeat the id of
their parent mint nothing; unknown keys are kept. Metadata totals (columns ``meta_*``) cover the whole file, so they
must not be divided by one execution.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import ACTING, KINDS, MAX_ROUNDS
from agentsoc.log.parquet import read_frame
from analysis.files import read_json
from analysis.importers.importer import Importer, LogReading
from analysis.importers.labels import LabelledAct, label_execution
from analysis.importers.loose_json import left_out, own_files
from analysis.importers.sample import ImportSample
from analysis.importers.trace_ids import number_agents, number_claims, number_subtasks
from analysis.importers.trace_rows import TRACE_COLUMNS, read_native, read_parquet
from analysis.tables import EXECUTION_COLUMNS, KIND, EventTable, conform

RUN_COLUMNS: Final[dict[str, pl.DataType]] = {
    "task_family": pl.String(), "difficulty": pl.String(), "architecture": pl.String(), "max_steps": pl.Int64(),
    "model_name": pl.String(), "temperature": pl.Float64(), "routing_strategy": pl.String(), "memory_type": pl.String(),
    "meta_task_success": pl.Boolean(), "meta_task_score": pl.Float64(), "meta_num_subtasks_total": pl.Int64(),
    "meta_num_subtasks_completed": pl.Int64(), "meta_completion_ratio": pl.Float64(),
    "meta_num_claims_total": pl.Int64(), "meta_num_claims_merged": pl.Int64(),
    "meta_num_claims_unresolved_final": pl.Int64(), "meta_coherence_score": pl.Float64(),
    "meta_num_revisions_total": pl.Int64(), "meta_num_contradictions_total": pl.Int64(),
    "meta_num_merges_total": pl.Int64(), "meta_num_endorsements_total": pl.Int64(),
    "meta_integration_score": pl.Float64(), "meta_tokens_total": pl.Int64(), "meta_messages_total": pl.Int64(),
    "meta_num_coordination_events_total": pl.Int64(), "meta_wall_time_seconds": pl.Float64(),
    "meta_num_unique_agents_activated": pl.Int64(), "meta_mean_active_per_step": pl.Float64(),
    "meta_activation_rate": pl.Float64(),
}  # fmt: skip
"""Settings and metadata of a run that are kept as columns of `executions`; the rest of a run is in ``run_extra``."""

_IDENTITY: Final = frozenset({"run_id", "benchmark", "task_id", "topology", "num_agents", "seed"})
"""Keys that are columns of `executions` under other names and so are not repeated on every event."""

_RUNS: Final = "runs.parquet"
PARENT_SOURCES: Final = ("visible", "cited")


class MasElites(Importer):
    """The importer reads the public traces of the study."""

    name: ClassVar[str] = "mas-elites"
    place: ClassVar[int] = 0
    reads: ClassVar[str] = "a directory of traces"
    parent_rules: ClassVar[tuple[str, ...]] = PARENT_SOURCES

    def read(self, path: Path, parents: str) -> LogReading:
        """Return the traces under `path`."""
        table = import_traces(path, parents=parents)
        beside = own_files(path.parent, [path.with_name(_RUNS)]) if path.is_file() else []
        return LogReading(table, {"parents": parents}, beside=tuple(one for one in beside if one.exists()))

    def recognises(self, sample: ImportSample) -> str | None:
        """Return the layout: the native one, or Parquet of it."""
        native = "run_config.json" in sample.names and not sample.names.isdisjoint({"events.jsonl", "events.jsonl.gz"})
        table = {"run_id", "step_id"} <= {*sample.columns} and sample.file.suffix == ".parquet"
        return "traces of the study of intellectual elites" if native or table else None


def import_traces(path: Path | str, *, parents: str = "visible") -> EventTable:
    """Return the event table of the traces under `path`.

    Args:
        path: a directory in the native layout (any depth above the run directories), one Parquet file of events, or a
            directory of Parquet files ``events_*.parquet`` with an optional ``runs.parquet``.
        parents: for rows of the newer schema that have no logged label: ``visible`` takes the claims that the topology
            showed, ``cited`` those among them that the agent cited. Logged rows keep their logged parents.

    Raises:
        InputError: there is nothing to import, or a file is not what it should be.
    """
    path = Path(path)
    if parents not in PARENT_SOURCES:
        raise InputError(f"parents is {parents!r}", "", f"use one of {', '.join(PARENT_SOURCES)}")
    if not path.exists():
        raise InputError("no such file or directory", str(path))
    parquet = [path] if path.is_file() else own_files(path, path.glob("events*.parquet"))
    if parquet:
        rows = pl.concat([read_parquet(file) for file in parquet])
        beside = parquet[0].with_name(_RUNS)
        runs = _runs_parquet(path if path.is_dir() else path.parent, beside)
        cut: list[str] = []
    else:
        rows, runs, cut = _native(path)
    return assemble(rows, runs, cut, parents=parents)


def _native(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Return all rows under `path`, one row of settings per run, and the runs whose file ends in a broken line."""
    named = [file for pattern in ("events.jsonl", "events.jsonl.gz") for file in path.rglob(pattern) if file.is_file()]
    files: dict[Path, Path] = {}
    for file in own_files(path, named):  # by name, so that of two beside each other the one that is not packed counts
        files.setdefault(file.parent, file)
    if not files:
        raise InputError(
            "no events.jsonl, events.jsonl.gz or events*.parquet below it", str(path), left_out(len(named))
        )
    frames, runs, cut = [], [], []
    for directory, file in sorted(files.items()):
        rows, broken = read_native(file)
        if rows.height == 0:
            continue
        run = str(rows["run_id"][0])
        frames.append(rows)
        runs.append(_run_settings(path, directory, run))
        if broken:
            cut.append(run)
    if not frames:
        raise InputError("no events in any run directory", str(path))
    return pl.concat(frames), pl.concat(runs), cut


def _run_settings(path: Path, directory: Path, run: str) -> pl.DataFrame:
    """Return one row: the run's settings and metadata as `RUN_COLUMNS` and ``run_extra``."""
    found: dict[str, object] = {}
    for name, prefix in (("run_config.json", ""), ("run_metadata.json", "meta_")):
        file = directory / name
        if not file.exists() or not own_files(path, [file]):
            continue
        values = read_json(file)
        if not isinstance(values, dict):
            raise InputError("not a JSON object", str(file), "repair or remove the file")
        found.update({f"{prefix}{key}": value for key, value in values.items() if key not in _IDENTITY})
    rest = {key: value for key, value in found.items() if key not in RUN_COLUMNS and value is not None}
    columns = {name: pl.Series([found.get(name)], dtype=dtype, strict=False) for name, dtype in RUN_COLUMNS.items()}
    return pl.DataFrame({"run_id": [run], **columns, "run_extra": [json.dumps(rest, sort_keys=True) if rest else None]})


def _runs_parquet(root: Path, path: Path) -> pl.DataFrame:
    """Return the settings of runs from a Parquet file, or no rows when there is none in the directory `root`."""
    types = {"run_id": pl.String(), **RUN_COLUMNS, "run_extra": pl.String()}
    if not path.exists() or not own_files(root, [path]):
        return pl.DataFrame(schema=types)
    try:
        frame = read_frame(path)
    except (OSError, ValueError) as error:
        raise InputError(f"it cannot be read as Parquet: {error}", str(path)) from error
    columns = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in types.items()
    ]
    try:
        return frame.select(columns)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"a column has a type that settings of runs do not have: {error}", str(path)) from error


def assemble(
    rows: pl.DataFrame, runs: pl.DataFrame, cut: Sequence[str] = (), *, parents: str = "visible"
) -> EventTable:
    """Return the event table of trace rows in the columns of `TRACE_COLUMNS` plus ``extra``.

    Args:
        rows: rows of any number of runs; `line_no` gives their order in the file.
        runs: settings per run_id, in `RUN_COLUMNS`.
        cut: runs whose file ends in a broken line.
        parents: see `import_traces`.
    """
    rows = _split_executions(rows)
    rows = _place(rows)
    rows = _label(rows, parents)
    rows = number_claims(number_subtasks(number_agents(rows).pipe(_with_k)))
    kept = [name for name in TRACE_COLUMNS if name not in _IDENTITY | RUN_COLUMNS.keys()]
    named = {name: pl.col(name) for name in kept}
    events = rows.select(**_core_columns(), **named, extra=pl.col("extra"))
    return EventTable(conform(events, "traces"), _executions(rows, runs, cut))


def _split_executions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` in file order with `attempt`: a step that falls back to 1 (or 0) opens a new execution."""
    rows = rows.sort("run_id", "line_no")
    step = pl.col("step_id")
    restart = ((step <= step.shift(1)) & (step <= 1)).fill_null(value=False)
    rows = rows.with_columns(attempt=restart.cast(pl.Int64).cum_sum().over("run_id"))
    new_run = (pl.col("run_id") != pl.col("run_id").shift(1)).fill_null(value=True)
    return rows.with_columns(
        run_number=new_run.cast(pl.Int64).cum_sum(), execution=(new_run | restart).cast(pl.Int64).cum_sum() - 1
    )


def _place(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` ordered by (execution, step, time, line) with `round` and their position `_order`."""
    if rows["step_id"].null_count() or not rows["step_id"].is_between(0, MAX_ROUNDS - 1).all():
        raise InputError(f"step_id must be in [0, {MAX_ROUNDS - 1}] on every row", "traces")
    rows = rows.sort("execution", "step_id", "timestamp", "line_no")
    return rows.with_columns(round=pl.col("step_id"), _order=pl.int_range(pl.len(), dtype=pl.Int64))


def _with_k(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with `k`: how many acts of the same agent came before in the same round."""
    return rows.with_columns(k=pl.int_range(pl.len(), dtype=pl.Int64).over("execution", "round", "agent"))


def _label(rows: pl.DataFrame, parents: str) -> pl.DataFrame:
    """Return `rows` with `event_type` filled by the rules where it is null, and `label_source`."""
    rows = rows.with_columns(
        label_source=pl.when(pl.col("event_type").is_null()).then(pl.lit("rule")).otherwise(pl.lit("logged"))
    )
    if rows["event_type"].null_count() == 0:
        return rows
    if parents == "cited":
        shown = pl.col("claims_visible").list.set_union("parent_claim_ids")
        cited = pl.col("claims_referenced").list.set_intersection(shown)
        rows = rows.with_columns(
            parent_claim_ids=pl.when(pl.col("event_type").is_null()).then(cited).otherwise(pl.col("parent_claim_ids"))
        )
    labelled: list[str | None] = []
    for _, part in rows.group_by("execution", maintain_order=True):
        labelled.extend(label_execution(_act(row) for row in part.iter_rows(named=True)))
    found = pl.Series("rule", labelled, dtype=pl.String)
    return rows.with_columns(event_type=pl.coalesce("event_type", found))


def _act(row: dict[str, object]) -> LabelledAct:
    """Return what the labelling rules look at in `row`."""

    def names(key: str) -> tuple[str, ...]:
        value = row[key]
        return tuple(str(x) for x in value) if isinstance(value, list) else ()

    def text(key: str) -> str | None:
        value = row[key]
        return value if isinstance(value, str) and value else None

    assigned = row["requested_subtask_creation"] is True or text("proposed_assignee") or text("subtask_assigned_to")
    return LabelledAct(
        claim=text("claim_id"),
        parents=names("parent_claim_ids"),
        subtask=text("subtask_id"),
        subtask_parent=text("parent_subtask_id"),
        topology=text("topology"),
        role=text("agent_role"),
        assigns=bool(assigned),
        disagrees_with=names("explicit_disagreement_with"),
        corrects=names("explicit_correction_of"),
        supports=names("supports_claims"),
        text=text("reasoning_text") or "",
    )


def _core_columns() -> dict[str, pl.Expr]:
    """Return the columns of the event table as expressions over the numbered rows."""
    kind = pl.col("event_type").replace({"finalize_answer": "answer"})
    known = pl.when(kind.is_in([tag for tag in KINDS if tag not in ACTING])).then(kind).otherwise(None).cast(KIND)
    delegates, endorses = (pl.col("event_type") == name for name in ("delegate_subtask", "endorse_claim"))
    tokens_in, tokens_out = pl.col("tokens_input").fill_null(0), pl.col("tokens_output").fill_null(0)
    return {
        "execution": pl.col("execution"),
        "task": pl.lit(0, pl.Int64),
        "round": pl.col("round"),
        "agent": pl.col("agent"),
        "k": pl.col("k"),
        "kind": known,
        "claim": pl.col("claim"),
        "parents": pl.col("parents"),
        "target": pl.when(delegates)
        .then(pl.col("target_agent"))
        .when(endorses)
        .then(pl.col("supported"))
        .otherwise(None),
        "subtask": pl.col("subtask"),
        "subtask_parent": pl.col("subtask_parent"),
        "answer": pl.col("final_answer_text"),
        "correct": pl.lit(None, pl.Float64),
        "confidence": pl.col("confidence_score").cast(pl.Float64),
        "text": pl.col("reasoning_text"),
        "calls": (tokens_in + tokens_out > 0).cast(pl.Int64),
        "tokens_in": tokens_in,
        "tokens_cached": pl.lit(0, pl.Int64),
        "tokens_out": tokens_out,
        "label_source": pl.col("label_source"),
        "root_logged": pl.col("root_logged"),
        "depth_logged": pl.col("claim_depth"),
        "revision_chain": pl.col("revision_chain_id"),
        "contradiction_group": pl.col("contradiction_group_id"),
        "visible": pl.col("visible"),
    }


def _executions(rows: pl.DataFrame, runs: pl.DataFrame, cut: Sequence[str]) -> pl.DataFrame:
    """Return one row per execution with its identity, its settings, and whether it is complete."""
    identity = rows.group_by("execution", maintain_order=True).agg(
        pl.col("run_id").first().alias("run"),
        pl.lit(0, pl.Int64).alias("task"),
        pl.col("attempt", "benchmark").first(),
        pl.col("task_id").first().alias("task_name"),
        pl.col("topology").first(),
        pl.col("num_agents").first().alias("n_agents"),
        pl.col("seed").first(),
        pl.len().cast(pl.Int64).alias("n_events"),
        (pl.col("step_id").max() - pl.col("step_id").min() + 1 != pl.len()).alias("step_gaps"),
    )
    cell = pl.col("n_events").max().over("topology", "n_agents", "seed")
    last = pl.col("attempt") == pl.col("attempt").max().over("run")
    broken = pl.col("run").is_in(list(cut)) & last
    identity = identity.with_columns(
        expected_events=pl.struct("topology", "n_agents").map_elements(
            lambda x: expected_events(x["topology"], x["n_agents"]), return_dtype=pl.Int64
        )
    )
    complete = (pl.col("n_events") == pl.coalesce("expected_events", cell)) & ~broken & ~pl.col("step_gaps")
    executions = identity.with_columns(complete=complete).select(*EXECUTION_COLUMNS, "step_gaps", "expected_events")
    return executions.join(runs.rename({"run_id": "run"}), on="run", how="left", maintain_order="left")


_ACTIVE: Final = ((8, 8), (16, 10), (32, 12), (64, 14), (128, 16))


def activation_budget(n_agents: int) -> int:
    """Return A(N), the agents that may act in each round after the first: that of the largest threshold <= N."""
    return max((active for threshold, active in _ACTIVE if threshold <= n_agents), default=n_agents)


def expected_events(topology: str | None, n_agents: int | None) -> int | None:
    """Return E, the events of a complete execution, or None where the seed decides."""
    if n_agents is None:
        return None
    rounds = n_agents + 2 * activation_budget(n_agents) + 1
    fixed = {
        "chain": n_agents,
        "star": 2 * n_agents,
        "tree": n_agents,
        "full_mesh": rounds,
        "sparse_mesh": rounds,
        "hybrid_modular": n_agents + 3,
    }
    return fixed.get(topology) if topology is not None else None


def expected_largest_cascade(topology: str, n_agents: int) -> int | None:
    """Return T, the largest logged TCE of a complete execution, or None where the seed decides.

    The tree's value holds for powers of two.
    """
    fixed = {
        "chain": n_agents - 1,
        "star": 2 * n_agents - 1,
        "full_mesh": 2 * activation_budget(n_agents) + 1,
        "hybrid_modular": n_agents // 2 + 1,
    }
    if topology == "tree" and n_agents & (n_agents - 1) == 0:
        return n_agents.bit_length() - 1
    return fixed.get(topology)
