"""Prompt templates: what they may say, what a hostile one is refused, and that all defaults hold."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.board import Claim
from agentsoc.contracts.judge import Judge
from agentsoc.contracts.prompts import ASKED, TEMPLATES, VARIABLES, PromptSet, check_asks, samples
from agentsoc.contracts.template_filters import MADE_MAX, BadTemplateError
from agentsoc.contracts.templates import TEXT_MAX, Compiled, compiled
from agentsoc.contracts.turns import Purpose
from agentsoc.errors import InputError
from agentsoc.scenario.load import load_scenario
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import BuiltSociety, build_society
from agentsoc.society.default_templates import DEFAULTS
from agentsoc.society.shown import claim_values
from agentsoc.society.templates import DIRECTORY, SUFFIX, check_prompts, default_template, prompter
from tests import default_templates

LISTS = TEMPLATES["answer"].lists
VALUES = {
    "question": "What is {x} in \\frac{1}{2}?\n\n    indented",
    "options": ["a", "b"],
    "claims": ["#1 agent 0: a", "#2 agent 2: b\n  c"],
    "name": 3,
    "form": "",
}


def made(text: str, **changes: object) -> str:
    return Compiled(text, ASKED, LISTS).render({**VALUES, **changes})  # type: ignore[dict-item]


def test_a_template_says_its_values_and_keeps_their_lines() -> None:
    text = "{% if claims %}\nOthers:\n{{ claims | join('\\n') }}\n\n{% endif %}\n{{ question }}\n"
    assert made(text) == f"Others:\n#1 agent 0: a\n#2 agent 2: b\n  c\n\n{VALUES['question']}"
    assert made(text, claims=[]) == VALUES["question"]


def test_braces_alone_are_plain_text() -> None:
    assert made('Reply {"answer": 1} or \\boxed{2}. {name}') == 'Reply {"answer": 1} or \\boxed{2}. {name}'


def test_what_a_value_says_is_no_template() -> None:
    assert made("{{ question }}", question="{{ name }} {% for x in y %}") == "{{ name }} {% for x in y %}"


def test_a_loop_goes_over_a_list_and_knows_its_place() -> None:
    text = "{% for one in options %}{{ loop.index }}:{{ one | upper }}{% if not loop.last %}, {% endif %}{% endfor %}"
    assert made(text) == "1:A, 2:B"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{{ qestion }}", "'qestion', which does not exist"),
        ("a\n{{ question.__class__ }}", "looks into an object"),
        ("{{ question.upper() }}", "no calls"),
        ("{{ ''.__class__.__mro__ }}", "looks into an object"),
        ("{{ question['x'] }}", "no places in lists"),
        ("{{ question | attr('x') }}", "no filter attr"),
        ("{{ range(10**9) }}", "no calls"),
        ("{{ 10 ** 10 ** 10 }}", "no construct Pow"),
        ("{{ 'x' * 1000000000 }}", "no arithmetic"),
        ("{{ '%1000000000d' % 1 }}", "no construct Mod"),
        ("{{ question ~ question }}", "no operator ~"),
        ("{% set a = question %}", "no assignments"),
        ("{% macro a() %}{% endmacro %}", "no macros"),
        ("{% include 'x' %}", "no includes"),
        ("{% for a in claims %}{% for b in claims %}x{% endfor %}{% endfor %}", "within a loop"),
        ("{% for c in question %}x{% endfor %}", "goes over a list"),
        ("{% for a in claims recursive %}x{% endfor %}", "within a loop"),
        ("{% for name in claims %}x{% endfor %}", "name of its own"),
        ("{{ loop.index }}", "looks into an object"),
        ("{% for a in claims %}{{ loop.cycle }}{% endfor %}", "looks into an object"),
        ("{% for a in claims %}" + "{{ a }}" * 200 + "{% endfor %}", "a loop holds more"),
        ("{{ question is mapping }}", "mapping"),
        ("{% if %}", ""),
        ("{{ ", ""),
        ("(" * 10 + "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", ""),
        ("x" * (TEXT_MAX + 1), "the limit is"),
        ("{% if name %}" * 150 + "{% endif %}" * 150, ""),
        ("{{ " + "9" * 5000 + " }}", "cannot be compiled"),
        ("{{ 0x" + "f" * 9000 + " }}", "cannot be compiled"),
        ("{% for c in claims %}x{% else %}{{ c }}{% endfor %}", "'c', which does not exist"),
        ("{% for c in claims %}x{% else %}{{ loop.index }}{% endfor %}", "looks into an object"),
        ("{% for c in claims if loop.first %}x{% endfor %}", "looks into an object"),
    ],
)
def test_a_hostile_template_is_refused_before_anything_of_it_runs(text: str, what: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadTemplateError) as caught:
        Compiled(text, ASKED, LISTS)
    assert what in caught.value.what
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text",
    [
        "{{ claims | join(claims | join(claims | join(claims | join(question)))) }}",
        "{{ question | indent(16) }}" * 8,
        "{% for a in claims %}" + "{{ question }}" * 60 + "{% endfor %}",
    ],
)
def test_what_a_template_makes_is_bounded(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadTemplateError, match=f"{MADE_MAX:,}"):
        made(text, question="\n" * 50_000, claims=["x" * 1000] * 50)
    assert time.monotonic() - began < 5


def nested(times: int, inner: str) -> str:
    """Return a template in which a list as a text stands in a list as a text, and so on."""
    for _ in range(times):
        inner = f"[{inner}]|lower"
    return "{{ " + inner + " }}"


@pytest.mark.parametrize(
    "text",
    [
        nested(22, "'\\\\\\\\'"),
        nested(22, "question"),
        "{{ [" + "question," * 1500 + "] }}",
        "{% for c in claims %}{{ (question" + "|indent(16)" * 30 + ")|length }}{% endfor %}",
    ],
    ids=["constant", "value", "list", "between"],
)
def test_what_a_template_makes_in_between_is_bounded(text: str) -> None:
    """Little of it may be in the end: backslashes double in each list that is made a text, filters follow filters."""
    began = time.monotonic()
    with pytest.raises(BadTemplateError, match=r"takes a text|characters"):
        made(text, question="\\\n" * 2_000, claims=["c"] * 1_000)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "{{ name | length }}",
        "one\n{{ -question }}",
        "{% if claims %}{% for c in claims %}{{ loop.index | indent }}{% endfor %}{% endif %}",
        "{{ question if claims else (name | first | length) < question }}",
        "{{ claims | lower }}",
        "{{ question | indent(2, 3) }}",
    ],
)
def test_what_cannot_be_rendered_is_known_before_a_run_with_its_place(text: str, tmp_path: Path) -> None:
    line = 2 if text.startswith("one") else 1
    with pytest.raises(ValueError, match=r"prompts.*revise"):
        built({"revise": text})
    (tmp_path / "mine.jinja").write_text(text)
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "name: a\ntasks: sentiment\ntopology: decentralized\nprotocol: debate\n"
        "agents: {count: 2, model: scripted}\nprompts: {revise: {file: mine.jinja}}\n"
    )
    with pytest.raises(InputError, match=rf"mine\.jinja:{line}:"):
        check_prompts(build_society(load_scenario(scenario)))
    with pytest.raises(InputError, match=rf"protocol\.roles\.asks:{line}:"):
        check_asks(text, "protocol.roles.asks")


def test_a_rubric_that_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(ValueError, match="no len"):
        Judge.model_validate({"model": {"kind": "scripted"}, "rubric": "{{ question }}{{ parts }}{{ scale | length }}"})


def test_a_text_that_is_too_long_for_a_prompt_names_the_template() -> None:
    by = prompter(built({"own": "{{ said }}" * 50}), 0)
    with pytest.raises(InputError, match=r"prompts\.own:1: .* more than"):
        by.render("own", {"said": "x" * 100_000})


@pytest.mark.parametrize(
    "text",
    [
        "{{ question | join(question) }}",
        "{{ question | indent(1000000000) }}",
        "{{ '%9999999999d' is even }}",
        "{% if question is odd %}x{% endif %}",
    ],
)
def test_a_filter_takes_only_what_it_is_for(text: str) -> None:
    with pytest.raises(BadTemplateError):
        made(text)


def test_even_and_odd_are_said_of_numbers() -> None:
    text = "{% for one in options %}{% if loop.index is odd %}{{ one }}{% endif %}{% endfor %}{{ name is even }}"
    assert made(text, name=4) == "aTrue"


def test_a_fault_names_its_line_and_the_nearest_name() -> None:
    with pytest.raises(BadTemplateError) as caught:
        Compiled("one\ntwo {{ instructon }}", ASKED, LISTS)
    assert (caught.value.line, caught.value.hint) == (2, 'did you mean "instruction"?')
    with pytest.raises(InputError, match=r"protocol\.roles\.asks:1"):
        check_asks("{{ nobody }}", "protocol.roles.asks")


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("{}%|'\" \nabcinforeld.~*()[]#-+1="), max_size=60))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    try:
        compiled = Compiled(text, ASKED, LISTS)
    except BadTemplateError:
        return
    assert isinstance(compiled.render({name: ["x"] if name in LISTS else "x" for name in ASKED}), str)


def test_templates_are_tried_for_every_purpose() -> None:
    tried = {values["purpose"] for values in samples(TEMPLATES["form_json"].variables)}
    assert tried == set(get_args(Purpose))


def test_every_template_has_a_default_that_holds_and_every_value_a_meaning() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {f"{name}{SUFFIX}" for name in TEMPLATES}
    for name, kind in TEMPLATES.items():
        Compiled(default_template(name), kind.variables, kind.lists)
        assert set(kind.variables) <= set(VARIABLES)
    assert set(VARIABLES) == {value for kind in TEMPLATES.values() for value in kind.variables}


def test_the_functions_of_the_defaults_are_those_of_their_files() -> None:
    written = default_templates.FILE.read_text(encoding="utf-8")
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(default_templates.source()))


TEXTS = st.one_of(st.sampled_from(["", "a", " x\n", "{{ name }}", "judge", "work"]), st.text(max_size=8))
NUMBERS = ("name", "n_agents", "round", "number", "agent", "n_claims", "calls_max", "calls_left")
FACTS = ("stated", "cites", "numeric", "options_said")
PURPOSES = ("answer", "merge", "plan", "guide", "work", "vote", "judge", "check", "choose", "act", "talk")


def values_of(name: str) -> st.SearchStrategy[Any]:
    if name in {*LISTS, "tools", "results"}:
        return st.lists(TEXTS, max_size=3)
    if name in NUMBERS:
        return st.integers(0, 3)
    if name in FACTS:
        return st.booleans()
    return st.sampled_from(PURPOSES) if name == "purpose" else TEXTS


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(TEMPLATES)), st.fixed_dictionaries({name: values_of(name) for name in VARIABLES}))
def test_the_functions_of_the_defaults_say_what_their_files_say(name: str, values: dict[str, Any]) -> None:
    kind = TEMPLATES[name]
    template = compiled(default_template(name), kind.variables, kind.lists)
    assert DEFAULTS[name].render(values) == template.render(values)
    assert all(DEFAULTS[name].only_says(value) == template.only_says(value) for value in kind.variables)


def test_what_the_function_of_a_default_makes_is_bounded() -> None:
    values: dict[str, Any] = {name: [] if name in LISTS else "" for name in VARIABLES}
    with pytest.raises(BadTemplateError, match=f"{MADE_MAX:,}"):
        DEFAULTS["answer"].render({**values, "question": "x" * MADE_MAX, "form": "y"})
    with pytest.raises(BadTemplateError, match=f"{MADE_MAX:,}"):
        DEFAULTS["revise"].render({**values, "claims": ["x" * 1000] * (MADE_MAX // 1000 + 1)})


@pytest.mark.parametrize(
    ("text", "only_says"),
    [
        ("#{{ number }}: {{ answer }}", True),
        ("{% if text %}{{ number }}{% endif %}", True),
        ("{% if number == 1 %}first{% endif %}{{ number }}", False),
        ("{{ number | upper }}", False),
        ("{{ number if answer else answer }}", False),
        ("{{ [number] | first }}", False),
        ("{{ number is odd }}", False),
    ],
)
def test_it_is_known_of_which_values_more_is_made_than_a_text(text: str, only_says: bool) -> None:
    kind = TEMPLATES["claim"]
    assert Compiled(text, kind.variables, kind.lists).only_says("number") is only_says


@pytest.mark.parametrize("text", [None, "#{{ number }} {{ number }}|{{ text }}", "{% if number == 2 %}two{% endif %}!"])
@pytest.mark.parametrize("said", ["why", "", "\x00number\x00 in words", "x" * 10_000])
def test_a_claim_is_shown_under_its_own_number_to_each_reader(text: str | None, said: str) -> None:
    by = prompter(built({} if text is None else {"claim": text}), 0)
    claim, kind = Claim(5, 0, 4, "propose_claim", "heads", said), TEMPLATES["claim"]
    fresh = Compiled(text or default_template("claim"), kind.variables, kind.lists)
    for number in (1, 2, 30, 2, 1):
        assert by.claim(claim, number, "whole", 64) == fresh.render(claim_values(claim, number, "whole", 64))


def built(prompts: dict[str, Any]) -> BuiltSociety:
    return build_society(
        Scenario.model_validate(
            {
                "name": "shown",
                "tasks": {"kind": "sentiment", "count": 1},
                "agents": {"count": 2, "model": "scripted"},
                "topology": "decentralized",
                "protocol": "debate",
                "prompts": prompts,
            }
        )
    )


def test_a_run_that_keeps_to_the_defaults_loads_no_jinja() -> None:
    said = """
