"""A graph of work is carried out in order and in bounds, edits keep it sound, and what was seen once is not lost."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.backends.scripted import ScriptedBackend
from agentsoc.contracts.model import Completion, Request
from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run, run_async
from agentsoc.errors import InputError, InterruptedRunError
from agentsoc.events import Event
from agentsoc.log.read import RunLog
from agentsoc.protocols.live_graph import Edit, LiveGraph, accepted, read_edits
from agentsoc.protocols.manager import DRAFT, EDIT, MERGE
from agentsoc.society.build import build_society
from agentsoc.society.coded import CodedAgent
from agentsoc.streams import uniform
from agentsoc.theory.makespan import bounds, critical_path, greedy_makespan
from tests.societies import built, logged


class Lead(CodedAgent):
    """Leads by a script, works by finding, and knows the answer only if somebody hands on what `look` saw."""

    kind: Literal["of-test-lead"] = "of-test-lead"
    draft: str = "look: open the box\ncount after look: count\nsum after count: add up"
    """The graph that it begins with."""
    edits: tuple[str, ...] = ()
    """What it changes, round after round."""

    async def act(self, view: View) -> Reply:
        asked = view.turn.instruction
        said = [claim.text or "" for claim in view.claims]
        truth = "heads" if uniform(5, "coin", view.task, 0, 0) < 0.5 else "tails"
        if asked == DRAFT:
            return Reply(text=self.draft)
        if asked.startswith(EDIT):
            turn = min(view.round // 2 - 1, len(self.edits))
            return Reply(text=self.edits[turn] if turn < len(self.edits) else "go on")
        if asked == MERGE:
            return Reply(answer=truth if any("sum is known" in one for one in said) else None, uses=view.turn.sees)
        work = view.question.rpartition("Your part: ")[2]
        if work.startswith("look"):
            return Reply(text="saw the coin")
        if work.startswith("sum"):
            return Reply(text="sum is known" if "saw the coin" in said else "sum is not known")
        return Reply(text=f"{work.partition(':')[0]} found nothing new")


@pytest.fixture(autouse=True)
def _lead_is_known() -> None:
    Slot.register(Lead)


def managed(workers: int, *, model: Any = None, tasks: int = 1, **rules: Any) -> dict[str, Any]:
    return {
        "tasks": {"kind": "coin", "count": tasks},
        "agents": {"count": workers + 1, "model": model or {"kind": "of-test-lead"}},
        "topology": "star",
        "protocol": {"kind": "manager", **rules},
    }


def drafted(after: dict[int, list[int]]) -> str:
    lines = [f"n{piece}{' after ' if before else ''}{', '.join(f'n{b}' for b in before)}: do it" for piece, before in
             after.items()]  # fmt: skip
    return "\n".join(lines)


def random_graph(draw: random.Random, n: int) -> dict[int, list[int]]:
    return {piece: [other for other in range(piece) if draw.random() < 0.3] for piece in range(n)}


def work_rounds(events: list[Event]) -> int:
    return len({event.round for event in events if event.claim is not None and event.agent > 0})


def test_the_makespan_of_500_graphs_is_between_its_bounds_and_the_critical_path_without_a_limit() -> None:
    draw = random.Random(9)
    for _ in range(500):
        n = draw.randint(1, 14)
        after, durations = random_graph(draw, n), [draw.choice((1.0, 2.0, draw.random() * 5 + 0.1)) for _ in range(n)]
        graph = nx.DiGraph([(b, piece) for piece in range(n) for b in after[piece]])
        graph.add_nodes_from(range(n))
        longest: dict[int, float] = {}
        for piece in nx.topological_sort(graph):
            longest[piece] = durations[piece] + max((longest[b] for b in graph.predecessors(piece)), default=0.0)
        assert greedy_makespan(after, durations, n) == pytest.approx(max(longest.values()))
        assert critical_path(after, durations) == pytest.approx(max(longest.values()))
        for workers in (1, 2, 4):
            low, high = bounds(after, durations, workers)
            assert low - 1e-9 <= greedy_makespan(after, durations, workers) <= high + 1e-9
    with pytest.raises(ValueError, match="in a circle"):
        greedy_makespan({0: [1], 1: [0]}, [1.0, 1.0], 2)


def test_a_run_takes_as_many_rounds_of_work_as_a_greedy_schedule_and_counts_as_the_closed_form() -> None:
    draw = random.Random(4)
    for _ in range(4):
        n = draw.randint(3, 9)
        after = random_graph(draw, n)
        for workers in (1, 3):
            for edits in (0, 100):
                model = {"kind": "of-test-lead", "draft": drafted(after)}
                done, events = logged(check=workers == 3, **managed(workers, model=model, edits=edits))
                m = work_rounds(events)
                assert m == greedy_makespan(after, [1.0] * n, workers)
                low, high = bounds(after, [1.0] * n, workers)
                assert low <= m <= high + 1e-9
                by_rule = 1 if edits else 1 + (m - 1)
                assert done.totals.turns == n + 2 + (m if edits else 0) + by_rule
                assert done.totals.deliveries == 2 * n
                assert sum(event.answer == "edit" for event in events) == n


def test_the_width_limits_how_many_nodes_are_carried_out_at_once() -> None:
    model = {"kind": "of-test-lead", "draft": drafted({piece: [] for piece in range(6)})}
    for width in (1, 2, 3):
        _, events = logged(check=False, **managed(5, model=model, width=width, edits=0))
        assert work_rounds(events) == 6 / width


def score(model: dict[str, Any] | None = None, **rules: Any) -> float | None:
    lead = {"kind": "of-test-lead", **(model or {})}
    return logged(check=False, **managed(2, model=lead, tasks=2, **rules))[0].totals.score


def test_what_was_seen_once_reaches_whoever_needs_it_two_levels_down() -> None:
    assert score(carries="ancestors") == 1.0
    assert score(carries="direct") == 0.0


def test_a_wrong_plan_is_repaired_where_the_lead_may_edit_it_and_not_where_it_may_not() -> None:
    wrong = "sum: add up\nidle after sum: wait"  # nobody looks
    repair = ("look: open the box\nrewrite idle: rest", "again sum\nsum2 after look: add up")
    assert score({"draft": wrong, "edits": repair}) == 1.0
    assert score({"draft": wrong, "edits": repair}, edits=0) == 0.0


def test_what_tools_gave_is_handed_on_with_the_results() -> None:
    lead = {
        "kind": "scripted",
        "replies": [
            [
                "Divide the question",
                '{"answer": "look: use the tool\\nthen after look: think\\nend after then: say it"}',
            ],
            ["These are the pieces", '{"answer": "go on"}'],
        ],
    }
    worker = {"kind": "scripted", "uses_tools": [[{"tool": "calculator", "arguments": {"expression": "6 * 7"}}]]}
    blocks = managed(2, edits=5)
    blocks["tasks"] = {"kind": "sentiment", "count": 1}
    blocks["agents"] = [
        {"count": 1, "model": lead, "reply": "json"},
        {"count": 2, "model": worker, "tools": ["calculator"], "reply": "json"},
    ]
    with tempfile.TemporaryDirectory() as scratch:
        done = run(built(**blocks), Path(scratch) / "run")
        last = [call for call in done.transcript(0) if call.purpose == "work" and "end: say it" in call.request.user]
        assert last
        assert all(call.request.user.count(": 42") == 2 for call in last[:1])
        assert all(call.same for call in done.transcript(0))


def test_edits_are_read_line_by_line_and_what_is_none_is_passed_over() -> None:
    text = "\n".join(
        ["Here is my plan:", "- B after A, c and d: second thing", "A: first", "* c (after a): x: y", "d: z", "stop"]
    )
    text += "\ncancel b\nagain a"
    assert sorted(edit.text() for edit in read_edits(text)) == [
        *("add a: first", "add b after a, c, d: second thing", "add c after a: x: y", "add d: z"),
        *("again a", "cancel b", "stop"),
    ]
    assert read_edits("go on") == []
    assert read_edits("x" * 100_000 + ": y") == []
    for hostile in (
        "b after " + "aand" * 500 + "!",
        "b" + " " * 1_900 + "!",
        "b after a" + " , a" * 400 + "!",
        "- " * 900,
    ):
        assert read_edits("\n".join([hostile] * 300)) == []
    names = [edit.name for edit in read_edits("b after a: y\na: x")]
    assert names == ["a", "b"]  # whom others wait for comes first
    for edit in (
        Edit("add", "a", ("b",), "do: it"),
        Edit("cancel", "a"),
        Edit("stop"),
        Edit("rewrite", "a", None, "x"),
    ):
        assert read_edits(edit.text()) == [edit]


EDITS = st.builds(
    Edit,
    st.sampled_from(["add", "rewrite", "cancel", "again", "stop"]),
    st.sampled_from("abcde"),
    st.none() | st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple),
    st.sampled_from(["", "goal"]),
)


@given(rounds=st.lists(st.tuples(st.lists(EDITS, max_size=6), st.booleans()), max_size=6))
def test_no_edit_closes_a_circle_or_touches_what_has_begun(rounds: list[tuple[list[Edit], bool]]) -> None:
    graph = LiveGraph()
    for edits, fails in rounds:
        before = dict(graph.nodes)
        made, refused = accepted(graph, edits, 4)
        assert graph.nodes == before
        assert len(made) + len(refused) == len(edits)
        for edit in made:
            graph.make(edit)
        assert len(graph.nodes) <= 4
        waits = nx.DiGraph([(name, node.name) for node in graph.nodes.values() for name in node.after])
        assert nx.is_directed_acyclic_graph(waits)
        assert all(name in graph.nodes for node in graph.nodes.values() for name in node.after)
        for name, node in before.items():
            if node.status in ("done", "failed") and graph.nodes[name] != node:
                assert any(edit.verb == "again" and edit.name == name for edit in made)
        for node in graph.ready():
            assert all(graph.nodes[name].status in ("done", "cancelled") for name in node.after)
            graph.change(node.name, status="failed" if fails else "done")


def test_edits_that_cannot_be_made_are_in_the_log_with_the_reason() -> None:
    model = {
        "kind": "of-test-lead",
        "draft": "a: x\nb after a: y\nlost after nowhere: z\nc after c: w",
        "edits": ("cancel a\nrewrite b after b: again\nagain zz\nb: twice",),
    }
    _, events = logged(**managed(2, model=model))
    why = [event.text for event in events if event.answer == "refused"]
    assert why == [
        "add lost after nowhere: z: there is no nowhere",
        "add c after c: w: c would wait for itself",
        "cancel a: a is done",
        "rewrite b after b: again: b would wait for itself",
        "again zz: there is no zz",
        "add b: twice: there is a b already",
    ]


def test_a_node_that_was_cancelled_keeps_nobody_waiting_and_one_that_failed_does() -> None:
    graph = LiveGraph()
    for edit in read_edits("a: x\nb: y\nc after a, b: z"):
        graph.make(edit)
    graph.change("b", status="done")
    assert [node.name for node in graph.ready()] == ["a"]
    graph.make(Edit("cancel", "a"))
    assert [node.name for node in graph.ready()] == ["c"]
    graph.change("b", status="failed")
    assert graph.ready() == []
    assert graph.ancestors("c") == ["a", "b"]


def test_after_an_interruption_nodes_that_were_done_are_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [["Divide the question", '{"answer": "a: x\\nb after a: y\\nc after b: z\\nd after c: w"}']]
    model = {"kind": "scripted", "latency_s": 0.05, "replies": replies}
    scenario = built(**managed(2, model=model, tasks=1, edits=0))

    async def interrupted() -> None:
        stop, complete, calls = asyncio.Event(), ScriptedBackend.complete, iter(range(1_000))

        async def third_stops(self: ScriptedBackend, request: Request) -> Completion:
            if next(calls) == 2:
                stop.set()
            return await complete(self, request)

        with monkeypatch.context() as patch:
            patch.setattr(ScriptedBackend, "complete", third_stops)
            with pytest.raises(InterruptedRunError):
                await run_async(scenario, tmp_path / "run", stop=stop)

    asyncio.run(interrupted())
    first = {row.key for row in run_log(tmp_path / "run") if row.state == "done"}
    assert 2 <= len(first) < 6
    again = resume(tmp_path / "run")
    rows = run_log(tmp_path / "run")
    whole = run(scenario, tmp_path / "whole")
    assert again.manifest.digest == whole.manifest.digest
    assert first <= {row.key for row in rows}
    assert len([row for row in rows if row.state == "done"]) == whole.manifest.totals.calls  # none was asked twice
    assert replay(again.directory).digest == again.manifest.digest


def run_log(directory: Path) -> list[Any]:
    return list(RunLog(directory).journal())


def test_a_spent_budget_lets_the_lead_answer_from_the_results() -> None:
    replies = [["Divide the question", '{"answer": "a: x\\nb after a: y\\nc after b: z\\nd after c: w"}']]
    blocks = managed(2, model={"kind": "scripted", "replies": replies}, tasks=2, edits=50)
    blocks["agents"]["max_tokens"] = 60
    done, _ = logged(**blocks, budget={"tokens_per_task": 1_300})
    assert done.totals.stops == {"budget_exhausted": 2}
    assert done.totals.answered == 2


@pytest.mark.parametrize("topology", ["independent", "ring"])
def test_a_manager_needs_somebody_to_lead(topology: str) -> None:
    with pytest.raises(InputError, match="manager needs a lead who can address workers"):
        build_society(built(**{**managed(3), "topology": topology}))
