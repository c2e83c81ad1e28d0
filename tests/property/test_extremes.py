"""Every number of a scenario at its extremes: `check` names the key, or the run works; nothing else happens.

The fields are those of the JSON Schema, so a part that is added is tried as well. Each is put into a scenario in which
everything else is plain. It takes its own bounds and two of the extremes in turns, so that each extreme meets fields of
every kind, and runs with the least or the most that is accepted, in turns; ``make hostile`` (HOSTILE=all) has every
field take every extreme, and run with both.
"""

from __future__ import annotations

import copy
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentsoc.backends.simulated import TOKENS_MAX, Fidelity
from agentsoc.cli.main import main
from agentsoc.engine.run import run
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import parse_scenario
from agentsoc.scenario.schema import scenario_schema
from tests.pace import at_most

EVERY = os.environ.get("HOSTILE") == "all"
SCHEMA = scenario_schema()
Where = tuple[str | int, ...]
Kinds = tuple[tuple[Where, str], ...]
"""Which kind the blocks on the way to a field have."""

INTS = (-(10**30), -(2**63) - 1, -(2**31), -1, 0, 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400)
FLOATS = (1e308, 1e-320, float("nan"), float("inf"), float("-inf"), -1e308, 1e15, -0.0)
SIZES = {"agents.count", "agents.0.count", "tasks.count", "topology.fan_in", "engine.hosts", "protocol.matches"}
"""What decides how much there is to do: the largest that is allowed works, and takes minutes or another machine."""
NO_RUN = {"local", "litellm", "mcp", "pettingzoo"}
"""What is not there in every place where tests run, or starts a program."""
BLOCKS: dict[str, dict[str, Any]] = {
    "jsonl": {"file": "tasks.jsonl"},
    "reasoning-gym": {"family": "basic_arithmetic"},
    "parts": {"difficulty": [100, 1000]},
    "litellm": {"name": "openai/x"},
    "custom": {"edges": [[0, 2], [1, 2]], "ends_in": 2, "roles": {"critic": [1]}},
    "small-world": {"neighbours": 2},
    "vote": {"by": "weighted", "weights": [1.0, 1.0, 1.0]},
    "dti": {"protocol": {"kind": "debate"}},
    "per-level": {"weights": [1.0, 1.0]},
    "proportional": {"weights": [1.0]},
    "theory": {"beta": 0.3, "exponent": 0.5},
    "tree": {"depth": 1},
    "roles": {"stages": [{"name": "work", "agent": 0, "asks": "What is it?"}]},
    "auction": {"prices": [1.0]},
    "difficulty": {"lead": 0.1},
    "episodes": {"environment": "commons"},
    "pettingzoo": {"file": "game.py"},
    "table": {"file": "tasks.jsonl"},
    "search": {"file": "texts.jsonl"},
    "mcp": {"file": "game.py"},
}
"""Settings that a kind needs, or with which more of it is used."""
AROUND: dict[str, dict[str, Any]] = {
    "hanoi-tower": {"protocol": "resample", "topology": "single", "agents": {"count": 1, "model": "simulated"}},
    "jsonl": {"agents": {"count": 3, "model": "scripted"}},
    "reasoning-gym": {"agents": {"count": 3, "model": "scripted"}},
    "arithmetic": {"agents": {"count": 3, "model": "scripted"}},
    "hanoi": {"agents": {"count": 3, "model": "scripted"}},
    "effort": {"tasks": {"kind": "parts", "count": 1, "difficulty": [100, 1000]}, "protocol": "orchestrate"},
    "decentralized": {"protocol": "vote"},
    "ring": {"protocol": "vote"},
    "small-world": {"protocol": "vote", "agents": {"count": 7, "model": "simulated"}},
    "modular": {"protocol": "vote", "agents": {"count": 7, "model": "simulated"}},
    "tree": {"agents": {"model": "simulated"}},
    "debate": {"topology": "decentralized"},
    "dynamic-reputation": {"protocol": "debate"},
    "need-offer": {"protocol": "debate"},
    "placebo": {"tasks": {"kind": "signal", "count": 2}, "topology": "decentralized"},
    "vote": {"topology": "decentralized"},
    "dti": {"topology": "decentralized"},
    "orchestrate": {"agents": {"count": 3, "model": "scripted"}},
    "resample": {"topology": "single", "agents": {"count": 1, "model": "scripted"}},
    "episodes": {"agents": {"count": 2, "model": "policy"}, "protocol": "play", "topology": "decentralized"},
    "pettingzoo": {"agents": {"count": 2, "model": "scripted"}},
    "play": {
        "tasks": {"kind": "episodes", "count": 1, "environment": "commons"},
        "agents": {"count": 2, "model": "policy"},
        "topology": "decentralized",
    },
    "policy": {"tasks": {"kind": "episodes", "count": 1, "environment": "commons"}, "protocol": "play"},
    "difficulty": {
        "tasks": {"kind": "parts", "count": 1, "difficulty": [100, 1000]},
        "protocol": "orchestrate",
        "agents": {"count": 3, "model": "effort"},
    },
}
"""What else a scenario says in which a part of this kind works."""