import sys, tempfile
from pathlib import Path
from agentsoc.engine.run import run
from agentsoc.scenario.load import load_scenario
run(load_scenario("scenarios/protocol-orchestrate.yaml", ["tasks.count=1"]), Path(tempfile.mkdtemp()) / "run")
sys.exit("jinja2" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", said], check=False).returncode == 0


def test_a_block_takes_texts_files_and_examples() -> None:
    block = PromptSet.model_validate(
        {
            "answer": "{{ question }}",
            "claim": {"file": "claim.jinja"},
            "revise": {"examples": [{"user": "1 + 1", "assistant": "2"}]},
        }
    )
    assert [name for name, _ in block.given()] == ["answer", "revise", "claim"]
    assert block.files() == ("claim.jinja",)
    for bad in ({"answer": "{{ nobody }}"}, {"anser": "x"}, {"answer": {"text": "x", "file": "y"}}):
        with pytest.raises(ValueError, match=r"nobody|anser|not both"):
            PromptSet.model_validate(bad)


def test_a_text_that_was_made_before_is_made_of_the_same_values_only() -> None:
    """What a template made is kept; a value that it does not use changes nothing, one that it uses does."""
    template = Compiled("{{ question }}|{{ claims | join(',') }}", ("question", "claims", "own"), ("claims",))
    first = template.render({"question": "A?", "claims": ["x", "y"], "own": "1"})
    assert first == template.render({"question": "A?", "claims": ["x", "y"], "own": "2"}) == "A?|x,y"
    assert template.render({"question": "A?", "claims": ["x,y"], "own": "1"}) == "A?|x,y"
    assert template.render({"question": "A?", "claims": ["x", "z"], "own": "1"}) == "A?|x,z"
    assert template.render({"question": "B?", "claims": [], "own": "1"}) == "B?|"


def test_what_one_agent_was_asked_reaches_no_other() -> None:
    template = Compiled("You are {{ name }}.", ("name",), ())
    said = [template.render({"name": number}) for number in (*range(200), *range(200))]
    assert said == [f"You are {number}." for number in (*range(200), *range(200))]
