"""Whatever is dumped loads as it was, and whatever else is loaded is a scenario or a `ScenarioError`."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.errors import ScenarioError
from agentsoc.scenario.dump import dump
from agentsoc.scenario.load import load_scenario, load_variants, parse_scenario
from agentsoc.scenario.model import Scenario
from agentsoc.scenario.plain import read_plain
from agentsoc.scenario.schema import scenario_schema
from agentsoc.scenario.strict import parse

CORPUS = Path(__file__).parents[1] / "corpus" / "scenarios"
LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]
KEYS = (
    "name",
    "seed",
    "agents",
    "agents.0.count",
    "topology",
    "topology.kind",
    "budget.tokens",
    "sweep",
    "calls",
    "x.y",
)

# No deadline: the first example imports the parts. The directory of an example may hold the file of the one before.
usual = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
traps = st.sampled_from(
    ["yes", "No", "on", "012", "1_0", "0x1f", "12:30", "2024-01-01", "1e3", ".nan", "<<", "~", "", "- a"]
)
texts = words | traps
fractions = st.floats(0, 1)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", fullmatch=True)


def part(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"kind": st.just(kind)}, optional=fields)


models = st.one_of(
    part("scripted", accuracy=fractions, says=st.sampled_from(["truth", "random"]), latency_s=st.floats(0, 60)),
    part("simulated", signal=st.floats(-1, 1) | st.just("task"), message=st.integers(0, 10**6)),
    st.just("scripted"),
)
groups = st.fixed_dictionaries(
    {"model": models},
    optional={
        "count": st.integers(1, 1_000) | st.none(),
        "temperature": st.floats(0, 2),
        "max_tokens": st.integers(1, 65_536),
        "personas": st.lists(texts, max_size=4),
        "prompt": st.none() | texts.filter(lambda text: "{" not in text) | st.just("You are {name}, a {role}."),
        "reply": st.sampled_from(["auto", "json", "short", "text"]),
    },
)
topologies = st.one_of(
    st.sampled_from(["star", "chain", "ring"]),
    part("tree", fan_in=st.integers(2, 9)),
    part("decentralized", degree=st.integers(1, 9)),
    st.fixed_dictionaries(
        {"kind": st.just("custom"), "edges": st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1)}
    ),
)
scenarios = st.fixed_dictionaries(
    {
        "name": names,
        "tasks": st.just("sentiment") | part("sentiment", count=st.integers(1, 1_000)),
        "agents": groups | st.lists(groups, min_size=1, max_size=3),
        "topology": topologies,
        "protocol": st.sampled_from(["vote", "aggregate"]) | part("debate", rounds=st.integers(1, 9)),
    },
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "description": texts,
        "budget": st.none() | st.fixed_dictionaries({"tokens": st.integers(1, 10**15)}),
        "calls": st.fixed_dictionaries({"repair": st.booleans(), "timeout_s": st.floats(0.001, 3_600)}),
        "engine": st.fixed_dictionaries({"hosts": st.integers(1, 1_024)}),
    },
)
plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=20,
)


@functools.cache
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(scenario_schema())


@usual
@given(scenarios)
def test_a_dumped_scenario_loads_as_it_was(data: st.DataObject) -> None:
    scenario = Scenario.model_validate(data)
    assert parse_scenario(dump(data)) == scenario
    assert parse_scenario(dump(scenario.model_dump(mode="json"))) == scenario


@settings(usual, max_examples=50)
@given(scenarios)
def test_the_schema_takes_every_scenario_that_the_loader_takes(data: st.DataObject) -> None:
    assert list(validator().iter_errors(yaml.safe_load(yaml.safe_dump(data)))) == []


@usual
@given(st.dictionaries(words.filter(lambda key: key != "<<"), plain_data, max_size=4))
def test_dump_is_read_back_as_the_same_data_by_both_scanners(data: st.DataObject) -> None:
    text = dump(data)
    for loader in LOADERS:
        document = parse(text, "f", loader=loader)
        assert (document.data, document.problems) == (data, ())


@usual
@given(texts | st.from_regex(r"[-+0-9._:eEobxTZ ]{1,20}", fullmatch=True))
def test_an_accepted_word_means_the_same_to_a_yaml_1_1_reader_or_is_a_number_with_an_exponent(word: str) -> None:
    """The point of the refusals: PyYAML's own reading of what is accepted differs only for 1e3-like numbers."""
    ours = read_plain(word)
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(word[:1], [])
    theirs = {tag.rpartition(":")[2] for tag, pattern in resolvers if pattern.match(word)} & {
        *("bool", "int", "float", "null", "timestamp")
    }
    mine = {bool: {"bool"}, int: {"int"}, float: {"float"}, type(None): {"null"}}.get(type(ours.value), set())
    assert ours.what or not word or theirs == mine or (mine == {"float"} and not theirs)


