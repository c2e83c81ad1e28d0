"""Lists the sentences that a report can print, and those that no test sees on both sides.

Usage: ``python -m benchmarks.sentence_inventory [--all]``. Exit code 1 if one is left.

A *sentence* is a text of two words or more in the source of `analysis`, taken from its syntax tree; of an f-string, the
fixed texts around what is filled in. Left out by rule is what no report prints: docstrings, errors that are raised,
help of options, pictures, what a fit card says of its method, and importers' errors. sentence_labels.yaml has labels,
units and headings, and what stands in every report of its kind, each group with its reason.

Tests see a sentence *there* where a test module has its words. They see it *absent* where they

- hand its words to `tests.sides.told_apart`, which asserts that they stand in some texts and in others do not,
- assert that the words are not in a text, or that being in it is a value that tests give as true and as false,
- or have the words of another sentence that the same function gives on the other side of a condition: where that one
  stands, this one cannot.

This reads tests, it does not run them: that each assertion holds is for the tests to show, and whether they notice a
sentence that is said at the wrong time is shown by planting that (`benchmarks.sentence_faults`).
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
LABELS: Final = Path(__file__).parent / "sentence_labels.yaml"
HOLE: Final = "{}"
_ENOUGH: Final = 12
"""Characters by which a fixed text is told from others; of a sentence without such a text its longest counts."""
_EDGE: Final = " .,:;()[]=<>+-%'\"0123456789\n"
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_SILENT: Final = frozenset({"FitCard", "Option", "Argument", "InputError", "Finding", "warn", "compile"})
"""Calls whose texts no report prints as sentences: fit cards name methods, options have help, errors are raised."""
_LIBRARY: Final = frozenset(
    {
        "analysis/registry.py",
        "analysis/stats/regression.py",
        "analysis/stats/selector.py",
        "analysis/stats/configurations.py",
        "analysis/synergy/estimation/holdout.py",
        "analysis/synergy/simulation/simulate_risk.py",
        "analysis/voting/saturation.py",
        "analysis/claims/reach.py",
        "analysis/cascade_laws/nulls.py",
        "analysis/exporters/otlp.py",
        "analysis/importers/chats/foreign.py",
        "analysis/importers/claims.py",
        "analysis/importers/importer.py",
        "analysis/importers/labels.py",
        "analysis/importers/mas_elites.py",
        "analysis/importers/sample.py",
        "analysis/importers/spans/meaning.py",
        "analysis/importers/spans/tree.py",
        "analysis/importers/store.py",
        "analysis/viewer/charts/svg.py",
        "analysis/viewer/document/parts.py",
        "analysis/viewer/document/whole.py",
        "analysis/viewer/server/assets.py",
        "analysis/viewer/server/guard.py",
        "analysis/viewer/server/serve.py",
    }
)
"""Modules whose texts no verb prints in a report: asked for from Python, errors of `import` that helpers make, or
markup, which `tests/unit/test_viewer_document.py` reads as a browser does, and what the viewer's server refuses, for
which `tests/unit/test_view_server.py` asks.
"""
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers")


@dataclass(frozen=True)
class Sentence:
    """A sentence is a text in a module, with a hole for each value that is filled in."""

    module: str
    line: int
    text: str
    function: str = ""
    conditions: frozenset[tuple[int, int, bool]] = field(default=frozenset(), repr=False)
    """Where it is said: place of a condition, and whether it holds."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The fixed texts by which a test can name it."""
        return telling(self.text)

    def excludes(self, other: Sentence) -> bool:
        """Return whether where the one is said the other cannot be, by a condition of the function of both."""
        return (self.module, self.function) == (other.module, other.function) and any(
            (line, column, not holds) in other.conditions for line, column, holds in self.conditions
        )


def telling(text: str) -> tuple[str, ...]:
    """Return the fixed texts that are long enough, else the longest."""
    found = [one for piece in text.casefold().split(HOLE) if (one := piece.strip(_EDGE))]
    long = tuple(one for one in found if len(one) >= _ENOUGH and len(_WORD.findall(one)) > 1)
    return long or tuple(sorted(found, key=len)[-1:])


