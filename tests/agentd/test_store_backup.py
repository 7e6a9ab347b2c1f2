"""A backup is whole and of one moment, or it does not appear at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentd.store.backup import BackupError, back_up
from agentd.store.query import open_record
from tests.agentd.ctl_site import Site as CtlSite
from tests.agentd.record_parts import Past, ramp
from tests.agentd.store_parts import Oven, Site, event


class Recording:
    """A daemon's writer at work."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        self.oven, self.writer = Oven(self.site.runtime, self.site.time), self.site.open()
        self.events = 0

    def go_on(self) -> None:
        self.oven.publish(100)
        self.events += 1
        self.site.events.append(event(self.events))
        self.writer.poll(force=True)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    found = Recording(tmp_path)
    for _ in range(20):
        found.go_on()
    return found


@pytest.fixture
def db(recording: Recording) -> Iterator[sqlite3.Connection]:
    with closing(open_record(recording.site.path)) as connection:
        yield connection


def counts(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copy:
        (rows,), (events,) = (copy.execute(f"SELECT {what}").fetchone() for what in (
            "sum(rows) FROM chunk", "count(*) FROM event"))  # fmt: skip
        assert copy.execute("SELECT position FROM ring").fetchone() == (rows,)
        return rows, events


def test_a_copy_is_of_one_moment_while_the_writer_goes_on(
    recording: Recording, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.store.backup.PAGES", 2)
    steps = []

    def progress(done: int, of: int) -> None:
        steps.append((done, of))
        if len(steps) < 30:
            recording.go_on()

    size = back_up(db, tmp_path / "copy", progress)
    assert counts(tmp_path / "copy") == (2000, 20)
    assert (tmp_path / "copy").stat().st_size == size
    assert (len(steps) > 10, steps == sorted(steps), steps[-1][0]) == (True, True, steps[-1][1])
    assert counts(recording.site.path)[0] > 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "runtime", "state"]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


def test_recording_goes_on_from_a_copy(recording: Recording, db: sqlite3.Connection, tmp_path: Path) -> None:
    back_up(db, tmp_path / "copy")
    recording.go_on()
    recording.writer.close()
    db.close()
    (tmp_path / "copy").replace(recording.site.path)
    with closing(recording.site.open()) as writer:
        writer.poll(force=True)
    assert recording.site.indices() == list(range(2100)), "the ring still has what the copy lacks"


def test_an_interruption_leaves_an_older_copy_as_it_was(db: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("older")

    def interrupt(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(db, tmp_path / "copy", interrupt)
    assert (tmp_path / "copy").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "runtime", "state"]
    back_up(db, tmp_path / "copy")
    assert counts(tmp_path / "copy") == (2000, 20)


def test_a_damaged_record_gives_no_copy(recording: Recording, tmp_path: Path) -> None:
    recording.writer.close()
    path = recording.site.path
    with closing(sqlite3.connect(path)) as made:
        (page,) = made.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk_by_time'").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 + 8 : page * 4096] = bytes(4088)
    path.write_bytes(data)
    with closing(open_record(path)) as db, pytest.raises((BackupError, sqlite3.DatabaseError)):
        back_up(db, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_record_itself_and_a_directory_are_refused(
    recording: Recording, db: sqlite3.Connection, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(recording.site.path)
    for place in (recording.site.path, tmp_path / "link"):
        with pytest.raises(BackupError, match="the record itself"):
            back_up(db, place)
    with pytest.raises(BackupError, match="is no file"):
        back_up(db, tmp_path)
    assert counts(recording.site.path) == (2000, 20)


def test_the_command_needs_no_daemon_and_says_what_it_wrote(empty_site: CtlSite, tmp_path: Path) -> None:
    past = Past(tmp_path / "past", empty_site.state)
    ramp(past)
    copy = tmp_path / "copy.sqlite"
    found = empty_site.run("backup", str(copy))
    assert (found.status, found.out) == (0, "")
    assert found.err.startswith(f"{copy}: ")
    assert counts(copy) == (30, 0)
    assert empty_site.run("backup", str(copy), "--json").json == {"file": str(copy), "bytes": copy.stat().st_size}


def test_the_command_says_why_it_cannot(empty_site: CtlSite, tmp_path: Path) -> None:
    found = empty_site.run("backup", str(tmp_path / "copy"))
    assert (found.status, "nothing was recorded here yet" in found.err) == (1, True)
    Past(tmp_path / "past", empty_site.state)
    found = empty_site.run("backup", "/proc/nothing/here")
    assert (found.status, "choose another file" in found.err) == (1, True)
