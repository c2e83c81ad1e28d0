"""This module imports conversations in the wrappings of other frameworks: every message of an agent is a claim.

Which wrappings, and how they are told, is in `analysis.importers.chats.wrappings`; what one message says in
`analysis.importers.chats.message_forms`; what it builds on, by the rule that is asked for, in
`analysis.importers.chats.chat_rows`. A file may be JSON, or JSON with a conversation or a message a line, packed with
gzip or not; a directory holds such files at any depth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, cast

import polars as pl

from agentsoc.errors import InputError
from analysis.importers.chats.chat import PARENT_RULES, ParentRule
from analysis.importers.chats.chat_rows import PlacedChat, table_of
from analysis.importers.chats.foreign import foreign_format
from analysis.importers.chats.read_chats import read_chats
from analysis.importers.chats.wrappings import unwrap
from analysis.importers.importer import Importer, LogReading
from analysis.importers.loose_json import BadParts, files_at, whole_text
from analysis.importers.sample import ImportSample
from analysis.importers.transcripts import notes as notes_on_faults
from analysis.tables import EventTable

MESSAGES_MAX: Final = 5_000_000
"""Messages that are read from one place (messages)."""


class Messages(Importer):
    """The importer reads conversations in any of the wrappings that it knows."""

    name: ClassVar[str] = "messages"
    place: ClassVar[int] = 3
    reads: ClassVar[str] = "conversations"
    parent_rules: ClassVar[tuple[str, ...]] = PARENT_RULES

    def read(self, path: Path, parents: str) -> LogReading:
        """Return the conversations in the file or directory `path`."""
        return self.read_parts(path, parents, BadParts(), partial=False)

    def read_parts(self, path: Path, parents: str, bad: BadParts, *, partial: bool) -> LogReading:
        """Return the conversations; what cannot be read is passed over where `bad` says so."""
        rule = cast(ParentRule, parents)
        chats = _placed(path, bad)
        forms = Counter(placed.chat.form for placed in chats)
        table = table_of(chats, rule, str(path))
        told = (*_notes(chats), *bad.notes(), *_notes_of_rule(chats, table, rule))
        return LogReading(table, {"format": ", ".join(forms), "parents": rule}, told)

    def recognises(self, sample: ImportSample) -> str | None:
        """Return the name of the format where the sample holds a conversation."""
        if sample.value is None or foreign_format(sample.value) is not None:
            return None
        try:
            return unwrap(sample.value, str(sample.path))[0].form
        except InputError:
            return None


def _placed(path: Path, bad: BadParts) -> list[PlacedChat]:
    chats: list[PlacedChat] = []
    n = 0
    taken: set[str] = set()
    for file in files_at(path):
        at_all = file.name.split(".")[0] if file == path else file.relative_to(path).with_suffix("").as_posix()
        own = whole_text(at_all)  # a name of a file may hold bytes that are no text
        found = list(read_chats(file, bad))
        for at, chat in enumerate(found):
            n += len(chat.messages)
            if n > MESSAGES_MAX:
                raise InputError(f"more than {MESSAGES_MAX:,} messages", str(path), "import it in parts")
            base = f"{own}/{chat.name or at}" if len(found) > 1 or chat.name else own
            name = base if base not in taken else f"{base}/{len(chats)}"
            taken.add(name)
            run = whole_text(path.name.split(".")[0] or path.name)
            chats.append(PlacedChat(run, name, chat, own.rpartition("/")[0] or None))
    if not chats:
        raise InputError("no conversation was read", str(path), "; ".join(bad.skipped[:3]) or "is it empty?")
    return chats


def _notes(chats: Sequence[PlacedChat]) -> list[str]:
    """Return what was assumed and what was passed over."""
    forms = Counter(placed.chat.form for placed in chats)
    told = [f"format: {', '.join(f'{form} ({n:,})' if len(forms) > 1 else form for form, n in forms.items())}"]
    passed: Counter[str] = Counter()
    for placed in chats:
        passed.update(placed.chat.passed_over)
    told += [f"{n:,} x {what}, no act of an agent" if _counts(what) else what for what, n in sorted(passed.items())]
    messages = [message for placed in chats for message in placed.chat.messages]
    used = sum(message.usage.known for message in messages)
    if not used:
        told.append("no message says what it cost: tokens and calls are not known")
    elif used < len(messages):
        told.append(f"usage is told of {used:,} of {len(messages):,} messages; of the others it is not known")
    return told


def _counts(what: str) -> bool:
    """Return whether a remark counts messages; others are sentences."""
    return ":" not in what and not what.startswith("replies with")


def _notes_of_rule(chats: Sequence[PlacedChat], table: EventTable, rule: ParentRule) -> list[str]:
    """Return what the rule for parents forces, where it is used; a table without faults needs no line on them."""
    debates = sum(any(message.builds_on is not None for message in placed.chat.messages) for placed in chats)
    told = []
    if debates:
        told.append("an answer of a debate builds on the agent's own before it, and on those that its prompt repeats")
    if debates < len(chats):
        told += notes_on_faults(table, rule)
    faults = table.events.filter(pl.col("kind") == "fault").height
    return told if faults else [note for note in told if "annotated mistakes" not in note]
