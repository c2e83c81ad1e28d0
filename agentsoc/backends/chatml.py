"""This module counts the tokens of a request's prompt by the tokenizer and chat template of a GGUF model file."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from agentsoc.backends.bpe import Bpe
from agentsoc.backends.gguf import read_metadata
from agentsoc.backends.text import without_markers
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
def prompt_counter(path: Path) -> Callable[[Request], int]:
    """Return a function that counts the prompt tokens of a request for the model in `path`.

    Exact for the ``smollm`` tokenizer with SmolLM2's chat template. For others it returns a bound: a token for each
    byte of the texts and of the template.
    """
    keys = {f"tokenizer.ggml.{key}" for key in ("model", "pre", "tokens", "merges")} | {"tokenizer.chat_template"}
    try:
        data = read_metadata(path, keys)
    except (OSError, ValueError) as error:
        raise BackendSetupError(f"{path} is not a usable model file: {error}", "agents.model.file") from None
    template = data.get("tokenizer.chat_template", b"")
    known = (data.get("tokenizer.ggml.model"), data.get("tokenizer.ggml.pre"), template)
    if known != (b"gpt2", b"smollm", TEMPLATE.encode()):
        return lambda request: bytes_bound(request) + len(template)
    vocabulary = Bpe(data["tokenizer.ggml.tokens"], data["tokenizer.ggml.merges"])
    # four markers around two messages, one that opens the answer; a line feed after each message
    frame = 5 + 2 * vocabulary.count("\n") + vocabulary.count("assistant\n")

    def exact(request: Request) -> int:
        system, user = without_markers(request.system), without_markers(request.user)
        return frame + vocabulary.count("system\n" + system) + vocabulary.count("user\n" + user)

    return exact
