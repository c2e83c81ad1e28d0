"""The importer of the public traces: what must survive, what must be split, what must be told."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agentsoc.errors import InputError
from analysis.importers.mas_elites import expected_events, expected_largest_cascade, import_traces
from analysis.importers.trace_rows import TRACE_COLUMNS, read_native
from analysis.tables import EventTable, concat

RAW = Path(__file__).parents[1] / "data" / "mas_elites" / "raw_sample"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "mas_elites"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"the full traces are not at {SHARED}")


@pytest.fixture(scope="module")
def sample() -> EventTable:
    return import_traces(RAW)


def write_run(directory: Path, rows: list[dict[str, object]], *, zipped: bool = False, tail: str = "") -> Path:
    directory.mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows) + tail
    if zipped:
        (directory / "events.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (directory / "events.jsonl").write_text(text)
    return directory


def row(
    step: int, agent: str, kind: str | None, claim: str | None, parents: list[str] | None = None, **more: object
) -> dict[str, object]:
    return {
        "run_id": "B__chain__n2__s0__t", "benchmark": "B", "task_id": "t", "topology": "chain", "num_agents": 2,
        "seed": 0, "step_id": step, "timestamp": 100.0 + step, "agent_id": agent, "event_type": kind, "claim_id": claim,
        "parent_claim_ids": parents or [], "tokens_input": 3, "tokens_output": 2, **more,
    }  # fmt: skip


def test_appended_executions_are_split_at_the_step_that_falls_back_to_one(sample: EventTable) -> None:
    attempts = sample.executions.group_by("run").len()["len"].sort().to_list()
    assert attempts == [1, 1, 1, 1, 1, 2, 2, 2]
    assert sample.events.group_by("execution").agg(pl.col("round").max() == pl.len())["round"].all()


def test_native_and_parquet_import_give_equal_tables(sample: EventTable, tmp_path: Path) -> None:
    """The Parquet copy leaves out keys that are never set, as the shared copy does."""
    rows = pl.concat([read_native(file)[0] for file in sorted(RAW.rglob("events.jsonl"))])
    runs = sample.executions.unique("run", keep="first").rename({"run": "run_id"})
    rows.drop("extra").sample(fraction=1.0, shuffle=True, seed=1).write_parquet(tmp_path / "events_all.parquet")
    runs.write_parquet(tmp_path / "runs.parquet")
    copy = import_traces(tmp_path)
    assert_frame_equal(copy.events, sample.events)
    assert_frame_equal(copy.executions, sample.executions)


@needs_shared
def test_native_import_equals_the_shared_parquet_copy(sample: EventTable) -> None:
    runs = sample.executions["run"].unique().to_list()
    copy = import_traces(SHARED).where(pl.col("run").is_in(runs))
    assert_frame_equal(copy.events, sample.events)
    assert_frame_equal(copy.executions.drop("run_extra"), sample.executions.drop("run_extra"))


@needs_shared
def test_event_counts_follow_the_topology_and_only_the_four_known_executions_are_cut() -> None:
    table = import_traces(SHARED)
    assert (table.events.height, table.n_executions) == (131_283, 1_877)
    cut = table.executions.filter(~pl.col("complete"))
    assert cut.select("topology", "n_agents", "attempt").sort("topology", "n_agents").rows() == [
        ("dynamic_reputation", 8, 1),
        ("hybrid_modular", 128, 1),
        ("hybrid_modular", 128, 1),
        ("hybrid_modular", 128, 1),
    ]
    whole = table.executions.filter("complete", pl.col("expected_events").is_not_null())
    assert whole.height > 1_500
    assert (whole["n_events"] == whole["expected_events"]).all()
    sizes = table.events.group_by("execution", "root_logged").len().group_by("execution").agg(pl.col("len").max() - 1)
    for execution, topology, n_agents, largest in (
        whole.join(sizes, on="execution").select("execution", "topology", "n_agents", "len").iter_rows()
    ):
        wanted = expected_largest_cascade(topology, n_agents)
        assert wanted is None or largest == wanted, (execution, topology, n_agents)


def test_expected_counts_of_every_topology_at_sixteen_agents() -> None:
    names = ("chain", "star", "tree", "full_mesh", "sparse_mesh", "hybrid_modular", "dynamic_reputation")
    assert [expected_events(name, 16) for name in names] == [16, 32, 16, 37, 37, 19, None]
    assert [expected_largest_cascade(name, 16) for name in names] == [15, 31, 4, 21, None, 9, None]


def test_a_claim_is_minted_once_and_endorsements_of_the_parent_mint_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [
        row(1, "agent_000", "propose_claim", "c1"),
        row(2, "agent_001", "endorse_claim", "c1", ["c1"], endorsed_claim_id="c1"),
        row(3, "agent_000", "revise_claim", "c3", ["never_shown"]),
    ])  # fmt: skip
    events = import_traces(tmp_path).events
    first, second, third = events["claim"].to_list()
    assert (first is not None, second) == (True, None)
    assert events["target"].to_list() == [None, first, None]
    assert events["parents"].to_list() == [[], [first], [-1]]
    assert third > first


def test_ids_grow_with_the_order_of_the_acts(sample: EventTable) -> None:
    claims = sample.events.drop_nulls("claim")
    assert claims.group_by("execution").agg(pl.col("claim").is_sorted())["claim"].all()


def test_unknown_keys_are_kept_and_unset_ones_are_not(tmp_path: Path) -> None:
    odd = row(1, "agent_000", "propose_claim", "c1", mood="calm", weights=[1, 2], tool_name=None, num_tool_calls=0)
    events = import_traces(write_run(tmp_path / "a", [odd, row(2, "agent_001", "propose_claim", "c2")])).events
    assert json.loads(events["extra"][0]) == {"mood": "calm", "weights": [1, 2]}
    assert events["extra"][1] is None


def test_null_lists_are_empty_lists_and_nan_tokens_are_none(tmp_path: Path) -> None:
    text = json.dumps(
        row(1, "agent_000", "propose_claim", "c1") | {"parent_claim_ids": None, "tokens_output": float("nan")}
    )
    assert "NaN" in text
    directory = tmp_path / "a"
    directory.mkdir()
    (directory / "events.jsonl").write_text(text + "\n")
    events = import_traces(tmp_path).events
    assert events["parents"].to_list() == [[]]
    assert events["tokens_out"].to_list() == [0]


def test_compressed_logs_read_like_plain_ones(tmp_path: Path) -> None:
    rows = [row(1, "agent_000", "propose_claim", "c1"), row(2, "agent_001", "revise_claim", "c2", ["c1"])]
    write_run(tmp_path / "plain" / "a", rows)
    write_run(tmp_path / "zipped" / "a", rows, zipped=True)
    assert_frame_equal(import_traces(tmp_path / "plain").events, import_traces(tmp_path / "zipped").events)


def test_a_line_cut_in_writing_flags_the_last_execution_only(tmp_path: Path) -> None:
    once = [row(1, "agent_000", "propose_claim", "c1"), row(2, "agent_001", "revise_claim", "c2", ["c1"])]
    again = [row(1, "agent_000", "propose_claim", "d1"), row(2, "agent_001", "revise_claim", "d2", ["d1"])]
    write_run(tmp_path / "a", once + again, tail='{"run_id": "B__chain')
    executions = import_traces(tmp_path).executions
    assert executions["attempt"].to_list() == [0, 1]
    assert executions["complete"].to_list() == [True, False]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    directory = write_run(
        tmp_path / "a",
        [row(1, "agent_000", "propose_claim", "c1")],
        tail="{oops\n" + json.dumps(row(2, "agent_001", None, "c2")),
    )
    with pytest.raises(InputError, match=r"events\.jsonl:2"):
        import_traces(directory)


def test_missing_steps_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [row(1, "agent_000", "propose_claim", "c1"), row(3, "agent_001", "propose_claim", "c2")])
    executions = import_traces(tmp_path).executions
    assert executions.select("complete", "step_gaps").row(0) == (False, True)


def newer(step: int, agent: str, claim: str, parents: list[str], text: str, **more: object) -> dict[str, object]:
    base = row(step, agent, None, claim, parents)
    for key in ("tokens_input", "tokens_output"):
        del base[key]
    return base | {
        "role": "worker", "neighbor_ids": ["agent_000"], "reasoning_text": text, "confidence": 0.5,
        "claims_visible": parents, "claims_referenced": parents[:1], "message_length": 9, **more,
    }  # fmt: skip


def test_rows_of_the_newer_schema_are_labelled_by_rule_and_say_so(tmp_path: Path) -> None:
    rows = [
        newer(1, "agent_000", "c1", [], "an opening"),
        newer(2, "agent_001", "c2", ["c1"], "this is wrong, it should be four"),
        newer(3, "agent_000", "c3", ["c1", "c2"], "taken together"),
    ]
    write_run(tmp_path / "a", rows)
    visible, cited = import_traces(tmp_path), import_traces(tmp_path, parents="cited")
    assert visible.events["kind"].to_list() == ["propose_claim", "revise_claim", "merge_claims"]
    assert visible.events["label_source"].unique().to_list() == ["rule"]
    assert visible.events["text"].to_list()[0] == "an opening"
    assert visible.events["confidence"].to_list() == [0.5, 0.5, 0.5]
    assert cited.events["kind"].to_list() == ["propose_claim", "revise_claim", "propose_claim"]
    assert cited.events["parents"].list.len().to_list() == [0, 1, 1]


def test_acts_outside_the_vocabulary_are_kept_without_a_kind(tmp_path: Path) -> None:
    events = import_traces(
        write_run(
            tmp_path / "a", [row(1, "agent_000", "tool_call", None), row(2, "agent_000", "finalize_answer", None)]
        )
    ).events
    assert events["kind"].to_list() == [None, "answer"]
    assert events["event_type"].to_list() == ["tool_call", "finalize_answer"]


def test_every_trace_column_survives(sample: EventTable) -> None:
    moved = {"run_id", "benchmark", "task_id", "topology", "num_agents", "seed", "task_family", "difficulty"}
    assert set(TRACE_COLUMNS) - moved <= set(sample.events.columns)
    assert sample.events["claim_id"].null_count() == 7


@pytest.mark.parametrize("what", ["nothing", "empty", "absent"])
def test_nothing_to_import_is_an_error_that_names_the_place(tmp_path: Path, what: str) -> None:
    if what == "empty":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "events.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no such file" if what == "absent" else "no events"):
        import_traces(tmp_path / "x" if what == "absent" else tmp_path)


def test_a_table_that_holds_no_trace_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "events.parquet")
    with pytest.raises(InputError, match="run_id"):
        import_traces(tmp_path / "events.parquet")


def test_the_same_run_twice_is_refused(sample: EventTable) -> None:
    with pytest.raises(InputError, match="given twice"):
        concat([sample, sample])


def test_joined_tables_keep_all_executions(sample: EventTable, tmp_path: Path) -> None:
    part = RAW / "REALM" / "chain" / "n8" / "s0" / "cscmax_20_15_5_disrupted"
    shutil.copytree(part, tmp_path / "a")
    text = (tmp_path / "a" / "events.jsonl").read_text().replace("REALM__", "OTHER__")
    (tmp_path / "a" / "events.jsonl").write_text(text)
    both = concat([sample, import_traces(tmp_path)])
    assert both.n_executions == sample.n_executions + 1
    assert both.events.filter(pl.col("execution") == sample.n_executions).height == 8
    assert both.executions["execution"].to_list() == list(range(both.n_executions))
