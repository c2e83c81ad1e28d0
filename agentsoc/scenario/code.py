"""This module loads loose user code, a Python file whose parts a scenario may name, when the command line says so.

A scenario or a log from somebody else never causes an import: only ``--allow-code FILE`` does. What is executed are the
bytes whose SHA-256 is returned, so the manifest can say exactly which code a run depended on.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
import traceback
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentsoc.contracts.part import LOOSE_MODULE, Part, Slot, kind_of
from agentsoc.errors import InputError
from agentsoc.scenario.source import decode, printable, read_bytes

KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")

_HOW: Final = (
    "derive a class from Topology, Protocol, TaskFamily, Model, Tool or Environment and give it kind: "
    'Literal["my-kind"] = "my-kind"; see docs/plugins.md'
)
_loaded: dict[str, dict[str, str]] = {}


@dataclass(frozen=True)
class CodeFiles:
    """Loose code files together with the hashes of what was loaded from them, which a manifest records."""

    paths: Sequence[Path] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by file name, as `load_codes` returns it."""


def load_code(path: str | Path, sha256: str | None = None) -> dict[str, str]:
    """Import a Python file and register every part that it defines; all of them or, on a fault, none.

    Loading the same file again does nothing. Classes are known by the module name ``agentsoc_code_<hash>``.

    Args:
        path: the file, as the person who runs the command named it.
        sha256: the hash that its bytes have to have; None for any, because naming the file is consent to run it.

    Returns:
        dict[str, str]: ``file``, its name without directory, and ``sha256``, the hash of its bytes, as the manifest
            records them.

    Raises:
        ScenarioError: the file cannot be read or is not UTF-8.
        InputError: it has another hash, it is not Python, importing it fails, it defines no part, or a kind is taken
            already.
    """
    path = Path(path)
    where = printable(str(path), 200)
    raw = read_bytes(path)
    source = decode(raw, where)
    digest = hashlib.sha256(raw).hexdigest()
    if sha256 not in (None, digest):  # nothing of it has run
        raise InputError("this file is not the one that was looked at a moment ago", where, "start again")
    if digest not in _loaded:
        module = _imported(source, path, where, f"{LOOSE_MODULE}{digest[:16]}")
        try:
            for part in _checked_parts(module, source, where):
                Slot.register(part)
        except InputError:
            del sys.modules[module.__name__]
            raise
        _loaded[digest] = {"file": path.name, "sha256": digest}
    return {"file": path.name, "sha256": digest}


def load_codes(paths: Sequence[str | Path]) -> dict[str, str]:
    """Import several files and return their hashes by file name, as the manifest records them; see `load_code`."""
    found = [load_code(path) for path in paths]
    return {code["file"]: code["sha256"] for code in found}


def load_recorded(
    paths: Sequence[str | Path],
    recorded: Mapping[str, str],
    what: str,
    directory: Path,
    *,
    more: bool = False,
    mended: bool = False,
) -> dict[str, str]:
    """Import the files that something stored was made with; nothing of any of them runs before all hashes agree.

    Args:
        paths: the files, as the person who runs the command named them.
        recorded: file name -> SHA-256, as they were written down.
        what: what is stored, for messages: this run, this comparison.
        directory: where it is stored.
        more: whether there may be files that are not recorded.
        mended: whether a file may be another version than the recorded one: it had a fault that ended the run.

    Returns:
        File name -> SHA-256 of all that were imported.

    Raises:
        ScenarioError: a file cannot be read or is not UTF-8.
        InputError: a file is not what was recorded or not among those recorded, one is missing, or importing one fails.
    """
    given = check_recorded(paths, {} if mended else recorded, what, directory, more=more)
    for name, digest in recorded.items():
        if name not in given:
            raise InputError(
                f"{what} was made with the loose code file {name}, SHA-256 {digest[:12]}...",
                str(directory),
                f"add: --allow-code PATH/TO/{name}, if you have read it and mean to run it",
            )
    for path in paths:
        load_code(path, given[Path(path).name])
    return given