def is_safe(error: ScenarioError) -> bool:
    text = str(error)
    return 0 < len(text.splitlines()) <= 10 and all(character.isprintable() or character == "\n" for character in text)


def load_or_refuse(path: Path, overrides: tuple[str, ...] = (), seeds: int | None = None) -> None:
    """Load a file; whatever it raises but a `ScenarioError` that can be printed fails the test."""
    try:
        runs = load_variants(path, overrides, seeds)
    except ScenarioError as error:
        refusal = error
    else:
        assert len({run.scenario.name for run in runs}) == len(runs) <= 10_000
        return
    assert is_safe(refusal)


@usual
@given(st.binary(max_size=300))
def test_no_bytes_make_the_loader_fail_otherwise(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(raw)
    load_or_refuse(path)


@usual
@given(st.text("-:{}[]&*!|>'\"%@`,#? \t\nabn01.<~\\x", max_size=80))
def test_no_marks_of_yaml_make_the_loader_fail_otherwise(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    load_or_refuse(path)


@settings(usual, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_no_change_of_a_scenario_makes_the_loader_fail_otherwise(tmp_path: Path, seed: int) -> None:
    """Some bytes of a real file are deleted, doubled, moved or replaced by bytes of another one."""
    draw = random.Random(seed)
    files = sorted(path for path in CORPUS.glob("*.yaml") if path.stat().st_size < 2_000)
    raw = bytearray(draw.choice(files).read_bytes())
    for _ in range(draw.randrange(1, 6)):
        start = draw.randrange(len(raw) + 1)
        end = min(len(raw), start + draw.choice((1, 1, 2, 5, 20)))
        other = draw.choice(files).read_bytes()
        at = draw.randrange(len(other) + 1)
        raw[start:end] = draw.choice(
            (b"", bytes(raw[start:end]) * 2, other[at : at + 20], bytes([draw.randrange(256)]))
        )
    path = tmp_path / "s.yaml"
    path.write_bytes(bytes(raw))
    load_or_refuse(path)


@usual
@given(data=plain_data, path=st.sampled_from(KEYS), seeds=st.none() | st.integers(-2, 20))
def test_no_data_at_any_key_makes_the_loader_fail_otherwise(
    tmp_path: Path, data: st.DataObject, path: str, seeds: int | None
) -> None:
    scenario: dict[str, Any] = {
        "name": "s",
        "tasks": "sentiment",
        "agents": [{"count": 3, "model": "scripted"}],
        "topology": "star",
        "protocol": "vote",
    }
    file = tmp_path / "s.yaml"
    if "." not in path:
        file.write_text(dump({**scenario, path: data}), encoding="utf-8")
        load_or_refuse(file, (), seeds)
    file.write_text(dump(scenario), encoding="utf-8")
    load_or_refuse(file, (f"{path}={dump([data]).strip()}",), seeds)
    load_or_refuse(file, (f"{path}={data}",), seeds)


@usual
@given(argument=st.text(max_size=60), path=st.sampled_from(("", *KEYS)))
def test_no_argument_makes_the_loader_fail_otherwise(tmp_path: Path, argument: str, path: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("name: s\ntasks: sentiment\nagents: {count: 3, model: scripted}\ntopology: star\nprotocol: vote\n")
    load_or_refuse(file, (f"{path}{argument}",))
    load_or_refuse(file, (f"{path}={argument}",))


@usual
@given(st.text(max_size=300))
def test_no_path_makes_the_loader_fail_otherwise(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(tmp_path / "no-such-directory" / name)
    assert is_safe(caught.value)
