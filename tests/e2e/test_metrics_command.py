"""`agentsoc metrics`: from scenario files to numbers with intervals, in text and JSON, over answers and over texts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import agentsoc
from agentsoc.backends.embedding import LocalEmbedder, ServerEmbedder
from agentsoc.cli import main
from agentsoc.errors import BackendSetupError
from agentsoc.log.read import RunLog
from analysis.measures.episodes import RUN_METRICS
from tests.serving import served
from tests.strategies import scenario

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Told:
    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.main(["metrics", *map(str, words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single agent, and five who debate, on the same 300 tasks."""
    directory = tmp_path_factory.mktemp("runs")
    common: dict[str, Any] = {"tasks": {"kind": "signal", "count": 300}}
    voter = {"kind": "simulated", "signal": 0.3, "latency_s": 1.0, "fidelity": 0.8}
    for name, parts in {
        "single": {"agents": {"count": 1, "model": voter}, "topology": "single"},
        "debate": {
            "agents": {"count": 5, "model": voter},
            "topology": "decentralized",
            "protocol": {"kind": "debate", "rounds": 2},
            "budget": {"tokens_per_task": 10_000},
        },
    }.items():
        agentsoc.run(scenario(name=name, **common, **parts), directory / name)
    return directory


def test_the_numbers_of_runs_come_with_intervals_and_a_baseline(runs: Path, command: Told) -> None:
    code, out, _ = command(runs, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["baseline"].endswith("single")
    debate, single = found["runs"]
    assert set(debate["metrics"]) == set(RUN_METRICS)
    value: dict[str, Any] = {name: None if v is None else v["value"] for name, v in debate["metrics"].items()}
    alone: dict[str, Any] = {name: None if v is None else v["value"] for name, v in single["metrics"].items()}
    assert value["turns"] == 10
    assert value["overhead_turns"] == 900
    assert value["efficiency"] == pytest.approx(value["score"] / 10)
    assert value["overhead_tokens"] == pytest.approx(100 * (value["tokens"] / alone["tokens"] - 1))
    assert value["overhead_virtual"] == pytest.approx(100 * (value["virtual_s"] / alone["virtual_s"] - 1))
    assert value["wall_s"] is None
    assert value["budget_use"] == pytest.approx(value["tokens"] / 10_000)
    assert value["budget_left"] == pytest.approx(10_000 - value["tokens"])
    assert value["message_density_deliveries"] == 4
    for metric in debate["metrics"].values():
        if metric is not None:
            low, high = metric["ci95"]
            assert low - 1e-9 <= metric["value"] <= high + 1e-9
    assert debate["paired"] is True
    assert debate["a_task"]["value"] == pytest.approx((1 - value["score"]) / (1 - alone["score"]))
    assert debate["a_trace"] is None
    assert debate["effective_votes"]["leaves"] == 5
    assert debate["diversity"]["embedding"] == "labels"
    assert 1 < debate["diversity"]["team"] < 5


def test_the_text_says_the_same_and_what_it_cannot_say(runs: Path, command: Told) -> None:
    code, out, _ = command(runs)
    assert code == 0
    assert "baseline: " in out
    assert "A_task" in out
    assert "effective votes" in out
    code, out, _ = command(runs / "debate")
    assert code == 0
    assert "overhead_turns" not in out
    code, out, _ = command(runs / "debate", "--baseline", runs / "single")
    assert "overhead_turns" in out
    assert "other tasks" not in out


def test_a_baseline_on_other_tasks_is_compared_as_another_sample(runs: Path, tmp_path: Path, command: Told) -> None:
    parts: dict[str, Any] = {"tasks": {"kind": "signal", "count": 300}, "topology": "single"}
    voter = {"count": 1, "model": {"kind": "simulated", "signal": 0.3}}
    agentsoc.run(scenario(seed=99, agents=voter, **parts), tmp_path / "other")
    code, out, _ = command(runs / "debate", "--baseline", tmp_path / "other", "--json")
    assert code == 0
    report = json.loads(out)["runs"][0]
    assert report["paired"] is False
    assert report["a_task"]["paired"] is False
    assert any("other tasks" in note for note in report["notes"])


def test_what_is_no_run_is_refused(tmp_path: Path, runs: Path, command: Told) -> None:
    for words in ((tmp_path / "none",), (tmp_path,), (runs, "--embed-url", "http://127.0.0.1:1/v1")):
        code, _, err = command(*words)
        assert code == 2
        assert err


class Answers(BaseHTTPRequestHandler):
    """An embeddings server: a vector says how long a text is and how many e it has."""

    asked: ClassVar[list[dict[str, Any]]] = []
    status = 200
    body: bytes | None = None

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Answers.asked.append({**asked, "path": self.path, "key": self.headers.get("Authorization")})
        data = [{"index": i, "embedding": [len(t), t.count("e"), 1.0]} for i, t in enumerate(asked["input"])]
        body = Answers.body if Answers.body is not None else json.dumps({"data": data[::-1]}).encode()
        self.send_response(Answers.status)
        if Answers.status == 307:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Answers, "asked", [])
    with served(Answers) as address:
        yield address


