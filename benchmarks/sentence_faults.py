"""Plants faults of sentences, each alone, and says whether the tests beside it notice.

Usage: ``python -m benchmarks.sentence_faults [--only WORD] [--turned N] [--seed 0]``. The faults in
sentence_faults.yaml once went unnoticed. With ``--turned`` the condition under which a sentence is said is turned round
instead, for N sentences of the inventory that are drawn at random, and the tests that have its words run (up to three
files, those of both sides first). Tests run in a copy of the working tree, never in place. Exit code 1 if a fault is
not noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from benchmarks.mutate import ROOT, Tree
from benchmarks.sentence_inventory import Sentence, exempt, inventory, seen

FILE: Final = Path(__file__).parent / "sentence_faults.yaml"
LIMIT_S: Final = 900.0


@dataclass(frozen=True)
class SentenceFault:
    """A fault is one text of a module in the place of another."""

    what: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """Return the module with the fault.

        Raises:
            ValueError: what it replaces does not stand there once.
        """
        if source.count(self.old) != 1:
            raise ValueError(f"{self.module}: {self.old!r} stands there {source.count(self.old)} times")
        return source.replace(self.old, self.new)


def faults() -> list[SentenceFault]:
    """Return the faults of the file."""
    listed = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [SentenceFault(one["what"], one["module"], one["from"], one["to"], tuple(one["tests"])) for one in listed]


def turned(n: int, seed: int) -> list[SentenceFault]:
    """Return faults that turn round the condition of a sentence, of sentences drawn at random."""
    free = exempt()
    found: list[SentenceFault] = []
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    words = {path: seen([path.read_text(encoding="utf-8")]).there for path in paths}
    told = [one for one in inventory() if one.conditions and one.text.strip() not in {*free.labels, *free.always}]
    for one in random.Random(seed).sample(told, len(told)):
        source = (ROOT / one.module).read_text(encoding="utf-8")
        test = _innermost(source, one)
        if len(found) == n or test is None or source.count(test) != 1:
            continue
        files = [path for path, there in words.items() if there.meet(one)]
        files.sort(key=lambda path: ("test_sides" not in path.name, "unit" not in path.parts))
        names = tuple(path.relative_to(ROOT).as_posix() for path in files[:3])
        found.append(SentenceFault(f"turned round: {one.text.strip()}", one.module, test, f"(not ({test}))", names))
    return found


def _innermost(source: str, sentence: Sentence) -> str | None:
    """Return the text of the innermost condition of a sentence."""
    places = {(line, column) for line, column, _ in sentence.conditions}
    tests = [
        node.test
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If | ast.IfExp) and (node.lineno, node.col_offset) in places
    ]
    return ast.get_source_segment(source, max(tests, key=lambda test: test.lineno)) if tests else None


def noticed(tree: Tree, fault: SentenceFault) -> bool:
    """Return whether the tests fail with the fault in the copy."""
    target = tree.directory / fault.module
    source = target.read_text(encoding="utf-8")
    target.write_text(fault.planted(source), encoding="utf-8")
    try:
        code, out = tree.test(fault.tests, LIMIT_S)
    finally:
        target.write_text(source, encoding="utf-8")
    if code not in (None, 0, 1):
        raise SystemExit(f"the tests of {fault.module} could not be run:\n{out[-2000:]}")
    return code != 0


def main(words: Sequence[str] | None = None) -> int:
    """Plant the faults and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="faults whose description has this word")
    parser.add_argument("--turned", type=int, default=0, help="sentences whose condition is turned round instead")
    parser.add_argument("--seed", type=int, default=0, help="seed of their choice")
    chosen = parser.parse_args(words)
    listed = turned(chosen.turned, chosen.seed) if chosen.turned else faults()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        tree = Tree(Path(scratch).resolve() / "tree", sys.executable)
        for fault in listed:
            if chosen.only in fault.what:
                found = noticed(tree, fault)
                missed += not found
                print(f"{'noticed' if found else 'NOT NOTICED'}: {fault.what}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
