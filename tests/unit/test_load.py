"""The loader: what a file means, what is set from outside, where faults are, and what loading does not do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

import pytest
import yaml
from pydantic import Field, ValidationError

from agentsoc.contracts.group import AgentGroup
from agentsoc.contracts.part import Part, Slot, nearest
from agentsoc.errors import InputError, ScenarioError
from agentsoc.scenario.dump import dump
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import load_scenario, load_scenarios, parse_scenario
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.plain import read_plain
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import parse

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus" / "scenarios"
LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]

GOOD = """\
name: star-on-sentiment
seed: 7
tasks: {kind: sentiment, count: 20}
agents:
  count: 8
  model: {kind: simulated, signal: 0.3}
  personas: [careful, quick]
topology: star
protocol: {kind: aggregate, by: majority}
budget: {tokens_per_task: 3000}
engine: {hosts: 1, concurrency: 8}
"""


class Toy(Part):
    """A part of a plug-in's own, with a field of every sort that the messages tell apart."""

    slot: ClassVar[str] = "agentsoc.topologies"
    kind: Literal["toy"] = "toy"
    size: int = Field(default=1, ge=1)
    """How big (units)."""
    share: float = 0.5
    on: bool = True
    words: tuple[str, ...] = ()
    table: dict[str, int] = Field(default={})
    either: int | Literal["task"] = 1


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    token = BASE_DIR.set(None)
    Slot.register(Toy)
    yield
    Slot.forget_loose()
    BASE_DIR.reset(token)


def faults(text: str, *overrides: str) -> list[str]:
    """Return ``place: message`` of every fault of a text."""
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "f", overrides)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


def toy(block: str) -> str:
    return GOOD.replace("topology: star", f"topology: {{kind: toy, {block}}}")


# What a file means


def test_a_scenario_holds_what_its_file_says_and_defaults_for_the_rest() -> None:
    scenario = parse_scenario(GOOD)
    assert (scenario.name, scenario.seed, scenario.tasks.count) == ("star-on-sentiment", 7, 20)
    assert [(group.count, group.personas) for group in scenario.agents] == [(8, ("careful", "quick"))]
    assert (scenario.topology.kind, scenario.protocol.kind) == ("star", "aggregate")
    assert scenario.calls.attempts == 3


def test_a_bare_word_and_one_group_are_short_for_a_mapping_and_a_list() -> None:
    long = GOOD.replace("topology: star", "topology: {kind: star}").replace(
        "agents:\n  count: 8\n  model: {kind: simulated, signal: 0.3}\n  personas: [careful, quick]\n",
        "agents:\n- count: 8\n  model: {kind: simulated, signal: 0.3}\n  personas: [careful, quick]\n",
    )
    assert long != GOOD
    assert parse_scenario(long) == parse_scenario(GOOD)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("3.", 3.0),
        ("1e3", 1000.0),
        ("-2.5E-3", -0.0025),
        ("star", "star"),
        ("y", "y"),
        ("127.0.0.1:6379", "127.0.0.1:6379"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("inf", "inf"),
        ("8x", "8x"),
    ],
)
def test_an_unquoted_word_means_what_yaml_1_2_says(word: str, value: object) -> None:
    plain = read_plain(word)
    assert (plain.value, type(plain.value), plain.what) == (value, type(value), "")


@pytest.mark.parametrize(
    "word",
    [
        *("yes", "No", "ON", "off", "012", "-07", "1_000", "0x1f", "0o17", "0b11", "12:30:00", "1:30", "2024-01-01"),
        *(".inf", "-.INF", ".nan", "1e999", "2001-12-14t21:59:43.10-05:00", "9" * 41),
    ],
)
def test_a_word_that_readers_disagree_on_is_refused_with_what_to_write(word: str) -> None:
    plain = read_plain(word)
    assert plain.what
    assert "write" in plain.hint
    assert "quotes" in plain.hint


