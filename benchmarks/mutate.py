"""Which small faults of the decision code the tests notice: `python -m benchmarks.mutate`, or `make mutate`.

A mutant is a module with one small change: a comparison or a condition turned round, a bound moved by one, a statement
dropped, `min` for `max`, another value returned. The test files that concern the module are run on it, in a copy of the
working tree, never in place, one process at a time, until the first test fails. A mutant that no test notices is either
a test that is missing or, listed in mutants.yaml with the reason, no fault at all: nothing that a caller could see.

Which mutants are taken is decided by the seed; a module ends after so many mutants or minutes, whichever comes first.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).parent / "mutants.yaml"

MEMORY = 6 << 30
"""What one test process may take (bytes)."""
TARGETS: dict[str, tuple[str, ...]] = {
    "agentsoc/budget/ledger.py": (
        "tests/unit/test_ledger.py",
        "tests/property/test_ledger.py::test_the_account_holds_whatever_is_used_and_whoever_comes_first",
        "tests/property/test_ledger.py::test_a_round_that_the_budget_pays_for_whole_is_granted_as_any_other",
    ),
    "agentsoc/budget/account.py": ("tests/unit/test_account.py", "tests/unit/test_budget_shown.py"),
    "analysis/tails/verdict.py": ("tests/unit/test_tails_verdict.py",),
    "analysis/tails/compare.py": ("tests/unit/test_tails_verdict.py",),
    "analysis/laws.py": (
        "tests/unit/test_laws.py",
        "tests/e2e/test_laws.py::test_laws_of_an_own_run_keep_the_contract",
    ),
    "analysis/phase/recommend.py": ("tests/unit/test_phase_recommend.py", "tests/unit/test_phase_plan.py"),
    "analysis/comparison_text.py": ("tests/unit/test_comparison_report.py",),
    "analysis/comparison_report.py": ("tests/unit/test_comparison_report.py",),
    "agentsoc/engine/resume.py": (
        "tests/e2e/test_damage.py",
        "tests/unit/test_run_end.py",
        "tests/unit/test_episodes.py",
        "tests/e2e/test_bad_input.py",
    ),
    "agentsoc/log/read.py": ("tests/e2e/test_damage.py", "tests/unit/test_segments.py", "tests/e2e/test_bad_input.py"),
    "agentsoc/cli/check.py": ("tests/e2e/test_cli.py",),
}
"""Module -> the test files (or single tests, as pytest names them) that concern it, the quickest first."""

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


@dataclass(frozen=True)
class Outcome:
    """What the tests made of a mutant: killed, survived, timed out, or equivalent (known not to be a fault)."""

    mutant: Mutant
    end: str
    seconds: float
    by: str = ""
    """The test that noticed it; why it is no fault, if that is known."""


# Mutants


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
        case ast.Call(func=ast.Attribute(attr=name)) if name in _SWAPPED:
            yield "min, max", ast.Call(ast.Attribute(node.func.value, _SWAPPED[name]), node.args, node.keywords)
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


def _header(node: Any, test: ast.expr) -> ast.AST:
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


# Tests of mutants


class Tree:
    """A copy of the working tree in which one module at a time is another one."""

    def __init__(self, directory: Path, python: str) -> None:
        self.directory, self.python = directory, python
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)

    def run(self, words: Sequence[str], limit_s: float, *, keep_code: bool = False) -> tuple[int | None, str]:
        """Run Python in the copy; return its exit code, None if it took too long, and what it printed."""
        kept = {} if keep_code else {"PYTHONDONTWRITEBYTECODE": "1"}
        env = {**os.environ, "PYTHONPATH": str(self.directory), **kept}
        child = subprocess.Popen(
            [self.python, *words],
            cwd=self.directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = child.communicate(timeout=limit_s)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)  # the session that was started for it, with what its tests started
            child.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return None, ""
            raise
        return child.returncode, out

    def test(self, files: Sequence[str], limit_s: float, *, keep_code: bool = False) -> tuple[int | None, str]:
        """Run test files until the first failure."""
        words = ["-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider", *files]
        return self.run(words, limit_s, keep_code=keep_code)


def examine(tree: Tree, module: str, files: Sequence[str], options: argparse.Namespace) -> list[Outcome]:
    """Return the outcomes of a module's mutants."""
    target = tree.directory / module
    source = target.read_text(encoding="utf-8")
    dotted = module.removesuffix(".py").replace("/", ".")
    _, found = tree.run(["-c", f"import {dotted} as m; print(m.__file__)"], 60)
    if found.strip() != str(target):
        raise SystemExit(f"{module}: the tests would not see the copy: {found.strip()[-300:]}")
    target.write_text(ast.unparse(ast.parse(source)) + "\n", encoding="utf-8")
    started = time.monotonic()
    code, out = tree.test(files, 600, keep_code=True)
    whole_s = time.monotonic() - started
    if code != 0:
        raise SystemExit(f"{module}: its tests fail without any fault:\n{out[-3000:]}")
    limit_s = 2.0 * whole_s + options.slack
    chosen = mutants(source)
    n_all = len(chosen)
    random.Random(f"{options.seed} {module}").shuffle(chosen)
    listed = known(module)
    print(f"{module}: {n_all} mutants, {min(options.mutants, n_all)} tried; tests take {whole_s:.1f} s", flush=True)
    ends = time.monotonic() + 60.0 * options.minutes
    outcomes: list[Outcome] = []
    try:
        for mutant in chosen[: options.mutants]:
            if (mutant.where, mutant.change) in listed:
                outcomes.append(Outcome(mutant, "equivalent", 0.0, listed[mutant.where, mutant.change]))
                continue
            if time.monotonic() > ends:
                print(f"  stopped after {options.minutes:g} minutes", flush=True)
                break
            target.write_text(mutant.make(), encoding="utf-8")
            for stale in (target.parent / "__pycache__").glob(f"{target.stem}.*.pyc"):
                stale.unlink()
            outcomes.append(_outcome(tree, mutant, files, limit_s))
            if outcomes[-1].end != "killed" or options.verbose:
                print(f"  {_line(outcomes[-1])}", flush=True)
    finally:
        target.write_text(source, encoding="utf-8")
    return outcomes


