"""The writer: every row once and in order, in few transactions, whatever ends in between."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.runtime.ring import HEADER_BYTES
from hal.clock import NS_PER_S
from tests.agentd.store_parts import Oven, Site, event


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def chunks(site: Site) -> int:
    return int(str(site.query("SELECT count(*) FROM chunk")[0][0]))


def test_rows_are_recorded_as_they_were_in_the_ring(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(2500)
    writer.poll(force=True)
    first, rows = oven_rows(oven)
    assert site.recorded() == {1: rows}
    assert (first, writer.samples_total, writer.lost_rows_total) == (0, 3 * 2500, 0)


def oven_rows(oven: Oven) -> tuple[int, list[bytes]]:
    from agentd.runtime.ring import RingReader

    return RingReader(oven.path).raw_since(0, 10_000)


def test_few_rows_wait_for_a_minute(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(10)
    writer.poll()
    site.time.now_ns += 59 * NS_PER_S
    writer.poll()
    assert chunks(site) == 0
    site.time.now_ns += NS_PER_S
    writer.poll()
    assert (chunks(site), site.indices()) == (1, list(range(10)))


def test_rows_worth_a_chunk_wait_for_ten_seconds(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    for _second in range(45):
        oven.publish(100)
        writer.poll()
    assert 4 <= chunks(site) <= 5
    assert site.indices() == list(range(site.indices()[-1] + 1))


def test_a_ring_that_fills_up_is_written_sooner(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time, capacity=40), site.open()
    for _ in range(20):
        oven.publish(12)
        writer.poll()
    writer.poll(force=True)
    assert (site.indices(), writer.lost_rows_total) == (list(range(240)), 0)


def test_overwritten_rows_are_counted_and_told(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time, capacity=40), site.open()
    oven.publish(10)
    writer.poll(force=True)
    oven.publish(100)
    writer.poll(force=True)
    assert site.indices() == [*range(10), *range(70, 110)]
    assert writer.lost_rows_total == 60
    assert [(told.kind, told.severity, told.data["rows"]) for told in site.told] == [("record", "warning", 60)]
    assert site.query("SELECT lost_rows FROM ring") == [(60,)]


@given(st.lists(st.sampled_from(["publish", "poll", "flush", "restart", "crash", "worker"]), min_size=5, max_size=40))
@settings(deadline=None, max_examples=40)
def test_nothing_is_missing_and_nothing_is_there_twice(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        ovens, writer = [Oven(site.runtime, site.time)], site.open()
        for step in [*steps, "flush"]:
            if step == "publish":
                ovens[-1].publish(37)
            elif step in ("poll", "flush"):
                writer.poll(force=step == "flush")
            elif step == "restart":
                writer.poll(force=True)
                writer.close()
                writer = site.open()
            elif step == "crash":
                writer = site.open()
            else:
                ovens.append(Oven(site.runtime, site.time, generation=len(ovens) + 1))
        recorded = site.query("SELECT id, generation FROM ring")
        for ring, generation in recorded:
            assert site.indices(int(str(ring))) == list(range(ovens[int(str(generation)) - 1].number))
        assert len(recorded) == sum(oven.number > 0 for oven in ovens)


def test_what_an_older_generation_left_is_taken_too(site: Site) -> None:
    old = Oven(site.runtime, site.time)
    old.publish(30)
    new = Oven(site.runtime, site.time, generation=2)
    new.publish(5)
    writer = site.open()
    writer.poll()
    assert (site.indices(1), chunks(site)) == (list(range(30)), 1)
    writer.poll(force=True)
    assert site.indices(2) == list(range(5))


@pytest.mark.parametrize(("before", "after"), [(50, 20), (20, 50), (30, 30)])
def test_another_ring_of_the_same_name_is_recorded_from_its_beginning(site: Site, before: int, after: int) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(before)
    writer.poll(force=True)
    writer.close()
    oven.path.unlink()
    again = Oven(site.runtime, site.time)
    again.noise.seed(8)
    again.publish(after)
    writer = site.open()
    writer.poll(force=True)
    assert (site.indices(1), site.indices(2)) == (list(range(before)), list(range(after)))


def test_a_torn_row_is_left_out_and_counted(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(60)
    data = oven.path.read_bytes()
    at = data.index(b"\x0a" + bytes(7), HEADER_BYTES)  # not surely row 10: any damage will do
    with oven.path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    for _ in range(4):
        writer.poll(force=True)
    assert writer.lost_rows_total == 1
    assert len(site.indices()) == 59


def test_rows_that_could_not_be_committed_are_taken_again(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(500)
    writer.poll(force=True)
    limit = sqlite3.connect(site.path)
    limit.execute("BEGIN IMMEDIATE")  # somebody holds the database
    writer._db.execute("PRAGMA busy_timeout = 0")
    oven.publish(500)
    site.events.append(event(1))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        writer.poll(force=True)
    limit.rollback()
    limit.close()
    writer.poll(force=True)
    assert (site.indices(), writer.samples_total) == (list(range(1000)), 3 * 1000)
    assert site.query("SELECT id FROM event") == [(1,)]


def test_a_full_disk_loses_nothing_that_the_ring_holds(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    pages = writer._db.execute("PRAGMA page_count").fetchone()[0]
    writer._db.execute(f"PRAGMA max_page_count = {pages}")
    oven.publish(3000)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        writer.poll(force=True)
    writer._db.execute("PRAGMA max_page_count = 100000")
    while writer.poll(force=True):
        pass
    assert site.indices() == list(range(3000))


def test_a_warning_is_written_at_once_and_a_remark_with_the_next_chunk(site: Site) -> None:
    writer = site.open()
    site.time.now_ns += 60 * NS_PER_S
    writer.poll(force=True)
    site.events.append(event(1))
    writer.poll()
    site.events.append(event(2, "warning"))
    site.time.now_ns += NS_PER_S
    writer.poll()
    assert site.query("SELECT id, severity FROM event ORDER BY id") == [(1, "info"), (2, "warning")]
    site.events.append(event(3))
    writer.poll()
    assert site.query("SELECT count(*) FROM event") == [(2,)]
    site.time.now_ns += 11 * NS_PER_S
    writer.poll()
    assert site.query("SELECT count(*) FROM event") == [(3,)]


def test_an_event_that_cannot_be_written_as_it_is_does_not_stop_the_others(site: Site) -> None:
    writer = site.open()
    site.events.extend(
        [
            event(1, what=object()),
            event(2, text="x" * 100_000),
            event(3, height=math.nan),
            event(4, text="\udc80"),
            event(5),
        ]
    )
    writer.poll(force=True)
    assert site.query("SELECT id FROM event") == [(1,), (2,), (3,), (4,), (5,)]
    assert max(len(str(row[0])) for row in site.query("SELECT data FROM event")) < 20_000


def test_numbering_of_events_goes_on(site: Site) -> None:
    writer = site.open()
    site.events.extend([event(1), event(41)])
    writer.poll(force=True)
    writer.close()
    assert site.open().last_event_id == 41


def test_only_a_clock_that_was_set_makes_a_new_mapping(site: Site) -> None:
    oven, writer = Oven(site.runtime, site.time), site.open()
    for offset in (0, 1000, -1000, 3600 * NS_PER_S, 3600 * NS_PER_S + 10):
        site.time.offset_ns += offset
        oven.publish(1)
        writer.poll(force=True)
        site.time.offset_ns -= offset if abs(offset) < NS_PER_S else 0
    assert site.query("SELECT count(*) FROM utc") == [(3,)]


def test_a_file_that_is_no_ring_is_told_once(site: Site) -> None:
    writer = site.open()
    (site.runtime / "bake").mkdir(parents=True)
    (site.runtime / "bake" / "ring.1").write_bytes(b"nothing of the kind")
    writer.poll(force=True)
    writer.poll(force=True)
    assert ["not recorded" in told.message for told in site.told] == [True]