GAMES = {
    "stag": "stag-hunt",
    "hare": "stag-hunt",
    **dict.fromkeys(("endowment", "factor", "fine_cost", "fine_effect", "fine_most"), "public-goods"),
    **dict.fromkeys(("theta", "gamma", "dependence"), "coopetition"),
    **dict.fromkeys(("omega", "beta", "cost", "effort_most"), "team-production"),
}
"""The game that has a payoff; the prisoner's dilemma has the others."""


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node of the schema with what it refers to."""
    while "$ref" in node:
        target: Any = SCHEMA
        for word in node["$ref"][2:].split("/"):
            target = target[word]
        node = {**{key: value for key, value in node.items() if key != "$ref"}, **target}
    for part in node.get("allOf", ()):
        node = {**resolved(part), **{key: value for key, value in node.items() if key != "allOf"}}
    return node


def numbers(node: dict[str, Any], path: Where = (), kinds: Kinds = ()) -> Iterator[tuple[Where, Kinds, dict[str, Any]]]:
    """Yield every number that a schema allows: where it is, in blocks of which kinds, within which bounds."""
    node = resolved(node)
    if node.get("type") in ("integer", "number"):
        yield path, kinds, node
        return
    for choice in node.get("anyOf", ()):
        yield from numbers(choice, path, kinds)
    for at, item in enumerate(node.get("prefixItems", [node["items"]] if isinstance(node.get("items"), dict) else [])):
        yield from numbers(item, (*path, at), kinds)
    fields = node.get("properties", {})
    if (kind := fields.get("kind", {}).get("const")) is not None:
        if len({slot for slot, _ in kinds if slot[0] == path[0]}) == 1 and path[0] == "protocol":
            return  # a protocol within a protocol has the fields that it has alone
        kinds = (*kinds, (path, kind))
    for key, value in fields.items():
        if key != "kind":
            yield from numbers(value, (*path, key), kinds)
    for value in node.get("patternProperties", {}).values():
        yield from numbers(value, (*path, "critic"), kinds)
    if isinstance(node.get("additionalProperties"), dict) and path != ("sweep",):
        yield from numbers(node["additionalProperties"], (*path, "simulated"), kinds)


FIELDS = {
    ".".join(map(str, path)) + "".join(f" of {kind}" for _, kind in kinds): (path, kinds, node)
    for path, kinds, node in numbers(SCHEMA)
    if (path[:2] != ("agents", 0) or path[2] == "count")  # a list of groups holds what one group does
    and path[0] != "models"  # what a group's model does
    and not (path[0] == "tasks" and "model" in path)  # a judge is a model like a group's
}


def scenario_with(path: Where, kinds: Kinds, value: Any) -> dict[str, Any]:
    """Return a plain scenario with blocks of these kinds, and in them one number."""
    data: dict[str, Any] = {
        "name": "extreme",
        "seed": 1,
        "tasks": {"kind": "multiple-choice", "count": 2},
        "agents": {"count": 3, "model": {"kind": "simulated"}},
        "topology": "star",
        "protocol": "aggregate",
    }
    for slot, kind in kinds:
        for key, block in AROUND.get(kind, {}).items():
            if key != slot[0] or slot == ("agents", "model"):
                data[key] = copy.deepcopy(block)
        block = {"kind": kind, **copy.deepcopy(BLOCKS.get(kind, {}))}
        if slot == ("tasks", "environment"):
            data["tasks"]["environment"] = block
        elif slot[0] == "tasks":
            data["tasks"] = {"count": 1, **block}
        elif slot[:2] == ("agents", "tools"):
            data |= {"protocol": "vote", "agents": {"count": 3, "model": "scripted", "tools": [block]}}
        elif slot == ("agents", "model"):
            data["agents"] = {**data["agents"], "model": block}
        elif slot == ("budget", "policy"):
            data["budget"] = {"tokens_per_task": 1_000_000, "policy": block}
        else:
            data[str(slot[0])] = block
    match path:
        case ("sweep", *_):
            data["sweep"] = {"agents.count": [3, 4]}
        case ("agents", 0, _):
            data["agents"] = [{"count": 3, "model": "simulated"}, {"count": 2, "model": "simulated"}]
        case ("budget", _, *_):
            data.setdefault("budget", {"tokens_per_task": 1_000_000})
            if path[1] in ("money", "money_per_task"):
                data["prices"] = {"simulated": {"input": 1.0, "output": 1.0}}
        case ("prices", *_):
            data["prices"] = {"simulated": {"input": 1.0, "output": 1.0, "cached": 1.0, "call": 0.0}}
        case ("faults", *_):
            data["faults"] = [{"agent": 0, "round": 0}]
        case ("tasks", "scoring", "judge", _):
            data["tasks"]["scoring"] = {"score": "judge", "judge": {"model": {"kind": "scripted"}}}
        case ("tasks", "scoring", _):
            data["tasks"]["scoring"] = {"score": "number"}
        case ("probe", _):
            data |= {"protocol": "debate", "topology": "decentralized", "agents": {"count": 3, "model": "scripted"}}
        case ("attention", *_):
            data |= {"attention": {"kind": "reinforced"}, "protocol": "debate", "topology": "decentralized"}
        case ("tasks", "environment", field) if kinds[-1][1] == "payoff" and field in GAMES:
            data["tasks"]["environment"]["game"] = GAMES[field]
            if field.startswith("fine_"):
                data["tasks"]["environment"]["punishment"] = True
            data["agents"]["count"] = 3 if GAMES[field] == "public-goods" else 2
        case (*_, "fidelity", _):
            data["agents"]["model"]["fidelity"] = {"kind": "hill"}
        case (*_, "mixture", 0, _):
            level = {"weight": 1.0, "signal": 0.1}
            (data["agents"]["model"] if path[0] == "agents" else data["tasks"])["mixture"] = [level, {**level}]
        case (*_, "red_flags", _):
            data["protocol"]["red_flags"] = {}
        case ("topology", "rewire") if kinds[0][1] == "decentralized":
            data["topology"] |= {"shape": "small-world", "degree": 2}
        case ("topology", "degree"):
            data["topology"] |= {"shape": "regular"}
    if path[:3] == ("budget", "policy", "threshold") or path[-1] == "hard":
        data["budget"]["policy"]["rule"] = "threshold"
    if path[:2] == ("budget", "shown"):
        tiers = [{"name": "A", "at_least": 50}, {"name": "B", "at_least": 0}]
        data["budget"]["shown"] = {"scope": "team", "tiers": tiers}
    target: Any = data
    for word in path[:-1]:
        target = target.setdefault(word, {}) if isinstance(target, dict) else target[word]
    target[path[-1]] = value
    return data


def values(name: str) -> list[int | float]:
    """Return the bounds of a field, the smallest numbers and the extremes that it takes."""
    node, number = FIELDS[name][2], list(FIELDS).index(name)
    bounds = [node[key] for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in node]
    extremes = [*INTS, *FLOATS]
    if not EVERY:
        extremes = [0, 1, *(extremes[(2 * number + number // 11 + one) % len(extremes)] for one in range(2))]
    return [*bounds, *extremes]


@pytest.fixture(autouse=True)
def _same_base() -> Iterator[None]:
    token = BASE_DIR.set(None)
    yield
    BASE_DIR.reset(token)


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run a command, which takes seconds at most; return its exit code and what it said on stderr."""
    capsys.readouterr()
    with at_most(200):
        code = main(words)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "nobody foresaw" not in said, said
    return code, said


