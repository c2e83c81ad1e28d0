"""This module counts the tokens of prompts for models behind an API, with the tokenizer that a scenario names.

``tiktoken:NAME``
    An encoding (o200k_base) or a model (gpt-4o) of tiktoken; its ranks are read from disk, never fetched.
``FILE.json``
    A file of the ``tokenizers`` library, as it lies beside the weights of most open models.
``server``
    The server at the model's own `base_url`: vLLM and llama.cpp apply their template and count.

A budget reserves what is counted here, so it has to be a bound. A server counts what it will read, template included.
For the others the chat template of the provider is not known: `TEMPLATE_TOKENS` stand for it, `MESSAGE_TOKENS` for
what it adds to each further message, and the schema of the reply is counted as text, because some providers put it into
the prompt.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import Field

from agentsoc.backends.text import sendable
from agentsoc.contracts.model import Request, bytes_bound
from agentsoc.errors import BackendSetupError, MissingExtraError

TEMPLATE_TOKENS: Final = 80
"""Room for what a chat template adds to a system and a user message: markers, roles, dates (tokens)."""
MESSAGE_TOKENS: Final = 16
"""Room for what it adds to each further message (tokens)."""
SERVER: Final = "server"
TIKTOKEN: Final = "tiktoken:"
WAIT_S: Final = 10.0
"""Time limit of one count by a server (seconds)."""
ANSWER_BYTES: Final = 1 << 24
"""Size up to which its answer is read (bytes)."""
_KEPT: Final = 4_096
"""Counts of a server that are remembered (prompts)."""
_WHERE: Final = "agents.model.tokenizer"
_LOADING: Final = threading.Lock()

TokenizerName = Annotated[
    str, Field(pattern=r"^(tiktoken:[A-Za-z0-9._-]{1,80}|server|[^\x00-\x1f]{1,300}\.json)$", max_length=310)
]
Count = Callable[[str], int]
"""Returns the tokens of a text, without any template."""


def told(tokenizer: str | None) -> str:
    """Return in words how prompts are counted with a tokenizer, for the manifest; no path."""
    if tokenizer is None:
        return "bytes"
    return "the server's own tokenizer" if tokenizer == SERVER else tokenizer.rsplit("/", 1)[-1]


@lru_cache(maxsize=8)
def text_counter(tokenizer: str) -> Count:
    """Return what counts the tokens of a text: a tokenizer that is on this machine.

    Raises:
        BackendSetupError: it is not here, or no tokenizer.
        MissingExtraError: the library that reads it is not installed.
    """
    return _tiktoken(tokenizer.removeprefix(TIKTOKEN)) if tokenizer.startswith(TIKTOKEN) else _file(Path(tokenizer))


def count_request(count: Count, request: Request, schema: str) -> int:
    """Return a bound on the prompt of a request (tokens).

    Args:
        count: counts a text.
        request: the request.
        schema: of the reply, as text; empty where none is sent.
    """
    texts = [message["content"] for message in sendable(request.messages)]
    template = TEMPLATE_TOKENS + MESSAGE_TOKENS * max(len(texts) - 2, 0)
    return template + sum(count(text) for text in [*texts, *([schema] if schema else [])])


def _tiktoken(name: str) -> Count:
    try:
        tiktoken: Any = importlib.import_module("tiktoken")
        load: Any = importlib.import_module("tiktoken.load")
    except ModuleNotFoundError:
        raise MissingExtraError(f"tokenizer {TIKTOKEN}{name}", "tiktoken", "tokenizers") from None
    if name not in tiktoken.list_encoding_names():
        try:
            name = tiktoken.encoding_name_for_model(name)
        except KeyError:
            raise BackendSetupError(
                f"tiktoken knows neither an encoding nor a model {name!r}",
                _WHERE,
                f"one of {', '.join(tiktoken.list_encoding_names())}",
            ) from None
    with _LOADING:  # tiktoken would fetch what is not on disk, from an address that nobody has agreed to
        fetching, load.read_file_cached = load.read_file_cached, _from_disk
        try:
            encoding = tiktoken.get_encoding(name)
        except FileNotFoundError:
            raise BackendSetupError(
                f"the ranks of {name} are not on this machine, and a run does not fetch them",
                _WHERE,
                f"fetch them once: python -c 'import tiktoken; tiktoken.get_encoding(\"{name}\")', with "
                "TIKTOKEN_CACHE_DIR set to a directory that stays",
            ) from None
        finally:
            load.read_file_cached = fetching
    return lambda text: len(encoding.encode_ordinary(text))


def _from_disk(address: str, expected_hash: str | None = None) -> bytes:
    """Return ranks that tiktoken, or litellm, has on this machine."""
    name = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()  # so tiktoken names its files
    for folder in _folders():
        try:
            data = (folder / name).read_bytes()
        except OSError:
            continue
        if expected_hash is None or hashlib.sha256(data).hexdigest() == expected_hash:
            return data
    raise FileNotFoundError(address)


def _folders() -> list[Path]:
    named = [os.environ.get(variable) for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")]
    found = [Path(folder) for folder in named if folder] or [Path(tempfile.gettempdir()) / "data-gym-cache"]
    spec = importlib.util.find_spec("litellm")  # its package holds the usual ones; it is not imported
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "litellm_core_utils" / "tokenizers")
    return found


def _file(path: Path) -> Count:
    try:
        tokenizers = importlib.import_module("tokenizers")
    except ModuleNotFoundError:
        raise MissingExtraError(f"tokenizer {path.name}", "tokenizers", "tokenizers") from None
    if not path.is_file():
        raise BackendSetupError(f"the tokenizer {path} does not exist or is no regular file", _WHERE)
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare exceptions
        raise BackendSetupError(f"{path.name} is no file of a tokenizer: {str(error)[:200]}", _WHERE) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


class PromptCounter:
    """The counter of a model's prompts. Before it is started it asks no server: a bound by bytes stands in for it."""

    def __init__(self, tokenizer: str | None, base_url: str | None, model: str) -> None:
        """Prepare.

        Args:
            tokenizer: as the scenario names it; None for a token for each byte.
            base_url: of the model, for the server's own tokenizer.
            model: the model's name on that server.
        """
        self._tokenizer, self._base_url, self._model = tokenizer, base_url, model
        self._server: ServerCounter | None = None

    def start(self, key: str | None) -> None:
        """Allow the server to be asked, with this key.

        Raises:
            BackendSetupError, MissingExtraError: see `text_counter`.
        """
        if self._tokenizer == SERVER and self._base_url is not None:
            self._server = ServerCounter(self._base_url, self._model, key)
        elif self._tokenizer is not None:
            text_counter(self._tokenizer)

    def __call__(self, request: Request, schema: str) -> int:
        """Return a bound on the prompt of a request (tokens).

        Args:
            request: the request.
            schema: of the reply, as text; empty where none is sent.
        """
        if self._server is not None:
            return self._server(request)
        if self._tokenizer is None or self._tokenizer == SERVER:
            return bytes_bound(request) + len(schema)
        return count_request(text_counter(self._tokenizer), request, schema)


