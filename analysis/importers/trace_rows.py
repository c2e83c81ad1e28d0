"""This module reads rows of the mas-elites traces: native JSON lines or a Parquet copy, both schemas, into one frame.

The frame has a fixed set of typed columns, those of `TRACE_COLUMNS`, and `extra`: a JSON object with every other key of
the row that is set. A key is set unless it is null, an empty list, an empty string or a zero counter: the native rows
declare some thirty such keys, the Parquet copy leaves them out, and the two must not differ by that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.parquet import read_frame
from analysis.files import unpacked

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_TEXT, _INT, _FLOAT, _FLAG, _LIST = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean(), pl.List(pl.String())

TRACE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "run_id": _TEXT, "benchmark": _TEXT, "task_id": _TEXT, "task_family": _TEXT, "difficulty": _TEXT, "topology": _TEXT,
    "num_agents": _INT, "seed": _INT, "line_no": _INT, "step_id": _INT, "timestamp": _FLOAT, "agent_id": _TEXT,
    "agent_role": _TEXT, "event_type": _TEXT, "target_agent_id": _TEXT, "message_id": _TEXT,
    "message_length_tokens": _INT, "message_length_chars": _INT,
    "tokens_input": _INT, "tokens_output": _INT, "tokens_total_event": _INT, "latency_ms": pl.Float32(),
    "confidence_score": pl.Float32(), "action_success": _FLAG, "claim_id": _TEXT,
    "claim_type": _TEXT, "claim_status": _TEXT, "claim_text_hash": _TEXT, "parent_claim_ids": _LIST,
    "root_claim_id": _TEXT, "claim_depth": _INT, "subtask_id": _TEXT, "parent_subtask_id": _TEXT,
    "root_subtask_id": _TEXT, "subtask_depth": _INT, "subtask_type": _TEXT, "subtask_status": _TEXT,
    "subtask_assigned_by": _TEXT, "subtask_assigned_to": _TEXT, "contradiction_group_id": _TEXT,
    "revision_chain_id": _TEXT, "trigger_claim_id": _TEXT, "reason_for_revision": _TEXT, "num_agents_involved": _INT,
    "merge_id": _TEXT, "merge_parent_claim_ids": _LIST, "merge_num_inputs": _INT, "merge_num_unique_agents": _INT,
    "merge_synthesizer_agent_id": _TEXT, "endorsed_claim_id": _TEXT, "endorsement_reason": _TEXT, "support_type": _TEXT,
    "local_group_id": _TEXT, "same_subtask_branch": _FLAG, "visible_neighbors": _LIST,
    "agent_influence_score_so_far": _FLOAT, "agent_degree_so_far": _INT,
    # newer row schema, told by `reasoning_text`
    "reasoning_text": _TEXT, "final_answer_text": _TEXT, "claims_visible": _LIST, "claims_referenced": _LIST,
    "references_used": _LIST, "visible_message_ids": _LIST, "tools_used": _LIST, "evidence_refs": _LIST,
    "requested_subtask_creation": _FLAG, "proposed_assignee": _TEXT, "synthesis_of_multiple_inputs": _FLAG,
    "explicit_disagreement_with": _LIST, "explicit_correction_of": _LIST, "supports_claims": _LIST,
    "secondary_root_claim_ids": _LIST,
}  # fmt: skip
"""Columns of the frame that both layouts give, with their types."""

_NEWER_NAMES: Final = {
    "role": "agent_role",
    "neighbor_ids": "visible_neighbors",
    "assigned_agent": "subtask_assigned_to",
    "confidence": "confidence_score",
    "message_length": "message_length_chars",
}
"""Names of the newer row schema for what the older one calls otherwise."""

_RUN_LEVEL: Final = frozenset({"architecture"})
"""Keys that repeat a setting of the run; they are kept there."""

_DERIVED: Final = frozenset({"attempt"})
_COUNTERS: Final = frozenset({"num_tool_calls", "num_external_retrievals"})


def is_set(key: str, value: Json) -> bool:
    """Return whether `value` says anything: not null, NaN, empty, or the zero of a counter."""
    if value is None or value == "" or value == [] or value == {}:
        return False
    if isinstance(value, float) and math.isnan(value):
        return False
    return not (key in _COUNTERS and value == 0)


def read_native(path: Path) -> tuple[pl.DataFrame, bool]:
    """Return the rows of one file of events, packed or not, and whether its last line was cut in writing.

    Raises:
        InputError: it cannot be read, or a line other than the last is not a JSON object.
    """
    rows: list[dict[str, Json]] = []
    cut = False
    for number, line, last in _lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if not last:
                raise InputError(
                    f"not a JSON object: {error}", f"{path}:{number + 1}", "repair or remove the line"
                ) from error
            cut = True
            continue
        if not isinstance(row, dict):
            raise InputError("not a JSON object", f"{path}:{number + 1}", "repair or remove the line")
        rows.append(_renamed(row) | {"line_no": number})
    return _frame(rows, str(path)), cut


def _renamed(row: dict[str, Json]) -> dict[str, Json]:
    """Return `row` with the names of the older schema."""
    return {_NEWER_NAMES.get(key, key): value for key, value in row.items()}


def _lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield (0-based number, text, whether nothing follows) of the lines that are not blank."""
    lines = unpacked(path).decode(errors="replace").split("\n")
    filled = [(number, line) for number, line in enumerate(lines) if line.strip()]
    for position, (number, line) in enumerate(filled):
        yield number, line, position == len(filled) - 1


