"""This module imports a plain claims table (CSV or Parquet), from any framework that can say who claimed what on what.

One row is one act. Columns:

    claim       id of the claim that the row makes, any text or whole number; empty for acts that make none
    parents     ids that it builds on: in CSV separated by ``;``, in Parquet a list (or such a text)
    agent       who acted, by name or number; empty only on rows that make no claim
    execution   one society on one task, once; optional, all rows are one execution without it. Ids are unique within it
    round       optional whole number; without it the order of the rows counts, each row a round of its own
    kind        optional tag of `agentsoc.events.KINDS`; where empty, the rules of `analysis.importers.labels` decide

Optional for each row: target (a claim for contradictions and endorsements, an agent for delegations), subtask,
subtask_parent, root (the root claim that the log names), visible (agents that the author could read), answer, correct,
confidence, text, calls, tokens_in, tokens_cached, tokens_out. Optional and equal within an execution: benchmark,
topology, n_agents, seed. Other columns are kept under their names. A parent that no row makes is a stub.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import CLAIMING, KINDS, MAX_AGENTS
from agentsoc.scenario.source import printable
from analysis.claims.cascades import claim_graph
from analysis.files import read_rows
from analysis.importers.importer import Importer, LogReading
from analysis.importers.labels import LabelledAct, label_execution
from analysis.importers.loose_json import whole_text
from analysis.importers.sample import ImportSample
from analysis.importers.trace_ids import number_subtasks
from analysis.tables import EVENT_COLUMNS, KIND, LOGGED_COLUMNS, N_SEEN, EventTable, conform

REQUIRED: Final = ("claim", "parents", "agent")
_IDS: Final = ("claim", "agent", "execution", "target", "subtask", "subtask_parent", "root")
_LISTS: Final = ("parents", "visible")
_PER_EXECUTION: Final[dict[str, pl.DataType]] = {
    "benchmark": pl.String(), "topology": pl.String(), "n_agents": pl.Int64(), "seed": pl.Int64(),
}  # fmt: skip
_WHOLE: Final = ("calls", "tokens_in", "tokens_cached", "tokens_out")
_PLAIN: Final[dict[str, pl.DataType]] = {
    "round": pl.Int64(), "kind": pl.String(), "answer": pl.String(), "correct": pl.Float64(),
    "confidence": pl.Float64(), "text": pl.String(), **dict.fromkeys(_WHOLE, pl.Int64()),
}  # fmt: skip
KNOWN: Final = frozenset({*_IDS, *_LISTS, *_PER_EXECUTION, *_PLAIN})
_OURS: Final = frozenset({*EVENT_COLUMNS, *LOGGED_COLUMNS}) - KNOWN
_INTS: Final = pl.List(pl.Int64())


class ClaimsTable(Importer):
    """The importer reads one file with a row for each claim."""

    name: ClassVar[str] = "claims"
    place: ClassVar[int] = 1
    reads: ClassVar[str] = "a claims table"

    def read(self, path: Path, parents: str) -> LogReading:
        """Return the claims of the file, and say which columns were kept as they are."""
        table, kept = import_claims(path), kept_columns(path)
        return LogReading(table, notes=(f"kept as they are: {', '.join(kept)}",) if kept else ())

    def recognises(self, sample: ImportSample) -> str | None:
        """Return the format of a table with the columns that are required."""
        return "a claims table" if sample.path == sample.file and {*REQUIRED} <= {*sample.columns} else None


def import_claims(path: Path | str) -> EventTable:
    """Return the event table of the claims in the file at `path`.

    Raises:
        InputError: the file is no such table; the message names the row (counted from 1, without the head).
    """
    path = Path(path)
    rows = _typed(_read(path), str(path))
    rows = _placed(rows, str(path))
    rows = _numbered(rows, str(path))
    rows = _labelled(rows)
    table = EventTable(_events(rows, str(path)), _executions(rows, path))
    claim_graph(table)  # refuses claims that build on each other in a circle
    return table


def kept_columns(path: Path | str) -> list[str]:
    """Return the columns of the file that this importer does not know and keeps as they are."""
    return [name for name in _read(Path(path)).columns if name not in KNOWN]


def _read(path: Path) -> pl.DataFrame:
    """Return the file as it is: all text for CSV, typed for Parquet."""
    if not path.is_file():
        raise InputError("no such file", str(path), "name one CSV or Parquet file with a row for each claim")
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"a claims table ends in .csv or .parquet, not {path.suffix or 'in nothing'}", str(path))
    frame = read_rows(path, text=True)
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise InputError(
            f"the table lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            str(path),
            f"it has {_names(frame.columns) or 'none'}; needed are {', '.join(REQUIRED)}",
        )
    taken = sorted(_OURS & set(frame.columns))
    if taken:
        raise InputError(f"column {taken[0]} is one that the importer makes itself", str(path), "rename it")
    if not frame.height:
        raise InputError("the table has no rows", str(path))
    return frame


def _typed(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return `frame` with `_row` and all known columns, typed; the other columns stay as they are."""
    frame = frame.with_columns(_row=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    for name in _IDS:
        frame = frame.with_columns(_as_id(frame, name, where).alias(name))
    for name in _LISTS:
        frame = frame.with_columns(_as_list(frame, name, where).alias(name))
    for name, dtype in {**_PLAIN, **_PER_EXECUTION}.items():
        frame = frame.with_columns(_as(frame, name, dtype, where).alias(name))
    for name in _WHOLE:
        _refuse(frame, pl.col(name) < 0, f"{name} is negative", where)
    _refuse(frame, pl.col("round") < 0, "the round is negative", where)
    _refuse(frame, ~pl.col("kind").is_in(KINDS), "the kind is none of ours", where, f"use {', '.join(KINDS)}", "kind")
    makes = pl.col("claim").is_not_null()
    _refuse(frame, makes & pl.col("agent").is_null(), "a claim without an agent", where)
    claiming = pl.col("kind").is_in(list(CLAIMING)) | pl.col("kind").is_null()
    _refuse(frame, claiming & ~makes, "a claim without an id", where, "fill the column claim, or name another kind")
    itself = pl.col("parents").list.contains(pl.col("claim")).fill_null(value=False)
    endorses = pl.col("kind").eq_missing("endorse_claim")
    _refuse(frame, itself & ~endorses, "a claim builds on itself", where, "", "claim")
    return frame.with_columns(
        # an endorsement that only repeats the id of the claim it supports makes none
        claim=pl.when(itself & endorses).then(None).otherwise(pl.col("claim")),
        execution=pl.col("execution").fill_null("0"),
    )


def _as_id(frame: pl.DataFrame, name: str, where: str) -> pl.Series:
    """Return a column of ids as text; blanks are null."""
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=pl.String)
    column = frame[name]
    if column.dtype.is_float():
        raise InputError(
            f"column {name} holds numbers with a fraction",
            where,
            "write ids as whole numbers or text, and blanks as null",
        )
    if not (column.dtype == pl.String or column.dtype.is_integer() or column.dtype == pl.Null):
        raise InputError(f"column {name} holds {column.dtype}, not ids", where, "write ids as whole numbers or text")
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def _as_list(frame: pl.DataFrame, name: str, where: str) -> pl.Series:
    """Return a column of lists of ids; blanks are empty lists, a repeated id counts once."""
    if name not in frame.columns:
        return pl.Series(name, [[]] * frame.height, dtype=pl.List(pl.String))
    column = frame[name]
    if isinstance(column.dtype, pl.List):
        inner = column.dtype.inner
        if isinstance(inner, pl.DataType) and inner.is_float():
            raise InputError(
                f"column {name} holds numbers with a fraction", where, "write ids as whole numbers or text"
            )
        lists = column.cast(pl.List(pl.String))
    elif column.dtype in (pl.String, pl.Null) or column.dtype.is_integer():
        text = column.cast(pl.String).fill_null("")
        odd = frame.select("_row", _text=text).filter(pl.col("_text").str.contains(r"^\s*[\[{(]"))
        if odd.height:
            raise InputError(
                f"row {odd['_row'][0]}: {name} is {odd['_text'][0][:40]!r}", where, "separate ids by ; without brackets"
            )
        lists = text.str.split(";")
    else:
        raise InputError(f"column {name} holds {column.dtype}, not lists of ids", where)
    element = pl.element().str.strip_chars()
    cleaned = lists.fill_null([]).list.eval(element.filter(element != ""))
    return cleaned.list.unique(maintain_order=True)


