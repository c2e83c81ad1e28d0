"""This module reads the tokens that a message, a reply or a span says were used, under the names that programs give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from analysis.importers.chats.chat import ToldUsage

TOKENS_MAX: Final = 1 << 53
"""Largest count that is believed (tokens)."""
_PLACES: Final = (
    "usage", "models_usage", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage", "llm_usage",
    "usageDetails", "usage_details",
)  # fmt: skip
_INPUT: Final = (
    "input_tokens", "prompt_tokens", "inputTokens", "promptTokens", "promptTokenCount", "prompt_token_count", "input",
)  # fmt: skip
_OUTPUT: Final = (
    "output_tokens", "completion_tokens", "outputTokens", "completionTokens", "candidatesTokenCount",
    "candidates_token_count", "output",
)  # fmt: skip
_CACHED: Final = (
    "cached_tokens", "cache_read_input_tokens", "input_cached_tokens", "cachedContentTokenCount", "cache_read",
)  # fmt: skip
_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details", "promptTokensDetails")


def usage_of(raw: Mapping[str, Any]) -> ToldUsage:
    """Return the usage that an object tells of itself, under any name that is known here."""
    inner = raw.get("response_metadata")
    places = [raw.get(key) for key in _PLACES]
    if isinstance(inner, Mapping):
        places += [inner.get(key) for key in _PLACES]
    for place in places:
        if isinstance(place, Mapping) and (found := counted(place)).known:
            return found
    return ToldUsage()


def counted(place: Mapping[str, Any]) -> ToldUsage:
    """Return the usage that a mapping of counts tells."""
    tokens_in, tokens_out, cached = _first(place, _INPUT), _first(place, _OUTPUT), _first(place, _CACHED)
    if cached is None:
        details: Mapping[str, Any] = next((place[key] for key in _DETAILS if isinstance(place.get(key), Mapping)), {})
        cached = _first(details, _CACHED)
    if tokens_in is None and tokens_out is None:
        return ToldUsage()
    tokens_in = tokens_in or 0
    if "cache_read_input_tokens" in place and "input_tokens" in place and "total_tokens" not in place:
        # Anthropic counts what was read from the cache, and written into it, apart from its input
        tokens_in += (cached or 0) + (_first(place, ("cache_creation_input_tokens",)) or 0)
    return ToldUsage(tokens_in, min(cached or 0, tokens_in), tokens_out or 0, known=True)


def _first(place: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((found for key in keys if (found := whole(place.get(key))) is not None), None)


def whole(value: object) -> int | None:
    """Return a count of tokens, which may be written as a float or a text; None for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = int(value) if isinstance(value, int | float | str) and len(str(value)) < 24 else -1
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= TOKENS_MAX else None