class ServerCounter:
    """The object lets the server of a model count prompts: one short request each, made while the run waits for it."""

    def __init__(self, base_url: str, model: str, key: str | None) -> None:
        """Prepare.

        Args:
            base_url: of the model; what counts lies beside its ``/v1``.
            model: the model's name on that server.
            key: sent along as with every call; None for none.
        """
        place = urlsplit(base_url.rstrip("/"))
        self._secure, self._host = place.scheme == "https", place.netloc
        self._root = place.path.removesuffix("/v1")
        self._model = model
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._kept: dict[Request, int] = {}

    def __call__(self, request: Request) -> int:
        """Return the tokens of a prompt, the server's template included.

        Raises:
            BackendSetupError: the server does not count.
        """
        messages = sendable(request.messages)
        key = msgspec.structs.replace(request, hint=None, seed=0, temperature=0.0, max_tokens=1)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            found = self._kept[key] = self._count(messages)
        return found

    def _count(self, messages: list[dict[str, str]]) -> int:
        whole = {"model": self._model, "messages": messages, "add_generation_prompt": True}
        count = self._ask("/tokenize", whole).get("count")  # vLLM
        if not isinstance(count, int):  # llama.cpp takes text only
            prompt = self._ask("/apply-template", {"messages": messages}).get("prompt")
            tokens = self._ask("/tokenize", {"content": prompt, "add_special": True, "parse_special": True}).get(
                "tokens"
            )
            if not isinstance(prompt, str) or not isinstance(tokens, list) or not tokens:
                raise self._silent("its answer holds no count")
            count = len(tokens)
        if count < 1:
            raise self._silent("its answer holds no count")
        return count

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, timeout=WAIT_S)
        try:
            connection.request("POST", self._root + path, msgspec.json.encode(body), self._headers)
            answer = connection.getresponse()  # redirects are not followed: the key goes nowhere else
            if answer.status != 200:
                raise self._silent(f"{path} gives status {answer.status}")
            found = msgspec.json.decode(answer.read(ANSWER_BYTES))
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise self._silent(f"{path}: {str(error)[:200] or type(error).__name__}") from None
        finally:
            connection.close()
        return found if isinstance(found, dict) else {}

    def _silent(self, why: str) -> BackendSetupError:
        return BackendSetupError(
            f"the server at {self._host} counts no tokens: {why}",
            _WHERE,
            "vLLM and llama.cpp do; leave tokenizer out to reserve a token for each byte, or name another one",
        )
