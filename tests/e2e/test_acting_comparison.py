"""A comparison of agents with tools that was received from somebody: what it would start is asked about, then made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from agentsoc.cli import main
from agentsoc.log.acted import acted
from agentsoc.log.read import RunLog
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from docs.generate import DOCS

pytest.importorskip("mcp")
SERVER = DOCS.parent / "scenarios" / "tools-mcp-server.py"
CALLS = [[{"tool": "price", "arguments": {"item": "honey"}}, {"tool": "total", "arguments": {"items": ["apple"]}}]]
ASKED: dict[str, Any] = {
    "name": "market",
    "base": {
        "tasks": {"kind": "arithmetic", "count": 2},
        "agents": {"count": 1, "model": {"kind": "scripted", "uses_tools": CALLS}},
        "topology": "independent",
        "protocol": "vote",
        "budget": {"tokens_per_task": 2000},
    },
    "organisations": {
        "asking": {"agents": {"tools": [{"kind": "mcp", "file": "server.py", "allow": ["price", "total"]}]}},
        "alone": {"agents": {"model": {"kind": "scripted", "accuracy": 0.5}}},
    },
    "seeds": 1,
    "baseline": "alone",
}


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def noting(path: Path) -> str:
    """Return the shipped server with a line that notes each of its starts in a file."""
    source = SERVER.read_text()
    return source.replace("server = MCPServer", f"open({str(path)!r}, 'a').write('started ')\nserver = MCPServer", 1)


def test_what_a_received_comparison_would_start_is_asked_about_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    Path("server.py").write_text(noting(starts))
    Path("asked.yaml").write_text(yaml.safe_dump(ASKED, sort_keys=False))
    assert call(capsys, "compare", "asked.yaml", "--out", "theirs", "--quiet", "--workers", 1, "--allow-mcp")[0] == 0
    made = len(starts.read_text().split())
    assert made > 0
    shutil.copytree("theirs", "received")
    shutil.rmtree("theirs")
    Path("server.py").unlink()
    Path("asked.yaml").unlink()

    # what it holds is looked at, measured, compared and replayed without starting anything
    runs = sorted(Path("received/runs").iterdir())
    for words in (("compare", "received", "--quiet"), ("check", "received"), ("metrics", "received"),
                  ("report", "received", "-o", "out.html"), *(("replay", one) for one in runs)):  # fmt: skip
        code, out, err = call(capsys, *words)
        assert code == 0, (words, out, err)
    assert len(starts.read_text().split()) == made

    # a run that is missing would start the stranger's program: it is named, and nothing is made
    (gone,) = (one for one in runs if one.name.startswith("asking"))
    shutil.rmtree(gone)
    code, _, err = call(capsys, "compare", "received", "--quiet", "--workers", 1)
    assert code == 2
    assert "--allow-mcp" in err
    assert "server.py" in err
    assert len(starts.read_text().split()) == made
    assert gone not in Path("received/runs").iterdir()

    code, out, err = call(capsys, "compare", "received", "--quiet", "--workers", 1, "--allow-mcp")
    assert code == 0, out + err
    assert len(starts.read_text().split()) > made
    assert acted(RunLog(gone)).tool_calls == 4
    table = pl.read_parquet("received/results.parquet")
    by_name = table.group_by("organisation").agg(pl.col("tool_calls").sum()).sort("organisation")
    assert by_name.rows() == [("alone", 0), ("asking", 4)]
