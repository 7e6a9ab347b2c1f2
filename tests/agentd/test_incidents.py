"""Incidents: what the rings held is kept whole, bounded, and named by the event."""

from __future__ import annotations

import asyncio
import fcntl
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agentd.config.plan import ChannelPlan, LoopPlan, NodePlan, SignalPlan
from agentd.ctl.blackbox_files import black_boxes
from agentd.event import Event
from agentd.incidents import TRIPS, Incidents
from agentd.runtime.array_ring import ArrayRingReader, ArrayRingWriter
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import Layout, RingReader, RingWriter, Word, WorkerState
from agentd.store.incidents import Incident, IncidentStore
from agentd.store.ring_copy import copy_array_ring, copy_ring
from hal.clock import NS_PER_S, boot_id, now_ns
from tests.agentd.ctl_site import Site

X = SignalPlan(name="robot.x")
CAMERA = SignalPlan(name="robot.camera", type="array", dtype="uint8", shape=(2, 3))
PLAN = NodePlan(
    node="n",
    source="/n.yaml",
    loops=(
        LoopPlan(
            name="drive",
            node="n",
            rate_hz=100,
            channels=(ChannelPlan(signal="robot.speed", type="float", low=0, high=1, safe=0),),
        ),
    ),
)


def ring(folder: Path, generation: int = 1, rows: int = 0, capacity: int = 16) -> RingWriter:
    """A worker's ring with some rows."""
    layout = Layout(
        node="n", loop=folder.name, generation=generation, boot_id=boot_id(), period_ns=10**7, columns=(X,),
        parts=("robot",),
    )  # fmt: skip
    writer = RingWriter(folder / f"ring.{generation}", layout, capacity)
    for tick in range(rows):
        publish(writer, tick)
    writer.words[Word.HEARTBEAT_NS] = now_ns()
    writer.words[Word.STATE] = WorkerState.RUNNING
    return writer


def publish(writer: RingWriter, tick: int) -> None:
    writer.publish(tick, now_ns(), 0.01, 0, *[0] * 7, 0, tick / 2, now_ns(), b"\0")


def incident(name: str, loop: str = "drive", kind: str = "worker") -> Incident:
    return Incident(
        id=name, serial=0, loop=loop, kind=kind, time_ns=now_ns(), utc_ns=0, boot_id=boot_id(), why=[f"why {name}"]
    )


def ticks(path: Path) -> list[int]:
    reader = RingReader(path)
    _first, rows = reader.raw_since(0, 10_000)
    found = [reader.codec.decode(row).tick for row in rows]
    reader.close()
    return found


@pytest.mark.parametrize("rows", [0, 1, 7, 16, 17, 40])
def test_a_copy_holds_every_row_that_was_left_and_is_no_longer_than_they_are(tmp_path: Path, rows: int) -> None:
    ring(tmp_path / "drive", rows=rows).close()
    source, target = tmp_path / "drive" / "ring.1", tmp_path / "copy"
    assert copy_ring(source, target) == min(rows, 16)
    assert ticks(target) == ticks(source) == list(range(max(0, rows - 16), rows))
    copy = RingReader(target)
    assert copy.words[Word.STATE] == WorkerState.RUNNING
    assert copy.span(0, 100)[1] == RingReader(source).span(0, 100)[1]


def test_a_ring_that_is_written_meanwhile_is_copied_without_a_gap(tmp_path: Path) -> None:
    writer = ring(tmp_path / "drive", rows=5000, capacity=2000)
    ahead = iter(range(5000, 9000))

    def meanwhile() -> None:
        for _ in range(300):
            publish(writer, next(ahead))

    copy_ring(tmp_path / "drive" / "ring.1", tmp_path / "copy", meanwhile)
    found = ticks(tmp_path / "copy")
    assert len(found) > 1000
    assert found == list(range(found[0], found[-1] + 1))


@pytest.mark.parametrize(("room", "kept"), [(10**6, 4), (70, 2), (0, 0), (-5, 0)])
def test_the_newest_pictures_that_fit_are_copied(tmp_path: Path, room: int, kept: int) -> None:
    writer = ArrayRingWriter(tmp_path / "a.b.1", CAMERA, 1, 4)
    for number in range(10):
        writer.publish(number, memoryview(bytes([number] * 6)))
    assert copy_array_ring(tmp_path / "a.b.1", tmp_path / "copy", room) == kept
    copy = ArrayRingReader(tmp_path / "copy")
    found = [entry for index in range(10) if (entry := copy.at(index)) is not None]
    assert found == [(number, number, bytes([number] * 6)) for number in range(10 - kept, 10)]


