"""For tests of users' own protocols, tasks and agents: a model that says what it is told, a check of stored logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agentsoc.backends.scripted import Scripted
from agentsoc.engine.replay import Replay
from agentsoc.engine.replay import replay as _replay
from agentsoc.errors import ReplayMismatchError


def scripted_llm(replies: Mapping[str, str]) -> Scripted:
    """Return a model for a scenario that answers by what the prompt contains.

    Args:
        replies: text to look for in the prompt -> reply, word for word; the first that is found wins. A prompt with
            none of them is answered with the reference answer, in the form that was asked for.
    """
    return Scripted(replies=tuple(replies.items()))


def replay(path: Path | str, *, allow_code: Sequence[Path] = ()) -> Replay:
    """Replay a stored run; fail the test with the first event that differs.

    Raises:
        AssertionError: the code no longer gives the stored events.
    """
    try:
        return _replay(path, allow_code=allow_code)
    except ReplayMismatchError as error:
        raise AssertionError(str(error)) from None
