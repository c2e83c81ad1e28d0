"""This module turns what a remote model sent into a `Completion` or a `CallError`; it reads and writes nothing.

Providers disagree in everything that matters: a missing usage is 0 in some clients, quota exhaustion is a 429, a full
context window is a 400 with a text. The decisions are made here once, for every client.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from agentsoc.backends.choices import allows, leaves_number_open, pattern
from agentsoc.backends.secrets import mask, redact
from agentsoc.backends.text import plain
from agentsoc.contracts.model import CallError, Completion, FailureKind, Request, Usage

REPLY_BYTES: Final = 256 * 1024
"""Longest reply that is accepted (bytes of UTF-8); a longer one is a failed call, not a cut reply."""
BODY_BYTES: Final = 4 * REPLY_BYTES
"""Longest HTTP body that is read: JSON may spend several bytes on one of the text's."""
TOKENS_MAX: Final = 10_000_000
"""Token counts above this are taken for nonsense: no model reads or writes as much in one call."""
RETRY_AFTER_MAX: Final = 3600.0
MESSAGE_CHARS: Final = 300

_TOO_LONG: Final = re.compile(
    r"context[_ ](?:length|window|size)|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|exceed_context_size|input is too long|reduce the length",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]{0,500}>", re.IGNORECASE | re.DOTALL)
_QUOTA: Final = re.compile(r"insufficient_quota|exceeded your current quota|billing|payment required", re.IGNORECASE)


def completion(
    content: object, finish: object, usage: object, refusal: object = None, choices: Sequence[str] = ()
) -> Completion:
    """Return the completion made of these parts of a reply.

    Args:
        content: the message's text, or a list of its parts.
        finish: the provider's finish reason.
        usage: a mapping in the OpenAI form, or anything else when there was none.
        refusal: the provider's text when the model declined to answer.
        choices: when not empty, the reply is expected as ``{"choice": ...}`` with one of them, and is unwrapped.

    Raises:
        CallError: ``empty`` without content, ``server`` when the content is no text or over the size limit.
    """
    used = usage_of(usage)
    if isinstance(content, list):
        content = joined(content)
    if content is None or content == "":
        why = f"the model declined: {refusal}" if isinstance(refusal, str) and refusal else "a reply without content"
        raise CallError("empty", shorten(f"{why} (finish reason {finish})"), None, used)
    if not isinstance(content, str):
        raise CallError("server", f"the reply's content is of type {type(content).__name__}, not text", None, used)
    text = mask(plain(content))
    size = len(text.encode())
    if size > REPLY_BYTES:
        raise CallError("server", f"a reply of {size} bytes is over the limit of {REPLY_BYTES}", None, used)
    if used.known and used.tokens_out == 0:
        used = Usage(known=False)  # text without a single token: the count was made up on the way
    return Completion(unwrap(text, choices), used, "length" if finish == "length" else "stop")


def joined(parts: Sequence[object]) -> object:
    """Return the text of a message that comes in parts; the list itself when none of them is text."""
    texts = [part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, str | Mapping)]
    found = [text for text in texts if isinstance(text, str)]
    return "".join(found) if found or not parts else list(parts)


