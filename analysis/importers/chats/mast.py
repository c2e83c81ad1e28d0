"""This module takes the trajectories of MAST rows apart: logs of several systems as one text each.

A trajectory is a list of messages, a text that holds such a list as JSON, or a log whose turns begin on lines of their
own: ``[Name]: text``, ``Name: text`` with a few names that recur, or the heads of ChatDev's logs, ``**A<->B on : phase,
turn 0**``. Anything else is refused: what an agent said cannot be told from what its program printed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable

TEXT_MAX: Final = 20_000_000
"""Longest trajectory that is taken apart (characters)."""
_BRACKETS: Final = re.compile(r"^\[(?P<who>[^\[\]\n]{1,80})\]:[ \t]?", re.MULTILINE)
_CHATDEV: Final = re.compile(
    r"^(?:\[[^\]\n]{1,60}\] )?\**(?P<who>[A-Z][\w .'-]{0,60}?)<->(?P<to>[A-Z][\w .'-]{0,60}?) on ?: "
    r"[^\n]{0,120}?, turn \d+\**[ \t]*$",
    re.MULTILINE,
)
_PLAIN: Final = re.compile(r"^(?P<who>[A-Z][\w-]{0,39}(?: [A-Z][\w-]{0,39}){0,3}):[ \t]", re.MULTILINE)


def mast_messages(told: Any, system: str, where: str) -> list[Any]:
    """Return the messages of a trajectory.

    Raises:
        InputError: it cannot be taken apart; names the system.
    """
    if isinstance(told, list):
        return told
    if not isinstance(told, str):
        raise InputError("the trace of a MAST row has no trajectory", where, "it is a text or a list of messages")
    if len(told) > TEXT_MAX:
        raise InputError(f"a trajectory of {len(told):,} characters; the limit is {TEXT_MAX:,}", where)
    if told.lstrip().startswith("["):
        try:
            listed = json.loads(told)
        except (ValueError, RecursionError):
            listed = None
        if isinstance(listed, list) and listed:
            return listed
    for heads in (_CHATDEV, _BRACKETS):
        if found := _split(told, list(heads.finditer(told))):
            return found
    plain = list(_PLAIN.finditer(told))
    often = Counter(one["who"] for one in plain)
    recurring = [one for one in plain if often[one["who"]] > 1]
    if len({one["who"] for one in recurring}) > 1 and (found := _split(told, recurring)):
        return found
    raise InputError(
        f"the trajectory of {printable(system, 40)} is a log whose turns cannot be told apart",
        where,
        "write its turns as a list of messages, or as lines that begin with [Name]: ",
    )


def _split(text: str, heads: list[re.Match[str]]) -> list[Any]:
    """Return a message for each head: what stands between it and the next one."""
    ends = [one.start() for one in heads[1:]] + [len(text)] * bool(heads)
    found = []
    for head, end in zip(heads, ends, strict=True):
        said = text[head.end() : end].strip()
        to = head.groupdict().get("to")
        found.append({"name": head["who"].strip(), "content": said, **({"to": to.strip()} if to else {})})
    return found
