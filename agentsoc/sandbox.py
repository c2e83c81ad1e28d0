"""This module runs Python that somebody else wrote, a model for example, in an interpreter that can do nothing else.

The interpreter (pydantic-monty) knows no files, no network and no processes, and runs in a child process with limits of
time and memory. The clock stands still, sleeping takes no time and chance is seeded, so that a program gives the same
each time, as long as it ends within its limits.
"""

from __future__ import annotations

import atexit
import datetime
import threading
from typing import Any, Final, Literal

from agentsoc.errors import MissingExtraError

MEMORY: Final = 64 << 20
"""Memory of a program (bytes)."""
DEPTH: Final = 200
OUTPUT_MAX: Final = 64 * 1024
"""Length of what a program may print and is kept (characters)."""
CODE_MAX: Final = 64 * 1024
"""Longest program (characters)."""
_GRACE_S: Final = 3.0
"""What a child may take beyond the limit before it is ended (seconds)."""
_NOW: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)  # noqa: UP017

Trouble = Literal["error", "timeout", "limit"]


class SandboxError(Exception):
    """A program that did not end well: it raised, took too long, or wanted too much memory."""

    def __init__(self, kind: Trouble, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class Sandbox:
    """The sandbox runs programs in child processes, a few at once, and ends them with itself."""

    def __init__(self, *, time_s: float = 5.0, memory: int = MEMORY, processes: int = 2) -> None:
        """Prepare; children are started when the first program comes.

        Args:
            time_s: time limit of a program (seconds).
            memory: its memory (bytes).
            processes: programs that run at once.

        Raises:
            MissingExtraError: the interpreter is not installed.
        """
        try:
            import pydantic_monty
        except ImportError as error:
            raise MissingExtraError("running Python", error.name or "pydantic-monty", "sandbox") from None
        self._monty = pydantic_monty
        self._time_s, self._memory, self._processes = time_s, memory, processes
        self._pool: Any = None
        self._lock = threading.Lock()

    def run(self, code: str) -> str:
        """Return what a program prints, and the value of its last expression where there is one; blocks.

        Raises:
            SandboxError: it did not end well.
        """
        if len(code) > CODE_MAX:
            raise SandboxError("limit", f"the program has {len(code):,} characters; at most {CODE_MAX:,}")
        printed: list[str] = []
        left = [OUTPUT_MAX]

        def keep(stream: str, text: str) -> None:
            if left[0] > 0:
                printed.append(text[: left[0]])
            left[0] -= len(text)

        limits = self._monty.ResourceLimits(
            max_feed_duration_secs=self._time_s,
            max_turn_duration_secs=self._time_s,
            max_memory=self._memory,
            max_recursion_depth=DEPTH,
            max_suspensions=1_000,
        )
        policy = {"datetime": _NOW, "sleep": "zero", "random_start": {"seed": 0}}
        try:
            with self._opened().checkout(limits=limits, os_policy=policy) as session:
                value = session.feed_run(code, print_callback=keep)
        except self._monty.MontyCrashedError as error:
            raise SandboxError("timeout", f"the interpreter was ended: {_line(error)}") from None
        except self._monty.MontyError as error:
            raise _trouble(_line(error)) from None
        except Exception as error:  # a value that cannot be carried over, such as a number of a million digits
            raise SandboxError("error", f"{type(error).__name__}: {_line(error)}") from None
        said = "".join(printed)
        if left[0] < 0:
            said += f"\n[and {-left[0]:,} characters more]"
        if value is not None:
            try:
                said = f"{said}{repr(value)[:OUTPUT_MAX]}"
            except Exception as error:
                raise SandboxError("error", f"{type(error).__name__}: {_line(error)}") from None
        return said.rstrip("\n") or "(nothing printed)"

    def _opened(self) -> Any:
        with self._lock:
            if self._pool is None:
                limit = self._time_s + _GRACE_S
                self._pool = self._monty.Monty(
                    min_processes=1, max_processes=self._processes, request_timeout=limit, checkout_timeout=60.0
                ).__enter__()
                atexit.register(self.close)
            return self._pool

    def close(self) -> None:
        """End the children."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)
            atexit.unregister(self.close)


def _trouble(said: str) -> SandboxError:
    if said.startswith("TimeoutError") and "time limit exceeded" in said:
        return SandboxError("timeout", said)
    limits = ("MemoryError: memory limit", "RecursionError: maximum recursion", "RuntimeError: suspension")
    return SandboxError("limit" if said.startswith(limits) else "error", said)


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def passes(sandbox: Sandbox, code: str, tests: str) -> bool:
    """Return whether a program ends within its limits, and the tests that are run behind it raise nothing."""
    try:
        sandbox.run(f"{code}\n{tests}\n")
    except SandboxError:
        return False
    return True
