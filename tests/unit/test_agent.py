"""From a view to a prompt by the first rules, and from any text to a reply or a named fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentsoc.contracts.board import Claim
from agentsoc.contracts.model import Request, bytes_bound
from agentsoc.contracts.rules import FIRST, NEWEST, Rules
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Delegation, Reply, Turn, View
from agentsoc.events import pack_id
from agentsoc.society import first_reader, reply_reader
from agentsoc.society.build import BuiltSociety, build_society
from agentsoc.society.calls import REPAIR_TOKENS, ModelCall
from agentsoc.society.first_prompts import user_prompt
from agentsoc.society.prompt import build_request, system_prompt
from agentsoc.society.reply_form import form_of, reply_schema
from agentsoc.society.reply_reader import Fault, read_reply
from agentsoc.society.reply_text import text_of, text_of_object
from tests.loose import scenario

steady = settings(deadline=None, derandomize=True)
FORMS = ("json", "short", "text")


def society(form: str = "json", family: str = "coin", **changes: Any) -> BuiltSociety:
    agents = {"count": 5, "reply": form, **changes.pop("agents", {})}
    rules = Rules(prompts=1, reader=NEWEST.reader, reserve=NEWEST.reserve)
    return build_society(scenario(agents=agents, tasks={"kind": family, "count": 1}, **changes), rules=rules)


def claim(agent: int, answer: str | None, text: str | None = None) -> Claim:
    return Claim(pack_id(0, agent, 0), agent, 0, "propose_claim", answer, text)


CLAIMS = (claim(1, "heads", "it always does"), claim(2, "tails"), claim(3, None, "no idea"))


def task_of(built: BuiltSociety) -> Task:
    return built.scenario.tasks.make(built.seed, 0)


def view_of(built: BuiltSociety, *claims: Claim, own: Claim | None = None, note: str = "", **turn: Any) -> View:
    task = task_of(built)
    what = Turn(0, sees=tuple(claim.id for claim in claims), **turn)
    return View(0, 1, 0, task.question, task.options, what, claims, own, note=note)


def prompt(built: BuiltSociety, view: View, draft: str | None = None) -> str:
    task = task_of(built)
    return user_prompt(built, task, view, form_of(built, 0, task, view), view.claims, draft)


def request(built: BuiltSociety, view: View, **options: Any) -> Request:
    fits = options.pop("fits", None)
    return build_request(built, task_of(built), view, ModelCall(**{"k": 0, "max_tokens": 50, **options}), fits)


def read(built: BuiltSociety, view: View, text: str, finish: str = "stop") -> Reply | Fault:
    return read_reply(built, built.scenario.tasks, task_of(built), view, text, finish)


# What an agent is told


def test_a_system_prompt_names_the_agent_by_the_known_variables() -> None:
    built = society(
        agents={"prompt": "{name}/{n_agents} {role} in a {topology}: {persona}", "personas": ["calm", "quick"]}
    )
    assert [system_prompt(built, agent) for agent in (0, 1, 2)] == [
        "0/5 hub in a star: calm",
        "1/5 worker in a star: quick",
        "2/5 worker in a star: calm",
    ]
    assert system_prompt(society(), 3) == "You are agent 3 of 5."


def test_what_a_persona_says_is_not_a_template() -> None:
    built = society(agents={"personas": ["{role} {name.__class__} {0} {{name}} {persona}"]})
    assert system_prompt(built, 0) == "You are agent 0 of 5. {role} {name.__class__} {0} {{name}} {persona}"


@pytest.mark.parametrize("template", ["{nme}", "{name.__class__}", "{name!r}", "{name:>10}", "{0}", "{}", "{ name }"])
def test_a_template_reaches_for_names_only(template: str) -> None:
    with pytest.raises(ValueError, match="prompt"):
        society(agents={"prompt": template})


def test_a_template_may_use_every_variable() -> None:
    society(agents={"prompt": "{name} {persona} {role} {n_agents} {topology} } {"})


def test_shown_claims_carry_their_handles_in_order() -> None:
    text = prompt(society(), view_of(society(), *CLAIMS))
    assert text.startswith(
        "Others said:\n#1 agent 1: heads - it always does\n#2 agent 2: tails\n#3 agent 3: (no answer) - no idea\n\n"
    )
    assert text.count(task_of(society()).question) == 1


def test_a_long_text_is_cut_where_others_read_it() -> None:
    built = society(message_tokens=5)
    text = prompt(built, view_of(built, claim(1, "heads", "so very much to say\nabout so little")))
    assert "#1 agent 1: heads - so very much to say…\n" in text


def test_a_turn_tells_what_it_has_to_tell() -> None:
    built = society()
    own = claim(0, "tails")
    text = prompt(built, view_of(built, own=own, instruction="Think.", note="77 tokens left."), draft="maybe heads")
    for part in ("You said before: tails", "Think.", "77 tokens left.", "Your draft: maybe heads"):
        assert part in text
    assert "Others said" not in text
    assert "You said before" not in prompt(built, view_of(built, own=own, purpose="merge"))


@pytest.mark.parametrize("form", FORMS)
def test_a_request_names_its_form(form: str) -> None:
    built = society(form)
    asked = request(built, view_of(built, *CLAIMS[:2]))
    assert (asked.schema is not None) == (form == "json")
    assert bool(asked.choices) == (form == "short")
    if form == "short":
        assert asked.choices == (
            "heads", "tails", "heads #1", "heads not #2", "tails not #1", "tails #2",
        )  # fmt: skip
    if form == "json":
        assert json.loads(asked.schema or "")["properties"]["answer"] == {"enum": ["heads", "tails"]}


def test_a_short_reply_names_no_source_among_too_many() -> None:
    built = society("short")
    many = tuple(claim(agent, "heads") for agent in range(1, 14))
    assert request(built, view_of(built, *many)).choices == ("heads", "tails")
    assert request(built, view_of(built, *CLAIMS, purpose="merge")).choices == ("heads", "tails")
    assert request(built, view_of(built, purpose="judge")).choices == ("stop", "go on")


def test_every_call_has_a_seed_of_its_own() -> None:
    built = society()
    view = view_of(built)
    slots = [view_of(built, slot=slot) for slot in (0, 1)]
    seeds = {request(built, each, k=k, attempt=a).seed for k in (0, 1) for each in slots for a in (0, 1)}
    assert len(seeds) == 8
    assert request(built, view).seed == request(built, view).seed


@steady
@given(limit=st.integers(0, 900), n=st.integers(0, 5), draft=st.booleans(), form=st.sampled_from(FORMS))
def test_a_prompt_that_is_too_long_loses_its_draft_and_then_claims_from_the_end(
    limit: int, n: int, draft: bool, form: str
) -> None:
    built = society(form)
    view = view_of(built, *(claim(agent, "heads", "word " * 10) for agent in range(1, n + 1)))

    def fits(asked: Request) -> bool:
        return bytes_bound(asked) <= limit

    words = "draft " * 20 if draft else None
    got = request(built, view, fits=fits, draft=words)
    shown = got.user.count("agent ")
    assert got.hint is not None
    assert len(got.hint.shown_unique) == shown
    full, bare = request(built, view, draft=words), request(built, view_of(built), draft=None)
    if fits(full):
        assert got == full
        return
    assert "Your draft" not in got.user
    assert fits(got) or (shown == 0 and bytes_bound(got) == bytes_bound(bare))
    if shown < n:
        one_more = view_of(built, *view.claims[: shown + 1])
        assert not fits(request(built, one_more))


@pytest.mark.parametrize("form", FORMS)
def test_what_did_not_fit_cannot_be_cited(form: str) -> None:
    """Neither by the form, nor by a reply that names it all the same when it is read with what was shown."""
    built = society(form)
    view = view_of(built, *CLAIMS)
    small = bytes_bound(request(built, view_of(built, CLAIMS[0])))
    got = request(built, view, fits=lambda asked: bytes_bound(asked) <= small)
    assert "#1" in got.user
    assert "#2 agent" not in got.user
    assert not any("#2" in line or "#3" in line for line in got.choices)
    if got.schema is not None:
        assert json.loads(got.schema)["properties"]["uses"]["maxItems"] == 1


@pytest.mark.parametrize("fault", ["it is not valid JSON", "x" * 1_000, "它不是" * 200, "🎲" * 300, "\ud800" * 300])
def test_naming_a_fault_costs_no_more_than_is_reserved_for_it(fault: str) -> None:
    built = society()
    plain, repair = request(built, view_of(built)), request(built, view_of(built), fault=fault)
    assert 0 < bytes_bound(repair) - bytes_bound(plain) <= REPAIR_TOKENS


# What an agent says


def test_a_json_reply_is_read_through_prose_and_fences() -> None:
    built = society()
    view = view_of(built, *CLAIMS)
    body = '{"answer": "Heads.", "uses": ["#1", 3], "disputes": ["claim 2"], "why": " it\\nfalls ", "confidence": 0.5}'
    expected = Reply(
        answer="heads", text="it falls", uses=(CLAIMS[0].id, CLAIMS[2].id), disputes=(CLAIMS[1].id,), confidence=0.5
    )
    for text in (body, f"Sure:\n```json\n{body}\n```", f"  {body} I hope that helps."):
        assert read(built, view, text) == expected


@pytest.mark.parametrize(
    ("text", "finish", "what"),
    [
        ("", "stop", "it was empty"),
        (" \n ", "length", "it was empty"),
        ("heads", "stop", "not valid JSON"),
        ('{"answer": "he', "length", "cut off at its output cap (max_tokens)"),
        ('["heads"]', "stop", "not a JSON object"),
        ("{}", "stop", '"answer" is missing'),
        ('{"answer": true}', "stop", '"answer" is missing or is not text'),
        ('{"answer": "edge"}', "stop", "none of: heads, tails"),
        ('{"answer": "heads or tails"}', "stop", "none of: heads, tails"),
        ("[" * 100_000, "stop", "not valid JSON"),
        ('{"a":' * 10_000, "stop", "not valid JSON"),
        ('{"answer": 1e999}', "stop", "not valid JSON"),
        ('{"answer": NaN}', "stop", "not valid JSON"),
    ],
)  # fmt: skip
def test_a_fault_is_named_in_words_that_help(text: str, finish: str, what: str) -> None:
    built = society()
    found = read(built, view_of(built), text, finish)
    assert isinstance(found, Fault)
    assert what in found.what


@pytest.mark.parametrize(
    ("text", "answer", "uses", "disputes"),
    [
        ("tails", "tails", (), ()),
        ("heads #1", "heads", (1,), ()),
        ("tails not #1", "tails", (), (1,)),
        ("Heads #1 #3 not #2", "heads", (1, 3), (2,)),
        ("tails #9 #0", "tails", (), ()),
        ("tails #999999999", "tails", (), ()),
        ("heads #1 not #1", "heads", (), (1,)),
    ],
)
def test_a_short_reply_names_its_sources_by_handle(
    text: str, answer: str, uses: tuple[int, ...], disputes: tuple[int, ...]
) -> None:
    built = society("short")
    found = read(built, view_of(built, *CLAIMS), text)
    ids = {number: shown.id for number, shown in enumerate(CLAIMS, 1)}
    assert found == Reply(answer=answer, uses=tuple(ids[n] for n in uses), disputes=tuple(ids[n] for n in disputes))


def test_a_text_reply_keeps_its_words_and_its_handles() -> None:
    built = society("text", "free")
    found = read(built, view_of(built, *CLAIMS), "I agree with #1, unlike #2.\nAnswer: 42")
    assert found == Reply(
        answer="42", text="I agree with #1, unlike #2. Answer: 42", uses=(CLAIMS[0].id,), disputes=(CLAIMS[1].id,)
    )


def test_the_rules_of_a_run_decide_how_its_replies_are_read() -> None:
    what = scenario(agents={"count": 5, "reply": "text"}, tasks={"kind": "arithmetic", "count": 1})
    said: list[tuple[str | None, int, int]] = []
    for text in ("The answer is 27 (#1)", "27, and #2 is wrong"):
        for rules in (FIRST, NEWEST):
            built = build_society(what, rules=rules)
            found = read(built, view_of(built, *CLAIMS), text)
            assert isinstance(found, Reply)
            said.append((found.answer, len(found.uses), len(found.disputes)))
    assert said == [("1", 1, 0), ("27", 1, 0), ("2", 1, 0), ("27", 0, 1)]


def test_a_cut_reply_has_the_answer_that_it_closed() -> None:
    built = society("json")
    found = read(built, view_of(built, *CLAIMS), '{"answer": "heads", "uses": ["#1"], "why": "because', "length")
    assert found == Reply(answer="heads", uses=(CLAIMS[0].id,))
    sums = build_society(scenario(agents={"count": 5, "reply": "text"}, tasks={"kind": "arithmetic", "count": 1}))
    assert isinstance(read(sums, view_of(sums), "The answer is 12", "length"), Fault)  # or 125
    whole = read(sums, view_of(sums), "The answer is 12", "stop")
    assert isinstance(whole, Reply)
    assert whole.answer == "12"


def test_what_a_model_thinks_is_neither_read_nor_told() -> None:
    built = society("text", "free")
    found = read(built, view_of(built, *CLAIMS), "<think>#2 says 41</think>\nAnswer: 42")
    assert found == Reply(answer="42", text="Answer: 42")
    assert isinstance(read(built, view_of(built), "<think>is it 42", "length"), Fault)


def test_a_judgement_is_to_stop_or_to_go_on() -> None:
    for form, stop, more in (("json", '{"stop": true}', '{"stop": false}'), ("text", "Stop!", "Let us go on.")):
        built = society(form)
        view = view_of(built, purpose="judge")
        assert [getattr(read(built, view, text), "stop", None) for text in (stop, more)] == [True, False]
        assert isinstance(read(built, view, '{"stop": 1}' if form == "json" else "stop or go on"), Fault)


def test_a_plan_hands_work_to_those_who_may_be_addressed_once_each() -> None:
    expected = (Delegation(1, "left"), Delegation(2, "right"))
    built = society("json")
    view = view_of(built, purpose="plan", targets=(1, 2))
    items = [
        (True, "truth"),
        (2, "right"),
        (1, "left"),
        (1, "again"),
        (3, "nobody's"),
        (True, "truth"),
        (2.0, "half"),
        ("1", "x"),
        (2, " "),
    ]
    body = json.dumps({"subtasks": [{"to": to, "task": work} for to, work in items] + [None, 7, {}]})
    assert read(built, view, body) == Reply(delegations=expected)
    built = society("text")
    assert read(built, view, "Agent 2: right\n- 1) left\n3: nobody's\n1. again\nthe end") == Reply(delegations=expected)
    for form, text in (("json", '{"subtasks": [{"to": 9, "task": "x"}]}'), ("text", "do what you like")):
        assert isinstance(read(society(form), view, text), Fault)


@pytest.mark.parametrize("answer", ["", "  ", "\n"])
@pytest.mark.parametrize("form", FORMS)
def test_an_empty_answer_to_a_piece_of_work_is_a_fault(form: str, answer: str) -> None:
    built = society(form, "free")
    view = View(0, 1, 1, "What is in the bag?", (), Turn(1, "work", subtask=5))
    assert isinstance(read(built, view, json.dumps({"answer": answer}) if form == "json" else answer), Fault)


def test_a_schema_asks_for_what_the_turn_needs_and_no_more() -> None:
    built = society()
    assert set(reply_schema(view_of(built))["properties"]) == {"answer", "why", "confidence"}
    assert set(reply_schema(view_of(built, *CLAIMS))["properties"]) == {
        "answer",
        "uses",
        "disputes",
        "why",
        "confidence",
    }
    assert reply_schema(view_of(built, purpose="judge"))["required"] == ["stop"]
    plan = reply_schema(view_of(built, purpose="plan", targets=(1, 2)))
    assert plan["required"] == ["subtasks"]
    assert plan["properties"]["subtasks"]["maxItems"] == 2
    assert reply_schema(view_of(society(family="free")))["properties"]["answer"]["type"] == "string"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        "heads",
        "tails",
        "#1",
        "#2 ",
        "not #3",
        "\x00",
        "\x1b[31m",
        "</script>",
        "{",
        "}",
        "\u202e",
        "1: go",
        '"',
        "\\",
        " ",
    ]
)
TEXTS = (
    st.text(max_size=60)
    | st.lists(WORDS, max_size=8).map("".join)
    | st.dictionaries(
        st.sampled_from(["answer", "uses", "disputes", "why", "confidence", "stop", "subtasks", "x"]),
        VALUES,
        max_size=7,
    ).map(json.dumps)
)


@settings(steady, max_examples=600)
@example(
    text='{"answer": ' + "9" * 5_000 + "}", form="json", family="free", purpose="answer", part=False, finish="stop"
)
@example(text="#" * 200_000, form="text", family="coin", purpose="answer", part=False, finish="stop")
@given(
    text=TEXTS,
    form=st.sampled_from(FORMS),
    family=st.sampled_from(["coin", "free"]),
    purpose=st.sampled_from(["answer", "merge", "plan", "guide", "work", "judge", "vote"]),
    part=st.booleans(),
    finish=st.sampled_from(["stop", "length"]),
)
def test_no_text_makes_reading_fail_and_what_is_read_is_sound(
    text: str, form: str, family: str, purpose: Any, part: bool, finish: str
) -> None:
    built = society(form, family)
    view = view_of(built, *CLAIMS, purpose=purpose, targets=(1, 2), subtask=5 if part else None)
    if part:
        view = View(0, 1, 0, "What is in the bag?", (), view.turn, CLAIMS)
    found = read(built, view, text, finish)
    if isinstance(found, Fault):
        assert found.what
        return
    ids = {shown.id for shown in CLAIMS}
    assert set(found.uses) <= ids
    assert set(found.disputes) <= ids
    assert all(type(work.to) is int and work.to in (1, 2) and work.text for work in found.delegations)
    assert found.stop is None or type(found.stop) is bool
    assert found.confidence is None or (type(found.confidence) is float and 0 <= found.confidence <= 1)
    assert found.answer is None or (found.answer and type(found.answer) is str)
    if family == "coin" and not part and purpose in ("answer", "merge", "work", "vote"):
        assert found.answer in ("heads", "tails")
    limit = 4 * built.scenario.message_tokens
    for words in (found.text or "", *(work.text for work in found.delegations)):
        assert len(words) <= limit
    assert found.failed is None


# The short way to read JSON

HANDLES = st.lists(st.sampled_from(["#1", "#2", "#3", "#4", "#0", "#01", "#1000", "#1001", "2", "# 3", "no", "#²", ""]))
VALUES = st.one_of(
    HANDLES,
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["heads", "TAILS", "edge", " heads ", "\ud800", "a\x00b", "x" * 400]),
    st.lists(st.integers(-2, 5)),
)
REPLIES = st.dictionaries(st.sampled_from(["answer", "uses", "disputes", "why", "confidence", "stop", "more"]), VALUES)
USUAL = st.fixed_dictionaries(
    {"answer": st.sampled_from(["heads", "tails", "edge"])},
    optional={
        "uses": HANDLES,
        "disputes": HANDLES,
        "why": st.text(max_size=300),
        "confidence": st.one_of(st.integers(-1, 2), st.floats(-0.5, 1.5), st.booleans()),
    },
)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.one_of(REPLIES, USUAL), st.sampled_from(["answer", "merge", "vote"]), st.sampled_from(["", "Here: ", " "]))
def test_the_short_way_to_read_json_says_what_the_long_way_says(
    reply: dict[str, Any], purpose: Any, before: str
) -> None:
    built = society()
    view = view_of(built, *CLAIMS, purpose=purpose)
    text = (before + json.dumps(reply)).strip()
    family, task = built.scenario.tasks, task_of(built)
    first = [
        way(family, task, view, text, "stop", 256) for way in (first_reader._read_json, first_reader._read_any_json)
    ]
    against = reply_reader._Reading(family, task, view, 2, 256)
    ways = (reply_reader._read_json, reply_reader._read_any_json)
    assert first[0] == first[1]
    said, other = [way(against, text, "stop") for way in ways]
    assert said == other
    if against.usual is not None:
        assert isinstance(said, Reply)
        assert [text_of_object(said, against.usual.answer, against.usual.why, free=free) for free in (True, False)] == [
            text_of(said, text, "json", free=free) for free in (True, False)
        ]


def test_more_handles_than_are_read_are_passed_over() -> None:
    built = society()
    text = json.dumps({"answer": "heads", "uses": ["#9"] * 1000 + ["#1"], "disputes": ["#9"] * 999 + ["#2"]})
    said = read(built, view_of(built, *CLAIMS), text)
    assert isinstance(said, Reply)
    assert (said.uses, said.disputes) == ((), (CLAIMS[1].id,))
