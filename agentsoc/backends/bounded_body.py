"""This module reads the body of an answer within a limit, for clients that would take whatever a server sends.

A body may never end, and a packed one may unfold to a thousand times its size, so both are counted while they come.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable
from typing import Any, Final

import msgspec

from agentsoc.backends.reply import BODY_BYTES, joined
from agentsoc.contracts.model import CallError

ACCEPTED: Final = "gzip, deflate"
"""What a server may pack a body with: what can be unfolded within a limit."""
_WINDOWS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""How zlib unfolds each; servers disagree about what deflate is."""
_PARTS: Final = re.compile(rb'"content"\s*:\s*\[')
_LAYERS_MAX: Final = 3


async def whole(parts: AsyncIterable[bytes]) -> bytes:
    """Return a body as it came.

    Raises:
        CallError: it is longer than any answer may be; the rest is not read.
    """
    read: list[bytes] = []
    size = 0
    async for part in parts:
        size += len(part)
        if size > BODY_BYTES:
            raise _too_long()
        read.append(part)
    return b"".join(read)


def unfolded(raw: bytes, encoding: str) -> bytes:
    """Return a body as it was before the server packed it.

    Args:
        raw: the body.
        encoding: its Content-Encoding header; empty for none.

    Raises:
        CallError: it would be longer than any answer may be, or it is not packed as the header says.
    """
    names = [name for name in map(str.strip, encoding.lower().split(",")) if name not in ("", "identity")]
    if len(names) > _LAYERS_MAX or any(name not in _WINDOWS for name in names):
        raise CallError("server", f"the reply's body is packed as {encoding[:60]}, and asked for was {ACCEPTED}")
    for name in reversed(names):
        raw = _unfold(raw, name)
    return raw


def _unfold(raw: bytes, name: str) -> bytes:
    for window in _WINDOWS[name]:
        unpacker = zlib.decompressobj(window)
        try:
            found = unpacker.decompress(raw, BODY_BYTES + 1)
        except zlib.error:
            continue
        if len(found) > BODY_BYTES:
            raise _too_long()
        if not unpacker.eof:
            break
        return found
    raise CallError("server", f"the reply's body is not {name}, as its header says, or it is cut off")


def _too_long() -> CallError:
    return CallError("server", f"the reply's body is over the limit of {BODY_BYTES} bytes")


def with_text(raw: bytes) -> bytes:
    """Return a chat completion whose messages hold texts where they came in parts; any other body as it is."""
    if _PARTS.search(raw) is None:
        return raw
    try:
        body: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return raw
    choices = body.get("choices") if isinstance(body, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            message["content"] = joined(message["content"])
    return msgspec.json.encode(body)