def check_recorded(
    paths: Sequence[str | Path], recorded: Mapping[str, str], what: str, directory: Path, *, more: bool = False
) -> dict[str, str]:
    """Return the hashes of files by name after comparing them with what was recorded; see `load_recorded`.

    Raises:
        InputError: a file is not what was recorded, or not among those recorded; nothing of any of them has run.
    """
    given: dict[str, str] = {}
    for path in map(Path, paths):
        digest = hashlib.sha256(read_bytes(path)).hexdigest()
        given[path.name] = digest
        known = recorded.get(path.name)
        if known is not None and known != digest:
            raise InputError(
                f"{what} was made with another version of {path.name}: SHA-256 {known[:12]}..., not {digest[:12]}...; "
                "nothing of the file was run",
                str(directory),
                f"add: --allow-code PATH/TO/{path.name} with the file that it was made with",
            )
        # where nothing at all was recorded (a run made from Python), there is nothing to compare with
        if known is None and recorded and not more and digest not in _loaded:
            raise InputError(
                f"{what} was made without the loose code file {path.name}; nothing of the file was run",
                str(directory),
                "leave out --allow-code for this file",
            )
    return given


def loaded_code() -> list[dict[str, str]]:
    """Return what `load_code` returned for every file loaded in this process, in the order of loading."""
    return list(_loaded.values())


def forget_code() -> None:
    """Forget every loaded file and its parts, so that tests do not see each other's."""
    for digest in _loaded:
        sys.modules.pop(f"{LOOSE_MODULE}{digest[:16]}", None)
    _loaded.clear()
    Slot.forget_loose()


def _imported(source: str, path: Path, where: str, name: str) -> types.ModuleType:
    try:
        code = compile(source, str(path.resolve()), "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f"{where}:{error.lineno or 1}:{error.offset or 1}"
        raise InputError(f"this is not Python: {error.msg}", place, "correct the line") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"this is not Python: {error}", where, "check the file") from None
    module = types.ModuleType(name)
    module.__file__ = str(path.resolve())
    sys.modules[name] = module  # before it runs: pydantic looks up annotations there
    try:
        exec(code, module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file of somebody's may raise anything
        del sys.modules[name]
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == module.__file__]
        place = f"{where}:{frames[-1].lineno}" if frames else where
        what = printable(" ".join(str(error).split()), 200)
        hint = "install what it imports" if isinstance(error, ImportError) else "correct the file; it must import alone"
        raise InputError(f"importing it fails: {type(error).__name__}: {what}", place, hint) from error
    return module


def _checked_parts(module: types.ModuleType, source: str, where: str) -> list[type[Part]]:
    lines = {node.name: node.lineno for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    parts: dict[tuple[str, str], type[Part]] = {}
    for name, value in vars(module).items():
        is_part = isinstance(value, type) and issubclass(value, Part) and value.__module__ == module.__name__
        if not is_part or not value.slot or name != value.__name__:
            continue
        place = f"{where}:{lines[name]}" if name in lines else where
        if inspect.isabstract(value):
            if "kind" in value.__annotations__:
                missing = ", ".join(sorted(value.__abstractmethods__))
                raise InputError(f"{name} lacks {missing}", place, f"write {missing} in {name}")
            continue  # a base class of the file's own
        try:
            kind = kind_of(value)
        except InputError as error:
            raise InputError(error.problem.what, place, _HOW) from None
        if KIND.fullmatch(kind) is None:
            raise InputError(
                f'"{printable(kind, 60)}" is no name for a kind', place, "use a-z, 0-9 and -, like: my-kind"
            )
        taken = kind in Slot.entries(value.slot) or kind in Slot.loose(value.slot) or (value.slot, kind) in parts
        if taken:
            noun = value.slot.removeprefix("agentsoc.")
            raise InputError(
                f'the kind "{kind}" of {name} is taken already among {noun}', place, "give it another kind"
            )
        parts[value.slot, kind] = value
    if not parts:
        raise InputError("no part is defined in this file", where, _HOW)
    return list(parts.values())