@pytest.mark.parametrize(
    ("word", "instead"),
    [("012", "12"), ("-012", "-12"), ("0x1b", "27"), ("0b11", "3"), ("0o17", "15"), ("1_000", "1000"), ("ON", "true")],
)
def test_what_to_write_instead_is_what_was_most_likely_meant(word: str, instead: str) -> None:
    assert read_plain(word).hint.startswith(f"write {instead},")


@pytest.mark.parametrize("word", ["yes", "012", "12:30:00", ".nan", "0x1f"])
def test_quotes_make_a_text_of_any_word(word: str) -> None:
    assert parse_scenario(GOOD + f'description: "{word}"\n').description == word
    assert parse_scenario(GOOD + f"description: '{word}'\n").description == word


def test_what_pyyaml_would_read_differently_is_refused_or_a_text() -> None:
    """Every plain word that YAML 1.1 does not take for a text, and a 1.2 reader does, is refused."""
    words = [
        "yes",
        "no",
        "on",
        "off",
        "012",
        "0b1",
        "1_0",
        "1:20",
        "2024-01-01",
        "=",
        "<<",
        "0o7",
        "1e3",
        "y",
        "N",
        "~",
    ]
    for word in words:
        theirs = yaml.safe_load(f"[{word}]")[0] if word not in ("=", "<<") else word
        ours = read_plain(word)
        if isinstance(theirs, str) == isinstance(ours.value, str) and not ours.what:
            assert theirs == ours.value
        elif not ours.what:
            assert word == "1e3"  # a text to YAML 1.1; a number here, and never taken for a whole one


# Numbers and truth values are exact


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ('size: "3"', 'topology.size must be a whole number, found the text "3"'),
        ("size: true", "topology.size must be a whole number, found true"),
        ("size: 3.0", "topology.size must be a whole number, found 3.0"),
        ("size: 1e1", "topology.size must be a whole number, found 1e1"),
        ('share: "0.5"', 'topology.share must be a number, found the text "0.5"'),
        ("share: false", "topology.share must be a number, found false"),
        ("on: 1", "topology.on must be true or false, found 1"),
        ('on: "true"', 'topology.on must be true or false, found the text "true"'),
        ("words: [a, 1]", "topology.words.1 must be a text, found 1"),
        ("table: {a: x}", 'topology.table.a must be a whole number, found the text "x"'),
        ("either: [1]", "topology.either must be a whole number or task, found a list of 1"),
        ("size: {a: 1}", "topology.size must be a whole number, found a mapping"),
        ("size: ", "topology.size must be a whole number, found nothing (null)"),
    ],
)
def test_no_value_is_taken_for_one_of_another_type(block: str, message: str) -> None:
    block = block.replace("on:", '"on":')
    assert [fault.split(": ", 1)[1] for fault in faults(toy(block))] == [message]


def test_a_whole_number_is_a_number_and_a_list_is_a_tuple() -> None:
    part = parse_scenario(toy("share: 1, words: [a, b]")).topology
    assert isinstance(part, Toy)
    assert (part.share, part.words) == (1.0, ("a", "b"))


def test_parts_are_as_exact_in_python_and_name_the_nearest_key() -> None:
    with pytest.raises(ValidationError):
        AgentGroup(count="8", model="simulated")
    with pytest.raises(ValidationError, match='did you mean "size"'):
        Toy(sise=3)  # type: ignore[call-arg]
    assert Toy(words=["a"]).words == ("a",)


def test_equal_parts_are_one_key_also_when_they_hold_mappings() -> None:
    one, other = Toy(table={"a": 1, "b": 2}, words=("x",)), Toy(table={"b": 2, "a": 1}, words=["x"])
    assert one == other
    assert len({one, other, Toy(table={"a": 1}), Toy()}) == 3
    assert len({parse_scenario(GOOD), parse_scenario(GOOD), parse_scenario(GOOD, overrides=["seed=8"])}) == 2


# Faults


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace("seed: 7", "seed: seven")
        .replace("count: 8", "count: 0\n  cuont: 8")
        .replace("concurrency: 8", "concurrency: 010")
    )
    assert faults(text + "seed: 8\nsed: 9\n") == [
        'f:2:7: seed must be a whole number, found the text "seven"',
        "f:5:10: agents.count must be at least 1, found 0",
        'f:6:3: there is no key "cuont" in agents',
        "f:12:33: engine.concurrency: 010 is octal to some YAML readers and not to others",
        'f:13:1: the key "seed" stands twice, first in line 2',
        'f:14:1: there is no key "sed"',
    ]


