"""``kind: litellm``: any model that litellm reaches, and any OpenAI-compatible server (vLLM, Ollama, llama.cpp, ...).

litellm is used for what it is good at, the wire formats of a hundred providers, and for nothing else: its retries,
callbacks, tools, streaming, router, price table and network access at import are all switched off, because each of
them changes what a call costs or returns without saying so. One `complete` is one HTTP request,
unless the server refuses a parameter by name: then it is made again without that, see `body`.

Where a server speaks OpenAI's own format at a `base_url`, no translation is needed and the lean client of
`openai_http` is used instead (``client: auto``): it costs a tenth of the CPU time and bounds what it reads.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from agentsoc.backends import counting, reply
from agentsoc.backends.body import TRIES_MAX, Form, ServerHabits
from agentsoc.backends.litellm_errors import failure_of
from agentsoc.backends.litellm_http import direct, restrain
from agentsoc.backends.native_tools import tools_parameter, tools_text, with_calls
from agentsoc.backends.openai_http import OpenAIClient
from agentsoc.backends.providers import AT_BASE_URL, KNOWN, OPENAI_EXTRAS
from agentsoc.backends.reasoning import settled, with_reasoning
from agentsoc.backends.remote import OPENAI_FORMAT, RemoteModel
from agentsoc.backends.secrets import register, register_environment
from agentsoc.backends.text import sendable
from agentsoc.contracts.address import is_loopback
from agentsoc.contracts.model import AUTHORS, Backend, CallError, Completion, Request
from agentsoc.contracts.part import nearest_or_none
from agentsoc.errors import BackendSetupError, MissingExtraError

TUNING: Final = frozenset(
    {"top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "stop"}
    | {"logit_bias", "reasoning_effort", "thinking", "verbosity", "service_tier"}
)
"""Parameters that litellm translates for each provider; any other key of `extra` goes into the body as it is."""


class LiteLLM(RemoteModel):
    """A model behind an API."""

    native_tools: ClassVar[bool] = True

    def open(self, *, seed: int, share: int = 1) -> Backend:
        """Return a backend that makes one HTTP request per call; `seed` and `share` make no difference."""
        return LiteLLMBackend(self)

    def require_files(self) -> None:
        """Check that the client is installed and knows the provider, and the tokenizer as `RemoteModel` does.

        Whether the key is set is not asked: what a run would cost can be worked out without one.

        Raises:
            BackendSetupError, MissingExtraError: as a run would before its first call.
        """
        super().require_files()
        package, what = ("aiohttp", "litellm with a base_url") if self.lean else ("litellm", "litellm")
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"model {what}", package, "litellm")
        if self.lean:
            return
        self.require_safe_address()
        if self.provider not in KNOWN:  # looking it up takes seconds
            _require_provider(_import_litellm(), self.name)

    def require_safe_address(self) -> None:
        """Fail where litellm might send a server at base_url more of the environment than the variable named for it."""
        if self.base_url is None:
            return
        if self.provider not in AT_BASE_URL:
            raise BackendSetupError(
                f"what litellm sends to a base_url for {self.provider} is not known to be the named key alone",
                "agents.model.base_url",
                "leave base_url out, or, if the server speaks OpenAI's format, write name: openai/MODEL",
            )
        extras = [name for name in OPENAI_EXTRAS if os.environ.get(name)] if self.provider == "openai" else []
        if extras:
            raise BackendSetupError(
                f"client: litellm would send the value of {', '.join(extras)} to {self.base_url} as well",
                "agents.model.client",
                "write client: lean, or unset the variable",
            )


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
        form: Form = "none" if model.structured == "none" else "schema"
        self._habits = ServerHabits.of(model.name, model.base_url, model.send, form)
        self._told: set[str] = set()
        self._authors: list[str] = []
        """Names that answers gave for the model that wrote them, in the order of their coming."""
        self._notices: list[str] = []
        self._address = model.base_url
        """Where litellm sends requests; it learns that of a server that answers below ``/v1`` only."""
        self._unsure = model.base_url is not None and model.provider in OPENAI_FORMAT and not _below_v1(model.base_url)
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
        model.require_safe_address()
        direct(place.address for place in model.destinations() if is_loopback(place.address))
        self._litellm = await asyncio.to_thread(_import_litellm)
        LiteLLMBackend._started += 1
        self._check_provider()
        await _warm_up(self._litellm)

    def _check_provider(self) -> None:
        """Fail now, and not at the first call, when litellm cannot serve this model."""
        model, litellm = self.model, self._litellm
        _require_provider(litellm, model.name)
        if model.base_url is None and self._key is None:
            missing = litellm.validate_environment(model.name)["missing_keys"]
            if missing:
                raise BackendSetupError(
                    f"{model.name} needs a key in the environment variable {' or '.join(missing)}",
                    "agents.model",
                    "set it, or name another variable in api_key_env",
                )
        asked = model.structured == "auto" and model.base_url is None
        if asked and not litellm.supports_response_schema(model.name):
            self._habits = ServerHabits(model.send, "none")

    async def complete(self, request: Request) -> Completion:
        """Return the completion of one request; raise `CallError`, and only that, when there is none.

        A request that is refused for a parameter is made again at once without it; a refusal is not billed.
        """
        if request.max_tokens < 1:
            raise CallError("rejected", f"max_tokens must be at least 1, got {request.max_tokens}")
        if self._http is None and self._litellm is None:
            raise CallError("rejected", "the backend is not started, or closed")
        messages = sendable(request.messages)
        constraint = self._constraint(request)
        for _ in range(TRIES_MAX):
            parameters = self._habits.parameters(request, constraint)
            # a schema replaces the choices, so only then is there nothing to unwrap
            choices = request.choices if "response_format" in parameters and request.schema is None else ()
            try:
                return await self._send({"messages": messages, **tools_parameter(request), **parameters}, choices)
            except CallError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # what a client makes of being cut off is no failed attempt
                    raise asyncio.CancelledError from None
                if not self._habits.learn(error, parameters):
                    raise
                refused = error
        raise refused

    def _constraint(self, request: Request) -> Mapping[str, Any] | None:
        """Return the ``response_format`` of a request, None where replies are not constrained."""
        if self._habits.form == "none":
            return None
        # litellm may change what it is given
        return reply.response_format(request) if self._http is None else reply.kept_format(*_limits(request))

    async def _send(self, body: dict[str, Any], choices: tuple[str, ...]) -> Completion:
        """Make one HTTP request."""
        if self._http is None:
            return await self._through_litellm(body, choices)
        model = self.model.name.split("/", 1)[1]
        done = await self._http.complete({"model": model, **body, **self.model.extra}, choices)
        self._note_author(self._http.reported)
        return done

    def _note_author(self, reported: str | None) -> None:
        """Tell when an answer names another model as its author than those before it did."""
        if reported is None or reported in self._authors:
            return
        self._authors.append(reported)
        if len(self._authors) > 1:
            before = self._authors[-2]
            self._tell(f"answers came from {before} before and now come from {reported}: another version answers")

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notices.append(f"{self.model.name}: {text}")

    def take_notices(self) -> list[str]:
        """Return what was learned of the server since the last time: refused parameters, other authors of answers."""
        for text in self._habits.learned:
            self._tell(text)
        if self._http is not None:
            found, self._http.notices = self._http.notices, []
            for text in found:
                self._tell(text)
        notices, self._notices = self._notices, []
        return notices

    async def _through_litellm(self, body: dict[str, Any], choices: tuple[str, ...]) -> Completion:
        model = self.model
        tuning = {key: value for key, value in model.extra.items() if key in TUNING}
        rest = {key: value for key, value in model.extra.items() if key not in TUNING}
        answer = await self._answer(
            {
                "model": model.name,
                **body,
                **tuning,
                **({"extra_body": rest} if rest else {}),
                # without a key of its own, litellm would send a server at base_url the provider's one
                "api_key": self._key or ("none" if model.base_url is not None else None),
                "timeout": model.timeout_s,
                "max_retries": 0,
                "num_retries": 0,
                "stream": False,
                "drop_params": True,  # e.g. seed, where a provider has none
            }
        )
        try:
            usage = answer.usage.model_dump() if getattr(answer, "usage", None) is not None else None
            first = answer.choices[0] if answer.choices else None
        except Exception as error:
            raise CallError("server", reply.shorten(f"an answer that litellm could not read: {error}")) from None
        if first is None:
            raise CallError("empty", "an answer without choices", None, reply.usage_of(usage))
        self._note_author(getattr(answer, "model", None))
        refusal = (getattr(first.message, "provider_specific_fields", None) or {}).get("refusal")
        message = with_calls(settled(first.message.model_dump()))
        said = reply.completion(message.get("content"), first.finish_reason, usage, refusal, choices)
        return with_reasoning(said, message)

    async def _answer(self, parameters: dict[str, Any]) -> Any:
        """Return what litellm makes of an answer; the first address that gives 404 or 405 is tried below ``/v1``."""
        asked = self._address
        try:
            answer = await self._litellm.acompletion(**parameters, base_url=asked)
        except Exception as error:  # whatever litellm raises is a failed attempt, never the end of a run
            first = failure_of(error)
            if not _is_absent(error) or not (self._unsure or asked != self._address):
                raise first from None
        else:
            self._unsure = False
            return answer
        other = f"{str(self.model.base_url).rstrip('/')}/v1"
        try:
            answer = await self._litellm.acompletion(**parameters, base_url=other)
        except Exception as error:
            if _is_absent(error):
                self._unsure = False
                raise first from None
            second = failure_of(error)
            if hasattr(error, "status_code") and second.kind in ("rejected", "too_long", "rate_limited"):
                self._move(other)  # else nobody is known to be there
            raise second from None
        self._move(other)
        return answer

    def _move(self, address: str) -> None:
        """Send requests to another address of the same server from now on, and tell what to write."""
        if self._address != address:
            self._address, self._unsure = address, False
            self._tell(f"{address.removesuffix('/v1')} answers below /v1 only: write base_url: {address}")

    def count(self, request: Request) -> int:
        """Return a bound: by the tokenizer, or a token for each byte; of the texts and the schema, with framing."""
        try:
            text = "" if self._habits.form == "none" else reply.format_text(*_limits(request))
            text += tools_text(request)
        except CallError:
            text = ""
        return self._counter(request, text)

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
            "structured": self._habits.form != "none",
            "extra": model.extra,
            **({"learned": list(self._habits.learned)} if self._habits.learned else {}),
            **({AUTHORS: list(self._authors)} if self._authors else {}),
        }


def _below_v1(address: str) -> bool:
    return address.rstrip("/").endswith("/v1")


def _is_absent(error: Exception) -> bool:
    """Tell whether a server has nothing at the address that was asked."""
    return not isinstance(error, CallError) and getattr(error, "status_code", None) in (404, 405)


def _limits(request: Request) -> tuple[str | None, tuple[str, ...]]:
    """Return what a reply is held to."""
    return request.schema, request.choices


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
    restrain()
    return litellm


def _require_provider(litellm: Any, name: str) -> None:
    """Fail for a model whose provider litellm does not know, with the nearest one that it does."""
    try:
        litellm.get_llm_provider(name)
    except Exception:
        provider, _, model = name.partition("/")
        near = nearest_or_none(provider, (str(getattr(one, "value", one)) for one in litellm.provider_list))
        hint = "e.g. openai/gpt-4o-mini" if near is None else f'did you mean "{near}/{model}"?'
        raise BackendSetupError(f'litellm knows no provider "{provider}"', "agents.model.name", hint) from None


async def _warm_up(litellm: Any) -> None:
    """Make one call that is answered inside litellm: it loads half a second's worth of modules, warnings included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await litellm.acompletion(
            model="openai/warm-up", messages=[{"role": "user", "content": "x"}], api_key="none", mock_response="ok"
        )
