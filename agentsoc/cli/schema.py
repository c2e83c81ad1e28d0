"""This module is `agentsoc schema`: it prints the JSON Schema of scenario files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.terminal import note, print_json


def schema(
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of stdout.")] = None,
    comparison: Annotated[bool, typer.Option("--comparison", help="Of comparison files instead.")] = False,
) -> None:
    """Print the JSON Schema of scenario files, with every installed kind of part.

    With "# yaml-language-server: $schema=scenario.schema.json" as first line of a scenario, an editor completes keys,
    says what they mean and marks faults.
    """
    if comparison:
        from agentsoc.experiment.schema import comparison_schema

        found = comparison_schema()
    else:
        from agentsoc.scenario.schema import scenario_schema

        found = scenario_schema()
    if out is None:
        print_json(found)
        return
    try:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"the file cannot be written: {error.strerror}", str(out)) from None
    note(f"written: {out}")
