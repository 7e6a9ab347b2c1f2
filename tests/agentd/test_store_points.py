"""A plot's points are what the samples say, whatever the span and the number of buckets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.store.blocks import Span
from agentd.store.points import points
from agentd.store.query import open_record, samples
from hal.signal import Absent
from tests.agentd.record_parts import COUNT, PERIOD_NS, T0, Past, X, ramp


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Nothing yet."""
    return Past(tmp_path)


@pytest.fixture
def db(past: Past) -> Iterator[sqlite3.Connection]:
    """A reader, open from the beginning."""
    with closing(open_record(past.path)) as connection:
        yield connection


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(count=st.integers(1, 50), begin=st.integers(-5, 20), length=st.integers(1, 40))
def test_points_are_what_the_samples_say(past: Past, count: int, begin: int, length: int) -> None:
    if not list(past.runtime.glob("*")):
        drive = past.loop("drive", X)
        for number in range(COUNT):
            drive.tick(Absent.NO_ANSWER if number % 7 == 3 else float(number * number % 11))
            if number % 10 == 9:
                past.write()
    span = Span(T0 + begin * PERIOD_NS, T0 + (begin + length) * PERIOD_NS)
    with closing(open_record(past.path)) as db:
        found = points(db, "robot.x", span, count=count)
        expected: dict[int, list[float]] = {}
        for sample in samples(db, "robot.x", span):
            if sample.value is not None:
                number = (sample.utc_ns - found.from_utc_ns) // found.width_ns
                expected.setdefault(number, []).append(float(sample.value))
    assert len(found.buckets) <= count
    assert found.width_ns * count >= length * PERIOD_NS
    assert [
        ((bucket.utc_ns - found.from_utc_ns) // found.width_ns, bucket.count, bucket.low, bucket.high, bucket.last)
        for bucket in found.buckets
    ] == [(number, len(run), min(run), max(run), run[-1]) for number, run in sorted(expected.items())]
    assert [bucket.mean for bucket in found.buckets] == [
        pytest.approx(sum(run) / len(run)) for _number, run in sorted(expected.items())
    ]


def test_points_without_a_span_are_all_there_is(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    found = points(db, "robot.x", count=1)
    (only,) = found.buckets
    assert (only.count, only.low, only.high, only.last) == (COUNT, 0.0, COUNT - 1, COUNT - 1)
    assert (found.unit, found.from_utc_ns) == ("m", T0)


def test_each_chunk_is_read_once_for_any_number_of_points(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    read: list[str] = []
    db.set_trace_callback(lambda sql: read.append(sql) if ", data FROM" in sql else None)
    points(db, "robot.x", count=1000)
    assert len(read) == 4  # three chunks, and that there is none after them
