"""This module defines options that several verbs share, and what they mean to the library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agentsoc.scenario.model import Scenario
    from agentsoc.society.build import BuiltSociety

RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The run directory.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a value of the scenario, e.g. agents.count=8."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME", help="The model of every group: provider/model, a kind, or one named under models."
    ),
]
AllowCode = Annotated[
    list[Path] | None,
    typer.Option("--allow-code", metavar="FILE", help="Import this Python file, whose parts the scenario may name."),
]
Hosts = Annotated[int | None, typer.Option(min=1, help="Hosts that the agents are spread over; more than 1 needs Ray.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR", help="Run on Ray: local starts it here, HOST:PORT joins a cluster, auto that of a Ray job."
    ),
]
Concurrency = Annotated[int | None, typer.Option(min=1, help="Model calls in flight at once.")]
Sync = Annotated[
    str | None,
    typer.Option(metavar="DEST", help="Keep a copy there, every minute and at the end: any fsspec address."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, also for an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
AcceptFailures = Annotated[
    bool, typer.Option("--accept-failures", help="Use runs although server, network or key failed in them.")
]
AllowMcp = Annotated[
    bool, typer.Option("--allow-mcp", help="Let the scenario start the programs (MCP servers) that its tools name.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Agree to what is sent to whom, for this command.")]


def overrides(path: Path, set_: Sequence[str] | None, model: str | None) -> list[str]:
    """Return what is set from outside, as arguments of ``--set``; the model of all groups first, so that those win.

    Args:
        path: the scenario or comparison; what is wrong with it is found when it is loaded.
        set_: the arguments of ``--set``.
        model: the argument of ``--model``.
    """
    if model is None:
        return list(set_ or ())
    from agentsoc.errors import ScenarioError
    from agentsoc.scenario.models import model_arguments
    from agentsoc.scenario.source import decode, read_bytes
    from agentsoc.scenario.strict import parse

    try:
        data = parse(decode(read_bytes(path), str(path)), str(path)).data
    except ScenarioError:
        data = None
    return [*model_arguments(data, model), *(set_ or ())]


def has_total(path: Path, set_: Sequence[str]) -> bool:
    """Return whether the runs of a scenario file share one budget.

    Args:
        path: the file, which was loaded before.
        set_: the arguments of ``--set``.
    """
    from agentsoc.scenario.source import decode, read_bytes
    from agentsoc.scenario.strict import parse

    data = parse(decode(read_bytes(path), str(path)), str(path)).data
    return (isinstance(data, dict) and "budget_total" in data) or any(one.startswith("budget_total") for one in set_)


def engine_changes(hosts: int | None, address: str | None, concurrency: int | None) -> dict[str, Any]:
    """Return the settings of the engine block that the command line gives.

    A cluster that cannot be joined is told of now, within seconds: what is to run on it may take long to build.

    Raises:
        InputError: nobody answers at the address, or the token is missing or refused.
        MissingExtraError: ray is not installed.
    """
    if address is not None:
        from agentsoc.engine.ray_cluster import look

        look(address)
    given = {"hosts": hosts, "address": address, "concurrency": concurrency}
    return {name: value for name, value in given.items() if value is not None}


def with_engine(scenario: Scenario, changes: dict[str, Any]) -> Scenario:
    """Return the scenario, carried out as the command line says; errors name its options."""
    from agentsoc.engine.ready import with_engine

    return with_engine(scenario, changes, named="--")


def ready(scenario: Scenario, file: Path, run: str = "") -> BuiltSociety:
    """Return the society of a scenario from `file`, after checking that a run of it can be started.

    Args:
        scenario: what the file says, with what the command line changed.
        file: where to point at for what does not fit together.
        run: which run of a sweep it is, in words.

    Raises:
        InputError: as `ready_society`; names the place in the file.
    """
    from agentsoc.engine.ready import ready_society
    from agentsoc.scenario.given import placed

    with placed(file, run):
        return ready_society(scenario)
