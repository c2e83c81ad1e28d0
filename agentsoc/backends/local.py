"""``kind: local``: the embedded model (SmolLM2-135M-Instruct) or another GGUF file, run in the process by llama.cpp.

Strict mode, the default, gives the same text for the same request: each server has one slot and takes one request at a
time, the prompt cache is off, and what decides the order of additions (batch sizes, flash attention) is fixed. Which
server answers, what ran before and how many servers there are make no difference; another CPU family, library build or
file may. Fast mode decodes several requests together, which changes the rounding and now and then a word.

Each server is one llama.cpp context of one thread; the threads of the pool wait in it with the GIL released. It also
opens an HTTP port on loopback, which cannot be switched off: it is locked with a random key and asked only to count the
prompts of a model whose tokenizer is not built in here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import queue
import secrets
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from agentsoc.backends import modelfile, reply
from agentsoc.backends.chatml import byte_counter, prompt_counter
from agentsoc.backends.llamacpp import (
    BATCH,
    SAMPLING,
    check_grammar,
    choice_grammar,
    schema_grammar,
    start_server,
    stream,
)
from agentsoc.backends.text import templated
from agentsoc.backends.vocabulary import Vocabulary, counting_vocabulary
from agentsoc.contracts.address import Destination
from agentsoc.contracts.model import Backend, CallError, Completion, Model, Request, Usage, bytes_bound
from agentsoc.errors import BackendSetupError, MissingExtraError

if TYPE_CHECKING:
    # asyncio and all that it brings is imported by whoever starts servers: `agentsoc check` only counts with the model
    from concurrent.futures import ThreadPoolExecutor

SERVERS_MAX: Final = 16
"""Servers that are started without being asked for; each takes about 150 MB."""


class Local(Model):
    """A model that runs on this machine, without key and network."""

    per_seed: ClassVar[bool] = False
    reply_form: ClassVar[str] = "short"  # one word out of a list is within its powers and costs a fifth of JSON

    kind: Literal["local"] = "local"
    mode: Literal["strict", "fast"] = "strict"
    """Same request, same text; or several requests decoded together, with texts that may differ when run again."""
    context: Annotated[int, Field(ge=128, le=131_072)] = 2_048
    """Context window of a request, prompt and output together (tokens)."""
    servers: Annotated[int, Field(ge=1, le=256)] | None = None
    """Servers on each host; None for one per core, at most 16. Changes no text in strict mode."""
    slots: Annotated[int, Field(ge=1, le=64)] = 8
    """Requests that one server decodes together in fast mode."""
    file: Path | None = None
    """Another GGUF file, or the name of a model that `agentsoc model get` fetches; None for the embedded model."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 of `file`; a model known by name has its own."""

    @model_validator(mode="after")
    def _hash_goes_with_file(self) -> Local:
        if self.sha256 is not None and self.file is None:
            raise ValueError("sha256 belongs to file: give both or neither")
        return self

    def destinations(self) -> tuple[Destination, ...]:
        """Return nothing: the model runs in this process."""
        return ()

    def require_files(self) -> None:
        """Check that the model file is here and the right one; see `checked_file`."""
        checked_file(self)

    def open(self, *, seed: int, share: int = 1) -> Backend:
        """Return the backend of one of `share` hosts on this machine; `seed` makes no difference."""
        return LocalBackend(self, self.servers or default_servers(share))

    def counting(self) -> str:
        """Return that prompts are counted exactly, by the file's own chat template and tokenizer."""
        return "exact"

    def counts_offline(self) -> bool:
        """Return whether prompts are counted before the model runs; the embedded one needs no library for it."""
        return self.file is None or importlib.util.find_spec("xllamacpp") is not None

    def context_window(self) -> int:
        """Return `context`."""
        return self.context

    def not_reproducible(self) -> str:
        """Say why fast mode is not; strict mode is, on the same kind of processor and with the same library build."""
        if self.mode == "fast":
            return "fast mode decodes requests together, which changes the rounding; replay of the log is exact"
        return ""


def checked_file(model: Local) -> Path:
    """Return the path of the model file, whose hash is the expected one.

    Raises:
        BackendSetupError: it is missing, another one, or has no hash in the scenario; names what to do.
    """
    path = modelfile.find(model.file, model.sha256)
    expected = modelfile.expected(model.file, model.sha256)
    if expected is None:
        raise BackendSetupError(
            f"{path} needs its SHA-256 in the scenario: another file is another experiment",
            "agents.model.sha256",
            f"sha256: {modelfile.sha256_of(path)}",
        )
    modelfile.verify(path, expected)
    return path


