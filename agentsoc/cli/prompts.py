"""This module is `agentsoc prompts`: it lists, prints and copies the default prompt templates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import table


def prompts(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this template alone.")] = None,
    copy: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the templates into this directory.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the prompt templates, print the one called NAME, or copy all of them (or NAME) to begin from.

    A scenario puts its own in their place in the block prompts, e.g. prompts: {answer: {file: prompts/answer.jinja}}.
    """
    from agentsoc.contracts.part import nearest
    from agentsoc.contracts.prompts import TEMPLATES, VARIABLES
    from agentsoc.society.templates import SUFFIX, default_template

    if name is not None and name not in TEMPLATES:
        raise InputError(f'there is no template "{name[:60]}"', "NAME", nearest(name, TEMPLATES))
    names = list(TEMPLATES) if name is None else [name]
    if copy is not None:
        written = _copied({f"{one}{SUFFIX}": default_template(one) for one in names}, copy)
        if as_json:
            print_json({"copied": [str(path) for path in written]})
        else:
            say("\n".join(f"copied {path}" for path in written))
        return
    if as_json:
        about = {
            one: {
                "about": TEMPLATES[one].about,
                "values": {value: VARIABLES[value] for value in TEMPLATES[one].variables},
                "text": default_template(one),
            }
            for one in names
        }
        print_json({"templates": about})
    elif name is None:
        rows = [["template", "what it is for"], *([one, TEMPLATES[one].about] for one in names)]
        say(table(rows))
        say("\nprint one: agentsoc prompts NAME; copy them: agentsoc prompts --copy DIR")
    else:
        say(default_template(name).rstrip("\n"))


def _copied(files: dict[str, str], directory: Path) -> list[Path]:
    """Write new files into a directory; what is there already is left as it is.

    Raises:
        InputError: one of them is there, or cannot be written.
    """
    taken = [name for name in files if (directory / name).exists()]
    if taken:
        raise InputError(f"there is already {taken[0]}", str(directory), "name another directory, or remove it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise InputError(f"the templates cannot be written: {error.strerror}", str(directory)) from None
    return [directory / name for name in files]
