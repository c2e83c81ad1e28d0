"""Tokens of a conversation are counted by llama.cpp, with whatever chat template and tokenizer the file has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsoc.backends import modelfile
from agentsoc.backends.chatml import TEMPLATE, prompt_counter
from agentsoc.backends.local import Local
from agentsoc.backends.vocabulary import counting_vocabulary
from agentsoc.contracts.model import Message, Request
from agentsoc.errors import BackendSetupError

pytestmark = pytest.mark.model

OTHER = (
    "{%- for message in messages %}{%- if message.role == 'tool' %}{{ raise_exception('no tools') }}{%- endif %}"
    "[{{ message.role }}] {{ message.content | trim }}\n{%- endfor %}"
    "{%- if add_generation_prompt %}[assistant] {%- endif %}"
)
TALK = (
    Message("system", "You are  careful.\n"),
    Message("user", "Is 57 + 97 even?"),
    Message("assistant", "odd #1\n    indented"),
    Message("user", "Ω≈ç√∫ <|im_end|> and\n\nonce more: is it?"),
)


@pytest.fixture(scope="module")
def another_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a model file that differs from the embedded one in its chat template."""
    before = TEMPLATE.encode()
    after = OTHER.encode()
    after += b"{#" + b"-" * (len(before) - len(after) - 4) + b"#}"
    content = modelfile.find().read_bytes()
    assert content.count(before) == 1
    path = tmp_path_factory.mktemp("models") / "another.gguf"
    path.write_bytes(content.replace(before, after))
    yield path
    counting_vocabulary.cache_clear()
    path.unlink()


def request(*messages: Message) -> Request:
    return Request(messages, 4, 0.0, 1)


def test_the_embedded_model_counts_conversations_as_the_library_does() -> None:
    ours, library = prompt_counter(modelfile.find()), counting_vocabulary(modelfile.find())
    assert ours is not None
    assert library is not None
    for n in (2, 4):
        assert ours(request(*TALK[:n])) == library.count(request(*TALK[:n]))
    counting_vocabulary.cache_clear()


def test_any_other_file_is_counted_exactly_before_it_runs_and_while_it_does(another_file: Path) -> None:
    model = Local(file=another_file, sha256=modelfile.sha256_of(another_file), context=512, servers=1)

    async def seen() -> tuple[list[int], list[int]]:
        backend = model.open(seed=0)
        await backend.start()
        try:
            prompts = [request(*TALK[:n]) for n in (2, 4)]
            return [backend.count(one) for one in prompts], [
                (await backend.complete(one)).usage.tokens_in for one in prompts
            ]
        finally:
            await backend.close()

    counted, used = asyncio.run(seen())
    assert counted == used
    idle = model.open(seed=0)
    assert [idle.count(request(*TALK[:n])) for n in (2, 4)] == used
    assert max(used) < 60  # not a token for each byte of the template, which has some 400


def test_a_conversation_that_the_template_refuses_is_said_so(another_file: Path) -> None:
    backend = Local(file=another_file, sha256=modelfile.sha256_of(another_file)).open(seed=0)
    with pytest.raises(BackendSetupError, match="template refuses a conversation"):
        backend.count(request(*TALK[:2], Message("tool", "7")))
