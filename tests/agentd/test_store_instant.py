"""Instants are understood as people and programs write them, and written so that they are understood again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.store.instant import iso, parse
from hal.clock import NS_PER_S

NOW = 1_700_001_000 * NS_PER_S


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-10m", NOW - 600 * NS_PER_S),
        ("-1.5h", NOW - 5400 * NS_PER_S),
        ("-30", NOW - 30 * NS_PER_S),
        ("2026-11-21T10:00:00Z", 1795255200 * NS_PER_S),
        ("2026-11-21T12:00:00.123456789+02:00", 1795255200 * NS_PER_S + 123456789),
        ("1795255200.25", 1795255200 * NS_PER_S + NS_PER_S // 4),
    ],
)
def test_an_instant_is_understood(text: str, expected: int) -> None:
    assert parse(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "10m", "-10y", "2026-13-01", "1e300", "nan", "9999-01-01", "-99999w"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text, NOW)


@given(utc_ns=st.integers(0, 2**63 - 1))
def test_what_is_written_is_understood_again(utc_ns: int) -> None:
    assert parse(iso(utc_ns), NOW) == utc_ns
