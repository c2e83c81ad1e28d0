"""A real Jupyter kernel executes the notebook of the docs as it stands; its interrupt button ends a run in order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient

import agentsoc

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "first-steps.ipynb"
LAWS = ROOT / "docs" / "run-compare-laws.ipynb"


@pytest.fixture(autouse=True)
def _own_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither kernels nor settings of the person who starts the tests are used."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    (work / "scenarios").symlink_to(ROOT / "scenarios")
    return work


@pytest.fixture
def kernel(elsewhere: Path) -> Iterator[tuple[KernelManager, Any]]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(elsewhere))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("path", [NOTEBOOK, LAWS], ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def executed(path: Path, where: Path) -> str:
    """Return all that a notebook says when its cells are executed in order."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(where)}})
    client.execute()
    told = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "stderr" not in told, told
    return told


def test_the_notebook_of_laws_does_what_it_says(tmp_path: Path) -> None:
    told = executed(LAWS, tmp_path)
    run = agentsoc.RunLog(tmp_path / "runs" / "talk")
    assert f"digest    {run.manifest.digest}" in told
    assert "Worse than vote: debate by -" in told
    assert "Score by task" in told
    assert told.count("text/html") >= 1
    assert "endorse_claim" in told
    assert "cascade_size - degenerate" in told
    assert "in 180 executions of 3 runs" in told


@pytest.mark.model
def test_the_notebook_does_what_it_says(elsewhere: Path) -> None:
    told = executed(NOTEBOOK, elsewhere)
    run = agentsoc.RunLog(elsewhere / "runs" / "quickstart-s7")
    assert (run.manifest.status, run.manifest.totals.episodes) == ("finished", 3)
    assert f"digest='{run.manifest.digest}'" in told
    assert "propose_claim" in told
    assert "star-or-chain" in told
    assert "[95%]" in told
    assert "50 tasks" in told


LONG = """
from agentsoc import run
run("long.yaml", "run")
"""
SCENARIO = """
name: long
tasks: {kind: comparison, count: 400}
agents: {count: 4, model: {kind: scripted, accuracy: 0.7, latency_s: 0.1}}
topology: star
protocol: vote
engine: {concurrency: 4}
"""


AWAITED = LONG.replace("import run", "import run_async").replace("run(", "await run_async(")


def answer(client: Any, request: str) -> dict[str, Any]:
    """Return how the execution of a cell ended."""
    while True:
        message = client.get_shell_msg(timeout=60)
        if message["parent_header"].get("msg_id") == request:
            content: dict[str, Any] = message["content"]
            return content


@pytest.mark.parametrize(
    ("code", "name"),
    [(LONG, "KeyboardInterrupt"), (AWAITED, "InterruptedRunError")],
    ids=["run", "run_async"],
)
def test_the_interrupt_button_ends_a_run_in_order(
    code: str, name: str, kernel: tuple[KernelManager, Any], elsewhere: Path
) -> None:
    manager, client = kernel
    (elsewhere / "long.yaml").write_text(SCENARIO)
    request = client.execute(code)
    journal = elsewhere / "run" / "journal.sqlite"
    give_up = time.monotonic() + 60
    while not journal.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    time.sleep(1)
    manager.interrupt_kernel()
    ended = answer(client, request)
    assert (ended["status"], ended.get("ename")) == ("error", name)
    assert "agentsoc resume run" in ended["evalue"]
    log = agentsoc.RunLog(elsewhere / "run")
    assert log.manifest.status == "interrupted"
    log.check()
    assert answer(client, client.execute("print(6 * 7)"))["status"] == "ok"  # the kernel goes on
