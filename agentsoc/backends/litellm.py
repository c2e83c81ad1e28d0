"""``kind: litellm``: any model that litellm reaches, and any OpenAI-compatible server (vLLM, Ollama, llama.cpp, ...).

litellm is used for what it is good at, the wire formats of a hundred providers, and for nothing else: its retries,
callbacks, tools, streaming, router, price table and network access at import are all switched off, because each of
them changes what a call costs or returns without saying so. One `complete` is one HTTP request.

Where a server speaks OpenAI's own format at a `base_url`, no translation is needed and the lean client of
`openai_http` is used instead (``client: auto``): it costs a tenth of the CPU time and bounds what it reads.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import logging
import os
import re
import warnings
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, JsonValue, PositiveInt, field_validator, model_validator

from agentsoc.backends import counting, reply
from agentsoc.backends.counting import TokenizerName
from agentsoc.backends.litellm_errors import failure_of
from agentsoc.backends.litellm_http import direct, without_redirects
from agentsoc.backends.openai_http import OpenAIClient
from agentsoc.backends.providers import AT_BASE_URL, OPENAI_EXTRAS, own_destinations
from agentsoc.backends.reasoning import with_reasoning
from agentsoc.backends.secrets import redact, register, register_environment
from agentsoc.backends.text import sendable
from agentsoc.contracts.address import Destination, is_loopback, is_plain, normal
from agentsoc.contracts.model import Backend, CallError, Completion, Model, Request
from agentsoc.errors import BackendSetupError, MissingExtraError

OPENAI_FORMAT: Final = ("openai", "hosted_vllm")
"""Provider prefixes whose servers take the body that the lean client sends."""
TUNING: Final = frozenset(
    {"top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "stop"}
    | {"logit_bias", "reasoning_effort", "thinking", "verbosity", "service_tier"}
)
"""Parameters that litellm translates for each provider; any other key of `extra` goes into the body as it is."""
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


class LiteLLM(Model):
    """A model behind an API."""

    model_config = ConfigDict(hide_input_in_errors=True)  # what stands in the wrong place may be a key
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

    @model_validator(mode="after")
    def _lean_fits(self) -> LiteLLM:
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

    def open(self, *, seed: int, share: int = 1) -> Backend:
        """Return a backend that makes one HTTP request per call; `seed` and `share` make no difference."""
        return LiteLLMBackend(self)

    def context_window(self) -> int | None:
        """Return `window`."""
        return self.window

    def counting(self) -> str:
        """Return with what prompts are counted."""
        return counting.told(self.tokenizer)

    def counts_offline(self) -> bool:
        """Return whether it counts without its server."""
        return self.tokenizer != counting.SERVER

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


class LiteLLMBackend(Backend):
    """One remote model; any number of calls at once."""

    _started: ClassVar[int] = 0
    """Backends of this process that use litellm: its HTTP clients are shared, so the last one closes them."""

    def __init__(self, model: LiteLLM) -> None:
        self.model = model
        self.window = model.window
        self._litellm: Any = None
        self._http: OpenAIClient | None = None
        self._key: str | None = None
        self._schema = model.structured != "none"
        self._counter = counting.PromptCounter(model.tokenizer, model.base_url, model.name.split("/", 1)[1])

    async def start(self) -> None:
        """Find the key and import the client.

        Raises:
            BackendSetupError: a key is missing, or litellm does not know the provider.
            MissingExtraError: litellm is not installed.
        """
        model = self.model
        register_environment()
        if model.api_key_env is not None:
            self._key = os.environ.get(model.api_key_env, "").strip()
            if not self._key:
                raise BackendSetupError(
                    f"the environment variable {model.api_key_env} is not set",
                    "agents.model.api_key_env",
                    f"set it to the key of {model.name}: export {model.api_key_env}=...",
                )
            register(self._key)
        self._counter.start(self._key)
        if model.lean:
            assert model.base_url is not None
            self._http = OpenAIClient(model.base_url, self._key, model.timeout_s)
            return
        self._require_known()
        direct(place.address for place in model.destinations() if is_loopback(place.address))
        self._litellm = await asyncio.to_thread(_import_litellm)
        LiteLLMBackend._started += 1
        self._check_provider()
        await _warm_up(self._litellm)

    def _require_known(self) -> None:
        """Fail where litellm might send a server at base_url more of the environment than the variable named for it."""
        model = self.model
        if model.base_url is None:
            return
        if model.provider not in AT_BASE_URL:
            raise BackendSetupError(
                f"what litellm sends to a base_url for {model.provider} is not known to be the named key alone",
                "agents.model.base_url",
                "leave base_url out, or, if the server speaks OpenAI's format, write name: openai/MODEL",
            )
        extras = [name for name in OPENAI_EXTRAS if os.environ.get(name)] if model.provider == "openai" else []
        if extras:
            raise BackendSetupError(
                f"client: litellm would send the value of {', '.join(extras)} to {model.base_url} as well",
                "agents.model.client",
                "write client: lean, or unset the variable",
            )

    def _check_provider(self) -> None:
        """Fail now, and not at the first call, when litellm cannot serve this model."""
        model, litellm = self.model, self._litellm
        try:
            litellm.get_llm_provider(model.name)
        except Exception:
            raise BackendSetupError(
                f"litellm knows no provider {model.provider!r}", "agents.model.name", "e.g. openai/gpt-4o-mini"
            ) from None
        if model.base_url is None and self._key is None:
            missing = litellm.validate_environment(model.name)["missing_keys"]
            if missing:
                raise BackendSetupError(
                    f"{model.name} needs a key in the environment variable {' or '.join(missing)}",
                    "agents.model",
                    "set it, or name another variable in api_key_env",
                )
        if model.structured == "auto" and model.base_url is None:
            self._schema = bool(litellm.supports_response_schema(model.name))

    async def complete(self, request: Request) -> Completion:
        """Make one HTTP request; raise `CallError`, and only that, when it gives no usable completion."""
        if request.max_tokens < 1:
            raise CallError("rejected", f"max_tokens must be at least 1, got {request.max_tokens}")
        constraint = reply.response_format(request) if self._schema else None
        # a schema replaces the choices, so only then is there nothing to unwrap
        choices = request.choices if constraint is not None and request.schema is None else ()
        body: dict[str, Any] = {
            "messages": sendable(request.messages),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if constraint is not None:
            body["response_format"] = constraint
        if self._http is None and self._litellm is None:
            raise CallError("rejected", "the backend is not started, or closed")
        try:
            if self._http is None:
                return await self._through_litellm(body, choices)
            model = self.model.name.split("/", 1)[1]
            return await self._http.complete({"model": model, **body, **self.model.extra}, choices)
        except CallError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # what a client makes of being cut off is no failed attempt
                raise asyncio.CancelledError from None
            raise

    async def _through_litellm(self, body: dict[str, Any], choices: tuple[str, ...]) -> Completion:
        model = self.model
        tuning = {key: value for key, value in model.extra.items() if key in TUNING}
        rest = {key: value for key, value in model.extra.items() if key not in TUNING}
        try:
            answer = await self._litellm.acompletion(
                model=model.name,
                **body,
                **tuning,
                **({"extra_body": rest} if rest else {}),
                base_url=model.base_url,
                # without a key of its own, litellm would send a server at base_url the provider's one
                api_key=self._key or ("none" if model.base_url is not None else None),
                timeout=model.timeout_s,
                max_retries=0,
                num_retries=0,
                stream=False,
                drop_params=True,  # e.g. seed, where a provider has none
            )
        except CallError:
            raise
        except Exception as error:  # whatever litellm raises is a failed attempt, never the end of a run
            raise failure_of(error) from None
        try:
            usage = answer.usage.model_dump() if getattr(answer, "usage", None) is not None else None
            first = answer.choices[0] if answer.choices else None
        except Exception as error:
            raise CallError("server", reply.shorten(f"an answer that litellm could not read: {error}")) from None
        if first is None:
            raise CallError("empty", "an answer without choices", None, reply.usage_of(usage))
        message = first.message
        refusal = (getattr(message, "provider_specific_fields", None) or {}).get("refusal")
        said = reply.completion(message.content, first.finish_reason, usage, refusal, choices)
        return with_reasoning(said, message.model_dump())

    def count(self, request: Request) -> int:
        """Return a bound: by the tokenizer, or a token for each byte; of the texts and the schema, with framing."""
        try:
            constraint = reply.response_format(request) if self._schema else None
        except CallError:
            constraint = None
        return self._counter(request, "" if constraint is None else json.dumps(constraint))

    async def close(self) -> None:
        """Close the HTTP clients; litellm's own are shared and close with the last backend of the process."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()
        if self._litellm is not None:
            litellm, self._litellm = self._litellm, None
            LiteLLMBackend._started -= 1
            if LiteLLMBackend._started == 0:
                await litellm.close_litellm_async_clients()
                litellm.in_memory_llm_clients_cache.flush_cache()

    def identity(self) -> dict[str, Any]:
        """Return provider, model, address and library versions; no key and not the name of its variable."""
        model = self.model
        library = "aiohttp" if model.lean else "litellm"
        prefix = model.provider.upper()
        return {
            "kind": "litellm",
            "name": model.name,
            "base_url": model.base_url,
            # litellm also takes the address from these: their presence is recorded, not what they say
            "address_from_environment": []
            if model.base_url is not None
            else [name for name in (f"{prefix}_API_BASE", f"{prefix}_BASE_URL") if os.environ.get(name)],
            "client": f"{library} {_version(library)}",
            "structured": self._schema,
            "extra": model.extra,
        }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _import_litellm() -> Any:
    """Import litellm without its network access and chatter. Takes seconds, so it happens on first use only."""
    # must be set before the import: otherwise a thread fetches a price table and swaps it in while the run goes on
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    # and so must this: otherwise a file .env in the working directory may set addresses that nobody was asked about
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    try:
        litellm: Any = importlib.import_module("litellm")
    except ModuleNotFoundError as error:
        if error.name != "litellm":
            raise
        raise MissingExtraError("model litellm", "litellm", "litellm") from None
    # of replies whose parts have other types than it declares; the text of the warning quotes them
    warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log requests and answers
    without_redirects()
    return litellm


async def _warm_up(litellm: Any) -> None:
    """Make one call that is answered inside litellm: it loads half a second's worth of modules, warnings included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await litellm.acompletion(
            model="openai/warm-up", messages=[{"role": "user", "content": "x"}], api_key="none", mock_response="ok"
        )
