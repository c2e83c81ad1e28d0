"""Plain claims tables: what they become, what is refused and where, and that what is stored comes back whole."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.imported import IMPORTED
from analysis.claims.cascades import cascades, claim_graph
from analysis.importers import store
from analysis.importers.claims import import_claims, kept_columns
from analysis.observables.sampled import observables, structures
from analysis.tables import concat

SAMPLE = Path(__file__).parents[1] / "data" / "claims" / "two_teams.csv"
HEAD = "claim,parents,agent"


def table(directory: Path, *rows: str, head: str = HEAD) -> Path:
    path = directory / "t.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_a_table_becomes_the_claims_that_a_person_would_draw() -> None:
    found = import_claims(SAMPLE)
    events = found.events
    assert found.executions.select("run", "task_name", "n_agents", "topology", "n_events").rows() == [
        ("two_teams", "a", 3, "star", 4),
        ("two_teams", "b", 3, "star", 3),
    ]
    assert events["claim"].to_list() == [0, 1, 2, 3, 0, 1, None]
    assert events["parents"].to_list() == [[], [], [0], [1, 2], [-1], [0], [1]]
    assert events["agent"].to_list() == [0, 1, 2, 0, 0, 1, 2]
    assert events["target"].to_list()[-1] == 1
    assert events["tokens_out"].sum() == 59
    assert events["mood"].to_list()[0] == "calm"
    assert kept_columns(SAMPLE) == ["mood"]


def test_kinds_that_the_table_leaves_out_come_from_the_rules_and_say_so() -> None:
    events = import_claims(SAMPLE).events
    assert events["label_source"].to_list() == ["logged"] * 4 + ["rule"] * 2 + ["logged"]
    assert events["kind"].to_list()[4:6] == ["propose_claim", "propose_claim"]


def test_a_parent_that_nobody_makes_is_a_stub_and_counts_nowhere() -> None:
    graph = claim_graph(import_claims(SAMPLE))
    assert graph.stubs.tolist() == [0, 0, 0, 0, 1, 0]
    assert sorted(cascades(graph).tce.tolist()) == [1, 1, 1]


def test_without_rounds_the_order_of_the_rows_counts_and_a_parent_may_come_later(tmp_path: Path) -> None:
    found = import_claims(table(tmp_path, "b,a,x", "a,,y"))
    assert found.events["round"].to_list() == [0, 1]
    assert found.events["parents"].to_list() == [[1], []]
    assert claim_graph(found).order.tolist() == [1, 0]


def test_csv_and_parquet_give_equal_tables(tmp_path: Path) -> None:
    typed = pl.read_csv(SAMPLE).with_columns(pl.col("parents").str.split(";"))
    typed.write_parquet(tmp_path / "two_teams.parquet")
    one, other = import_claims(SAMPLE), import_claims(tmp_path / "two_teams.parquet")
    assert_frame_equal(one.events, other.events)
    assert_frame_equal(one.executions, other.executions)


def test_agents_that_are_whole_numbers_keep_their_numbers(tmp_path: Path) -> None:
    assert import_claims(table(tmp_path, "a,,7", "b,a,3")).events["agent"].to_list() == [7, 3]


def test_a_table_without_visibility_does_not_say_that_nobody_was_visible(tmp_path: Path) -> None:
    assert not import_claims(SAMPLE).has("visible")
    seen = import_claims(table(tmp_path, "a,,x,", "b,a,y,x", head=HEAD + ",visible"))
    assert seen.events["visible"].to_list() == [[], [0]]


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("claim,agent", ["a,x"], "lacks the column parents"),
        (HEAD, [], "no rows"),
        (HEAD, ["a,,x", "a,,y"], "row 1: this claim id is taken by another row: 'a'"),
        (HEAD, ["a,,"], "row 1: a claim without an agent"),
        (HEAD, ["a,,x", ",a,x"], "row 2: a claim without an id"),
        (HEAD, ["a,a,x"], "row 1: a claim builds on itself"),
        (HEAD, ["a,b,x", "b,a,y"], "build on each other in a circle"),
        (HEAD, ["a,,x", 'b,"[a]",y'], "row 2: parents is '\\[a\\]'"),
        (HEAD + ",kind", ["a,,x,guess"], "row 1: the kind is none of ours: 'guess'"),
        (HEAD + ",round", ["a,,x,0", "b,,x,one"], "row 2: round is 'one', not a whole number"),
        (HEAD + ",round", ["a,,x,0", "b,,x,"], "with and rows without a round"),
        (HEAD + ",round", ["a,,x,-1"], "row 1: the round is negative"),
        (HEAD + ",confidence", ["a,,x,nan"], "row 1: confidence is 'nan'"),
        (HEAD + ",tokens_out", ["a,,x,-4"], "row 1: tokens_out is negative"),
        (HEAD + ",n_agents", ["a,,x,1", "b,,y,1"], "2 agents that act, but n_agents is 1"),
        (HEAD + ",n_agents", ["a,,x,2", "b,,y,3"], "several values of n_agents"),
        (HEAD + ",kind,target", ["a,,x,contradict_claim,zz"], "row 1: the target is neither"),
        (HEAD + ",label_source", ["a,,x,rule"], "column label_source is one that the importer makes"),
    ],
)
def test_what_is_no_claims_table_is_refused_with_its_row(
    tmp_path: Path, head: str, rows: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        import_claims(table(tmp_path, *rows, head=head))


@pytest.mark.parametrize("name", ["gone.csv", "t.txt"])
def test_files_that_are_no_tables_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(InputError):
        import_claims(tmp_path / name)


def test_float_ids_are_refused_because_they_would_match_no_parent(tmp_path: Path) -> None:
    frame = pl.DataFrame({"claim": [1.0, 2.0], "parents": [[], ["1"]], "agent": [0, 0]})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="claim holds numbers with a fraction"):
        import_claims(tmp_path / "t.parquet")


@given(st.lists(st.sets(st.integers(0, 29), max_size=4), min_size=1, max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_any_acyclic_table_keeps_its_edges_whatever_the_order_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory, links: list[set[int]], random: object
) -> None:
    rows = [(f"c{i}", sorted(f"c{p}" for p in found if p < i), f"a{i % 3}") for i, found in enumerate(links)]
    random.shuffle(rows)  # type: ignore[attr-defined]
    path = table(tmp_path_factory.mktemp("t"), *(f"{c},{';'.join(p)},{a}" for c, p, a in rows))
    graph = claim_graph(import_claims(path))
    name = dict(enumerate(c for c, _, _ in rows))
    claims = [name[int(c)] for c in graph.claim]
    source, child = graph.edges()
    found = {(claims[int(p)], claims[int(c)]) for p, c in zip(source, child, strict=True)}
    assert found == {(p, c) for c, parents, _ in rows for p in parents}


def test_a_stored_import_comes_back_whole_and_joins_others(tmp_path: Path) -> None:
    table_ = import_claims(SAMPLE)
    store.save(table_, tmp_path / "log", store.describe("claims", SAMPLE, {"a": "b"}, ["a note"]))
    back, about = store.load(tmp_path / "log")
    assert_frame_equal(back.events, table_.events)
    assert_frame_equal(back.executions, table_.executions)
    assert (about.importer, about.source, dict(about.rules), about.notes) == (
        "claims", "two_teams.csv", {"a": "b"}, ("a note",),
    )  # fmt: skip
    found = observables(structures(back))["merge_fan_in"].values.tolist()
    assert found == [2.0]
    with pytest.raises(InputError, match="given twice"):
        concat([back, back])


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    store.save(import_claims(SAMPLE), tmp_path / "log", store.describe("claims", SAMPLE, {}))
    with pytest.raises(InputError, match="not empty"):
        store.save(import_claims(SAMPLE), tmp_path / "log", store.describe("claims", SAMPLE, {}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log"]


@pytest.mark.parametrize("harm", ["cut", "gone", "manifest", "no json", "newer"])
def test_a_damaged_import_is_told_from_a_sound_one(tmp_path: Path, harm: str) -> None:
    log = tmp_path / "log"
    store.save(import_claims(SAMPLE), log, store.describe("claims", SAMPLE, {}))
    manifest = log / IMPORTED
    if harm == "cut":
        (log / "events.parquet").write_bytes((log / "events.parquet").read_bytes()[:-1])
    elif harm == "gone":
        (log / "executions.parquet").unlink()
    elif harm == "manifest":
        manifest.write_text(manifest.read_text().replace("two_teams", "two_tеams"))
    elif harm == "no json":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    with pytest.raises(LogDamagedError):
        store.load(log)
