"""The record's file: made, checked, opened, and set aside when it is damaged.

    StoreError
    ├── NewerSchema      written by a newer agentd: refused, nothing is changed
    └── DamagedDatabase  not readable as a database: set it aside and begin a new one

The hot path is the standard library's driver in WAL mode, so that readers in any process never wait for the
writer. `synchronous=FULL`: a commit is on the disk when it returns. There are a few commits a minute, so the
price is a few fsync calls, and a power loss costs at most the rows that no chunk holds yet; with NORMAL it
would cost everything since the last checkpoint, which are minutes.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

FILE_NAME = "record.sqlite"
"""In the state directory."""

APPLICATION_ID = 0x61676431  # "agd1", shown by file(1)
SCHEMA_VERSION = 1
MAGIC = b"SQLite format 3\0"
PAGE_BYTES = 4096
"""SQLite's default, and the unit of flash translation layers."""

CHECKPOINT_PAGES = 1000
BUSY_TIMEOUT_S = 5.0
MIGRATE_TIMEOUT_S = 60.0
KEPT_ASIDE = 2
"""Damaged files that are kept; older ones are removed, or a bad disk would fill itself with them."""


class StoreError(Exception):
    """The record cannot be used. The message says why and what to do."""


class NewerSchema(StoreError):
    """The file was written by a newer agentd."""


class DamagedDatabase(StoreError):
    """The file is not readable as a database."""


DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file itself is broken, not that a disk is full or a lock is held."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def prepare(path: Path) -> None:
    """Make the file, or bring its schema up to date. Raises StoreError and its children."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        version = schema_version(path)
        if version == SCHEMA_VERSION:
            return
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; choose another place with --state") from None
    _migrate(path)


def _migrate(path: Path) -> None:
    command = [sys.executable, "-P", "-m", "agentd.store.migrate", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MIGRATE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{path}: its schema could not be made: {error}") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise StoreError(f"{path}: its schema could not be made: {reason[0]}")


def schema_version(path: Path) -> int:
    """0 for an empty file. Raises NewerSchema, DamagedDatabase, or StoreError for somebody else's database."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if not start:
        return 0
    if start != MAGIC:
        raise DamagedDatabase(f"{path}: begins with {start!r}, expected an SQLite database")
    try:
        with closing(_connect_read_only(path)) as db:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            owner = int(db.execute("PRAGMA application_id").fetchone()[0])
            tables = int(db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    except sqlite3.Error as error:
        raise (DamagedDatabase if is_damage(error) else StoreError)(f"{path}: {error}") from None
    if version > SCHEMA_VERSION:
        raise NewerSchema(
            f"{path}: schema {version}, this agentd knows {SCHEMA_VERSION}: it was written by a newer agentd;"
            " install that one, or move the file away"
        )
    if tables and (owner != APPLICATION_ID or version < 1):
        raise StoreError(f"{path}: application id {owner:#x}, expected {APPLICATION_ID:#x}: not a record; move it away")
    return version


def open_writer(path: Path, checkpoint_pages: int = CHECKPOINT_PAGES) -> sqlite3.Connection:
    """The one connection that writes. Transactions are explicit. Raises StoreError and its children."""
    prepare(path)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
        db.execute(f"PRAGMA journal_size_limit = {checkpoint_pages * PAGE_BYTES}")
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -2000")
        _probe(db)
    except sqlite3.Error as error:
        db.close()
        raise (DamagedDatabase if is_damage(error) else StoreError)(f"{path}: {error}") from None
    return db


def _probe(db: sqlite3.Connection) -> None:
    """Touch every table at both ends. A full check of 500 MB would take longer than the daemon may."""
    for table in ("boot", "layout", "ring", "chunk", "event"):
        db.execute(f"SELECT * FROM {table} ORDER BY id LIMIT 1").fetchall()  # noqa: S608 - names from above
        db.execute(f"SELECT * FROM {table} ORDER BY id DESC LIMIT 1").fetchall()  # noqa: S608
    db.execute("SELECT count(*) FROM utc").fetchone()


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, from any process, while the daemon writes or after it ended.

    Raises StoreError and its children; FileNotFoundError when nothing was recorded yet.
    """
    if not path.exists() or schema_version(path) == 0:
        raise FileNotFoundError(f"{path}: nothing was recorded here yet")
    return _connect_read_only(path)


def _connect_read_only(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def set_aside(path: Path, utc_ns: int) -> Path:
    """Rename a damaged database, its log too, so that a person can look at it. Returns the new name."""
    stamp = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{path.name}.damaged-{stamp}"
    aside = path.with_name(name)
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{name}-{count}")
    older = sorted(p for p in path.parent.glob(f"{path.name}.damaged-*") if not p.name.endswith("-wal"))
    for kept in older[: len(older) - KEPT_ASIDE + 1]:
        kept.unlink()
        kept.with_name(kept.name + "-wal").unlink(missing_ok=True)
    path.rename(aside)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        log.rename(aside.with_name(aside.name + "-wal"))
    return aside


def bytes_on_disk(path: Path) -> int:
    """Database and log."""
    total = 0
    for name in (path.name, path.name + "-wal"):
        try:
            total += path.with_name(name).stat().st_size
        except OSError:
            continue
    return total
