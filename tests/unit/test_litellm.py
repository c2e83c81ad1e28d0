"""The litellm model: settings that cannot leak a key, one request a call, nothing imported before it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agentsoc.backends import secrets
from agentsoc.backends.litellm import LiteLLM, LiteLLMBackend
from agentsoc.backends.litellm import _import_litellm as litellm_itself
from agentsoc.backends.litellm_errors import failure_of
from agentsoc.backends.providers import KNOWN
from agentsoc.contracts.model import CallError, Request
from agentsoc.errors import BackendSetupError, MissingExtraError
from tests.contract.fault_server import CONTENT, FaultServer

LOCAL = "http://127.0.0.1:9/v1"
CANARY = "canary-77aa31c09e"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    yield
    secrets.forget()


def ask(**changes: Any) -> Request:
    usual = {"system": "Be brief.", "user": "Hello.", "max_tokens": 8, "temperature": 0.5, "seed": 11}
    return Request.of(**{**usual, **changes})


async def call(model: LiteLLM, request: Request) -> Any:
    backend = model.open(seed=0)
    try:
        await backend.start()
        return await backend.complete(request)
    finally:
        await backend.close()


def test_litellm_and_aiohttp_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import sys\n"
        "from agentsoc.backends.litellm import LiteLLM\n"
        "LiteLLM(name='openai/m').open(seed=0).identity()\n"
        "assert not {'litellm', 'aiohttp', 'openai', 'httpx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_litellm_touches_no_network_and_starts_no_thread() -> None:
    code = (
        "import socket, threading\n"
        "def no(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = no\n"
        "from agentsoc.backends.litellm import _import_litellm\n"
        "assert _import_litellm().suppress_debug_info\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


def test_a_file_in_the_working_directory_moves_no_provider(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://127.0.0.1:9/v1\nUSE_LITELLM_PROXY=True\n")
    code = (
        "import os\n"
        "from agentsoc.backends.litellm import _import_litellm\n"
        "_import_litellm()\n"
        "assert not {'OPENAI_BASE_URL', 'USE_LITELLM_PROXY'} & set(os.environ)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120, cwd=tmp_path)


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "gpt-4o"}, "name"),
        ({"base_url": "ftp://h/v1"}, "http or https"),
        ({"base_url": "http://me:pw12345678@h/v1"}, "no user, password"),
        ({"base_url": "http://h/v1?key=abcdefgh"}, "no user, password"),
        ({"api_key_env": "sk-proj-abcdefghijklmnop"}, "not the key"),
        ({"api_key_env": "hf_abcdefghijklmnopqrstuvw"}, "not the key"),
        ({"extra": {"tools": []}}, "tools"),
        ({"extra": {"max_tokens": 9, "model": "x"}}, "max_tokens, model"),
        ({"extra": {"headers": {"Authorization": "Bearer abcdefghijk"}}}, "looks like a key"),
        ({"client": "lean"}, "needs a base_url"),
        ({"client": "lean", "base_url": LOCAL, "name": "anthropic/m"}, "needs a base_url"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"api_key": "abc"}, "api_key"),
    ],
)
def test_settings_that_leak_or_contradict_are_refused_without_repeating_them(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        LiteLLM(**{"name": "openai/m", **settings})
    for secret in ("pw12345678", "abcdefgh"):
        assert secret not in str(caught.value)


def test_the_lean_client_is_used_where_the_server_speaks_openais_format() -> None:
    assert LiteLLM(name="openai/m", base_url=LOCAL).lean
    assert LiteLLM(name="hosted_vllm/org/m", base_url=LOCAL).lean
    assert not LiteLLM(name="openai/m").lean
    assert not LiteLLM(name="anthropic/m", base_url=LOCAL).lean
    assert not LiteLLM(name="openai/m", base_url=LOCAL, client="litellm").lean


def test_the_identity_names_the_model_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    model = LiteLLM(name="openai/m", base_url=LOCAL, api_key_env="MY_KEY", extra={"top_p": 0.9})
    identity = json.dumps(model.open(seed=0).identity())
    assert CANARY not in identity
    assert "MY_KEY" not in identity
    assert "openai/m" in identity
    assert "0.9" in identity
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    identity = json.dumps(LiteLLM(name="openai/m").open(seed=0).identity())
    assert "OPENAI_BASE_URL" in identity
    assert "elsewhere" not in identity


# Start


def test_a_missing_key_is_named_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(BackendSetupError, match="MY_KEY is not set"):
        asyncio.run(call(LiteLLM(name="openai/m", api_key_env="MY_KEY"), ask()))
    with pytest.raises(BackendSetupError, match="OPENAI_API_KEY"):
        asyncio.run(call(LiteLLM(name="openai/gpt-4o-mini"), ask()))


def test_an_unknown_provider_is_named_before_any_call() -> None:
    with pytest.raises(BackendSetupError, match='no provider "nobody"'):
        asyncio.run(call(LiteLLM(name="nobody/m"), ask()))


def test_what_a_run_would_refuse_of_a_provider_is_found_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendSetupError, match='no provider "opena"') as found:
        LiteLLM(name="opena/gpt-4o-mini").require_files()
    assert found.value.problem.hint == 'did you mean "openai/gpt-4o-mini"?'
    with pytest.raises(BackendSetupError, match='no provider "OpenAI"'):
        LiteLLM(name="OpenAI/gpt-4o-mini").require_files()
    with pytest.raises(BackendSetupError) as found:
        LiteLLM(name="xyzzy-7/m").require_files()
    assert found.value.problem.hint == "e.g. openai/gpt-4o-mini"
    with pytest.raises(BackendSetupError, match="not known to be the named key alone"):
        LiteLLM(name="watsonx/m", base_url=LOCAL).require_files()
    LiteLLM(name="perplexity/m").require_files()  # litellm has it, and it is in none of our lists
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for model, package in (
        (LiteLLM(name="openai/m"), "litellm"),
        (LiteLLM(name="openai/m", base_url=LOCAL), "aiohttp"),
    ):
        with pytest.raises(MissingExtraError, match=rf"the package {package}, which is not installed"):
            model.require_files()


@pytest.mark.parametrize("provider", sorted(KNOWN))
def test_litellm_knows_every_provider_that_it_is_said_to_know(provider: str) -> None:
    assert litellm_itself().get_llm_provider(f"{provider}/m")[1] == provider


def test_a_missing_litellm_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError("no", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"agentsoc\[litellm\]"):
        asyncio.run(call(LiteLLM(name="openai/m"), ask()))


# Calls


@pytest.mark.parametrize("client", ["litellm", "lean"])
def test_a_call_sends_what_the_request_says_and_nothing_else(client: Any) -> None:
    async def act() -> None:
        async with FaultServer() as server:
            model = LiteLLM(
                name="openai/m", base_url=server.base_url, client=client, extra={"top_p": 0.5, "own_knob": 3}
            )
            done = await call(model, ask(user="Hi <|im_end|> there"))
            assert done.text == CONTENT
            [(path, headers, body)] = server.requests
            assert path == "/v1/chat/completions"
            assert {key: value for key, value in body.items() if value is not None} == {
                "model": "m",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi   there"},
                ],
                "max_tokens": 8,
                "temperature": 0.5,
                "seed": 11,
                "top_p": 0.5,
                "own_knob": 3,
            }
            assert "stream" not in body or body["stream"] is False
            assert headers.get("Authorization", "Bearer none") == "Bearer none"

    asyncio.run(act())


@pytest.mark.parametrize("client", ["litellm", "lean"])
def test_the_providers_key_is_not_sent_to_another_server(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)

    async def act() -> None:
        async with FaultServer() as server:
            await call(LiteLLM(name="openai/m", base_url=server.base_url, client=client), ask())
            assert CANARY not in json.dumps(server.requests)

    asyncio.run(act())


@pytest.mark.parametrize("client", ["litellm", "lean"])
def test_a_key_appears_in_no_log_output_or_error(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    caplog.set_level(logging.DEBUG)

    async def act() -> None:
        for fault in ("401-echo", "half-body", "500", "ok"):
            async with FaultServer(fault) as server:
                model = LiteLLM(name="openai/m", base_url=server.base_url, api_key_env="MY_KEY", client=client)
                expected = contextlib.nullcontext() if fault == "ok" else pytest.raises(CallError)
                with expected as caught:
                    await call(model, ask(user=f"my key is {CANARY}"))
                if caught is not None:
                    assert CANARY not in repr(caught.value.args)
                    assert CANARY not in "".join(traceback.format_exception(caught.value))
                assert server.requests[0][1]["Authorization"] == f"Bearer {CANARY}"

    asyncio.run(act())
    shown = capfd.readouterr()
    assert CANARY not in caplog.text + shown.out + shown.err


@pytest.mark.parametrize("client", ["litellm", "lean"])
def test_structured_output_is_sent_unless_it_is_switched_off(client: Any) -> None:
    async def act() -> None:
        async with FaultServer() as server:
            for structured in ("auto", "schema", "none"):
                model = LiteLLM(name="openai/m", base_url=server.base_url, client=client, structured=structured)
                await call(model, ask(choices=("a", "b")))
            bodies = [body for _, _, body in server.requests]
            assert [bool(body.get("response_format")) for body in bodies] == [True, True, False]

    asyncio.run(act())


def test_the_last_backend_closes_litellms_shared_clients() -> None:
    async def act() -> None:
        async with FaultServer() as server:
            model = LiteLLM(name="openai/m", base_url=server.base_url, client="litellm")
            first, second = model.open(seed=0), model.open(seed=0)
            await first.start()
            await second.start()
            await first.complete(ask())
            await first.close()
            assert (await second.complete(ask())).text == CONTENT
            await second.close()
            assert LiteLLMBackend._started == 0
            third = model.open(seed=0)
            await third.start()
            assert (await third.complete(ask())).text == CONTENT
            await third.close()

    asyncio.run(act())
    asyncio.run(act())  # and in another event loop


def test_an_exception_of_any_kind_becomes_a_call_error() -> None:
    class OddError(Exception):
        status_code = "not a number"
        message = None

    loop = OddError("loop")
    loop.__cause__ = loop
    for error in (OddError("odd"), loop, ValueError(), KeyError("x")):
        assert failure_of(error).kind == "server"
    assert failure_of(TimeoutError()).kind == "timeout"
    assert failure_of(ConnectionRefusedError("no")).kind == "connection"


@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_a_call_that_is_cancelled_ends_as_cancelled_whatever_the_client_makes_of_it(client: Any) -> None:
    class Cut:
        """A client that turns being cut off into an error of its own."""

        async def complete(self, *_: Any, **__: Any) -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise CallError("server", "connection lost") from None

        acompletion = complete

        async def close(self) -> None:
            """Nothing to close."""

    async def act() -> None:
        backend = LiteLLM(name="openai/m", base_url=LOCAL, client=client).open(seed=0)
        assert isinstance(backend, LiteLLMBackend)
        setattr(backend, "_http" if client == "lean" else "_litellm", Cut())
        task = asyncio.create_task(backend.complete(ask()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(asyncio.wait_for(act(), 10))
