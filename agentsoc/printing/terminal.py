"""This module prints: results to stdout, all else (progress, questions, errors) to stderr, made safe."""

from __future__ import annotations

import json
import sys
from io import TextIOWrapper
from typing import Any

import msgspec

from agentsoc.printing.text import safe


def say(text: str = "") -> None:
    """Print a part of the result on stdout."""
    print(safe(text), flush=True)


def print_safe(text: str) -> None:
    """Print a part of the result whose words are safe already and may be coloured; see `agentsoc.printing.fitting`."""
    print(text, flush=True)


def note(text: str) -> None:
    """Print something that is no result on stderr."""
    print(safe(text), file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """Print one JSON document on stdout: ASCII only, so that no locale or terminal can garble it."""
    print(indented(data), flush=True)


def indented(data: Any) -> str:
    """Return what ``json.dumps(data, indent=1, allow_nan=False)`` does; Python alone indents slowly."""
    try:
        return msgspec.json.format(json.dumps(data, allow_nan=False), indent=1)
    except (msgspec.DecodeError, RecursionError):  # half a character, or very deep
        return json.dumps(data, indent=1, allow_nan=False)


def tolerate_any_encoding() -> None:
    """Let characters that the terminal's encoding lacks be printed as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
