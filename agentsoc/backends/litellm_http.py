"""This module keeps litellm's HTTP clients from following redirects, and from reading more than an answer may be.

It also keeps local requests from proxies.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from agentsoc.backends.bounded_body import ACCEPTED, unfolded, whole, with_text

_OF_THE_BODY: Final = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that say of a body how it came, and hold no more once it was read."""


def restrain() -> None:
    """Let no client that litellm makes from now on follow a redirect or read without a limit.

    A redirect would carry prompt and key elsewhere: httpx drops ``Authorization`` on the way to another host, but not
    ``x-api-key`` or ``api-key``. A body without end would fill the memory: litellm reads what a server sends.
    """
    handlers: Any = importlib.import_module("litellm.llms.custom_httpx.http_handler")
    openai: Any = importlib.import_module("litellm.llms.openai.common_utils")
    if hasattr(handlers.AsyncHTTPHandler.create_client, "__wrapped__"):
        return
    handlers.AsyncHTTPHandler.create_client = _staying(handlers.AsyncHTTPHandler.create_client)
    handlers.HTTPHandler.__init__ = _with_staying_client(handlers.HTTPHandler.__init__)
    for name in ("_get_async_http_client", "_get_sync_http_client"):
        made = _staying(getattr(openai.BaseOpenAILLM, name))
        setattr(openai.BaseOpenAILLM, name, staticmethod(made))


def _staying(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        client = make(*args, **kwargs)
        if client is not None:
            client.follow_redirects = False
            _bound(client)
        return client

    return made


def _bound(client: Any) -> None:
    """Let an asynchronous client of httpx read bodies within the limit; what is read by a synchronous one stays."""
    httpx: Any = importlib.import_module("httpx")
    if not isinstance(client, httpx.AsyncClient):
        return
    made = _bounded_transport(httpx)
    client._transport = made(client._transport)
    client._mounts = {pattern: None if one is None else made(one) for pattern, one in client._mounts.items()}


@functools.cache
def _bounded_transport(httpx: Any) -> Any:
    """Return the class of a transport that reads the whole body of an answer, within the limit, before it gives it."""

    class Bounded(httpx.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def handle_async_request(self, request: Any) -> Any:
            request.headers["accept-encoding"] = ACCEPTED
            answer = await self._inner.handle_async_request(request)
            limit = request.extensions.get("timeout", {}).get("read")
            try:
                async with asyncio.timeout(limit):  # the client's own limit begins anew with every byte
                    body = unfolded(await whole(answer.stream), answer.headers.get("content-encoding", ""))
            finally:
                await answer.aclose()
            headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in _OF_THE_BODY]
            return httpx.Response(
                answer.status_code, headers=headers, content=with_text(body), extensions=answer.extensions
            )

        async def aclose(self) -> None:
            await self._inner.aclose()

    return Bounded


def _with_staying_client(begin: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(begin)
    def begun(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.client.follow_redirects = False

    return begun


def direct(addresses: Iterable[str]) -> None:
    """Let requests to addresses on this machine pass by the proxies that the environment names."""
    for address in addresses:
        host = urlsplit(address).hostname
        names = [name.strip() for name in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")]
        if host is not None and "*" not in names and host not in names:
            # where both are set, clients read the one in lower case
            os.environ["no_proxy"] = ",".join([*filter(None, names), host])
