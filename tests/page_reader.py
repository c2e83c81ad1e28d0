"""A reader who follows a page of the documentation: commands and code are carried out as they stand there."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from agentsoc.cli import main
from tests.nightly import NIGHTLY

SMALL = {
    "scenarios/quickstart.yaml": {"tasks.count": "1", "agents.count": "3"},
    "scenarios/experiment-heterogeneous.yaml": {"tasks.count": "1"},
}
"""Files with the embedded model, and what they are reduced to."""
HERE = ("--workers", "1")
"""Runs of comparisons are made in this process: others would have to start, and who makes them changes nothing
(`e2e/test_compare.py`)."""
SEEDS_AT_NIGHT = {
    f"scenarios/comparisons/{name}.yaml" for name in ("diversity-or-count", "four-aggregators", "visible-budget")
}
"""Comparisons that are made with one seed by day and whole each night, for they are the longest; the laws that their
pages state are held all the same."""
TWICE = "scenarios/comparisons/five-architectures.yaml"
"""Two pages make this comparison, one of them with `--quiet`: it is made without, and the second page that is followed
has what was made for the first."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2], text.count("\n", 0, found.start()) + 2)


class Made(NamedTuple):
    """What was made of `TWICE`, once it was."""

    directory: Path
    told: list[str]


class Reader:
    """Somebody who follows a page from top to bottom in an empty directory with the shipped scenarios in it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], made: Made) -> None:
        self.capsys, self.made = capsys, made
        self.names: dict[str, Any] = {"__name__": "example"}
        self.reduced = {"runs/quickstart-s7"}
        """Directories of runs that were made smaller than the page says."""

    def follow(self, block: Block, place: str) -> None:
        saved = re.match(r"# file: (\S+)\n", block.text)
        if saved:
            Path(saved[1]).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for command, shown in steps(block.text):
                self.command(command, shown, place)
        elif block.language == "python":
            with redirect_stdout(io.StringIO()):
                exec(compile(block.text, place, "exec"), self.names)
        elif block.language == "sql":
            tables = re.sub(r"'([^']+\.parquet)'", r"read_parquet('\1')", block.text)
            assert pl.SQLContext(eager=True).execute(tables.rstrip().rstrip(";")).height > 0

    def command(self, command: str, shown: list[str], place: str) -> None:
        command, _, comment = command.partition("   # ")
        expected = int(comment.removeprefix("exit code ")) if comment else 0
        words = shlex.split(command)
        assert words[0] == "agentsoc", f"{place}: a command of another program"
        as_written = not self.reduced & set(words)
        if words[1] == "run" and words[2] in SMALL:
            words = small(words)
            self.reduced |= {words[at + 1] for at, word in enumerate(words) if word == "--out"}
            as_written = False
        elif words[1] == "compare" and words[2] in SEEDS_AT_NIGHT and not NIGHTLY:
            words = [*without_seeds(words), "--seeds", "1"]
            as_written = False
        if "local" in words and "--address" in words:  # Ray ends with the process that started it
            done = subprocess.run(
                [sys.executable, "-m", "agentsoc.cli.main", *words[1:]], capture_output=True, text=True
            )
            code, told = done.returncode, done.stdout + done.stderr
        elif words[1:] in (["compare", TWICE], ["compare", TWICE, "--quiet"]):
            code, told = 0, self.five_architectures()
        else:
            code, told = self.call(words)
        assert code == expected, f"{place}: {command}\n{told}"
        said = iter(told.splitlines())
        for line in shown if as_written else ():
            assert line == "..." or line in said, (
                f"{place}: {command}\ndoes not say, or not in this order: {line}\n{told}"
            )

    def call(self, words: list[str]) -> tuple[int, str]:
        """Carry a command out in this process; return its exit code and what it says."""
        self.capsys.readouterr()
        code = main.main([*words[1:], *(HERE if words[1] == "compare" else ())])
        captured = self.capsys.readouterr()
        return code, captured.out + captured.err

    def five_architectures(self) -> str:
        """Make the comparison of two pages, or take the one that was made; return what it says."""
        where = Path("comparisons/five-architectures")
        if self.made.told:
            shutil.copytree(self.made.directory, where)
        else:
            code, told = self.call(["agentsoc", "compare", TWICE])
            assert code == 0, told
            shutil.copytree(where, self.made.directory)
            self.made.told.append(told)
        return self.made.told[0]


def without_seeds(words: list[str]) -> list[str]:
    """Return the words of a comparison without its number of seeds."""
    at = words.index("--seeds") if "--seeds" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def steps(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a console block, each with the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def small(words: list[str]) -> list[str]:
    """Return a run's words with settings that make it small, in place of its own for the same keys."""
    changes = SMALL[words[2]]
    kept: list[str] = []
    for word in words:
        if word.partition("=")[0] in changes and kept[-1] == "--set":
            kept.pop()
        else:
            kept.append(word)
    return [*kept, *(word for key, value in changes.items() for word in ("--set", f"{key}={value}"))]
