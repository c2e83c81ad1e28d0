"""This module writes the parameters of a request as a server takes them, and learns from a refusal what it does not.

Servers that speak OpenAI's format differ in what they accept: one wants ``max_completion_tokens``, one takes no
temperature, one no seed, one no JSON schema. A scenario can say so (`send`); where it does not, the refusal of a
parameter by name is remembered for the life of the process, the request is made again without it, and a person is told
once. A refused request does no work and costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from agentsoc.contracts.model import CallError, Request

OMIT: Final = "omit"
"""What stands in `send` for a parameter that is left out."""
TRIES_MAX: Final = 8
"""Requests made for one attempt at most: each but the last was refused for a parameter of another name or form."""

Parameter = Literal["max_tokens", "temperature", "seed"]
Form = Literal["schema", "object", "none"]

_CAPS: Final = ("max_tokens", "max_completion_tokens")
_SENT_FORM: Final = {"schema": "json_schema", "object": "json_object", "none": ""}
_REFUSED: Final = re.compile(
    r"(?i)unsupported|not supported|does ?n[o']t support|unknown|unrecogni[sz]ed|unexpected|extra inputs|not permitted"
    r"|not allowed|unavailable|not available|not implemented|invalid parameter|no longer|deprecated|only the default"
)
_STATUS: Final = re.compile(r"^HTTP (400|404|415|422|501): ")
_OF_FORMAT: Final = re.compile(r"(?i)response_?format|json_schema|json_object|structured.{0,3}output|guided|grammar")


class ServerHabits:
    """The object holds what is known of one server's parameters; every backend of that server uses the same one."""

    _known: ClassVar[dict[tuple[str, str | None], ServerHabits]] = {}

    def __init__(self, send: Mapping[Parameter, str] | None = None, form: Form = "schema") -> None:
        self.names: dict[str, str | None] = {name: name for name in ("max_tokens", "temperature", "seed")}
        self.form: Form = form
        self.learned: list[str] = []
        """What was learned from refusals, in words, in the order of their coming."""
        for name, other in (send or {}).items():
            self.names[name] = None if other == OMIT else other
        self._first = dict(self.names)
        self._refused_caps: set[str] = set()

    @classmethod
    def of(cls, name: str, base_url: str | None, send: Mapping[Parameter, str], form: Form) -> ServerHabits:
        """Return a server's habits as this process knows them; what a scenario says itself is not shared."""
        if send:
            return cls(send, form)
        key = (f"{name} {form}", base_url)
        if key not in cls._known:
            cls._known[key] = cls(None, form)
        return cls._known[key]

    @classmethod
    def forget(cls) -> None:
        """Forget every server, as a new process would."""
        cls._known.clear()

    def parameters(self, request: Request, constraint: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the parameters of a request under the names that the server takes.

        Args:
            request: what is asked.
            constraint: the ``response_format`` that holds the reply to its schema or choices; None for none.
        """
        values = {"max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed}
        found: dict[str, Any] = {name: values[own] for own, name in self.names.items() if name is not None}
        if constraint is not None and self.form == "schema":
            found["response_format"] = dict(constraint)
        elif request.schema is not None and self.form == "object":  # choices are asked for as they are
            found["response_format"] = {"type": "json_object"}
        return found

    def learn(self, error: CallError, sent: Mapping[str, Any]) -> bool:
        """Take note of a refusal; return whether the request may be made again, in another form than `sent`.

        Args:
            error: what the server answered.
            sent: the parameters that it refused; another call may have learned from the same refusal before.
        """
        text = error.message
        if error.kind != "rejected" or not _STATUS.match(text) or not _REFUSED.search(text):
            return False
        if "response_format" in sent and _OF_FORMAT.search(text):
            kind = str(sent["response_format"].get("type"))
            if kind == _SENT_FORM[self.form]:
                self.form = "object" if self.form == "schema" else "none"
                self._note(f"response_format {kind} is refused and not asked for again", text)
            return True
        cap = next((name for name in (self.names["max_tokens"], *_CAPS) if name in sent), None)
        if cap is not None and _is_named(cap, text):
            return self._rename_cap(cap, text)
        for own in ("temperature", "seed"):
            name = self._first[own]
            if name is not None and name in sent and _is_named(name, text):
                if self.names[own] is not None:
                    self.names[own] = None
                    self._note(f"the parameter {name} is refused and left out from now on", text)
                return True
        return False

    def _rename_cap(self, cap: str, text: str) -> bool:
        """Send the output cap under its other name; never under none, for then a budget would hold nothing."""
        if self.names["max_tokens"] != cap:
            return True  # another call has learned it already
        self._refused_caps.add(cap)
        other = next((name for name in _CAPS if name not in self._refused_caps), None)
        if other is None:
            return False
        self.names["max_tokens"] = other
        self._note(f"the output cap is sent as {other}, because {cap} is refused", text)
        return True

    def _note(self, what: str, text: str) -> None:
        self.learned.append(f"{what} ({text})")


def _is_named(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text) is not None
