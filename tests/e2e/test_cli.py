"""The command line keeps its contract: verbs, exit codes, one JSON object, progress, interrupts, start-up time."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli import main, verbs
from agentsoc.engine.bounds import Bound
from agentsoc.engine.consent import destinations
from agentsoc.engine.forecast import bound
from agentsoc.log.manifest import Totals
from agentsoc.printing import live
from agentsoc.printing import text as text_module
from agentsoc.scenario.code import forget_code
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import load_scenario
from agentsoc.society.build import build_society

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
FAMILY = DATA / "loose_family.py"
VERBS = ("init", "run", "resume", "replay", "fork", "ls", "show", "check", "schema", "model")

SCENARIO = """
name: star
seed: 7
tasks: {kind: parity, count: 6}
agents: {count: 4, model: {kind: scripted, accuracy: 0.7}}
topology: star
protocol: {kind: aggregate, by: model}
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AGENTSOC_DEBUG", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)
    forget_code()


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "star.yaml"
    path.write_text(SCENARIO)
    return path


class Said:
    """What a command in this process returned and printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


@pytest.fixture
def agentsoc(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object, code: bool = True) -> Said:
        capsys.readouterr()
        allowed = (
            ["--allow-code", str(FAMILY)] if code and words[0] in ("run", "check", "replay", "resume", "fork") else []
        )
        exit_code = main.main([*map(str, words), *allowed])
        captured = capsys.readouterr()
        return Said(exit_code, captured.out, captured.err)

    return call


def process(*words: object, **more: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own, in its own group, with pipes and no terminal."""
    command = [sys.executable, "-m", "agentsoc.cli.main", *map(str, words)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, start_new_session=True, **{**pipes, **more})


