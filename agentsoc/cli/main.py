"""This module holds `main`, which the command ``agentsoc`` runs: it finds the verb and returns an exit code.

Exit codes: 0 done; 1 run failed; 2 bad input; 3 done, but the budget ended at least one episode; 4 log damaged;
5 replay mismatch; 130 interrupted and resumable.

An error is one message on stderr, never a traceback unless ``--debug`` asks for it. With ``--json`` stdout then holds
one object all the same: ``{"error": ..., "kind": ..., "exit_code": ...}``.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from agentsoc.cli.verbs import Verbs
from agentsoc.errors import AgentsocError, InterruptedRunError, RunFailedError
from agentsoc.printing.terminal import note, print_json, tolerate_any_encoding


@dataclass
class State:
    """The state holds the options that stood before the verb."""

    debug: bool = False


state = State()
app = typer.Typer(
    cls=Verbs,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"agentsoc {version('agentsoc')}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done, 1 run failed, 2 bad input, 3 budget exhausted in at least one episode, "
    "4 log damaged, 5 replay mismatch, 130 interrupted and resumable."
)
def agentsoc(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="AGENTSOC_DEBUG", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Societies of LLM agents under one token budget: run them, replay them, compare them."""
    state.debug = debug


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `args` default to those of the process."""
    words = list(sys.argv[1:] if args is None else args)
    state.debug = False
    tolerate_any_encoding()
    try:
        code = app(args=words or ["--help"], prog_name="agentsoc", standalone_mode=False)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a library in Rust panics, a plug-in calls sys.exit: neither is an Exception
        if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
            return 1  # whoever read the output went away; the option parser says so in this way
        return _fail(error, "--json" in words)
    return code if isinstance(code, int) else 0


def _fail(error: BaseException, as_json: bool) -> int:
    """Say what went wrong and return the exit code; what looks like a key is masked."""
    from agentsoc.backends.secrets import redact, register_environment

    register_environment()
    if isinstance(error, AgentsocError):
        code, text = error.exit_code, str(error)
    elif hasattr(error, "format_message"):  # the option parser's own errors
        code = int(getattr(error, "exit_code", 2))
        where = getattr(getattr(error, "ctx", None), "command_path", "agentsoc")
        text = f"{error.format_message()}\n    {where} --help shows what there is"
    elif isinstance(error, typer.Abort):
        code, text = 130, "interrupted"
    elif isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        code, text = 2, f"{str(error.filename)[:60]}...: {error.strerror}\n    name a file or a directory that is there"
    else:
        code, text = 1, _unexpected(error)
    if state.debug:
        note(redact("".join(traceback.format_exception(error)).rstrip()))
    text = redact(text)
    note(f"error: {text}")
    if as_json:
        print_json({"error": text, "kind": type(error).__name__, "exit_code": code, **_run_of(error)})
    return code


def _run_of(error: BaseException) -> dict[str, Any]:
    """Return what is there of the run that an error ended: where it is, and how many calls failed, by who failed."""
    from agentsoc.log.manifest import load_manifest

    if not isinstance(error, RunFailedError | InterruptedRunError) or not error.run_dir:
        return {}
    try:
        return {"run_dir": error.run_dir, "failures": load_manifest(Path(error.run_dir)).failures}
    except (AgentsocError, OSError):
        return {}


def _unexpected(error: BaseException) -> str:
    """Return what is said of an error that nobody foresaw: a fault here, or in code that a person brought."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    what = " ".join(str(error).split())[:500]
    if isinstance(error, SystemExit):
        return f"SystemExit{place}: {what}\n    code that it uses ended the program; it must raise an error"
    return f"{type(error).__name__}{place}: {what}\n    nobody foresaw this; to see the traceback: agentsoc --debug ..."


if __name__ == "__main__":
    sys.exit(main())
