"""`agentsoc compare`, from a YAML file to a report: paired, resumable, the same whoever carried it out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from agentsoc.cli import main
from agentsoc.engine.replay import replay
from agentsoc.log.comparison import load_comparison_record
from agentsoc.log.read import RunLog
from agentsoc.log.record import record_bytes
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from analysis.comparison.table import read_results
from tests.data.billed_model import BILL
from tests.model_files import skip_without_models
from tests.nightly import NIGHTLY

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "scenarios" / "comparisons").glob("*.yaml"))
FOLLOWED = {
    name
    for page in (ROOT / "docs").rglob("*.md")
    for name in re.findall(
        r"^\$ agentsoc compare scenarios/comparisons/([\w-]+)\.yaml(?!.*--dry-run)", page.read_text(), re.MULTILINE
    )
}
"""Files that a page makes when its examples are executed (`e2e/test_docs.py`): whole, but three of them by day with one
seed (`SEEDS_AT_NIGHT` in `page_reader.py`)."""
CODE = ROOT / "tests" / "data" / "billed_model.py"

SIMULATED: dict[str, Any] = {
    "name": "simulated",
    "base": {
        "tasks": {"kind": "signal", "count": 30},
        "agents": {"model": {"kind": "simulated", "signal": 0.4}},
        "budget": {"tokens_per_task": 5000},
    },
    "organisations": {
        "single": {"topology": "single", "protocol": "vote"},
        "votes": {"topology": "independent", "protocol": "vote"},
        "talk": {"topology": {"kind": "decentralized", "degree": 2}, "protocol": {"kind": "debate", "rounds": 2}},
    },
    "agents": [5],
    "seeds": 4,
}

PAID: dict[str, Any] = {
    "name": "paid",
    "base": {
        "tasks": {"kind": "arithmetic", "count": 4},
        "agents": {"count": 4, "model": {"kind": "billed", "accuracy": 0.6, "latency_s": 0.02}},
        "calls": {"backoff_s": 0},
        "engine": {"concurrency": 3},
    },
    "organisations": {
        "votes": {"topology": "independent", "protocol": "vote", "agents": {"model": {"payer": "votes"}}},
        "talk": {
            "topology": {"kind": "decentralized", "degree": 2},
            "protocol": {"kind": "debate", "rounds": 2},
            "agents": {"model": {"payer": "talk"}},
        },
        "computed": {
            "topology": "star",
            "protocol": "aggregate",
            "agents": {"model": {"kind": "simulated", "signal": 0.5}},
        },
    },
    "seeds": 4,
}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.delenv("AGENTSOC_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


def written(data: dict[str, Any], name: str = "comparison.yaml") -> Path:
    path = Path(name)
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run a command; a comparison makes its runs in this process where no number of workers is asked for."""
    capsys.readouterr()
    added = ["--quiet"] if "--help" not in words and words[0] == "compare" else []
    added += ["--workers", "1"] if added and "--workers" not in words else []
    code = main.main([*map(str, words), *added])
    said = capsys.readouterr()
    return code, said.out, said.err


def process(*words: object, bill: Path) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "agentsoc.cli.main", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd(),
        env={**os.environ, BILL: str(bill), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def statuses(directory: Path) -> Counter[str]:
    """Return how many run directories are in which state; read from the runs, as they are on disk now."""
    found: Counter[str] = Counter()
    for manifest in directory.glob("runs/*/manifest.json"):
        found[json.loads(manifest.read_text())["status"]] += 1
    return found


def wait_until(child: subprocess.Popen[str], directory: Path, finished: int) -> None:
    give_up = time.monotonic() + 60
    while statuses(directory)["finished"] < finished:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.01)