def _outcome(tree: Tree, mutant: Mutant, files: Sequence[str], limit_s: float) -> Outcome:
    started = time.monotonic()
    code, out = tree.test(files, limit_s)
    took = time.monotonic() - started
    if code is None:
        return Outcome(mutant, "timed out", took)
    if code == 0:
        return Outcome(mutant, "survived", took)
    if code not in (1, 2, 3) and code > 0:
        raise SystemExit(f"the tests could not be run (exit code {code}):\n{out[-2000:]}")
    said = [line.split(" - ")[0] for line in out.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return Outcome(mutant, "killed", took, said[0] if said else f"exit code {code}")


def known(module: str) -> dict[tuple[str, str], str]:
    """Return the mutants of a module that are no faults: (where, change) -> why."""
    listed = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or {}
    return {(entry["in"], entry["change"]): entry["why"] for entry in listed.get(module, ())}


def _line(outcome: Outcome) -> str:
    one = outcome.mutant
    change = one.change if len(one.change) <= 240 else f"{one.change[:240]}..."
    return f"{outcome.end}: line {one.line}, {one.where}, {one.kind}: {change}" + (
        f"  [{outcome.by}]" if outcome.by else ""
    )


def _table(found: dict[str, list[Outcome]]) -> str:
    rows = [f"{'module':34}{'tried':>8}{'killed':>8}{'timed out':>11}{'survived':>10}{'equivalent':>12}{'minutes':>9}"]
    for module, outcomes in found.items():
        n = Counter(one.end for one in outcomes)
        minutes = sum(one.seconds for one in outcomes) / 60
        rows.append(
            f"{module:34}{len(outcomes):>8}{n['killed']:>8}{n['timed out']:>11}{n['survived']:>10}"
            f"{n['equivalent']:>12}{minutes:>9.1f}"
        )
    return "\n".join(rows)


def main(words: Sequence[str] | None = None) -> int:
    """Try mutants and print what became of them; return 1 if one survived that is not known to be harmless."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="files to change; by default all that are listed here"
    )
    parser.add_argument("--tests", nargs="+", metavar="FILE", help="test files to run, instead of the listed ones")
    parser.add_argument("--mutants", type=int, default=50, help="most mutants of a module (50)")
    parser.add_argument("--minutes", type=float, default=10.0, help="most minutes for a module (10)")
    parser.add_argument(
        "--slack",
        type=float,
        default=10.0,
        help="seconds beyond twice the time of the tests after which they hang (10)",
    )
    parser.add_argument("--seed", type=int, default=1, help="which mutants are taken (1)")
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    parser.add_argument("--verbose", action="store_true", help="print what was noticed, and by which test, as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes to FILE")
    options = parser.parse_args(words)
    modules = options.modules or list(TARGETS)
    for module in modules:
        if not (ROOT / module).is_file():
            parser.error(f"there is no module {module}: give its path from the root of the repository")
        if not options.tests and module not in TARGETS:
            parser.error(f"which tests concern {module}? add --tests FILE...")
    if options.list:
        for module in modules:
            for one in mutants((ROOT / module).read_text(encoding="utf-8")):
                print(f"{module}:{one.line} {one.where}, {one.kind}: {one.change}")
        return 0
    found: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        tree = Tree(Path(scratch).resolve() / "tree", sys.executable)
        for module in modules:
            found[module] = examine(tree, module, options.tests or TARGETS[module], options)
            _keep(found, options.json)
    print(_table(found))
    return int(any(one.end == "survived" for outcomes in found.values() for one in outcomes))


def _keep(found: dict[str, list[Outcome]], file: Path | None) -> None:
    """Write all outcomes so far, if that was asked for."""
    if file is not None:
        plain = [
            {"module": module, "end": one.end, "seconds": round(one.seconds, 2), "by": one.by, "line": one.mutant.line}
            | {"in": one.mutant.where, "kind": one.mutant.kind, "change": one.mutant.change}
            for module, outcomes in found.items()
            for one in outcomes
        ]
        file.write_text(json.dumps(plain, indent=1), encoding="utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the copy is removed on the way out
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))  # for the tests as well: some mutants collect for ever
    sys.exit(main())
