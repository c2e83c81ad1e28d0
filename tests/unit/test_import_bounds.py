"""What an import reads, refuses and leaves behind: nothing through a link, nothing half written, nothing misnamed."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.cli import main
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.imported import IMPORTED, checksum
from analysis.importers import store
from analysis.importers.importer import import_log, recognised
from analysis.importers.mas_elites import import_traces
from analysis.importers.messages import Messages
from analysis.importers.store import load, source_digest
from analysis.importers.transcripts import import_transcripts
from tests.sides import told_apart

SAID: list[dict[str, Any]] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
ROW = {
    "run_id": "B__chain__n2__s0__t", "benchmark": "B", "task_id": "t", "topology": "chain", "num_agents": 2, "seed": 0,
    "step_id": 1, "timestamp": 1.0, "agent_id": "a", "event_type": "propose_claim", "claim_id": "c",
    "parent_claim_ids": [], "tokens_input": 3, "tokens_output": 2,
}  # fmt: skip
OTHER = ROW | {"tokens_input": 777}


def written(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_traces_and_what_is_beside_them_are_not_read_through_links(tmp_path: Path) -> None:
    run = tmp_path / "traces" / "run"
    run.mkdir(parents=True)
    (run / "events.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROW).encode()))
    digest = source_digest(tmp_path / "traces")
    for name, value in (
        ("events.jsonl", OTHER),
        ("run_config.json", {"model_name": "secret"}),
        ("run_metadata.json", {"task_score": 0.25}),
    ):
        (run / name).symlink_to(written(tmp_path / "outside" / name, value))
    table, about = import_log("mas-elites", tmp_path / "traces", tmp_path / "log")
    assert table.events["tokens_in"].to_list() == [3]
    assert table.executions.select("model_name", "meta_task_score").row(0) == (None, None)
    assert about.source_digest == digest == source_digest(tmp_path / "traces")
    (run / "run_config.json").unlink()
    written(run / "run_config.json", {"model_name": "own"})
    assert import_traces(tmp_path / "traces").executions["model_name"].to_list() == ["own"]


def test_settings_beside_a_table_are_its_own_and_in_its_digest(tmp_path: Path) -> None:
    from analysis.importers.trace_rows import read_native

    (tmp_path / "t").mkdir()
    rows = read_native(written(tmp_path / "events.jsonl", ROW))[0].drop("extra")
    rows.write_parquet(tmp_path / "t" / "events.parquet")
    runs = tmp_path / "t" / "runs.parquet"
    settings = pl.DataFrame({"run_id": [ROW["run_id"]], "model_name": ["m"]})
    settings.write_parquet(tmp_path / "runs.parquet")
    runs.symlink_to(tmp_path / "runs.parquet")
    for number, (path, model) in enumerate(((tmp_path / "t", None), (tmp_path / "t" / "events.parquet", None))):
        table, about = import_log("mas-elites", path, tmp_path / f"linked{number}")
        assert table.executions["model_name"].to_list() == [model]
    assert about.source_digest == hashlib.sha256((tmp_path / "t" / "events.parquet").read_bytes()).hexdigest()
    runs.unlink()
    settings.write_parquet(runs)
    digests = set()
    for number, model in enumerate(("m", "n")):
        settings.with_columns(model_name=pl.lit(model)).write_parquet(runs)
        table, about = import_log("mas-elites", tmp_path / "t" / "events.parquet", tmp_path / f"own{number}")
        assert table.executions["model_name"].to_list() == [model]
        digests.add(about.source_digest)
    assert len(digests) == 2


def test_a_directory_of_links_is_said_to_be_one(tmp_path: Path) -> None:
    blobs, there = tmp_path / "blobs", tmp_path / "snapshot"
    there.mkdir()
    for name in ("events.jsonl", "a.json", "b.json"):
        (there / name).symlink_to(written(blobs / name, ROW))
    (tmp_path / "empty").mkdir()
    reads: tuple[Callable[[Path], object], ...] = (import_traces, import_transcripts, recognised)
    found, without = ([refused(read, path) for read in reads] for path in (there, tmp_path / "empty"))
    told_apart(
        {
            "1 is a link that leads out of it: copy what is meant, e.g. with cp -rL": found[0],
            "2 are links that lead out of it: copy what is meant, e.g. with cp -rL": found[1],
            "3 are links that lead out of it: copy what is meant, e.g. with cp -rL": found[2],
        },
        *without,
    )


def refused(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"trajectory": [{"action": "ls", "observation": "x"}], "history": SAID},
        {"mapping": {"a": {}}, "messages": SAID},
        {"tasks_output": [], "messages": SAID},
        {"contents": [{"parts": []}], "messages": SAID},
        {"custom_id": "1", "body": {}, "messages": SAID},
        [{"mapping": {"a": {}}, "messages": SAID}],
    ],
)
def test_keys_of_other_formats_beside_a_conversation_hide_none(value: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "file.json", value)
    assert recognised(path).name in ("messages", "transcripts")
    assert Messages().read(path, "both").table.events.height == 2
    lines = written(tmp_path / "file.jsonl", json.dumps(value) + "\n")
    assert Messages().read(lines, "both").table.events.height == 2


@pytest.mark.parametrize(
    ("value", "told", "untold"),
    [
        ({"custom_id": "1", "response": {"body": {}}}, "write each response.body on a line", "still to be asked"),
        ({"custom_id": "1", "body": {"messages": SAID}}, "take the file of its output", "response.body"),
        ([{"mapping": {}}, {"x": 1}], "no conversation in", "ChatGPT"),
        ([{"tasks_output": [], "messages": SAID}, {"x": 1}], "no conversation in", "CrewAI"),
    ],
)
def test_what_holds_no_conversation_gets_its_own_hint(value: Any, told: str, untold: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Messages().read(written(tmp_path / "file.json", value), "both")
    assert told in str(caught.value)
    assert untold not in str(caught.value)


def stored(directory: Path, name: str, change: Any) -> None:
    """Change a table of an imported log, as another writer could have made it, with sums that fit."""
    frame = change(pl.read_parquet(directory / name))
    frame.write_parquet(directory / name)
    data = json.loads((directory / IMPORTED).read_text())
    data.pop("checksum")
    data["files"][name]["sha256"] = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    (directory / IMPORTED).write_text(json.dumps(data | {"checksum": checksum(data)}))


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("events.parquet", "calls", [1]),
        ("events.parquet", "tokens_in", b"x"),
        ("executions.parquet", "n_agents", [1]),
        ("executions.parquet", "n_agents", {"a": 1}),
        ("executions.parquet", "n_agents", b"x"),
    ],
)
def test_a_column_of_another_type_is_named(
    name: str, column: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_log("claims", written(tmp_path / "c.csv", "claim,parents,agent\na,,x\n"), tmp_path / "log")
    stored(tmp_path / "log", name, lambda frame: frame.with_columns(pl.Series(column, [value] * frame.height)))
    with pytest.raises((InputError, LogDamagedError), match=f"{column} holds"):
        load(tmp_path / "log")
    assert main.main(["metrics", str(tmp_path / "log")]) in (2, 4)
    assert f"{column} holds" in capsys.readouterr().err


def test_an_old_import_of_too_many_agents_says_what_helps(tmp_path: Path) -> None:
    import_log("claims", written(tmp_path / "c.csv", "claim,parents,agent\na,,x\n"), tmp_path / "log")
    stored(tmp_path / "log", "executions.parquet", lambda frame: frame.with_columns(n_agents=pl.lit(10_000_001)))
    with pytest.raises(LogDamagedError) as caught:
        load(tmp_path / "log")
    assert "correct this number in the source" in str(caught.value)
    assert "import it again" not in str(caught.value)


def test_an_import_that_is_cut_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "c.csv", "claim,parents,agent\na,,x\n")

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_whole", cut)
    with pytest.raises(KeyboardInterrupt):
        import_log("claims", file, tmp_path / "log")
    assert list(tmp_path.iterdir()) == [file]


def test_an_import_from_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "log").mkdir()
    file = written(tmp_path / "c.csv", "claim,parents,agent\na,,x\n")
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert import_log("claims", file, tmp_path / "log")[0].n_executions == 1
