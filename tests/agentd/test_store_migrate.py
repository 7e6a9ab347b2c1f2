"""An older record is brought up to date after a copy of it was made; nothing of it is lost, whatever goes wrong."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentd.store import migrate
from agentd.store.backup import BackupError
from agentd.store.database import SCHEMA_VERSION, StoreError, open_reader, open_writer, schema_version
from agentd.store.points import points
from agentd.store.query import open_record
from hal.clock import NS_PER_S
from tests.agentd.store_parts import Oven, Site, event

SCHEMA_1 = """
CREATE TABLE boot (
    id      INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE utc (
    boot      INTEGER NOT NULL REFERENCES boot,
    time_ns   INTEGER NOT NULL,
    offset_ns INTEGER NOT NULL,
    PRIMARY KEY (boot, time_ns)
) STRICT, WITHOUT ROWID;
CREATE TABLE layout (
    id     INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    body   TEXT NOT NULL
) STRICT;
CREATE TABLE ring (
    id         INTEGER PRIMARY KEY,
    boot       INTEGER NOT NULL REFERENCES boot,
    loop       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    layout     INTEGER NOT NULL REFERENCES layout,
    position   INTEGER NOT NULL,
    last_crc   INTEGER NOT NULL,
    lost_rows  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX ring_by_name ON ring (boot, loop, generation);
CREATE TABLE chunk (
    id      INTEGER PRIMARY KEY,
    ring    INTEGER NOT NULL REFERENCES ring,
    first   INTEGER NOT NULL,
    rows    INTEGER NOT NULL,
    from_ns INTEGER NOT NULL,
    to_ns   INTEGER NOT NULL,
    data    BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunk_by_position ON chunk (ring, first);
CREATE INDEX chunk_by_time ON chunk (ring, from_ns, to_ns);
CREATE TABLE event (
    id       INTEGER PRIMARY KEY,
    boot     INTEGER NOT NULL REFERENCES boot,
    time_ns  INTEGER NOT NULL,
    utc_ns   INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    severity TEXT NOT NULL,
    message  TEXT NOT NULL,
    data     TEXT NOT NULL
) STRICT;
CREATE TABLE "_sqlite_migrations" (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name" ON "_sqlite_migrations" (migration_set, name);
INSERT INTO _sqlite_migrations VALUES (1, 'agentd', 'record', '2026-11-21 07:12:42.961031+00:00');
PRAGMA application_id = 1634165809;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
"""As the first version made it. Never changed."""

TABLES = {"boot": "*", "utc": "*", "layout": "*", "chunk": "*", "event": "*",
          "ring": "id, boot, loop, generation, layout, position, last_crc, lost_rows"}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Twenty minutes that a daemon of the first version recorded."""
    site = Site(tmp_path)
    oven, writer = Oven(site.runtime, site.time), site.open()
    for number in range(20):
        oven.publish(30)
        site.time.now_ns += 60 * NS_PER_S
        site.events.append(event(number + 1))
        writer.poll(force=True)
    oven.path.unlink()
    writer.close()
    new = site.path.rename(site.path.with_name("new"))
    with closing(sqlite3.connect(site.path, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.executescript(SCHEMA_1)
        db.execute("ATTACH ? AS new", (str(new),))
        for table, columns in TABLES.items():
            db.execute(f"INSERT INTO main.{table} SELECT {columns} FROM new.{table}")
    new.unlink()
    return site


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        return {table: db.execute(f"SELECT {columns} FROM {table}").fetchall() for table, columns in TABLES.items()}


def copy_of(site: Site) -> Path:
    return site.path.with_name("record.sqlite.schema-1")


def test_what_is_in_it_stays_and_a_copy_is_beside_it(site: Site) -> None:
    before = contents(site.path)
    assert [len(before[table]) for table in ("chunk", "event")] == [20, 20]
    open_writer(site.path).close()
    assert schema_version(site.path) == SCHEMA_VERSION
    assert contents(site.path) == contents(copy_of(site)) == before
    assert copy_of(site).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in site.path.parent.iterdir()) == ["record.sqlite", "record.sqlite.schema-1"]


def test_a_new_file_and_a_second_start_make_no_copy(site: Site, tmp_path: Path) -> None:
    open_writer(tmp_path / "new" / "record.sqlite").close()
    open_writer(site.path).close()
    copy_of(site).unlink()
    open_writer(site.path).close()
    assert [path.name for path in site.path.parent.iterdir()] == ["record.sqlite"]
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_what_was_recorded_before_is_rolled_up_bit_by_bit(site: Site) -> None:
    with closing(site.open()) as writer:
        passes = 1
        while writer.poll():
            passes += 1
        assert passes > 1
        assert site.query("SELECT rolled FROM ring") == [(600,)]
    with closing(open_record(site.path)) as db:
        before = points(db, "oven.count", count=20)
        db_rows = sum(bucket.count for bucket in before.buckets)
    assert db_rows == 600
    assert before.buckets[-1].last == 599


def test_without_room_for_the_copy_nothing_is_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000))
    before = contents(site.path)
    with closing(sqlite3.connect(site.path)) as db, pytest.raises(BackupError, match=r"free are 1000; make room"):
        migrate.keep_copy(db, site.path)
    assert (migrate.main([str(site.path)]), schema_version(site.path)) == (1, 1)
    assert contents(site.path) == before
    assert not copy_of(site).exists()


def test_a_copy_that_cannot_be_made_is_an_error_that_says_so(site: Site) -> None:
    copy_of(site).mkdir()
    with pytest.raises(StoreError, match=r"schema could not be made: .*is no file"):
        open_writer(site.path)
    assert schema_version(site.path) == 1


def test_a_reader_of_an_older_record_says_what_to_do(site: Site) -> None:
    with pytest.raises(StoreError, match=r"schema 1, expected 2: start the daemon"):
        open_reader(site.path)
