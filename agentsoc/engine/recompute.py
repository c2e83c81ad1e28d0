"""This module makes the pure calls of tools of a run again and compares what they give with what the log has.

Calls that read or write are not made again: what they would give, or do, now is another matter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agentsoc.contracts.rules import recorded_rules
from agentsoc.contracts.tools import ToolSpec
from agentsoc.contracts.turns import ToolCall, Turn
from agentsoc.engine.consent import Consent, require_programs
from agentsoc.engine.stored_scenario import stored_scenario
from agentsoc.engine.tool_desk import ToolDesk, WantedCall
from agentsoc.engine.toolsets import specs_of
from agentsoc.engine.waiting import wait_for
from agentsoc.errors import ReplayMismatchError
from agentsoc.events import Event
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import base_dir_kept
from agentsoc.society.build import build_society


def recompute(directory: Path | str, *, allow_code: Sequence[Path] = (), consent: Consent = False) -> int:
    """Make the pure calls of a run again; return how many there were. Works out nothing else: `replay` does.

    Args:
        directory: the run.
        allow_code: loose code files that it was made with.
        consent: which programs may be started; see `agentsoc.engine.consent.require_programs`.

    Raises:
        ReplayMismatchError: a tool is another one than when the run began, or gives something else; names it.
        ConsentNeededError: a program would have to be started that nobody has allowed.
        InputError: a tool cannot be opened.
    """
    return wait_for(recompute_async(directory, allow_code=allow_code, consent=consent))


async def recompute_async(directory: Path | str, *, allow_code: Sequence[Path] = (), consent: Consent = False) -> int:
    """Make the pure calls of a run again from inside an event loop; see `recompute`."""
    with base_dir_kept():
        log = RunLog(directory)
        scenario, _ = stored_scenario(log, allow_code)
        toolsets = specs_of(log.manifest.toolsets)
        if not any(toolsets):
            return 0
        require_programs([scenario], consent)
        fork = log.manifest.fork
        start = (0, 0) if fork is None else (fork.task, fork.round)
        rules = recorded_rules(log.manifest.rules, str(log.directory))
        desk = ToolDesk(build_society(scenario, stored=True, rules=rules), None, {})
        try:
            await desk.start(toolsets)
            made = 0
            for event in log.events():
                if event.kind == "tool_call" and (event.task, event.round) >= start:
                    made += await _again(desk, event)
            return made
        finally:
            await desk.close()


async def _again(desk: ToolDesk, event: Event) -> int:
    """Make the call of an event again, if it is pure; return how many calls that were."""
    said = json.loads(event.answer or "{}")
    arguments = said.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    one = WantedCall(Turn(event.agent), 0, ToolCall(str(said.get("tool")), text), "")
    spec: ToolSpec | None = desk.spec_of(one)
    if spec is None or spec.effect != "pure" or (event.text or "").startswith(("limit: ", "lost: ", "timeout: ")):
        return 0
    now = await desk.again(one)
    if now != event.text:
        raise ReplayMismatchError(
            f"the tool {spec.name} gives something else now",
            f"task {event.task}, round {event.round}, agent {event.agent}, k {event.k}",
            (event.text or "")[:300],
            now[:300],
        )
    return 1