def _names(columns: list[str]) -> str:
    return printable(", ".join(columns[:24]) + (", ..." if len(columns) > 24 else ""), 400)


def _as(frame: pl.DataFrame, name: str, dtype: pl.DataType, where: str) -> pl.Series:
    """Return a column in its type; a value that does not fit is refused with its row."""
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=dtype)
    column = frame[name]
    if column.dtype == pl.String and dtype != pl.String:
        column = column.str.strip_chars()
        column = column.set(column == "", None)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    try:
        found = column.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        raise InputError(f"column {name} holds {column.dtype}, which is not {dtype}", where) from None
    lost = found.is_null() & column.is_not_null()
    if column.dtype.is_float() and dtype == pl.Int64:
        lost = lost | (found.cast(pl.Float64) != column).fill_null(value=False)
    if dtype == pl.Float64:
        lost = lost | ~found.is_finite().fill_null(value=True)
    if lost.any():
        at = int(lost.arg_max() or 0)
        wanted = "a whole number" if dtype == pl.Int64 else "a number"
        raise InputError(f"row {at + 1}: {name} is {column[at]!r}, not {wanted}", where)
    return found


def _refuse(frame: pl.DataFrame, bad: pl.Expr, what: str, where: str, hint: str = "", shown: str | None = None) -> None:
    """Raise `InputError` with the first row for which `bad` holds."""
    found = frame.filter(bad.fill_null(value=False))
    if found.height:
        value = f": {found[shown][0]!r}" if shown else ""
        more = f" (and {found.height - 1} more rows)" if found.height > 1 else ""
        raise InputError(f"row {found['_row'][0]}: {what}{value}{more}", where, hint)


