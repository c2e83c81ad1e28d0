"""What every backend keeps, whatever stands behind it, and how remote ones take what broken servers send."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from agentsoc.backends import reply, secrets
from agentsoc.backends.litellm import LiteLLM
from agentsoc.contracts.model import Backend, CallError, Completion, bytes_bound
from tests.contract.backends import CASES, Case, ask
from tests.contract.fault_server import CONTENT, FAULTS, FaultServer
from tests.nightly import at_night

pytestmark = pytest.mark.filterwarnings(
    # litellm builds its answer from what the server sent, also when that is no text
    "ignore:Pydantic serializer warnings:UserWarning"
)

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "answer": {"type": "string", "enum": ["red", "blue"]},
            "uses": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}, "maxItems": 3},
        },
        "required": ["answer", "uses"],
        "additionalProperties": False,
    }
)


@pytest.fixture(autouse=True)
def _no_secrets_left() -> Iterator[None]:
    yield
    secrets.forget()


class Running:
    """A backend that is open for all tests of its case, and the event loop that it lives in."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._runner = asyncio.Runner()
        self._open = case.running()
        self._backend = self._runner.run(self._open.__aenter__())

    def run(self, act: Callable[[Backend], Awaitable[Any]]) -> Any:
        """Return what `act` returns for the backend; at most a minute."""
        return self._runner.run(asyncio.wait_for(act(self._backend), 60))

    def close(self) -> None:
        try:
            self._runner.run(self._open.__aexit__(None, None, None))
        finally:
            self._runner.close()


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    opened = Running(request.param)
    yield opened
    opened.close()


def keeps(*promised: str) -> pytest.MarkDecorator:
    """Run a test for the backends that promise all of `promised`."""
    cases = [case for case in CASES if all(getattr(case, name) for name in promised)]
    params = [pytest.param(case, id=case.name, marks=case.marks) for case in cases]
    return pytest.mark.parametrize("running", params, indirect=True, scope="module")


@keeps()
def test_a_call_gives_text_and_a_usage_that_its_count_bounds(running: Running) -> None:
    async def act(backend: Backend) -> None:
        for user in ("Nenne eine Farbe: größer, 日本語, 😀", "1 2 3 \n\t x\ud800b" * 3):
            request = ask(user)
            done = await backend.complete(request)
            assert done.text
            assert done.usage.known
            assert int(running.case.reads) <= done.usage.tokens_in <= backend.count(request)
            assert 0 <= done.usage.tokens_cached <= done.usage.tokens_in
            done.text.encode()
            if running.case.exact:
                assert done.usage.tokens_in == backend.count(request)
            if running.case.cuts:
                assert 0 < done.usage.tokens_out <= request.max_tokens

    running.run(act)


@keeps("reproducible")
def test_the_same_request_gets_the_same_completion(running: Running) -> None:
    async def act(backend: Backend) -> None:
        first = await backend.complete(ask())
        await backend.complete(ask("Something else."))
        assert await backend.complete(ask()) == first

    running.run(act)


@keeps("constrains")
def test_a_reply_is_one_of_the_choices(running: Running) -> None:
    async def act(backend: Backend) -> None:
        for choices in (("positive", "negative"), ("A", "B"), ('say "hi"', "back\\slash", "two\nlines", "日本 😀")):
            done = await backend.complete(ask(choices=choices, max_tokens=40, temperature=1.0))
            assert done.text in choices
            assert done.finish == "stop"

    running.run(act)


@keeps("constrains")
def test_a_reply_keeps_to_the_schema(running: Running) -> None:
    async def act(backend: Backend) -> None:
        done = await backend.complete(ask("Answer as JSON: red or blue?", schema=SCHEMA, max_tokens=200))
        assert done.finish == "stop"
        value = json.loads(done.text)
        assert value["answer"] in ("red", "blue")
        assert set(value) == {"answer", "uses"}
        assert all(1 <= use <= 9 for use in value["uses"])

    running.run(act)


@keeps("cuts")
def test_a_reply_is_cut_at_max_tokens_and_says_so(running: Running) -> None:
    async def act(backend: Backend) -> None:
        done = await backend.complete(ask("Tell a long story.", max_tokens=5))
        assert done.finish == "length"
        assert done.usage.tokens_out == 5

    running.run(act)


@keeps("too_long")
def test_a_prompt_over_the_window_is_too_long_and_not_billed(running: Running) -> None:
    async def act(backend: Backend) -> None:
        with pytest.raises(CallError) as caught:
            await backend.complete(ask("word " * 2_000))
        assert caught.value.kind == "too_long"
        assert not caught.value.billed
        assert not caught.value.retryable
        assert (await backend.complete(ask())).text  # and the next call is fine

    running.run(act)


