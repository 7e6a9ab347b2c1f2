"""How often a worker may be started again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentd.backoff import LAST_NS, LIMIT, WINDOW_NS, Backoff
from hal.clock import NS_PER_S


def test_the_first_restart_is_at_once_and_the_next_ones_wait_longer() -> None:
    backoff = Backoff()
    waits = [backoff.died(NS_PER_S * i) for i in range(LIMIT)]
    assert waits == [0, NS_PER_S // 10, NS_PER_S // 5, 2 * NS_PER_S // 5, 4 * NS_PER_S // 5]


def test_one_death_more_than_the_limit_within_the_window_is_too_many() -> None:
    backoff = Backoff()
    for i in range(LIMIT):
        assert backoff.died(i) is not None
    assert backoff.died(WINDOW_NS) is None, "the first death is still in the window"


def test_old_deaths_are_forgotten() -> None:
    backoff = Backoff()
    for i in range(LIMIT):
        backoff.died(i)
    assert backoff.died(WINDOW_NS + LIMIT) == 0


def test_clearing_starts_anew() -> None:
    backoff = Backoff()
    for i in range(LIMIT + 1):
        backoff.died(i)
    backoff.clear()
    assert backoff.died(NS_PER_S) == 0


@given(st.lists(st.integers(0, 20 * NS_PER_S), max_size=40))
def test_waits_are_bounded_and_a_loop_never_restarts_more_often_than_the_limit(gaps_ns: list[int]) -> None:
    backoff, now_ns, restarts = Backoff(), 0, []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        wait_ns = backoff.died(now_ns)
        if wait_ns is None:
            break
        assert 0 <= wait_ns <= LAST_NS
        restarts.append(now_ns)
    for i, at_ns in enumerate(restarts):
        assert sum(at_ns - WINDOW_NS <= other <= at_ns for other in restarts[: i + 1]) <= LIMIT
    assert all(a <= b for a, b in pairwise(restarts))
