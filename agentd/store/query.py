"""Reads the record, from any process, while the daemon writes it and when it does not run."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class RecordError(Exception):
    """The record, or what was asked of it, does not exist or is damaged."""


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises RecordError when there is no record."""
    if not path.is_file():
        raise RecordError(f"{path}: no record here yet")
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    db.execute("PRAGMA query_only = 1")
    return db