def test_an_incident_is_read_as_a_black_box(tmp_path: Path) -> None:
    ring(tmp_path / "drive", rows=9).close()
    store = IncidentStore(tmp_path / "state")
    saved = store.save(incident("one"), tmp_path / "drive", 1)
    assert (saved.generations, saved.serial) == ([1], 1)
    assert store.list() == [saved]
    (box,) = black_boxes(store.folder / "one")
    assert len(box.rows) == 9


def test_a_later_death_joins_with_its_own_generation(tmp_path: Path) -> None:
    ring(tmp_path / "drive", 1, rows=3).close()
    store = IncidentStore(tmp_path / "state")
    store.save(incident("one"), tmp_path / "drive", 1)
    ring(tmp_path / "drive", 2, rows=4).close()
    again = msgspec.structs.replace(incident("one"), why=["again"])
    assert store.save(again, tmp_path / "drive", 2).why == ["why one", "again"]
    (found,) = store.list()
    assert found.generations == [1, 2]
    assert len(ticks(store.folder / "one" / "ring.2")) == 4


def test_what_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "ring.1").write_bytes(b"no ring")
    store = IncidentStore(tmp_path / "state")
    with pytest.raises(OSError, match="too short"):
        store.save(incident("one"), tmp_path / "drive", 1)
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize(("most", "most_bytes"), [(2, 10**9), (99, 17_000)])
def test_the_oldest_are_deleted_and_the_newest_stays(tmp_path: Path, most: int, most_bytes: int) -> None:
    ring(tmp_path / "drive", rows=16).close()
    store = IncidentStore(tmp_path / "state", most, most_bytes)
    for name in ("c", "b", "a"):
        store.save(incident(name), tmp_path / "drive", 1)
    assert [one.id for one in store.list()] == ["b", "a"]


def test_a_worker_that_lives_or_was_stopped_is_not_unsaved(tmp_path: Path) -> None:
    folder = tmp_path / "drive"
    ring(folder, 1, rows=1).close()
    stopped = ring(folder, 2, rows=1)
    stopped.words[Word.STATE] = WorkerState.STOPPING
    ring(folder, 3, rows=1).close()
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    store = IncidentStore(tmp_path / "state")
    assert [found.layout.generation for found in store.unsaved(folder, boot_id())] == [1]
    assert list(store.unsaved(folder, "another boot")) == []
    lock.close()
    assert [found.layout.generation for found in store.unsaved(folder, boot_id())] == [1, 3]
    store.save(incident("one"), folder, 3)
    assert list(store.unsaved(folder, boot_id())) == []


def with_incidents(tmp_path: Path, work: Callable[[Incidents], None], running: bool = True) -> list[Event]:
    """Run `work` while incidents are kept; what they had to report."""
    reports: list[Event] = []

    async def run() -> None:
        (tmp_path / "run" / "drive").mkdir(parents=True, exist_ok=True)
        kept = Incidents(tmp_path / "state", tmp_path / "run", lambda: PLAN, lambda _loop: running)
        kept.start(reports.append)
        work(kept)
        await kept.close()
        await asyncio.sleep(0)

    asyncio.run(run())
    return reports


def trip(verdict: str = "safe_interlock", subject: str = "robot.speed") -> Event:
    return Event(
        time_ns=now_ns(), kind="guard", subject=subject, message=f"{subject}: {verdict}", data={"verdict": verdict}
    )


def death(kind: str = "worker", later_s: int = 0) -> Event:
    return Event(
        time_ns=now_ns() + later_s * NS_PER_S, kind=kind, subject="drive", message=f"{kind} died", severity="error"
    )


