"""A chat-completions server in a thread, on loopback, that keeps everything it is sent: for what must not be sent."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Sent:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def text(self) -> str:
        """Everything of it."""
        return "\n".join([self.path, json.dumps(self.headers), self.body])


class Canary:
    """A context manager; `base_url` is where a client finds it, `sent` what came so far."""

    def __init__(self, redirect: str | None = None) -> None:
        """Prepare to listen; every request is sent on to `redirect` when that is given."""
        self.sent: list[Sent] = []
        self.redirect = redirect

    def __enter__(self) -> Canary:
        canary = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
                canary.sent.append(Sent(self.command, self.path, dict(self.headers), body))
                if canary.redirect is not None:
                    self.send_response(307)
                    self.send_header("Location", canary.redirect + self.path)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                said = json.dumps(completion(body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_CONNECT = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    @property
    def keys(self) -> set[str]:
        """The keys that came in headers where keys belong."""
        names = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
        return {
            re.sub(r"^(Bearer|Basic) ", "", value)
            for one in self.sent
            for name, value in one.headers.items()
            if name.lower() in names
        }


def completion(body: str) -> dict[str, Any]:
    """Return a healthy answer to a request."""
    try:
        asked = json.loads(body)
    except ValueError:
        asked = {}
    says = "positive" if isinstance(asked, dict) and "response_format" not in asked else '{"answer": "positive"}'
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": says}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }
