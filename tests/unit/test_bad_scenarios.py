"""Every bad scenario of the corpus is refused in the right place, in plain words, with a suggestion, fast and small.

The table is tests/corpus/scenarios/expected.yaml; it says which stage finds each fault. What is left to the start of a
run (stage ``run``) is only shown to load here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import load_scenario, load_scenarios, place_of

CORPUS = Path(__file__).parents[1] / "corpus" / "scenarios"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((CORPUS / "expected.yaml").read_text())


def of_stage(*stages: str) -> list[str]:
    return [name for name, case in EXPECTED.items() if case.get("stage", "load") in stages]


@pytest.fixture(autouse=True)
def _same_base() -> Iterator[None]:
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)


def prepared(name: str, directory: Path) -> Path:
    """Copy a case to `directory` and make what it needs beside it; return the path to load."""
    directory.mkdir()
    path = directory / name
    if (CORPUS / name).exists():
        shutil.copy(CORPUS / name, path)
    setup = EXPECTED[name].get("setup", {"make": "nothing"})
    made = directory / setup.get("name", name)
    match setup["make"]:
        case "big":
            with made.open("wb") as file:
                file.truncate(setup["bytes"])
        case "fifo":
            os.mkfifo(made)
        case "directory":
            made.mkdir()
        case "link":
            made.symlink_to(setup["to"])
        case "file":
            made.write_text(setup["text"])
    if "beside" in setup:
        (directory / setup["beside"]).touch()
    return path


def place_in(path: Path, problem: Problem) -> str:
    return problem.where.removeprefix(str(path)).removeprefix(":")


def assert_said(name: str, path: Path, problems: tuple[Problem, ...]) -> None:
    """Assert that one of the faults that are shown is in the right place and says what it must."""
    case = EXPECTED[name]
    shown = problems[: ScenarioError.shown]
    at_place = [problem for problem in shown if place_in(path, problem) == case["place"]]
    assert at_place, f"nothing at {case['place']!r}: {[str(problem) for problem in shown]}"
    for problem in at_place:
        if all(word in problem.what for word in case["says"]):
            assert all(word in problem.hint for word in case.get("hint", [])), problem
            return
    pytest.fail(f"no message at {case['place']} says {case['says']}: {at_place}")


def test_the_corpus_has_at_least_60_cases_and_an_entry_for_each_file() -> None:
    files = {path.name for path in CORPUS.iterdir()} - {"expected.yaml"}
    made = {name for name, case in EXPECTED.items() if case.get("setup", {}).get("make") and name not in files}
    assert len(of_stage("load")) >= 60
    assert set(EXPECTED) - made == files


@pytest.mark.parametrize("name", of_stage("load"))
def test_the_loader_refuses(name: str, tmp_path: Path) -> None:
    path = prepared(name, tmp_path / "in")
    started = time.perf_counter()
    with pytest.raises(ScenarioError) as caught:
        load_scenarios(path, EXPECTED[name].get("args", []))
    assert time.perf_counter() - started < 2
    assert caught.value.exit_code == 2
    assert_said(name, path, caught.value.problems)
    assert all(problem.hint and "\n" not in problem.hint + problem.what for problem in caught.value.problems)
    text = str(caught.value)
    assert len(text.splitlines()) <= 10
    assert all(character.isprintable() for character in text.replace("\n", ""))


@pytest.mark.parametrize("name", of_stage("build"))
def test_the_building_of_society_and_tasks_refuses(name: str, tmp_path: Path) -> None:
    from agentsoc.society.build import build_society

    path = prepared(name, tmp_path / "in")
    scenario = load_scenario(path)

    def build() -> None:
        build_society(scenario)
        scenario.tasks.tasks(scenario.seed)

    with pytest.raises(InputError) as caught:
        build()
    assert caught.value.exit_code == 2
    assert_said(name, path, (caught.value.problem,))


@pytest.mark.parametrize("name", of_stage("run"))
def test_the_loader_takes_what_only_the_start_of_a_run_can_refuse(name: str, tmp_path: Path) -> None:
    assert load_scenario(prepared(name, tmp_path / "in")).name == "star-on-sentiment"


@pytest.mark.parametrize(
    ("name", "key", "place"),
    [
        ("self-loop.yaml", "edges[1]", "8:42"),
        ("agent-with-two-roles.yaml", "roles.writer", "8:80"),
        ("nobody-to-aggregate.yaml", "protocol", "9:1"),
        ("groups-without-count.yaml", "agents.1.model", "6:13"),
        ("self-loop.yaml", "no.such.key", ""),
    ],
)
def test_a_key_that_the_building_names_is_found_in_the_file(name: str, key: str, place: str) -> None:
    assert place_of(CORPUS / name, key).removeprefix(str(CORPUS / name)).removeprefix(":") == place


def large_files_of_faults() -> dict[str, str]:
    """The worst files within the size limit: a hundred thousand faults of one kind each."""
    good = (CORPUS / "self-loop.yaml").read_text()
    edges = "edges: [[0, 1], [2, 2], [1, 2], [2, 3]]"
    assert edges in good
    return {
        "unknown-keys": good + "".join(f"k{i}: 1\n" for i in range(80_000)),
        "bad-edges": good.replace(edges, "edges: [" + "[a,b]," * 150_000 + "]"),
        "edges-of-one": good.replace(edges, "edges: [" + "x," * 450_000 + "]"),
        "refused-words": good + "x: [" + "no," * 300_000 + "]\n",
        "million-digits": good.replace("seed: 7", "seed: " + "7" * 900_000),
        "nearly-a-number": good.replace("seed: 7", "seed: " + "7_" * 400_000 + "x"),
    }


def test_no_bad_scenario_takes_more_than_200_mb_or_five_seconds_of_cpu(tmp_path: Path) -> None:
    """One process loads them all; its peak counts. Five seconds, since machines differ; each takes about one here."""
    for name, text in large_files_of_faults().items():
        (tmp_path / f"{name}.yaml").write_text(text)
    code = """
import resource, sys, time
from pathlib import Path
from agentsoc.errors import ScenarioError
from agentsoc.scenario.load import load_scenario, load_scenarios
load_scenario(sys.argv[1] + "/key-missing.yaml")  # what a good scenario imports is not counted
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in [path for folder in sys.argv[1:] for path in sorted(Path(folder).glob("*.yaml"))]:
    started = time.process_time()
    try:
        load_scenarios(path)
    except ScenarioError as error:
        assert len(error.problems) <= 120, path
    else:
        assert str(path).startswith(sys.argv[1]), path
    assert time.process_time() - started < 5, path
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-c", code, str(CORPUS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 200_000_000