def test_deaths_and_trips_are_saved_and_named_by_their_events(tmp_path: Path) -> None:
    ring(tmp_path / "run" / "drive", rows=5).close()
    told: list[Event] = []
    assert with_incidents(tmp_path, lambda kept: told.extend(map(kept.note, (trip(), trip(), death())))) == []
    names = [event.data["incident"] for event in told]
    assert names[0] == names[1] != names[2]
    first, second = IncidentStore(tmp_path / "state").list()
    assert {first.id, second.id} == set(names)
    assert {(one.kind, len(one.why)) for one in (first, second)} == {("guard", 2), ("worker", 1)}


@pytest.mark.parametrize(
    "event",
    [
        trip("clamped"),
        trip("safe_no_request"),
        trip("safe_hold"),
        trip(subject="other.motor"),
        Event(time_ns=1, kind="worker", subject="drive", message="restarted"),
        Event(time_ns=1, kind="latch", subject="n", message="not saved", severity="error"),
    ],
)
def test_what_is_no_incident_stays_as_it_is(tmp_path: Path, event: Event) -> None:
    with_incidents(tmp_path, lambda kept: pytest.fail("changed") if kept.note(event) is not event else None)
    assert IncidentStore(tmp_path / "state").list() == []


def test_a_loop_that_starts_trips_without_an_incident(tmp_path: Path) -> None:
    event = trip()
    with_incidents(tmp_path, lambda kept: pytest.fail("linked") if kept.note(event) is not event else None, False)


def test_deaths_within_a_minute_are_one_incident_and_a_later_one_is_another(tmp_path: Path) -> None:
    ring(tmp_path / "run" / "drive", rows=5).close()
    told: list[Event] = []
    events = (death(), death(later_s=30), death("latch", 59), death(later_s=61))
    with_incidents(tmp_path, lambda kept: told.extend(map(kept.note, events)))
    names = [event.data["incident"] for event in told]
    assert names[0] == names[1] == names[2] != names[3]
    assert [len(one.why) for one in IncidentStore(tmp_path / "state").list()] == [3, 1]


def test_one_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    ring(tmp_path / "run" / "drive", rows=5).close()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "incidents").write_text("in the way")
    (report,) = with_incidents(tmp_path, lambda kept: None if kept.note(death()).data else pytest.fail("not linked"))
    assert "was not saved" in report.message


def test_what_died_with_the_daemon_is_saved_at_the_next_start(tmp_path: Path) -> None:
    ring(tmp_path / "run" / "drive", rows=5).close()
    (report,) = with_incidents(tmp_path, lambda kept: kept.catch_up())
    (saved,) = IncidentStore(tmp_path / "state").list()
    assert (saved.id, saved.generations) == (report.data["incident"], [1])
    assert with_incidents(tmp_path, lambda kept: kept.catch_up()) == []


def test_saving_never_holds_the_daemon_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(IncidentStore, "save", lambda *_rest: go.wait(10))

    def work(kept: Incidents) -> None:
        began_ns = now_ns()
        for minute in range(100):
            kept.note(death(later_s=61 * minute))
        assert now_ns() - began_ns < NS_PER_S
        go.set()

    reports = with_incidents(tmp_path, work)
    assert reports and all("too many at once" in report.message for report in reports)


@pytest.mark.parametrize("verdict", sorted(TRIPS))
def test_every_trip_is_a_verdict_as_the_worker_tells_it(verdict: str) -> None:
    assert verdict.startswith("safe_") and verdict.upper() in Verdict.__members__


def test_agentctl_lists_and_shows_incidents(empty_site: Site, tmp_path: Path) -> None:
    assert empty_site.run("blackbox", "--list").out == "no incident is kept\n"
    ring(tmp_path / "drive", rows=9).close()
    IncidentStore(empty_site.state).save(incident("one"), tmp_path / "drive", 1)
    assert empty_site.run("blackbox", "--list").lines[1].split()[0] == "one"
    assert empty_site.run("blackbox", "--list", "--json").json["incidents"][0]["generations"] == [1]
    for name in ("one", "last"):
        shown = empty_site.run("blackbox", "--incident", name)
        assert "why one" in shown.out and "drive, generation 1 (pid 0): 9 ticks" in shown.out
    assert len(empty_site.run("blackbox", "--incident", "one", "--csv").lines) == 10
    wrong = empty_site.run("blackbox", "--incident", "two")
    assert (wrong.status, wrong.out) == (1, "")
    assert "no incident 'two'" in wrong.err
