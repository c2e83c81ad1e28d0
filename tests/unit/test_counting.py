"""Tokenizers that count prompts: bounds, offline where they can be, and what is told where they cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from agentsoc.backends import counting, modelfile
from agentsoc.backends.counting import TEMPLATE_TOKENS, PromptCounter, ServerCounter, text_counter
from agentsoc.backends.litellm import LiteLLM
from agentsoc.backends.local import Local
from agentsoc.backends.text import sendable
from agentsoc.contracts.model import Request, bytes_bound
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import BackendSetupError, InputError
from agentsoc.scenario.model import Scenario
from tests.serving import served
from tests.strategies import scenario

ASKED = Request.of("Be brief.", "How many legs has a spider? Größe: 東京.", 8, 0.5, 11)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    text_counter.cache_clear()
    yield
    text_counter.cache_clear()


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """Return a small tokenizer, learned from a sentence."""
    library = pytest.importorskip("tokenizers")
    made = library.Tokenizer(library.models.BPE(unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    made.enable_truncation(4)
    made.train_from_iterator(["how many legs has a spider"] * 9, library.trainers.BpeTrainer(special_tokens=["?"]))
    made.save(str(tmp_path / "small.json"))
    return tmp_path / "small.json"


def test_a_file_of_the_tokenizers_library_counts_whole_texts(tokenizer: Path) -> None:
    """Its own truncation is off; the template is not known, so room is left for it."""
    count = text_counter(str(tokenizer))
    assert count("how many legs has a spider") == 6
    assert count("") == 0
    asked = Request.of("how many", "legs has a spider", 8, 0.5, 1)
    counter = PromptCounter(str(tokenizer), None, "m")
    assert counter(asked, "") == TEMPLATE_TOKENS + 6
    assert counter(asked, "a spider") == TEMPLATE_TOKENS + 8


@pytest.mark.parametrize(
    ("name", "said"),
    [("gone.json", "does not exist"), ("text.json", "is no file of a tokenizer")],
)
def test_a_file_that_is_no_tokenizer_is_named(name: str, said: str, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "text.json").write_text("{}")
    with pytest.raises(BackendSetupError, match=said):
        PromptCounter(str(tmp_path / name), None, "m").start(None)


def test_an_encoding_of_tiktoken_counts_what_is_on_this_machine() -> None:
    pytest.importorskip("tiktoken")
    pytest.importorskip("litellm")
    by_encoding, by_model = text_counter("tiktoken:o200k_base"), text_counter("tiktoken:gpt-4o")
    assert by_encoding("How many legs has a spider?") == by_model("How many legs has a spider?") == 7
    counter = PromptCounter("tiktoken:o200k_base", None, "m")
    assert TEMPLATE_TOKENS < counter(ASKED, "") < bytes_bound(ASKED) + TEMPLATE_TOKENS
    assert by_encoding("<|endoftext|>") > 1  # text, not a marker


def test_ranks_that_are_not_here_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    monkeypatch.setattr(counting, "_folders", lambda: [])
    with pytest.raises(BackendSetupError, match=r"the ranks of cl100k_base are not on this machine"):
        text_counter("tiktoken:cl100k_base")
    with pytest.raises(BackendSetupError, match="knows neither an encoding nor a model 'no-such'"):
        text_counter("tiktoken:no-such")


# Servers


class Counting(BaseHTTPRequestHandler):
    """A server that counts words, in the manner of vLLM or of llama.cpp; it also answers."""

    protocol_version = "HTTP/1.1"
    manner: ClassVar[str] = "vllm"
    seen: ClassVar[list[tuple[str, dict[str, Any], str | None]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, body, self.headers.get("Authorization")))
        status, answer = 200, self.answer(body)
        if answer is None:
            status, answer = 404, {"error": {"message": "no such path"}}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, body: dict[str, Any]) -> Any:
        if self.path == "/v1/chat/completions":
            words = sum(len(message["content"].split()) for message in body["messages"]) + 5
            usage = {"prompt_tokens": words, "completion_tokens": 3, "total_tokens": words + 3}
            message = {"role": "assistant", "content": '{"answer": "heads", "why": "so"}'}
            return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}
        if self.manner == "vllm" and self.path == "/tokenize":
            return {"count": sum(len(each["content"].split()) for each in body["messages"]) + 5}
        if self.manner == "llama" and self.path == "/apply-template":
            return {"prompt": " ".join(["a b c d e", *(each["content"] for each in body["messages"])])}
        if self.manner == "llama" and self.path == "/tokenize":
            return {"tokens": body.get("content", "").split()}
        return "nothing" if self.manner == "odd" else None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Counting, "seen", [])
    monkeypatch.setattr(Counting, "manner", "vllm")
    with served(Counting) as address:
        yield address


@pytest.mark.parametrize("manner", ["vllm", "llama"])
def test_a_server_counts_what_it_will_read(manner: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "manner", manner)
    counter = ServerCounter(server, "m", "secret")
    asked = Request.of("Be brief.", "one two three", 8, 0.5, 11)
    assert counter(asked) == 5 + 2 + 3
    n = len(Counting.seen)
    assert counter(Request.of("Be brief.", "one two three", 9, 0.1, 12)) == 10  # the same messages: remembered
    assert len(Counting.seen) == n
    assert {key for _, _, key in Counting.seen} == {"Bearer secret"}
    assert Counting.seen[0][1]["messages"] == sendable(asked.messages)


@pytest.mark.parametrize(
    ("manner", "said"), [("none", "/tokenize gives status 404"), ("odd", "its answer holds no count")]
)
def test_a_server_that_does_not_count_is_named(
    manner: str, said: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counting, "manner", manner)
    with pytest.raises(BackendSetupError, match=said):
        ServerCounter(server, "m", None)(ASKED)
    with pytest.raises(BackendSetupError, match="counts no tokens"):
        ServerCounter("http://127.0.0.1:9/v1", "m", None)(ASKED)


def test_llama_cpp_counts_its_own_prompts_exactly() -> None:
    """What it says it read is what was reserved."""
    from tests.contract.llama_server import llama_server

    async def both(model: LiteLLM) -> tuple[int, int]:
        backend = model.open(seed=0)
        assert backend.count(ASKED) >= bytes_bound(ASKED)  # not started: nobody is asked
        await backend.start()
        try:
            return backend.count(ASKED), (await backend.complete(ASKED)).usage.tokens_in
        finally:
            await backend.close()

    with llama_server() as (base_url, key_variable):
        model = LiteLLM(name="openai/local", base_url=base_url, api_key_env=key_variable, tokenizer="server")
        counted, read = asyncio.run(both(model))
    assert counted == read


# In a scenario


def society(server: str, **model: Any) -> Scenario:
    settings = {"kind": "litellm", "name": "openai/m", "base_url": server, "window": 4096, **model}
    return scenario(
        tasks={"kind": "coin", "count": 2},
        agents={"count": 4, "model": settings, "max_tokens": 60},
        topology="independent",
        budget={"tokens_per_task": 700},
    )


def test_exact_counts_reserve_less_and_the_run_says_how_it_counted(server: str, tmp_path: Path) -> None:
    plain = run(society(server), tmp_path / "bytes").manifest
    exact = run(society(server, tokenizer="server"), tmp_path / "server").manifest
    [by_bytes], [by_server] = plain.prompt_bounds, exact.prompt_bounds
    assert (by_bytes.counted, by_server.counted) == ("bytes", "the server's own tokenizer")
    assert by_server.bound == by_server.used == by_bytes.used
    assert by_bytes.bound > 2 * by_bytes.used
    assert exact.totals.tokens_overrun == 0
    n = len(Counting.seen)
    assert replay(tmp_path / "server").digest == exact.digest
    assert len(Counting.seen) == n  # a replay reads the room of each prompt, and counts nothing


def test_without_a_tokenizer_a_model_is_written_down_as_ever() -> None:
    plain = LiteLLM(name="openai/m", base_url="http://127.0.0.1:9/v1")
    assert "tokenizer" not in plain.model_dump(mode="json")
    named = LiteLLM(name="openai/m", tokenizer="tiktoken:o200k_base")
    assert named.model_dump(mode="json")["tokenizer"] == "tiktoken:o200k_base"
    assert named.counting() == "tiktoken:o200k_base"
    assert LiteLLM(name="openai/m", tokenizer="models/of-mine/tokenizer.json").counting() == "tokenizer.json"


@pytest.mark.parametrize("tokenizer", ["server", "tiktoken", "words", "tiktoken:a b"])
def test_a_tokenizer_that_cannot_be_is_refused(tokenizer: str) -> None:
    with pytest.raises(ValidationError):
        LiteLLM(name="openai/m", tokenizer=tokenizer)


def test_a_run_whose_tokenizer_is_missing_does_not_begin(server: str, tmp_path: Path) -> None:
    with pytest.raises((BackendSetupError, InputError), match="does not exist"):
        run(society(server, tokenizer=str(tmp_path / "gone.json")), tmp_path / "run")
    assert Counting.seen == []


# Other files of the embedded engine


def test_every_file_of_the_embedded_engine_is_counted_exactly(tmp_path: Path) -> None:
    """Another template in the same weights: not known here, so the library that reads it is asked."""
    pytest.importorskip("xllamacpp")
    data = modelfile.find().read_bytes()
    other = tmp_path / "other.gguf"
    other.write_bytes(data.replace(b"a helpful AI assistant named SmolLM", b"a careful AI assistant named Other!"))
    model = Local(file=other, sha256=modelfile.sha256_of(other), servers=1, context=256)
    assert (model.counting(), model.counts_offline()) == ("exact", True)

    async def counts() -> tuple[int, int, int]:
        backend = model.open(seed=0)
        await backend.start()
        try:
            now = backend.count(ASKED)
            read = (await backend.complete(ASKED)).usage.tokens_in
        finally:
            await backend.close()
        older = model.open(seed=0)
        older.count_by(1)
        return now, read, older.count(ASKED)

    now, read, before = asyncio.run(counts())
    assert now == read
    assert before > 5 * now  # each byte of the template
