"""Files of edges and tasks that are refused for new runs, and read as ever in the copies that runs keep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsoc.cli import main
from agentsoc.cli.over_hosts import inputs_for_hosts
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import InputError, TopologyError
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR, base_dir_kept, is_kept, use_kept
from agentsoc.scenario.load import load_one
from agentsoc.society.topologies import edges
from agentsoc.society.topologies.edges import read_edges
from agentsoc.tasks import jsonl_lines, task_files
from analysis.cascade_laws.input import OwnRun
from analysis.measures.heard import heard_replies
from analysis.viewer.pages.society import society_map
from analysis.viewer.pages.store import open_log

SCENARIO = """
name: kept
seed: 3
tasks: {{kind: comparison, count: 2}}
agents: {{model: scripted}}
topology: {{kind: custom, file: {name}}}
protocol: {{kind: debate, rounds: 2}}
budget: {{tokens: 100000}}
"""
TASKS = """
name: kept
seed: 3
tasks: {{kind: jsonl, file: {name}}}
agents: {{count: 2, model: scripted}}
topology: decentralized
protocol: {{kind: debate, rounds: 2}}
"""
NODES = '{"nodes": [{"id": 0, "x": 1, "x": 2}, {"id": 1}, {"id": 2}], "links": '
LINKS = '[{"source": 0, "target": 1, "key": 0, "key": 1}, {"source": 1, "target": 2}]}'
DOUBTED = {
    "adjacency": ("k.json", '{"0": [1], "0": [1, 2], "1": [2]}', [(0, 1), (0, 2), (1, 2)], "the key '0' occurs twice"),
    "links twice": ("k.json", '{"nodes": [0, 1], "links": [], "links": [[0, 1]]}', [(0, 1)], "'links' occurs twice"),
    "an end twice": ("k.jsonl", '{"from": 0, "from": 1, "to": 0}\n', [(1, 0)], "k.jsonl:1: the key 'from' occurs"),
    "a node twice": ("k.json", '{"nodes": [{"id": 0, "id": 1}, 0], "links": [[0, 1]]}', [(0, 1)], "'id' occurs twice"),
    "Matrix Market": ("k.txt", "%%MatrixMarket matrix\n3 3 2\n1 2\n2 3\n", [(0, 1), (1, 2)], "a Matrix Market file"),
    "returns": ("k.txt", "0 1\r1 2\n1 2\n", [(0, 1), (1, 2)], "k.txt:1: a carriage return within a line"),
    "a return in a remark": ("k.txt", "0 1\n1 2 # a\rb\n", [(0, 1), (1, 2)], "k.txt:2: a carriage return"),
    "a return in a cell": ("k.csv", '0,1,"a\rb"\n1,2,c\n', [(0, 1), (1, 2)], "k.csv:1: a carriage return"),
}
"""File, text, what versions before the refusals read, and the refusal."""


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    token = BASE_DIR.set(tmp_path)
    yield tmp_path
    BASE_DIR.reset(token)


def pairs(name: str) -> list[tuple[int, int]]:
    found = read_edges(name)
    return list(zip(found.speakers.tolist(), found.hearers.tolist(), strict=True))


@pytest.mark.parametrize("case", DOUBTED)
def test_what_would_lose_edges_is_refused_when_new_and_read_as_ever_when_kept(case: str, base: Path) -> None:
    name, text, read, says = DOUBTED[case]
    (base / name).write_text(text, newline="")
    with pytest.raises(TopologyError, match=r"carriage return|Matrix Market|occurs twice") as caught:
        read_edges(name)
    assert says in str(caught.value)
    use_kept(base)
    assert pairs(name) == read
    BASE_DIR.set(base.parent)  # as a file of a user is loaded afterwards
    assert not is_kept()


def test_keys_that_no_edge_is_read_from_may_occur_twice(base: Path) -> None:
    (base / "k.json").write_text(NODES + LINKS)
    (base / "k.txt").write_text("0 1\r\n1 2\r\n", newline="")
    (base / "k.jsonl").write_text('{"from": 0, "to": 1, "w": 1, "w": 2}\n[1, 2]\n')
    assert [pairs(f"k.{end}") for end in ("json", "txt", "jsonl")] == [[(0, 1), (1, 2)]] * 3


def test_a_run_of_an_earlier_version_replays(tmp_path: Path) -> None:
    """It was made before `require_clear` came to be, of `DOUBTED["adjacency"]`."""
    shutil.copytree(Path(__file__).parents[1] / "data" / "kept_run", tmp_path / "run")
    assert (tmp_path / "run" / "inputs" / "k.json").read_text() == DOUBTED["adjacency"][1]
    assert replay(tmp_path / "run").digest == "2104deb3c7905f2ca3981ed11f826d7064e86f7e6ce84eb43181e7aa3bcf422c"
    log = RunLog(tmp_path / "run")
    assert OwnRun(log).notes == []  # else: its society cannot be built again
    assert heard_replies(log).height > 0
    assert society_map(open_log(tmp_path / "run")).built


@pytest.mark.parametrize("case", ["adjacency", "Matrix Market", "returns", "a return in a cell"])
def test_a_run_that_was_made_of_such_a_file_replays(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, text, _, says = DOUBTED[case]
    (tmp_path / name).write_text(text, newline="")
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO.format(name=name))
    with monkeypatch.context() as before:  # as versions made runs that had no such refusals
        before.setattr(edges, "require_clear", lambda *_: None)
        made = run(file, out=tmp_path / "run")
    assert (tmp_path / "run" / "inputs" / name).read_bytes() == text.encode()
    replayed = replay(tmp_path / "run")
    assert replayed.digest == RunLog(made.directory).manifest.digest
    assert main.main(["replay", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    for command in (["run", "--json", "--out", str(tmp_path / "new")], ["check"]):
        assert main.main([command[0], str(file), *command[1:]]) != 0
        told = capsys.readouterr()
        assert says in json.dumps(told.out + told.err).replace("\\\\", "\\") or says in told.out + told.err
    assert not (tmp_path / "new").exists()
    with base_dir_kept(), pytest.raises(TopologyError, match=r"carriage return|Matrix Market|occurs twice"):
        inputs_for_hosts([load_one(file)])  # before a sweep is sent to hosts


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "question,answer,difficulty\nq,1,nan\n", "out of range"),
        ("u.csv", "question,answer,difficulty\nq,1,-inf\n", "out of range"),
        ("t.xlsx", '{"question": "q", "answer": 1}\n', "a spreadsheet (.xlsx) is not read"),
    ],
)
def test_a_run_of_tasks_that_are_refused_now_replays(
    name: str, text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text(text)
    file = tmp_path / "s.yaml"
    file.write_text(TASKS.format(name=name))
    with monkeypatch.context() as before:
        for module in (jsonl_lines, task_files):
            before.setattr(module, "is_kept", lambda: True)
        made = run(file, out=tmp_path / "run")
    assert replay(tmp_path / "run").digest == RunLog(made.directory).manifest.digest
    with pytest.raises(InputError) as caught:
        run(file, out=tmp_path / "new")
    assert says in str(caught.value)
    with base_dir_kept(), pytest.raises(InputError) as caught:
        inputs_for_hosts([load_one(file, ["tasks.count=1"])])
    assert says in str(caught.value)
