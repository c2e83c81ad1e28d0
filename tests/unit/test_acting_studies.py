"""The studies of agents that act, each at its smallest: kills, walls, hostile programs, cost."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentsoc.contracts.part import Slot
from agentsoc.scenario.code import forget_code
from benchmarks import study_acting_walls as walls
from benchmarks.acting import ended, killed, some_kill, undisturbed, written
from benchmarks.study_acting_kills import LAZY, SOCIETIES
from benchmarks.study_acting_sandbox import Study
from tests.hostile_programs import CAUGHT, GROUPS, MORE_FILES, MORE_NETWORK, PATTERNS


@pytest.fixture(autouse=True)
def _forgets_code() -> Iterator[None]:
    yield
    forget_code()
    Slot.forget_loose()


@pytest.mark.parametrize("name", SOCIETIES)
@pytest.mark.timeout(120)
def test_a_process_killed_in_the_middle_of_a_call_does_nothing_twice(name: str, tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["benchmarks.acting", *LAZY])
    whole = undisturbed(name, tmp_path / "whole")
    rng = random.Random(name)
    kills = [{"call": ("jotting", 3, "after")}, some_kill(rng, len(whole.rows), whole.n_calls)]
    written(name, tmp_path / "killed")
    hits = killed(processes, tmp_path / "killed", {"concurrency": 8}, kills)
    end = ended(tmp_path / "killed", whole, hits)
    assert hits >= 1
    assert end.broken == []
    assert end.lost >= 1


def test_random_actions_pass_no_wall_and_end_no_run(tmp_path: Path) -> None:
    walls.register()
    found = walls.Found()
    for number in (0, 3, 4):
        found.add(number, walls.batch(number, 12), tmp_path / str(number))
    assert found.faults == []
    assert found.episodes == 36
    assert {"result", "unknown_tool", "bad_arguments", "error", "limit"} <= set(found.ends)


def test_the_page_of_tools_says_what_the_study_of_walls_found() -> None:
    root = Path(__file__).parents[2]
    found = json.loads((root / "benchmarks" / "results" / "acting_walls.json").read_text())
    text = " ".join((root / "docs" / "tools.md").read_text("utf-8").split())
    ends, near = found["ends"], found["near"]
    assert found["faults"] == 0  # "None passed a ceiling, each ended"
    assert tuple(ends) == ("result", *walls.KINDS)
    assert f"| {' | '.join(ends)} |" in text
    assert f"| {' | '.join(f'{count:,}' for count in ends.values())} |" in text
    assert f"{found['episodes']:,} episodes under ceilings" in text
    assert f"{found['large']:,} of the results were 50 MB" in text
    counted = ", ".join(f"{near[name]:,} of {word}" for name, word in
                        (("tool calls", "calls"), ("tokens", "tokens"), ("money", "money")))  # fmt: skip
    assert f"more than four fifths of a ceiling: {counted}." in text


@pytest.mark.skipif(find_spec("pydantic_monty") is None, reason="needs the extra sandbox")
def test_a_watched_folder_and_port_see_nothing_of_hostile_programs(tmp_path: Path) -> None:
    study = Study(tmp_path, 0.3, 64)
    try:
        programs = [*MORE_FILES, *MORE_NETWORK, *PATTERNS[:2], *CAUGHT[:2]]
        found = asyncio.run(study.of("some", programs))
    finally:
        study.close()
    assert found.faults == []
    assert found.ends.total() == len(programs)


def test_the_corpus_of_programs_is_as_large_as_it_is_said_to_be() -> None:
    assert sum(map(len, GROUPS.values())) == 164