def template(node: ast.AST) -> str | None:
    """Return the text of a literal, with a hole for each value; None for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
    return None


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class Reader:
    """A reader walks the syntax tree of a module and keeps its sentences with the conditions under which they stand."""

    def __init__(self, module: str) -> None:
        """Begin with a module."""
        self.module = module
        self.found: list[Sentence] = []

    def read(self, node: ast.AST, function: str, when: frozenset[tuple[int, int, bool]]) -> None:
        """Read a node that is reached under these conditions."""
        text = template(node)
        if text is not None and len(_WORD.findall(text.replace(HOLE, " "))) > 1 and " " in text.strip():
            self.found.append(Sentence(self.module, node.lineno, text, function, when))  # type: ignore[attr-defined]
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _name(node.func) in _SILENT):
            return
        if isinstance(node, ast.Subscript) and _name(node.value) in ("Literal", "Annotated"):
            return
        if isinstance(node, ast.JoinedStr):
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    self.read(part.value, function, when)
        elif isinstance(node, ast.If | ast.IfExp):
            self._branches(node, function, when)
        else:
            inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ""
            self._children(node, f"{function}.{inner}" if inner else function, when)

    def _children(self, node: ast.AST, function: str, when: frozenset[tuple[int, int, bool]]) -> None:
        for name, value in ast.iter_fields(node):
            if name in _BLOCKS and isinstance(value, list):
                self._block(value, function, when)
                continue
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    self.read(one, function, when)

    def _branches(self, node: ast.If | ast.IfExp, function: str, when: frozenset[tuple[int, int, bool]]) -> None:
        self.read(node.test, function, when)
        place = (node.lineno, node.col_offset)
        for branch, holds in ((node.body, True), (node.orelse, False)):
            under = when | {(*place, holds)}
            if isinstance(branch, list):
                self._block(branch, function, under)
            else:
                self.read(branch, function, under)

    def _block(self, statements: list[ast.stmt], function: str, when: frozenset[tuple[int, int, bool]]) -> None:
        """Read statements in order: what stands behind a branch that leaves is reached only if that is not taken."""
        for one in statements:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                continue
            self.read(one, function, when)
            if isinstance(one, ast.If) and one.body and isinstance(one.body[-1], ast.Return | ast.Raise | ast.Continue):
                when |= {(one.lineno, one.col_offset, False)}


def sentences(module: str, source: str) -> list[Sentence]:
    """Return the sentences of a module."""
    reader = Reader(module)
    reader.read(ast.parse(source), "", frozenset())
    return reader.found


def _prints(module: str) -> bool:
    """Return whether reports print what the module says."""
    name = module.rpartition("/")[2]
    picture = name in ("figures.py", "curve_figure.py") or "/diagram/" in module
    return module not in _LIBRARY and not picture and "/theory/" not in module


def inventory(root: Path = ROOT) -> list[Sentence]:
    """Return all sentences of the package."""
    found: list[Sentence] = []
    for path in sorted((root / "analysis").rglob("*.py")):
        module = path.relative_to(root).as_posix()
        if _prints(module):
            found += sentences(module, path.read_text(encoding="utf-8"))
    return found


class Texts:
    """Fixed texts, put in order so that one that holds a piece of a sentence, or is a good part of one, is found."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Put them in order."""
        self._whole = frozenset(texts)
        self._joined = "\n".join(sorted(self._whole))
        self._by_start: dict[str, list[str]] = {}
        for text in self._whole:
            if len(text) >= _ENOUGH:
                self._by_start.setdefault(text[:_ENOUGH], []).append(text)

    def __len__(self) -> int:
        return len(self._whole)

    def meet(self, sentence: Sentence) -> bool:
        """Return whether one of the texts tells the sentence."""
        return any(piece in self._joined or self._part_of(piece) for piece in sentence.pieces)

    def _part_of(self, piece: str) -> bool:
        starts = (piece[at : at + _ENOUGH] for at in range(len(piece) - _ENOUGH + 1))
        return any(text in piece for start in starts for text in self._by_start.get(start, ()))


