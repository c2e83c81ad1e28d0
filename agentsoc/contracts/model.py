"""A `Model` is the part in a scenario; it opens a `Backend`, which turns a `Request` into a `Completion`.

A backend makes exactly one attempt per `complete` and never retries by itself: retries are the engine's, where each
attempt is journaled and charged. Failures are values of one exception type, `CallError`, whose kind says what is known
about the attempt; whatever else escapes is a bug.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Literal

import msgspec

from agentsoc.contracts.address import Destination
from agentsoc.contracts.hint import ActHint as ActHint
from agentsoc.contracts.hint import Hint as Hint
from agentsoc.contracts.hint import SampleHint as SampleHint
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.script import Script

FailureKind = Literal[
    "timeout",  # no reply within the time limit: it may have been billed
    "rate_limited",  # refused before work: not billed
    "unavailable",  # refused before work, because the server is down or overloaded (503, 529): not billed
    "rejected",  # the request itself is not acceptable (400, 401, 403, 404, 422): not billed, retrying is useless
    "too_long",  # the prompt does not fit the context window: not billed, retrying is useless
    "connection",  # never reached the server: not billed
    "server",  # 5xx, connection lost half-way, body that is no completion: may have been billed
    "empty",  # a completion without content: billed as far as usage is known
]
"""Why a call gave nothing. It may have been billed in full where it is `timeout` or `server`, by what is known of its
usage where it is `empty`, and not at all else. Asking again is useless where it is `rejected` or `too_long`."""


ANY_NUMBER: Final = "<number>"
"""What a choice begins with that holds for every number in its place: ``<number> #1`` allows ``27 #1``."""
ANY_WHOLE: Final = "<whole>"
"""The same for every whole number: ``<whole> #1`` allows ``27 #1`` and not ``27.5 #1``."""


_encode: Final = msgspec.msgpack.Encoder().encode

Role = Literal["system", "user", "assistant", "tool"]
"""Who speaks in a message: whoever set the agent up, who asks it, the agent itself, a tool that it called."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message is one contribution to the conversation that a model is sent."""

    role: Role
    """Who speaks."""
    content: str
    """What is said."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One prompt: a conversation that ends where the model is to go on.

    Its digest identifies it in the journal, so it holds everything that may change a reply.
    """

    messages: tuple[Message, ...]
    """The conversation, oldest message first."""
    max_tokens: int
    """Output cap (tokens)."""
    temperature: float
    """Sampling temperature."""
    seed: int
    """Seed of the call, 31 bits; providers may ignore it."""
    choices: tuple[str, ...] = ()
    """When not empty, the reply is one of these strings; a backend that can constrain its output does.

    A choice that begins with `ANY_NUMBER` or `ANY_WHOLE` allows any number there, or any whole one.
    """
    schema: str | None = None
    """JSON Schema (as JSON text) that the reply must satisfy; a backend that can constrain its output does."""
    hint: Hint | None = None
    """What a voter that is no model may know; never sent."""

    @classmethod
    def of(
        cls,
        system: str,
        user: str,
        max_tokens: int,
        temperature: float,
        seed: int,
        choices: tuple[str, ...] = (),
        schema: str | None = None,
        hint: Hint | None = None,
    ) -> Request:
        """Return the request of a system prompt and one question."""
        messages = (Message("system", system), Message("user", user))
        return cls(messages, max_tokens, temperature, seed, choices, schema, hint)

    @property
    def system(self) -> str:
        """Return the system prompt; empty when there is none."""
        first = self.messages[0] if self.messages else None
        return first.content if first is not None and first.role == "system" else ""

    @property
    def user(self) -> str:
        """Return what is asked: the last message of the user; empty when there is none."""
        return next((each.content for each in reversed(self.messages) if each.role == "user"), "")

    def digest(self) -> bytes:
        """Return the SHA-256 of the request, 32 bytes.

        A system prompt with one question is hashed as it was before requests held conversations, so that journals of
        that time still name their requests.
        """
        whole: _SystemAndUser | Request = self
        messages = self.messages
        if len(messages) == 2 and messages[0].role == "system" and messages[1].role == "user":
            first, last = messages
            whole = _SystemAndUser(
                first.content,
                last.content,
                self.max_tokens,
                self.temperature,
                self.seed,
                self.choices,
                self.schema,
                self.hint,
            )
        return hashlib.sha256(_encode(whole)).digest()


