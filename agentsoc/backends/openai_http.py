"""The lean client makes one POST to an OpenAI-compatible server, with aiohttp and nothing else.

It does what litellm does for such servers at about a tenth of the CPU time, and it bounds what it reads: a body that
never ends is cut off at `reply.BODY_BYTES` while it arrives. `benchmarks/bench_llm_path.py` measures both.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from agentsoc.backends import reply
from agentsoc.backends.bounded_body import ACCEPTED, unfolded, whole
from agentsoc.backends.native_tools import with_calls
from agentsoc.backends.reasoning import settled, with_reasoning
from agentsoc.contracts.model import CallError, Completion
from agentsoc.errors import MissingExtraError

if TYPE_CHECKING:
    import aiohttp

_PATH = "/chat/completions"
CONNECT_S = 10.0
"""Time limit of opening a connection (seconds)."""
IDLE_S = 4.0
"""Time after which an idle connection is not used again (seconds): many servers end theirs after 5, and a request that
crosses that end is lost."""


class OpenAIClient:
    """A connection pool to one server. Make it inside the event loop that uses it, and close it there."""

    def __init__(self, base_url: str, key: str | None, timeout_s: float) -> None:
        try:
            import aiohttp
        except ModuleNotFoundError:
            raise MissingExtraError("model litellm with a base_url", "aiohttp", "litellm") from None
        self._aiohttp = aiohttp
        self._base = base_url.rstrip("/")
        self._url = self._base + _PATH
        self._unsure = not self._base.endswith("/v1")
        self.reported: str | None = None
        """Name of the model that the last answer gave as its author; None when it gave none."""
        self.notices: list[str] = []
        """What was learned of the server and a person has not heard yet."""
        self._session: aiohttp.ClientSession = aiohttp.ClientSession(
            # how many calls run at once is the engine's decision
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            headers={"Accept-Encoding": ACCEPTED} | ({"Authorization": f"Bearer {key}"} if key else {}),
            auto_decompress=False,  # `unfolded` does it, within the limit
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def complete(self, body: dict[str, Any], choices: tuple[str, ...]) -> Completion:
        """Post `body` and return the completion. Raises `CallError`, and nothing else.

        The first address that gives 404 or 405 is tried once more with ``/v1``, which many leave out of a base_url.
        """
        url = self._url
        status, raw, retry_after = await self._post(url, body)
        if status in (404, 405) and (self._unsure or url != self._url):
            status, raw, retry_after = await self._elsewhere(body, (status, raw, retry_after))
        else:
            self._unsure = False
        if not 200 <= status < 300:
            message, code = _error(raw)
            raise reply.failure(status, message, retry_after, code)
        return self._completion(raw, choices)

    async def _elsewhere(
        self, body: dict[str, Any], first: tuple[int, bytes, str | None]
    ) -> tuple[int, bytes, str | None]:
        """Post `body` below ``/v1``; return what comes of it, or the first answer when there is nothing either."""
        other = f"{self._base}/v1{_PATH}"
        again = await self._post(other, body)
        if again[0] in (404, 405):
            self._unsure = False
            return first
        if self._url != other and again[0] < 500 and again[0] != 408:  # then nothing is known of the address
            self._url = other
            self.notices.append(f"{self._base} answers below /v1 only: write base_url: {self._base}/v1")
        return again

    async def _post(self, url: str, body: dict[str, Any]) -> tuple[int, bytes, str | None]:
        """Post `body`; return status, body and the Retry-After header of the answer."""
        http = self._aiohttp
        try:
            # a redirect would carry the key to wherever the server says
            async with self._session.post(
                url,
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                raw = await _read(response)
                return response.status, raw, response.headers.get("Retry-After")
        except (http.ServerTimeoutError, TimeoutError) as error:
            connecting = isinstance(error, http.ConnectionTimeoutError)
            raise CallError("connection" if connecting else "timeout", "the server did not answer in time") from None
        except http.ClientConnectorError as error:
            raise CallError("connection", reply.shorten(f"cannot connect: {error}")) from None
        except (http.ClientError, OSError) as error:
            raise CallError("server", reply.shorten(f"connection lost: {type(error).__name__}: {error}")) from None

    def _completion(self, raw: bytes, choices: tuple[str, ...]) -> Completion:
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
            raise _no_completion(body, raw)
        if isinstance(author := body.get("model"), str):
            self.reported = author
        message, finish = with_calls(settled(message)), first.get("finish_reason")
        said = reply.completion(message.get("content"), finish, usage, message.get("refusal"), choices)
        return with_reasoning(said, message)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, or fail as soon as it is known to be too long."""
    try:
        raw = await whole(response.content.iter_any())
    except CallError:
        response.close()
        raise
    return unfolded(raw, response.headers.get("Content-Encoding", ""))


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


def _no_completion(body: dict[str, Any], raw: bytes) -> CallError:
    """Return what an answer with status 200 is that holds no completion: some gateways put their errors there."""
    if "error" not in body:
        return CallError("server", "the answer is no chat completion")
    message, code = _error(raw)
    status = int(code) if re.fullmatch(r"[45]\d\d", code) else None
    return reply.failure(status, f"in an answer with status 200: {message}", None, code)
