"""Games of PettingZoo: a process an episode, every step in the journal, nothing started on replay."""

from __future__ import annotations

import asyncio
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from agentsoc.contracts.environments import ForeignEnvironment, environment_of
from agentsoc.engine.foreign_desk import ForeignDesk
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import ConsentNeededError, ReplayMismatchError, RunFailedError
from agentsoc.log.journal import Journal
from agentsoc.scenario.files import BASE_DIR
from tests import interrupted
from tests.societies import built

pytestmark = pytest.mark.skipif(find_spec("pettingzoo") is None, reason="needs the extra pettingzoo")
ROOT = Path(__file__).parents[2]


def pair(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    (tmp_path / "game.py").write_text((ROOT / "scenarios" / "world-pettingzoo-game.py").read_text())
    (tmp_path / "turns.py").write_text((ROOT / "tests" / "data" / "turns_game.py").read_text())
    BASE_DIR.set(tmp_path)
    game = {"kind": "pettingzoo", "file": "game.py", "settings": {"steps": 3}, "high": 6, **changes}
    model = {"kind": "scripted", "replies": [['"rich": 1', '{"answer": "1"}'], ['"rich": 0', '{"answer": "0"}']]}
    return {
        "tasks": {"kind": "episodes", "count": 2, "environment": game},
        "agents": {"count": 2, "model": model},
        "topology": "independent",
        "protocol": "play",
    }


def test_a_parallel_game_is_played_and_replayed_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = built(**pair(tmp_path))
    with pytest.raises(ConsentNeededError, match=r"python game\.py"):
        run(scenario, tmp_path / "no")
    done = run(scenario, tmp_path / "run", consent=True)
    assert done.manifest.totals.score == 1.0
    events = list(done.events())
    assert [event.rewards for event in events if event.kind == "action"] == [2.0] * 12
    assert [event.answer for event in events if event.kind == "answer"] == ["the game has ended"] * 2
    assert "You see: " in done.transcript(0, 0)[0].request.user
    monkeypatch.setattr("agentsoc.engine.foreign_desk._Game.start", None)
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_a_game_in_turns_offers_what_its_mask_allows(tmp_path: Path) -> None:
    blocks = pair(tmp_path, file="turns.py", settings={})
    blocks["agents"] = {"count": 3, "model": {"kind": "policy", "name": "first"}}
    done = run(built(**blocks), tmp_path / "run", consent=True)
    moves = [(event.agent, event.answer, event.rewards) for event in done.events() if event.kind == "action"]
    first = moves[:5]
    assert [agent for agent, *_ in first] == [0, 1, 2, 0, 1]
    assert first[0][1] in ("0", "1")
    assert [reward for *_, reward in first] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert run(built(**blocks), tmp_path / "again", consent=True).manifest.digest == done.manifest.digest


def test_killed_anywhere_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = built(**pair(tmp_path))
    monkeypatch.setattr("agentsoc.engine.consent.require_programs", lambda *_: None)
    whole = interrupted.to_the_end(scenario, tmp_path / "whole")
    for number in range(2):
        rng = random.Random(number)
        end = interrupted.with_kills(scenario, tmp_path / f"run{number}", rng, 2 * len(whole.rows) - 8)
        assert end.digest == whole.digest


def test_a_game_that_goes_otherwise_on_resume_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = built(**pair(tmp_path))
    write = Journal.write
    left = [2]

    async def dies(self: Journal, attempt: Any) -> None:
        left[0] -= attempt.model == "env:pettingzoo"
        if left[0] < 0:
            raise interrupted.DiedError
        await write(self, attempt)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", dies)
        with pytest.raises(interrupted.DiedError):
            run(scenario, tmp_path / "run", consent=True)
    monkeypatch.setattr("agentsoc.engine.foreign_desk.seed_for", lambda *_: 4)
    with pytest.raises(ReplayMismatchError) as caught:
        resume(tmp_path / "run", consent=True)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("x = 1", "neither parallel_env nor env"),
        ("import os\nos._exit(1)", "its process ended"),
        ("import time\ntime.sleep(60)", "no state within 1 s"),
    ],
)
def test_a_game_that_fails_is_named_and_the_run_can_be_resumed(tmp_path: Path, text: str, said: str) -> None:
    blocks = pair(tmp_path, step_s=1.0 if "sleep" in text else 60.0)  # a process may take a second to start
    (tmp_path / "game.py").write_text(text)
    with pytest.raises(RunFailedError, match=said):
        run(built(**blocks), tmp_path / "run", consent=True)


def test_no_game_is_given_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abc")
    blocks = pair(tmp_path)
    text = (tmp_path / "game.py").read_text()
    (tmp_path / "game.py").write_text(f"import os\nassert 'SOME_API_KEY' not in os.environ\n{text}")
    assert run(built(**blocks), tmp_path / "run", consent=True).manifest.totals.score == 1.0


def test_a_game_whose_end_is_cut_off_is_ended_by_the_desk(tmp_path: Path) -> None:
    """Its process would otherwise outlive the run: nothing else knows of it any more."""
    environment = environment_of(built(**pair(tmp_path)).tasks)
    assert isinstance(environment, ForeignEnvironment)

    async def play() -> None:
        desk = ForeignDesk(environment, None, {}, live=True)
        desk._said[0], desk._answers[0] = [], []
        process = (await desk._game(0))._process
        end = asyncio.ensure_future(desk.ended(0))
        await asyncio.sleep(0)
        end.cancel()
        with pytest.raises(asyncio.CancelledError):
            await end
        await desk.close()
        assert process is not None
        assert process.returncode is not None

    asyncio.run(play())