class NativeRequest(Request, frozen=True, gc=False):
    """A request whose reply may call tools, which the provider is to be told of in its own way."""

    tools: tuple[tuple[str, str, str], ...] = ()
    """Name, description and JSON Schema of the arguments (as JSON text) of each tool."""

    @classmethod
    def of_request(cls, request: Request, tools: tuple[tuple[str, str, str], ...]) -> NativeRequest:
        """Return a request with the tools that its reply may call."""
        return cls(*(getattr(request, name) for name in Request.__struct_fields__), tools)  # type: ignore[call-arg]

    def digest(self) -> bytes:
        """Return the SHA-256 of the request with its tools."""
        return hashlib.sha256(_encode(self)).digest()


class _SystemAndUser(msgspec.Struct, frozen=True, gc=False):
    """A request as it was hashed before it held messages; names and order of the fields are part of the hash."""

    system: str
    user: str
    max_tokens: int
    temperature: float
    seed: int
    choices: tuple[str, ...]
    schema: str | None
    hint: Hint | None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The usage counts the tokens of one attempt. `tokens_in` includes cached ones, `tokens_out` reasoning tokens."""

    tokens_in: int = 0
    """Prompt tokens, cached ones included."""
    tokens_cached: int = 0
    """Prompt tokens that a cache served."""
    tokens_out: int = 0
    """Output tokens, reasoning included."""
    known: bool = True
    """False when the server did not say: the ledger then charges the whole reservation."""


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A completion holds a reply as it came: `finish` is ``length`` when the output cap cut it."""

    text: str
    """The reply, without reasoning."""
    usage: Usage
    """Tokens that it took."""
    finish: Literal["stop", "length"] = "stop"
    """Why it ended: by itself, or at the output cap."""
    reasoning: str | None = None
    """What the model thought before it answered, where the provider tells it apart: shown to people, never to agents,
    and never searched for the answer. Its tokens are among the usage's output tokens."""