@keeps("cuts")
def test_less_than_one_output_token_is_rejected(running: Running) -> None:
    async def act(backend: Backend) -> None:
        with pytest.raises(CallError, match="max_tokens") as caught:
            await backend.complete(ask(max_tokens=0))
        assert caught.value.kind == "rejected"

    running.run(act)


@keeps()
def test_many_calls_at_once_all_come_back(running: Running) -> None:
    """Eight calls; twenty each night."""
    n = at_night(20, 8)

    async def act(backend: Backend) -> list[Completion]:
        return list(await asyncio.gather(*(backend.complete(ask(f"Number {i}.", max_tokens=3)) for i in range(n))))

    done = running.run(act)
    assert len(done) == n
    assert all(one.text and one.usage.known for one in done)


@keeps()
def test_cancelled_calls_leave_a_backend_that_answers(running: Running) -> None:
    async def act(backend: Backend) -> None:
        calls = [asyncio.ensure_future(backend.complete(ask("Tell a story.", max_tokens=200))) for _ in range(6)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [one for one in ended if not isinstance(one, Completion | asyncio.CancelledError)] == []
        assert (await backend.complete(ask())).text

    running.run(act)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=case.marks) for case in CASES])
def test_closing_twice_is_harmless_and_a_call_afterwards_fails_as_a_call(case: Case) -> None:
    async def act() -> None:
        async with case.running() as backend:
            await backend.close()
            await backend.close()
            if case.closes:
                with pytest.raises(CallError):
                    await backend.complete(ask())

    asyncio.run(asyncio.wait_for(act(), 60))


@keeps()
def test_the_identity_is_plain_data_without_secrets_and_paths(running: Running) -> None:
    async def act(backend: Backend) -> None:
        before = json.dumps(backend.identity(), allow_nan=False)
        assert json.dumps(backend.identity(), allow_nan=False) == before
        assert not re.search(r'"/(home|root|usr|tmp|work|opt)', before)
        assert os.environ.get("AGENTSOC_TEST_SERVER_KEY", "no key here") not in before

    running.run(act)


# What remote backends make of what broken servers send

EXPECTED = {
    "429": "rate_limited",
    "429-after-2": "rate_limited",
    "429-after-date": "rate_limited",
    "429-quota": "rejected",
    "500": "server",
    "503-after-1": "unavailable",
    "400": "rejected",
    "400-context": "too_long",
    "401": "rejected",
    "401-echo": "rejected",
    "403": "rejected",
    "404": "rejected",
    "422": "rejected",
    "hang": "timeout",
    "half-body": "server",
    "no-answer": "server",
    "html-200": "server",
    "html-502": "server",
    "empty-body": "server",
    "invalid-json": "server",
    "json-list": "server",
    "json-null": "server",
    "json-nested": "server",
    "error-200": "server",
    "empty-choices": "empty",
    "no-choices": "server",
    "null-message": "server",
    "null-content": "empty",
    "empty-content": "empty",
    "number-content": "server",
    "refusal": "empty",
    "big": "server",
    "endless": "server",
}
CLIENTS = ("litellm", "lean")
CANARY = "canary-5f2d9c71e8"


