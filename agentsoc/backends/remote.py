"""This module holds what a scenario says of a model behind an API: name, address, key's variable, form of requests.

What is written here can leak no key: a key stands in an environment variable, and its variable is named.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, JsonValue, PositiveInt, field_validator, model_validator

from agentsoc.backends import counting
from agentsoc.backends.body import OMIT, Parameter
from agentsoc.backends.counting import TokenizerName
from agentsoc.backends.providers import own_destinations
from agentsoc.backends.secrets import redact
from agentsoc.contracts.address import Destination, is_plain, normal
from agentsoc.contracts.model import Model
from agentsoc.contracts.part import Part

OPENAI_FORMAT: Final = ("openai", "hosted_vllm")
"""Provider prefixes whose servers take the body that the lean client sends."""
RESERVED: Final = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature"}
    | {"seed", "response_format", "tools", "tool_choice", "functions", "function_call", "logprobs"}
    | {"top_logprobs", "user", "metadata"}
)
"""Keys that agentsoc sets itself, or that would change the shape of a reply."""
CARRIERS: Final = re.compile(
    r"(?i)(api_?key|api_?base|base_?url|endpoint|headers?|token|secret|credentials?|password|proxy|organization|client)$"
    r"|^(aws|azure|vertex|oci|watsonx)_|^custom_llm_provider$"
)
"""Keys by which litellm might be told another address or other credentials than those of the scenario."""
REFERENCES: Final = ("os.environ/", "oidc/")
"""How litellm is told to read a value from the environment or a file."""


class RateLimit(Part):
    """What a provider allows. It is kept to over all runs of a process that ask the same model at the same address."""

    requests_per_minute: PositiveInt | None = None
    """Requests a minute; None for no limit."""
    tokens_per_minute: PositiveInt | None = None
    """Tokens a minute, prompts and output caps together, as most providers count; None for no limit."""


class RemoteModel(Model):
    """What a scenario says of a model behind an API."""

    model_config = ConfigDict(hide_input_in_errors=True)  # what stands in the wrong place may be a key
    later: ClassVar[frozenset[str]] = frozenset({"send", "rate"})
    per_seed: ClassVar[bool] = False

    kind: Literal["litellm"] = "litellm"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[^\s]+$", max_length=200)]
    """Provider and model as litellm writes them, e.g. openai/gpt-4o-mini or hosted_vllm/meta-llama/Llama-3.1-8B."""
    base_url: Annotated[str, Field(max_length=500)] | None = None
    """Address of an own server, e.g. http://127.0.0.1:8000/v1; None for the provider's."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key (never the key itself); None for the provider's usual one,
    or for no key when `base_url` is given."""
    structured: Literal["auto", "schema", "none"] = "auto"
    """Whether replies are constrained by a JSON schema: always, never, or where the model is known to take one (a
    server at `base_url` is taken to)."""
    client: Literal["auto", "litellm", "lean"] = "auto"
    """What makes the HTTP request: litellm, the lean client for OpenAI-compatible servers, or lean where it fits."""
    window: PositiveInt | None = None
    """Context window (tokens), prompt and output together; None when it is not known."""
    tokenizer: TokenizerName | None = Field(default=None, exclude_if=lambda name: name is None)
    """What counts the tokens of prompts: tiktoken:NAME, a file FILE.json of the tokenizers library, or server (vLLM
    and llama.cpp at `base_url`); None to reserve a token for each byte."""
    timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 3_600.0
    """The client's own limit for one request (seconds); the run's `calls.timeout_s` is normally the shorter one."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Further parameters of the request, e.g. {top_p: 0.9}."""
    send: dict[Parameter, Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]] = Field(default_factory=dict)
    """Other names for parameters, or omit, e.g. {max_tokens: max_completion_tokens, seed: omit}."""
    rate: RateLimit | None = None
    """What the provider allows a minute; None for no limit but what its refusals teach."""

    def require_files(self) -> None:
        """Check that the tokenizer that prompts are counted with is here; a server's own is asked during a run.

        Raises:
            BackendSetupError, MissingExtraError: see `agentsoc.backends.counting.text_counter`.
        """
        if self.tokenizer is not None and self.tokenizer != counting.SERVER:
            counting.text_counter(self.tokenizer)

    @field_validator("base_url")
    @classmethod
    def _clean_url(cls, value: str | None) -> str | None:
        if value is not None:
            url = urlsplit(value)
            if url.scheme not in ("http", "https") or not url.hostname:
                raise ValueError("base_url must be an http or https address, e.g. http://127.0.0.1:8000/v1")
            if not is_plain(value):
                raise ValueError("base_url must be plain ASCII, so that every client reads the same address in it")
            if url.username or url.password or url.query or url.fragment:
                raise ValueError("base_url must hold no user, password or query; put the key's variable in api_key_env")
        return value

    @field_validator("api_key_env")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and (not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", value) or redact(value) != value):
            raise ValueError("api_key_env is the name of an environment variable, such as MY_API_KEY, not the key")
        return value

    @field_validator("extra")
    @classmethod
    def _allowed(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(RESERVED & set(value)):
            raise ValueError(f"extra cannot set {', '.join(taken)}: agentsoc does")
        text = json.dumps(value)
        if redact(text) != text:
            raise ValueError("extra holds what looks like a key; name its environment variable in api_key_env")
        return value

    @field_validator("send")
    @classmethod
    def _sendable(cls, value: dict[Parameter, str]) -> dict[Parameter, str]:
        if value.get("max_tokens") == OMIT:
            raise ValueError("max_tokens can be sent under another name, not left out: no budget would hold")
        for name, other in value.items():
            if other in RESERVED - {name, "max_completion_tokens"}:
                raise ValueError(f"{name} cannot be sent as {other}: that is another parameter")
        return value

    @model_validator(mode="after")
    def _lean_fits(self) -> RemoteModel:
        if self.client == "lean" and (self.base_url is None or self.provider not in OPENAI_FORMAT):
            raise ValueError("client: lean needs a base_url and a name that begins with openai/ or hosted_vllm/")
        if self.tokenizer == counting.SERVER and self.base_url is None:
            raise ValueError("tokenizer: server needs a base_url; write tiktoken:NAME or name a file")
        if not self.lean:
            if taken := sorted(key for key in self.extra if CARRIERS.search(key)):
                raise ValueError(f"extra cannot set {', '.join(taken)}: address and key are base_url and api_key_env")
            if any(f'"{start}' in json.dumps(self.extra) for start in REFERENCES):
                raise ValueError("extra cannot refer to the environment; name a key's variable in api_key_env")
        return self

    @property
    def provider(self) -> str:
        """Return the provider's prefix in `name`."""
        return self.name.split("/", 1)[0]

    @property
    def lean(self) -> bool:
        """Tell whether requests go through the lean client."""
        fits = self.base_url is not None and self.provider in OPENAI_FORMAT
        return self.client == "lean" or (self.client == "auto" and fits)

    def counting(self) -> str:
        """Return with what prompts are counted."""
        return counting.told(self.tokenizer)

    def counts_offline(self) -> bool:
        """Return whether it counts without its server."""
        return self.tokenizer != counting.SERVER

    def rate_limits(self) -> tuple[int | None, int | None]:
        """Return the requests and tokens a minute of `rate`."""
        return (None, None) if self.rate is None else (self.rate.requests_per_minute, self.rate.tokens_per_minute)

    def label(self) -> str:
        """Return `name`."""
        return self.name

    def context_window(self) -> int | None:
        """Return `window`."""
        return self.window

    def destinations(self) -> tuple[Destination, ...]:
        """Return the server at `base_url` with the variable that is named for it, or the provider with its usual one.

        No key goes to a `base_url` for which none is named, and none is demanded for it.
        """
        if self.base_url is not None:
            return (Destination(normal(self.base_url), self.api_key_env, self.name),)
        return own_destinations(self.name, self.api_key_env)

    def not_reproducible(self) -> str:
        """Say why: a remote model may change, and servers decode requests in batches, which changes the rounding."""
        return "a model behind an API may answer differently each time; replay of the log is exact"