@dataclass(frozen=True)
class Seen:
    """What tests see, as the fixed texts of their literals."""

    there: Texts
    absent: Texts


def seen(sources: Iterable[str]) -> Seen:
    """Return what the tests with these sources see."""
    there: set[str] = set()
    absent: set[str] = set()
    for source in sources:
        tree = ast.parse(source)
        there |= set(_texts(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                absent |= _absences(node)
    return Seen(Texts(there), Texts(absent))


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield the fixed texts of all literals that are no docstrings."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if not isinstance(node, ast.Expr | ast.JoinedStr) and (text := template(child)):
                yield from telling(text)


def _absences(function: ast.FunctionDef) -> set[str]:
    """Return the fixed texts that a test function says to be missing somewhere."""
    named: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                pairs = zip(target.elts, node.value.elts, strict=False) if both else ((target, node.value),)  # type: ignore[attr-defined]
                named |= {one.id: value for one, value in pairs if isinstance(one, ast.Name)}
    said: list[ast.AST] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and _name(node.func) == "told_apart":
            said += [key for one in node.args if isinstance(one, ast.Dict) for key in one.keys if key is not None]
        elif isinstance(node, ast.Compare) and _leaves_out(node):
            said += ast.walk(node.left)
    known = (named.get(one.id, one) if isinstance(one, ast.Name) else one for one in said)
    return {text for one in known if (words := template(one)) for text in telling(words)}


def _leaves_out(node: ast.Compare) -> bool:
    """Return whether a comparison says that words are not in a text, or that being there is a value to be tried."""
    operator, side = node.ops[0], node.left
    if isinstance(operator, ast.NotIn):
        return True
    told = isinstance(side, ast.Compare) or (
        isinstance(side, ast.Call) and _name(side.func) in ("any", "startswith", "endswith")
    )
    return told and isinstance(operator, ast.Is | ast.Eq) and not isinstance(node.comparators[0], ast.Constant)


def seen_below(root: Path = ROOT) -> Seen:
    """Return what the tests of the project see."""
    return seen(path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("test_*.py")))


@dataclass(frozen=True)
class Exempt:
    """The texts that tests need not see on both sides, each with the reason."""

    labels: dict[str, str]
    """No sentences at all."""
    always: dict[str, str]
    """What stands in every report of its kind, and so is absent from none."""


def exempt() -> Exempt:
    """Return what is listed."""
    listed = yaml.safe_load(LABELS.read_text(encoding="utf-8"))
    found = [{text: why for why, texts in listed[kind].items() for text in texts} for kind in ("labels", "always")]
    return Exempt(*found)


def unseen(found: Sequence[Sentence], known: Seen, free: Exempt) -> dict[Sentence, str]:
    """Return the sentences that tests do not see on both sides, each with the side that is missing."""
    asked = [one for one in found if one.text.strip() not in free.labels]
    there = {one: known.there.meet(one) for one in asked}
    left = {}
    for one in asked:
        if not there[one]:
            left[one] = "there"
        elif one.text.strip() in free.always or known.absent.meet(one):
            continue
        elif not any(there[other] and one.excludes(other) for other in asked):
            left[one] = "absent"
    return left


def main(words: Sequence[str] | None = None) -> int:
    """Print what is left, or with --all every sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every sentence, not those alone that are left")
    chosen = parser.parse_args(words)
    found, free = inventory(), exempt()
    left = unseen(found, seen_below(), free)
    for one in found if chosen.all else left:
        print(f"{one.module}:{one.line}: {left.get(one, 'seen')}: {one.text!r}")
    told = [one for one in found if one.text.strip() not in free.labels]
    print(f"{len(told)} sentences, {len(left)} not seen on both sides; {len(found) - len(told)} labels")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
