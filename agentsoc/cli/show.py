"""This module is `agentsoc show`: it says what a run is and how it went, and tells the events of a task in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentsoc.cli.summary import next_lines, say_facts, summary_lines
from agentsoc.errors import InputError
from agentsoc.printing import options
from agentsoc.printing.terminal import print_json, say
from agentsoc.printing.text import line

if TYPE_CHECKING:
    from agentsoc.events import Event
    from agentsoc.log.manifest import Manifest
    from agentsoc.log.read import RunLog

SHOWN: Final = 200
"""Events shown of a task unless --events says otherwise (events)."""
TEXT_CHARS: Final = 160
"""Length to which texts of events are shown (characters)."""


def show(
    directory: options.RunDirectory,
    task: Annotated[int | None, typer.Option(min=0, help="Show the events of this task.")] = None,
    events: Annotated[
        int | None, typer.Option(min=0, help=f"Show the first N events, of the task if one is given [{SHOWN}].")
    ] = None,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="With --task: what models were sent and what they said, word for word.")
    ] = False,
    agent: Annotated[int | None, typer.Option(min=0, help="With --prompts: of this agent alone.")] = None,
    allow_code: options.AllowCode = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the run or imported log in DIR; with --task what happened in a task, with --prompts what was sent and said.

    Of a run: scenario, result, tokens, events, versions. Without --task and --events only the manifest is read, so
    this is quick however long the log is; where calls failed, two columns of the log are read as well, for the
    commonest cause.
    """
    from agentsoc.log.imported import is_imported

    if is_imported(directory):
        _show_imported(directory, task, events, as_json, prompts=prompts or agent is not None)
        return
    if prompts or agent is not None:
        _show_prompts(directory, task, agent if prompts else None, allow_code or [], as_json, asked=prompts)
        return
    if task is None and events is None:
        from agentsoc.log.manifest import load_manifest

        manifest = load_manifest(directory)
        if as_json:
            print_json({"run_dir": str(directory), "manifest": manifest.model_dump(mode="json")})
            return
        say_facts([*_about(manifest), *summary_lines(directory, manifest)])
        say("\n".join(next_lines(manifest, directory)))
        return

    from agentsoc.log.read import RunLog

    log = RunLog(directory)
    limit = SHOWN if events is None else events
    found, more = _events(log, task, limit)
    if task is not None and not found and limit:
        n = log.manifest.totals.episodes
        raise InputError(f"the log has no events of task {task}", "--task", f"{n:,} tasks have ended: 0 to {n - 1}")
    if as_json:
        print_json({"run_dir": str(directory), "task": task, "events": [_plain(e) for e in found], "more": more})
        return
    if task is not None:
        say("\n".join(_task_lines(log, task)))
    for event in found:
        say(event_text(event))
    if more:
        say("... and more: --events N shows N of them")


def _show_imported(directory: Path, task: int | None, events: int | None, as_json: bool, *, prompts: bool) -> None:
    """Show a log that came from another framework."""
    from agentsoc.log.imported import read_imported
    from agentsoc.printing.imported import act_text, imported_acts, imported_text, is_packed

    if prompts:
        raise InputError("an imported log has no prompts", "--prompts", "leave the option out: --task N shows its acts")
    if task is None and events is None:
        if as_json:
            about = read_imported(directory)
            print_json(
                {"imported": str(directory), "importer": about.importer, "source": about.source, "notes": about.notes,
                 "rules": about.rules, "rows": about.rows}
            )  # fmt: skip
        else:
            say(imported_text(directory))
        return
    found, more = imported_acts(directory, task, SHOWN if events is None else events)
    if as_json:
        print_json({"imported": str(directory), "task": task, "events": found, "more": more})
        return
    packed = is_packed(read_imported(directory))
    say("\n".join(act_text(act, packed=packed) for act in found))
    if more:
        say("... and more: --events N shows N of them")


def _show_prompts(
    directory: Path, task: int | None, agent: int | None, code: list[Path], as_json: bool, *, asked: bool
) -> None:
    """Show what models were sent in a task and what they said."""
    if task is None or not asked:
        option = "--prompts" if asked else "--agent"
        raise InputError(f"{option} goes with {'--task' if asked else '--prompts'}", option, "e.g. --task 0 --prompts")
    from agentsoc.engine.transcript import transcript
    from agentsoc.printing.talk import transcript_text

    calls = transcript(directory, task, agent, allow_code=code)
    if as_json:
        print_json({"run_dir": str(directory), "task": task, "calls": [call.plain() for call in calls]})
    elif calls:
        say(transcript_text(calls))
    else:
        say(f"no model was called in task {task}" + ("" if agent is None else f" for agent {agent}"))


