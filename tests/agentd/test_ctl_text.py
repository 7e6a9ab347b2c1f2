"""Numbers for people, and lines that fit."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.ctl.text import RED, Cell, Paper, age, byte_count, duration, many, number, plain, quantity

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "-"), (0.4, "0 µs"), (60.2, "60 µs"), (999.4, "999 µs"), (999.6, "1.00 ms"), (1234, "1.23 ms"),
     (12_345, "12.3 ms"), (123_456, "123 ms"), (999_600, "1.00 s"), (2_100_000, "2.10 s")],
)  # fmt: skip
def test_a_duration_has_three_digits_and_its_unit(us: float, text: str) -> None:
    assert duration(us) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (-0.1, "0 ms"), (0.0123, "12 ms"), (3.21, "3.2 s"), (100, "1 min 40 s"), (3599.6, "1 h 00 min"),
     (7800, "2 h 10 min"), (273_600, "3 d 4 h")],
)  # fmt: skip
def test_an_age_is_told_as_people_do(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (14_200_000, "14.2 MB"), (5e14, "500 TB")]
)
def test_bytes_are_counted_in_thousands(count: float, text: str) -> None:
    assert byte_count(count) == text


@given(st.floats(min_value=1, max_value=1e9))
def test_a_duration_is_never_rounded_by_more_than_it_shows(us: float) -> None:
    value, unit = duration(us).split()
    shown = float(value) * {"µs": 1, "ms": 1e3, "s": 1e6}[unit]
    assert abs(shown - us) <= max(0.5, us * 0.006)


@given(st.integers(min_value=0, max_value=999_999_999))
def test_a_counter_stays_short(count: int) -> None:
    assert len(many(count)) <= 6


def test_a_value_carries_its_unit() -> None:
    assert quantity(0.123456789, "m") == "0.12346 m"
    assert quantity(8_123_456_789, "B") == "8.12 GB"
    assert quantity(1500.0, "B/s") == "1.50 kB/s"
    assert quantity(True, "") == "true"
    assert number(3) == "3"


@given(st.text())
def test_what_others_wrote_cannot_steer_the_terminal(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", plain(text))


def test_a_cell_cannot_steer_the_terminal_either() -> None:
    assert Paper().table([("a\x1b[2J", Cell("b\x07\x07\x07")), ("cc", "d")], head=False) == ["a [2J  b", "cc     d"]


CELLS = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.integers(20, 120))
def test_no_line_of_a_table_is_wider_than_the_paper(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = Paper(width, colour=True).table([(a, Cell(b, RED), c) for a, b, c in rows], right=(1,))
    assert len(lines) == len(rows)
    assert max(len(ANSI.sub("", line)) for line in lines) <= width


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_a_pipe_gets_every_cell_whole(rows: list[tuple[str, str]]) -> None:
    lines = Paper().table(rows)
    assert [tuple(line.split()) for line in lines] == rows


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), max_size=300), st.integers(30, 120))
def test_a_sentence_is_wrapped_within_the_paper(text: str, width: int) -> None:
    lines = Paper(width).wrapped(text, "  ! ")
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("  ! ")


def test_there_is_no_colour_in_a_pipe() -> None:
    assert Paper.of_terminal() == Paper(None, colour=False)


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_there_is_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Paper.of_terminal().colour
    monkeypatch.setenv(variable, value)
    assert not Paper.of_terminal().colour
