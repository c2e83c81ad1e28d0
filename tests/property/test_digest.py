"""The digest is over what the rows say: blind to how they are cut and encoded, awake to every single cell."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentsoc.events import KINDS, LABEL_SOURCES, Event
from agentsoc.log.digest import Digest, digest_of
from agentsoc.log.schema import COLUMNS, SCHEMA, from_table, to_table

steady = settings(deadline=None, derandomize=True, max_examples=60)

INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
FLOAT = st.floats(allow_nan=False)
TEXT = st.text(max_size=12)

CELLS: dict[str, st.SearchStrategy[Any]] = {
    "task": INT64,
    "round": INT32,
    "agent": INT64,
    "k": INT32,
    "kind": st.sampled_from(KINDS),
    "claim": st.none() | INT64,
    "parents": st.lists(INT64, max_size=4).map(tuple),
    "target": st.none() | INT64,
    "subtask": st.none() | INT64,
    "subtask_parent": st.none() | INT64,
    "answer": st.none() | TEXT,
    "correct": st.none() | FLOAT,
    "confidence": st.none() | FLOAT,
    "text": st.none() | TEXT,
    "calls": INT32,
    "tokens_in": INT64,
    "tokens_cached": INT64,
    "tokens_out": INT64,
    "label_source": st.sampled_from(LABEL_SOURCES),
}
EVENTS = st.builds(Event, **CELLS)

PLAIN = [
    Event(0, 0, 0, 0, "propose_claim", 7, answer="heads", text="grüß – 你好 🎲", correct=1.0, calls=1, tokens_in=30),
    Event(0, 0, 1, 0, "propose_claim", 2**62, answer="", text="", confidence=0.25),
    Event(0, 1, 2, 0, "merge_claims", 9, (7, 2**62), answer="heads", correct=0.5, tokens_cached=3, tokens_out=4),
    Event(0, 1, 2, 1, "endorse_claim", None, (7,), 7),
    Event(0, 1, 3, 64, "delegate_subtask", target=1, subtask=11, subtask_parent=10, label_source="judge"),
    Event(0, 2, -1, 0, "answer", answer="heads", text=None),
    Event(0, 2, -1, 1, "stop", answer="finished"),
]


def changed(event: Event, name: str, value: Any) -> Event:
    return msgspec.structs.replace(event, **{name: value})


@steady
@given(st.lists(EVENTS, max_size=20))
def test_events_survive_the_way_into_columns_and_back(events: list[Event]) -> None:
    table = to_table(events)
    assert table.schema.equals(SCHEMA)
    assert list(from_table(table)) == events


@steady
@given(st.lists(EVENTS, max_size=12))
def test_the_digest_is_what_its_description_says(events: list[Event]) -> None:
    """Computed a second time from the module's docstring, row by row and without Arrow."""
    whole = hashlib.sha256(b"agentsoc-events-1" + struct.pack("<Q", len(events)))
    for field in SCHEMA:
        values = [getattr(event, field.name) for event in events]
        whole.update(b"".join(_streams(values, str(field.type), field.nullable)))
    assert digest_of(to_table(events)) == whole.hexdigest()


@steady
@given(st.lists(EVENTS, min_size=1, max_size=20), st.data())
def test_the_digest_does_not_see_where_tables_are_cut(events: list[Event], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    running = Digest()
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        running.update(to_table(events[start:end]))
    assert running.rows == len(events)
    assert running.hexdigest() == digest_of(to_table(events))


@steady
@given(st.lists(EVENTS, min_size=1, max_size=20), st.lists(EVENTS, max_size=3), st.lists(EVENTS, max_size=3))
def test_the_digest_sees_a_slice_as_a_table_of_its_own(
    events: list[Event], before: list[Event], after: list[Event]
) -> None:
    part = to_table([*before, *events, *after]).slice(len(before), len(events))
    assert digest_of(part) == digest_of(to_table(events))
    pieces = pa.concat_tables([part.slice(0, 1), to_table([]), part.slice(1)])
    assert digest_of(pieces) == digest_of(to_table(events))


@steady
@given(st.lists(EVENTS, min_size=1, max_size=20), st.data())
def test_the_digest_does_not_see_how_words_are_encoded(events: list[Event], data: st.DataObject) -> None:
    table = to_table(events)
    expected = digest_of(table)
    assert digest_of(_plain(table)) == expected
    cut = data.draw(st.integers(0, len(events)))
    two = pa.concat_tables([to_table(events[:cut]), to_table(events[cut:])])  # each with a dictionary of its own
    assert digest_of(two) == digest_of(two.unify_dictionaries()) == digest_of(two.combine_chunks()) == expected


@steady
@given(st.lists(EVENTS, min_size=1, max_size=10))
def test_the_digest_sees_a_null_as_a_null_wherever_it_is_kept(events: list[Event]) -> None:
    table = to_table(events)
    position = COLUMNS.index("answer")
    words = sorted({event.answer for event in events if event.answer is not None})
    indices = pa.array([0 if e.answer is None else 1 + words.index(e.answer) for e in events], pa.int32())
    in_dictionary = pa.DictionaryArray.from_arrays(indices, pa.array([None, *words], pa.string()))
    assert digest_of(table.set_column(position, SCHEMA.field("answer"), in_dictionary)) == digest_of(table)


@steady
@given(st.lists(EVENTS, min_size=1, max_size=8), st.sampled_from(COLUMNS), st.data())
def test_the_digest_changes_with_every_single_cell(events: list[Event], name: str, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(events) - 1))
    value = data.draw(CELLS[name])
    assume(value != getattr(events[row], name))
    other = [*events[:row], changed(events[row], name, value), *events[row + 1 :]]
    assert digest_of(to_table(other)) != digest_of(to_table(events))