def test_a_scenario_with_a_hundred_faults_is_refused_in_ten_lines() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(GOOD + "".join(f"k{i}: 1\n" for i in range(100)))
    assert len(str(caught.value).splitlines()) <= 10
    assert "more problems" in str(caught.value)


def test_a_part_that_does_not_load_is_a_fault_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, value, module = "broken", "no_such_package:Part", "no_such_package"

        def load(self) -> NoReturn:
            raise ImportError("No module named 'no_such_package'")

    monkeypatch.setitem(Slot.entries("agentsoc.topologies"), "broken", Broken())
    (fault,) = faults(GOOD.replace("topology: star", "topology: broken"))
    assert fault.startswith("f:8:11: topology: the topology broken cannot be loaded from no_such_package:Part")


def test_a_part_of_another_slot_is_not_taken() -> None:
    with pytest.raises(ValidationError, match="a protocol is the name of a kind"):
        Scenario(**{**dict(parse_scenario(GOOD)), "protocol": Toy()})


def test_text_with_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ScenarioError, match="surrogate"):
        parse_scenario(GOOD + "description: \ud800\n")


def test_messages_show_no_control_and_direction_characters() -> None:
    assert printable("a\x1b[31m\u202eb\n\ud800") == "a\\x1b[31m\\u202eb\\n\\ud800"
    assert len(printable("x" * 1_000)) == 120
    (fault,) = faults(GOOD + '"\\u202e\\x1b": 1\n')
    assert "\\u202e\\x1b" in fault


def test_the_nearest_key_is_suggested_and_otherwise_the_known_ones() -> None:
    assert nearest("Topolgy", ["topology", "tasks"]) == 'did you mean "topology"?'
    assert nearest("x", ["topology", "tasks"]) == "known: tasks, topology"


# What is set from outside


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("agents.count=4", lambda s: s.agents[0].count == 4),
        ("agents.0.count=4", lambda s: s.agents[0].count == 4),
        ("topology=chain", lambda s: s.topology.kind == "chain"),
        ("topology={kind: tree, fan_in: 3}", lambda s: s.topology.fan_in == 3),
        ("topology.kind=chain", lambda s: s.topology.kind == "chain"),
        ("calls.attempts=1", lambda s: s.calls.attempts == 1),
        ("budget=", lambda s: s.budget is None),
        ("budget=null", lambda s: s.budget is None),
        ("agents.personas=[a, b, c]", lambda s: s.agents[0].personas == ("a", "b", "c")),
        ("agents.personas.1=slow", lambda s: s.agents[0].personas == ("careful", "slow")),
        ("description='one, two'", lambda s: s.description == "one, two"),
        ("description=a=b", lambda s: s.description == "a=b"),
        ("agents.model.signal=task", lambda s: s.agents[0].model.signal == "task"),
    ],
)
def test_a_value_can_be_set_from_outside(override: str, read: Callable[[Scenario], object]) -> None:
    assert read(parse_scenario(GOOD, overrides=[override]))


def test_later_settings_win_and_are_applied_in_their_order() -> None:
    scenario = parse_scenario(
        GOOD, overrides=["topology.kind=ring", "topology={kind: tree, fan_in: 3}", "seed=1", "seed=2"]
    )
    assert (scenario.topology.kind, scenario.seed) == ("tree", 2)
    ring = parse_scenario(GOOD, overrides=["topology=ring", "topology.neighbours=2"]).topology
    assert ring.model_dump()["neighbours"] == 2


