"""This module keeps litellm's HTTP clients from following redirects with a key and local requests from proxies."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit


def without_redirects() -> None:
    """Let no client that litellm makes from now on follow a redirect: it would carry prompt and key elsewhere.

    httpx drops ``Authorization`` on the way to another host, but not ``x-api-key`` or ``api-key``.
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
        return client

    return made


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
