"""This module knows what litellm sends where: addresses and variables of common providers, and who may have a base_url.

litellm takes keys, and sometimes addresses, from the environment by rules of its own for each of a hundred providers.
For the ones listed here these rules are known. For any other, a person is told that they are not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from agentsoc.contracts.address import Destination, is_loopback, normal


class Provider(NamedTuple):
    """A provider as litellm knows it."""

    address: str
    """Where its models are, unless the environment says otherwise."""
    variables: tuple[str, ...]
    """Variables that its key is taken from, the first that is set; the usual one stands last."""
    moved_by: tuple[str, ...]
    """Variables that give another address; the first that is set."""
    keyless: bool = False
    """Whether it does without a key."""


PROVIDERS: Final[Mapping[str, Provider]] = {
    "openai": Provider("https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL", "OPENAI_API_BASE")),
    "anthropic": Provider(
        "https://api.anthropic.com", ("ANTHROPIC_API_KEY",), ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
    ),
    "gemini": Provider(
        "https://generativelanguage.googleapis.com", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), ("GEMINI_API_BASE",)
    ),
    "mistral": Provider(
        "https://api.mistral.ai/v1",
        ("MISTRAL_AZURE_API_KEY", "MISTRAL_API_KEY"),
        ("MISTRAL_AZURE_API_BASE", "MISTRAL_API_BASE"),
    ),
    "groq": Provider("https://api.groq.com/openai/v1", ("GROQ_API_KEY",), ("GROQ_API_BASE",)),
    "deepseek": Provider("https://api.deepseek.com", ("DEEPSEEK_API_KEY",), ("DEEPSEEK_API_BASE",)),
    "xai": Provider("https://api.x.ai/v1", ("XAI_API_KEY",), ("XAI_API_BASE",)),
    "openrouter": Provider("https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), ("OPENROUTER_API_BASE",)),
    "ollama": Provider("http://localhost:11434", ("OLLAMA_API_KEY",), ("OLLAMA_API_BASE",), keyless=True),
}

AT_BASE_URL: Final = frozenset(
    {"openai", "hosted_vllm", "anthropic", "cohere_chat", "deepseek", "fireworks_ai", "gemini", "groq", "mistral"}
    | {"ollama", "openrouter", "together_ai", "xai"}
)
"""Providers for which litellm 1.106.2 sends a base_url the key that it is given, and nothing of the environment.

Tests call each of them with every credential of the environment set. Some others do not hold to it: for databricks,
gigachat, predibase and watsonx their own credentials from the environment go to whatever base_url says."""

KNOWN: Final = AT_BASE_URL | PROVIDERS.keys()
"""Providers that litellm is known to know, without asking it; there are about 150 more."""

OPENAI_EXTRAS: Final = ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS")
"""Variables whose values OpenAI's own client adds to every request, whatever the address."""


def own_destinations(name: str, variable: str | None) -> tuple[Destination, ...]:
    """Return where a model without base_url sends prompts, by what is known of litellm and the environment now.

    Args:
        name: provider and model, as litellm writes them.
        variable: the variable that the key is said to be in; None for the provider's usual one.
    """
    prefix = name.split("/", 1)[0]
    provider = PROVIDERS.get(prefix)
    if os.environ.get("USE_LITELLM_PROXY", "").lower() in ("true", "1"):
        provider = Provider("", ("LITELLM_PROXY_API_KEY",), ("LITELLM_PROXY_API_BASE",))
    if provider is None:
        rest = f"whatever else litellm takes for {prefix}"
        key = f"{variable or prefix.upper() + '_API_KEY'}, and {rest}"
        names = (f"{prefix.upper()}_API_BASE", f"{prefix.upper()}_BASE_URL")
        moved = [f"{os.environ[one]} (set by {one})" for one in names if os.environ.get(one)]
        return (Destination(f"the address that litellm has for {name}", key, name, ", or ".join(moved)),)
    if variable is None:
        found = next((one for one in provider.variables if os.environ.get(one)), None)
        variable = found or (None if provider.keyless else provider.variables[-1])
    moved_by = next((one for one in provider.moved_by if os.environ.get(one)), None)
    if moved_by is not None:
        return (Destination(normal(os.environ[moved_by].strip()), variable, name, f"set by {moved_by}"),)
    note = "" if is_loopback(provider.address) else "the provider's own address"
    return (Destination(provider.address or f"the address that litellm has for {name}", variable, name, note),)