def test_a_fault_is_placed_where_its_value_was_set() -> None:
    assert faults(GOOD, "agents.count=0", "calls.attempts=no", "budget.tokns=5") == [
        "--set calls.attempts=no: calls.attempts: no is true or false to some YAML readers and a text to others"
    ]
    assert faults(GOOD, "agents.count=0", "calls.attempt=2", "budget.tokens=0") == [
        "--set agents.count=0: agents.count must be at least 1, found 0",
        "--set budget.tokens=0: budget.tokens must be at least 1, found 0",
        '--set calls.attempt=2: there is no key "attempt" in calls',
    ]
    # Elsewhere in a block that was set in part, the file is still the place.
    assert faults(toy("size: 0"), "topology.share=1") == ["f:8:29: topology.size must be at least 1, found 0"]


def test_a_seed_given_apart_wins_and_is_named_when_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD)
    assert load_scenario(path, ["seed=8"], seed=9).seed == 9
    with pytest.raises(ScenarioError, match="--seed -1: seed must be at least 0"):
        load_scenario(path, seed=-1)


# Loading


def test_files_that_a_scenario_names_are_looked_up_beside_it(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    load_scenario(tmp_path / "s.yaml")
    assert BASE_DIR.get() == tmp_path


def test_a_scenario_that_stands_for_several_runs_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD + "sweep: {agents.count: [4, 8]}\n")
    with pytest.raises(ScenarioError, match="stands for 2 runs"):
        load_scenario(path)
    assert load_scenario(path, ["agents.count=4"]).agents[0].count == 4


def test_one_file_of_many_runs_keeps_shared_blocks_once(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD)
    runs = load_scenarios(path, ["budget.tokens=100,200"], 50)
    assert len(runs) == 100
    assert len({id(run.agents[0]) for run in runs}) == 1
    assert all(run == parse_scenario(dump(run.model_dump(mode="json"))) for run in runs[::33])


def test_the_loader_imports_nothing_heavy() -> None:
    """What `agentsoc --help` and `agentsoc check` pay: no Ray, no model library, no numpy until a topology needs it."""
    code = "import sys, agentsoc.scenario.load; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    heavy = {"ray", "litellm", "polars", "pyarrow", "numpy", "scipy", "networkx", "xllamacpp", "numba", "pandas"}
    assert done.returncode == 0, done.stderr
    assert heavy.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("loader", LOADERS)
def test_both_scanners_of_pyyaml_give_the_same_data_and_places(loader: type[Any]) -> None:
    text = GOOD + 'sweep:\n  agents.count: [4, "8", ~]\n  note: |\n    two\n    lines\n'
    document = parse(text, "f", loader=loader)
    assert document.data == parse(text, "f").data
    paths = [("name",), ("agents",), ("agents", "personas", 1), ("sweep", "agents.count", 1), ("sweep", "note")]
    assert [document.place(path) for path in paths] == ["f:1:7", "f:4:1", "f:7:23", "f:13:21", "f:14:9"]
    assert document.place(("agents", "count"), of_key=True) == "f:5:3"
    assert document.place(("agents", "no", "such")) == "f:4:1"


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "name", ["deep-nesting", "alias-bomb", "python-tag", "two-documents", "tab-indent", "bad-escape"]
)
def test_both_scanners_refuse_the_same_files(name: str, loader: type[Any]) -> None:
    text = (CORPUS / f"{name}.yaml").read_text()
    try:
        problems = parse(text, "f", loader=loader).problems
    except ScenarioError as error:
        problems = error.problems
    assert problems


def test_an_input_error_of_a_part_is_a_fault_of_the_scenario() -> None:
    class Reading(Part):
        slot: ClassVar[str] = "agentsoc.topologies"
        kind: Literal["reading"] = "reading"

        def model_post_init(self, context: object) -> None:
            raise InputError("there is no such file", "edges.csv", "make it")

    Slot.register(Reading)
    (fault,) = faults(GOOD.replace("topology: star", "topology: reading"))
    assert fault == "f:8:11: topology: edges.csv: there is no such file"


def test_the_result_part_leaves_out_only_what_changes_no_result() -> None:
    one = parse_scenario(GOOD)
    other = parse_scenario(GOOD, overrides=["engine.hosts=4", "name=other", "description=x"])
    assert one.result_part() == other.result_part()
    assert one.result_part() != parse_scenario(GOOD, overrides=["seed=8"]).result_part()
