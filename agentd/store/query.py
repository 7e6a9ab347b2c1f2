"""Reads the record, from any process, while the daemon writes it and when it does not run.

What is damaged goes to `tell`, which by default raises it; else reading goes on behind it.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from agentd.event import Event
from agentd.store import database
from agentd.store.blocks import EVER, Row, Scalar, Span, blocks
from agentd.store.catalogue import NoRecord, RecordError, Selection, Tell, insist, select


class Sample(NamedTuple):
    """One signal in one tick."""

    utc_ns: int
    time_ns: int
    tick: int
    value: Scalar
    remark: str
    """Why it was absent; for actuators the guard's verdict."""


def open_record(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises NoRecord, RecordError."""
    try:
        db = database.open_reader(path)
        db.execute("PRAGMA query_only = 1")
    except FileNotFoundError as error:
        raise NoRecord(str(error)) from None
    except (database.StoreError, sqlite3.Error, OSError) as error:
        text = str(error)
        raise RecordError(text if str(path) in text else f"{path}: {text}") from None
    return db


def samples(
    db: sqlite3.Connection, signal: str, span: Span = EVER, *, limit: int | None = None, tell: Tell = insist
) -> Iterator[Sample]:
    """One signal, oldest first. Raises RecordError, sqlite3.Error, also while it is iterated."""
    for row in rows(db, [signal], span, limit=limit, tell=tell):
        yield Sample(row.utc_ns, row.time_ns, row.tick, row.values[0], row.remarks[0])


def rows(
    db: sqlite3.Connection, signals: Sequence[str], span: Span = EVER, *, limit: int | None = None, tell: Tell = insist
) -> Iterator[Row]:
    """Several signals, a row a tick of each loop that has any of them, by time. Raises as `samples`."""
    return islice(selected_rows(db, select(db, signals, tell), span, tell), limit)


def selected_rows(db: sqlite3.Connection, selection: Selection, span: Span, tell: Tell = insist) -> Iterator[Row]:
    """As `rows`, of what was selected before."""
    by_loop = [_loop_rows(db, selection, loop, span, tell) for loop in selection.loops]
    return by_loop[0] if len(by_loop) == 1 else heapq.merge(*by_loop, key=attrgetter("utc_ns"))


def latest(db: sqlite3.Connection, selection: Selection, span: Span, count: int, tell: Tell = insist) -> list[Row]:
    """The newest `count` rows of a span, oldest first. Raises as `samples`."""
    found: list[Row] = []
    for loop in selection.loops:
        mine: list[Row] = []
        for block in blocks(db, selection, span, loop=loop, newest_first=True, tell=tell):
            mine = [*block.rows(), *mine]
            if len(mine) >= count:
                break
        found += mine[-count:]
    return sorted(found, key=attrgetter("utc_ns"))[-count:]


def _loop_rows(db: sqlite3.Connection, selection: Selection, loop: str, span: Span, tell: Tell) -> Iterator[Row]:
    for block in blocks(db, selection, span, loop=loop, tell=tell):
        yield from block.rows()


_EVENTS = """
SELECT id, time_ns, utc, kind, subject, severity, message, data FROM (
    SELECT *, ifnull(
        time_ns + (SELECT offset_ns FROM utc WHERE utc.boot = event.boot ORDER BY utc.time_ns DESC LIMIT 1), utc_ns
    ) AS utc FROM event)
WHERE (?1 IS NULL OR utc >= ?1) AND (?2 IS NULL OR utc < ?2)
  AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR subject = ?4)
ORDER BY id DESC LIMIT ifnull(?5, -1)
"""


def events(
    db: sqlite3.Connection,
    span: Span = EVER,
    *,
    kind: str | None = None,
    subject: str | None = None,
    limit: int | None = None,
) -> list[Event]:
    """The newest that are wanted, oldest first, with UTC as it is known by now. Raises sqlite3.Error."""
    found = db.execute(_EVENTS, (*span, kind, subject, limit)).fetchall()
    names = ("id", "time_ns", "utc_ns", "kind", "subject", "severity", "message")
    return [Event(**dict(zip(names, row[:-1], strict=True)), data=_data(row[-1])) for row in reversed(found)]


def _data(text: str) -> dict[str, object]:
    with suppress(msgspec.MsgspecError, RecursionError):
        return msgspec.json.decode(text, type=dict[str, object])
    return {"unreadable": text}
