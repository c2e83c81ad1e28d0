"""This module counts the tokens of a conversation with llama.cpp itself: the file's own chat template and tokenizer.

Both are asked for at the port that every server of the library opens on loopback, behind a random key. A server that
runs answers beside the texts that it is making. Where none runs, one is started that only counts: its weights are
mapped, not read, and one token of context is all that it computes.
"""

from __future__ import annotations

import http.client
import importlib
import json
import secrets
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agentsoc.backends.llamacpp import start_server
from agentsoc.backends.text import templated
from agentsoc.contracts.model import Request
from agentsoc.errors import BackendSetupError

ANSWER_S: Final = 60.0
"""Time limit of one question to the port (seconds)."""
ANSWER_BYTES: Final = 256 << 20
_CONTEXT: Final = 128
"""Context window of a server that only counts (tokens)."""


class Vocabulary:
    """The object asks a server of the library how many tokens a conversation has."""

    def __init__(self, server: Any, key: str) -> None:
        """Take a server that has settled, and the key of its port."""
        self._server = server
        self._key = key
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._last: tuple[tuple[tuple[str, str], ...], int] | None = None

    def count(self, request: Request) -> int:
        """Return the exact number of the prompt's tokens, marks of the chat template included.

        Raises:
            BackendSetupError: the template refuses the conversation, or the server does not answer.
        """
        said = tuple((each.role, each.content) for each in request.messages)
        if self._last is not None and self._last[0] == said:
            return self._last[1]
        with self._lock:
            prompt = self._ask("/apply-template", {"messages": templated(request.messages)}).get("prompt")
            body = {"content": prompt, "add_special": True, "parse_special": True}
            tokens = self._ask("/tokenize", body).get("tokens")
        if not isinstance(tokens, list):
            raise BackendSetupError("llama.cpp did not say the tokens of a prompt", "agents.model.file")
        self._last = (said, len(tokens))
        return len(tokens)

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        for again in (True, False):
            try:
                if self._connection is None:
                    address = urlsplit(self._server.listening_address)
                    self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=ANSWER_S)
                self._connection.request("POST", path, content, headers)
                answer = self._connection.getresponse()
                raw = answer.read(ANSWER_BYTES)
                break
            except (http.client.HTTPException, OSError) as error:  # a connection that was idle may have been closed
                self.close()
                if not again:
                    what = f"llama.cpp does not count tokens: {type(error).__name__}"
                    raise BackendSetupError(what, "agents.model.file") from None
        found = json.loads(raw)
        if answer.status != 200 or not isinstance(found, dict):
            error_text = str(found.get("error", found) if isinstance(found, dict) else found)[:200]
            raise BackendSetupError(
                f"the model's chat template refuses a conversation: {error_text}", "agents.model.file"
            )
        return found

    def close(self) -> None:
        """Close the connection; the server is its owner's."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        """Close the connection with the last user of a server that only counts."""
        self.close()


@lru_cache(maxsize=2)
def counting_vocabulary(path: Path) -> Vocabulary | None:
    """Return the vocabulary of a model file from a server that only counts, kept while the process lives.

    None where the library is not installed.

    Raises:
        BackendSetupError: the file does not load.
    """
    try:
        library: Any = importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        if error.name != "xllamacpp":
            raise
        return None
    key = secrets.token_urlsafe(32)
    try:
        server = start_server(library, path, context=_CONTEXT, slots=1, fast=False, key=key, counts=True)
    except RuntimeError as error:
        raise BackendSetupError(f"the model file {path.name} does not load: {error}", "agents.model") from None
    return Vocabulary(server, key)
