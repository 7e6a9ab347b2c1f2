"""The record is read as it was written: every value, when it was, and what cannot be read is named."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.config.plan import SignalPlan
from agentd.event import Event
from agentd.runtime.guard import Verdict
from agentd.store.blocks import EVER, Row, Span
from agentd.store.catalogue import Damaged, NoRecord, RecordError, UnknownSignal, recorded, select
from agentd.store.instant import iso
from agentd.store.points import points
from agentd.store.query import Sample, events, latest, open_record, rows, samples
from hal.clock import NS_PER_S
from hal.signal import Absent
from tests.agentd.record_parts import (
    CAMERA,
    COUNT,
    LAP,
    LOAD,
    OFF_TRACK,
    PERIOD_NS,
    SPEED,
    START_NS,
    T0,
    UTC_NS,
    Past,
    X,
    ramp,
)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Nothing yet."""
    return Past(tmp_path)


@pytest.fixture
def db(past: Past) -> Iterator[sqlite3.Connection]:
    """A reader, open from the beginning."""
    with closing(open_record(past.path)) as connection:
        yield connection


def xs(found: Iterator[Sample]) -> list[object]:
    """Values only."""
    return [sample.value for sample in found]


# What there is


def test_a_recorded_signal_has_unit_type_loop_span_and_count(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    (found,) = recorded(db)
    assert (found.name, found.unit, found.type, found.role, found.loop) == ("robot.x", "m", "float", "sensor", "drive")
    assert (found.from_utc_ns, found.to_utc_ns) == (T0, T0 + (COUNT - 1) * PERIOD_NS)
    assert found.samples == COUNT


def test_arrays_and_foreign_signals_are_not_listed(past: Past, db: sqlite3.Connection) -> None:
    foreign = SignalPlan(name="host.load_1m", role="foreign")
    past.loop("drive", X, CAMERA, foreign).tick(1.0, 7, 0.5)
    past.loop("slow", LOAD).tick(0.5)
    past.write()
    assert [(signal.name, signal.loop) for signal in recorded(db)] == [("host.load_1m", "slow"), ("robot.x", "drive")]


def test_restarts_of_a_worker_are_one_signal(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    past.loop("drive", X, generation=2).tick(99.0)
    past.write()
    (found,) = recorded(db)
    assert found.samples == COUNT + 1
    assert xs(samples(db, "robot.x"))[-2:] == [COUNT - 1, 99.0]


def test_without_a_file_there_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(NoRecord, match="nothing was recorded here"):
        open_record(tmp_path / "record.sqlite")


def test_an_empty_record_lists_nothing_and_says_so_when_asked(past: Past, db: sqlite3.Connection) -> None:
    past.write()
    assert recorded(db) == []
    with pytest.raises(NoRecord, match="nothing is recorded yet"):
        list(samples(db, "robot.x"))


def test_another_file_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    path.write_text("temperature,20\n" * 100)
    with pytest.raises(RecordError, match="expected an SQLite database"):
        open_record(path)


def test_an_unknown_signal_names_the_nearest(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    with pytest.raises(UnknownSignal, match=r"'robot.xx' is recorded; did you mean robot.x\?"):
        list(samples(db, "robot.xx"))


def test_an_array_says_that_it_is_not_recorded(past: Past, db: sqlite3.Connection) -> None:
    past.loop("drive", CAMERA, X).tick(1, 2.0)
    past.write()
    with pytest.raises(UnknownSignal, match=r"robot\.camera is an array"):
        list(samples(db, "robot.camera"))


def test_a_reader_cannot_write(past: Past, db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM chunk")


# Values


def test_every_type_comes_back_as_itself_and_absence_with_its_reason(past: Past, db: sqlite3.Connection) -> None:
    drive = past.loop("drive", X, LAP, OFF_TRACK, SPEED)
    drive.tick(0.1, 2**62, True, (0.25, Verdict.CLAMPED))
    drive.tick(Absent.DEVICE_ERROR, Absent.NOT_YET, Absent.NO_ANSWER, (0.0, Verdict.SAFE_STALE))
    past.write()
    first, second = rows(db, ["robot.x", "robot.lap", "robot.off_track", "robot.speed"])
    assert first == Row(T0, START_NS, "drive", 0, (0.1, 2**62, True, 0.25), ("", "", "", "clamped"))
    assert first.values[2] is True
    assert second.values == (None, None, None, 0.0)
    assert second.remarks == ("device_error", "not_yet", "no_answer", "safe_stale")


def test_signals_of_a_loop_are_aligned_and_loops_are_mixed_by_time(past: Past, db: sqlite3.Connection) -> None:
    drive, slow = past.loop("drive", X, LAP), past.loop("slow", LOAD)
    for number in range(4):
        if number % 2 == 0:
            slow.tick(number / 10)
        drive.tick(float(number), number)
    past.write()
    found = list(rows(db, ["robot.lap", "host.load_1m", "robot.x"]))
    assert [row.loop for row in found] == ["slow", "drive", "drive", "slow", "drive", "drive"]
    assert [row.values for row in found][:2] == [(None, 0.0, None), (0, None, 0.0)]
    assert [row.utc_ns for row in found] == sorted(row.utc_ns for row in found)


def test_a_signal_that_came_with_a_later_start_is_empty_before(past: Past, db: sqlite3.Connection) -> None:
    past.loop("drive", X).tick(1.0)
    past.write()
    past.loop("drive", X, LAP, generation=2).tick(2.0, 5)
    past.write()
    assert [row.values for row in rows(db, ["robot.x", "robot.lap"])] == [(1.0, None), (2.0, 5)]


def test_a_unit_that_changed_is_converted_to_the_newest(past: Past, db: sqlite3.Connection) -> None:
    past.loop("drive", SignalPlan(name="robot.x", unit="mm")).tick(1500.0)
    past.write()
    past.loop("drive", X, generation=2).tick(2.0)
    past.write()
    assert xs(samples(db, "robot.x")) == [pytest.approx(1.5), 2.0]


def test_a_unit_of_another_dimension_is_left_out_and_told(past: Past, db: sqlite3.Connection) -> None:
    past.loop("drive", SignalPlan(name="robot.x", unit="degC")).tick(20.0)
    past.write()
    past.loop("drive", X, generation=2).tick(2.0)
    past.write()
    told: list[RecordError] = []
    assert xs(samples(db, "robot.x", tell=told.append)) == [2.0]
    assert "once recorded in 'degC'" in str(told[0])


# Which part


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    begin=st.integers(-3, COUNT + 3),
    end=st.integers(-3, COUNT + 3),
    shift=st.integers(-1, 1),
    limit=st.none() | st.integers(1, 40),
)
def test_a_span_is_exactly_what_lies_in_it(past: Past, begin: int, end: int, shift: int, limit: int | None) -> None:
    if not list(past.runtime.glob("*")):
        ramp(past)
    low, high = T0 + begin * PERIOD_NS + shift, T0 + end * PERIOD_NS
    expected = [float(i) for i in range(COUNT) if low <= T0 + i * PERIOD_NS < high]
    with closing(open_record(past.path)) as db:
        assert xs(samples(db, "robot.x", Span(low, high), limit=limit)) == expected[:limit]
        newest = latest(db, select(db, ["robot.x"]), Span(low, high), limit or 7)
    assert [row.values[0] for row in newest] == expected[-(limit or 7) :]


def test_a_span_beyond_all_numbers_is_everything(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    assert len(xs(samples(db, "robot.x", Span(-(2**70), 2**70)))) == COUNT


def test_the_newest_of_several_loops_are_the_newest_of_all(past: Past, db: sqlite3.Connection) -> None:
    slow = past.loop("slow", LOAD)
    slow.tick(0.1)
    ramp(past)
    found = latest(db, select(db, ["robot.x", "host.load_1m"]), EVER, 3)
    assert [row.values for row in found] == [(27.0, None), (28.0, None), (29.0, None)]


# Time


def test_a_clock_that_was_set_later_holds_for_what_was_before(past: Past, db: sqlite3.Connection) -> None:
    past.offset_ns = 5 * NS_PER_S
    drive = past.loop("drive", X)
    drive.tick(1.0)
    past.write()
    assert [sample.utc_ns for sample in samples(db, "robot.x")] == [START_NS + 5 * NS_PER_S]
    past.offset_ns = UTC_NS
    drive.tick(2.0)
    past.write()
    assert [sample.utc_ns for sample in samples(db, "robot.x")] == [T0, T0 + PERIOD_NS]
    assert xs(samples(db, "robot.x", Span(T0, T0 + 1))) == [1.0]


def test_each_boot_has_its_own_time(past: Past, db: sqlite3.Connection) -> None:
    ramp(past, chunks=1)
    past.offset_ns = UTC_NS + 5000 * NS_PER_S
    past.reboot(uptime_ns=NS_PER_S)
    past.loop("drive", X).tick(99.0)
    past.write()
    found = list(samples(db, "robot.x"))
    assert found[-1] == Sample(UTC_NS + 5001 * NS_PER_S, NS_PER_S, 0, 99.0, "")
    assert [sample.utc_ns for sample in found] == sorted(sample.utc_ns for sample in found)
    assert xs(samples(db, "robot.x", Span(T0 + NS_PER_S))) == [99.0]


# While it is written, and when it is damaged


def test_what_is_written_meanwhile_is_read_and_what_is_deleted_is_left_out(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    reading = samples(db, "robot.x")
    assert next(reading).value == 0.0
    drive = past.loop("drive", X, generation=2)
    drive.tick(99.0)
    past.write()
    second = past.chunks()[1][0]
    past.change("DELETE FROM chunk WHERE id = ?", second)
    assert xs(reading) == [*map(float, range(1, 10)), *map(float, range(20, 30))]
    assert xs(samples(db, "robot.x"))[-1] == 99.0


def test_a_reader_beside_a_busy_writer_always_sees_whole_chunks_in_order(past: Past) -> None:
    def write() -> None:
        ramp(past, chunks=40, per_chunk=5)

    writing = threading.Thread(target=write)
    ramp(past, chunks=1, per_chunk=1)
    past.runtime.joinpath("drive", "ring.1").unlink()
    past.reboot(uptime_ns=past.now_ns)
    writing.start()
    lengths: list[int] = []
    while writing.is_alive() or not lengths:
        with closing(open_record(past.path)) as db:
            found = xs(samples(db, "robot.x"))
        assert found[1:] == [*map(float, range(len(found) - 1))]
        lengths.append(len(found))
    writing.join()
    assert lengths == sorted(lengths)
    assert all(length % 5 == 1 for length in lengths)


def test_the_record_is_read_after_its_writer_ended(past: Past) -> None:
    ramp(past)
    past.writer.close()
    with closing(open_record(past.path)) as db:
        assert xs(samples(db, "robot.x")) == [*map(float, range(COUNT))]


def test_a_slow_reader_holds_no_transaction(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    reading = samples(db, "robot.x")
    next(reading)
    with closing(sqlite3.connect(past.path)) as other:
        busy, log, folded = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, log, folded) == (0, 0, 0)


def test_a_damaged_chunk_is_named_and_the_rest_is_read(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    chunk, data = past.chunks()[1]
    past.change("UPDATE chunk SET data = ? WHERE id = ?", data[:-20] + bytes(20), chunk)
    with pytest.raises(Damaged, match=rf"chunk {chunk} of loop drive is damaged, {iso(T0 + 10 * PERIOD_NS)} to "):
        list(samples(db, "robot.x"))
    told: list[RecordError] = []
    assert xs(samples(db, "robot.x", tell=told.append)) == [*map(float, range(10)), *map(float, range(20, 30))]
    assert len(told) == 1


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_a_chunk_holds_the_others_are_read(past: Past, data: st.DataObject) -> None:
    if not list(past.runtime.glob("*")):
        ramp(past)
    chunk, blob = past.chunks()[1]
    where = data.draw(st.integers(0, len(blob) - 1))
    hostile = blob[:where] + data.draw(st.binary(max_size=8)) + blob[where + data.draw(st.integers(0, 8)) :]
    past.change("UPDATE chunk SET data = ? WHERE id = ?", hostile, chunk)
    told: list[RecordError] = []
    with closing(open_record(past.path)) as db:
        found = list(samples(db, "robot.x", tell=told.append))
        points(db, "robot.x", count=5, tell=told.append)
    past.change("UPDATE chunk SET data = ? WHERE id = ?", blob, chunk)
    values = [sample.value for sample in found]
    assert values[:10] == [*map(float, range(10))]
    assert values[-10:] == [*map(float, range(20, 30))]
    assert told or len(values) == COUNT


def test_a_chunk_that_is_not_the_one_of_its_row_is_damaged(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    (_, first), (second, _), _ = past.chunks()
    past.change("UPDATE chunk SET data = ? WHERE id = ?", first, second)
    with pytest.raises(Damaged, match="10 rows from 0, 10 from 10 expected"):
        list(samples(db, "robot.x"))


def test_a_damaged_layout_is_named_and_other_loops_are_read(past: Past, db: sqlite3.Connection) -> None:
    ramp(past)
    past.loop("slow", LOAD).tick(0.5)
    past.write()
    past.change("UPDATE layout SET body = substr(body, 9) WHERE body LIKE '%robot.x%'")
    with pytest.raises(Damaged, match="layout 1 of the record is damaged"):
        recorded(db)
    told: list[RecordError] = []
    assert [signal.name for signal in recorded(db, told.append)] == ["host.load_1m"]
    assert xs(samples(db, "host.load_1m", tell=told.append)) == [0.5]


# Events


def test_events_are_found_by_time_kind_and_subject(past: Past, db: sqlite3.Connection) -> None:
    for number in range(1, 7):
        past.events.append(Event(
            id=number, time_ns=number * NS_PER_S, utc_ns=0, kind="device" if number % 2 else "guard",
            subject="robot" if number < 5 else "arm", message=f"event {number}", data={"number": number},
        ))  # fmt: skip
    past.write()

    def ids(span: Span = EVER, kind: str | None = None, subject: str | None = None, limit: int = 9) -> list[int]:
        return [found.id for found in events(db, span, kind=kind, subject=subject, limit=limit)]

    assert ids() == [1, 2, 3, 4, 5, 6]
    assert ids(Span(UTC_NS + 2 * NS_PER_S, UTC_NS + 5 * NS_PER_S)) == [2, 3, 4]
    assert ids(kind="device") == [1, 3, 5]
    assert ids(kind="device", subject="robot") == [1, 3]
    assert ids(limit=2) == [5, 6]
    assert events(db)[0].utc_ns == UTC_NS + NS_PER_S
    assert events(db)[0].data == {"number": 1}
