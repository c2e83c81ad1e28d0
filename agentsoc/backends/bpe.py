"""This module counts the tokens of a text for a model with byte-level BPE and the ``smollm`` pre-tokenizer.

Budgets are reserved and prompts are cut to size by these counts, so they must be exact, quick (a prompt is counted
several times while it is fitted) and the same on replay, when no model runs. The algorithm is that of llama.cpp for
this pre-tokenizer: every digit stands alone; between them the GPT-2 split into contractions, words with their leading
space, other signs and white space (Radford et al. 2019, section 2.2); inside a piece the merge of lowest rank first,
leftmost first (Sennrich et al. 2016). The tests compare it with the server's own count on every reply.
"""

from __future__ import annotations

import heapq
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

_CACHE: Final = 65_536
"""Pieces whose counts are remembered."""
_LONGEST_CACHED: Final = 64
_SPACE: Final = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def _split_pattern(letters: str, numbers: str) -> re.Pattern[str]:
    return re.compile(
        f"[{numbers}]"
        "|'(?:[stmd]|re|ve|ll)"
        f"| ?[{letters}]+"
        f"| ?[^{_SPACE}{letters}{numbers}]+"
        # white space leaves its last character to the word after it; before a digit and at the end it leaves nothing
        f"|[{_SPACE}]+(?![^{_SPACE}{numbers}])"
        f"|[{_SPACE}]+"
    )


_ASCII: Final = _split_pattern("A-Za-z", "0-9")


@cache
def _unicode_pattern() -> re.Pattern[str]:
    """Return the split for any text; built on first use because it looks at every code point."""
    return _split_pattern(_ranges("L"), _ranges("N"))


def _ranges(major: str) -> str:
    """Return the code points of a Unicode category as the inside of a character class."""
    parts: list[str] = []
    start: int | None = None
    for point in range(sys.maxunicode + 2):
        inside = point <= sys.maxunicode and unicodedata.category(chr(point))[0] == major
        if inside and start is None:
            start = point
        elif not inside and start is not None:
            parts.append(f"{re.escape(chr(start))}-{re.escape(chr(point - 1))}")
            start = None
    return "".join(parts)


def byte_characters() -> dict[str, int]:
    """Return which byte each character of a byte-level vocabulary stands for.

    Printable bytes stand for themselves; the others are moved up to U+0100 and on, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(moved)}


class Bpe:
    """A vocabulary, reduced to what counting needs."""

    def __init__(self, tokens: Sequence[bytes], merges: Sequence[bytes]) -> None:
        """Take the vocabulary of a GGUF file.

        Args:
            tokens: ``tokenizer.ggml.tokens``.
            merges: ``tokenizer.ggml.merges``: two symbols with a space between, in order of rank.
        """
        table = byte_characters()

        def raw(symbol: str) -> bytes:
            return bytes(table[character] for character in symbol)

        self._ranks: dict[tuple[bytes, bytes], int] = {}
        for rank, merge in enumerate(merges):
            left, right = merge.decode().split(" ")
            self._ranks.setdefault((raw(left), raw(right)), rank)
        known = {token.decode("utf-8", "replace") for token in tokens}
        # a byte without a token of its own is left out by llama.cpp, unless a merge took it in
        self._silent = frozenset(bytes([byte]) for character, byte in table.items() if character not in known)
        self._cached: dict[str, int] = {}

    def count(self, text: str) -> int:
        """Return the number of tokens of well-formed `text` without special tokens."""
        pattern = _ASCII if text.isascii() else _unicode_pattern()
        cached = self._cached
        total = 0
        for piece in pattern.findall(text):
            size = cached.get(piece)
            if size is None:
                size = self._merged(piece.encode())
                if len(piece) <= _LONGEST_CACHED:
                    if len(cached) >= _CACHE:
                        cached.clear()
                    cached[piece] = size
            total += size
        return total

    def _merged(self, piece: bytes) -> int:
        """Return how many symbols are left of a piece once no pair of neighbours can be merged."""
        symbols: list[bytes | None] = [piece[i : i + 1] for i in range(len(piece))]
        after = list(range(1, len(piece) + 1))
        before = list(range(-1, len(piece) - 1))
        ranks, end = self._ranks, len(piece)

        def pair(left: int) -> Iterator[tuple[int, int, bytes, bytes]]:
            right = after[left]
            if right < end:
                first, second = symbols[left], symbols[right]
                assert first is not None
                assert second is not None
                rank = ranks.get((first, second))
                if rank is not None:
                    yield rank, left, first, second

        queue = [entry for left in range(end - 1) for entry in pair(left)]
        heapq.heapify(queue)
        while queue:
            _, left, first, second = heapq.heappop(queue)
            right = after[left]
            if right >= end or symbols[left] != first or symbols[right] != second:
                continue  # one of the two has been merged with another neighbour since
            symbols[left], symbols[right] = first + second, None
            after[left] = after[right]
            if after[left] < end:
                before[after[left]] = left
            for changed in (before[left], left):
                if changed >= 0:
                    for entry in pair(changed):
                        heapq.heappush(queue, entry)
        return sum(symbol is not None and symbol not in self._silent for symbol in symbols)
