"""The lean client makes one POST to an OpenAI-compatible server, with aiohttp and nothing else.

It does what litellm does for such servers at about a tenth of the CPU time, and it bounds what it reads: a body that
never ends is cut off at `reply.BODY_BYTES` while it arrives. `benchmarks/bench_llm_path.py` measures both.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from agentsoc.backends import reply
from agentsoc.backends.reasoning import with_reasoning
from agentsoc.contracts.model import CallError, Completion
from agentsoc.errors import MissingExtraError

if TYPE_CHECKING:
    import aiohttp

CONNECT_S = 10.0
"""Time limit of opening a connection (seconds)."""


class OpenAIClient:
    """A connection pool to one server. Make it inside the event loop that uses it, and close it there."""

    def __init__(self, base_url: str, key: str | None, timeout_s: float) -> None:
        try:
            import aiohttp
        except ModuleNotFoundError:
            raise MissingExtraError("model litellm with a base_url", "aiohttp", "litellm") from None
        self._aiohttp = aiohttp
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._session: aiohttp.ClientSession = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # how many calls run at once is the engine's decision
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def complete(self, body: dict[str, Any], choices: tuple[str, ...]) -> Completion:
        """Post `body` and return the completion. Raises `CallError`, and nothing else."""
        http = self._aiohttp
        try:
            # a redirect would carry the key to wherever the server says
            async with self._session.post(
                self._url,
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                raw = await _read(response)
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (http.ServerTimeoutError, TimeoutError) as error:
            connecting = isinstance(error, http.ConnectionTimeoutError)
            raise CallError("connection" if connecting else "timeout", "the server did not answer in time") from None
        except http.ClientConnectorError as error:
            raise CallError("connection", reply.shorten(f"cannot connect: {error}")) from None
        except (http.ClientError, OSError) as error:
            raise CallError("server", reply.shorten(f"connection lost: {type(error).__name__}: {error}")) from None
        if not 200 <= status < 300:
            message, code = _error(raw)
            raise reply.failure(status, message, retry_after, code)
        return _completion(raw, choices)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, or fail as soon as it is known to be too long."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > reply.BODY_BYTES:
            response.close()
            raise CallError("server", f"the reply's body is over the limit of {reply.BODY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _decode(raw: bytes) -> Any:
    """Return the JSON value of a body, None when it is none."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return json.loads(raw)  # takes the lone surrogates that msgspec refuses; `reply.completion` replaces them
    except (ValueError, RecursionError):
        return None


def _error(raw: bytes) -> tuple[str, str]:
    """Return text and code of an error body, whatever it is."""
    body = _decode(raw)
    inner = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(inner, dict):
        code = inner.get("code") or inner.get("type") or ""
        return str(inner.get("message") or "no message"), str(code)
    return (str(inner) if inner else raw[:1000].decode(errors="replace")), ""


def _completion(raw: bytes, choices: tuple[str, ...]) -> Completion:
    """Return the completion in the body of a successful answer."""
    body = _decode(raw)
    if not isinstance(body, dict):
        start = raw[:80].decode(errors="replace")
        raise CallError("server", reply.shorten(f"the answer is no JSON object, it begins: {start!r}"))
    found, usage = body.get("choices"), body.get("usage")
    if isinstance(found, list) and not found:
        raise CallError("empty", "an answer without choices", None, reply.usage_of(usage))
    first = found[0] if isinstance(found, list) else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        detail = f": {_error(raw)[0]}" if "error" in body else ""
        raise CallError("server", reply.shorten(f"the answer is no chat completion{detail}"))
    said = reply.completion(message.get("content"), first.get("finish_reason"), usage, message.get("refusal"), choices)
    return with_reasoning(said, message)