class CallError(Exception):
    """An attempt that gave no usable completion."""

    def __init__(
        self, kind: FailureKind, message: str, retry_after_s: float | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(kind, message, retry_after_s, usage)
        self.kind, self.message, self.retry_after_s, self.usage = kind, message, retry_after_s, usage

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    @property
    def billed(self) -> bool:
        """Tell whether the provider may have charged for the attempt."""
        return self.kind in ("timeout", "server", "empty")

    @property
    def retryable(self) -> bool:
        """Tell whether the same request may succeed later."""
        return self.kind not in ("rejected", "too_long")


AUTHORS: Final = "authors"
"""Entry of a backend's identity with the names that a provider gave, call by call, for the model that answered."""


class Backend(ABC):
    """A running model on one host. Created by `Model.open`, used by many agents at once, closed once."""

    window: int | None = None
    """Context window (tokens), prompt and output together; None when unknown."""
    parallel: int | None = None
    """Calls that may run at once on this host without queueing inside the backend; None for no limit."""
    journaled: bool = True
    """False for models that are pure functions of the run's seed: they are computed again, not looked up."""

    async def start(self) -> None:  # noqa: B027
        """Load what is needed. Raises `BackendSetupError` when it cannot."""

    @abstractmethod
    async def complete(self, request: Request) -> Completion:
        """Make one attempt. Raises `CallError`, and only that, when it gives no usable completion."""

    @abstractmethod
    def count(self, request: Request) -> int:
        """Return an upper bound of the prompt's tokens (exact where the tokenizer is at hand)."""

    def count_by(self, reserve: int) -> None:  # noqa: B027
        """Count as runs by these rules did (`agentsoc.contracts.rules`), for whoever has come to count otherwise."""

    async def close(self) -> None:  # noqa: B027
        """Release everything; called once, also after a failed start."""

    def take_notices(self) -> list[str]:
        """Return what a person should hear of and has not heard yet, such as a setting that the server refuses."""
        return []

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what the manifest records of the model: name, build, settings, hashes. No secrets, no paths."""


class VoterReply(msgspec.Struct, frozen=True, gc=False):
    """What a pure voter answers, with the tokens that it stands for."""

    answer: str | None
    tokens_in: int = 0
    tokens_out: int = 0
    latency_s: float = 0.0
    """Simulated time of the turn (seconds); it shapes the virtual clock, never the events."""
    chosen: int | None = None
    """Place among the shown answers of the one that is best, in a turn that chooses."""
    accepts: bool | None = None
    """Whether the shown answer is right, in a turn that checks."""
    rejected: tuple[int, ...] = ()
    """Places among the shown answers of those that were disputed, not used."""
    invalid: bool = False
    """The answer broke its format."""


class PureBackend(Backend):
    """A voter that is a function of the run's seed: no prompt, no journal, computed again on replay."""

    journaled = False

    @abstractmethod
    def respond(self, hint: Hint) -> VoterReply:
        """Return what the agent of `hint` answers in that turn."""

    @abstractmethod
    def cost(self, n_shown: int, by_rule: bool, speaks: bool) -> tuple[int, int]:
        """Return the tokens (in, out) of a turn that is shown `n_shown` claims."""


class ElasticBackend(PureBackend):
    """A voter that decides itself how much to spend on an answer, and whose success depends on it."""

    @abstractmethod
    def wants(self, left: int | None, team_left: int | None, n_agents: int) -> int:
        """Return what the agent means to spend on a turn (tokens); it gets that, or less when less is left.

        Args:
            left: what it is told of its own share (tokens); None when it is told nothing.
            team_left: what it is told of the team's budget (tokens); None when it is told nothing.
            n_agents: agents of the team.
        """

    @abstractmethod
    def spend(self, hint: Hint, tokens: int) -> VoterReply:
        """Return what the agent of `hint` answers when it spends `tokens`; `hint.difficulty` is that of its work."""


class Model(Part):
    """The ``model`` of a group of agents in a scenario: settings from which every host opens its own backend."""

    slot: ClassVar[str] = "agentsoc.models"
    free: ClassVar[bool] = False
    """Whether it never spends anything, so that it needs no price."""
    per_seed: ClassVar[bool] = True
    """Whether the backend depends on the run's seed; one that does not can serve several runs at once."""
    reply_form: ClassVar[str] = "json"
    """Form in which agents reply that do not say one: json, short or text."""
    native_tools: ClassVar[bool] = False
    """Whether it can be told of tools in its provider's way (`NativeRequest`), for ``reply: native``."""

    kind: str

    @abstractmethod
    def open(self, *, seed: int, share: int = 1) -> Backend:
        """Return a backend that is not started yet.

        Args:
            seed: the run's seed, for models that are functions of it.
            share: hosts that share this machine, for models that divide its cores among themselves.
        """

    def context_window(self) -> int | None:
        """Return what a request may hold, prompt and output together (tokens); None when that is not known.

        A society in which an agent has to read more than that at once is refused before it starts.
        """
        return None

    def counting(self) -> str:
        """Return how its backend bounds the tokens of a prompt: ``bytes``, ``exact``, or by what, in words."""
        return "a bound of the model's own"

    def counts_offline(self) -> bool:
        """Return whether its backend counts before it is started; otherwise it then gives a wider bound."""
        return True

    def require_files(self) -> None:
        """Check that what it needs is on this machine, such as its files, and start nothing; by default nothing.

        Raises:
            InputError: something is missing or another one; names what gets it. `Backend.start` would raise the same.
        """

    def destinations(self) -> tuple[Destination, ...]:
        """Return where prompts are sent and the environment variables that go with them; nothing for no network.

        What is returned is what a person is asked to agree to, so say all of it. A model that does not say it is
        taken to call an unknown address, and every command that runs it has to be told that this is wanted.
        """
        return (
            Destination(
                f"an address that the model {self.kind} does not say",
                f"any variable that the model {self.kind} reads",
                self.kind,
                known=False,
            ),
        )

    def rate_limits(self) -> tuple[int | None, int | None]:
        """Return the requests and the tokens a minute that its provider allows; None for no limit."""
        return (None, None)

    def script(self) -> Script | None:
        """Return the scripted policy that plays environments in its place; None, the default, for a model proper."""
        return None

    def label(self) -> str:
        """Return what messages call the model."""
        return self.kind

    def not_reproducible(self) -> str:
        """Return why running again may give other replies, or an empty string when it may not."""
        return ""


MODELS: Slot[Model] = Slot("agentsoc.models", "model")
"""The models that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""


_FRAME_BYTES: Final = 16
"""Bound on what a chat template puts around one message (tokens)."""


def bytes_bound(request: Request) -> int:
    """Return a bound on prompt tokens that holds for every byte-level tokenizer: one per UTF-8 byte, plus framing.

    A token covers at least one byte, and chat templates add a few marker tokens per message.
    """
    # a lone surrogate cannot be encoded; backends send U+FFFD in its place, which is three bytes as well
    size = sum(len(each.content.encode(errors="surrogatepass")) for each in request.messages)
    return size + _FRAME_BYTES * len(request.messages)
