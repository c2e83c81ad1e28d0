"""Loose code: what `--allow-code` registers, what it refuses, and that nothing else ever imports a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentsoc.contracts.meanings import described
from agentsoc.contracts.part import Slot
from agentsoc.errors import AgentsocError, InputError, ScenarioError
from agentsoc.scenario import code
from agentsoc.scenario.code import load_code, loaded_code
from agentsoc.scenario.load import load_scenario

PART = '''\
"""A part of my own."""
from typing import Literal
import networkx as nx
import numpy as np
from pydantic import Field
from agentsoc.contracts.part import Part
from agentsoc.contracts.topology import Topology


class Weights(Part):
    """A block inside the part; fills no slot."""

    hub: float = 1.0


class Pair(Topology):
    """Two agents."""

    kind: Literal["pair"] = "pair"
    both: bool = Field(default=True)
    """Whether both speak."""
    weights: Weights = Weights()

    def build(self, n: int, rng: np.random.Generator) -> "nx.DiGraph[int]":
        return nx.complete_graph(2, nx.DiGraph)
'''
SCENARIO = """\
name: mine
tasks: sentiment
agents: {count: 2, model: scripted}
topology: {kind: pair, weights: {hub: 2.0}}
protocol: vote
"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    code.forget_code()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def _write(text: str | bytes, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def test_a_scenario_may_name_a_part_of_a_file_that_was_allowed(write: Callable[..., Path]) -> None:
    scenario = load_scenario(write(SCENARIO, "s.yaml"), allow_code=[write(PART)])
    assert scenario.topology.model_dump() == {"kind": "pair", "both": True, "weights": {"hub": 2.0}}
    assert described(type(scenario.topology))["both"].description == "Whether both speak."


def test_the_record_is_the_name_and_hash_of_what_was_executed(write: Callable[..., Path]) -> None:
    path = write(PART)
    record = {"file": "mine.py", "sha256": hashlib.sha256(PART.encode()).hexdigest()}
    assert load_code(path) == record
    assert load_code(path) == record  # a second time changes nothing
    assert loaded_code() == [record]


def test_a_scenario_alone_never_imports_a_file(write: Callable[..., Path]) -> None:
    marker = write("", "imported")
    marker.unlink()
    write(f"open({str(marker)!r}, 'w')\n" + PART, "pair.py")
    for kind in ("pair", "pair.py", "pair:Pair", "./pair.py:Pair"):
        with pytest.raises(ScenarioError, match="no topology of kind"):
            load_scenario(write(SCENARIO.replace("{kind: pair, weights: {hub: 2.0}}", f'"{kind}"'), "s.yaml"))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("x = (1,\n", ":1", "not Python"),
        ("def f():\nreturn 1\n", ":2", "not Python"),
        (b"x = 1\x00", ":1:6", "control character"),
        (b"x = '\xe9'", ":1:6", "not UTF-8"),
        ("import no_such_package_here\n", ":1", "ModuleNotFoundError"),
        ("\n\n1 / 0\n", ":3", "ZeroDivisionError"),
        ("raise SystemExit(3)\n", ":1", "SystemExit"),
        ("", "", "no part is defined"),
        ("from agentsoc.contracts.topology import Topology\n", "", "no part is defined"),
        (PART.replace('"pair"', '"star"'), ":16", 'the kind "star" of Pair is taken already'),
        (PART.replace('Literal["pair"] = "pair"', 'str = "pair"'), ":16", "needs a field like: kind"),
        (PART.replace('"pair"', '"Pair!"'), ":16", "no name for a kind"),
        (PART.replace("def build", "def built"), ":16", "Pair lacks build"),
        (PART + PART[PART.index("class Pair") :].replace("Pair", "Other"), ":26", 'the kind "pair" of Other is taken'),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_place_and_registers_nothing(
    write: Callable[..., Path], text: str | bytes, place: str, says: str
) -> None:
    path = write(text)
    with pytest.raises(AgentsocError) as caught:
        load_code(path)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(f"{path}{place}")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    assert not Slot.loose("agentsoc.topologies")
    assert not loaded_code()


def test_a_kind_of_one_loose_file_is_not_replaced_by_another(write: Callable[..., Path]) -> None:
    load_code(write(PART))
    with pytest.raises(InputError, match="taken already"):
        load_code(write(PART + "\n# another file\n", "other.py"))
    assert [record["file"] for record in loaded_code()] == ["mine.py"]
