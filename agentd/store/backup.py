"""A copy of the record that is whole, made while it is written.

The copy is of one moment, checked, on the disk, and only then has its name: whatever ends this before leaves an older
copy as it was. The writer is not held up; its log grows by what is recorded meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

PAGES = 2048
"""Copied between two calls of `progress`: 8 MB."""

CHECK_STEPS = 1_000_000
"""Of SQLite's machine between two calls of `progress` while the copy is checked."""

Progress = Callable[[int, int], object]
"""Gets how many of how many pages were copied; may raise to end it, also while the copy is checked."""


class BackupError(Exception):
    """No copy was made. The message says why and what to do."""


def back_up(source: sqlite3.Connection, to: Path, progress: Progress = lambda _done, _of: None) -> int:
    """Copy a database; how many bytes. A file of that name is replaced. Raises BackupError, sqlite3.Error, OSError."""
    path = to.resolve()
    if path.exists() and not path.is_file():
        raise BackupError(f"{to}: is no file; name one that is to be written")
    held = source.execute("PRAGMA database_list").fetchone()[2]
    if path.exists() and path.samefile(held):
        raise BackupError(f"{to}: is the record itself; choose another file")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _copy(source, part, progress)
        size = _sync(part)
        part.replace(path)
        _sync(path.parent)
    finally:
        for name in (part.name, part.name + "-journal", part.name + "-wal", part.name + "-shm"):
            part.with_name(name).unlink(missing_ok=True)
    return size


def _copy(source: sqlite3.Connection, part: Path, progress: Progress) -> None:
    last = (0, 0)

    def copied(_status: int, remaining: int, total: int) -> None:
        nonlocal last
        last = (total - remaining, total)
        progress(*last)

    def alive() -> int:
        progress(*last)
        return 0

    source.execute("BEGIN")  # one moment: else the copy would begin anew at each of the writer's commits
    try:
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            source.backup(copy, pages=PAGES, progress=copied, sleep=0)
            source.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            copy.set_progress_handler(alive, CHECK_STEPS)
            found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    finally:
        with suppress(sqlite3.Error):
            if source.in_transaction:
                source.execute("ROLLBACK")
    if found != "ok":
        raise BackupError(f"the copy is damaged, and so perhaps is the record: {found}; nothing was written")


def _sync(path: Path) -> int:
    """To the disk. A file's size."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