def test_texts_are_embedded_by_a_server_once(
    tmp_path: Path, server: str, command: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    agentsoc.run(scenario(topology="decentralized", protocol={"kind": "debate", "rounds": 2}), tmp_path / "run")
    monkeypatch.setenv("TEST_EMBED_KEY", "a-key-of-the-test")
    words = (tmp_path / "run", "--embed", "tiny", "--embed-url", server, "--embed-key-env", "TEST_EMBED_KEY", "--json")
    code, out, _ = command(*words)
    assert code == 0
    first = json.loads(out)["runs"][0]
    assert first["diversity"]["embedding"] == f"tiny at {server}"
    assert first["metrics"]["k_star_embedded"]["value"] >= 1
    assert {(asked["path"], asked["key"], asked["model"]) for asked in Answers.asked} == {
        ("/v1/embeddings", "Bearer a-key-of-the-test", "tiny")
    }
    times = len(Answers.asked)
    assert json.loads(command(*words)[1])["runs"][0] == first
    assert len(Answers.asked) == times
    RunLog(tmp_path / "run").check()


def test_vectors_that_a_stranger_put_into_a_run_change_nothing(tmp_path: Path, server: str, command: Told) -> None:
    agentsoc.run(scenario(topology="decentralized", protocol={"kind": "debate", "rounds": 2}), tmp_path / "run")
    words = (tmp_path / "run", "--embed", "tiny", "--embed-url", server, "--json")
    first = command(*words)[1]
    kept = sorted(Path(os.environ["AGENTSOC_CACHE_DIR"]).rglob("*.parquet"))
    assert len(kept) == 1
    planted = pl.read_parquet(kept[0]).with_columns(pl.lit([1.0, 0.0, 0.0]).cast(pl.List(pl.Float32)).alias("vector"))
    shutil.rmtree(os.environ["AGENTSOC_CACHE_DIR"])
    (tmp_path / "run" / "embeddings").mkdir()
    for name in (kept[0].name, *(f"tiny-at-127-0-0-1-{number}.parquet" for number in range(2))):
        planted.write_parquet(tmp_path / "run" / "embeddings" / name)
    assert command(*words)[1] == first


def test_no_two_servers_share_what_is_kept() -> None:
    urls = ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", "http://127.0.0.1:1/v2", "https://127.0.0.1:1/v1")
    assert len({ServerEmbedder("m", url).name for url in urls}) == len(urls)
    assert ServerEmbedder("m", "http://LOCALHOST:80/v1/").name == ServerEmbedder("m", "http://localhost/v1").name


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(500, b"no", "HTTP 500"), (200, b"{}", "no list of vectors"), (200, b"[", "no list"), (307, b"", "HTTP 307")],
)
def test_a_server_that_fails_is_named(
    server: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, said: str
) -> None:
    monkeypatch.setattr(Answers, "status", status)
    monkeypatch.setattr(Answers, "body", body)
    with pytest.raises(BackendSetupError, match=said):
        ServerEmbedder("m", server).embed(["a"])


def test_a_wrong_address_or_a_missing_key_is_found_before_anything_is_sent() -> None:
    for url in ("ftp://x", "http://user:pass@host/v1", "nonsense"):
        with pytest.raises(BackendSetupError, match="address"):
            ServerEmbedder("m", url)
    with pytest.raises(BackendSetupError, match="not set"):
        ServerEmbedder("m", "http://127.0.0.1:1/v1", "NO_SUCH_VARIABLE_HERE")
    with pytest.raises(BackendSetupError, match="gives no vectors"):
        ServerEmbedder("m", "http://127.0.0.1:9/v1").embed(["a"])


@pytest.mark.model
@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs the extra local")
def test_the_embedded_model_gives_equal_vectors_for_equal_texts_and_reads_long_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentsoc.backends.embedding.WINDOW", 64)
    embedder = LocalEmbedder()
    try:
        first, again, other, long = embedder.embed(["a good room", "a good room", "E = m c^2", "word " * 400])
    finally:
        embedder.close()
    assert (first == again).all()
    assert len(first) == len(long) == 576
    assert float(first @ other) < 0.999
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-3)
