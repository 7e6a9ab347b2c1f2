"""The budget: how much of the past is kept, by days and by bytes on the disk, its log included.

Old chunks go in small batches inside the transactions that bring new ones, and their pages are used again, so
the file neither grows past its budget nor ever stalls. Only a budget that was lowered shrinks the file, a
megabyte at a time.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agentd.config.plan import RecordPlan
from agentd.store.database import CHECKPOINT_PAGES, PAGE_BYTES
from hal.clock import NS_PER_S

DAY_NS = 86_400 * NS_PER_S
BATCH = 64
"""Chunks and hundreds of events that go in one transaction at most."""

SHRINK_PAGES = 256
EVENT_BYTES = 512
"""An event with its row, about; for the share of events in the budget."""

EVENT_SHARE = 10
"""Events may fill one part in so many of the budget."""

LEAST_BYTES = 1_000_000
"""A budget below this is taken as this: SQLite itself needs some."""

OVERHEAD = 1.1
"""Pages of a blob that are not full, index entries, pointer map."""


OLDEST = """
SELECT chunk.id, boot, to_ns,
       (SELECT offset_ns FROM utc WHERE utc.boot = ring.boot ORDER BY time_ns DESC LIMIT 1)
FROM chunk JOIN ring ON ring.id = chunk.ring ORDER BY chunk.id
"""
"""Chunks, oldest first, with their boot, their end and the boot's UTC offset; read as far as needed."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a configuration allows."""

    keep_ns: int
    bytes: int

    @classmethod
    def of(cls, plan: RecordPlan) -> Budget:
        """From the configuration's days and megabytes (10^6 bytes)."""
        return cls(round(plan.keep_days * DAY_NS), max(LEAST_BYTES, round(plan.keep_mb * 1e6)))

    @property
    def checkpoint_pages(self) -> int:
        """How long the log may grow: a twentieth of the budget, at most SQLite's usual 1000 pages."""
        return max(32, min(CHECKPOINT_PAGES, self.bytes // 20 // PAGE_BYTES))

    @property
    def events(self) -> int:
        """How many events are kept at most."""
        return self.bytes // EVENT_SHARE // EVENT_BYTES


class Retention:
    """Deletes what the budget no longer covers. Every method runs inside the writer's transaction but `shrink`."""

    def __init__(self, db: sqlite3.Connection, budget: Budget) -> None:
        self._db, self.budget = db, budget

    def _pages(self) -> tuple[int, int]:
        """Pages of the file, and how many of them are free."""
        (count,), (free,) = (self._db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
        return int(count), int(free)

    def make_room(self, incoming: int, log_bytes: int) -> int:
        """Delete the oldest chunks until `incoming` bytes fit the budget. Returns how many were deleted."""
        log_bytes = max(log_bytes, 2 * self.budget.checkpoint_pages * PAGE_BYTES)
        count, free = self._pages()
        excess = (count - free) * PAGE_BYTES + round(incoming * OVERHEAD) + log_bytes - self.budget.bytes
        if excess <= 0:
            return 0
        doomed = []
        for chunk, size in self._db.execute("SELECT id, length(data) FROM chunk ORDER BY id LIMIT ?", (BATCH,)):
            doomed.append(chunk)
            excess -= size
            if excess <= 0:
                break
        self._delete(doomed)
        return len(doomed)

    def expire(self, boot: int, now_ns: int, utc_ns: int | None) -> int:
        """Delete what is older than the budget's days. Returns how many chunks were deleted.

        `utc_ns` is None while the clock is not trusted: what other boots recorded then stays.
        """
        doomed: list[int] = []
        for chunk, its_boot, to_ns, offset_ns in self._db.execute(OLDEST):
            if its_boot == boot:
                age_ns = now_ns - to_ns
            elif utc_ns is None or offset_ns is None:
                break
            else:
                age_ns = utc_ns - to_ns - offset_ns
            if age_ns <= self.budget.keep_ns or len(doomed) >= BATCH:
                break
            doomed.append(chunk)
        self._delete(doomed)
        self._expire_events(utc_ns)
        return len(doomed)

    def _expire_events(self, utc_ns: int | None) -> None:
        newest = self._db.execute("SELECT max(id) FROM event").fetchone()[0] or 0
        self._db.execute(
            "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?) AND (id <= ? OR utc_ns < ?)",
            (100 * BATCH, newest - self.budget.events, (utc_ns or 0) - self.budget.keep_ns),
        )

    def _delete(self, chunks: list[int]) -> None:
        self._db.executemany("DELETE FROM chunk WHERE id = ?", [(chunk,) for chunk in chunks])

    def tidy(self, kept_boots: list[int]) -> None:
        """Forget rings without chunks, and what only they referred to; those of `kept_boots` stay for their cursors."""
        boots = ",".join(map(str, kept_boots))
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(f"DELETE FROM ring WHERE boot NOT IN ({boots}) AND id NOT IN (SELECT ring FROM chunk)")  # noqa: S608 - numbers
        self._db.execute("DELETE FROM layout WHERE id NOT IN (SELECT layout FROM ring)")
        used = f"SELECT boot FROM ring UNION SELECT boot FROM event UNION SELECT id FROM boot WHERE id IN ({boots})"  # noqa: S608
        self._db.execute(f"DELETE FROM utc WHERE boot NOT IN ({used})")  # noqa: S608
        self._db.execute(f"DELETE FROM boot WHERE id NOT IN ({used})")  # noqa: S608
        self._db.execute("COMMIT")

    def shrink(self, log_bytes: int) -> None:
        """Give pages back to the file system, some at a time, while the files are larger than the budget."""
        count, _free = self._pages()
        if count * PAGE_BYTES + log_bytes <= self.budget.bytes:
            return
        pages = self.budget.checkpoint_pages
        # `execute` would end after the first page: the statement yields a row without columns for each.
        self._db.executescript(
            f"PRAGMA incremental_vacuum({SHRINK_PAGES}); PRAGMA wal_autocheckpoint({pages});"
            f"PRAGMA journal_size_limit({pages * PAGE_BYTES}); PRAGMA wal_checkpoint(TRUNCATE);"
        )
