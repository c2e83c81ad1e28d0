"""`Fault` says what is wrong with the form of a reply."""

from __future__ import annotations

from typing import Final

import msgspec

MALFORMED: Final = "malformed: "
"""How the failure of a reply begins that was not in the form asked for."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with the form of a reply, in words that a model can act on."""

    what: str
