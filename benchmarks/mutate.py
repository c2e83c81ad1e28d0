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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.mutants import Mutant, mutants

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
    "agentsoc/budget/at_once.py": (
        "tests/unit/test_ledger.py",
        "tests/property/test_ledger.py::test_a_round_that_the_budget_pays_for_whole_is_granted_as_any_other",
    ),
    "agentsoc/budget/waves.py": ("tests/unit/test_waves.py", "tests/property/test_waves.py"),
    "agentsoc/budget/purse.py": ("tests/unit/test_ledger.py",),
    "agentsoc/budget/account.py": ("tests/unit/test_account.py", "tests/unit/test_budget_shown.py"),
    "analysis/tails/verdict.py": ("tests/unit/test_tails_verdict.py",),
    "analysis/tails/compare.py": ("tests/unit/test_tails_verdict.py",),
    "analysis/cascade_laws/examine.py": ("tests/unit/test_laws.py",),
    "analysis/synergy/planning/recommend.py": ("tests/unit/test_phase_recommend.py", "tests/unit/test_phase_plan.py"),
    "analysis/comparison/text.py": ("tests/unit/test_comparison_report.py",),
    "analysis/comparison/verdict.py": ("tests/unit/test_comparison_report.py", "tests/unit/test_comparison_design.py"),
    "analysis/comparison/lost.py": ("tests/unit/test_comparison_design.py",),
    "analysis/comparison/looks.py": ("tests/unit/test_comparison_design.py",),
    "analysis/stats/inversion.py": ("tests/unit/test_stats_inversion.py",),
    "analysis/stats/margins.py": ("tests/unit/test_comparison_design.py",),
    "analysis/stats/looks.py": ("tests/unit/test_comparison_design.py",),
    "analysis/stats/pooled.py": ("tests/unit/test_comparison_design.py",),
    "analysis/cascade_laws/switched.py": ("tests/unit/test_switched.py",),
    "analysis/cascade_laws/together.py": ("tests/unit/test_laws_together.py",),
    "analysis/comparison/report.py": ("tests/unit/test_comparison_report.py",),
    "agentsoc/log/check.py": ("tests/unit/test_check.py",),
    "agentsoc/log/totals.py": ("tests/unit/test_totals.py",),
    "agentsoc/log/stored.py": ("tests/unit/test_read.py", "tests/unit/test_check.py"),
    "agentsoc/log/inside.py": ("tests/unit/test_inside.py",),
    "agentsoc/scenario/parquet_bounds.py": ("tests/unit/test_bounded.py",),
    "agentsoc/scenario/parquet_footer.py": ("tests/unit/test_footer.py",),
    "agentsoc/log/record.py": ("tests/unit/test_record.py",),
    "agentsoc/log/segments.py": ("tests/unit/test_read.py", "tests/unit/test_segments.py"),
    "agentsoc/log/manifest.py": ("tests/unit/test_manifest.py", "tests/unit/test_check.py"),
    "agentsoc/engine/resume.py": ("tests/unit/test_resume.py",),
    "agentsoc/engine/replay.py": ("tests/unit/test_resume.py",),
    "agentsoc/engine/fork.py": ("tests/unit/test_resume.py",),
    "agentsoc/engine/stored_scenario.py": ("tests/unit/test_resume.py",),
    "agentsoc/engine/directory.py": ("tests/unit/test_directory.py",),
    "agentsoc/engine/inputs.py": ("tests/unit/test_inputs.py",),
    "agentsoc/engine/consent.py": ("tests/unit/test_consent.py",),
    "agentsoc/engine/agreed.py": ("tests/unit/test_consent.py",),
    "agentsoc/cli/check.py": ("tests/e2e/test_check_command.py", "tests/e2e/test_cli.py"),
}
"""Module -> the test files (or single tests, as pytest names them) that concern it, the quickest first."""


@dataclass(frozen=True)
class Outcome:
    """What the tests made of a mutant: killed, survived, timed out, or equivalent (known not to be a fault)."""

    mutant: Mutant
    end: str
    seconds: float
    by: str = ""
    """The test that noticed it; why it is no fault, if that is known."""


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
