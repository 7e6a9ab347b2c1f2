"""The recorder's thread: what the daemon gave it is on the disk when it says so, and no fault ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentd.event import Event
from agentd.store.database import NewerSchema
from agentd.store.recorder import MAX_EVENTS, Recorder
from agentd.store.writer import RecordWriter
from hal.clock import NS_PER_S, now_ns
from tests.agentd.store_parts import Oven, Site, empty_record, event


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.path.parent.mkdir()
    site.path.write_bytes(empty_record().read_bytes())
    return site


def run(site: Site, work: Callable[[Recorder], Awaitable[None]]) -> list[Event]:
    """Start a recorder, do something with it, close it. What it told."""
    told: list[Event] = []

    async def session() -> None:
        recorder = Recorder(site.path, site.plan, site.runtime, site.time.clocks())
        await recorder.start()
        recorder.report_to(told.append)
        try:
            await work(recorder)
        finally:
            await recorder.close()
        await asyncio.sleep(0)

    asyncio.run(session())
    return told


def test_flush_brings_rows_and_events_to_the_disk(site: Site) -> None:
    oven = Oven(site.runtime, site.time)

    async def work(recorder: Recorder) -> None:
        for turn in range(1, 4):
            oven.publish(700)
            recorder.event(event(turn))
            await recorder.flush()
            assert site.indices() == list(range(700 * turn))
            assert site.query("SELECT count(*) FROM event") == [(turn,)]
            status = recorder.status()
            assert (status.samples_total, status.error, status.lost_rows_total) == (3 * 700 * turn, "", 0)
            assert status.bytes > 0
            assert status.oldest_utc_ns == site.time.offset_ns + 1000 * 10**9

    assert run(site, work) == []


def test_close_writes_what_is_left(site: Site) -> None:
    oven = Oven(site.runtime, site.time)

    async def work(recorder: Recorder) -> None:
        await recorder.flush()
        oven.publish(3000)
        recorder.event(event(1))

    run(site, work)
    assert not site.path.with_name("record.sqlite-wal").exists(), "the log is folded in"
    assert (site.indices(), site.query("SELECT id FROM event")) == (list(range(3000)), [(1,)])


def test_numbering_goes_on_where_the_last_daemon_ended(site: Site) -> None:
    async def first(recorder: Recorder) -> None:
        recorder.event(event(17))

    async def second(recorder: Recorder) -> None:
        assert recorder.last_event_id == 17

    run(site, first)
    run(site, second)


def test_too_many_events_are_dropped_counted_and_told(site: Site) -> None:
    async def work(recorder: Recorder) -> None:
        for number in range(MAX_EVENTS + 5):
            recorder.event(event(number + 1))
        await recorder.flush()
        await recorder.flush()

    told = run(site, work)
    assert site.query("SELECT count(*) FROM event") == [(MAX_EVENTS,)]
    assert [text.message.split(" ")[0] for text in told] == ["5"]


def test_a_damaged_record_is_set_aside_and_a_new_one_begins(site: Site) -> None:
    site.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    oven = Oven(site.runtime, site.time)

    async def work(recorder: Recorder) -> None:
        oven.publish(100)
        await recorder.flush()
        assert (recorder.status().error, recorder.last_event_id) == ("", 0)

    told = run(site, work)
    assert site.indices() == list(range(100))
    assert ["set aside as record.sqlite.damaged-" in text.message for text in told] == [True]
    assert len(list(site.path.parent.glob("*.damaged-*"))) == 1


def test_damage_that_shows_later_is_set_aside_too(site: Site) -> None:
    oven = Oven(site.runtime, site.time)

    async def work(recorder: Recorder) -> None:
        oven.publish(100)
        await recorder.flush()
        with site.path.open("r+b") as file:
            file.truncate(0)
            file.write(b"\x55" * 65536)
        for log in site.path.parent.glob("*-wal"):
            log.write_bytes(b"")
        assert recorder._writer is not None
        recorder._writer._db.execute("PRAGMA shrink_memory")
        for _ in range(2):
            oven.publish(100)
            recorder.event(event(oven.number))
            await recorder.flush()
        assert recorder.status().error == ""

    told = run(site, work)
    assert any("set aside" in text.message and text.severity == "error" for text in told)
    assert site.indices() == list(range(300)), "the ring still had it all"


def test_a_newer_schema_ends_the_start(site: Site) -> None:
    data = bytearray(site.path.read_bytes())
    data[60:64] = (99).to_bytes(4, "big")  # user_version, https://www.sqlite.org/fileformat.html
    site.path.write_bytes(data)
    with pytest.raises(NewerSchema, match="schema 99"):
        run(site, never)


async def never(recorder: Recorder) -> None:
    raise AssertionError("started")


def test_a_place_that_cannot_be_used_is_told_once_and_tried_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    oven = Oven(site.runtime, site.time)
    content = site.path.read_bytes()
    site.path.unlink()
    site.path.mkdir()

    async def work(recorder: Recorder) -> None:
        oven.publish(100)
        for _ in range(3):
            await recorder.flush()
            assert "record.sqlite" in recorder.status().error
        site.path.rmdir()
        site.path.write_bytes(content)
        await recorder.flush()
        assert recorder.status().error == ""

    told = run(site, work)
    assert ["recording failed" in text.message for text in told] == [True]
    assert site.indices() == list(range(100))


def test_an_unforeseen_fault_is_told_and_does_not_end_the_thread(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    oven = Oven(site.runtime, site.time)

    async def work(recorder: Recorder) -> None:
        oven.publish(100)
        with monkeypatch.context() as patch:
            patch.setattr(RecordWriter, "poll", lambda *_arguments, **_keywords: 1 / 0)
            await recorder.flush()
            assert "division by zero" in recorder.status().error
        await recorder.flush()
        assert recorder.status().error == ""

    told = run(site, work)
    assert ["division by zero" in text.message for text in told] == [True]
    assert site.indices() == list(range(100))


def test_totals_survive_a_new_file(site: Site) -> None:
    oven = Oven(site.runtime, site.time)

    async def work(recorder: Recorder) -> None:
        oven.publish(100)
        await recorder.flush()
        recorder._failed(ValueError("anything"), damaged=False)
        oven.publish(50)
        await recorder.flush()
        assert recorder.status().samples_total == 3 * 150

    run(site, work)


def test_another_budget_holds_from_the_next_pass_on(site: Site) -> None:
    async def work(recorder: Recorder) -> None:
        recorder.set_budget(type(site.plan)(keep_mb=7.0))
        await recorder.flush()
        assert recorder.status().budget_bytes == 7_000_000

    run(site, work)


def test_a_recorder_that_never_started_closes(site: Site) -> None:
    async def session() -> None:
        recorder = Recorder(site.path, site.plan, site.runtime)
        recorder.event(event(1))
        await recorder.flush()
        await recorder.close()

    asyncio.run(session())


def test_closing_with_a_full_ring_keeps_to_its_time(site: Site) -> None:
    oven = Oven(site.runtime, site.time, capacity=20_000)

    async def work(recorder: Recorder) -> None:
        oven.publish(20_000)

    began = now_ns()
    run(site, work)
    assert now_ns() - began < 10 * NS_PER_S
    assert site.indices() == list(range(20_000))
