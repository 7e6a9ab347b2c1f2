"""Writes the record: takes rows from every ring of a runtime directory, and events, in few transactions.

No thread and no waiting of its own: the recorder calls `poll` about once a second. Chunks and the cursors
that say how far each ring was taken commit together, so after a crash nothing is missing and nothing is
there twice, as long as the rings still hold it.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agentd.event import Event
from agentd.runtime.ring import RingError, RingReader
from agentd.store.database import bytes_on_disk, open_writer
from agentd.store.feed import CHUNK_AFTER_NS, Batch, Feed
from agentd.store.retention import Budget, Retention
from hal.clock import NS_PER_S, boot_id, now_ns, utc_ns

RING = "ring."
TRANSACTION_BYTES = 4 * 1024 * 1024
"""Encoded chunks of one transaction at most."""

TRANSACTION_CHUNKS = 16
EVENTS_PER_TRANSACTION = 1000
MAX_EVENT_BYTES = 16 * 1024
"""Of an event's data; more is left out."""

OFFSET_STEP_NS = 5_000_000
"""UTC moved against CLOCK_BOOTTIME by more than this: the clock was set. Less is noise of reading both."""

EXPIRE_EVERY_NS = 60 * NS_PER_S
TRUST_CLOCK_NS = 3600 * NS_PER_S
"""The clock decides about deleting the past only after it was not set for this long."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of the record; tests bring their own."""

    now_ns: Callable[[], int] = now_ns
    utc_ns: Callable[[], int] = utc_ns
    boot_id: Callable[[], str] = boot_id

    def offset_ns(self) -> int:
        """UTC less CLOCK_BOOTTIME."""
        before = self.now_ns()
        utc = self.utc_ns()
        return utc - (before + self.now_ns()) // 2


SYSTEM_CLOCKS = Clocks()


