"""Chat transcripts: messages become claims by a stated rule, annotated mistakes become faults that are traced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentsoc.errors import InputError
from analysis.claims.cascades import claim_graph
from analysis.claims.faults import trace_faults
from analysis.importers.chats.chat import ParentRule
from analysis.importers.transcripts import import_transcripts, notes, read_transcript
from analysis.tables import EventTable

SAMPLE = Path(__file__).parents[1] / "data" / "who_when"


def said(directory: Path, *messages: dict[str, object], **more: object) -> Path:
    path = directory / "chat.json"
    path.write_text(json.dumps({"history": list(messages), **more}))
    return path


def say(who: str, text: str = "x", **more: object) -> dict[str, object]:
    return {"name": who, "content": text, **more}


def parents(table: EventTable) -> list[list[int]]:
    return table.events.filter(table.events["claim"].is_not_null())["parents"].to_list()


def test_real_transcripts_become_one_execution_each_with_their_fault() -> None:
    table = import_transcripts(SAMPLE)
    assert table.executions.select("benchmark", "task_name", "n_agents", "mistake_step").rows() == [
        ("Algorithm-Generated", "Algorithm-Generated/1", 4, 0),
        ("Algorithm-Generated", "Algorithm-Generated/97", 3, 2),
        ("Hand-Crafted", "Hand-Crafted/25", 3, 18),
    ]
    faults = table.events.filter(table.events["kind"] == "fault")
    assert faults["parents"].to_list() == [[0], [2], [18]]
    assert (table.events["kind"] != "fault").sum() == 6 + 10 + 20
    assert table.executions["agents"].to_list()[2] == ["human", "Orchestrator", "WebSurfer"]
    assert set(table.events["label_source"].to_list()) == {"rule", "logged"}


def test_the_question_and_other_plain_values_of_a_file_are_kept() -> None:
    table = import_transcripts(SAMPLE / "Algorithm-Generated" / "1.json")
    extra = json.loads(table.executions["extra"][0])
    assert extra["ground_truth"] == "8"
    assert "spreadsheet" in extra["question"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("previous", [[], [0], [1], [2], [3]]),
        ("addressee", [[], [], [], [2], [3]]),
        ("both", [[], [0], [1], [2], [3]]),
    ],
)
def test_parents_follow_the_rule(tmp_path: Path, rule: ParentRule, expected: list[list[int]]) -> None:
    """A person asks; the boss thinks, then asks the helper, who answers; the boss turns to the helper again."""
    path = said(
        tmp_path,
        say("human"), say("Boss (thought)"), say("Boss (-> Helper)"), say("Helper"), say("Boss (-> Helper)"),
    )  # fmt: skip
    assert parents(import_transcripts(path, parents=rule)) == expected


def test_an_answer_builds_on_what_was_asked_even_when_others_spoke_between(tmp_path: Path) -> None:
    path = said(tmp_path, say("a", to="b"), say("c"), say("b"), say("b"))
    assert parents(import_transcripts(path)) == [[], [0], [0, 1], [2]]
    assert parents(import_transcripts(path, parents="addressee")) == [[], [], [0], []]


def test_a_merge_needs_claims_of_two_others_and_words_decide_the_rest(tmp_path: Path) -> None:
    path = said(
        tmp_path,
        say("a", to="b"),
        say("c"),
        say("b", "both together"),
        say("b", "and so on"),
        say("a", "That is wrong, it should be 3"),
        say("c", "These contradict each other"),
    )
    found = import_transcripts(path).events
    assert found["kind"].to_list() == [
        "propose_claim", "propose_claim", "merge_claims", "propose_claim", "revise_claim", "contradict_claim",
    ]  # fmt: skip
    assert found["target"].to_list()[-1] == 4


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": []}],
        [{"type": "human", "content": "hi"}, {"type": "ai", "content": [{"type": "text", "text": "yes"}]}],
        [{"source": "user", "type": "TextMessage", "content": "hi"}, {"source": "ai", "content": {"text": "yes"}}],
        [{"lc": 1, "id": ["x", "HumanMessage"], "kwargs": {"content": "hi"}},
         {"lc": 1, "id": ["x", "AIMessage"], "kwargs": {"content": "yes", "type": "ai"}}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [None, "messages"])
def test_layouts_of_several_frameworks_are_read(
    tmp_path: Path, messages: list[dict[str, object]], key: str | None
) -> None:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({key: messages} if key else messages))
    table = import_transcripts(path)
    assert table.events["text"].to_list() in (["hi", "yes"], ["hi", ""])
    assert table.events["agent"].to_list() == [0, 1]


def test_system_messages_are_no_claims_but_keep_their_place(tmp_path: Path) -> None:
    path = said(tmp_path, {"role": "system", "content": "be kind"}, say("a"), say("b"), mistake_step="2")
    table = import_transcripts(path)
    assert table.events["round"].to_list() == [1, 2, 2]
    assert trace_faults(table, claim_graph(table)).table["round"].to_list() == [2]


def test_names_that_differ_in_letter_case_are_one_agent(tmp_path: Path) -> None:
    table = import_transcripts(said(tmp_path, say("Boss (-> websurfer)"), say("WebSurfer")))
    assert table.executions["agents"].to_list() == [["Boss", "WebSurfer"]]
    assert table.executions["n_agents"].to_list() == [2]


def test_a_fault_is_traced_to_what_was_built_on_it_and_no_further(tmp_path: Path) -> None:
    """a asks b and c; b's answer (2) is wrong; a asks b again (4), b answers (5); c's answer (3) is not downstream."""
    path = said(
        tmp_path,
        say("a", to="b"), say("a", to="c"), say("b", to="a"), say("c"), say("a", to="b"), say("b"),
        mistake_step=2, mistake_agent="b", mistake_reason="guessed",
    )  # fmt: skip
    table = import_transcripts(path, parents="addressee")
    fault = trace_faults(table, claim_graph(table)).table.row(0, named=True)
    assert fault["claims"] == [4, 5]
    assert (fault["downstream"], fault["later"], fault["agents"], fault["rounds"]) == (2, 3, 1, 3)
    assert fault["exposed"] == pytest.approx(2 / 3)
    assert fault["reaches_end"]
    everything = import_transcripts(path)
    assert trace_faults(everything, claim_graph(everything)).table["exposed"].to_list() == [1.0]


def test_where_nobody_is_addressed_nothing_is_said_of_where_a_fault_went(tmp_path: Path) -> None:
    nobody, somebody = tmp_path / "nobody", tmp_path / "somebody"
    for place, to in ((nobody, {}), (somebody, {"to": "b"})):
        place.mkdir()
        said(place, say("a", **to), say("b"), say("a"), mistake_step=1)
    silent, spoken, both = (
        import_transcripts(place, parents="addressee")
        for place in (nobody / "chat.json", somebody / "chat.json", tmp_path)
    )
    summaries = [trace_faults(table, claim_graph(table)).summary() for table in (silent, spoken, both)]
    unknown = "no claim of their executions is said to build on another"
    assert summaries[0] == f"1 faults; of 1 nothing is known: {unknown}"
    assert "%" not in summaries[0]
    assert unknown not in summaries[1]
    assert "on average 0% of the later claims are downstream; 0 reach" in summaries[1]
    assert summaries[2].startswith(
        f"2 faults; of 1 nothing is known: {unknown}; on average 0% of the later claims are "
    )
    assert "downstream of the other 1; 0 reach" in summaries[2]
    found = trace_faults(silent, claim_graph(silent)).table
    assert (found["exposed"].to_list(), found["linked"].to_list()) == ([None], [False])
    nothing = "the rule addressee found nothing in 1 of 1 transcripts"
    assert any(note.startswith(nothing) for note in notes(silent, "addressee"))
    assert not any("found nothing" in note for note in notes(spoken, "addressee"))
    assert not any("found nothing" in note for note in notes(import_transcripts(nobody / "chat.json"), "both"))


def test_a_log_without_faults_has_none_to_trace(tmp_path: Path) -> None:
    table = import_transcripts(said(tmp_path, say("a")))
    assert trace_faults(table, claim_graph(table)).summary() == "no faults"


def test_an_annotation_that_names_another_speaker_is_told(tmp_path: Path) -> None:
    path = said(tmp_path, say("a"), say("b"), mistake_step="1", mistake_agent="A")
    told = notes(import_transcripts(path, parents="addressee"), "addressee")
    assert told[:2] == ["1 annotated mistakes in 1 transcripts", "chat: step 1 was said by b, the annotation names A; the step counts"]  # noqa: E501  # fmt: skip
    assert "by the rule alone" in notes(import_transcripts(path), "both")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[]", "empty"),
        ('{"chat": []}', "without messages"),
        ('["hello"]', "message 0: not an object"),
        ('[{"role": "user"}]', "message 0: a message without content"),
        ('[{"content": "x"}]', "message 0: nobody is named"),
        ('[{"name": 3, "content": "x"}]', "message 0: nobody is named"),
        ('[{"name": "(-> b)", "content": "x"}]', "message 0: the speaker's name is empty"),
        ('[{"name": "a", "to": ["b"], "content": "x"}]', "message 0: the addressee"),
        ('{"history": [{"role": "system", "content": "x"}]}', "only system messages"),
        ('{"history": [{"name": "a", "content": "x"}], "mistake_step": "1"}', "mistake_step is '1'"),
        ('{"history": [{"name": "a", "content": "x"}], "mistake_step": "first"}', "mistake_step is 'first'"),
        ('{"history": [{"name": "a", "content": "x"}], "mistake_step": true}', "mistake_step is True"),
    ],
)
def test_what_is_no_transcript_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "chat.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_transcript(path)
    assert message in str(caught.value)


def test_paths_and_rules_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(InputError):
            import_transcripts(path)
    with pytest.raises(InputError, match="use one of both"):
        import_transcripts(SAMPLE, parents="all")  # type: ignore[arg-type]