def _placed(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return `rows` ordered by execution (in order of appearance), round and row, with all rounds filled."""
    mixed = rows.filter(pl.col("round").is_null().any().over("execution") & pl.col("round").is_not_null())
    if mixed.height:
        raise InputError(
            f"execution {mixed['execution'][0]!r} has rows with and rows without a round", where, "fill all or none"
        )
    order = rows.select("execution").unique(maintain_order=True).with_columns(_e=pl.int_range(pl.len(), dtype=pl.Int64))
    rows = rows.join(order, on="execution", how="left", maintain_order="left")
    rows = rows.sort("_e", pl.coalesce("round", "_row"), "_row").with_columns(
        _position=pl.int_range(pl.len(), dtype=pl.Int64).over("_e"), _order=pl.int_range(pl.len(), dtype=pl.Int64)
    )
    return rows.with_columns(round=pl.coalesce("round", "_position")).rename({"execution": "_label", "_e": "execution"})


def _numbered(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return `rows` with agents, claims, parents, roots, targets and subtasks as integers.

    A claim's number is the position of its row in the execution; stubs are counted from -1 downwards.
    """
    agents = pl.concat([rows["agent"], rows["visible"].explode()]).drop_nulls()
    targets = rows.filter(pl.col("kind") == "delegate_subtask")["target"].drop_nulls()
    names = _agent_numbers(pl.concat([agents, targets]))
    twice = rows.filter(pl.col("claim").is_not_null() & (pl.col("kind").ne_missing("endorse_claim")))
    twice = twice.filter(pl.struct("execution", "claim").is_duplicated())
    _refuse(twice.sort("_row"), pl.lit(value=True), "this claim id is taken by another row", where, "", "claim")
    minted = rows.drop_nulls("claim").unique(["execution", "claim"], keep="first", maintain_order=True)
    made = minted.select("execution", name="claim", number="_position")
    cited = rows.select("execution", "_order", name="parents").explode("name").drop_nulls("name")
    roots = rows.select("execution", "_order", name="root").drop_nulls("name")
    unseen = (
        pl.concat([cited, roots])
        .sort("_order", maintain_order=True)
        .select("execution", "name")
        .unique(maintain_order=True)
        .join(made, on=["execution", "name"], how="anti", maintain_order="left")
    )
    claims = pl.concat(
        [made, unseen.with_columns(number=-1 - pl.int_range(pl.len(), dtype=pl.Int64).over("execution"))]
    )
    rows = rows.with_columns(_parent_names=pl.col("parents"), _claim_name=pl.col("claim"))
    rows = _by_name(rows, claims, "claim", ["execution"])
    rows = _by_name(rows, claims, "root", ["execution"])
    rows = _lists_by_name(rows, claims, "parents", ["execution"])
    rows = _by_name(rows, names, "agent", [])
    rows = _lists_by_name(rows, names, "visible", [])
    as_agent = _by_name(rows.select("target"), names, "target", [])["target"]
    as_claim = _by_name(rows.select("execution", "target"), claims, "target", ["execution"])["target"]
    rows = rows.with_columns(_as_agent=as_agent, _as_claim=as_claim)
    delegates = pl.col("kind") == "delegate_subtask"
    rows = rows.with_columns(_t=pl.when(delegates).then("_as_agent").otherwise("_as_claim"))
    unknown = pl.col("target").is_not_null() & pl.col("_t").is_null()
    _refuse(rows.sort("_row"), unknown, "the target is neither a known claim nor a known agent", where, "", "target")
    rows = rows.with_columns(target=pl.col("_t")).drop("_t", "_as_agent", "_as_claim")
    rows = rows.rename({"subtask": "subtask_id", "subtask_parent": "parent_subtask_id"})
    return number_subtasks(rows)


def _agent_numbers(names: pl.Series) -> pl.DataFrame:
    """Return (name, number) of all agents: numbers as they are if all names are whole numbers, ranks otherwise."""
    unique = names.unique().sort()
    own = unique.cast(pl.Int64, strict=False)
    canonical = own.null_count() == 0 and (own.cast(pl.String) == unique).all()
    if canonical and own.len() and own.is_between(0, MAX_AGENTS - 1).all():
        return pl.DataFrame({"name": unique, "number": own})
    return pl.DataFrame({"name": unique}).with_columns(number=pl.int_range(pl.len(), dtype=pl.Int64))


def _by_name(rows: pl.DataFrame, names: pl.DataFrame, column: str, on: list[str]) -> pl.DataFrame:
    """Return `rows` with `column` replaced by the number of its name."""
    found = rows.join(names, left_on=[*on, column], right_on=[*on, "name"], how="left", maintain_order="left")
    return found.with_columns(pl.col("number").alias(column)).drop("number")


def _lists_by_name(rows: pl.DataFrame, names: pl.DataFrame, column: str, on: list[str]) -> pl.DataFrame:
    """Return `rows` with the names in the lists of `column` replaced by their numbers."""
    long = rows.select(*on, "_order", name=column).explode("name").drop_nulls("name")
    found = long.join(names, on=[*on, "name"], how="left", maintain_order="left")
    lists = found.group_by("_order", maintain_order=True).agg(pl.col("number"))
    joined = rows.drop(column).join(lists, on="_order", how="left", maintain_order="left")
    return joined.with_columns(pl.col("number").fill_null(pl.lit([], dtype=_INTS)).alias(column)).drop("number")


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with `kind` filled by the rules where it was empty, and `label_source`."""
    rows = rows.with_columns(
        label_source=pl.when(pl.col("kind").is_null()).then(pl.lit("rule")).otherwise(pl.lit("logged"))
    )
    if not rows["kind"].null_count():
        return rows
    found: list[str | None] = []
    for _, part in rows.group_by("execution", maintain_order=True):
        columns = part.select("_claim_name", "_parent_names", "text").iter_rows()
        found += label_execution(
            LabelledAct(claim, tuple(parents), text=text or "") for claim, parents, text in columns
        )
    return rows.with_columns(kind=pl.coalesce("kind", pl.Series(found, dtype=pl.String)))


def _events(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return the events of the numbered rows."""
    rows = rows.with_columns(
        pl.col("agent").fill_null(-1),
        pl.col("kind").cast(KIND),
        pl.col(_WHOLE).fill_null(0),
        task=pl.col("execution"),
        root_logged=pl.col("root"),
    ).with_columns(k=pl.int_range(pl.len(), dtype=pl.Int64).over("execution", "round", "agent"))
    extra = [name for name in rows.columns if name not in KNOWN | _OURS and not name.startswith("_")]
    extra = [name for name in extra if name not in ("subtask_id", "parent_subtask_id")]
    # a column without a single value must not pass for "nobody was visible"
    logged = [name for name, given in (("root_logged", pl.col("root").is_not_null()),
                                       ("visible", pl.col("visible").list.len() > 0))
              if rows.select(given.any()).item()]  # fmt: skip
    return conform(rows.select(*EVENT_COLUMNS, *logged, *extra), where)


def _executions(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return one row per execution; what must be the same on all its rows is checked."""
    for name in _PER_EXECUTION:
        mixed = rows.filter(pl.col(name).n_unique().over("execution") > 1)
        if mixed.height:
            raise InputError(
                f"execution {mixed['_label'][0]!r} has several values of {name}: {mixed[name].unique().to_list()[:3]}",
                str(path),
                f"{name} belongs to the execution: write the same on all its rows",
            )
    seen = pl.col("agent").drop_nulls().n_unique().cast(pl.Int64)
    frame = rows.group_by("execution", maintain_order=True).agg(
        pl.lit(whole_text(path.stem)).alias("run"),
        pl.col("execution").first().alias("task"),
        pl.lit(0, pl.Int64).alias("attempt"),
        pl.col("benchmark").first(),
        pl.col("_label").first().alias("task_name"),
        pl.col("topology").first(),
        pl.coalesce(pl.col("n_agents").first(), seen).alias("n_agents"),
        pl.col("seed").first(),
        pl.len().cast(pl.Int64).alias("n_events"),
        pl.lit(None, pl.Boolean).alias("complete"),
        pl.col("n_agents").first().is_null().alias(N_SEEN),
        seen.alias("_seen"),
    )
    few = frame.filter(pl.col("n_agents") < pl.col("_seen"))
    if few.height:
        row = few.row(0, named=True)
        raise InputError(
            f"execution {row['task_name']!r} has {row['_seen']} agents that act, but n_agents is {row['n_agents']}",
            str(path),
            "n_agents counts all agents of the society",
        )
    return frame.drop("_seen")
