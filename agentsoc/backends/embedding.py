"""This module embeds texts by the embedded model, a server that speaks the OpenAI protocol, or what litellm reaches.

These are no agents and no part of a run: they turn what was said into vectors afterwards, for measures of diversity.
Each has a `name` that says whose vectors these are, and `embed`, which blocks. All of them can be closed.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from agentsoc.backends import modelfile, reply
from agentsoc.backends.litellm import _import_litellm
from agentsoc.backends.llamacpp import ALIAS, START_S
from agentsoc.backends.providers import own_destinations
from agentsoc.backends.secrets import redact, register, register_environment
from agentsoc.contracts.address import is_loopback, normal
from agentsoc.errors import BackendSetupError, MissingExtraError

F32 = NDArray[np.float32]

WINDOW: Final = 1_024
"""Tokens of a text that the embedded model reads; longer texts are cut at their end."""
TIMEOUT_S: Final = 120.0
"""Time limit of one request (seconds)."""
BODY_BYTES: Final = 256 << 20
"""Longest answer that is read (bytes)."""


class LocalEmbedder:
    """The embedder averages the embedded model's hidden states over the tokens of a text.

    It is a small generative model, not one that was trained for embeddings: all texts point in much the same
    direction, so its cosines are high and differences are small. Use the centred K* with it.
    """

    def __init__(self) -> None:
        """Find the model; it is started when a text is there to be embedded.

        Raises:
            MissingExtraError: xllamacpp is not installed.
            BackendSetupError: the model file is missing or another one.
        """
        try:
            self._library = importlib.import_module("xllamacpp")
        except ModuleNotFoundError as error:
            if error.name != "xllamacpp":
                raise
            raise MissingExtraError("--embed local", "xllamacpp", "local") from None
        self._path = modelfile.find()
        digest = modelfile.verify(self._path)
        self.name = f"{modelfile.NAME.removesuffix('.gguf')} {digest[:12]} mean {WINDOW}"
        self._server: Any = None

    def _start(self) -> None:
        library = self._library
        params = library.CommonParams()
        params.model.path = str(self._path)
        params.model_alias = [ALIAS]
        params.embedding = True
        params.pooling_type = library.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_parallel = 1
        # a text is pooled in one piece, so the batch is as long as the window
        params.n_ctx = params.n_batch = params.n_ubatch = WINDOW
        params.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_prompt, params.cache_ram_mib, params.n_gpu_layers, params.fit_params = False, 0, 0, False
        params.verbosity = -1
        params.api_keys = [secrets.token_urlsafe(32)]
        params.n_threads_http = 1
        params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
        self._server = library.Server(params)
        self._one("ready")  # see `agentsoc.backends.llamacpp.settle`: both of its threads must run before it is let go
        address = urlsplit(self._server.listening_address)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=START_S)
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
        finally:
            connection.close()

    def embed(self, texts: Sequence[str]) -> F32:
        """Return one vector per text, shape (n, 576)."""
        if self._server is None:
            self._start()
        return np.array([self._one(text) for text in texts], dtype=np.float32)

    def _one(self, text: str) -> list[float]:
        """Return the vector of a text; one that is too long loses its second half until it fits."""
        content = text.encode("utf-8", "replace").decode().replace("\x00", " ") or " "
        while True:
            answer = self._server.handle_embeddings({"input": content})
            fault = answer.get("error")
            if fault is None:
                return list(answer["data"][0]["embedding"])
            message = str(fault.get("message") if isinstance(fault, dict) else fault)
            if ("too large" not in message and "exceed" not in message) or len(content) < 2:
                raise BackendSetupError(
                    f"the embedded model gives no vector: {reply.shorten(message)}", "--embed local"
                )
            content = content[: len(content) // 2]

    def close(self) -> None:
        """Release the model."""
        self._server = None


class ServerEmbedder:
    """The embedder asks a server with an OpenAI-compatible ``/embeddings``."""

    def __init__(self, model: str, base_url: str, key_variable: str | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            model: its name at the server.
            base_url: address up to ``/v1``.
            key_variable: environment variable that holds the key; None for no key.

        Raises:
            BackendSetupError: the address is none, or the variable is not set.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            raise BackendSetupError("this is no http or https address", "--embed-url", "e.g. http://127.0.0.1:8000/v1")
        self.name = f"{model} at {normal(base_url)}"  # no two servers have one name: vectors are kept under it
        self._model, self._url = model, base_url.rstrip("/") + "/embeddings"
        self._key = _key(key_variable)
        # a redirect would carry the key to wherever the server says
        proxies = [urllib.request.ProxyHandler({})] if is_loopback(base_url) else []  # not for what stays here
        self._opener = urllib.request.build_opener(_NoRedirect, *proxies)

    def embed(self, texts: Sequence[str]) -> F32:
        """Return one vector per text.

        Raises:
            BackendSetupError: the server cannot be reached, refuses, or answers something else.
        """
        body = json.dumps({"model": self._model, "input": list(texts), "encoding_format": "float"}).encode()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                raw = response.read(BODY_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                told = error.read(2000).decode("utf-8", "replace")
            raise self._failed(f"HTTP {error.code}: {told}") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(str(error)) from None
        try:
            if len(raw) > BODY_BYTES:
                raise ValueError("the answer is too long")
            rows = sorted(json.loads(raw)["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._failed(f"the answer is no list of vectors ({type(error).__name__})") from None
        return vectors

    def _failed(self, what: str) -> BackendSetupError:
        return BackendSetupError(f"{self.name} gives no vectors: {reply.shorten(redact(what))}", "--embed")

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


class LiteLLMEmbedder:
    """The embedder asks an embedding model of any provider that litellm knows."""

    def __init__(self, model: str, key_variable: str | None = None) -> None:
        """Import the client, which takes seconds.

        Raises:
            MissingExtraError: litellm is not installed.
            BackendSetupError: the variable of the key is not set.
        """
        self.name = f"{model} at {own_destinations(model, key_variable)[0].address}"
        self._model = model
        self._key = _key(key_variable)
        self._litellm = _import_litellm()

    def embed(self, texts: Sequence[str]) -> F32:
        """Return one vector per text.

        Raises:
            BackendSetupError: the provider gives none.
        """
        try:
            answer = self._litellm.embedding(
                model=self._model, input=list(texts), api_key=self._key, timeout=TIMEOUT_S, max_retries=0, num_retries=0
            )
            rows = sorted(answer.data, key=lambda row: int(row["index"]))
            return np.array([row["embedding"] for row in rows], dtype=np.float32)
        except Exception as error:  # litellm raises errors of many kinds
            told = reply.shorten(redact(f"{type(error).__name__}: {error}"))
            raise BackendSetupError(f"{self.name} gives no vectors: {told}", "--embed") from None

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _key(variable: str | None) -> str | None:
    register_environment()
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise BackendSetupError(f"the environment variable {variable} is not set", "--embed-key-env")
    register(value)
    return value