def workers_of(directory: Path) -> list[int]:
    """Return processes that have a file of the comparison open or in their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            links = [str(handle.readlink()) for handle in (entry / "fd").iterdir()]
        except OSError:
            continue
        if any(link.startswith(str(directory.resolve())) for link in links):
            found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def results(directory: Path) -> pl.DataFrame:
    """Return the table without what depends on the clock, and without what calls cost that were lost in a crash."""
    return pl.read_parquet(directory / "results.parquet").drop("wall_s", "charged", "budget_left")


def test_from_a_file_to_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "compare", written(SIMULATED), "--out", "out", "--workers", 1)
    assert (code, err) == (0, "")
    for words in (
        "score [95%]",
        "minus single [95%]",
        "p (Holm)",
        "won/tied/lost",
        "left unspent",
        "tokens/task",
        "votes",
    ):
        assert words in out
    assert Path("out/report.txt").read_text().strip() in out
    table = pl.read_parquet("out/results.parquet")
    assert table.height == 3 * 30 * 4
    assert not table.select("organisation", "n_agents", "tasks", "task", "seed").is_duplicated().any()
    report = json.loads(Path("out/report.json").read_text())
    votes = next(row for row in report["blocks"][0]["comparison"]["rows"] if row["organisation"] == "votes")
    wide = table.pivot("organisation", index=["seed", "task"], values="score")
    assert votes["difference"]["value"] == pytest.approx((wide["votes"] - wide["single"]).mean())
    assert votes["wins"] == (wide["votes"] > wide["single"]).sum()
    assert votes["difference"]["low"] <= votes["difference"]["value"] <= votes["difference"]["high"]
    spent = table.filter(pl.col("organisation") == "talk")
    assert report["metrics"]["talk"]["tokens"]["value"] == pytest.approx(spent["tokens"].mean())
    assert report["metrics"]["talk"]["overhead_turns"]["value"] == pytest.approx(100 * (spent["turns"].mean() - 1))  # type: ignore[operator]
    for cell in load_comparison_record(Path("out")).cells:
        log = RunLog(Path("out") / cell.run)
        assert (log.manifest.digest, log.manifest.scenario_hash) == (cell.digest, cell.scenario_hash)


def test_json_holds_the_figures_of_the_text_and_nothing_else_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    code, out, _ = call(capsys, "compare", file, "--json", "--workers", 1)
    assert code == 0
    assert json.loads(out) == json.loads(Path("comparisons/simulated/report.json").read_text())
    written_to = ": results.parquet, report.txt, report.json, report.html"
    assert written_to not in out
    assert written_to in call(capsys, "compare", "comparisons/simulated")[1]
    code, out, _ = call(capsys, "compare", "none.yaml", "--json")
    assert (code, json.loads(out)["exit_code"]) == (2, 2)


def test_who_carries_it_out_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    for out, workers in (("one", 1), ("three", 3)):
        assert call(capsys, "compare", file, "--out", out, "--workers", workers)[0] == 0
    reports = [json.loads(Path(out, "report.json").read_text()) | {"directory": ""} for out in ("one", "three")]
    assert reports[0] == reports[1]
    assert results(Path("one")).equals(results(Path("three")))


def test_one_limit_holds_over_all_runs_of_a_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentsoc.backends.scripted import ScriptedBackend
    from agentsoc.contracts.model import Completion, Request

    complete, running, seen = ScriptedBackend.complete, 0, []

    async def counted(self: ScriptedBackend, request: Request) -> Completion:
        nonlocal running
        running += 1
        seen.append(running)
        try:
            return await complete(self, request)
        finally:
            running -= 1

    monkeypatch.setattr(ScriptedBackend, "complete", counted)
    data = json.loads(json.dumps(PAID))
    data["base"]["agents"]["model"] = {"kind": "scripted", "accuracy": 0.6, "latency_s": 0.005}
    for organisation in ("votes", "talk"):
        data["organisations"][organisation].pop("agents")
    tables = []
    for out, limit, most in (("a", (), 3), ("b", ("--concurrency", 7), 7), ("c", ("--concurrency", 1), 1)):
        seen.clear()
        assert call(capsys, "compare", written(data), "--out", out, "--workers", 1, *limit)[0] == 0
        assert max(seen) == most
        tables.append(results(Path(out)))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_killed_on_the_way_it_goes_on_and_pays_for_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """A real SIGKILL of the whole program when 5 of 12 runs are finished, which are paid for or computed, as it comes.

    Each night another SIGKILL before it, when 2 are.
    """
    file, bill = written(PAID), Path("bill").resolve()
    words = ("compare", file, "--allow-code", CODE, "--quiet", "--workers", 2)
    for finished in (2, 5) if NIGHTLY else (5,):
        child = process(*words, "--out", "out", bill=bill)
        wait_until(child, Path("out"), finished)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    give_up = time.monotonic() + 10
    while workers_of(Path("out")):  # they end with the process that started them
        assert time.monotonic() < give_up
        time.sleep(0.05)
    kept = {path.parent.name: path.read_bytes() for path in Path("out").glob("runs/*/manifest.json")
            if b'"status": "finished"' in path.read_bytes()}  # fmt: skip
    bought = {line for log in Path("out").glob("runs/*") if (log / "manifest.json").exists()
              for line in _answered(RunLog(log))}  # fmt: skip
    before = bill.read_text().splitlines()
    child = process(*words, "--out", "out", bill=bill)
    err = child.communicate(timeout=120)[1]
    assert child.returncode == 0, err
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(BILL, "whole.bill")
        assert call(capsys, *words[:-3], "--workers", 1, "--out", "whole")[0] == 0
    again = bill.read_text().splitlines()[len(before) :]
    assert not set(again) & bought, "a reply that was on disk has been bought again"
    assert len(again) == len(set(again))
    assert {name: Path("out/runs", name, "manifest.json").read_bytes() for name in kept} == kept
    assert results(Path("out")).equals(results(Path("whole")))
    digests = [[cell.digest for cell in load_comparison_record(Path(at)).cells] for at in ("out", "whole")]
    assert digests[0] == digests[1]
    assert statuses(Path("out")) == {"finished": 12}
    replay(Path("out/runs/talk-n4-arithmetic-s3"), allow_code=[CODE])
    assert call(capsys, "compare", "out", "--allow-code", CODE)[0] == 0  # everything is there: nothing is asked


def _answered(log: RunLog) -> Iterator[str]:
    """Yield the lines that the bill has for replies that are in the journal."""
    payer = log.manifest.scenario["agents"][0]["model"].get("payer")
    before: Counter[tuple[int, ...]] = Counter()
    for row in log.journal():
        if row.state != "started":
            place = (row.task, row.round, row.agent, row.k)
            yield f"{payer} {log.manifest.seed} {row.task} {row.round} {row.agent} {row.k} {before[place]}"
            before[place] += 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM] if NIGHTLY else [signal.SIGINT])
def test_an_interrupt_ends_it_in_order_with_code_130(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """By day SIGINT alone; each night SIGTERM as well."""
    child = process(
        "compare", written(PAID), "--allow-code", CODE, "--out", "out", "--quiet", bill=Path("bill").resolve()
    )
    wait_until(child, Path("out"), 2)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "agentsoc compare out" in err
    assert "of 12 runs are finished" in err
    assert out == ""
    assert load_comparison_record(Path("out")).status == "interrupted"
    assert not any(
        row.state == "started"
        for at in Path("out").glob("runs/*/journal.sqlite")
        for row in RunLog(at.parent).journal()
    )
    os.environ[BILL] = "bill"
    try:
        code, _, err = call(capsys, "compare", "out")
        assert (code, "--allow-code" in err) == (2, True)  # the code is as much a part of it as the file
        assert call(capsys, "compare", "out", "--allow-code", CODE)[0] == 0
    finally:
        del os.environ[BILL]
    lines = Path("bill").read_text().splitlines()
    assert len(lines) == len(set(lines))


def test_a_dry_run_says_what_it_can_take_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(json.dumps(PAID))
    data["base"]["budget"] = {"tokens_per_task": 4000}
    code, out, _ = call(capsys, "compare", written(data), "--allow-code", CODE, "--dry-run", "--seeds", 2)
    assert code == 0
    assert "6 runs of 3 organisations" in out
    assert "at most 96 model calls" in out  # 2 seeds x 4 tasks x (4 votes + 4 x 2 in debate)
    assert "tokens together at most, unless a provider ignores its output cap" in out
    assert "unknown" in out  # how long a model takes is not ours to say
    assert not Path("comparisons").exists()
    code, out, _ = call(capsys, "compare", written(data), "--allow-code", CODE, "--dry-run", "--seeds", 2, "--json")
    plan = json.loads(out)
    assert (plan["n_runs"], plan["total"]["calls"], plan["time_s"]) == (6, 96, None)
    assert plan["total"]["tokens_max"] <= 4 * 4 * 4000
    assert {row["organisation"]: row["simulated"] for row in plan["kinds"]}["computed"] is True


def test_check_and_run_know_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    code, out, _ = call(capsys, "check", file)
    assert (code, "12 runs of 3 organisations" in out) == (0, True)
    code, _, err = call(capsys, "run", file)
    assert (code, "agentsoc compare FILE" in err) == (2, True)
    assert call(capsys, "compare", file, "--out", "out", "--workers", 1)[0] == 0
    code, out, _ = call(capsys, "check", "out")
    assert (code, out.startswith("sound: 12 finished runs of 12")) == (0, True)
    events = next(Path("out/runs/votes-n5-signal-s1/events").glob("*.parquet"))
    events.write_bytes(events.read_bytes()[:-40])
    assert call(capsys, "check", "out")[0] == 4
    assert call(capsys, "compare", "out")[0] == 0  # computed again from what is whole
    assert call(capsys, "check", "out")[0] == 0
    assert "organisations" in json.loads(call(capsys, "schema", "--comparison")[1])["properties"]


def test_a_plan_before_any_run_says_what_it_assumes_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    code, said, _ = call(capsys, "compare", file, "--plan")
    assert code == 0
    assert "no run says yet how much tasks vary" in said
    assert not Path("comparisons").exists()
    code, said, _ = call(capsys, "compare", file, "--plan", "--effect", 0.3, "--json")
    plan = json.loads(said)
    assert (code, plan["from_runs"], plan["comparisons"], plan["effect"]) == (0, False, 2, 0.3)
    assert {row["n_tasks"] for row in plan["rows"]} == {20, 50, 100, 120, 200, 500, 1000}
    [none] = [row for row in plan["rows"] if row["what"] == "0%" and row["n_tasks"] == 100]
    assert none["tasks_needed"] < 60
    assert none["power"]["0.3"] > 0.99


def test_a_plan_from_runs_goes_by_their_spread(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = call(capsys, "compare", out, "--plan", "--json")
    plan = json.loads(said)
    assert (code, plan["from_runs"]) == (0, True)
    assert {row["what"] for row in plan["rows"]} == {"votes", "talk"}
    code, said, _ = call(capsys, "compare", out, "--plan")
    assert "tasks vary as in the runs that were made" in said


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small comparison that is finished."""
    base = tmp_path_factory.mktemp("compared")
    small = {**SIMULATED, "seeds": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        assert main.main(["compare", str(written(small)), "--out", "out", "--workers", "1", "--quiet"]) == 0
    return base / "out"


@pytest.fixture
def out(compared: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(compared, tmp_path / "out"))


def rewritten(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the record of a comparison and give it a right checksum."""
    data = json.loads((directory / "comparison.json").read_text())
    data.pop("checksum")
    change(data)
    (directory / "comparison.json").write_bytes(record_bytes(data))


def swap(data: dict[str, Any], key: str) -> None:
    one, other = data["cells"][0], next(cell for cell in data["cells"] if cell[key] != data["cells"][0][key])
    one[key], other[key] = other[key], one[key]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: swap(data, "organisation"), "organisation of"),
        (lambda data: data["cells"][0].update(n_agents=77), "n_agents of"),
        (lambda data: data["cells"][0].update(tasks="other"), "tasks of"),
        (lambda data: data["cells"][0].update(seed=77), "seed of"),
        (lambda data: data["cells"][0].update(run=data["cells"][1]["run"]), "directory of"),
        (lambda data: data["cells"][0].update(scenario_hash="0" * 64), "scenario_hash of"),
        (lambda data: data["cells"].reverse(), "runs: "),
        (lambda data: data["cells"].pop(), "runs: "),
        (lambda data: data.update(baseline=data["organisations"][-1]), "baseline: "),
        (lambda data: data.update(organisations=data["organisations"][::-1]), "organisations: "),
        (lambda data: data.update(name="other"), "name: "),
        (lambda data: data.update(matched=not data["matched"]), "matched: "),
        (lambda data: data.update(hash="0" * 64), "hash: "),
        (lambda data: data.update(status="failed"), "the comparison is failed"),
        (lambda data: data["asked"].update(organisations={}), "what was asked makes no comparison"),
        (lambda data: data["asked"]["base"].update(seed=9), "runs: "),
        (lambda data: data["asked"]["base"].update(message_tokens=9), "scenario_hash of"),
    ],
)
def test_a_record_that_is_not_what_was_asked_is_named(
    out: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], object], said: str
) -> None:
    rewritten(out, change)
    code, _, err = call(capsys, "check", out)
    assert (code, said in err, "comparison.json" in err) == (4, True, True), err


def test_what_a_check_of_a_comparison_leaves_out_is_said(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "runs" / "mine").mkdir()
    (out / "report.txt").write_text("nonsense")
    code, said, _ = call(capsys, "check", out)
    assert code == 0
    assert "report.txt" in said
    assert "not checked" in said
    assert "no run of this comparison, and not checked: runs/mine" in said
    assert len(json.loads(call(capsys, "check", out, "--json")[1])["not_checked"]) == 2
    cell = next((out / "runs").glob("*-s*"))
    shutil.rmtree(cell)
    code, _, err = call(capsys, "check", out)
    assert (code, str(cell) in err, "it is not here" in err) == (4, True, True)


def test_verbs_for_runs_say_that_a_comparison_is_none(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("show", "replay", "resume"):
        code, _, err = call(capsys, verb, out)
        assert code == 2
        assert "this is a comparison" in err
        assert f"agentsoc compare {out}" in err
        assert "agentsoc run" not in err


def test_a_run_that_fails_keeps_no_other_from_being_made_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    bad = Path("out/runs/votes-n5-signal-s2")
    code, out, err = call(capsys, "compare", file, "--out", "out", "--workers", 1)
    assert code == 0
    assert "to make the missing runs" not in out
    assert "runs are finished" not in err
    (bad / "manifest.json").write_text("{")
    shutil.rmtree("out/runs/talk-n5-signal-s0")
    code, out, _ = call(capsys, "compare", file, "--out", "out", "--workers", 2)
    assert code == 1
    assert "to make the missing runs: agentsoc compare out" in out
    assert "missing: votes-n5-signal-s2 (failed): " in " ".join(out.split())
    assert "the manifest is cut or not JSON" in " ".join(out.split())
    assert "30 rows of votes or single have no score on the other side" in " ".join(out.split())
    assert load_comparison_record(Path("out")).status == "failed"
    assert results(Path("out")).height == 330
    report = json.loads(Path("out/report.json").read_text())
    assert report["missing"] == ["votes-n5-signal-s2"]
    assert {row["organisation"]: row["n_pairs"] for row in report["blocks"][0]["comparison"]["rows"]} == {
        "votes": 90,
        "talk": 120,
    }
    shutil.rmtree(bad)
    assert call(capsys, "compare", "out")[0] == 0
    assert results(Path("out")).height == 360


def test_a_worker_that_dies_fails_its_cell_and_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentsoc.experiment import worker

    program = worker._BEGIN.replace(
        "main()", "import agentsoc.experiment.worker as w; w._answer = fatal(w._answer); main()"
    )
    fatal = (
        "import os\ndef fatal(answer):\n    def begin(job, paths):\n"
        "        os._exit(9) if 'votes-n5-signal-s1' in job['directory'] else None\n        return answer(job, paths)\n"
        "    return begin\n"
    )
    monkeypatch.setattr(worker, "_BEGIN", f"exec({fatal!r}); {program}")
    code, out, _ = call(capsys, "compare", written(SIMULATED), "--out", "out", "--workers", 2)
    assert code == 1
    assert "missing: votes-n5-signal-s1 (failed): the worker process ended (exit code 9)" in " ".join(out.split())
    assert results(Path("out")).height == 330


def test_a_larger_comparison_keeps_the_runs_of_a_smaller_one_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    assert call(capsys, "compare", file, "--out", "out", "--seeds", 2, "--workers", 1)[0] == 0
    kept = {path: path.stat().st_mtime_ns for path in Path("out").glob("runs/*/manifest.json")}
    code, out, _ = call(capsys, "compare", file, "--out", "out", "--workers", 1)
    assert (code, "made larger after runs had been there" in " ".join(out.split())) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert results(Path("out")).height == 360


def test_a_directory_of_another_comparison_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    file = written(SIMULATED)
    assert call(capsys, "compare", file, "--out", "out", "--seeds", 1, "--workers", 1)[0] == 0
    before = Path("out/comparison.json").read_bytes()
    code, _, err = call(capsys, "compare", file, "--out", "out", "--set", "base.agents.model.signal=0.1")
    assert (code, "made from another scenario" in err) == (2, True)
    assert Path("out/comparison.json").read_bytes() == before
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine")
    code, _, err = call(capsys, "compare", file, "--out", "other")
    assert (code, "holds no comparison" in err) == (2, True)
    code, _, err = call(capsys, "compare", "out", "--seeds", 2)
    assert (code, "go with a comparison file" in err) == (2, True)


def test_two_at_once_do_not_get_in_each_others_way(capsys: pytest.CaptureFixture[str]) -> None:
    from agentsoc.log.files import RunLock

    file = written(SIMULATED)
    Path("out").mkdir()
    with RunLock(Path("out")):
        (Path("out") / "comparison.json").write_text("{}")
        code, _, err = call(capsys, "compare", file, "--out", "out")
    assert (code, "this comparison is being written by" in err) == (2, True)


def test_files_that_a_comparison_names_are_kept_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(json.dumps(SIMULATED))
    questions = [{"id": str(n), "question": f"{n} or {n + 1}?", "answer": "a", "options": ["a", "b"]} for n in range(4)]
    Path("tasks.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    data["base"]["tasks"] = {"kind": "jsonl", "file": "tasks.jsonl", "count": 4}
    assert call(capsys, "compare", written(data), "--out", "out", "--seeds", 1, "--workers", 1)[0] == 0
    text = Path("tasks.jsonl").read_text()
    Path("tasks.jsonl").unlink()
    shutil.rmtree("out/runs/talk-n5-jsonl-s0")
    assert call(capsys, "compare", "out")[0] == 0
    Path("tasks.jsonl").write_text(text.replace("3 or 4", "5 or 6"))
    code, _, err = call(capsys, "compare", "comparison.yaml", "--out", "out", "--seeds", 2)
    assert (code, "is not what it was when this comparison began" in err) == (2, True)


def test_runs_on_other_tasks_are_no_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    from agentsoc.errors import LogDamagedError
    from agentsoc.log.manifest import load_manifest

    assert call(capsys, "compare", written(SIMULATED), "--out", "out", "--seeds", 1, "--workers", 1)[0] == 0
    directory = Path("out/runs/votes-n5-signal-s0")
    manifest = load_manifest(directory)
    manifest.tasks_hash = "0" * 64
    manifest.save(directory)
    with pytest.raises(LogDamagedError, match="on other tasks"):
        read_results(Path("out"))


def test_tasks_that_recur_with_several_seeds_count_once(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(json.dumps(SIMULATED))
    data["base"]["tasks"]["seed"] = 3
    code, out, _ = call(capsys, "compare", written(data), "--out", "out", "--workers", 1)
    assert code == 0
    assert "the same tasks for all seeds" in out
    assert "resample 30 tasks" in out
    assert read_results(Path("out")).cluster == ("tasks", "task")


def test_sizes_of_the_baseline_make_a_table_each_and_one_correction(capsys: pytest.CaptureFixture[str]) -> None:
    data = {**SIMULATED, "agents": [3, 5], "baseline": "votes", "seeds": 2}
    report = json.loads(call(capsys, "compare", written(data), "--out", "out", "--workers", 1, "--json")[1])
    assert [block["count"] for block in report["blocks"]] == [3, 5]
    rows = [row for block in report["blocks"] for row in block["comparison"]["rows"]]
    assert [row["organisation"] for row in rows] == ["single", "talk n=3", "single", "talk n=5"]
    ordered = sorted(rows, key=lambda row: row["p"])
    assert [row["p_holm"] for row in ordered] == sorted(row["p_holm"] for row in rows)
    assert ordered[0]["p_holm"] == pytest.approx(min(1.0, 4 * ordered[0]["p"]))


def test_money_is_bounded_before_and_told_after(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(json.dumps(PAID))
    data["base"]["prices"] = {"billed": {"input": 2, "output": 8}, "simulated": {"input": 0, "output": 0}}
    data["base"]["agents"]["model"]["latency_s"] = 0
    file = written(data)
    code, out, _ = call(capsys, "compare", file, "--allow-code", CODE, "--dry-run", "--seeds", 1)
    assert (code, "cost at most" in out, "in money" in out) == (0, True, True)
    os.environ[BILL] = "bill"
    try:
        code, out, _ = call(capsys, "compare", file, "--allow-code", CODE, "--seeds", 1, "--json")
    finally:
        del os.environ[BILL]
    table = pl.read_parquet("comparisons/paid/results.parquet").filter(pl.col("organisation") == "talk")
    assert code == 0
    expected = (2 * table["tokens_in"] + 8 * table["tokens_out"]).mean() / 1e6  # type: ignore[operator]
    assert json.loads(out)["metrics"]["talk"]["cost"]["value"] == pytest.approx(expected)


def test_figures_are_drawn_from_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert call(capsys, "compare", written(SIMULATED), "--seeds", 1, "--workers", 1, "--figures")[0] == 0
    drawn = sorted(path.name for path in Path("comparisons/simulated/figures").iterdir())
    names = ("cost", "differences", "scores")
    assert drawn == [f"{name}.{ending}" for name in names for ending in ("csv", "png")]
    report = json.loads(Path("comparisons/simulated/report.json").read_text())
    rows = [row for block in report["blocks"] for row in block["comparison"]["rows"]]
    table = pl.read_csv("comparisons/simulated/figures/differences.csv")
    assert table["organisation"].to_list() == [row["organisation"] for row in rows]
    assert table["difference"].to_list() == pytest.approx([row["difference"]["value"] for row in rows])
    scores = pl.read_csv("comparisons/simulated/figures/scores.csv")
    assert scores.filter("baseline")["organisation"].to_list() == [report["baseline"]]
    assert set(pl.read_csv("comparisons/simulated/figures/cost.csv")["what"]) <= {"organisation", "budget"}


@pytest.mark.parametrize(
    "path",
    [path for path in SHIPPED if "local" not in path.read_text() and path.stem not in FOLLOWED],
    ids=lambda path: path.stem,
)
def test_a_shipped_comparison_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that no page makes, with one seed and few of its tasks."""
    counted = "count" in yaml.safe_load(path.read_text())["base"].get("tasks", {})
    few = ("--set", "base.tasks.count=20") if counted else ()
    code, out, err = call(capsys, "compare", path, "--out", "out", "--seeds", 1, "--workers", 1, *few)
    assert code == 0, out + err
    assert "missing" not in out
    assert set(statuses(Path("out"))) == {"finished"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_comparison_holds_and_is_matched(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip_without_models(path)
    code, out, err = call(capsys, "check", path, "--json")
    assert code == 0, err
    assert json.loads(out)["matched"]
    assert json.loads(out)["name"] == path.stem


@pytest.mark.model
def test_the_shipped_comparison_of_real_readers_runs(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "scenarios" / "comparisons" / "real-readers.yaml"
    small = (
        "--seeds",
        1,
        "--set",
        "base.tasks.count=2",
        "--set",
        "agents=[2]",
        "--set",
        "organisations.debate.topology.degree=1",
    )
    code, out, err = call(capsys, "compare", path, "--out", "out", *small)
    assert code == 0, out + err
    assert "only 2 tasks" in out
    table = results(Path("out"))
    assert table.filter(pl.col("organisation") == "independent")["calls"].to_list() == [2, 2]
    assert (table["tokens"] <= 3000).all()
    assert replay(Path("out/runs/debate-n2-sentiment-s0")).model_calls == 0
