"""Pages of the reference: every name that others may import, found in the source without importing it.

A page is a list of names, each with the first sentence of its docstring, and below it a heading for each name with an
instruction (``::: module.name``) that the site's builder replaces by signature and docstring. The list is of use
without the site.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

MODULES: Final = {
    "agentsoc": "run societies, and read what came out",
    "agentsoc.plugin": "write parts: protocols, topologies, tasks, models, tools, environments",
    "agentsoc.testing": "test your parts",
    "analysis": "turn logs into laws, differences and plans",
}
"""Modules that others import from, each with what one does with it."""

GUIDES: Final = {
    "agentsoc": "[first ten minutes](../first-ten-minutes.md), [reproducibility](../reproducibility.md)",
    "agentsoc.plugin": "[plug-ins](../plugins.md), by what each name is for, with what is promised",
    "agentsoc.testing": "[testing your parts](../testing-parts.md)",
    "analysis": "[the analysis from Python](../analysis-from-python.md)",
}
"""Pages that show the names of a module at work."""


@dataclass(frozen=True)
class Name:
    """A public name: where others import it from, where it is defined, and what its docstring says first."""

    module: str
    name: str
    home: str
    """Module in which it is defined."""
    kind: str
    """One of class, function, data."""
    said: str
    """First sentence of its docstring; empty for none."""

    @property
    def title(self) -> str:
        """The heading of its entry; names that differ by case alone have different ones."""
        return f"`{self.name}` ({self.kind})"

    @property
    def anchor(self) -> str:
        """The heading's anchor on the page."""
        return f"{self.name.lower()}-{self.kind}"


def page_of(module: str) -> str:
    """Return the file name of a module's page."""
    return f"{module.rpartition('.')[2]}.md"


@cache
def source(module: str) -> ast.Module:
    """Return the parsed source of one of our modules."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def exported(module: str) -> list[str]:
    """Return the names in a module's ``__all__``, in its order."""
    for node in source(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    raise ValueError(f"{module} has no __all__")


def returned(module: str) -> list[tuple[str, str]]:
    """Return the classes that a module's functions return and that no module exports: (name, who imports it), sorted.

    Only functions that are written in the module itself or in the one that it takes them from count.
    """
    public = {name for one in MODULES for name in exported(one)}
    found: set[tuple[str, str]] = set()
    for one in (find(module, name) for name in exported(module)):
        ours = {name for name, home in _imports(one.home).items() if home.split(".")[0] in ("agentsoc", "analysis")}
        for node in source(one.home).body:
            if isinstance(node, ast.FunctionDef) and node.name == one.name and node.returns is not None:
                told = {part.id for part in ast.walk(node.returns) if isinstance(part, ast.Name)}
                found |= {(name, one.home) for name in (told & ours) - public}
    return sorted(dict(sorted(found, reverse=True)).items())


def _imports(module: str) -> dict[str, str]:
    """Return what a module imports by name, also for the type checker alone: name -> module it comes from."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(source(module))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _definition(module: str, name: str) -> tuple[str, str, str] | None:
    """Return kind and docstring of what a module defines under a name, with the module itself; None if it does not."""
    body = source(module).body
    for at, node in enumerate(body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, "class", ast.get_docstring(node) or ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            if any("overload" in ast.unparse(decorator) for decorator in node.decorator_list):
                continue
            return module, "function", ast.get_docstring(node) or ""
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if _assigns(node) else []  # type: ignore[attr-defined]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            kind = "data"
            if isinstance(value := node.value, ast.Name) and (same := _definition(module, value.id)):  # type: ignore[attr-defined]
                kind = same[1]
            after = body[at + 1] if at + 1 < len(body) else None
            told = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            return module, kind, str(told)
    return None


def _assigns(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign)


def find(module: str, name: str) -> Name:
    """Return what is known of a public name, following imports to where it is defined.

    Raises:
        ValueError: it is defined nowhere.
    """
    home = module
    while (found := _definition(home, name)) is None:
        if name not in (imported := _imports(home)):
            raise ValueError(f"{module}.{name} is defined nowhere")
        home = imported[name]
    _, kind, docstring = found
    return Name(module, name, home, kind, first_sentence(docstring))


def first_sentence(docstring: str) -> str:
    """Return the first sentence of a docstring on one line, as Markdown for a cell of a table."""
    text = " ".join(docstring.strip().split("\n\n")[0].split()).replace("``", "`")
    sentence = re.split(r"(?<=[^.][.!?]) (?=[A-Z`])", text)[0]
    return sentence.rstrip(".:").replace("|", "\\|")


def names_of(module: str) -> list[Name]:
    """Return the names of a module's page: those it exports, then classes that its functions return."""
    return [find(module, name) for name in exported(module)] + [find(home, name) for name, home in returned(module)]


def reference_page(module: str, banner: str) -> str:
    """Return the page of one module as Markdown."""
    public = exported(module)
    names = names_of(module)
    groups = {
        "Functions": [one for one in names if one.kind == "function"],
        "Classes": [one for one in names if one.kind == "class" and one.name in public],
        "Data": [one for one in names if one.kind == "data"],
        "What the functions return": [one for one in names if one.name not in public],
    }
    lines = [f"# {module}", "", banner, "", f"To {MODULES[module]}. Shown at work: {GUIDES[module]}.", ""]
    for title, group in groups.items():
        lines += _list(title, group)
    for one in names:
        source_of = one.module if one.name in public else one.home
        lines += [f"## {one.title}", ""]
        if one.name not in public:
            lines += [f"Defined in `{one.home}`.", ""]
        lines += [f"::: {source_of}.{one.name}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _list(title: str, names: list[Name]) -> Iterator[str]:
    if names:
        yield from (f"**{title}**", "", "| name | what it is |", "| --- | --- |")
        yield from (f"| [`{one.name}`](#{one.anchor}) | {one.said} |" for one in names)
        yield ""


def index_page(banner: str) -> str:
    """Return the page that leads to the modules."""
    lines = [
        "# Reference of the Python names",
        "",
        banner,
        "",
        "What you can import, module by module, with signatures, shapes, units and errors from the docstrings. A name",
        "that is not here is internal and may change with any release ([compatibility](../compatibility.md)).",
        "",
        *(f"- [`{module}`]({page_of(module)}): to {what}." for module, what in MODULES.items()),
        "",
        "Of scenarios, the [scenario reference](../scenario-reference.md) has every key; of logs, the [log",
        "format](../log-format.md) has every column; of commands, `agentsoc COMMAND --help` has every option.",
    ]
    return "\n".join(lines) + "\n"


def reference_pages(banner: str) -> dict[str, str]:
    """Return the pages of the reference by file name."""
    return {"index.md": index_page(banner)} | {page_of(module): reference_page(module, banner) for module in MODULES}