def within(value: float, node: dict[str, Any]) -> bool:
    """Tell whether the schema allows a number."""
    if node["type"] == "integer" and isinstance(value, float):
        return False
    low, high = node.get("minimum", float("-inf")), node.get("maximum", float("inf"))
    above, below = node.get("exclusiveMinimum", float("-inf")), node.get("exclusiveMaximum", float("inf"))
    return float("-inf") < value < float("inf") and low <= value <= high and above < value < below


@pytest.mark.parametrize("name", FIELDS)
def test_a_number_at_its_extremes_is_refused_by_its_key_or_works(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, kinds, node = FIELDS[name]
    key = next(word for word in reversed(path) if isinstance(word, str))
    (tmp_path / "tasks.jsonl").write_text('{"id": "a", "question": "2 + 2?", "answer": "4"}\n')
    (tmp_path / "game.py").write_text("")
    (tmp_path / "texts.jsonl").write_text('{"title": "a", "text": "b"}\n')
    file, out = tmp_path / "s.yaml", tmp_path / "out"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted = []
    for value in values(name):
        if name.split(" ")[0] in SIZES and value > 1_000 and within(value, node):
            continue
        file.write_text(yaml.safe_dump(scenario_with(path, kinds, value)))
        code, said = outcome(capsys, "check", str(file))
        assert code in (0, 2), (value, said)
        if code == 0:
            accepted.append(value)
        elif not within(value, node):
            assert key in said, (value, said)
        assert code == 2 or within(value, node) or "gt" in node, value
    runs = [min(accepted), max(accepted)] if accepted and not NO_RUN & {kind for _, kind in kinds} else []
    if not EVERY:
        runs = runs[list(FIELDS).index(name) % 2 :][:1] or runs[:1]
    if key in ("latency_s", "backoff_s"):  # these are waited for
        runs = runs[:1]
    if "hanoi-tower" in name and key == "disks":  # 16,383 steps, each of its own
        runs = runs[:1]
    for value in runs:
        file.write_text(yaml.safe_dump(scenario_with(path, kinds, value)))
        for old in tmp_path.glob("out*"):
            shutil.rmtree(old)
        code, said = outcome(capsys, "run", str(file), "--out", str(out), "--quiet")
        if "grid-delivery" in name and "found no map" in said:  # which maps there are is known when they are drawn
            continue
        assert code in (0, 3) or (code == 1 and not said), (value, code, said)  # 1: all calls failed, as was asked for
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 500_000_000


def test_every_field_is_tried_with_a_number_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else what is refused above would be refused for a reason that has nothing to do with the number."""
    (tmp_path / "tasks.jsonl").write_text('{"id": "a", "question": "2 + 2?", "answer": "4"}\n')
    (tmp_path / "game.py").write_text("")
    (tmp_path / "texts.jsonl").write_text('{"title": "a", "text": "b"}\n')
    file = tmp_path / "s.yaml"
    idle = []
    for name, (path, kinds, node) in FIELDS.items():
        default = node.get("default")
        for value in (default, 1, 0, 2, 3, 0.75, 1000):
            if value is None:
                continue
            file.write_text(yaml.safe_dump(scenario_with(path, kinds, value)))
            if outcome(capsys, "check", str(file))[0] == 0:
                break
        else:
            idle.append(name)
    assert idle == []


# Numbers that are fine alone, and what they come to together

PLAIN = """name: product
tasks: {kind: multiple-choice, count: 2}
agents: {count: 3, model: {kind: scripted}}
topology: star
protocol: aggregate
"""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("tasks.count=1000000", "budget.tokens_per_task=9223372036855"), ("tokens_per_task", "9,223,372,036,854")),
        (("tasks.count=20000", "budget.tokens_per_task=1000000000000000"), ("2^63 - 1 = 9,223,372,036,854,775,807",)),
        (("seed=9223372036854775807", "--seeds", "2"), ("seed must be at most 9223372036854775807",)),
    ],
)
def test_a_product_beyond_64_bits_is_refused_with_its_key_and_limit(
    settings: tuple[str, str] | tuple[str, str, str],
    words: tuple[str, str] | tuple[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(PLAIN)
    arguments = [word for setting in settings for word in (("--set", setting) if "=" in setting else (setting,))]
    for verb in (["check", str(file)], ["run", str(file), "--out", str(tmp_path / "out")]):
        code, said = outcome(capsys, *verb, *arguments)
        assert code == 2
        assert all(word in said for word in words), said


def test_the_largest_budget_of_all_tasks_is_the_limit_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(PLAIN)
    arguments = ("--set", "tasks.count=1000000", "--set", f"budget.tokens_per_task={(2**63 - 1) // 10**6}")
    assert outcome(capsys, "check", str(file), *arguments)[0] == 0


@pytest.mark.parametrize("model", ["scripted", "simulated"])
def test_a_run_without_a_limit_in_money_pays_whatever_its_calls_cost(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every call costs more than 2^63 units of money."""
    file, out = tmp_path / "s.yaml", tmp_path / "out"
    prices = "{" + ", ".join(f"{key}: 1000000000.0" for key in ("input", "output", "cached", "call")) + "}"
    file.write_text(
        PLAIN.replace("scripted", model)
        + f"prices: {{{model}: {prices}}}\nbudget: {{tokens_per_task: 1000000000, shown: team}}\n"
    )
    assert outcome(capsys, "run", str(file), "--out", str(out), "--quiet")[0] == 0
    for verb in ("replay", "check", "show", "metrics"):
        assert outcome(capsys, verb, str(out)) == (0, ""), verb


@pytest.mark.parametrize("kind", ["exp", "hyperbolic", "hill", "capacity"])
@pytest.mark.parametrize("m0", [5e-324, 1e-9, 1e9])
@pytest.mark.parametrize("h", [1e-320, 30.0])
@pytest.mark.parametrize("message", [0, 1, TOKENS_MAX])
def test_fidelity_is_a_probability_at_every_corner_of_its_settings(
    kind: str, m0: float, h: float, message: int
) -> None:
    assert 0 <= Fidelity(kind=kind, m0=m0, h=h).at(message) <= 1


@pytest.mark.parametrize("signal", [None, 0.5])
def test_voters_at_the_corners_of_the_leaf_law_run(signal: float | None, tmp_path: Path) -> None:
    scenario = parse_scenario(PLAIN.replace("scripted", "simulated"))
    model = {"kind": "simulated", "compute": TOKENS_MAX, "message": TOKENS_MAX, "overhead": TOKENS_MAX}
    for a in (5e-324, 1e9):
        for beta in (5e-324, 10.0):
            group = {"count": 3, "model": {**model, "a": a, "beta": beta, "signal": signal}}
            data = {**scenario.model_dump(mode="json"), "agents": [group]}
            done = run(type(scenario).model_validate(data), tmp_path / f"{a}-{beta}")
            assert done.manifest.totals.tokens_out == 2 * (2 * 2 * TOKENS_MAX + TOKENS_MAX)