def default_servers(share: int) -> int:
    """Return how many servers a host starts: its share of the cores that this process may use, 1 to 16."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(max(cores // max(share, 1), 1), SERVERS_MAX)


class LocalBackend(Backend):
    """Servers of one model file and the threads that wait in them."""

    def __init__(self, model: Local, servers: int) -> None:
        self.model = model
        self.window: int = model.context
        self.servers = servers
        self.parallel: int = servers * (model.slots if model.mode == "fast" else 1)
        self._library: Any = None
        self._counter: Callable[[Request], int] | None = None
        self._vocabulary: Vocabulary | None = None
        self._key = secrets.token_urlsafe(32)
        self._by_bytes = False
        self._all: list[Any] = []
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None
        self._running: set[threading.Event] = set()
        self._checked: set[str] = set()

    async def start(self) -> None:
        """Check the model file and start the servers.

        Raises:
            MissingExtraError: xllamacpp is not installed.
            BackendSetupError: the model file is missing, another one, or does not load.
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        try:
            self._library = importlib.import_module("xllamacpp")
        except ModuleNotFoundError as error:
            if error.name != "xllamacpp":
                raise
            raise MissingExtraError("model local", "xllamacpp", "local") from None
        path = await asyncio.to_thread(checked_file, self.model)
        self._pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="agentsoc-local")
        loop = asyncio.get_running_loop()
        slots = self.parallel // self.servers
        begin = partial(
            start_server,
            self._library,
            path,
            context=self.window,
            slots=slots,
            fast=self.model.mode == "fast",
            key=self._key,
        )
        starts = [loop.run_in_executor(self._pool, begin) for _ in range(self.servers)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        self._all = [server for server in started if not isinstance(server, BaseException)]
        for failure in started:
            if isinstance(failure, BaseException):
                raise BackendSetupError(
                    f"the model file {path.name} does not load: {failure}",
                    "agents.model",
                    "is there memory for it? each server takes about the file's size and 100 MB",
                ) from None
        self._vocabulary = Vocabulary(self._all[0], self._key)
        for _ in range(slots):
            for server in self._all:
                self._free.put(server)

    def count(self, request: Request) -> int:
        """Return the prompt's tokens, exact for every model file: its own chat template and tokenizer count them.

        A pure function of the model file, whether or not its servers run. Only where another file than the embedded
        one is to be counted and the library is not installed, it is a bound.

        Raises:
            BackendSetupError: the model file is not here.
        """
        if self._counter is None:
            path = checked_file(self.model)
            if (counter := prompt_counter(path)) is not None:
                self._counter = counter
            elif self._by_bytes:
                self._counter = byte_counter(path)
            elif self._vocabulary is not None:
                return self._vocabulary.count(request)
            elif (vocabulary := counting_vocabulary(path)) is not None:
                self._counter = vocabulary.count
            else:
                self._counter = bytes_bound
        return self._counter(request)

    def count_by(self, reserve: int) -> None:
        """Count as runs by these rules did: before ``reserve: 2`` other files were counted in bytes."""
        self._by_bytes = reserve < 2

    async def complete(self, request: Request) -> Completion:
        """Answer one request on the next free server; raise `CallError`, and only that, when that fails.

        A cancelled call stops its server at the next token; until then the server is not given to another call.
        """
        import asyncio

        if self._pool is None:
            raise CallError("rejected", "the backend is not started, or closed")
        if request.max_tokens < 1:
            raise CallError("rejected", f"max_tokens must be at least 1, got {request.max_tokens}")
        body = self._body(request)
        stop = threading.Event()
        self._running.add(stop)
        try:
            text, finish, usage = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._ask, body, request.schema, stop
            )
        except CallError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._pool is not None or task is None or task.cancelling():
                raise
            raise CallError("server", "the backend was closed while the call waited") from None
        except Exception as error:  # llama.cpp answers bad input with errors of several kinds
            raise CallError("server", reply.shorten(f"llama.cpp: {error}")) from None
        finally:
            # also when cancelled: the thread goes on, and this tells it to stop
            stop.set()
            self._running.discard(stop)
        if not text:
            raise CallError("empty", f"a reply without content (finish reason {finish})", None, usage)
        return Completion(_choice(text, request.choices), usage, "length" if finish == "length" else "stop")

    def _body(self, request: Request) -> dict[str, Any]:
        """Return the request as llama.cpp takes it. The system message is always there: a template may invent one."""
        body: dict[str, Any] = {
            "messages": templated(request.messages),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed & 0x7FFFFFFF,  # 32 bits of ones would mean a random seed
            "cache_prompt": self.model.mode == "fast",
            "stream": True,  # a stream can be stopped; the text is the same
            "stream_options": {"include_usage": True},
            **SAMPLING,
        }
        if request.schema is not None:
            body["grammar"] = schema_grammar(self._library, request.schema)
        elif request.choices:
            body["grammar"] = choice_grammar(request.choices)
        return body

    def _ask(self, body: dict[str, Any], schema: str | None, stop: threading.Event) -> tuple[str, str, Usage]:
        """Run in a thread of the pool: take a free server, ask it, put it back."""
        server = self._free.get()
        try:
            if schema is not None and schema not in self._checked:
                check_grammar(server, body)
                self._checked.add(schema)
            return stream(server, body, stop)
        finally:
            self._free.put(server)

    async def close(self) -> None:
        """Stop what runs at its next token and release the servers."""
        import asyncio

        pool, self._pool = self._pool, None
        vocabulary, self._vocabulary = self._vocabulary, None
        if vocabulary is not None:
            vocabulary.close()
        for stop in list(self._running):
            stop.set()
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        self._free = queue.SimpleQueue()
        servers, self._all = self._all, []
        # the destructor joins the server's threads; off the loop, so that nothing else waits for it
        await asyncio.to_thread(servers.clear)

    def identity(self) -> dict[str, Any]:
        """Return what decides the text: file hash, library build, processor family and settings."""
        model = self.model
        try:
            library = importlib.metadata.version("xllamacpp")
        except importlib.metadata.PackageNotFoundError:
            library = "not installed"
        return {
            "kind": "local",
            "model": modelfile.title(model.file),
            "sha256": (modelfile.expected(model.file, model.sha256) or modelfile.SHA256).lower(),
            "library": f"xllamacpp {library}",
            "processor": platform.machine(),
            "mode": model.mode,
            "context": model.context,
            "slots": model.slots if model.mode == "fast" else 1,
            "batch": BATCH,
            "flash_attention": True,
            "prompt_cache": model.mode == "fast",
            "sampling": dict(SAMPLING),
        }


def _choice(text: str, choices: tuple[str, ...]) -> str:
    """Return the choice that `text` is, which the server's chat parser may have stripped of outer white space."""
    if text in choices:
        return text
    return next((choice for choice in choices if choice.strip() == text.strip()), text)