def _about(manifest: Manifest) -> list[str]:
    """Return what was run, from the scenario in the manifest."""
    scenario = manifest.scenario
    groups = scenario.get("agents") or []
    models = ", ".join(f"{group.get('count') or 'as many as fit'} x {_kind(group.get('model'))}" for group in groups)
    facts = [
        ("tasks", _kind(scenario.get("tasks"))),
        ("agents", models),
        ("wired", f"{_kind(scenario.get('topology'))}, {_kind(scenario.get('protocol'))}"),
        ("made", ", ".join(f"{name} {number}" for name, number in manifest.versions.items())),
    ]
    if manifest.code:
        facts.append(("code", ", ".join(f"{name} {digest[:12]}" for name, digest in manifest.code.items())))
    return [f"{name:<10}{line(text, 300)}" for name, text in facts]


def _kind(part: Any) -> str:
    """Return a part of a stored scenario in a few words."""
    if not isinstance(part, dict):
        return str(part)
    plain = (f"{key} {value}" for key, value in part.items() if key != "kind" and isinstance(value, int | float | str))
    return " ".join([str(part.get("kind", "")), f"({', '.join(plain)})"]).removesuffix(" ()")


def _events(log: RunLog, task: int | None, limit: int) -> tuple[list[Event], bool]:
    """Return the first events, and whether there are more; only segments that can hold them are read."""
    found: list[Event] = []
    for event in _of_task(log, task):
        if len(found) == limit:
            return found, True
        found.append(event)
    return found, False


def _of_task(log: RunLog, task: int | None) -> Iterator[Event]:
    import pyarrow.compute as pc

    from agentsoc.log.names import EVENTS
    from agentsoc.log.schema import from_table
    from agentsoc.log.segments import read_all

    for table in read_all(log.directory / EVENTS, log.segments):
        if task is None:
            yield from from_table(table)
            continue
        yield from from_table(table.filter(pc.equal(table["task"], task)))
        if table.num_rows and table["task"][-1].as_py() > task:  # tasks are in order
            return


def _task_lines(log: RunLog, task: int) -> list[str]:
    """Return the question of a task with its options and reference answer."""
    rows = log.tasks()
    columns = set(rows.columns)
    if not {"task", "truth"} <= columns:
        return []
    row = rows.row(task, named=True) if task < rows.height else None
    if row is None:
        return []
    lines = [f"task {task}: {line(str(row.get('question') or '(made from the seed)'), 1_000)}"]
    if row.get("options"):
        lines.append(f"    options: {line(', '.join(map(str, row['options'])), 300)}")
    # an episode of an environment has none: its state says how good it is
    return [*lines, f"    reference answer: {line(str(row['truth']), 300)}"] if row["truth"] else lines


def _plain(event: Event) -> dict[str, Any]:
    from agentsoc.log.schema import COLUMNS

    return {name: getattr(event, name) for name in COLUMNS}


def event_text(event: Event) -> str:
    """Return an event as one line: who, what, on what it builds, at what cost."""
    from agentsoc.events import SOCIETY

    who = "society" if event.agent == SOCIETY else f"agent {event.agent}"
    parts = [f"{event.task}:{event.round} {who} {event.kind}"]
    if event.answer is not None:
        parts.append(f'"{line(event.answer, TEXT_CHARS)}"')
    if event.correct is not None:
        parts.append(f"[{event.correct:g}]")
    if event.parents:
        parts.append("on " + ", ".join(map(claim_name, event.parents[:8])) + (" ..." if len(event.parents) > 8 else ""))
    if event.kind == "delegate_subtask" and event.target is not None:
        parts.append(f"to agent {event.target}")
    elif event.kind == "contradict_claim" and event.target is not None:
        parts.append(f"against {claim_name(event.target)}")
    if event.claim is not None:
        parts.append(f"= {claim_name(event.claim)}")
    if event.confidence is not None:
        parts.append(f"sure {event.confidence:g}")
    if event.calls:
        parts.append(f"({event.calls} calls, {event.tokens_in} + {event.tokens_out} tokens)")
    if event.text and event.text != event.answer:
        parts.append(f"- {line(event.text, TEXT_CHARS)}")
    return " ".join(parts)


def claim_name(claim: int) -> str:
    """Return a claim as round.agent.k: where it was made."""
    from agentsoc.events import unpack_id

    place = unpack_id(claim)
    return f"{place.round}.{place.agent}.{place.k}"
