"""Why a tick was missed: the culprit is the one that took more than usual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.runtime.accounting import Account, u32
from tests.agentd.loop_parts import MS


@pytest.mark.parametrize(
    ("between", "parts", "culprit", "words"),
    [
        ((0, 0, 0), (9, 1), "motor", "motor took 9.00 ms, usually 1.00 ms"),
        ((0, 0, 0), (1, 6), "follow", "follow took 6.00 ms, usually 1.00 ms"),
        ((8, 0, 0), (2, 1), "wake", "it was woken 8.00 ms late"),
        ((8, 7, 0), (2, 1), "gc", "garbage collection ran into it for 7.00 ms"),
        ((8, 0, 7), (2, 1), "housekeeping", "ran into it for 7.00 ms"),
        ((8, 2, 1), (2, 1), "wake", "it was woken 8.00 ms late"),
        ((0, 0, 0), (1, 1), "bookkeeping", "bookkeeping took 10.00 ms"),
    ],
)
def test_the_cause_is_what_took_more_than_usual(
    between: tuple[int, int, int], parts: tuple[int, int], culprit: str, words: str
) -> None:
    wake, collected, overran = between
    account = Account(("motor", "follow"))
    account.parts_ns[:] = [MS, MS]
    for _ in range(1000):
        account.close_tick()
    account.parts_ns[:] = [ms * MS for ms in parts]
    account.collected_ns, account.overran_ns = collected * MS, overran * MS
    total_ns = 12 * MS if culprit == "bookkeeping" else sum(parts) * MS
    text, data = account.cause(wake * MS, total_ns, 3 * MS)
    assert data["cause"] == culprit
    assert words in text
    assert account.missed_total == 1


@given(st.integers(-(2**40), 2**70))
def test_durations_saturate(duration_ns: int) -> None:
    assert u32(duration_ns) == min(max(duration_ns, 0), 2**32 - 1)
