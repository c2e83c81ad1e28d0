"""`search`: full-text search over texts beside the scenario, ranked by BM25, without an index on disk or a library.

score(d, q) = sum over words w of q of idf(w) tf (k1 + 1) / (tf + k1 (1 - b + b |d| / avgdl)), with
idf(w) = ln(1 + (n - n_w + 1/2) / (n_w + 1/2)): Robertson & Zaragoza, Found. Trends Inf. Retr. 3 (2009).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from agentsoc.contracts.tools import Effect, Tool, ToolSession
from agentsoc.errors import InputError
from agentsoc.scenario.files import LIMIT_BYTES, folder_files, open_text

_WORD: Final = re.compile(r"\w+")
_TEXTS_MAX: Final = 100_000
_SNIPPET: Final = 400
"""Length of what is shown of a text (characters)."""
K1: Final = 1.2
B: Final = 0.75


class Search(Tool):
    """Finds the texts that match words best: files of a folder, or the lines of a JSONL file."""

    effect: ClassVar[Effect] = "pure"

    kind: Literal["search"] = "search"
    file: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None
    """Name of a JSONL file beside the scenario; of each object, ``title`` and ``text`` are searched."""
    folder: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None
    """Name of a folder beside the scenario, whose .txt and .md files are searched: at most 10,000 of 50 MB in all."""
    about: Annotated[str, StringConstraints(max_length=400)] = ""
    """What the texts are about, for the agents."""
    results: int = Field(default=3, ge=1, le=50)
    """Most texts that one call gives (texts)."""

    @model_validator(mode="after")
    def _one_source(self) -> Search:
        if (self.file is None) == (self.folder is None):
            raise ValueError("give file or folder, one of them")
        return self

    def files(self) -> tuple[str, ...]:
        """Return the files that are searched."""
        return (self.file,) if self.file is not None else _of_folder(self.folder or "")

    def describe(self) -> str:
        """Return what it does."""
        about = f" about {self.about}" if self.about else ""
        return f"Searches texts{about} for words and gives the {self.results} that match best."

    def arguments(self) -> Mapping[str, Any]:
        """Return the schema of its one argument."""
        return {
            "type": "object",
            "properties": {"query": {"type": "string", "maxLength": 500}},
            "required": ["query"],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Return the titles of the best texts, each with the part that has most of the words."""
        texts, index = self._loaded
        found = index.best(str(arguments["query"]), self.results)
        if not found:
            return "nothing found"
        words = set(words_of(str(arguments["query"])))
        return "\n\n".join(f"{texts[at][0]}\n{_snippet(texts[at][1], words)}" for at in found)

    @cached_property
    def _loaded(self) -> tuple[tuple[tuple[str, str], ...], Index]:
        """Titles and texts, read once, with what ranks them."""
        texts = _of_files(self.folder or "") if self.file is None else _of_lines(self.file, open_text(self.file))
        return texts, Index([f"{title}\n{text}" for title, text in texts])

    def open(self) -> ToolSession:
        """Return a session; texts that cannot be read are found now."""
        _ = self._loaded
        return super().open()


def _of_folder(folder: str) -> tuple[str, ...]:
    names = folder_files(folder, (".txt", ".md"))
    if not names:
        raise InputError("this folder holds no .txt or .md file", folder)
    return tuple(names)


def _of_files(folder: str) -> tuple[tuple[str, str], ...]:
    """Return names and texts of the files of a folder; none is read further than what is left of the limit."""
    texts = []
    left = LIMIT_BYTES
    for name in _of_folder(folder):
        texts.append((name, open_text(name, limit_bytes=left)))
        left -= len(texts[-1][1].encode())
    return tuple(texts)


def _of_lines(name: str, content: str) -> tuple[tuple[str, str], ...]:
    texts = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError("this line is no JSON object", f"{name}:{number}") from None
        if not isinstance(data, dict) or not isinstance(data.get("text"), str):
            raise InputError('this line has no "text"', f"{name}:{number}")
        texts.append((str(data.get("title", f"line {number}")), data["text"]))
    if not texts or len(texts) > _TEXTS_MAX:
        raise InputError(f"{len(texts):,} texts; there have to be 1 to {_TEXTS_MAX:,}", name)
    return tuple(texts)


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class Index:
    """The object ranks texts by BM25."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(words_of(text)) for text in texts]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / max(len(texts), 1) or 1.0
        self._norms = [K1 * (1 - B + B * length / mean) for length in lengths]
        self._postings: dict[str, array[int]] = {}
        """Word -> the texts that have it, each followed by how often."""
        for at, count in enumerate(counts):
            for word, times in count.items():
                self._postings.setdefault(word, array("I")).extend((at, times))
        self._n = len(texts)

    def scores(self, query: str) -> dict[int, float]:
        """Return the score of each text that has a word of the query."""
        found: dict[int, float] = {}
        for word in dict.fromkeys(words_of(query)):
            postings = self._postings.get(word, array("I"))
            texts = len(postings) // 2
            idf = math.log(1 + (self._n - texts + 0.5) / (texts + 0.5))
            for at, times in zip(postings[::2], postings[1::2], strict=True):
                found[at] = found.get(at, 0.0) + idf * times * (K1 + 1) / (times + self._norms[at])
        return found

    def best(self, query: str, n: int) -> list[int]:
        """Return the places of the `n` best texts; of equals the first."""
        scores = self.scores(query)
        return sorted(scores, key=lambda at: (-scores[at], at))[:n]


def _snippet(text: str, words: set[str]) -> str:
    """Return the paragraph of a text that has most of the words, cut at its end."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()] or [""]
    best = max(parts, key=lambda part: len(words.intersection(words_of(part))))
    return best if len(best) <= _SNIPPET else best[: _SNIPPET - 1] + "…"