def usage_of(raw: object) -> Usage:
    """Return the usage that a provider reported; unknown when it is missing, zero, negative or absurd.

    Output tokens are at least total minus prompt: some providers leave reasoning tokens out of the completion's. The
    names of OpenAI, DeepSeek (cache hits) and Anthropic (whose input tokens leave the cached ones out) are read.
    """
    if not isinstance(raw, Mapping):
        return Usage(known=False)
    if not raw.get("prompt_tokens") and "input_tokens" in raw:  # a client may have put zeros beside them
        return _usage_as_input_output(raw)
    tokens_in, tokens_out, total = (
        _tokens(raw.get(key)) for key in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if not tokens_in or tokens_out is None or (total is None and raw.get("total_tokens") is not None):
        return Usage(known=False)
    details = raw.get("prompt_tokens_details")
    cached = _tokens(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    if cached is None:
        cached = _tokens(raw.get("prompt_cache_hit_tokens"))
    return Usage(tokens_in, min(cached or 0, tokens_in), max(tokens_out, (total or 0) - tokens_in))


def _usage_as_input_output(raw: Mapping[Any, Any]) -> Usage:
    """Return a usage of input and output tokens, with cached ones inside of the input or beside it."""
    tokens_in, tokens_out = _tokens(raw.get("input_tokens")), _tokens(raw.get("output_tokens"))
    if tokens_in is None or tokens_out is None:
        return Usage(known=False)
    details = raw.get("input_tokens_details")
    if isinstance(details, Mapping):
        cached = min(_tokens(details.get("cached_tokens")) or 0, tokens_in)
    else:
        cached = _tokens(raw.get("cache_read_input_tokens")) or 0
        tokens_in += cached + (_tokens(raw.get("cache_creation_input_tokens")) or 0)
    if not 0 < tokens_in <= TOKENS_MAX:
        return Usage(known=False)
    return Usage(tokens_in, cached, tokens_out)


def _tokens(value: object) -> int | None:
    """Return a believable token count, or None; some servers write whole numbers as floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX else None


def failure(
    status: int | None, message: str, retry_after: str | None = None, quota_code: str = "", now: float | None = None
) -> CallError:
    """Return the failure that an HTTP status with this error text stands for.

    Args:
        status: HTTP status, None when there was none.
        message: the provider's error text; kept short and without secrets.
        retry_after: value of the Retry-After header, seconds or a date.
        quota_code: the provider's error code, if any.
        now: time of arrival (seconds since the epoch), for a date in `retry_after`; None for the clock.
    """
    kind: FailureKind
    if status == 429:
        # an empty account answers like a full server, but waiting does not fill it
        kind = "rejected" if _QUOTA.search(f"{quota_code} {message}") else "rate_limited"
    elif status in (503, 529):
        kind = "unavailable"
    elif status == 408:
        kind = "timeout"
    elif status == 413 or (status in (400, 422) and _TOO_LONG.search(f"{quota_code} {message}")):
        kind = "too_long"
    elif status is not None and 300 <= status < 500 and status not in (409, 425):
        kind = "rejected"  # redirects are not followed: they would take the key along
    else:
        kind = "server"
    label = f"HTTP {status}: " if status is not None else ""
    if status is not None and 300 <= status < 400:
        label += "a redirect, which is not followed, as it would take the key along; name where it leads in base_url. "
    if "<html" in message[:200].lower():
        message = _TAG.sub(" ", message) + "(an HTML page)"
    return CallError(kind, shorten(label + message), seconds(retry_after, now) if kind != "rejected" else None)


def seconds(retry_after: str | None, now: float | None = None) -> float | None:
    """Return a Retry-After header's pause (seconds, at most an hour), or None when it says nothing usable."""
    if not retry_after:
        return None
    try:
        pause = float(retry_after)
    except ValueError:
        try:
            pause = parsedate_to_datetime(retry_after).timestamp() - (time.time() if now is None else now)
        except (ValueError, OverflowError):
            return None
    if pause != pause:
        return None
    return min(max(pause, 0.0), RETRY_AFTER_MAX)


def shorten(message: str) -> str:
    """Return an error text fit for a log: one line, no secrets, no stack trace, at most 300 characters."""
    first = message[: 20 * MESSAGE_CHARS].split("Traceback (most recent call last)")[0]
    line = " ".join(plain(redact(first)).split())
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 3] + "..."


def response_format(request: Request) -> dict[str, Any] | None:
    """Return the ``response_format`` that makes a provider keep to the request's schema or choices.

    Choices are asked for as ``{"choice": ...}`` because structured output must be an object; `unwrap` undoes it.
    Whoever is given it may change it.

    Raises:
        CallError: ``rejected`` when the schema is no JSON object.
    """
    return _format(request.schema, request.choices)


@lru_cache(maxsize=256)
def format_text(schema: str | None, choices: tuple[str, ...]) -> str:
    """Return the ``response_format`` of requests with a schema or choices as JSON text; empty where there is neither.

    Raises:
        CallError: see `response_format`.
    """
    found = _format(schema, choices)
    return "" if found is None else json.dumps(found)


@lru_cache(maxsize=256)
def kept_format(schema: str | None, choices: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Return what `response_format` does, made once for all requests with a schema or choices; nobody may change it."""
    return _format(schema, choices)


def _format(schema_text: str | None, one: tuple[str, ...]) -> dict[str, Any] | None:
    if schema_text is not None:
        try:
            schema = msgspec.json.decode(schema_text, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise CallError("rejected", f"the request's schema is no JSON object: {error}") from None
    elif one:
        allowed = {"pattern": pattern(one)} if leaves_number_open(one) else {"enum": list(one)}
        schema = {
            "type": "object",
            "properties": {"choice": {"type": "string", **allowed}},
            "required": ["choice"],
            "additionalProperties": False,
        }
    else:
        return None
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": is_closed(schema)}}


def is_closed(schema: object) -> bool:
    """Tell whether every object in `schema` requires all its properties and allows no other, as strict mode demands."""
    if isinstance(schema, Mapping):
        if "properties" in schema or schema.get("type") == "object":
            properties, required = schema.get("properties") or {}, schema.get("required") or ()
            if schema.get("additionalProperties") is not False or set(properties) != set(required):
                return False
        return all(is_closed(value) for value in schema.values())
    return not isinstance(schema, list) or all(is_closed(value) for value in schema)


def unwrap(text: str, choices: Sequence[str]) -> str:
    """Return the choice inside ``{"choice": ...}``; the text itself when it is something else (cut, or plain)."""
    if choices:
        try:
            inner = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
        said = inner.get("choice") if isinstance(inner, dict) else None
        if isinstance(said, str) and allows(choices, said):
            return said
    return text
