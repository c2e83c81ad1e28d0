"""This module keeps keys and passwords out of logs, manifests, reports, error messages and the terminal.

Two nets, because each has holes. By value: every secret that is known (a key that a backend uses, an environment
variable whose name says that it is one) is masked wherever it occurs, also in its URL-quoted and JSON-quoted forms. By
pattern: what looks like a key of a common provider is masked even when nobody told us of it.

`mask` applies the first net and is right for prompts and replies, which must stay as they are otherwise. `redact`
applies both and is right for error messages, settings and anything that is printed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from agentsoc.contracts.variables import is_secret_name

MASK: Final = "[redacted]"
SHORTEST: Final = 8
"""Shorter values are not secrets: masking them would eat ordinary words (characters)."""

_PATTERNS: Final = (
    # schemes of an Authorization header, and its whole value
    re.compile(r"(?i)(?<=authorization)(\"?\s*[:=]\s*\"?)(?:(?:bearer|basic|token)\s+)?[^\s\"',;]+"),
    re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    # name=value and "name": "value"
    re.compile(
        r"(?i)((?:api[_-]?key|x-api-key|access[_-]?token|client[_-]?secret|password)\"?\s*[:=]\s*\"?)[^\s\"',;&]{6,}"
    ),
    # user:password@ in a URL
    re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+(?=@)"),
)
_SHAPES: Final = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic and those who copy them
    r"|\bAIza[A-Za-z0-9_-]{30,}"  # Google
    r"|\b(?:gsk|xai|hf|pplx|nvapi|r8|ghp|gho|ghs|glpat|github_pat)[_-][A-Za-z0-9_-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"  # signed web tokens
)

_known: dict[str, None] = {}
_net: re.Pattern[str] | None = None


def register(*values: str | None) -> None:
    """Remember secrets of this process; empty and very short ones are ignored."""
    global _net
    before = len(_known)
    for value in values:
        text = (value or "").strip()
        if len(text) >= SHORTEST:
            for form in (text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1]):
                _known[form] = None
    if len(_known) != before:
        # longest first, so that a secret that contains another one is masked whole
        _net = re.compile("|".join(re.escape(form) for form in sorted(_known, key=len, reverse=True)))


def register_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Remember the values of all environment variables whose names say that they hold a secret."""
    register(*(value for name, value in environ.items() if is_secret_name(name)))


def forget() -> None:
    """Forget all remembered secrets, so that tests do not see each other's."""
    global _net
    _known.clear()
    _net = None


def mask(text: str) -> str:
    """Return `text` with every known secret masked and nothing else changed."""
    return text if _net is None else _net.sub(MASK, text)


def redact(text: str) -> str:
    """Return `text` with known secrets masked, and what looks like a key or password as well."""
    text = _SHAPES.sub(MASK, mask(text))
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text
