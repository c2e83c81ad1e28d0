"""This module is what stands before every request: the name that was asked for, the token, and the headers of answers.

A page of a stranger that is open in the same browser can send requests to any port of this machine. It cannot know the
token, its requests carry no cookie of ours (`SameSite=Strict`), and if it has its own name lead here, the name that
the browser sends as `Host` is not ours.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""What the pages may do: their own files and answers, and nothing that stands in a text."""
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
NO_TOKEN: Final = "open the address that agentsoc view printed: it has the token without which nothing is shown\n"
NO_HOST: Final = "this server answers by the address that agentsoc view printed alone\n"
READ_ONLY: Final = "this server only shows\n"
TARGET_MAX: Final = 8_192
"""Longest path with its query (bytes)."""


class Keys:
    """The keys open the viewer: a token in the address that is printed, then a cookie."""

    def __init__(self, port: int) -> None:
        """Draw new keys for a server on `port`."""
        self.token = secrets.token_urlsafe(32)
        """Stands in the address that a person opens."""
        self.cookie = secrets.token_urlsafe(32)
        self.name = f"agentsoc_view_{port}"
        """Of the cookie: cookies know no ports, and two viewers may run side by side."""
        self._once: set[str] = set()

    def once(self) -> str:
        """Return a token that opens the viewer one time: others on this machine see the arguments of a browser."""
        found = secrets.token_urlsafe(32)
        self._once.add(found)
        return found

    def takes(self, token: str) -> bool:
        """Return whether a token opens the viewer; one that does so one time is spent by that."""
        for known in list(self._once):
            if hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
                self._once.discard(known)
                return True
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))

    def knows(self, cookies: str) -> bool:
        """Return whether the cookies of a request hold ours."""
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.name and hmac.compare_digest(self.cookie.encode(), value.encode("utf-8", "replace")):
                return True
        return False

    def as_cookie(self) -> str:
        """Return the header that sets the cookie, for this browser until it is closed."""
        return f"{self.name}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"


class Guard:
    """The guard passes on what comes by the right name, reads only, and has the token or the cookie."""

    def __init__(self, app: ASGIApp, keys: Keys, hosts: frozenset[str]) -> None:
        """Guard an app.

        Args:
            app: what is guarded.
            keys: what opens it.
            hosts: values of the header ``Host`` that it answers to, such as ``127.0.0.1:8080``.
        """
        self._app = app
        self._keys = keys
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        opened = False

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {**HEADERS, "set-cookie": self._keys.as_cookie()} if opened else HEADERS
                told = [(name, value) for name, value in message["headers"] if name.decode("latin-1") not in own]
                message["headers"] = told + [(name.encode(), value.encode()) for name, value in own.items()]
            await send(message)

        refused = self._refused(scope)
        if refused is None and not self._keys.knows(_header(scope, b"cookie")):
            opened = scope["path"] == "/" and self._keys.takes(_token(scope))
            refused = None if opened else PlainTextResponse(NO_TOKEN, 403)
        await (self._app if refused is None else refused)(scope, receive, guarded)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        """Return the answer to what is refused whoever asks; None for nothing."""
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1 or named[0].decode("latin-1") not in self._hosts:
            return PlainTextResponse(NO_HOST, 403)
        if _header(scope, b"sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/":
            return PlainTextResponse(NO_TOKEN, 403)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse(READ_ONLY, 405, {"allow": "GET, HEAD"})
        if len(scope["raw_path"]) + len(scope["query_string"]) > TARGET_MAX:
            return PlainTextResponse("this address is too long\n", 414)
        return None


def _header(scope: Scope, wanted: bytes) -> str:
    return "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


def _token(scope: Scope) -> str:
    try:
        found = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=4).get("token", [])
    except ValueError:
        return ""
    return found[0] if len(found) == 1 else ""