async def attempt(
    client: str, fault: str, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[Completion | CallError, int]:
    """Return what one call to a server with `fault` gives, and how many requests it made."""
    monkeypatch.setenv("AGENTSOC_CANARY_KEY", CANARY)
    async with FaultServer(fault) as server:
        model = LiteLLM(
            name="openai/m",
            base_url=server.base_url,
            api_key_env="AGENTSOC_CANARY_KEY",
            client=client,
            timeout_s=0.7 if fault == "hang" else 20.0,
            **settings,
        )
        backend = model.open(seed=0)
        await backend.start()
        try:
            return await backend.complete(ask("Say something.")), len(server.requests)
        except CallError as error:
            return error, len(server.requests)
        finally:
            await backend.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_every_fault_ends_as_its_typed_failure_after_one_request(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> dict[str, str]:
        found = {}
        for fault in EXPECTED:
            result, requests = await attempt(client, fault, monkeypatch)
            found[fault] = f"{result.kind}" if isinstance(result, CallError) else f"completion {result.text[:40]!r}"
            found[fault] += "" if requests == 1 else f" after {requests} requests"
            if isinstance(result, CallError):
                assert CANARY not in str(result) + repr(result.args)
                assert "Traceback" not in result.message
                assert len(result.message) <= reply.MESSAGE_CHARS
        return found

    assert asyncio.run(act()) == EXPECTED


@pytest.mark.parametrize("client", CLIENTS)
def test_a_servers_wish_for_a_pause_is_passed_on(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> list[float | None]:
        pauses = []
        for fault in ("429", "429-after-2", "429-after-date", "503-after-1"):
            failure, _ = await attempt(client, fault, monkeypatch)
            assert isinstance(failure, CallError)
            pauses.append(failure.retry_after_s)
        return pauses

    assert asyncio.run(act()) == [None, 2.0, reply.RETRY_AFTER_MAX, 1.0]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_usage_that_cannot_be_true_is_unknown(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> dict[str, bool]:
        found = {}
        for fault in ("ok", "cached-usage", "no-usage", "null-usage", "zero-usage", "negative-usage", "absurd-usage"):
            result, _ = await attempt(client, fault, monkeypatch)
            assert isinstance(result, Completion)
            assert result.text == CONTENT
            found[fault] = result.usage.known
            if fault == "cached-usage":
                assert (result.usage.tokens_in, result.usage.tokens_cached, result.usage.tokens_out) == (20, 16, 9)
        return found

    known = asyncio.run(act())
    assert [name for name, is_known in known.items() if is_known] == ["ok", "cached-usage"]


@pytest.mark.parametrize("client", CLIENTS)
def test_odd_but_usable_replies_come_through(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for fault in ("length", "filtered", "surrogate", "control"):
            result, _ = await attempt(client, fault, monkeypatch)
            assert isinstance(result, Completion)
            found[fault] = (result.text, result.finish)
        return found

    assert asyncio.run(act()) == {
        "length": ("cut", "length"),
        "filtered": ("part of", "stop"),
        "surrogate": ("a\ufffdb", "stop"),
        "control": ("a\x00\x1b[31mb", "stop"),
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refused_connection_is_told_from_a_lost_one(client: str) -> None:
    async def act() -> CallError:
        async with FaultServer() as server:
            address = server.base_url  # free again once the server is gone
        model = LiteLLM(name="openai/m", base_url=address, client=client)
        backend = model.open(seed=0)
        await backend.start()
        try:
            with pytest.raises(CallError) as caught:
                await backend.complete(ask())
            return caught.value
        finally:
            await backend.close()

    failure = asyncio.run(act())
    assert failure.kind == "connection"
    assert not failure.billed


@pytest.mark.parametrize("client", CLIENTS)
def test_a_hanging_server_is_left_at_once_when_the_caller_gives_up(client: str) -> None:
    async def act() -> float:
        async with FaultServer("hang") as server:
            model = LiteLLM(name="openai/m", base_url=server.base_url, client=client)
            backend = model.open(seed=0)
            await backend.start()
            try:
                began = time.monotonic()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(backend.complete(ask()), 0.7)
                took = time.monotonic() - began
                assert (await backend.complete(ask())).text == CONTENT
                for _ in range(100):  # the server sees that nobody waits any more
                    if server.in_flight == 0:
                        break
                    await asyncio.sleep(0.01)
                assert server.in_flight == 0
                return took
            finally:
                await backend.close()

    assert asyncio.run(act()) < 1.7


def test_the_lean_client_stops_reading_an_endless_body(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    failure, _ = asyncio.run(attempt("lean", "endless", monkeypatch))
    assert isinstance(failure, CallError)
    assert "over the limit" in failure.message
    assert time.monotonic() - began < 5


def test_all_faults_of_the_server_are_tested() -> None:
    usable = {"ok", "length", "filtered", "surrogate", "control"}
    assert set(FAULTS) - usable - set(EXPECTED) == {name for name in FAULTS if name.endswith("-usage")}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_bound_covers_what_is_sent(client: str) -> None:
    """The bytes of prompt and schema are never more than what `count` says, so a byte-level tokenizer cannot be."""

    async def act() -> None:
        async with FaultServer() as server:
            model = LiteLLM(name="openai/m", base_url=server.base_url, client=client)
            backend = model.open(seed=0)
            await backend.start()
            try:
                for request in (ask("größer 😀"), ask(choices=("a", "b")), ask(schema=SCHEMA), ask("a\ud800b")):
                    await backend.complete(request)
                    _, _, body = server.requests[-1]
                    sent = sum(len(message["content"].encode()) for message in body["messages"])
                    sent += len(json.dumps(body["response_format"])) if "response_format" in body else 0
                    assert sent <= backend.count(request)
                    assert backend.count(request) >= bytes_bound(request)
            finally:
                await backend.close()

    asyncio.run(act())
