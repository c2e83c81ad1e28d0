"""The error tree: every failure that a user can meet, each with the exit code of the command that meets it.

Errors cross process boundaries, so each hands its values as positional arguments to ``super().__init__`` and builds
its text in ``__str__``. A message says what happened, where, and how to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class AgentsocError(Exception):
    """Base of all errors that agentsoc raises on purpose."""

    exit_code: ClassVar[int] = 1
    """What a command ends with that meets it."""


@dataclass(frozen=True)
class Problem:
    """One fault in a user's input: where it is, what is wrong, what to write instead."""

    where: str
    """Place as ``file:line:column`` or a dotted key, as precise as is known."""
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n    {self.hint}" if self.hint else text


class InputError(AgentsocError):
    """Input that cannot be used; nothing was started and nothing was changed."""

    exit_code = 2

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.problem = Problem(where, what, hint)

    def __str__(self) -> str:
        return str(self.problem)


class ScenarioError(AgentsocError):
    """A scenario that does not hold; carries every problem that was found, not only the first."""

    exit_code = 2
    shown: ClassVar[int] = 4

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[: self.shown]]
        hidden = len(self.problems) - self.shown
        if hidden > 0:
            lines.append(f"... and {hidden} more problem{'s' if hidden > 1 else ''}")
        return "\n".join(lines)


class TopologyError(InputError):
    """A topology that cannot be built for this number of agents or this context window."""


class TaskError(InputError):
    """A task family that cannot produce what was asked of it."""


class MissingExtraError(InputError):
    """A part needs a package that is not installed."""

    def __init__(self, part: str, package: str, extra: str) -> None:
        super().__init__(
            f"{part} needs the package {package}, which is not installed",
            "",
            f'install it: pip install "agentsoc[{extra}]"',
        )
        self.args = (part, package, extra)


class BackendSetupError(InputError):
    """A model backend that cannot start: file missing, hash wrong, key missing, address refused."""


class ConsentNeededError(InputError):
    """A run would send prompts, or a variable of the environment, to an address that nobody has agreed to."""


class RunLockedError(InputError):
    """Another process is writing this run directory."""


class RunFailedError(AgentsocError):
    """A run stopped because of a fault; what is on disk is valid and can be resumed."""

    exit_code = 1

    def __init__(self, what: str, run_dir: str = "", hint: str = "") -> None:
        super().__init__(what, run_dir, hint)
        self.what, self.run_dir, self.hint = what, run_dir, hint

    def __str__(self) -> str:
        hint = self.hint or (
            f"what is on disk is safe; go on with: agentsoc resume {self.run_dir}" if self.run_dir else ""
        )
        return f"{self.what}\n    {hint}" if hint else self.what


class BrokenDataError(AgentsocError):
    """Runs that say nothing about their societies, because server, network or key failed too often in them."""

    exit_code = 1

    def __init__(self, runs: tuple[str, ...], n_runs: int) -> None:
        super().__init__(runs, n_runs)
        self.runs, self.n_runs = runs, n_runs

    def __str__(self) -> str:
        more = f"\n    and {self.n_runs - len(self.runs):,} more" if self.n_runs > len(self.runs) else ""
        listed = "".join(f"\n    {run}" for run in self.runs)
        return (
            f"no verdict over failures of the infrastructure:{listed}{more}\n"
            "    make the failed turns again with: agentsoc resume RUN --retry-failed\n"
            "    or use the runs as they are with: --accept-failures"
        )


class LogDamagedError(AgentsocError):
    """A log that is not what was written: cut, altered, missing or from another run."""

    exit_code = 4

    def __init__(self, what: str, where: str, hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.problem = Problem(where, what, hint)

    def __str__(self) -> str:
        return str(self.problem)


class NoRunError(InputError, LogDamagedError):
    """There is no run where one is wanted: nothing at all, another kind of directory, or one that no run was put in.

    It counts as bad input; whoever asks whether a log can be read meets it as one that cannot.
    """

    exit_code = 2


class ReplayMismatchError(AgentsocError):
    """A replay that does not reproduce the stored log; names the first divergence."""

    exit_code = 5

    def __init__(self, what: str, where: str, expected: str = "", found: str = "") -> None:
        super().__init__(what, where, expected, found)
        self.what, self.where, self.expected, self.found = what, where, expected, found

    def __str__(self) -> str:
        text = f"replay differs from the log at {self.where}: {self.what}"
        if self.expected or self.found:
            text += f"\n    stored:   {self.expected}\n    replayed: {self.found}"
        return text


class RoundChangedError(ReplayMismatchError):
    """A round that is made again asks or grants otherwise than its kept answers were asked: it is made again whole."""

    def __init__(self, what: str, where: str, task: int = 0, round_: int = 0) -> None:
        super().__init__(what, where)
        self.task, self.round = task, round_


class ModelFailedError(RunFailedError):
    """A run stopped because a model that it asks cannot be used; `resume` makes its failed turns again."""


class EnvironmentFailedError(RunFailedError):
    """A run stopped because its environment failed; `resume` goes on with it once its code was mended."""


class InterruptedRunError(AgentsocError):
    """A run that was asked to stop; it can be resumed."""

    exit_code = 130

    def __init__(self, run_dir: str) -> None:
        super().__init__(run_dir)
        self.run_dir = run_dir

    def __str__(self) -> str:
        return f"interrupted; everything received is safe\n    go on with: agentsoc resume {self.run_dir}"
