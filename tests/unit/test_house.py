"""What keeps the house liveable: short modules and functions, one home a name, no circles, nothing from outside of it.

Only the source is read; nothing of it is imported. What breaks a rule could stand in one of the lists below, which are
empty: a list may only shrink, and an entry that is no longer needed fails its test as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import networkx as nx
import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("agentsoc", "analysis")

LINES_OF_MODULE: Final = 400
LINES_OF_FUNCTION: Final = 60
PARAMETERS: Final = 8

LONG_MODULES: Final[set[str]] = set()
LONG_FUNCTIONS: Final[set[str]] = set()
WIDE_FUNCTIONS: Final[set[str]] = set()
NAMES_WITH_TWO_HOMES: Final[set[str]] = set()
ASKED_BY_NAME: Final[set[str]] = set()
DOCUMENTS_OUTSIDE: Final[set[str]] = set()

FOREIGN: Final = {
    "agentsoc/backends/litellm.py": "answers of litellm have fields that differ by provider and version",
    "agentsoc/backends/litellm_errors.py": "exceptions of litellm and what caused them have no common base",
    "agentsoc/backends/litellm_http.py": "notes whether the client of litellm was wrapped before",
    "agentsoc/backends/local.py": "os.sched_getaffinity is there on Linux only",
    "agentsoc/experiment/runner.py": "os.sched_getaffinity is there on Linux only",
    "agentsoc/cli/main.py": "errors of click, with and without a context",
    "agentsoc/engine/ray_watch.py": "errors of ray, whose cause is not always kept",
    "agentsoc/log/journal.py": "sqlite3 sets the code on errors that come from SQLite itself",
    "agentsoc/scenario/explain.py": "whatever value somebody wrote in place of a field",
    "agentsoc/scenario/strict.py": "PyYAML is built with or without libyaml, and only some of its events have a tag",
    "agentsoc/tasks/gym_source.py": "configurations of reasoning-gym, of which some have a check of their own",
}
"""Files that ask objects of other people's libraries for what may be absent, with the reason. Parts declare theirs."""

DATA_TABLES: Final[set[str]] = set()
"""Modules that hold a table and hardly any code; the limit of lines is not for them."""


@cache
def sources() -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function with its place, e.g. `agentsoc/engine/loop.py:Engine.run`."""

    def within(node: ast.AST, place: str, mark: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{place}{mark}{child.name}", child
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from within(child, f"{place}{mark}{child.name}" if named else place, "." if named else mark)  # type: ignore[attr-defined]

    for file, tree in sources().items():
        yield from within(tree, file, ":")


def hold(found: set[str], still: set[str], rule: str) -> None:
    """Fail for what breaks the rule and is not listed, and for what is listed and breaks it no more."""
    assert not found - still, f"{rule}: {sorted(found - still)}"
    assert not still - found, f"delete from the list, it breaks the rule no more: {sorted(still - found)}"


def test_no_module_is_too_long() -> None:
    lines = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in sources()}
    long = {file for file, n in lines.items() if n > LINES_OF_MODULE}
    hold(long - DATA_TABLES, LONG_MODULES, f"a module has at most {LINES_OF_MODULE} lines")


def is_verb(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is a command: typer makes its options from its parameters, so it has one for each."""
    return any("typer." in ast.unparse(part) for part in (node.args, *node.decorator_list))


