"""Plants faults of sentences that once went unnoticed, each alone, and says whether the tests beside it notice.

Usage: ``python -m benchmarks.sentence_faults [--only WORD]``. The faults are in sentence_faults.yaml; the tests run in
a copy of the working tree, never in place. Exit code 1 if one is not noticed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from benchmarks.mutate import Tree

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
    chosen = parser.parse_args(words)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        tree = Tree(Path(scratch).resolve() / "tree", sys.executable)
        for fault in faults():
            if chosen.only in fault.what:
                found = noticed(tree, fault)
                missed += not found
                print(f"{'noticed' if found else 'NOT NOTICED'}: {fault.what}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
