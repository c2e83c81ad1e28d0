"""Tables fit the width that there is, and say what they leave out; colours are for terminals."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.printing import fitting
from agentsoc.printing.fitting import fit, folded, is_coloured

HEAD = ("run", "status", "events")
ROWS = [("sweep--organisation-alone--seed-1", "finished", "1,000"), ("b", "failed", "2")]


def test_what_fits_is_left_alone() -> None:
    table = fit(HEAD, ROWS, 80, right={"events"}, drop=("events",))
    assert table.dropped == ()
    assert table.lines[1] == "sweep--organisation-alone--seed-1  finished   1,000"
    assert table.lines[2] == "b                                  failed         2"


def test_columns_are_dropped_in_their_order_and_then_names_shortened() -> None:
    table = fit(HEAD, ROWS, 30, right={"events"}, drop=("nothing", "events"), tails={"run"})
    assert table.dropped == ("events",)
    assert table.lines[1] == "...ion-alone--seed-1  finished"
    assert all(len(line) <= 30 for line in table.lines)


def test_columns_that_matter_more_than_whole_names_go_last() -> None:
    table = fit(HEAD, ROWS, 40, right={"events"}, drop_last=("events",))
    assert table.dropped == ()
    assert table.lines[1] == "sweep--organisation...  finished   1,000"
    assert max(map(len, table.lines)) == 40
    table = fit(HEAD, ROWS, 22, right={"events"}, drop_last=("nothing", "events"))
    assert table.dropped == ("events",)
    assert max(map(len, table.lines)) <= 22


@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40), st.text("0123456789,", max_size=9)), max_size=5),
    st.integers(40, 120),
)
def test_no_line_is_wider_than_the_output(rows: list[tuple[str, str, str]], columns: int) -> None:
    table = fit(HEAD, rows, columns, right={"events"})
    assert all(len(line) <= columns for line in table.lines)
    assert all(line.isprintable() for line in table.lines)


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not is_coloured()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert is_coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not is_coloured()


def test_a_colour_does_not_move_the_columns() -> None:
    table = fit(HEAD, ROWS, 80, right={"events"}, tone=lambda column, text: "bad" if text == "failed" else "")
    assert table.lines[2] == "b                                  \x1b[31mfailed\x1b[0m         2"


def test_facts_are_folded_below_their_beginning_and_long_words_stay_whole() -> None:
    fact = "calls     18 calls, 9 failed, 0 lost; 3 rounds, 9 turns"
    assert folded(fact, 40, 10) == "calls     18 calls, 9 failed, 0 lost; 3\n          rounds, 9 turns"
    assert folded("digest    " + "a" * 64, 40, 10) == "digest    " + "a" * 64
    assert fitting.WIDTH == 80
