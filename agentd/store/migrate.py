"""Makes a record's schema and brings older ones up to date, in a process of its own.

    python -P -m agentd.store.migrate FILE

sqlite-utils costs 18 MB and 0.1 s (it imports numpy where there is one), so the daemon does not import it:
this runs once for a new file, and once after an update. A migration and its number commit together.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from importlib import resources

from sqlite_utils import Database, Migrations

from agentd.store.database import APPLICATION_ID, SCHEMA_VERSION

migrations = Migrations("agentd")


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@migrations()
def record(db: Database) -> None:
    """Schema 1."""
    for statement in statements(resources.files("agentd.store").joinpath("schema.sql").read_text("utf-8")):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 with the reason on standard error."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -P -m agentd.store.migrate FILE\n")
        return 1
    connection = sqlite3.connect(arguments[0], timeout=10.0)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has an effect on an empty file only
        migrations.apply(Database(connection))
    except sqlite3.Error as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
