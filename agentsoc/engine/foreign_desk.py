"""This module leads episodes of foreign environments: a child process each, every step a row of the journal.

A replay reads the rows and starts nothing. A resume starts the child of an episode when its first step comes that is
not in the journal: it is led through the recorded actions, and what it says has to be what it said then.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final

from agentsoc.contracts.environments import STATE_BYTES, Action, ForeignEnvironment, Step
from agentsoc.contracts.task import Task
from agentsoc.errors import ReplayMismatchError, RunFailedError
from agentsoc.events import SOCIETY
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.log.tool_rows import ENVIRONMENT, OPENING_K, STEP_K
from agentsoc.reading.by_schema import canonical
from agentsoc.streams import seed_for

_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
"""Variables of the environment that a game is given: no keys are among them."""
_LINE_MAX: Final = 4 * STATE_BYTES
_PATIENCE_S: Final = 2.0
"""How long a game may take to end by itself (s)."""


class ForeignDesk:
    """The desk plays the episodes of one run."""

    def __init__(
        self,
        environment: ForeignEnvironment,
        journal: Journal | None,
        known: Mapping[Key, Attempt],
        *,
        live: bool,
        read: set[Key] | None = None,
    ) -> None:
        """Prepare.

        Args:
            environment: what is played.
            journal: where steps are written; None for a replay.
            known: the journal as it was before.
            live: whether games may be started.
            read: takes in which rows of the journal were asked for; None where nobody wants to know.
        """
        self._environment = environment
        self._journal, self._known, self._live, self._read = journal, known, live, read
        self._games: dict[int, _Game] = {}
        self._said: dict[int, list[dict[str, Any]]] = {}
        """For each episode under way, what its game was told so far."""
        self._answers: dict[int, list[str]] = {}
        """What it answered, by the journal."""
        self._agents = 0

    async def opening(self, task: Task, n: int, seed: int) -> Any:
        """Return the state in which an episode begins."""
        self._agents = n
        words = {"seed": seed_for(seed, "world", task.index)}
        self._said[task.index], self._answers[task.index] = [], []
        return await self._go_on(Key(task.index, 0, SOCIETY, OPENING_K, 0), words)

    async def resolve(self, task: int, round_: int, state: Any, actions: Mapping[int, Action]) -> Step:
        """Return what follows from the actions of a stage."""
        named = self._environment.named(state, actions)
        return self._environment.step_of(await self._go_on(Key(task, round_, SOCIETY, STEP_K, 0), named))

    async def ended(self, task: int) -> None:
        """End the game of an episode."""
        self._said.pop(task, None)
        self._answers.pop(task, None)
        game = self._games.get(task)
        if game is not None:
            await game.close()  # when that is cut off, the game is still among those that `close` ends
            self._games.pop(task, None)

    async def close(self) -> None:
        """End all games."""
        for task in list(self._games):
            await self.ended(task)

    async def _go_on(self, key: Key, words: dict[str, Any]) -> Any:
        while (row := self._known.get(key)) is not None and row.state == "superseded":
            key = key._replace(attempt=key.attempt + 1)
        request = self._request(key.task, words)
        if row is not None and row.reply is not None:
            if self._read is not None:
                self._read.add(key)
            if row.request != request or row.model != f"{ENVIRONMENT}{self._environment.kind}":
                raise ReplayMismatchError("this step of the environment is another one than the journal's", _name(key))
            answer = row.reply
            try:
                same = self._sound(answer) == answer
            except RunFailedError:
                same = False
            if not same:
                what = "the journal's row of this step of the environment holds no state that it could have given"
                raise ReplayMismatchError(what, _name(key), answer[:300])
        elif self._journal is None or not self._live:
            raise ReplayMismatchError("the journal has no row for this step of the environment", _name(key))
        else:
            began = time.monotonic()
            answer = await (await self._game(key.task)).say(self._first(words) if not self._said[key.task] else words)
            answer = self._sound(answer)
            latency = round(1000 * (time.monotonic() - began))
            name = f"{ENVIRONMENT}{self._environment.kind}"
            await self._journal.write(Attempt(*key, "done", request, name, 0, 0, answer, "stop", 0, latency_ms=latency))
        self._said[key.task].append(words)
        self._answers[key.task].append(answer)
        return json.loads(answer)

    def _request(self, task: int, words: dict[str, Any]) -> bytes:
        """Return what identifies a step: the environment, what it is told, and the state that it goes on from."""
        before = self._answers[task][-1:]
        said = [self._environment.model_dump(mode="json"), words, *before]
        return hashlib.sha256(canonical(said).encode()).digest()

    def _first(self, words: dict[str, Any]) -> dict[str, Any]:
        return self._environment.first_words(words["seed"])

    async def _game(self, task: int) -> _Game:
        """Return the game of an episode; one that was not running is led to where the episode stands."""
        game = self._games.get(task)
        if game is None:
            game = self._games[task] = _Game(self._environment)
            await game.start()
            for number, (words, answer) in enumerate(zip(self._said[task], self._answers[task], strict=True)):
                again = self._sound(await game.say(self._first(words) if number == 0 else words))
                if again != answer:
                    raise ReplayMismatchError(
                        "the environment does not go as it went before", f"task {task}, step {number}",
                        answer[:300], again[:300],
                    )  # fmt: skip
        return game

    def _sound(self, answer: str) -> str:
        """Return an answer in the one form in which it is kept, after checking that it is one."""
        try:
            state = json.loads(answer)
        except (ValueError, RecursionError):
            raise RunFailedError(f"the environment answered no JSON: {answer[:200]!r}") from None
        if not isinstance(state, dict) or "error" in state:
            said = str(state.get("error", ""))[:300] if isinstance(state, dict) else ""
            raise RunFailedError(f"the environment {self._environment.kind} failed: {said or 'it gave no state'}")
        agents = state.get("agents")
        n = len(agents) if isinstance(agents, list) else 0
        if n != self._agents:
            what = f"the environment is played by {n} agents, and there are {self._agents}"
            raise RunFailedError(what, "", "set agents.count to that number")
        kept = canonical(state)
        if len(kept) > STATE_BYTES:
            raise RunFailedError(f"a state of the environment has {len(kept):,} characters; at most {STATE_BYTES:,}")
        return kept


class _Game:
    """One child process; it ends when its standard input does."""

    def __init__(self, environment: ForeignEnvironment) -> None:
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Future[asyncio.subprocess.Process] | None = None

    async def start(self) -> None:
        """Start the process."""
        given = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._environment.command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**given, "PYTHONHASHSEED": "0", "SDL_VIDEODRIVER": "dummy"},
                limit=_LINE_MAX,
            )
        )
        self._process = await asyncio.shield(self._starting)  # a process whose start is cut off is ended by `close`

    async def say(self, words: dict[str, Any]) -> str:
        """Return what the game answers."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(canonical(words).encode() + b"\n")
            await process.stdin.drain()
            line = await asyncio.wait_for(process.stdout.readline(), self._environment.step_s)
        except TimeoutError:
            await self.close()
            raise RunFailedError(f"the environment gave no state within {self._environment.step_s:g} s") from None
        except (OSError, ValueError) as error:
            raise RunFailedError(f"the environment is gone: {error}") from None
        if not line:
            raise RunFailedError("the environment is gone: its process ended")
        return line.decode("utf-8", "replace")

    async def close(self) -> None:
        """End the process."""
        process = self._process
        if process is None and self._starting is not None:
            with contextlib.suppress(OSError):
                process = await self._starting
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _PATIENCE_S)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.stdout is not None:  # its pipe is read to the end: until then the loop holds it open
            with contextlib.suppress(TimeoutError, ValueError):
                await asyncio.wait_for(process.stdout.read(), _PATIENCE_S)


def _name(key: Key) -> str:
    return f"task {key.task}, round {key.round}"
