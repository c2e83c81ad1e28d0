"""For tests of parts of one's own: a model that says what it is told, small runs, checks of new and of stored logs.

    scripted_llm               a model that answers by what the prompt contains
    load_code, register        make parts known to scenarios, from a file or as classes
    small_scenario, small_run  two questions, three agents, no waiting; any block can be replaced
    assert_schedule_independent  one log, whatever the concurrency and the way of computing, and a replay that gives it
    replay                     a stored run that fails the test where the code no longer gives its events

Names and signatures are promised like those of `agentsoc.plugin`; docs/testing-parts.md shows them at work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentsoc import Replay, Run, Scenario, run
from agentsoc import replay as _replay
from agentsoc.backends.scripted import Scripted
from agentsoc.contracts.part import Part, Slot
from agentsoc.errors import ReplayMismatchError
from agentsoc.scenario.code import load_code

__all__ = [
    "assert_schedule_independent",
    "load_code",
    "register",
    "replay",
    "scripted_llm",
    "small_run",
    "small_scenario",
]

_SMALL: Final[dict[str, Any]] = {
    "name": "small",
    "seed": 7,
    "tasks": {"kind": "multiple-choice", "count": 2},
    "agents": {"count": 3, "model": {"kind": "scripted", "accuracy": 0.7}},
    "topology": "decentralized",
    "protocol": "vote",
    "calls": {"backoff_s": 0.0},
}
_WAYS: Final = (
    {"concurrency": 1, "vectorise": False},
    {"concurrency": 16, "vectorise": False},
    {"concurrency": 16, "vectorise": True},
)
"""One call at a time; many; as columns, where the society can be computed so."""


def scripted_llm(replies: Mapping[str, str]) -> Scripted:
    """Return a model for a scenario that answers by what the prompt contains.

    Args:
        replies: text to look for in the prompt -> reply, word for word; the first that is found wins. A prompt with
            none of them is answered with the reference answer, in the form that was asked for.
    """
    return Scripted(replies=tuple(replies.items()))


def register(*parts: type[Part]) -> None:
    """Make classes known to scenarios of this process by their kinds, as `load_code` does for a file.

    A kind can be registered again, so that each test may define its own class.

    Args:
        parts: classes of protocols, topologies, task families, models, policies, tools or environments.

    Raises:
        InputError: a class is no part, or has the kind of a built-in one.
    """
    for part in parts:
        Slot.register(part)


def small_scenario(**blocks: Any) -> Scenario:
    """Return a scenario of two questions and three scripted agents who vote.

    Failed calls are tried again at once, so no test waits for one.

    Args:
        blocks: blocks of a scenario by key, each in place of the one that is there: ``protocol={"kind": "debate"}``.

    Raises:
        pydantic.ValidationError: a block is no valid one.
    """
    return Scenario.model_validate({**_SMALL, **blocks})


def small_run(out: Path | str, **blocks: Any) -> Run:
    """Run `small_scenario(**blocks)` and return its log.

    Args:
        out: the run directory, which must not exist or be empty.
        blocks: as of `small_scenario`.
    """
    return run(small_scenario(**blocks), out)


def assert_schedule_independent(**blocks: Any) -> str:
    """Check that `small_scenario(**blocks)` has one log however it is run; return its digest.

    Each log is replayed. The scenario is run one call at a time, with many at once, and as columns where that is
    possible. A protocol that remembers something between rounds, or a part that draws from anywhere but
    `agentsoc.plugin`, fails here.

    Args:
        blocks: as of `small_scenario`.

    Raises:
        AssertionError: two ways gave different logs, or a replay another one.
    """
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, way in enumerate(_WAYS):
            engine = {**blocks.get("engine", {}), **way}
            done = small_run(Path(scratch) / str(number), **{**blocks, "engine": engine})
            digests[f"concurrency {way['concurrency']}, vectorise {way['vectorise']}"] = str(done.manifest.digest)
            replay(done.directory)
    assert len(set(digests.values())) == 1, f"the log depends on how it is computed: {digests}"
    return next(iter(digests.values()))


def replay(path: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Replay a stored run; fail the test with the first event that differs.

    Args:
        path: the run directory.
        allow_code: loose code files of the run.

    Raises:
        AssertionError: the code no longer gives the stored events.
    """
    try:
        return _replay(path, allow_code=allow_code)
    except ReplayMismatchError as error:
        raise AssertionError(str(error)) from None
