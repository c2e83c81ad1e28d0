"""Options that several verbs share, and what they mean to the library."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentsoc.errors import InputError, Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentsoc.scenario.model import Scenario
    from agentsoc.society.build import BuiltSociety

RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a value of the scenario, e.g. agents.count=8."),
]
AllowCode = Annotated[
    list[Path] | None,
    typer.Option("--allow-code", metavar="FILE", help="Import this Python file, whose parts the scenario may name."),
]
Hosts = Annotated[int | None, typer.Option(min=1, help="Hosts that the agents are spread over; more than 1 needs Ray.")]
Address = Annotated[
    str | None,
    typer.Option(metavar="ADDR", help="Run on Ray: local starts it here, HOST:PORT joins a cluster."),
]
Concurrency = Annotated[int | None, typer.Option(min=1, help="Model calls in flight at once.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, also for an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Agree to what is sent to whom, for this command.")]


def engine_changes(hosts: int | None, address: str | None, concurrency: int | None) -> dict[str, Any]:
    """Return the settings of the engine block that the command line gives."""
    given = {"hosts": hosts, "address": address, "concurrency": concurrency}
    return {name: value for name, value in given.items() if value is not None}


def with_engine(scenario: Scenario, changes: dict[str, Any]) -> Scenario:
    """Return the scenario, carried out as the command line says.

    Raises:
        ScenarioError: a setting is out of its range.
        InputError: several hosts without Ray.
    """
    from pydantic import ValidationError

    from agentsoc.scenario.model import Engine

    try:
        engine = Engine.model_validate({**scenario.engine.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise ScenarioError([Problem(f"--{name} {changes.get(name)}", str(first["msg"]), "see --help")]) from None
    if engine.hosts > 1 and engine.address is None:
        raise InputError(
            f"{engine.hosts} hosts need Ray",
            "--hosts",
            "add --address local to start it here, or --address HOST:PORT to join a cluster",
        )
    return scenario.model_copy(update={"engine": engine})


def built(scenario: Scenario, file: Path, run: str = "") -> BuiltSociety:
    """Return the society of a scenario from `file`, which can also pay for a call.

    Args:
        scenario: what the file says, with what the command line changed.
        file: where to point at for what does not fit together.
        run: which run of a sweep it is, in words.

    Raises:
        InputError: no such society can be built, or its budget pays for no call; names the place in the file.
    """
    from agentsoc.engine.forecast import require_a_call
    from agentsoc.society.build import build_society

    with placed(file, run):
        society = build_society(scenario)
        _require_tasks(scenario)
        require_a_call(society)
    return society


@contextlib.contextmanager
def placed(file: Path, run: str = "") -> Iterator[None]:
    """Let an `InputError` that names a key of the scenario name its place in `file` instead.

    Args:
        file: the scenario file.
        run: which run of a sweep it is, in words.
    """
    from agentsoc.scenario.load import place_of
    from agentsoc.scenario.source import printable

    try:
        yield
    except InputError as error:
        problem = error.problem
        where = place_of(file, problem.where) if problem.where else printable(str(file), 200)
        if problem.where and not re.search(r":\d+:\d+$", where):  # a file, or a key that the command line set
            where += f": {problem.where}"
        what = f"{problem.what} (run {run})" if run else problem.what
        raise InputError(what, where, problem.hint) from error


def _require_tasks(scenario: Scenario) -> None:
    """Check that the first and the last task exist: a family may read them from a file."""
    family = scenario.tasks
    try:
        family.make(scenario.tasks_seed, 0)
        family.make(scenario.tasks_seed, family.count - 1)
    except InputError as error:
        problem = error.problem
        what = f"{problem.where}: {problem.what}" if problem.where else problem.what
        raise InputError(f"the tasks cannot be made: {what}", "tasks", problem.hint) from error


def loaded(files: Sequence[Path] | None) -> dict[str, str]:
    """Import the files of ``--allow-code`` and return their hashes by name, as the manifest records them."""
    from agentsoc.scenario.code import load_code

    found = [load_code(path) for path in files or ()]
    return {code["file"]: code["sha256"] for code in found}
