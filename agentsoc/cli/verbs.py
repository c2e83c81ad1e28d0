"""This module finds the verbs of the command line by entry point and imports them only when they are used.

A package adds one with a line in its own pyproject.toml::

    [project.entry-points."agentsoc.commands"]
    compare = "analysis.commands.compare:compare"     # a function for Typer, or a Typer app

The list that ``agentsoc --help`` prints is made without importing anything: names come from the entry points, the
sentence beside each from the docstring in the source file.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.metadata
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from agentsoc.errors import InputError
from agentsoc.printing.terminal import note
from agentsoc.printing.text import line
from agentsoc.shadowing import INSTALLED, use_own_analysis

GROUP: Final = "agentsoc.commands"
OWN: Final = ("init", "run", "resume", "replay", "fork", "ls", "show", "check", "schema", "model")
"""The built-in verbs, in the order in which the help lists them; others follow by name."""

INSTEAD: Final = {
    "view": "agentsoc show RUN --task 0 tells what happened in a task; agentsoc ls lists the runs",
    "list": "agentsoc ls lists the runs",
    "status": "agentsoc ls lists the runs with their status; agentsoc show RUN says how one went",
    "new": "agentsoc init DIR writes a first scenario",
    "create": "agentsoc init DIR writes a first scenario",
    "start": "agentsoc run SCENARIO runs a scenario",
    "validate": "agentsoc check SCENARIO says what is wrong with a scenario, or what it would run",
    "sweep": "agentsoc run SCENARIO --set KEY=A,B,C runs a scenario for each value",
    "continue": "agentsoc resume RUN goes on with a run",
}
"""What to call in place of words that people try and that are no verbs (yet)."""


@cache
def entries() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the entry points by verb. No other package can take the place of a built-in one."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.name not in found or entry.module.startswith("agentsoc."):
            found[entry.name] = entry
    order = {name: place for place, name in enumerate(OWN)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(OWN)), item[0])))


class Verbs(TyperGroup):
    """This is the group behind ``agentsoc``: it knows the verbs by name and loads the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs; nothing is imported."""
        return list(entries())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the verb and return it as a command, or None when there is none of this name.

        Raises:
            InputError: the package that brings it cannot be imported.
        """
        entry = entries().get(cmd_name)
        if entry is None:
            return None
        if _is_own_analysis(entry):
            use_own_analysis()
        try:
            part = entry.load()
        except (ImportError, AttributeError) as error:
            package = entry.dist.name if entry.dist is not None else entry.module
            raise InputError(
                f"the command {cmd_name} cannot be loaded from {entry.value}: {error}",
                "",
                f"install what {package} needs, or remove it",
            ) from error
        if isinstance(part, typer.Typer):
            built = get_command(part)
        else:
            app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            app.command(cmd_name)(part)
            built = get_command(app)
        built.name = cmd_name
        return built

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb, or fail with the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in entries():
            raise InputError(f'there is no command "{line(args[0], 40)}"', "", nearest_verb(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs with one sentence each."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, blurb(entry)) for name, entry in entries().items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; an interrupt that reaches this place had nothing to save."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("interrupted")
            raise typer.Exit(130) from None


def nearest_verb(word: str) -> str:
    """Return what to call instead of an unknown verb."""
    import difflib

    if word.lower() in INSTEAD:
        return INSTEAD[word.lower()]
    close = difflib.get_close_matches(word.lower(), entries(), n=1, cutoff=0.6)
    if close:
        return f"did you mean: agentsoc {close[0]}"
    return "agentsoc --help lists the commands: " + ", ".join(entries())


def blurb(entry: importlib.metadata.EntryPoint) -> str:
    """Return the first sentence of a verb's docstring, read from its source file; empty when there is none."""
    path = _source(entry.module, [str(INSTALLED.parent)] if _is_own_analysis(entry) else None)
    if path is None:
        return ""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ""
    named = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry.attr)
    text = ast.get_docstring(next(named, tree)) or ""
    return line(text.split("\n\n")[0]).split(". ")[0].rstrip(".")


def _is_own_analysis(entry: importlib.metadata.EntryPoint) -> bool:
    """Return whether a verb is in the package ``analysis`` that comes with agentsoc."""
    return entry.module.partition(".")[0] == INSTALLED.name and entry.dist is not None and entry.dist.name == "agentsoc"


def _source(module: str, search: list[str] | None = None) -> Path | None:
    """Return the source file of a module without importing it or its packages; `search` is where its first one is."""
    origin: str | None = None
    for name in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(name, search)
        if spec is None:
            return None
        search, origin = list(spec.submodule_search_locations or ()), spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None