@steady
@given(st.lists(EVENTS, min_size=2, max_size=8), st.data())
def test_the_digest_changes_when_a_row_is_moved_dropped_or_doubled(events: list[Event], data: st.DataObject) -> None:
    expected = digest_of(to_table(events))
    first, second = data.draw(st.lists(st.integers(0, len(events) - 1), min_size=2, max_size=2, unique=True))
    swapped = list(events)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    assert (digest_of(to_table(swapped)) == expected) == (events[first] == events[second])
    assert digest_of(to_table(events[:first] + events[first + 1 :])) != expected
    assert digest_of(to_table(events[:first] + events[first:][:1] + events[first:])) != expected


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("text", ("ab", "c"), ("a", "bc")),
        ("text", ("", None), (None, "")),
        ("answer", ("", "x"), ("x", "")),
        ("parents", ((1, 2), ()), ((1,), (2,))),
        ("parents", ((), (1,)), ((1,), ())),
        ("claim", (0, None), (None, 0)),
        ("confidence", (0.0, None), (None, 0.0)),
    ],
)
def test_values_cannot_slide_from_row_to_row(name: str, one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    def digest(values: tuple[Any, Any]) -> str:
        return digest_of(to_table([changed(PLAIN[0], name, value) for value in values]))

    assert digest(one) != digest(other)


def test_equal_numbers_have_equal_digests() -> None:
    minus, plus = (digest_of(to_table([changed(PLAIN[0], "confidence", zero)])) for zero in (-0.0, 0.0))
    assert minus == plus


def test_the_digest_of_a_stored_log_never_changes() -> None:
    """Pinned: if these differ, every log that was ever written counts as damaged."""
    assert digest_of(to_table([])) == "8c58304902b8293edd89cfc8eab6e9e88ba3c0f83ed780df3391b0361aa68971"
    assert digest_of(to_table(PLAIN)) == "157a38aeb9b1b77f8fe4ede0a4c059921e5d5dc8e3884c2d0717d747c964dd6a"


def _plain(table: pa.Table) -> pa.Table:
    words = [i for i, field in enumerate(SCHEMA) if pa.types.is_dictionary(field.type)]
    for position in words:
        table = table.set_column(position, COLUMNS[position], table.column(position).cast(pa.string()))
    return table


def _streams(values: list[Any], kind: str, nullable: bool) -> list[bytes]:
    """Return the hashes of a column's validity, lengths and values; 32 zeros for one that was never fed."""
    none = bytes(32)
    if not values:
        return [none, none, none]
    valid = _sha(bytes(value is not None for value in values)) if nullable else none
    if "string" in kind:
        texts = [(value or "").encode() for value in values]
        lengths = _sha(b"".join(struct.pack("<q", len(text)) for text in texts))
        return [valid, lengths, _sha(b"".join(texts)) if any(texts) else none]
    if "list" in kind:
        lengths = _sha(b"".join(struct.pack("<q", len(value)) for value in values))
        return [valid, lengths, _sha(b"".join(struct.pack("<q", x) for value in values for x in value))]
    code = "<d" if kind == "double" else "<q"
    return [valid, none, _sha(b"".join(struct.pack(code, (value or 0) + 0) for value in values))]


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