def _frame(rows: list[dict[str, Json]], where: str) -> pl.DataFrame:
    """Return `rows` as typed columns plus `extra`."""
    columns = []
    for name, dtype in TRACE_COLUMNS.items():
        values = [_clean(row.get(name), dtype) for row in rows]
        try:
            columns.append(pl.Series(name, values, dtype=dtype))
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise InputError(f"key {name!r} holds values that are not {dtype}: {error}", where) from error
    known = TRACE_COLUMNS.keys() | _RUN_LEVEL | _DERIVED
    extras = [_extra({key: value for key, value in row.items() if key not in known}) for row in rows]
    return pl.DataFrame([*columns, pl.Series("extra", extras, dtype=pl.String)])


def _clean(value: Json, dtype: pl.DataType) -> Json:
    """Return `value` ready for a column of `dtype`: NaN is null, whole floats are integers, null lists are empty."""
    if isinstance(dtype, pl.List):
        return value if isinstance(value, list) else []
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if dtype == _INT and value.is_integer():
            return int(value)
    return value


def _extra(left: dict[str, Json]) -> str | None:
    """Return the keys of `left` that are set as a JSON object with sorted keys, or None."""
    kept = {key: value for key, value in left.items() if is_set(key, value)}
    return json.dumps(kept, sort_keys=True) if kept else None


def read_parquet(path: Path) -> pl.DataFrame:
    """Return the rows of a Parquet copy of the traces in the columns of `read_native`.

    Raises:
        InputError: the file has no rows of such traces, or a column has another type.
    """
    try:
        frame = read_frame(path).rename(_NEWER_NAMES, strict=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"it cannot be read as Parquet: {error}", str(path)) from error
    if "run_id" not in frame.columns or "step_id" not in frame.columns:
        raise InputError("not a table of trace events: it has no run_id or no step_id", str(path))
    if "line_no" not in frame.columns:
        frame = frame.with_columns(line_no=pl.int_range(pl.len()).over("run_id"))
    columns = []
    for name, dtype in TRACE_COLUMNS.items():
        column = pl.col(name) if name in frame.columns else pl.lit(None)
        if frame.schema.get(name) in (pl.Float32, pl.Float64):
            column = column.fill_nan(None)
        column = column.cast(dtype)
        columns.append(
            (column.fill_null(pl.lit([], dtype=dtype)) if isinstance(dtype, pl.List) else column).alias(name)
        )
    known = TRACE_COLUMNS.keys() | _RUN_LEVEL | _DERIVED
    others = [name for name in frame.columns if name not in known]
    extras = [_extra(row) for row in frame.select(others).iter_rows(named=True)] if others else [None] * frame.height
    try:
        return frame.select(columns).with_columns(pl.Series("extra", extras, dtype=pl.String))
    except pl.exceptions.PolarsError as error:
        raise InputError(f"a column has a type that trace events do not have: {error}", str(path)) from error
