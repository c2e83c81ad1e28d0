"""This module tells kinds of failure apart: what the infrastructure did, what broke the form, what the model did.

A failed call is no answer, and what it says about a society depends on who failed. That a server is down says nothing
about the way in which agents are organised; that a model declines says something about the model. The kind is read from
the text that a ``call_failed`` event and a row of the journal carry, ``kind: message``, so every run has it, also those
that were made before anybody counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

FailureFamily = Literal["infrastructure", "format", "model"]
FAMILIES: Final[tuple[FailureFamily, ...]] = ("infrastructure", "format", "model")
"""Who failed: server, network or key; the form of a reply, also after its repair; the model itself."""

REFUSED_UNSEEN: Final = frozenset({"rate_limited", "unavailable", "connection"})
"""Kinds of failure in which the server did no work, so that nothing was billed and the same request may do later."""
_OF_MODEL: Final = ("cut off", "was empty")
"""What the fault of a reply says where it broke no form: the model wrote too much, or nothing."""
_OF_KIND: Final[Mapping[str, FailureFamily]] = {
    "malformed": "format",
    "empty": "model",
    "too_long": "model",
}


def family_of(failure: str) -> FailureFamily:
    """Return who failed in a failure ``kind: message``; what is none of the kinds known is the infrastructure's.

    A prompt that does not fit is the model's: its window is a property of it, as what it declines is.
    """
    kind, _, message = failure.partition(": ")
    if kind == "malformed" and any(words in message for words in _OF_MODEL):
        return "model"
    return _OF_KIND.get(kind, "infrastructure")