def is_compiled(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether numba compiles a function: it takes arrays and numbers, and no objects that hold them."""
    return any(re.search(r"\b_?compiled?\b", ast.unparse(decorator)) for decorator in node.decorator_list)


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, for a command those of its body: typer wants a parameter for each option."""
    first = node.body[0].lineno if is_verb(node) else node.lineno
    return (node.end_lineno or 0) - first + 1


def test_no_function_is_too_long() -> None:
    long = {place for place, node in functions() if lines_of(node) > LINES_OF_FUNCTION}
    hold(long, LONG_FUNCTIONS, f"a function has at most {LINES_OF_FUNCTION} lines")


def test_no_function_has_too_many_parameters() -> None:
    wide = set()
    for place, node in functions():
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        own = names[1:] if names[:1] in (["self"], ["cls"]) else names
        if len(own) > PARAMETERS and not is_verb(node) and not is_compiled(node):
            wide.add(place)
    hold(wide, WIDE_FUNCTIONS, f"a function has at most {PARAMETERS} parameters, more go into an object")


def test_every_public_class_name_has_one_home() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for file, tree in sources().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(file)
    double = {name for name, files in homes.items() if len(files) > 1}
    hold(double, NAMES_WITH_TWO_HOMES, "a public class name has one home")


def asked_by_name(tree: ast.Module) -> bool:
    """Tell whether a module asks an object for an attribute of a given name that it may not have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            named = isinstance(node.args[1], ast.Constant)
            if node.func.id == "hasattr" or (node.func.id == "getattr" and named):
                return True
    return False


def test_no_part_is_asked_for_an_attribute_that_it_may_not_have() -> None:
    found = {file for file, tree in sources().items() if asked_by_name(tree)}
    hold(found - set(FOREIGN), ASKED_BY_NAME, "optional members are declared on the base class, with their default")
    assert set(FOREIGN) <= found, f"no longer an exception: {sorted(set(FOREIGN) - found)}"


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports() -> nx.DiGraph[str]:
    """Return which file imports which, counting imports for the type checker and those within functions."""
    files = {module_of(file): file for file in sources()}
    graph: nx.DiGraph[str] = nx.DiGraph()
    for file, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                module = node.module
                named = [f"{module}.{a.name}" if f"{module}.{a.name}" in files else module for a in node.names]
            else:
                continue
            graph.add_edges_from((file, files[name]) for name in named if name in files and files[name] != file)
    return graph


def test_no_files_import_each_other_in_a_circle() -> None:
    circles = [sorted(part) for part in nx.strongly_connected_components(imports()) if len(part) > 1]
    assert circles == []


def contracts() -> dict[str, dict[str, Any]]:
    """Return the import contracts by name."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return {contract["name"]: contract for contract in found}


def rooms(package: str) -> set[str]:
    """Return the modules and packages right below a package, by their names in it."""
    below = (ROOT / package.replace(".", "/")).iterdir()
    return {path.stem for path in below if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}


@pytest.mark.parametrize(
    ("name", "package"), [("one way through the analysis", "analysis"), ("one way through synergy", "analysis.synergy")]
)
def test_every_room_of_the_analysis_has_its_layer(name: str, package: str) -> None:
    contract = contracts()[name]
    assert contract["containers"] == [package]
    layers = [room for layer in contract["layers"] for room in layer.split(" | ")]
    assert sorted(layers) == sorted(rooms(package))


@pytest.mark.parametrize(
    "name", ["only the commands of the analysis print", "the analysis reads logs, never the engine"]
)
def test_every_room_of_the_analysis_but_commands_is_kept_from_what_runs_and_prints(name: str) -> None:
    assert sorted(contracts()[name]["source_modules"]) == sorted(
        f"analysis.{room}" for room in rooms("analysis") - {"commands"}
    )
    front = (ROOT / "analysis" / "__init__.py").read_text(encoding="utf-8")
    taken = set(re.findall(r"^ *(?:from|import) +(agentsoc[\w.]*|analysis\.commands[\w.]*)", front, re.MULTILINE))
    assert taken <= {"agentsoc.errors"}


def test_contracts_look_away_from_nothing() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert settings["exclude_type_checking_imports"] is False
    assert [name for name, contract in contracts().items() if "ignore_imports" in contract] == []


def test_imports_are_written_out() -> None:
    """A relative import would escape the rules of the layers and the search for circles above."""
    relative = [
        f"{file}:{node.lineno}"
        for file, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@cache
def texts() -> dict[str, str]:
    """Return the text files of the repository by name."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git repository here")
    kinds = {".py", ".md", ".toml", ".yaml", ".yml", ".cff", ".txt", ".ipynb", ""}
    names = [name for name in listed.splitlines() if Path(name).suffix in kinds and "tests/golden/" not in name]
    here = Path(__file__).relative_to(ROOT).as_posix()
    there = [name for name in names if name != here and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in there}


ELSEWHERE: Final = re.compile(r"\b(?:spec|design)/\w|\b(?:style|house)\.md\b|\[[A-Z]+, \d+(?:\.\d+)*\]")


def test_no_text_refers_to_a_document_outside_of_the_repository() -> None:
    found = {name for name, text in texts().items() if ELSEWHERE.search(text)}
    hold(found, DOCUMENTS_OUTSIDE, "what a text refers to is in the repository, or published")


A_MACHINE: Final = re.compile(r"(?<![\w.~/-])/(?:work|root|opt|home|Users|mnt|srv)/(?!somebody\b)")


def test_no_text_names_a_path_of_a_machine() -> None:
    found = {name: match[0] for name, text in texts().items() if (match := A_MACHINE.search(text))}
    assert found == {}


DOCS: Final = re.compile(r"\[[^\]\n]*\]\((?!https?:|mailto:|#)([^)#\s]+)")


def test_every_link_between_documents_leads_to_a_file() -> None:
    broken = [
        f"{name} -> {target}"
        for name, text in texts().items()
        if name.endswith(".md")
        for target in DOCS.findall(text)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert broken == []
