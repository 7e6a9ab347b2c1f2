"""A clock that is set, by seconds or by years, forward or back, changes what UTC a sample has and nothing else."""

from __future__ import annotations

import csv
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.config.plan import RecordPlan
from agentd.store.blocks import EVER, Span
from agentd.store.export import Style, export
from agentd.store.points import points
from agentd.store.query import events, open_record, samples
from agentd.store.retention import Budget
from agentd.store.writer import RecordWriter
from hal.clock import NS_PER_S
from tests.agentd.record_parts import PERIOD_NS, START_NS, UTC_NS, Past, X
from tests.agentd.store_parts import event

YEAR_NS = 365 * 86_400 * NS_PER_S
UNSET_NS = -START_NS
"""The clock of a board without a battery: 1970 at its start."""


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def recorded(past: Past, span: Span = EVER) -> list[tuple[int, int, float]]:
    """UTC, time of the boot, value; in the order in which they are read."""
    with closing(open_record(past.path)) as db:
        return [(each.utc_ns, each.time_ns, float(each.value or 0)) for each in samples(db, "robot.x", span)]


STEPS = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.sampled_from([0, 1, -1, NS_PER_S, -NS_PER_S, 3600 * NS_PER_S, -YEAR_NS, 30 * YEAR_NS, -20 * YEAR_NS]),
        st.sampled_from(["write", "wait", "restart"]),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, began=st.sampled_from([UNSET_NS, UTC_NS, UTC_NS + 60 * YEAR_NS]))
def test_no_sample_is_lost_doubled_or_reordered(steps: list[tuple[int, int, str]], began: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        past = Past(Path(folder))
        past.offset_ns = began
        drive = past.loop("drive", X)
        for ticks, step_ns, then in steps:
            for _ in range(ticks):
                drive.tick(float(drive.number))
            past.offset_ns += step_ns
            if then != "wait":
                past.write()
            if then == "restart":
                past.writer.close()
                past.writer = RecordWriter(
                    past.path, Budget.of(RecordPlan()), past.runtime,
                    events=past.events, tell=past.events.append, clocks=past.writer._clocks,
                )  # fmt: skip
        drive.tick(float(drive.number))
        past.write()
        found = recorded(past)
        assert [value for _utc, _time, value in found] == list(range(drive.number))
        assert [time for _utc, time, _value in found] == [START_NS + n * PERIOD_NS for n in range(drive.number)]
        (offset,) = {utc - time for utc, time, _value in found}
        assert abs(offset - past.offset_ns) <= 5_000_000, "all of a boot is told in the UTC that is known now"
        with closing(open_record(past.path)) as db:
            assert sum(bucket.count for bucket in points(db, "robot.x", count=7).buckets) == drive.number
        past.writer.close()


def test_what_was_recorded_before_the_first_synchronisation_is_right_afterwards(past: Past, tmp_path: Path) -> None:
    past.offset_ns = UNSET_NS
    drive = past.loop("drive", X)
    for _ in range(10):
        drive.tick(float(drive.number))
    past.events.append(event(START_NS))
    past.write()
    assert recorded(past)[0][0] < YEAR_NS
    past.offset_ns = UTC_NS
    drive.tick(float(drive.number))
    past.write()
    first = START_NS + UTC_NS
    assert [utc for utc, _time, _value in recorded(past)] == [first + n * PERIOD_NS for n in range(11)]
    assert len(recorded(past, Span(first, first + 5 * PERIOD_NS))) == 5
    assert recorded(past, Span(0, YEAR_NS)) == []
    with closing(open_record(past.path)) as db:
        assert [each.utc_ns for each in events(db)] == [first]
        assert points(db, "robot.x", count=1).from_utc_ns == first
        export(db, ["robot.x"], tmp_path / "x.csv", style=Style(raw_time=True))
    with (tmp_path / "x.csv").open() as file:
        assert [int(row["utc_ns"]) for row in csv.DictReader(file)] == [first + n * PERIOD_NS for n in range(11)]


def test_each_boot_keeps_its_own_time(past: Past) -> None:
    """A day without a battery, a synchronised one, and one with a clock 20 years behind: none moves another."""
    expected = []
    for offset_ns in (UTC_NS, UTC_NS + 3600 * NS_PER_S, UTC_NS - 20 * YEAR_NS):
        past.offset_ns = UNSET_NS
        drive = past.loop("drive", X)
        drive.tick(1.0)
        past.write()
        past.offset_ns = offset_ns
        drive.tick(2.0)
        past.write()
        expected += [(START_NS + offset_ns, 1.0), (START_NS + offset_ns + PERIOD_NS, 2.0)]
        past.reboot()
    assert [(utc, value) for utc, _time, value in recorded(past)] == sorted(expected)


def test_a_clock_that_is_set_while_nothing_is_due_is_noticed_with_the_next_rows(past: Past) -> None:
    drive = past.loop("drive", X)
    drive.tick(1.0)
    past.write()
    past.offset_ns += YEAR_NS
    past.write()
    past.now_ns += NS_PER_S
    drive.tick(2.0)
    past.write()
    assert recorded(past)[0][0] == START_NS + UTC_NS + YEAR_NS


def test_a_clock_that_jumps_to_another_century_deletes_nothing_at_once(past: Past) -> None:
    drive = past.loop("drive", X)
    drive.tick(1.0)
    past.reboot()
    drive = past.loop("drive", X)
    past.offset_ns += 90 * YEAR_NS
    past.writer.set_budget(Budget.of(RecordPlan(keep_days=1)))
    for _ in range(3):
        drive.tick(2.0)
        past.now_ns += 61 * NS_PER_S
        past.write()
    past.offset_ns = UTC_NS
    drive.tick(2.0)
    past.write()
    assert [value for _utc, _time, value in recorded(past)].count(1.0) == 1
