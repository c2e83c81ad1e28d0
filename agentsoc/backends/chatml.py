"""This module counts the tokens of a request's prompt by the tokenizer and chat template of a GGUF model file."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from agentsoc.backends.bpe import Bpe
from agentsoc.backends.gguf import read_metadata
from agentsoc.backends.text import templated
from agentsoc.contracts.model import Request, bytes_bound
from agentsoc.errors import BackendSetupError

TEMPLATE: Final = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The chat template for which `prompt_counter` is exact."""


@lru_cache(maxsize=4)
def prompt_counter(path: Path) -> Callable[[Request], int] | None:
    """Return a function that counts the prompt tokens of a request for the model in `path`, without any library.

    It is for the ``smollm`` tokenizer with SmolLM2's chat template, for which it is exact; None for others.
    """
    data = _metadata(path, *(f"tokenizer.ggml.{key}" for key in ("model", "pre", "tokens", "merges")))
    template = data.get("tokenizer.chat_template", b"")
    known = (data.get("tokenizer.ggml.model"), data.get("tokenizer.ggml.pre"), template)
    if known != (b"gpt2", b"smollm", TEMPLATE.encode()):
        return None
    vocabulary = Bpe(data["tokenizer.ggml.tokens"], data["tokenizer.ggml.merges"])
    # two markers around each message and a line feed after it; a marker and a word that open the answer
    opening, each_frame = 1 + vocabulary.count("assistant\n"), 2 + vocabulary.count("\n")

    def exact(request: Request) -> int:
        messages = templated(request.messages)
        return opening + sum(each_frame + vocabulary.count(f"{m['role']}\n{m['content']}") for m in messages)

    return exact


@lru_cache(maxsize=4)
def byte_counter(path: Path) -> Callable[[Request], int]:
    """Return a function that bounds the prompt tokens of a request: one for each byte of texts and chat template.

    Runs by ``reserve: 1`` counted so for every file but the embedded model's.
    """
    template = _metadata(path).get("tokenizer.chat_template", b"")
    return lambda request: bytes_bound(request) + len(template)


def _metadata(path: Path, *keys: str) -> dict[str, Any]:
    """Return these values of a model file, and its chat template.

    Raises:
        BackendSetupError: it is no model file.
    """
    try:
        return read_metadata(path, {*keys, "tokenizer.chat_template"})
    except (OSError, ValueError) as error:
        raise BackendSetupError(f"{path} is not a usable model file: {error}", "agents.model.file") from None
