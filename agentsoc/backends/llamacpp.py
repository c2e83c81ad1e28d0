"""This module starts llama.cpp with all pinned that could change a text, makes grammars and calls that can stop."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from agentsoc.backends import reply
from agentsoc.backends.choices import parted
from agentsoc.backends.secrets import mask
from agentsoc.backends.text import plain
from agentsoc.contracts.model import ANY_NUMBER, ANY_WHOLE, CallError, Usage

BATCH: Final = 512
"""Prompt tokens evaluated at once; part of what makes the text (tokens)."""
SAMPLING: Final = {"top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0}
"""Sent with every request, so that a new default of the library changes nothing."""
ALIAS: Final = "local"
_RULES: Final = {
    ANY_NUMBER: ("number", '"-"? [0-9]{1,18} ("." [0-9]{1,12})? ("/" [0-9]{1,12})?'),
    ANY_WHOLE: ("whole", '"-"? [0-9]{1,18}'),
}
"""Name and rule of the grammar for what a choice leaves open."""
START_S: Final = 30.0
"""Time limit for a new server's port to answer (seconds)."""


def start_server(
    library: Any, path: Path, *, context: int, slots: int, fast: bool, key: str, counts: bool = False
) -> Any:
    """Start a server that reads the model in `path`.

    Args:
        library: the module xllamacpp.
        path: the GGUF file.
        context: window of one request (tokens).
        slots: requests that are decoded together.
        fast: whether prompts are cached; with one slot and no cache, equal requests get equal texts.
        key: what the port wants to be shown; texts are not asked for there, but tokens are counted there.
        counts: whether it only counts tokens: then its weights stay on disk until somebody needs them.

    Raises:
        RuntimeError: the file does not load.
    """
    params = library.CommonParams()
    params.model.path = str(path)
    params.model_alias = [ALIAS]  # otherwise replies carry the file's path
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.kv_unified = False
    params.n_batch = params.n_ubatch = BATCH
    params.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    # more threads than free cores spin at ggml's barriers: 1 to 3 tokens a second were measured
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_prompt = fast
    params.cache_ram_mib = 0
    params.n_gpu_layers = 0
    params.fit_params = False
    params.reasoning_format = library.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.verbosity = -1
    params.api_keys = [key]
    if counts:
        params.load_mode = library.llama_load_mode.LLAMA_LOAD_MODE_MMAP
        params.warmup, params.no_extra_bufts = False, True
        params.n_batch = params.n_ubatch = 32
    params.n_threads_http = 1
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    server = library.Server(params)
    settle(server)
    return server


def settle(server: Any) -> None:
    """Wait until a new server's threads run.

    A server that is released before its request loop and its HTTP listener have begun never ends: it waits for
    threads that missed the signal (seen 8 times out of 8). One token and one request to the port prove that both run.

    Raises:
        RuntimeError: the model gives no token.
    """
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    answer = server.handle_chat_completions(body)
    address = urlsplit(server.listening_address)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=START_S)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    finally:
        connection.close()
    if "error" in answer:
        raise RuntimeError(f"the model does not answer: {answer['error']}")


def schema_grammar(library: Any, text: str) -> str:
    """Return the grammar of a JSON schema, without free white space: small models fill their output with it.

    Raises:
        CallError: ``rejected`` when the text is no JSON schema.
    """
    try:
        schema = msgspec.json.decode(text, type=dict[str, Any])
        compact = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        return str(library.json_schema_to_grammar({**schema, "x-guidance": compact}))
    except (msgspec.DecodeError, ValueError, RuntimeError, RecursionError) as error:
        raise CallError("rejected", reply.shorten(f"the request's schema is not usable: {error}")) from None


def choice_grammar(choices: tuple[str, ...]) -> str:
    """Return a GBNF grammar whose only texts are `choices`, with any number, or whole one, where one leaves it open.

    Raises:
        CallError: ``rejected`` when one of them is empty: the model cannot say nothing.
    """
    if not all(choices):
        raise CallError("rejected", "an empty string is among the choices")
    left_open = [_RULES[number] for number in dict.fromkeys(parted(choice)[0] for choice in choices) if number]
    root = "root ::= " + " | ".join(map(_alternative, choices))
    return "\n".join([root, *(f"{name} ::= {rule}" for name, rule in left_open)])


def _alternative(choice: str) -> str:
    number, end = parted(choice)
    text = f'"{"".join(map(_escaped, plain(end)))}"'
    if not number:
        return text
    name, _ = _RULES[number]
    return f"{name} {text}" if end else name


def _escaped(character: str) -> str:
    point = ord(character)
    if character in '"\\':
        return "\\" + character
    if 0x20 <= point < 0x7F:
        return character
    return f"\\x{point:02X}" if point < 0x80 else f"\\U{point:08X}"


def stream(server: Any, body: dict[str, Any], stop: threading.Event) -> tuple[str, str, Usage]:
    """Return text, finish reason and usage of one request; stop it when `stop` is set."""
    parts: list[str] = []
    state: dict[str, Any] = {}
    size = 0

    def take(event: dict[str, Any]) -> bool:
        nonlocal size
        if "error" in event:
            state["error"] = event["error"]
        for choice in event.get("choices") or ():
            part = choice.get("delta", {}).get("content") or ""
            parts.append(part)
            size += len(part)
            state["finish"] = choice.get("finish_reason") or state.get("finish")
        state["usage"] = event.get("usage") or state.get("usage")
        return stop.is_set() or size > reply.REPLY_BYTES  # True ends the request

    if stop.is_set():
        raise CallError("server", "the call was cancelled before it began")
    server.handle_chat_completions(body, take)
    fault = state.get("error")
    if fault is not None:
        kind = fault.get("type") if isinstance(fault, dict) else None
        message = reply.shorten(str(fault.get("message") if isinstance(fault, dict) else fault))
        if kind == "exceed_context_size_error":
            raise CallError("too_long", message)
        raise CallError("rejected" if kind == "invalid_request_error" else "server", message)
    usage = reply.usage_of(state.get("usage"))
    if "finish" not in state or state["finish"] is None:
        raise CallError("server", "the call was stopped before its end", None, usage)
    return mask(plain("".join(parts))), state["finish"], usage


def check_grammar(server: Any, body: dict[str, Any]) -> None:
    """Make sure that a schema is obeyed: llama.cpp drops a grammar that it cannot compile without a word.

    One token of an answer to a greeting shows it: under any schema it begins a JSON value.
    """
    probe = {**body, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "temperature": 0}
    text, _, _ = stream(server, probe, threading.Event())
    if not text.startswith(tuple('{["-0123456789tfn')):
        raise CallError(
            "rejected", f"the request's schema is not usable: {json.dumps(text)} does not begin a JSON value"
        )
