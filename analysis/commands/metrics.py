"""This module is `agentsoc metrics`: it says what coordination cost, how diverse agents were, how errors spread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AcceptFailures, AsJson
from agentsoc.printing.terminal import note, print_json, say
from analysis.extras import require

if TYPE_CHECKING:
    from agentsoc.backends.embedding import LiteLLMEmbedder, LocalEmbedder, ServerEmbedder


def metrics(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs, or directories that hold some.")],
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="The single agent's run [the only run with one agent among DIR...]."),
    ] = None,
    embed: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Compare texts, not answers: local for the embedded model, or a model as litellm writes it.",
        ),
    ] = None,
    embed_url: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible server that has MODEL, up to /v1.")
    ] = None,
    embed_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key for MODEL.")
    ] = None,
    centred: Annotated[
        bool, typer.Option("--centred", help="Take what all have in common away before channels are counted.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all resampling.")] = 0,
    accept_failures: AcceptFailures = False,
    as_json: AsJson = False,
) -> None:
    """Say what coordination cost in the runs in DIR..., and what it gave.

    Overhead, efficiency, message density, success per token, information gain, use of the budget; diversity K* and
    redundancy; effective votes and error amplification; what exchange made of votes, and the law of team size over runs
    of several sizes. Every number comes with a 95 % interval over tasks.
    """
    require("numba", "scipy")
    if embed is None and (embed_url or embed_key_env):
        raise InputError("there is no model to embed with", "--embed-url", "add --embed MODEL")
    import analysis
    from analysis.measures.failures import require_unbroken
    from analysis.measures.text import as_dict, as_text

    for text in require_unbroken(directories, accept_failures):
        note(text)

    model = None if embed is None else _embedder(embed, embed_url, embed_key_env)
    try:
        from agentsoc.log.read import RunLog
        from analysis.measures.embeddings import CachedEmbedder, cache_of

        cached = None if model is None else lambda directory: CachedEmbedder(model, cache_of(RunLog(directory)))
        reports = analysis.metrics(
            directories, baseline=baseline, embedder=cached, centred=centred, seed=seed,
            accept_failures=accept_failures,
        )  # fmt: skip
    finally:
        if model is not None:
            model.close()
    if as_json:
        print_json(as_dict(reports))
    else:
        say(as_text(reports))


def _embedder(model: str, url: str | None, key: str | None) -> LocalEmbedder | ServerEmbedder | LiteLLMEmbedder:
    from agentsoc.backends.embedding import LiteLLMEmbedder, LocalEmbedder, ServerEmbedder

    if url is not None:
        return ServerEmbedder(model, url, key)
    if model == "local":
        return LocalEmbedder()
    return LiteLLMEmbedder(model, key)
