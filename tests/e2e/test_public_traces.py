"""docs/public-traces.md says what the public traces hold: every number of its tables, computed again by its commands.

The traces are large and not part of the project; where they are absent the test is skipped and says so. The numbers of
single topologies, each of which takes an examination of its own, are computed each night.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentsoc.cli import main
from tests.nightly import NIGHTLY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "public-traces.md"
TRACES = ROOT.parent / "shared" / "data" / "mas_elites"
ROW = re.compile(r"^\| (?P<text>[^|]+) \| (?P<value>[^|]+) \| `(?P<place>\.[^`]+)` \|$", re.MULTILINE)
STEP = re.compile(r'\.(\w+)|\[(\d+)\]|\["([^"]+)"\]')


def steps(place: str) -> list[str | int]:
    """Return the keys of a place in the language of jq."""
    assert "".join(found[0] for found in STEP.finditer(place)) == place
    return [int(index) if index else name or quoted for name, index, quoted in STEP.findall(place)]


def same(shown: str, value: Any) -> bool:
    """Return whether a cell shows `value`, to the digits that it has."""
    if value is None or isinstance(value, str):
        return shown == (value or "none").replace("_", " ")
    number = shown.replace(",", "").removesuffix("%")
    digits = len(number.partition(".")[2])
    scale = 100 if shown.endswith("%") else 1
    return abs(float(number) - scale * float(value)) <= 0.5001 * 10.0**-digits


def commands() -> list[list[str]]:
    """Return the words of the page's commands, what they write to left out, and by day the groups."""
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block
    assert " --by topology" in block[1]
    text = block[1] if NIGHTLY else block[1].replace(" --by topology", "")
    return [line.partition(" > ")[0].split()[1:] for line in text.splitlines()]


def test_every_row_of_the_page_gives_a_place_and_no_place_twice() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "place in" not in line]
    found = [match["place"] for match in ROW.finditer(text)]
    assert len(found) == len(rows) > 50
    assert len(set(found)) == len(found)


@pytest.mark.skipif(not TRACES.exists(), reason=f"the public traces are not at {TRACES}")
def test_the_numbers_on_the_page_are_those_of_the_public_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands():
        capsys.readouterr()
        assert main.main([str(TRACES) if word == "DIR" else word for word in words]) == 0
    laws = json.loads(capsys.readouterr().out)
    for row in ROW.finditer(PAGE.read_text(encoding="utf-8")):
        if not NIGHTLY and row["place"].startswith(".groups"):
            continue
        value: Any = laws
        for step in steps(row["place"]):
            value = value[step]
            if isinstance(step, int) and isinstance(value, dict):
                where = value.get("where", value)
                assert where["topology"].replace("_", " ") in row["text"], row["place"]
                assert where.get("n_agents") is None or f"N = {where['n_agents']}:" in row["text"], row["place"]
        assert same(row["value"].strip(), value), (row["text"], row["value"], value)
