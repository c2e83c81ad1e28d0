"""This module reads an exception of litellm as the one failure kind that is known of the attempt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agentsoc.backends import reply
from agentsoc.contracts.model import CallError

_NOT_CONNECTED: Final = frozenset({"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError"})
_WRAPPED: Final = re.compile(r"\A(?:(?:litellm\.)?[A-Z][A-Za-z]*(?:Error|Exception)(?:: | - ))+")
"""Names of classes that litellm puts before what the server said, which for a server at a base_url are wrong."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that caused it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def failure_of(error: Exception) -> CallError:
    """Return the failure behind an exception of litellm.

    Its classes are not to be trusted: for a server at a base_url, 401, 500 and 503 all come as BadRequestError, and a
    refused connection as InternalServerError. Status, headers and the causes are.
    """
    chain = list(_chain(error))
    if (ours := next((link for link in chain if isinstance(link, CallError)), None)) is not None:
        return ours  # said by what reads the body, and wrapped by the client on its way
    names = {cls.__name__ for link in chain for cls in type(link).__mro__}
    message = _WRAPPED.sub("", str(getattr(error, "message", None) or error))
    if names & _NOT_CONNECTED:
        within = next((str(link) for link in chain if type(link).__name__ in _NOT_CONNECTED and str(link)), message)
        return CallError("connection", reply.shorten(f"cannot connect: {within}"))
    if names & {"Timeout", "TimeoutException", "TimeoutError", "APITimeoutError"}:
        return CallError("timeout", "the server did not answer in time")
    if "ContextWindowExceededError" in names:
        return CallError("too_long", reply.shorten(message))
    code = " ".join(str(getattr(link, "code", "") or "") for link in chain)
    status = getattr(error, "status_code", None)
    if names & {"JSONDecodeError", "RecursionError", "ReadError", "RemoteProtocolError", "APIConnectionError"}:
        return CallError("server", reply.shorten(f"a broken answer: {message}"))
    return reply.failure(status if isinstance(status, int) else None, message, _retry_after(chain), code)


def _retry_after(chain: list[BaseException]) -> str | None:
    """Return the Retry-After header of the first response in the chain that has one."""
    for link in chain:
        for holder in (getattr(link, "response", None), link):
            value = getattr(holder, "headers", None)
            if value is not None and hasattr(value, "get") and (found := value.get("retry-after")):
                return str(found)
    return None
