"""A llama.cpp server with the embedded model, reached over HTTP on loopback as a user's own server would be."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from agentsoc.backends import modelfile
from agentsoc.backends.llamacpp import settle

KEY_VARIABLE = "AGENTSOC_TEST_SERVER_KEY"


@contextmanager
def llama_server(context: int = 512) -> Iterator[tuple[str, str]]:
    """Yield the base URL and the name of the environment variable that holds the key."""
    library = pytest.importorskip("xllamacpp")
    key = secrets.token_urlsafe(24)
    params = library.CommonParams()
    params.model.path = str(modelfile.find())
    params.model_alias = ["local"]
    params.n_parallel, params.n_ctx = 2, 2 * context
    params.kv_unified = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.fit_params = False
    params.verbosity = -1
    params.api_keys = [key]
    server = library.Server(params)
    settle(server)
    with patch.dict(os.environ, {KEY_VARIABLE: key}):
        yield f"{server.listening_address}/v1", KEY_VARIABLE
    del server
