"""When ticks happen: one grid of deadlines, nothing early, nothing piled up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.runtime.schedule import Schedule

ORIGIN_NS = 1_000_000_000
PERIOD_NS = 10_000_000


def test_ticks_in_time_are_all_run() -> None:
    schedule = Schedule(PERIOD_NS, ORIGIN_NS)
    for number in range(5):
        deadline_ns = schedule.deadline_ns
        assert (schedule.number, deadline_ns) == (number, ORIGIN_NS + number * PERIOD_NS)
        assert schedule.woke(deadline_ns + 50_000) == 0
        assert schedule.done(deadline_ns + PERIOD_NS // 2) == 0


def test_a_tick_that_ends_late_drops_those_that_came_due_meanwhile() -> None:
    schedule = Schedule(PERIOD_NS, ORIGIN_NS)
    assert schedule.done(ORIGIN_NS + 35_000_000) == 3
    assert (schedule.number, schedule.deadline_ns) == (4, ORIGIN_NS + 4 * PERIOD_NS)


def test_a_tick_that_ends_exactly_when_the_next_is_due_drops_nothing() -> None:
    schedule = Schedule(PERIOD_NS, ORIGIN_NS)
    assert schedule.done(ORIGIN_NS + PERIOD_NS) == 0
    assert schedule.deadline_ns == ORIGIN_NS + PERIOD_NS


def test_a_late_wake_drops_ticks_whose_whole_period_has_passed_and_runs_the_one_that_is_due() -> None:
    schedule = Schedule(PERIOD_NS, ORIGIN_NS)
    assert schedule.woke(ORIGIN_NS + PERIOD_NS - 1) == 0
    assert schedule.woke(ORIGIN_NS + 25_000_000) == 2
    assert schedule.number == 2


@given(
    period_ns=st.integers(1, 10**12),
    origin_ns=st.integers(0, 2**62),
    ticks=st.lists(st.tuples(st.integers(0, 10**13), st.integers(0, 10**13)), max_size=30),
)
def test_numbers_grow_deadlines_stay_on_the_grid_and_skips_are_counted(
    period_ns: int, origin_ns: int, ticks: list[tuple[int, int]]
) -> None:
    schedule, now_ns, run = Schedule(period_ns, origin_ns), origin_ns, 0
    for late_ns, took_ns in ticks:
        now_ns = max(now_ns, schedule.deadline_ns) + late_ns
        schedule.woke(now_ns)
        assert 0 <= now_ns - schedule.deadline_ns < period_ns, "the tick that runs is the one that is due"
        number, run = schedule.number, run + 1
        now_ns += took_ns
        schedule.done(now_ns)
        assert schedule.number > number
        assert schedule.deadline_ns >= now_ns, "the next one is not due yet"
        assert schedule.deadline_ns - now_ns <= period_ns
        assert (schedule.deadline_ns - origin_ns) % period_ns == 0
        assert run + schedule.skipped_total == schedule.number