class RecordWriter:
    """The database's one writer. Raises StoreError, later sqlite3.Error; both leave it usable."""

    def __init__(
        self,
        path: Path,
        budget: Budget,
        runtime: Path,
        *,
        events: deque[Event],
        tell: Callable[[Event], object],
        clocks: Clocks = SYSTEM_CLOCKS,
    ) -> None:
        """`events` is where the recorder leaves events to be written, `tell` takes what this has to report."""
        self.path, self._runtime, self._events, self._tell, self._clocks = path, runtime, events, tell, clocks
        self._db = open_writer(path, budget.checkpoint_pages)
        self._retention = Retention(self._db, budget)
        self._boots: dict[str, int] = dict(self._db.execute("SELECT boot_id, id FROM boot"))
        self._feeds: dict[tuple[str, int], Feed] = {}
        self._done: set[tuple[str, int]] = set()
        self._tidied = False
        self._committed_ns = self._expire_at_ns = 0
        self._offset: tuple[int, int] | None = self._known_offset()
        self.last_event_id: int = self._db.execute("SELECT max(id) FROM event").fetchone()[0] or 0
        self.samples_total = 0
        self.lost_rows_total = 0

    def set_budget(self, budget: Budget) -> None:
        """Keep to another budget from the next deletion on."""
        self._retention.budget = budget

    def poll(self, *, force: bool = False, pause: Callable[[], object] = bool) -> bool:
        """Write what is due, or with `force` everything. True when more is waiting. Raises sqlite3.Error."""
        now = self._clocks.now_ns()
        self._look_for_rings()
        if not self._tidied:
            self._tidy()
        due = [feed for feed in self._feeds.values() if (force and feed.pending > 0) or feed.due(now)]
        heads = [feed.reader.head for feed in due]
        events = list(self._events)
        urgent = force or now - self._committed_ns >= CHUNK_AFTER_NS or any(e.severity != "info" for e in events)
        taken: list[tuple[Feed, Batch]] = []
        if due or (events and urgent):
            self._retention.shrink(bytes_on_disk(self.path) - self.path.stat().st_size)
            try:
                taken = self._take(list(zip(due, heads, strict=True)), pause)
                self._commit(taken, now)
            except BaseException:
                for feed in due:
                    feed.rewind()
                raise
        moved = {id(feed) for feed, _batch in taken}
        behind = any(id(feed) in moved and feed.position < head for feed, head in zip(due, heads, strict=True))
        self._retire()
        return behind or len(events) > EVENTS_PER_TRANSACTION

    def oldest_utc_ns(self) -> int:
        """When the oldest chunk begins, 0 without one."""
        found = self._db.execute(
            "SELECT from_ns + ifnull((SELECT offset_ns FROM utc WHERE utc.boot = ring.boot"
            " ORDER BY time_ns DESC LIMIT 1), 0) FROM chunk JOIN ring ON ring.id = ring ORDER BY chunk.id LIMIT 1"
        ).fetchone()
        return int(found[0]) if found else 0

    def close(self) -> None:
        """Close the database; the last connection folds its log into it."""
        for feed in self._feeds.values():
            feed.reader.close()
        self._feeds.clear()
        self._db.close()

    def _tidy(self) -> None:
        """Forget the rings of other boots of which nothing is left, neither here nor as a file."""
        with_files = {self._clocks.boot_id(), *(feed.boot_id for feed in self._feeds.values())}
        self._retention.tidy([number for name, number in self._boots.items() if name in with_files])
        self._boots = dict(self._db.execute("SELECT boot_id, id FROM boot"))
        self._tidied = True

    def _known_offset(self) -> tuple[int, int] | None:
        boot = self._boots.get(self._clocks.boot_id())
        row = self._db.execute(
            "SELECT time_ns, offset_ns FROM utc WHERE boot = ? ORDER BY time_ns DESC LIMIT 1", (boot,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def _look_for_rings(self) -> None:
        """Open every ring that is not known yet; older generations too, for what is left in them."""
        try:
            folders = [entry for entry in os.scandir(self._runtime) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        for folder in folders:
            found = sorted(
                int(entry.name[len(RING) :])
                for entry in os.scandir(folder)
                if entry.name.startswith(RING) and entry.name[len(RING) :].isdigit()
            )
            for generation in found:
                key = (folder.name, generation)
                if key not in self._feeds and key not in self._done:
                    self._open(key, Path(folder.path) / f"{RING}{generation}")
            for generation in found[:-1]:
                newest = self._feeds.get((folder.name, found[-1]))
                if newest is not None and newest.reader.head and (feed := self._feeds.get((folder.name, generation))):
                    feed.retired = True

    def _open(self, key: tuple[str, int], path: Path) -> None:
        try:
            feed = Feed(key[0], RingReader(path))
        except FileNotFoundError:
            return
        except (RingError, OSError, ValueError) as error:
            self._done.add(key)
            self._report("warning", key[0], f"{path}: not recorded: {error}")
            return
        cursor = self._db.execute(
            "SELECT id, position, last_crc FROM ring WHERE boot = ? AND loop = ? AND generation = ?"
            " ORDER BY id DESC LIMIT 1",
            (self._boots.get(feed.boot_id), feed.loop, feed.generation),
        ).fetchone()
        if cursor is not None:
            feed.resume(*cursor)
        self._feeds[key] = feed

    def _take(self, due: list[tuple[Feed, int]], pause: Callable[[], object]) -> list[tuple[Feed, Batch]]:
        """Chunks of each feed up to the head that it had: rows that come meanwhile make a chunk later."""
        taken: list[tuple[Feed, Batch]] = []
        waiting, total = deque(due), 0
        while waiting and total < TRANSACTION_BYTES and len(taken) < TRANSACTION_CHUNKS:
            feed, head = waiting.popleft()
            batch = feed.take(pause)
            if batch is not None:
                taken.append((feed, batch))
                total += len(batch.blob)
                if feed.position < head:
                    waiting.append((feed, head))
            pause()
        return taken

    def _commit(self, taken: list[tuple[Feed, Batch]], now: int) -> None:
        events = [self._events.popleft() for _ in range(min(len(self._events), EVENTS_PER_TRANSACTION))]
        feeds = {id(feed): feed for feed, _batch in taken}
        try:
            self._db.execute("BEGIN IMMEDIATE")
            boot = self._boot(self._clocks.boot_id())
            self._note_offset(boot, now)
            self._make_room(boot, now, sum(len(batch.blob) for _feed, batch in taken))
            for feed, batch in taken:
                self._insert(feed, batch)
            for feed in feeds.values():
                self._db.execute(
                    "UPDATE ring SET position = ?, last_crc = ?, lost_rows = lost_rows + ? WHERE id = ?",
                    (feed.position, feed.last_crc, feed.lost, feed.ring),
                )
            self._db.executemany(
                "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [_event_row(boot, e) for e in events]
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back(feeds.values(), events)
            raise
        self._committed_ns = now
        for feed in feeds.values():
            self._count(feed)
        self.samples_total += sum(batch.rows * feed.scalars for feed, batch in taken)

    def _roll_back(self, feeds: Iterable[Feed], events: list[Event]) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        self._events.extendleft(reversed(events))
        with suppress(sqlite3.Error):
            self._boots = dict(self._db.execute("SELECT boot_id, id FROM boot"))
            self._offset = self._known_offset()
            known = {row[0] for row in self._db.execute("SELECT id FROM ring")}
            for feed in feeds:
                feed.ring = feed.ring if feed.ring in known else None

    def _count(self, feed: Feed) -> None:
        if feed.lost:
            self.lost_rows_total += feed.lost
            text = f"{feed.loop}: {feed.lost} rows were overwritten before they were recorded"
            self._report("warning", feed.loop, text, {"generation": feed.generation, "rows": feed.lost})
        feed.settle()

    def _insert(self, feed: Feed, batch: Batch) -> None:
        if feed.ring is None:
            digest, body = feed.layout_key()
            self._db.execute("INSERT OR IGNORE INTO layout (sha256, body) VALUES (?, ?)", (digest, body))
            feed.ring = self._db.execute(
                "INSERT INTO ring (boot, loop, generation, layout, position, last_crc)"
                " SELECT ?, ?, ?, id, 0, 0 FROM layout WHERE sha256 = ? RETURNING id",
                (self._boot(feed.boot_id), feed.loop, feed.generation, digest),
            ).fetchone()[0]
        self._db.execute(
            "INSERT INTO chunk (ring, first, rows, from_ns, to_ns, data) VALUES (?, ?, ?, ?, ?, ?)",
            (feed.ring, batch.first, batch.rows, batch.from_ns, batch.to_ns, batch.blob),
        )

    def _boot(self, name: str) -> int:
        if name not in self._boots:
            row = self._db.execute("INSERT INTO boot (boot_id) VALUES (?) RETURNING id", (name,)).fetchone()
            self._boots[name] = row[0]
        return self._boots[name]

    def _note_offset(self, boot: int, now: int) -> None:
        """Keep the mapping to UTC, when the clock was set since."""
        offset = self._clocks.offset_ns()
        if self._offset is None or abs(offset - self._offset[1]) > OFFSET_STEP_NS:
            self._db.execute("INSERT OR REPLACE INTO utc VALUES (?, ?, ?)", (boot, now, offset))
            self._offset = (now, offset)

    def _make_room(self, boot: int, now: int, incoming: int) -> None:
        self._retention.make_room(incoming, bytes_on_disk(self.path) - self.path.stat().st_size)
        if now >= self._expire_at_ns:
            settled = self._offset is not None and now - self._offset[0] > TRUST_CLOCK_NS
            deleted = self._retention.expire(boot, now, self._clocks.utc_ns() if settled else None)
            self._expire_at_ns = now if deleted else now + EXPIRE_EVERY_NS

    def _retire(self) -> None:
        """Close older generations that hold nothing more."""
        for key, feed in list(self._feeds.items()):
            if feed.retired and feed.pending <= 0:
                feed.reader.close()
                self._done.add(key)
                del self._feeds[key]

    def _report(self, severity: str, loop: str, message: str, data: dict[str, object] | None = None) -> None:
        now = self._clocks.now_ns()
        self._tell(Event(time_ns=now, kind="record", subject=loop, message=message, severity=severity, data=data or {}))


def _event_row(boot: int, event: Event) -> tuple[int, int, int, int, str, str, str, str, str]:
    """Whatever an event holds, it must not keep the others from being written."""
    try:
        data = msgspec.json.encode(event.data)
    except (TypeError, ValueError, RecursionError) as error:
        data = msgspec.json.encode({"left_out": str(error)})
    if len(data) > MAX_EVENT_BYTES:
        data = msgspec.json.encode({"left_out_bytes": len(data)})
    message = event.message[:MAX_EVENT_BYTES].encode("utf-8", "backslashreplace").decode()
    return (
        event.id, boot, event.time_ns, event.utc_ns, event.kind, event.subject, event.severity, message, data.decode(),
    )  # fmt: skip
