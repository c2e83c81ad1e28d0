"""A graph of work that changes while it is carried out: nodes, what they wait for, and edits that keep it sound.

An edit is one line of a manager's reply: ``NAME: goal`` or ``NAME after A, B: goal`` adds a node, ``rewrite NAME:
goal`` says anew what is to be done, ``cancel NAME`` takes a node out, ``again NAME`` has one done once more, ``stop``
ends the work. Only what has not begun can be rewritten or cancelled, and no edit may close a circle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Status = Literal["pending", "running", "done", "failed", "cancelled"]

_NAME: Final = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
_EDIT: Final = re.compile(
    rf"(?:(?P<verb>add|rewrite|cancel|again) )?(?P<name>{_NAME})"
    rf"(?: ?\(?after (?P<after>{_NAME}(?:(?: ?, ?| and ){_NAME})*)\)?)? ?(?:: ?(?P<goal>\S.*))?$",
    re.IGNORECASE,
)
_SEPARATOR: Final = re.compile(r" ?, ?| and ", re.IGNORECASE)
LINES_MAX: Final = 200
"""Lines of a reply that are read as edits (lines)."""
_LINE_CHARS: Final = 2_000


@dataclass(frozen=True)
class Edit:
    """An edit of the graph, as a manager wrote it."""

    verb: Literal["add", "rewrite", "cancel", "again", "stop"]
    name: str = ""
    after: tuple[str, ...] | None = None
    """What the node waits for; None where nothing is said of it."""
    goal: str = ""

    def text(self) -> str:
        """Return the edit as a line from which it can be read again."""
        waits = f" after {', '.join(self.after)}" if self.after else ""
        goal = f": {self.goal}" if self.goal else ""
        return self.verb if self.verb == "stop" else f"{self.verb} {self.name}{waits}{goal}"


@dataclass(frozen=True)
class WorkNode:
    """A piece of work."""

    name: str
    goal: str
    after: tuple[str, ...] = ()
    status: Status = "pending"
    result: int | None = None
    """The claim that came of it."""


@dataclass
class LiveGraph:
    """The nodes in the order in which they were added, and whether the manager has said stop."""

    nodes: dict[str, WorkNode] = field(default_factory=dict)
    stopped: bool = False

    def waits_for(self, node: WorkNode) -> list[str]:
        """Return what a node still waits for: a node that was cancelled keeps nobody waiting."""
        return [name for name in node.after if self.nodes[name].status not in ("done", "cancelled")]

    def ready(self) -> list[WorkNode]:
        """Return the nodes that can be begun, in their order."""
        if self.stopped:
            return []
        return [node for node in self.nodes.values() if node.status == "pending" and not self.waits_for(node)]

    def running(self) -> list[WorkNode]:
        """Return the nodes that were handed out."""
        return [node for node in self.nodes.values() if node.status == "running"]

    def ends(self) -> list[WorkNode]:
        """Return the nodes that are done and on which nothing that is done builds."""
        done = [node for node in self.nodes.values() if node.status == "done"]
        built_on = {name for node in done for name in node.after}
        return [node for node in done if node.name not in built_on]

    def ancestors(self, name: str) -> list[str]:
        """Return everything that a node builds on, near or far, in the order of the graph."""
        found: set[str] = set()
        open_ = list(self.nodes[name].after)
        while open_:
            one = open_.pop()
            if one not in found:
                found.add(one)
                open_ += self.nodes[one].after
        return [one for one in self.nodes if one in found]

    def change(self, name: str, **to: object) -> None:
        """Set what is said of a node."""
        self.nodes[name] = replace(self.nodes[name], **to)  # type: ignore[arg-type]

    def refusal(self, edit: Edit, nodes_max: int) -> str | None:
        """Return why an edit cannot be made; None where it can."""
        if edit.verb == "stop":
            return None
        node = self.nodes.get(edit.name)
        if edit.verb == "add":
            if node is not None:
                return f"there is a {edit.name} already"
            if not edit.goal:
                return f"{edit.name} has no goal"
            if len(self.nodes) >= nodes_max:
                return f"there are {nodes_max} nodes already"
        elif node is None:
            return f"there is no {edit.name}"
        elif edit.verb == "again":
            return None if node.status in ("done", "failed") else f"{edit.name} is {node.status}"
        elif node.status != "pending":
            return f"{edit.name} is {node.status}"
        after = edit.after or ()
        if edit.name in after or self._circle(edit):
            return f"{edit.name} would wait for itself"
        unknown = [name for name in after if name not in self.nodes]
        return f"there is no {unknown[0]}" if unknown else None

    def _circle(self, edit: Edit) -> bool:
        return edit.name in self.nodes and any(
            edit.name in self.ancestors(name) for name in edit.after or () if name in self.nodes
        )

    def make(self, edit: Edit) -> None:
        """Make an edit that is not refused."""
        if edit.verb == "stop":
            self.stopped = True
        elif edit.verb == "add":
            self.nodes[edit.name] = WorkNode(edit.name, edit.goal, edit.after or ())
        elif edit.verb == "cancel":
            self.change(edit.name, status="cancelled")
        elif edit.verb == "again":
            self.change(edit.name, status="pending", result=None)
        else:
            node = self.nodes[edit.name]
            self.change(edit.name, goal=edit.goal or node.goal, after=node.after if edit.after is None else edit.after)

    def copy(self) -> LiveGraph:
        """Return a graph that can be changed without changing this one; its nodes are never changed."""
        return LiveGraph(dict(self.nodes), self.stopped)

    def lines(self) -> Iterator[str]:
        """Yield what a manager is told of each node."""
        for node in self.nodes.values():
            waits = f", after {', '.join(node.after)}" if node.after else ""
            yield f"{node.name} ({node.status}{waits}): {node.goal}"


def read_edits(text: str) -> list[Edit]:
    """Return the edits in a text, nodes that others wait for before these; lines that are none are passed over."""
    found: list[Edit] = []
    for line in text.splitlines()[:LINES_MAX]:
        line = " ".join(line[:_LINE_CHARS].split()).lstrip("-*• ")  # one space each: nothing can be read in two ways
        if line.rstrip(" *.").lower() == "stop":
            found.append(Edit("stop"))
            continue
        read = _EDIT.match(line)
        if read is None:
            continue
        verb = (read["verb"] or "add").lower()
        if verb in ("add", "rewrite") and read["goal"] is None:
            continue
        after = None if read["after"] is None else tuple(dict.fromkeys(_SEPARATOR.split(read["after"].lower())))
        found.append(Edit(verb, read["name"].lower(), after, read["goal"] or ""))  # type: ignore[arg-type]
    return _in_order(found)


def _in_order(edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits, each node that is added after those among them that it waits for, where that is possible."""
    left, ordered = list(edits), []
    while left:
        adding = {edit.name for edit in left if edit.verb == "add"}
        free = [e for e in left if e.verb != "add" or not (set(e.after or ()) - {e.name}) & adding]
        first = free[0] if free else left[0]
        left.remove(first)
        ordered.append(first)
    return ordered


def accepted(graph: LiveGraph, edits: Sequence[Edit], nodes_max: int) -> tuple[list[Edit], list[tuple[Edit, str]]]:
    """Return which edits can be made, one after the other, and which cannot, with the reason; the graph stays."""
    trial, made, refused = graph.copy(), [], []
    for edit in edits:
        why = trial.refusal(edit, nodes_max)
        if why is None:
            trial.make(edit)
            made.append(edit)
        else:
            refused.append((edit, why))
    return made, refused
