"""This module is `agentsoc init`: it writes a first scenario to run and to change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import command


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the files go; made if missing.")] = Path(),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The agents' model, e.g. openai/gpt-4o-mini [local; simulated if it is not installed]."
        ),
    ] = None,
    topology: Annotated[str, typer.Option(metavar="KIND", help="Who hears whom.")] = "star",
    as_json: options.AsJson = False,
) -> None:
    """Write a small commented scenario and a file of tasks into DIR, and say what to do next.

    What is written runs as it is, without a key, unless --model names a provider's. No file is ever overwritten.
    """
    from agentsoc.scenario.starter import write_starter

    chosen = _installed() if model is None else model
    scenario, tasks = write_starter(directory, chosen, topology)
    following = [command("check", scenario), command("run", scenario)]
    if as_json:
        print_json({"scenario": str(scenario), "tasks": str(tasks), "model": chosen, "next": following})
        return
    say(f"written:  {scenario}, {tasks}")
    for at, words in enumerate(following):
        say(f"{'next:' if not at else '':<10}{words}")


def _installed() -> str:
    """Return the embedded model where it can run, else voters who need nothing."""
    import importlib.util

    from agentsoc.backends import modelfile
    from agentsoc.errors import InputError

    if importlib.util.find_spec("xllamacpp") is None:
        return "simulated"
    try:
        modelfile.find()
    except InputError:
        return "simulated"
    return "local"