def on_terminal(
    words: Sequence[object], columns: int, environment: dict[str, str], answer: str = ""
) -> tuple[int, str]:
    """Run a command on a terminal of that width; return its exit code and everything that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {key: value for key, value in os.environ.items() if key not in ("CI", "COLUMNS", "NO_COLOR")}
    running = process(*words, stdin=theirs, stdout=theirs, stderr=theirs, env={**clean, "TERM": "xterm", **environment})
    os.close(theirs)
    written = b""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not data:
                break
            written += data
            if answer and b"[y/N]" in written:
                os.write(ours, answer.encode())
                answer = ""
        elif running.poll() is not None:
            break
    os.close(ours)
    return running.wait(timeout=10), written.decode()


# Start-up


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "Usage: agentsoc"),
        ([], 0, "Usage: agentsoc"),
        (["replay", "--help"], 0, "Usage: agentsoc replay"),
        (["run", "nothing.yaml"], 2, "error: nothing.yaml"),
        (["frobnicate"], 2, 'error: there is no command "frobnicate"'),
        (["check", ROOT / "scenarios" / "topology-star.yaml"], 0, "topology-star"),
    ],
    ids=["help", "nothing", "help of a verb", "no such file", "no such verb", "a verb"],
)
def test_the_package_runs_as_the_command_in_a_fresh_process(
    words: list[Any], code: int, said: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentsoc", *map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def modules_after(words: list[str]) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run a command in a fresh interpreter; return what it did and the modules that it imported."""
    code = (
        f"import sys\nfrom agentsoc.cli.main import main\ncode = main({words!r})\n"
        "print(*sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return done, set(done.stderr.split())


def test_help_names_every_verb_with_a_sentence_and_imports_nothing_heavy() -> None:
    done, modules = modules_after(["--help"])
    assert done.returncode == 0
    assert not modules & {"ray", "litellm", "polars", "pyarrow", "numpy", "pydantic", "networkx", "rich", "yaml"}
    listed = done.stdout.split("Commands:")[1]
    for verb in VERBS:
        assert re.search(rf"^  {verb} +[A-Z][a-z]+ ", listed, re.MULTILINE), verb
    assert "4 log damaged" in done.stdout


def test_checking_a_scenario_imports_neither_the_log_nor_a_graph_library() -> None:
    """It builds the society, so it needs NumPy; it does not read logs, open locks or draw graphs."""
    done, modules = modules_after(["check", "scenarios/quickstart.yaml"])
    assert done.returncode == 0
    assert "numpy" in modules
    assert not modules & {"ray", "litellm", "polars", "pyarrow", "networkx", "scipy", "filelock", "xllamacpp"}
    kinds = {name.rpartition(".")[2] for name in modules if name.startswith("agentsoc.society.topologies.")}
    assert kinds <= {"hubs", "survey", "limits"}


def test_help_of_resume_promises_an_undisturbed_end_only_without_a_budget(agentsoc: Any) -> None:
    said = " ".join(agentsoc("resume", "--help").out.split())
    assert "Without a budget, and with a model that answers the same prompt alike, the result is what" in said
    assert "With a budget it may differ after a crash" in said


def test_check_imports_neither_ray_nor_a_model_library_nor_the_log(scenario: Path) -> None:
    done, modules = modules_after(["check", str(scenario), "--allow-code", str(FAMILY)])
    assert done.returncode == 0
    assert not modules & {"ray", "litellm", "polars", "pyarrow", "xllamacpp", "rich", "agentsoc.engine.run"}


@pytest.mark.parametrize(("word", "meant"), [("rnu", "run"), ("repaly", "replay"), ("shwo", "show"), ("Fork", "fork")])
def test_an_unknown_verb_is_answered_with_the_nearest(word: str, meant: str, agentsoc: Any) -> None:
    said = agentsoc(word)
    assert (said.code, said.out) == (2, "")
    assert f"did you mean: agentsoc {meant}" in said.err


def test_an_unknown_verb_that_is_like_none_is_answered_with_all(agentsoc: Any) -> None:
    assert ", ".join(VERBS) in agentsoc("xyzzy\x1b[2J").err.replace("\n", "")
    assert "\x1b" not in agentsoc("xyzzy\x1b[2J").err


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with three verbs: one that works, one that cannot be imported, one that is called like ours."""
    info = tmp_path / "site" / "extra_verbs-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra-verbs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[agentsoc.commands]\nweigh = extra_verbs:weigh\nbroken = extra_verbs.missing:verb\nrun = extra_verbs:weigh\n"
    )
    (tmp_path / "site" / "extra_verbs.py").write_text(
        "import sys\nsys.modules['extra_verbs_was_imported'] = sys\n\n"
        "def weigh(n: int = 1) -> None:\n    '''Weigh things. A second sentence.'''\n    print(n * 2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    verbs.entries.cache_clear()
    yield
    verbs.entries.cache_clear()
    for name in ("extra_verbs", "extra_verbs_was_imported"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("plugged")
def test_other_packages_add_verbs_and_replace_none(agentsoc: Any) -> None:
    listed = agentsoc("--help").out
    assert re.search(r"^  weigh +Weigh things$", listed, re.MULTILINE)
    assert "extra_verbs_was_imported" not in sys.modules, "the list of verbs imports nothing"
    assert agentsoc("weigh", "--n", 21).out == "42\n"
    broken = agentsoc("broken")
    assert broken.code == 2
    assert "extra-verbs" in broken.err
    assert "Run SCENARIO" in agentsoc("run", "--help").out


# Errors


@pytest.mark.parametrize(
    "words",
    [("run",), ("run", "a", "b"), ("run", "x.yaml", "--hosts", "0"), ("--nothing",), ("show", "--task", "x", "d")],
)
def test_wrong_usage_is_one_message_and_exit_code_2(
    words: tuple[str] | tuple[str, str, str] | tuple[str, str, str, str], agentsoc: Any
) -> None:
    said = agentsoc(*words, code=False)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "--help" in said.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "no-such.yaml", "--json"), 2),
        (("replay", "no-such-run", "--json"), 2),
        (("check", "no-such.yaml", "--json"), 2),
        (("run", "--json"), 2),
    ],
)
def test_with_json_an_error_is_one_object_on_stdout(
    words: tuple[str, str, str] | tuple[str, str], code: int, agentsoc: Any
) -> None:
    said = agentsoc(*words)
    assert said.code == said.json["exit_code"] == code
    assert said.json["error"] in said.err
    assert set(said.json) == {"error", "kind", "exit_code"}


def test_an_unforeseen_error_is_short_and_debug_shows_the_traceback(
    agentsoc: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("agentsoc.log.manifest.load_manifest", lambda directory: 1 / 0)
    said = agentsoc("show", tmp_path)
    assert said.code == 1
    assert "ZeroDivisionError at test_cli.py:" in said.err
    assert "agentsoc --debug" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in agentsoc("--debug", "show", tmp_path).err
    monkeypatch.setenv("AGENTSOC_DEBUG", "1")
    assert "Traceback" in agentsoc("show", tmp_path).err
    monkeypatch.delenv("AGENTSOC_DEBUG")
    assert "Traceback" not in agentsoc("show", tmp_path).err


def test_a_key_in_an_error_is_masked(agentsoc: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary-0123456789abcdef")

    def fail(directory: Path) -> None:
        raise RuntimeError("refused: canary-0123456789abcdef and sk-ABCDEFGHIJKLMNOPQRSTUVWX")

    monkeypatch.setattr("agentsoc.log.manifest.load_manifest", fail)
    said = agentsoc("--debug", "show", tmp_path, "--json")
    assert "refused" in said.err
    assert "canary" not in said.out + said.err
    assert "sk-ABCDEFG" not in said.out + said.err


# A run and what can be done with it


def test_a_run_is_made_replayed_checked_shown_listed_and_exits_0(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out dir"
    made = agentsoc("run", scenario, "--out", out, "--json")
    assert made.code == 0
    summary_ = made.json
    assert {"run_dir", "digest", "n_events", "n_episodes", "score", "tokens", "budget", "stop"} <= set(summary_)
    assert summary_["run_dir"] == str(out)
    assert (summary_["n_episodes"], summary_["budget"], summary_["stop"]) == (6, None, "finished")

    replayed = agentsoc("replay", out, "--json")
    assert replayed.code == 0
    assert replayed.json["model_calls"] == 0
    assert replayed.json["digest"] == summary_["digest"]
    assert replayed.json["n_events"] == summary_["n_events"]
    verified = f"verified: {summary_['n_events']} events, digest {summary_['digest']}, 0 model calls\n"
    assert agentsoc("replay", out).out == verified

    checked = agentsoc("check", out, "--json").json
    assert (checked["sound"], checked["n_events"], checked["n_attempts"]) == (True, summary_["n_events"], 24)
    assert agentsoc("show", out, "--json").json["manifest"]["digest"] == summary_["digest"]
    listed = agentsoc("ls", tmp_path, "--json").json["runs"]
    assert [(row["run"], row["status"], row["score"]) for row in listed] == [("out dir", "finished", summary_["score"])]
    [low, high] = summary_["ci95"]
    assert 0 < low < summary_["score"] < high <= 1
    assert [(row["tasks"], row["ci95"]) for row in listed] == [(6, summary_["ci95"])]


def test_the_end_of_a_run_says_score_tokens_events_digest_and_how_to_go_on(
    agentsoc: Any, scenario: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out dir"
    text = agentsoc("run", scenario, "--out", out, "--quiet").out
    manifest = agentsoc("show", out, "--json").json["manifest"]
    totals = manifest["totals"]
    low, high = Totals.model_validate(totals).score_ci95 or (0.0, 0.0)
    assert 0 < low < totals["score"] < high <= 1
    assert f"accuracy  {totals['score']:.3f}, 95 % between {low:.3f} and {high:.3f} (Wilson, 6 tasks)" in text
    assert f"{totals['tokens_in']:,} input" in text
    assert manifest["digest"] in text
    for kind, count in totals["events_by_kind"].items():
        assert f"{count:,} {kind}" in text
    assert "running again gives the same" in text
    assert f"agentsoc replay '{out}' --allow-code {FAMILY}" in text


def test_scores_between_0_and_1_are_not_called_accuracy(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    text = agentsoc("run", scenario, "--set", "tasks.generous=true", "--out", tmp_path / "out").out
    assert "accuracy" not in text
    assert re.search(r"^score +0\.\d+, 95 % between", text, re.MULTILINE)


def test_every_verb_that_shows_a_run_reads_only_its_manifest_unless_asked_for_events(
    agentsoc: Any, scenario: Path, tmp_path: Path
) -> None:
    """So `show` and `ls` take as long for a million events as for none."""
    out = tmp_path / "out"
    agentsoc("run", scenario, "--out", out)
    whole = agentsoc("show", out).out
    for path in out.iterdir():
        if path.name != "manifest.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert agentsoc("show", out).out == whole
    assert agentsoc("ls", tmp_path).code == 0
    assert agentsoc("show", out, "--events", 1).code == 4


def test_show_tells_what_happened_in_a_task(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    agentsoc("run", scenario, "--out", out)
    events = agentsoc("show", out, "--task", 2, "--json").json["events"]
    assert {event["task"] for event in events} == {2}
    lines = agentsoc("show", out, "--task", 2).out.splitlines()
    assert re.fullmatch(r"task 2: Is \d+ even\?", lines[0])
    assert sum(line.startswith("2:") for line in lines) == len(events)
    assert re.match(r'2:0 agent 1 propose_claim "(yes|no)" \[[01]\] = 0\.1\.0 ', lines[3])
    assert lines[-1] == '2:2 society stop "finished"'
    first = agentsoc("show", out, "--events", 2)
    assert len(first.out.splitlines()) == 3
    assert "and more" in first.out
    assert agentsoc("show", out, "--task", 99).code == 2


def test_a_spent_budget_is_exit_code_3_and_replays(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = agentsoc("run", scenario, "--set", "budget={tokens_per_task: 120}", "--out", out, "--json")
    assert made.code == 3
    assert made.json["totals"]["stops"]["budget_exhausted"] > 0
    assert made.json["tokens"] <= made.json["budget"] == 720
    assert agentsoc("replay", out).code == 0
    assert agentsoc("resume", out).code == 3


def test_an_agent_that_is_no_function_of_its_view_is_exit_code_5_with_the_first_event(
    agentsoc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "moody.py"
    code.write_text(
        "import os\nfrom typing import Literal\nfrom agentsoc.society.coded import CodedAgent\n"
        "from agentsoc.contracts.turns import Reply, View\n\n"
        "class Moody(CodedAgent):\n    kind: Literal['moody'] = 'moody'\n\n"
        "    async def act(self, view: View) -> Reply:\n"
        "        return Reply(answer=os.environ['MOOD'] if (view.task, view.agent) == (1, 2) else 'no')\n"
    )
    path = tmp_path / "moody.yaml"
    path.write_text(
        "name: moody\ntasks: {kind: parity, count: 3}\nagents: {count: 3, model: moody}\n"
        "topology: independent\nprotocol: vote\n"
    )
    monkeypatch.setenv("MOOD", "yes")
    assert agentsoc("run", path, "--out", tmp_path / "out", "--allow-code", code).code == 0
    assert agentsoc("replay", tmp_path / "out", "--allow-code", code).code == 0
    monkeypatch.setenv("MOOD", "no")
    said = agentsoc("replay", tmp_path / "out", "--allow-code", code)
    assert said.code == 5
    assert "task 1, round 0, agent 2" in said.err
    assert "answer='yes'" in said.err


def test_a_fork_shares_the_beginning_and_acts_on_the_change(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    agentsoc("run", scenario, "--set", "agents.model.accuracy=1.0", "--out", old)
    said = agentsoc("fork", old, "--at", "3:1", "--set", "agents.model.says=wrong", "--out", new, "--json")
    assert said.code == 0
    before = agentsoc("show", old, "--events", 1000, "--json").json["events"]
    after = agentsoc("show", new, "--events", 1000, "--json").json["events"]
    shared = [event for event in before if (event["task"], event["round"]) < (3, 1)]
    assert shared == [event for event in after if (event["task"], event["round"]) < (3, 1)]
    right = {event["task"]: event["correct"] for event in after if event["kind"] == "answer"}
    assert right == {0: 1.0, 1: 1.0, 2: 1.0, 3: 0.0, 4: 0.0, 5: 0.0}
    assert agentsoc("replay", new).code == 0
    assert "fork" in agentsoc("show", new).out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--at", "3"), "TASK:ROUND"),
        (("--at", "-1:0"), "TASK:ROUND"),
        (("--at", "99:0"), "no task 99"),
        (("--at", "1:0", "--set", "agents.modle=x"), 'did you mean "model"'),
        (("--at", "1:0", "--set", "agents.count=2,3"), "one value"),
        (("--at", "1:0", "--set", "agents.count=9"), "keeps its agents"),
    ],
)
def test_a_fork_that_cannot_be_leaves_nothing_behind(
    words: tuple[str, str] | tuple[str, str, str, str], says: str, agentsoc: Any, scenario: Path, tmp_path: Path
) -> None:
    agentsoc("run", scenario, "--set", "tasks.count=2", "--out", tmp_path / "old")
    said = agentsoc("fork", tmp_path / "old", *words, "--out", tmp_path / "new")
    assert said.code == 2
    assert says in said.err
    assert not (tmp_path / "new").exists()


def test_a_sweep_makes_its_runs_one_after_the_other(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    words = ("run", scenario, "--set", "agents.count=2,3", "--set", "tasks.count=2", "--seeds", 2, "--out", out)
    said = agentsoc(*words, "--json")
    assert said.code == 0
    runs = said.json["runs"]
    names = [f"star--count-{n}--seed-{seed}" for n in (2, 3) for seed in (7, 8)]
    assert [run["name"] for run in runs] == names
    assert [Path(run["run_dir"]) for run in runs] == [out / name for name in names]
    assert len({run["digest"] for run in runs}) == 4
    assert [row["run"] for row in agentsoc("ls", out, "--json").json["runs"]] == names
    again = agentsoc(*words)
    assert again.code == 2
    assert "there already" in again.err


def test_a_sweep_goes_on_after_a_spent_budget_and_after_a_fault_but_not_after_an_interrupt(
    agentsoc: Any, scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentsoc.engine import run as engine
    from agentsoc.errors import InterruptedRunError, RunFailedError

    words = ("run", scenario, "--set", "tasks.count=2", "--json", "--quiet")
    spent = agentsoc(*words, "--set", "budget.tokens_per_task=120,9000", "--out", tmp_path / "spent")
    assert (spent.code, [run["n_episodes"] for run in spent.json["runs"]]) == (3, [2, 2])

    real, faults = engine.run, {1: RunFailedError("the disk refused"), 3: InterruptedRunError("third")}
    calls = iter(range(1, 10))

    def failing(*arguments: Any, **more: Any) -> Any:
        error = faults.get(next(calls))
        if error is not None:
            raise error
        return real(*arguments, **more)

    monkeypatch.setattr(engine, "run", failing)
    said = agentsoc(*words, "--seeds", 5, "--out", tmp_path / "faulty")
    assert said.code == 130
    runs = said.json["runs"]
    assert [run.get("kind", "done") for run in runs] == ["RunFailedError", "done", "InterruptedRunError"]
    assert runs[0]["exit_code"] == 1
    assert "agentsoc resume third" in runs[2]["error"]


def test_without_out_runs_go_into_runs_under_names_of_their_own(
    agentsoc: Any, scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert agentsoc("ls").out == "no runs in runs\n"
    for name in ("star-s7", "star-s7-2"):
        assert agentsoc("run", scenario, "--set", "tasks.count=1", "--json").json["run_dir"] == f"runs/{name}"
    assert agentsoc("run", scenario, "--set", "tasks.count=1", "--out", "runs/star-s7").code == 2
    lines = agentsoc("ls", "--sort", "-run").out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "star-s7-2", "star-s7"]
    assert agentsoc("ls", "--sort", "colour").code == 2


def test_a_thousand_runs_are_listed_from_their_manifests_alone(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    """How long that takes is in `make bench`: the workload cli-ls."""
    agentsoc("run", scenario, "--out", tmp_path / "runs" / "0")
    manifest = (tmp_path / "runs" / "0" / "manifest.json").read_bytes()
    for number in range(1, 1_000):
        (tmp_path / "runs" / str(number)).mkdir()
        (tmp_path / "runs" / str(number) / "manifest.json").write_bytes(manifest)
    (tmp_path / "runs" / "17" / "manifest.json").write_bytes(manifest[:99])
    rows = agentsoc("ls", tmp_path / "runs", "--json").json["runs"]
    assert len(rows) == 1_000
    assert [row["run"] for row in rows if row["status"] == "damaged"] == ["17"]
    done, modules = modules_after(["ls", str(tmp_path / "runs")])
    assert done.returncode == 0
    assert not modules & {"ray", "litellm", "polars", "pyarrow", "numpy", "scipy", "networkx", "xllamacpp"}


def test_hosts_without_ray_are_refused_before_anything_is_made(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    said = agentsoc("run", scenario, "--hosts", 2, "--out", tmp_path / "out")
    assert said.code == 2
    assert "--address local" in said.err
    assert not (tmp_path / "out").exists()


def test_concurrency_changes_no_result(agentsoc: Any, scenario: Path, tmp_path: Path) -> None:
    digests = {
        agentsoc("run", scenario, "--concurrency", n, "--out", tmp_path / str(n), "--json").json["digest"]
        for n in (1, 64)
    }
    assert len(digests) == 1


def test_schema_describes_scenarios(agentsoc: Any, tmp_path: Path) -> None:
    out = tmp_path / "scenario.schema.json"
    assert agentsoc("schema", "--out", out).code == 0
    assert json.loads(out.read_text()) == agentsoc("schema").json
    assert "agents" in json.loads(out.read_text())["properties"]
    assert agentsoc("schema", "--out", tmp_path / "no" / "such" / "place").code == 2


def test_a_wrong_model_file_is_refused(agentsoc: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "model.gguf"
    wrong.write_bytes(b"GGUF" + bytes(1_000))
    said = agentsoc("model", "get", "--from", wrong, "--json")
    assert said.code == said.json["exit_code"] == 2
    assert agentsoc("model", "get", "--from", tmp_path / "missing").code == 2


# Before the first call


def test_check_says_what_would_run(agentsoc: Any, scenario: Path) -> None:
    said = agentsoc("check", scenario)
    assert said.code == 0
    for words in (
        "6 of parity",
        "Is ",
        "4, scripted",
        "the hub hears 3 worker",
        "diameter: 2 hops",
        "at most 24 model calls",
    ):
        assert words in said.out
    facts = agentsoc("check", scenario, "--set", "agents.count=4,5", "--seeds", 3, "--json").json
    assert facts["n_runs"] == 6
    assert [run["agents"] for run in facts["runs"]] == [4, 4, 4, 5, 5, 5]
    assert "6 runs" in agentsoc("check", scenario, "--set", "agents.count=4,5", "--seeds", 3).out


SOCIETIES = [
    ("independent", "{kind: vote}"),
    ("independent", "{kind: vote, by: model}"),
    ("star", "{kind: aggregate, by: majority}"),
    ("star", "{kind: aggregate, by: model}"),
    ("chain", "{kind: aggregate, by: model}"),
    ("{kind: tree, fan_in: 2}", "{kind: aggregate, by: weighted}"),
    ("hybrid", "{kind: aggregate, by: model}"),
    ("decentralized", "{kind: debate, rounds: 3}"),
    ("ring", "{kind: debate, rounds: 3, until: consensus}"),
    ("star", "{kind: orchestrate, rounds: 2}"),
    ("star", "{kind: orchestrate, rounds: 3, guidance: each, decision: agreement}"),
    ("hybrid", "{kind: orchestrate, rounds: 2, guidance: joint, synthesis: majority}"),
]


@pytest.mark.parametrize(("topology", "protocol"), SOCIETIES)
@pytest.mark.parametrize("iterations", [1, 2])
def test_no_run_takes_more_than_the_bound_that_was_said(
    topology: str, protocol: str, iterations: int, agentsoc: Any, tmp_path: Path
) -> None:
    """Agents who write as much as they may, and prompts that are counted byte by byte."""
    path = tmp_path / "s.yaml"
    path.write_text(
        f"name: s\nseed: 1\ntasks: {{kind: parity, count: 3}}\ntopology: {topology}\nprotocol: {protocol}\n"
        f"agents: {{count: 5, model: talker, max_tokens: 90, iterations: {iterations}, memory: 1, personas: [a, b]}}\n"
        "message_tokens: 20\nepisodes: sequential\n"
    )
    code = tmp_path / "talker.py"
    code.write_text(TALKER)
    scenario = load_scenario(path, allow_code=[FAMILY, code])
    most = bound(build_society(scenario))
    assert isinstance(most, Bound)
    totals = agentsoc("run", path, "--allow-code", code, "--out", tmp_path / "out", "--json").json["totals"]
    assert totals["calls_failed"] == 0
    assert 0 < totals["calls"] <= most.calls
    assert totals["tokens_in"] + totals["tokens_out"] <= most.tokens_max
    assert most.attempts == 3 * most.calls
    if "consensus" not in protocol and "agreement" not in protocol:
        assert totals["calls"] == most.calls


TALKER = '''
import json
from typing import Any, Literal

from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import Backend, Completion, Model, Request, Usage, bytes_bound


class Talker(Model):
    """Never agrees with anybody, and fills its output."""

    kind: Literal["talker"] = "talker"

    def destinations(self) -> tuple[Destination, ...]:
        return ()

    def open(self, *, seed: int, share: int = 1) -> Backend:
        return TalkerBackend()


class TalkerBackend(Backend):
    async def complete(self, request: Request) -> Completion:
        hint = request.hint
        says: dict[str, Any] = {"stop": False}
        says["answer"] = hint.options[(hint.agent + hint.round) % 2] if hint.options else "x"
        says["subtasks"] = [{"to": agent, "task": "w" * 90} for agent in hint.targets]
        says["why"] = "w" * 400
        text = json.dumps(says)
        return Completion(text, Usage(bytes_bound(request), 0, request.max_tokens))

    def count(self, request: Request) -> int:
        return bytes_bound(request)

    def identity(self) -> dict[str, Any]:
        return {}
'''

PAID = SCENARIO.replace("{kind: scripted, accuracy: 0.7}", "{kind: litellm, name: openai/gpt-4o, api_key_env: NO_KEY}")


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("", True),
        (", base_url: 'https://api.example.org/v1'", True),
        (", base_url: 'http://127.0.0.1.example.org/v1'", True),
        (", base_url: 'http://10.0.0.1:8000/v1'", True),
        (", base_url: 'http://127.0.0.1:8000/v1'", True),  # it is sent a key
        (", base_url: 'http://127.0.0.1:8000/v1', api_key_env: null", False),
        (", base_url: 'http://[::1]:8000/v1', api_key_env: null", False),
        (", base_url: 'http://localhost:8000/v1', api_key_env: null", False),
        (", base_url: 'http://10.0.0.1:8000/v1', api_key_env: null", True),
    ],
)
def test_a_model_behind_an_api_is_asked_about_unless_it_is_on_this_machine_and_is_sent_no_key(
    url: str, asked: bool, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    text = PAID.replace(", api_key_env: NO_KEY", "") if "null" in url else PAID
    path.write_text(text.replace("openai/gpt-4o", f"openai/gpt-4o{url}"))
    found = destinations([load_scenario(path, allow_code=[FAMILY])])
    assert [place.model for place in found] == ["openai/gpt-4o"] * asked


@pytest.mark.parametrize("budget", ["", "budget: {tokens_per_task: 5000}\n"])
def test_a_run_that_calls_a_provider_needs_yes_where_there_is_no_terminal_budget_or_not(
    budget: str, agentsoc: Any, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(PAID + budget)
    refused = agentsoc("run", path, "--out", tmp_path / "out")
    assert refused.code == 2
    assert "openai/gpt-4o at https://api.openai.com/v1 (the provider's own address)" in refused.err
    assert "with the value of NO_KEY" in refused.err
    assert "at most 24 model calls (72 with all repeats)" in refused.err
    assert (
        "at most 30,000, unless a provider ignores its output cap" if budget else "there is no budget"
    ) in refused.err
    assert "--yes" in refused.err
    assert not (tmp_path / "out").exists()
    agreed = agentsoc("run", path, "--out", tmp_path / "out", "--yes")
    assert "NO_KEY is not set" in agreed.err  # it went on to the next thing that is missing


def test_a_sweep_that_no_run_of_can_start_stops_at_the_first(agentsoc: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(PAID)
    said = agentsoc("run", path, "--seeds", 3, "--yes", "--out", tmp_path / "out", "--json")
    assert said.code == 2
    assert [run["exit_code"] for run in said.json["runs"]] == [2]
    assert "NO_KEY is not set" in said.json["runs"][0]["error"]
    assert f"{path}:5:" in said.json["runs"][0]["error"]


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_paid_run_on_a_terminal_is_asked_about_and_no_means_no(answer: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(PAID + "budget: {tokens_per_task: 5000}\n")
    words = ["run", path, "--allow-code", FAMILY, "--out", tmp_path / "out"]
    code, written = on_terminal(words, 80, {}, answer)
    assert code == 2
    assert "30,000" in written
    assert "not started" in written
    assert not (tmp_path / "out").exists()


# Progress


def slow(directory: Path) -> Path:
    path = directory / "slow.yaml"
    text = SCENARIO.replace("accuracy: 0.7", "accuracy: 0.7, latency_s: 0.1").replace("count: 6", "count: 16")
    path.write_text(text + "budget: {tokens_per_task: 4000}\n")
    return path


@pytest.mark.parametrize("columns", [20, 80])
def test_the_live_view_works_on_any_terminal(columns: int, tmp_path: Path) -> None:
    path = slow(tmp_path)
    words = ["run", path, "--allow-code", FAMILY, "--out", tmp_path / "out"]
    code, written = on_terminal(words, columns, {"LC_ALL": "C", "NO_COLOR": "1"})
    assert code == 0
    assert "Traceback" not in written
    assert "/16 episodes" in written
    assert written.isascii()
    assert not re.search(r"\x1b\[[0-9;]*m", written), "no colours"
    assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l"), "the cursor is shown again"
    if columns == 80:
        assert re.search(r"[\d,]+ tokens used, [1-9][\d,]* reserved, budget 64,000", written)
        assert re.search(r"[1-8] calls in flight, \d+ done, 0 failed, 0 lost; 1 host", written)


@pytest.mark.parametrize(
    ("quiet", "tty", "environment", "style"),
    [
        (False, True, {"TERM": "xterm"}, "live"),
        (False, True, {"TERM": "xterm", "CI": "true"}, "lines"),
        (False, True, {"TERM": "dumb"}, "lines"),
        (False, False, {"TERM": "xterm"}, "lines"),
        (True, True, {"TERM": "xterm"}, "none"),
    ],
)
def test_how_progress_is_shown_depends_on_the_terminal(
    quiet: bool, tty: bool, environment: dict[str, Any], style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr.isatty", lambda: tty, raising=False)
    assert live.style_for(quiet) == style


def test_plain_lines_come_while_the_run_goes_on_and_none_with_quiet(
    agentsoc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LINE_S", 0.1)
    said = agentsoc("run", slow(tmp_path), "--out", tmp_path / "out")
    lines = [line for line in said.err.splitlines() if "/16 episodes" in line]
    assert len(lines) >= 3
    done = [int(line.split("/")[0]) for line in lines]
    assert done == sorted(done)
    assert agentsoc("run", slow(tmp_path), "--out", tmp_path / "quiet", "--quiet").err == ""


def test_a_view_that_dies_or_is_slow_changes_nothing(
    agentsoc: Any, scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = agentsoc("run", scenario, "--out", tmp_path / "a", "--json", "--quiet").json["digest"]
    monkeypatch.setattr(live, "LINE_S", 0.0)

    def slowly(self: live.Reading) -> list[Any]:
        time.sleep(1)
        return []

    monkeypatch.setattr(live.Reading, "parts", slowly)
    assert agentsoc("run", scenario, "--out", tmp_path / "b", "--json").json["digest"] == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (61, "1:01 min"), (3599, "59:59 min"), (7265, "2:01 h")]
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert live.duration(seconds) == text


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (7, 10), (0, 50), (50, 50), (333, 1000)])
def test_wilson_agrees_with_a_reference_implementation(right: int, n: int) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    assert Totals(episodes=n, score=right / n).score_ci95 == pytest.approx(
        proportion.proportion_confint(right, n, method="wilson"), abs=1e-12
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("zwei\nZeilen", "zwei\nZeilen"),
        ("\x1b[2J\x07\x00\x9b", r"\x1b[2J\x07\x00\x9b"),
        ("\u202eltr \u2028 \ud800", r"\u202eltr \u2028 \ud800"),
        ("naïve 東京\u3000🎲", "naïve 東京\u3000🎲"),
    ],
)
def test_text_is_shown_without_control_characters(text: str, shown: str) -> None:
    assert text_module.safe(text) == shown


# Interrupts


def seen(pid: int) -> None:
    """Wait until a program has taken note of a first interrupt, and so no longer catches one, where the system tells.

    On a loaded machine that can take longer than any pause, and interrupts that come before are all one to it.
    """
    status, until = Path(f"/proc/{pid}/status"), time.monotonic() + 30
    while status.exists() and int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGINT - 1) & 1:
        assert time.monotonic() < until
        time.sleep(0.01)


def interrupted(
    words: Sequence[object], times: Sequence[float], ready: Path, size: int = 50_000
) -> tuple[int, float, str, str]:
    """Start a command; when `ready` has this size, interrupt it after these pauses; return code, seconds, output."""
    running = process(*words)
    try:
        until = time.monotonic() + 60
        while not (ready.exists() and ready.stat().st_size > size):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        for number, pause in enumerate(times):
            time.sleep(pause)
            if number:
                seen(running.pid)
            running.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = running.communicate(timeout=30)
        return running.returncode, time.monotonic() - began, out, err
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def long_run(directory: Path, latency_s: float = 0.05, count: int = 150) -> Path:
    path = directory / "long.yaml"
    slow = SCENARIO.replace("accuracy: 0.7", f"accuracy: 0.7, latency_s: {latency_s}")
    path.write_text(slow.replace("count: 6", f"count: {count}"))
    return path


def test_an_interrupted_run_exits_130_in_time_and_resumes_to_the_same_digest(agentsoc: Any, tmp_path: Path) -> None:
    path, out = long_run(tmp_path), tmp_path / "out"
    words = ["run", path, "--allow-code", FAMILY, "--out", out]
    code, took, stdout, err = interrupted(words, [0.5], out / "journal.sqlite-wal")
    assert code == 130, err
    assert took < 10
    assert stdout == ""
    assert f"agentsoc resume {out}" in err
    assert agentsoc("show", out, "--json").json["manifest"]["status"] == "interrupted"
    assert agentsoc("check", out).code == 0
    resumed = agentsoc("resume", out, "--json", "--concurrency", 64)
    assert resumed.code == 0
    whole = agentsoc("run", path, "--set", "agents.0.model.latency_s=0.0", "--out", tmp_path / "whole", "--json")
    assert resumed.json["digest"] == whole.json["digest"]
    assert agentsoc("resume", out, "--json").json["digest"] == whole.json["digest"]


def test_a_second_interrupt_ends_the_run_within_a_second_and_it_can_still_be_resumed(
    agentsoc: Any, tmp_path: Path
) -> None:
    # calls that outlast the pause between the interrupts by far: the first one cannot have ended the run
    path, out = long_run(tmp_path, latency_s=3.0, count=12), tmp_path / "out"
    words = ["run", path, "--allow-code", FAMILY, "--out", out]
    code, took, _, err = interrupted(words, [0.5, 0.3], out / "journal.sqlite-wal", size=12_000)
    assert code == -signal.SIGINT, err  # a shell calls that 130
    assert took < 2  # the calls in flight would have taken longer, and one interrupt gives them 4 seconds
    assert agentsoc("show", out, "--json").json["manifest"]["status"] == "running"
    assert agentsoc("resume", out, "--concurrency", 64).code == 0
    assert agentsoc("replay", out).code == 0
