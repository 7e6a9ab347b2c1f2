"""The file: private, refused when it is newer or somebody else's, set aside when it is damaged."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from agentd.store.database import (
    SCHEMA_VERSION,
    DamagedDatabase,
    NewerSchema,
    StoreError,
    open_reader,
    open_writer,
    prepare,
    schema_version,
    set_aside,
)
from tests.agentd.store_parts import Oven, Site, empty_record, event


def test_a_new_file_is_private_and_has_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "state" / "record.sqlite"
    db = open_writer(path)
    db.execute("INSERT INTO boot (boot_id) VALUES ('x')")
    for name in ("record.sqlite", "record.sqlite-wal", "record.sqlite-shm"):
        assert path.with_name(name).stat().st_mode & 0o777 == 0o600, name
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (schema_version(path), db.execute("PRAGMA auto_vacuum").fetchone()) == (SCHEMA_VERSION, (2,))


def test_a_file_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    path.write_bytes(empty_record().read_bytes())
    before = path.stat().st_mtime_ns
    prepare(path)
    assert path.stat().st_mtime_ns == before


def test_a_creation_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    path.touch(0o600)
    open_writer(path).close()
    assert schema_version(path) == SCHEMA_VERSION


def test_a_newer_schema_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    path.write_bytes(empty_record().read_bytes())
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = path.read_bytes()
    for use in (open_writer, open_reader):
        with pytest.raises(NewerSchema, match=r"schema 2, this agentd knows 1.*install"):
            use(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE holiday (picture BLOB)")
    db.close()
    with pytest.raises(StoreError, match="not a record; move it away") as caught:
        open_writer(path)
    assert not isinstance(caught.value, DamagedDatabase)


@pytest.mark.parametrize("what", ["text", "header", "pages"])
def test_a_damaged_file_is_named_as_such(tmp_path: Path, what: str) -> None:
    path = tmp_path / "record.sqlite"
    data = bytearray(empty_record().read_bytes())
    if what == "text":
        data = bytearray(b"once upon a time")
    elif what == "header":
        data[16:100] = b"\xff" * 84
    else:
        data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(DamagedDatabase, match=r"record\.sqlite"):
        open_writer(path)


def test_a_place_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((StoreError, OSError), match="file"):
        open_writer(tmp_path / "file" / "record.sqlite")


def test_set_aside_files_have_a_limit_and_keep_their_log(tmp_path: Path) -> None:
    names = []
    for second in range(4):
        path = tmp_path / "record.sqlite"
        path.write_bytes(b"broken")
        path.with_name("record.sqlite-wal").write_bytes(b"log")
        names.append(set_aside(path, second * 10**9).name)
    assert names[0] == "record.sqlite.damaged-19700101T000000Z"
    assert sorted(os.listdir(tmp_path)) == sorted([*names[2:], *(f"{name}-wal" for name in names[2:])])


def test_two_files_set_aside_in_one_second_both_stay(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        set_aside(path, 0)
    assert {file.read_bytes() for file in tmp_path.iterdir()} == {b"one", b"two"}


def test_a_reader_sees_whole_transactions_while_the_writer_goes_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    oven, writer = Oven(site.runtime, site.time), site.open()
    oven.publish(10)
    writer.poll(force=True)
    reader = open_reader(site.path)
    try:
        for number in range(2, 6):
            site.events.append(event(number))
            oven.publish(10)
            writer.poll(force=True)
            ((rows,),) = reader.execute("SELECT sum(rows) FROM chunk")
            ((position,),) = reader.execute("SELECT position FROM ring")
            assert rows == position == 10 * number
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM chunk")
    finally:
        reader.close()


def test_nothing_recorded_yet_is_told_apart_from_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing was recorded"):
        open_reader(tmp_path / "record.sqlite")
