"""Makes a record's schema and brings older ones up to date, in a process of its own.

    python -P -m agentd.store.migrate FILE

sqlite-utils costs 18 MB and 0.1 s (it imports numpy where there is one), so the daemon does not import it:
this runs once for a new file, and once after an update, then with a copy of the old file made first. A migration
and its number commit together.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from sqlite_utils import Database, Migrations

from agentd.store.backup import BackupError, back_up
from agentd.store.database import APPLICATION_ID, SCHEMA_VERSION, bytes_on_disk, copy_name

migrations = Migrations("agentd")


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def to_schema(db: Database, number: int) -> None:
    """Apply a script, and say so in the file."""
    script = resources.files("agentd.store").joinpath(f"schema-{number}.sql").read_text("utf-8")
    for statement in statements(script):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {number}")


@migrations()
def record(db: Database) -> None:
    """Schema 1."""
    to_schema(db, 1)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@migrations()
def rollups(db: Database) -> None:
    """Schema 2. What is recorded already is rolled up by the daemon, bit by bit."""
    to_schema(db, 2)


def keep_copy(connection: sqlite3.Connection, path: Path) -> None:
    """Before anything is changed in a file that holds something. Raises BackupError, sqlite3.Error, OSError."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if 0 < version < SCHEMA_VERSION:
        used, room = bytes_on_disk(path), shutil.disk_usage(path.parent).free
        if used > room:
            raise BackupError(
                f"before its schema is changed it is copied: that takes {used} bytes, free are {room};"
                " make room, or move it away"
            )
        back_up(connection, copy_name(path, version))


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 with the reason on standard error."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -P -m agentd.store.migrate FILE\n")
        return 1
    connection = sqlite3.connect(arguments[0], timeout=10.0)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has an effect on an empty file only
        keep_copy(connection, Path(arguments[0]))
        migrations.apply(Database(connection))
    except (sqlite3.Error, OSError, BackupError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
