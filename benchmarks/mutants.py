"""The mutants of a module: every small change that `benchmarks.mutate` plants, one at a time."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

_BOUNDS: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
}
_SUMS: dict[type[ast.operator], type[ast.operator]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
}
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
_SMALL = 16


@dataclass(frozen=True)
class Mutant:
    """One change of a module."""

    line: int
    where: str
    """Function or class that it is in."""
    change: str
    """What was and what is, as code; with its number where a function holds the same change several times."""
    kind: str
    make: Callable[[], str]
    """Gives the whole module with the change."""


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    names: dict[ast.AST, str] = {}
    places = list(_places(tree, "<module>", names))
    found: list[Mutant] = []
    times: Counter[tuple[str, str]] = Counter()
    for number, node in enumerate(places):
        for kind, changed in _changes(node):
            shown = [one.test if isinstance(one, ast.If | ast.While) else one for one in (node, changed)]
            before, after = map(_code, shown)
            if before == after:
                continue
            where, change = names[node], f"{before} -> {after}"
            times[where, change] += 1
            if times[where, change] > 1:
                change += f" ({times[where, change]})"
            found.append(Mutant(node.lineno, where, change, kind, partial(_with, tree, places[number], changed)))
    return found


def _code(node: ast.AST) -> str:
    return "(dropped)" if isinstance(node, ast.Pass) else " ".join(ast.unparse(node).split())


def _places(node: ast.AST, where: str, names: dict[ast.AST, str]) -> Iterator[Any]:
    """Yield the nodes that may be changed: no annotations, decorators, docstrings, assertions or formats."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "format_spec", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Assert | ast.ImportFrom | ast.Import):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue  # a docstring
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.keyword) and child.arg in ("strict", "frozen"):
                continue
            inside = where
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = child.name if where == "<module>" else f"{where}.{child.name}"
            elif where == "<module>" and isinstance(child, ast.Assign | ast.AnnAssign):
                inside = ast.unparse(child.targets[0] if isinstance(child, ast.Assign) else child.target)
            if hasattr(child, "lineno"):
                names[child] = where
                yield child
            yield from _places(child, inside, names)


def _with(tree: ast.Module, place: ast.AST, changed: ast.AST) -> str:
    """Return the module with one of its places changed; the tree itself stays as it is."""
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree, {id(place): changed}))) + "\n"


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield (kind, changed node) for each small change of a node."""
    match node:
        case ast.Compare(ops=[op]):
            if type(op) in _BOUNDS:
                yield "bound", ast.Compare(node.left, [_BOUNDS[type(op)]()], node.comparators)
            yield "comparison", ast.Compare(node.left, [_NEGATED[type(op)]()], node.comparators)
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                if type(op) in _BOUNDS:
                    yield (
                        "bound",
                        ast.Compare(
                            node.left, [*ops[:place], _BOUNDS[type(op)](), *ops[place + 1 :]], node.comparators
                        ),
                    )
        case ast.BoolOp(op=op, values=values):
            yield "and, or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for place in range(len(values)):
                rest = [*values[:place], *values[place + 1 :]]
                yield "part dropped", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not dropped", operand
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value)) if abs(value) <= _SMALL:
            yield "constant", ast.Constant(value + 1)
            yield "constant", ast.Constant(value - 1) if value else ast.UnaryOp(ast.USub(), ast.Constant(1))
        case ast.Constant(value=float(value)):
            yield "constant", ast.Constant(2 * value if value else 1.0)
            yield "constant", ast.Constant(value / 2 if value else -1.0)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SUMS and not _text(left, right):
            yield "arithmetic", ast.BinOp(left, _SUMS[type(op)](), right)
        case ast.AugAssign(op=op) if type(op) in _SUMS:
            if not _text(node.value):
                yield "arithmetic", ast.AugAssign(node.target, _SUMS[type(op)](), node.value)
            yield "statement dropped", ast.Pass()
        case ast.Call(func=ast.Name(id=name)) if name in _SWAPPED:
            yield "min, max", ast.Call(ast.Name(_SWAPPED[name]), node.args, node.keywords)
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _SWAPPED:
            yield "min, max", ast.Call(ast.Attribute(owner, _SWAPPED[name]), node.args, node.keywords)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "condition", ast.IfExp(test, orelse, body)
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.Continue() | ast.Break():
            yield "statement dropped", ast.Pass()
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield "statement dropped", ast.If(ast.Constant(False), [node], [])  # the function stays a generator
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "statement dropped", ast.Pass()
        case ast.Return(value=value) if value is not None:
            yield from _returned(value)
        case ast.If(test=test) | ast.While(test=test):
            if not isinstance(test, ast.Compare):
                yield "condition", _header(node, ast.UnaryOp(ast.Not(), test))
        case _:
            pass


def _header(node: ast.If | ast.While, test: ast.expr) -> ast.AST:
    changed = copy.copy(node)
    changed.test = test
    return changed


def _text(*sides: ast.expr) -> bool:
    return any(
        isinstance(side, ast.JoinedStr | ast.List | ast.ListComp) or getattr(side, "value", 0).__class__ is str
        for side in sides
    )


def _returned(value: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    decides = isinstance(value, ast.Compare | ast.BoolOp | ast.Constant) or (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("any", "all", "bool")
    )
    if decides:
        yield "return", ast.Return(ast.Constant(True))
        yield "return", ast.Return(ast.Constant(False))
    else:
        yield "return", ast.Return(ast.Constant(None))
