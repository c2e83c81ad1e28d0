"""What odd providers send and refuse, read right: text, usage, reasoning, and parameters that not all of them take.

Every request is real HTTP on loopback; both clients are tested where they differ.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import time
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from agentsoc.backends.body import ServerHabits
from agentsoc.backends.bounded_body import unfolded, with_text
from agentsoc.backends.litellm import LiteLLM, LiteLLMBackend
from agentsoc.backends.reasoning import apart
from agentsoc.contracts.model import CallError, Completion, Request, Usage
from tests.contract.hose_server import HoseServer
from tests.contract.odd_server import OBJECT, OddServer

CLIENTS = ("lean", "litellm")
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "why": {"type": "string"}},
        "required": ["answer", "why"],
        "additionalProperties": False,
    }
)
ASK = Request.of("Be brief.", "A or B?", 60, 0.5, 11, schema=SCHEMA)


@pytest.fixture
def server() -> Iterator[OddServer]:
    ServerHabits.forget()
    with OddServer() as found:
        yield found
    ServerHabits.forget()


def model(server: OddServer, name: str, **settings: Any) -> LiteLLM:
    return LiteLLM(**{"name": f"openai/{name}", "base_url": server.base_url, **settings})


async def _ask(of: LiteLLM, *requests: Request) -> tuple[list[Completion], list[str], LiteLLMBackend]:
    backend = of.open(seed=0)
    assert isinstance(backend, LiteLLMBackend)
    try:
        await backend.start()
        done = [await backend.complete(request) for request in requests]
        return done, backend.take_notices(), backend
    finally:
        await backend.close()


def ask(of: LiteLLM, *requests: Request) -> tuple[list[Completion], list[str]]:
    done, notices, _ = asyncio.run(_ask(of, *requests or (ASK,)))
    return done, notices


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("habit", ["plain", "think", "half-think", "parts", "reasoning", "aloud"])
def test_the_text_of_an_answer_is_found_wherever_it_stands(server: OddServer, habit: str, client: str) -> None:
    (done,), _ = ask(model(server, habit, client=client))
    assert (apart(done).text, done.usage) == (OBJECT, Usage(50, 0, 12))


@pytest.mark.parametrize(
    ("habit", "usage"),
    [
        ("deepseek", Usage(50, 40, 12)),
        ("anthropic", Usage(50, 0, 12)),
        ("anthropic-cached", Usage(50, 35, 12)),
        ("floats", Usage(50, 0, 12)),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_usage_is_read_under_the_names_that_providers_give_it(
    server: OddServer, habit: str, usage: Usage, client: str
) -> None:
    (done,), _ = ask(model(server, habit, client=client))
    assert done.usage == usage


@pytest.mark.parametrize(
    ("habit", "reasoning"),
    [
        ("plain", None),
        ("think", "The form is {answer, why}."),
        ("half-think", "The form is {answer, why}."),
        ("aloud", "Let me see. It must be B."),
        ("reasoning", None),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_model_thinks_aloud_is_kept_apart_from_its_answer(
    server: OddServer, habit: str, reasoning: str | None, client: str
) -> None:
    (done,), _ = ask(model(server, habit, client=client))
    done = apart(done)
    assert (done.text, done.reasoning) == (OBJECT, reasoning)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("habit", "refusals", "absent", "told"),
    [
        ("reasoner", 2, {"max_tokens", "temperature"}, ["max_completion_tokens", "temperature is refused"]),
        ("noseed", 1, {"seed"}, ["seed is refused"]),
        ("noformat", 2, {"response_format"}, ["json_schema is refused", "json_object is refused"]),
    ],
)
def test_a_refused_parameter_is_left_out_remembered_and_told_once(
    server: OddServer, habit: str, refusals: int, absent: set[str], told: list[str], client: str
) -> None:
    of = model(server, habit, client=client)
    done, notices = ask(of, ASK, ASK)
    assert [each.text for each in done] == [OBJECT, OBJECT]
    assert len(server.calls) == refusals + 2
    assert not absent & server.calls[-1].keys()
    assert len(notices) == len(told)
    assert all(part in notice for part, notice in zip(told, notices, strict=True))
    again, _ = ask(of)  # another run of this process knows it already
    assert len(server.calls) == refusals + 3
    assert again[0].text == OBJECT


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_without_json_schema_is_asked_for_a_json_object(server: OddServer, client: str) -> None:
    ask(model(server, "noschema", client=client))
    forms = [call.get("response_format", {}).get("type") for call in server.calls]
    assert forms == ["json_schema", "json_object"]


def test_calls_at_once_learn_one_refusal_together(server: OddServer) -> None:
    async def both() -> list[Completion]:
        backend = model(server, "reasoner").open(seed=0)
        await backend.start()
        try:
            return list(await asyncio.gather(*(backend.complete(ASK) for _ in range(8))))
        finally:
            await backend.close()

    assert {done.text for done in asyncio.run(both())} == {OBJECT}
    assert server.statuses[200] == 8
    assert server.statuses[400] <= 16


def test_parameters_are_sent_as_the_scenario_says(server: OddServer) -> None:
    ask(model(server, "nocap", send={"max_tokens": "max_output_tokens", "temperature": "omit", "seed": "omit"}))
    assert len(server.calls) == 1
    assert server.calls[0]["max_output_tokens"] == 60
    assert not {"max_tokens", "temperature", "seed"} & server.calls[0].keys()


def test_a_request_never_goes_out_without_a_cap(server: OddServer) -> None:
    with pytest.raises(CallError, match="unknown parameter max_completion_tokens"):
        ask(model(server, "nocap"))
    assert len(server.calls) == 2
    with pytest.raises(ValidationError, match="not left out"):
        model(server, "nocap", send={"max_tokens": "omit"})
    with pytest.raises(ValidationError, match="another parameter"):
        model(server, "nocap", send={"seed": "temperature"})


def test_other_refusals_are_not_tried_again(server: OddServer) -> None:
    with pytest.raises(CallError, match="HTTP 404: there is no such model"):
        ask(model(server, "missing"))
    assert len(server.calls) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_an_address_without_its_version_is_found_and_told(server: OddServer, client: str) -> None:
    done, notices = ask(model(server, "plain", base_url=server.root, client=client), ASK, ASK)
    assert [each.text for each in done] == [OBJECT, OBJECT]
    assert notices == [
        f"openai/plain: {server.root} answers below /v1 only: write base_url: {server.base_url}",
    ]
    assert len(server.calls) == 2


@pytest.mark.parametrize("client", CLIENTS)
def test_what_an_address_without_its_version_refuses_is_told_as_it_is(server: OddServer, client: str) -> None:
    with pytest.raises(CallError, match="HTTP 401"):
        ask(model(server, "key", base_url=server.root, client=client))
    with pytest.raises(CallError, match="HTTP 404"):
        ask(model(server, "missing", base_url=server.root, client=client))
    with pytest.raises(CallError, match="HTTP 404"):
        ask(model(server, "plain", base_url=f"{server.root}/elsewhere", client=client))
    assert len(server.calls) == 2


@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_in_an_answer_with_status_200_is_a_failure_of_its_own_code(server: OddServer, client: str) -> None:
    with pytest.raises(CallError) as caught:
        ask(model(server, "error200", client=client))
    assert caught.value.kind == "server"
    assert caught.value.message.replace("in an answer with status 200: ", "") == "HTTP 502: overloaded"
    with pytest.raises(CallError, match="slow down") as caught:
        ask(model(server, "limited200", client=client))
    assert caught.value.kind == "rate_limited"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refusal_and_a_page_are_told_in_words(server: OddServer, client: str) -> None:
    with pytest.raises(CallError, match="the model declined: I cannot help with that") as caught:
        ask(model(server, "refusal", client=client))
    assert (caught.value.kind, caught.value.usage) == ("empty", Usage(50, 0, 12))
    with pytest.raises(CallError, match=r"\Aserver: HTTP 502: oops bad gateway \(an HTML page\)\Z"):
        ask(model(server, "html", client=client))
    with pytest.raises(
        CallError, match=r"\Arejected: HTTP 404: there is no such model\Z"
    ):  # in the server's words alone
        ask(model(server, "missing", client=client))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("way", ["endless", "packed", "drip"])
def test_no_body_takes_more_than_so_much_memory_and_time(client: str, way: str) -> None:
    """A body without end, one that unfolds to 300 megabytes, and one of a byte every tenth of a second."""
    failure, took, grown = asyncio.run(_pulled(client, way))
    assert failure.kind == ("timeout" if way == "drip" else "server")
    assert way == "drip" or "over the limit of 1048576 bytes" in failure.message
    assert took < 8
    assert grown < 100 * 2**20


async def _pulled(client: str, way: str) -> tuple[CallError, float, int]:
    """Return what a call to a server with such a body fails with, its time (seconds), the memory that it took."""
    async with HoseServer(way) as server:
        backend = LiteLLM(name="openai/m", base_url=server.base_url, client=client, timeout_s=1.0).open(seed=0)
        await backend.start()
        try:
            with pytest.raises(CallError):  # what is loaded at the first call is not counted
                await backend.complete(ASK)
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            async with asyncio.timeout(20):
                with pytest.raises(CallError) as caught:
                    await backend.complete(ASK)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return caught.value, time.monotonic() - began, 1024 * (after - before)
        finally:
            await backend.close()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate", "gzip, deflate"])
def test_an_answer_that_came_packed_is_read(client: str, encoding: str) -> None:
    async def act() -> Completion:
        async with HoseServer(encoding) as server:
            backend = LiteLLM(name="openai/m", base_url=server.base_url, client=client).open(seed=0)
            await backend.start()
            try:
                return await backend.complete(ASK)
            finally:
                await backend.close()

    assert asyncio.run(act()).text == OBJECT


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"{}", "gzip"),
        (gzip.compress(b"{}")[:-9], "gzip"),
        (b"{}", "br"),
        (gzip.compress(b"{}"), "gzip, gzip, gzip, gzip"),
        (zlib.compress(gzip.compress(bytes(1 << 21))), "gzip, deflate"),
    ],
    ids=["plain text", "cut", "unknown", "packed too often", "bomb"],
)
def test_a_body_that_is_not_packed_as_it_says_is_refused_in_words(raw: bytes, encoding: str) -> None:
    with pytest.raises(CallError) as caught:
        unfolded(raw, encoding)
    assert caught.value.kind == "server"
    assert caught.value.message.startswith("the reply's body is ")


def test_only_text_in_parts_is_put_together() -> None:
    assert with_text(b'{"content": [1]}') == b'{"content": [1]}'.replace(b" ", b"")
    for other in (b"", b"[]", b'{"content": [', b'"content": [', OBJECT.encode()):
        assert with_text(other) == other


def test_another_version_of_the_model_is_told_once_and_recorded(server: OddServer) -> None:
    _, notices, backend = asyncio.run(_ask(model(server, "version"), ASK, ASK, ASK, ASK))
    assert len(notices) == 1
    assert "m-0301 before and now come from m-0613" in notices[0]
    assert backend.identity()["authors"] == ["m-0301", "m-0613"]


def test_the_body_holds_choices_only_where_the_server_takes_a_schema() -> None:
    habits = ServerHabits(None, "object")
    asked = msgspec.structs.replace(ASK, schema=None, choices=("A", "B"))
    assert "response_format" not in habits.parameters(asked, {"type": "json_schema"})
