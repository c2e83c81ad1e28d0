"""What agents are asked: templates, others' words, their own, earlier rounds, and what asks for sources."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.board import Claim
from agentsoc.contracts.model import Message, Request, bytes_bound
from agentsoc.contracts.rules import FIRST
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Reply, Turn, View
from agentsoc.errors import InputError
from agentsoc.events import pack_id
from agentsoc.scenario.files import BASE_DIR
from agentsoc.society.build import BuiltSociety, build_society
from agentsoc.society.calls import REPAIR_TOKENS, Exchange, ModelCall
from agentsoc.society.prompt import all_requests, build_request, system_prompt
from agentsoc.society.reply_form import form_of
from agentsoc.society.reply_text import text_of
from agentsoc.society.shown import cut, states
from tests.loose import scenario

steady = settings(deadline=None, derandomize=True)
FORMS = ("json", "short", "text")


def society(form: str = "json", family: str = "coin", **changes: Any) -> BuiltSociety:
    agents = {"count": 5, "reply": form, **changes.pop("agents", {})}
    return build_society(scenario(agents=agents, tasks={"kind": family, "count": 1}, **changes))


def claim(agent: int, answer: str | None, text: str | None = None, round_: int = 0) -> Claim:
    return Claim(pack_id(round_, agent, 0), agent, round_, "propose_claim", answer, text)


CLAIMS = (claim(1, "heads", "it always does"), claim(2, "tails"), claim(3, None, "no idea"))


def task_of(built: BuiltSociety) -> Task:
    return built.scenario.tasks.make(built.seed, 0)


def view_of(built: BuiltSociety, *claims: Claim, round_: int = 1, note: str = "", **turn: Any) -> View:
    task = task_of(built)
    what = Turn(0, sees=tuple(one.id for one in claims), **turn)
    return View(0, round_, 0, task.question, task.options, what, claims, note=note)


def request(built: BuiltSociety, view: View, **options: Any) -> Request:
    fits = options.pop("fits", None)
    return build_request(built, task_of(built), view, ModelCall(**{"k": 0, "max_tokens": 50, **options}), fits)


def exchange(built: BuiltSociety, round_: int, said: str, *claims: Claim) -> Exchange:
    return Exchange(view_of(built, *claims, round_=round_), said)


def roles(asked: Request) -> str:
    return " ".join(message.role[0] for message in asked.messages)


# Words


def test_the_default_system_prompt_and_the_older_way_to_say_one() -> None:
    assert system_prompt(society(), 3) == "You are agent 3 of 5."
    assert system_prompt(society(agents={"personas": ["Be {kind}."]}), 0) == "You are agent 0 of 5. Be {kind}."
    old = society(agents={"prompt": "{name}/{n_agents} {role} in a {topology}: {persona}", "personas": ["calm"]})
    assert system_prompt(old, 1) == "1/5 worker in a star: calm"
    assert system_prompt(society(prompts={"system": "{{ role }} {{ name }}"}), 1) == "worker 1"


def test_a_groups_templates_come_before_those_of_the_scenario_and_both_before_the_defaults() -> None:
    both = society(prompts={"answer": "S {{ question }}", "claim": "C"}, agents={"prompts": {"answer": "G"}})
    assert request(both, view_of(both)).user == "G"
    assert request(both, view_of(both, CLAIMS[1])).user.startswith("Others said:\nC\n\n")


def test_a_template_may_stand_in_a_file_and_is_looked_at_before_anything_runs(tmp_path: Any) -> None:
    (tmp_path / "mine.jinja").write_text("{% if claims %}\n{{ claimz }}\n{% endif %}\n")
    before = BASE_DIR.set(tmp_path)
    try:
        with pytest.raises(InputError, match=r"mine\.jinja:2.*claimz") as caught:
            society(prompts={"revise": {"file": "mine.jinja"}})
        assert "claims" in str(caught.value)
        (tmp_path / "mine.jinja").write_text("Mine: {{ question }}\n")
        built = society(prompts={"answer": {"file": "mine.jinja"}})
        assert request(built, view_of(built)).user == f"Mine: {task_of(built).question}"
    finally:
        BASE_DIR.reset(before)


def test_examples_are_messages_before_the_question() -> None:
    built = society(prompts={"answer": {"examples": [{"user": "{{ 1 }} + 1?", "assistant": "2"}]}})
    asked = request(built, view_of(built))
    assert roles(asked) == "s u a u"
    assert asked.messages[1:3] == (Message("user", "{{ 1 }} + 1?"), Message("assistant", "2"))
    assert roles(request(built, view_of(built, CLAIMS[0]))) == "s u"  # another purpose


def test_a_turn_may_ask_its_own_thing_in_its_own_form() -> None:
    built = society("short", "free")
    view = view_of(built, asks="As {{ role }}: write code for\n{{ question }}", form="text")
    asked = request(built, view)
    assert asked.user == f"As hub: write code for\n{task_of(built).question}"
    assert (asked.choices, asked.schema, form_of(built, 0, task_of(built), view)) == ((), None, "text")


# What others see


CODE = "def f(x):\n    if x:\n        return 1\n\n    return 2\n"


def test_lines_and_indentation_of_others_words_survive() -> None:
    built = society("text", "free", message_tokens=64)
    assert f"#1 agent 1: return 2 - {CODE}" not in (
        user := request(built, view_of(built, claim(1, "return 2", CODE))).user
    )
    assert f"#1 agent 1: {CODE.strip()}" in user  # the answer stands once: in the text


def test_an_answer_that_its_text_does_not_hold_stands_before_it() -> None:
    built = society()
    user = request(built, view_of(built, *CLAIMS)).user
    assert user.startswith(
        "Others said:\n#1 agent 1: heads - it always does\n#2 agent 2: tails\n#3 agent 3: (no answer) - no idea\n\n"
    )


@pytest.mark.parametrize(
    ("see", "shown"),
    [
        ("answer", "#1 agent 1: 42"),
        ("whole", "#1 agent 1: " + "first I think. " * 40 + "So it is 42."),
    ],
)
def test_peers_see_what_the_authors_group_lets_them_see(see: str, shown: str) -> None:
    long = claim(1, "42", "first I think. " * 40 + "So it is 42.")
    built = society("text", "free", peers_see=see, message_tokens=10)
    assert request(built, view_of(built, long)).user.split("\n\n")[0] == f"Others said:\n{shown}"
    group = society("text", "free", agents={"peers_see": see}, message_tokens=10)
    assert request(group, view_of(group, long)).user.split("\n\n")[0] == f"Others said:\n{shown}"


def test_a_long_text_loses_its_middle_and_never_its_answer() -> None:
    built = society("text", "free", message_tokens=16)
    for text in (
        "So it is 42. " + "and so on " * 50,
        "first I think. " * 40 + "So it is 42.",
        "x " * 90 + "42" + " y" * 90,
    ):
        shown = request(built, view_of(built, claim(1, "42", text))).user.split("\n\n")[0]
        assert "tokens left out ...]" in shown
        assert states(shown.split(":", 2)[2], "42")
        assert len(shown) < 150


@steady
@given(st.text(st.sampled_from("ab \n\t"), max_size=400), st.integers(1, 60))
def test_a_cut_text_is_its_beginning_a_mark_and_its_end(text: str, tokens: int) -> None:
    shown = cut(text, tokens)
    if len(text) <= 4 * tokens:
        assert shown == text
        return
    found = re.fullmatch(r"(.*) \[\.\.\. (\d+) tokens left out \.\.\.\] (.*)", shown, re.DOTALL)
    assert found is not None
    assert text.startswith(found[1])
    assert text.endswith(found[3])
    assert len(found[1]) + len(found[3]) <= 4 * tokens


def test_what_others_read_of_a_reply_is_as_it_was_written_without_the_handles_of_its_author() -> None:
    read = Reply(answer="def f", text="clipped", uses=(1,))
    assert (
        text_of(read, "  Def f:\n    x\n\nANSWER Def f #2 not #1\n", "text", free=True)
        == "Def f:\n    x\n\nANSWER Def f"
    )
    assert text_of(Reply(stop=True), "stop", "text", free=True) is None
    assert text_of(read, '{"answer": "Def f", "why": "a\\n  b"}', "json", free=True) == "Def f\na\n  b"
    assert text_of(read, '{"answer": "def f", "why": "a\\n  b"}', "json", free=True) == "a\n  b"
    assert text_of(Reply(answer="def f"), "Def f not #2", "short", free=True) == "Def f"
    assert text_of(Reply(answer="heads"), "Heads #2", "short", free=False) is None


# What an agent is shown of itself


LONG = "First:\n    " + "a long way to go, " * 30 + "so 42"


def test_an_agent_without_history_sees_its_own_earlier_reply_whole_in_the_question() -> None:
    built = society("text", "free", message_tokens=4, agents={"history": "none"})
    earlier = (exchange(built, 0, LONG),)
    for purpose, sees in (("answer", True), ("work", True), ("merge", False), ("judge", False)):
        asked = request(built, view_of(built, *CLAIMS, purpose=purpose), earlier=earlier)
        assert roles(asked) == "s u"
        assert (f"You said before:\n{LONG}" in asked.user) is sees
    assert "You said before" not in request(built, view_of(built, fresh=True), earlier=earlier).user


def test_by_default_the_last_reply_follows_what_it_was_a_reply_to() -> None:
    built = society("text", "free", message_tokens=4)
    earlier = (exchange(built, 0, "soon"), exchange(built, 1, LONG, CLAIMS[0]))
    first = request(built, view_of(built, round_=0))
    for purpose, sees in (("answer", True), ("work", True), ("merge", False), ("judge", False)):
        asked = request(built, view_of(built, *CLAIMS, round_=2, purpose=purpose), earlier=earlier)
        assert roles(asked) == ("s u a u" if sees else "s u")
        assert "You said before" not in asked.user
        assert not sees or [m.content for m in asked.messages[1:3]] == [first.user, LONG]
    assert roles(request(built, view_of(built, fresh=True), earlier=earlier)) == "s u"


def test_a_last_reply_whose_exchange_has_no_room_stands_in_the_question() -> None:
    built = society("text", "free")
    earlier = (exchange(built, 0, LONG),)
    view = view_of(built, *CLAIMS)
    room = len(request(built, view, earlier=earlier).user) + len(f"You said before:\n{LONG}\n\n")
    asked = request(
        built, view, earlier=earlier, fits=lambda one: sum(len(m.content) for m in one.messages[1:]) <= room
    )
    assert roles(asked) == "s u"
    assert f"You said before:\n{LONG}" in asked.user
    assert "agent 3" in asked.user
    assert asked in list(all_requests(built, task_of(built), view, ModelCall(k=0, max_tokens=50, earlier=earlier), 3))


def test_history_gives_earlier_rounds_as_messages() -> None:
    for history in ("own", "all"):
        built = society("json", agents={"history": history})
        earlier = (exchange(built, 0, '{"answer": "heads"}'), exchange(built, 1, "x\n  y", CLAIMS[0]))
        asked = request(built, view_of(built, CLAIMS[1], round_=2), earlier=earlier)
        assert roles(asked) == "s u a u a u"
        assert [m.content for m in asked.messages if m.role == "assistant"] == ['{"answer": "heads"}', "x\n  y"]
        assert ("agent 1: heads" in asked.messages[3].content) is (history == "all")
        assert "You said before" not in asked.user
        assert "agent 2: tails" in asked.user


def test_a_full_window_loses_history_from_the_oldest_on_and_keeps_the_claims() -> None:
    built = society("short", agents={"history": "own"})
    earlier = tuple(exchange(built, round_, f"reply {round_} " * 20) for round_ in range(6))
    view = view_of(built, *CLAIMS, round_=6)
    sizes = []
    whole = bytes_bound(request(built, view, earlier=earlier))
    for limit in range(whole, 0, -97):
        asked = request(built, view, earlier=earlier, fits=lambda one, limit=limit: bytes_bound(one) <= limit)
        said = [m.content.split()[1] for m in asked.messages if m.role == "assistant"]
        assert said == [str(n) for n in range(6 - len(said), 6)]  # the last ones
        assert asked.hint is not None
        if said:
            assert len(asked.hint.shown_unique) == 3
        sizes.append(len(said))
    assert sizes == sorted(sizes, reverse=True)
    assert set(sizes) == set(range(7))


def test_what_is_remembered_of_earlier_tasks_goes_first() -> None:
    built = society("short", episodes="sequential", agents={"memory": 2})
    view = view_of(built, CLAIMS[0])
    asked = request(built, view, memory=("Earlier question: x\nYou answered: y",))
    assert asked.user.startswith("Earlier question: x\nYou answered: y\n\nOthers said:")
    without = request(built, view)
    assert request(built, view, memory=("z",), fits=lambda one: bytes_bound(one) <= bytes_bound(without)) == without


def test_memory_that_nothing_carries_over_is_refused_for_new_runs_only() -> None:
    one = scenario(agents={"count": 5, "memory": 4})
    with pytest.raises(InputError, match="history: own"):
        build_society(one)
    assert build_society(one, stored=True).n == build_society(one, rules=FIRST).n == 5
    build_society(scenario(agents={"count": 5, "memory": 4}, episodes="sequential"))


def test_a_draft_is_a_message_of_the_agents_own() -> None:
    built = society("text", "free")
    asked = request(built, view_of(built), draft="one\n    two", k=1)
    assert roles(asked) == "s u a u"
    assert asked.messages[2].content == "one\n    two"
    assert asked.user.startswith("Improve your reply or confirm it.")


@pytest.mark.parametrize("fault", ["it is not valid JSON", "x" * 1_000, "它不是" * 200, "🎲" * 300, "\ud800" * 300])
def test_naming_a_fault_costs_no_more_than_is_reserved_for_it(fault: str) -> None:
    built = society()
    plain, repair = request(built, view_of(built)), request(built, view_of(built), fault=fault)
    assert 0 < bytes_bound(repair) - bytes_bound(plain) <= REPAIR_TOKENS


@steady
@given(
    limit=st.integers(0, 2_500),
    n=st.integers(0, 5),
    draft=st.booleans(),
    said=st.integers(0, 3),
    history=st.sampled_from(["none", "own", "all"]),
    form=st.sampled_from(FORMS),
)
def test_whatever_is_left_out_the_prompt_fits_or_is_the_bare_question(
    limit: int, n: int, draft: bool, said: int, history: str, form: str
) -> None:
    built = society(form, agents={"history": history})
    claims = [claim(agent, "heads", "word " * 10) for agent in range(1, n + 1)]
    view = view_of(built, *claims, round_=3)
    options: dict[str, Any] = {
        "draft": "draft " * 20 if draft else None,
        "earlier": tuple(exchange(built, r, "reply " * 9, *claims[:r]) for r in range(said)),
    }
    got = request(built, view, fits=lambda asked: bytes_bound(asked) <= limit, **options)
    full, bare = request(built, view, **options), request(built, view_of(built, round_=3))
    assert got.hint is not None
    shown = len(got.hint.shown_unique)
    assert (
        sum(
            f"#{i} agent" in got.user or any(f"#{i} agent" in m.content for m in got.messages)
            for i in range(1, shown + 1)
        )
        == shown
    )
    if bytes_bound(full) <= limit:
        assert got == full
    else:
        assert bytes_bound(got) <= limit or (shown == 0 and len(got.messages) == len(bare.messages))
    call = ModelCall(k=0, max_tokens=50, **options)
    assert got.digest() in {one.digest() for one in all_requests(built, task_of(built), view, call, shown)}


# What asks for sources


def test_a_short_reply_names_a_source_or_none_and_never_the_option_alone() -> None:
    built = society("short")
    asked = request(built, view_of(built, *CLAIMS[:2]))
    assert asked.choices == (
        "heads #1", "heads not #2", "heads none", "tails not #1", "tails #2", "tails none",
    )  # fmt: skip
    assert "#i if line i convinced you" in asked.user
    assert "none if you used none" in asked.user
    assert "#1" not in asked.user.split("\n\n")[-1]
    assert request(built, view_of(built)).choices == ("heads", "tails")
    assert request(built, view_of(built, *CLAIMS, purpose="merge")).choices == ("heads", "tails")
    many = tuple(claim(agent, "heads") for agent in range(1, 100))
    assert request(built, view_of(built, *many)).choices == ("heads", "tails")


def test_a_short_reply_may_name_all_who_agree() -> None:
    built = society("short")
    asked = request(built, view_of(built, claim(1, "heads"), claim(2, "tails"), claim(3, "heads")))
    assert [line for line in asked.choices if line.count("#") > 1] == ["heads #1 #3"]


def test_a_short_reply_with_a_number_leaves_the_number_open_and_names_a_source() -> None:
    built = society("short", "arithmetic")
    asked = request(built, view_of(built, claim(1, "27"), claim(2, "27"), claim(3, None)))
    assert asked.choices == (
        "<whole> #1", "<whole> not #1", "<whole> #2", "<whole> not #2", "<whole> #3", "<whole> not #3",
        "<whole> #1 #2", "<whole> none",
    )  # fmt: skip
    assert request(built, view_of(built)).choices == ()  # alone there is nothing to name
    assert request(built, view_of(built, claim(1, "27"), purpose="merge")).choices == ()
    crowd = tuple(claim(agent, "27") for agent in range(1, 80))
    assert request(built, view_of(built, *crowd)).choices == ()
    model_chose = society("auto", "arithmetic", agents={"model": {"kind": "local"}})
    assert request(model_chose, view_of(model_chose, claim(1, "27"))).choices == ()  # it reasons in text


def test_the_keys_of_a_json_reply_stand_in_the_order_of_the_prompt() -> None:
    asked = request(society("json", "arithmetic"), view_of(society("json", "arithmetic"), claim(1, "27")))
    keys = list(json.loads(asked.schema or "")["properties"])
    assert keys == ["answer", "uses", "disputes", "why", "confidence"]
    said = asked.user.split("\n\n")[-1]
    assert sorted(keys, key=lambda key: said.index(f'"{key}"')) == keys
    assert '"a number"' not in said  # small models copy the quotes, and then miscount


def test_a_json_reply_has_to_say_what_it_uses_and_disputes() -> None:
    built = society("json")
    asked = request(built, view_of(built, *CLAIMS[:2]))
    schema = json.loads(asked.schema or "")
    for key in ("uses", "disputes"):
        assert key in schema["required"]
        assert schema["properties"][key]["items"] == {"enum": ["#1", "#2", "none"]}
        assert schema["properties"][key]["minItems"] == 1
    assert not re.search(r"#\d", asked.user.split("\n\n")[-1])
    alone = json.loads(request(built, view_of(built)).schema or "")
    assert "uses" not in alone["properties"]


def test_a_text_says_its_sources_on_the_last_line() -> None:
    built = society("text", "free")
    assert "not #i if line i is wrong" in request(built, view_of(built, *CLAIMS)).user.split("\n\n")[-1]
    assert "#i" not in request(built, view_of(built)).user


def test_lengths_of_a_schema_follow_the_output_cap_and_numbers_have_a_pattern() -> None:
    free = society("json", "free")
    lengths = [
        json.loads(request(free, view_of(free), max_tokens=cap).schema or "")["properties"]["answer"]["maxLength"]
        for cap in (20, 128, 1024)
    ]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] > 1_500
    numbers = society("json", "arithmetic")
    pattern = json.loads(request(numbers, view_of(numbers)).schema or "")["properties"]["answer"]["pattern"]
    for good in ("7", "-12"):
        assert re.fullmatch(pattern, good)
    for bad in ("", "seven", "#1", "7 apples", ".", "3.25", "3/4"):
        assert not re.fullmatch(pattern, bad)
    assert '"answer" (a whole number)' in request(numbers, view_of(numbers)).user
    part = msgspec.structs.replace(view_of(numbers), turn=Turn(0, "work", subtask=1))
    assert "pattern" not in (request(numbers, part).schema or "")


def numbers_of_a_file(base: Path, form: str, whole: bool) -> BuiltSociety:
    (base / "tasks.jsonl").write_text('{"question": "How many?", "answer": "7"}')
    return build_society(
        scenario(
            agents={"count": 5, "reply": form},
            tasks={"kind": "jsonl", "file": "tasks.jsonl", "count": 1, "scoring": {"score": "number", "whole": whole}},
        )
    )


@pytest.mark.parametrize("whole", [False, True])
def test_words_lines_and_schema_follow_whether_numbers_are_whole(tmp_path: Path, whole: bool) -> None:
    token = BASE_DIR.set(tmp_path)
    try:
        asked = {
            form: request(numbers, view_of(numbers, *CLAIMS[1:]))
            for form in FORMS
            for numbers in [numbers_of_a_file(tmp_path, form, whole)]
        }
    finally:
        BASE_DIR.reset(token)
    for form, one in asked.items():
        assert ("a whole number" in one.user) == whole, form
        assert whole or "a number" in one.user, form
    sort = "<whole>" if whole else "<number>"
    assert asked["short"].choices == tuple(f"{sort} {end}" for end in ("#1", "not #1", "#2", "not #2", "none"))
    pattern = json.loads(asked["json"].schema or "")["properties"]["answer"]["pattern"]
    assert re.fullmatch(pattern, "-27")
    assert bool(re.fullmatch(pattern, "2.5")) != whole


@pytest.mark.parametrize("form", FORMS)
def test_what_did_not_fit_cannot_be_cited(form: str) -> None:
    built = society(form)
    view = view_of(built, *CLAIMS)
    small = bytes_bound(request(built, view_of(built, CLAIMS[0])))
    got = request(built, view, fits=lambda asked: bytes_bound(asked) <= small)
    assert "#1" in got.user
    assert "#2 agent" not in got.user
    assert not any("#2" in line or "#3" in line for line in got.choices)
    if got.schema is not None:
        assert json.loads(got.schema)["properties"]["uses"]["items"] == {"enum": ["#1", "none"]}


def test_a_request_of_a_question_is_hashed_as_before_there_were_conversations() -> None:
    asked = Request.of("You are careful.", "What?", 8, 0.5, 7, ("a", "b"))
    old = {
        "system": "You are careful.", "user": "What?", "max_tokens": 8, "temperature": 0.5, "seed": 7,
        "choices": ("a", "b"), "schema": None, "hint": None,
    }  # fmt: skip
    import hashlib

    assert asked.digest() == hashlib.sha256(msgspec.msgpack.encode(old)).digest()
    longer = msgspec.structs.replace(asked, messages=(*asked.messages, Message("assistant", "a"), Message("user", "?")))
    swapped = msgspec.structs.replace(asked, messages=asked.messages[::-1])
    assert len({asked.digest(), longer.digest(), swapped.digest()}) == 3
    assert (longer.system, longer.user) == ("You are careful.", "?")
