"""Rolls committed chunks up, and forgets the oldest rollups.

How far a ring was rolled up is its `rolled`, which commits together with the buckets: whatever ends in between, no
sample is counted twice and none is left out. What is not rolled up yet is in chunks, where plots read it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from agentd.runtime.ring import Layout
from agentd.store.catalogue import layout_of, own_signals
from agentd.store.chunk import Chunk, ChunkError, RowShape
from agentd.store.rollup import (
    LEVELS,
    PART_COLUMNS,
    Level,
    RollupError,
    Sums,
    Track,
    add,
    encode,
    fold,
    levels,
    merge,
    runs,
    sums_of,
)

CHUNKS = 16
"""Rolled up in one transaction at most."""

SHARES = {1: 0.10, 2: 0.06, 3: 0.04}
"""Of the budget's bytes, a level: the finest lasts twice as long as full rows, the others months and years."""

TRIM_ROWS = 64

_BEHIND = """
SELECT id, began, ended FROM (
    SELECT id,
           (SELECT from_ns FROM chunk WHERE ring = ring.id AND first >= rolled ORDER BY first LIMIT 1) AS began,
           (SELECT to_ns FROM chunk WHERE ring = ring.id AND first >= rolled ORDER BY first DESC LIMIT 1) AS ended
    FROM ring WHERE rolled < position)
WHERE began IS NOT NULL
"""


class Roller:
    """The rollups of one database; of its writer's connection, inside the writer's transactions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._bytes: dict[int, int] | None = None

    def behind(self, live: Collection[int]) -> list[int]:
        """Rings that are worth a transaction: a stretch is complete, or they are not in `live` and get no more."""
        stretch_ns = LEVELS[0].stretch_ns
        return [
            ring
            for ring, began, ended in self._db.execute(_BEHIND).fetchall()
            if ring not in live or began // stretch_ns != ended // stretch_ns
        ]

    def roll(self, ring: int, before: int | None = None, pause: Callable[[], object] = bool) -> bool:
        """Roll up some of a ring's next chunks, `before` a row if it is given. False when there are none."""
        chunks = self._db.execute(
            "SELECT first, rows, from_ns, to_ns, data FROM chunk JOIN ring ON ring.id = ring"
            " WHERE ring = ?1 AND first >= rolled AND (?2 IS NULL OR first < ?2) ORDER BY first LIMIT ?3",
            (ring, before, CHUNKS),
        ).fetchall()
        if not chunks:
            return False
        layout = self._db.execute("SELECT layout FROM ring WHERE id = ?", (ring,)).fetchone()[0]
        known = layout_of(self._db, layout, bool)
        kept = levels(known[0].period_ns) if known else []
        if known and kept:
            tracks: dict[int, Track] = {}
            for chunk in chunks:
                _gather(tracks, chunk[-1], known, kept[0], pause)
            self._store(ring, tracks, kept, pause)
        first, rows, _from_ns, to_ns, _data = chunks[-1]
        self._db.execute(
            "UPDATE ring SET rolled = ?, rolled_from_ns = ifnull(rolled_from_ns, ?), rolled_to_ns = ? WHERE id = ?",
            (first + rows, chunks[0][2], to_ns, ring),
        )
        return True

    def _store(self, ring: int, tracks: dict[int, Track], kept: Sequence[Level], pause: Callable[[], object]) -> None:
        finer = kept[0]
        for level in kept:
            if level is not finer:
                tracks = {column: fold(track, finer, level) for column, track in tracks.items()}
            finer = level
            for (part, stretch), columns in _rows(tracks, level).items():
                self._put(ring, level, part, stretch, columns)
                pause()

    def _put(self, ring: int, level: Level, part: int, stretch: int, columns: list[Track]) -> None:
        """One row, new or with what it holds already. One that is damaged begins anew."""
        key, base = (ring, level.number, part, stretch * level.stretch_ns), stretch * level.buckets
        before = self._db.execute(
            "SELECT data FROM rollup WHERE ring = ? AND level = ? AND part = ? AND from_ns = ?", key
        ).fetchone()
        if before is not None:
            with suppress(RollupError):
                columns = merge(before[0], columns, base, level)
        blob = encode(columns, base, level)
        self._sizes()[level.number] += len(blob) - (len(before[0]) if before else 0)
        self._db.execute(
            "INSERT INTO rollup (ring, level, part, from_ns, data) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (ring, level, from_ns, part) DO UPDATE SET data = excluded.data",
            (*key, blob),
        )

    def trim(self, budget_bytes: int) -> None:
        """Delete the oldest of each level that has more than its share."""
        for level, used in self._sizes().items():
            excess = used - budget_bytes * SHARES[level]
            if excess <= 0:
                continue
            doomed = []
            oldest = "SELECT id, length(data) FROM rollup WHERE level = ? ORDER BY id LIMIT ?"
            for number, size in self._db.execute(oldest, (level, TRIM_ROWS)).fetchall():
                doomed.append((number,))
                excess -= size
                self._sizes()[level] -= size
                if excess <= 0:
                    break
            self._db.executemany("DELETE FROM rollup WHERE id = ?", doomed)

    def forget_sizes(self) -> None:
        """A transaction was rolled back: count again."""
        self._bytes = None

    def _sizes(self) -> dict[int, int]:
        if self._bytes is None:
            self._bytes = dict.fromkeys(SHARES, 0)
            self._bytes.update(self._db.execute("SELECT level, sum(length(data)) FROM rollup GROUP BY level"))
        return self._bytes


def _rows(tracks: dict[int, Track], level: Level) -> dict[tuple[int, int], list[Track]]:
    """Tracks by part and stretch: what one row each is made of."""
    found: dict[tuple[int, int], list[Track]] = {}
    for column, track in tracks.items():
        part, place = divmod(column, PART_COLUMNS)
        for number, sums in track.items():
            row = found.setdefault((part, number // level.buckets), [{} for _ in range(PART_COLUMNS)])
            row[place][number] = sums
    return found


def _gather(
    tracks: dict[int, Track], data: bytes, known: tuple[Layout, RowShape], level: Level, pause: Callable[[], object]
) -> None:
    """Add a chunk; what is damaged of it is left out, as it is when samples are read."""
    layout, shape = known
    try:
        chunk = Chunk(data, shape)
        spans = runs(chunk.times_ns(), level.width_ns)
    except ChunkError:
        return
    seen: dict[tuple[int, bool, bytes], list[tuple[int, Sums]]] = {}
    for column, plan in own_signals(layout):
        try:
            reasons = b"" if plan.role == "actuator" else chunk.reasons(column)
            key = chunk.origin(column), plan.type == "float", reasons
            if key not in seen:
                seen[key] = _sums(chunk, column, plan.type, reasons, spans)
        except ChunkError:
            continue
        track = tracks.setdefault(column, {})
        for number, sums in seen[key]:
            add(track, number, sums)
        pause()


def _sums(
    chunk: Chunk, column: int, kind: str, reasons: bytes, spans: list[tuple[int, int, int]]
) -> list[tuple[int, Sums]]:
    """A column's buckets, those that have a value."""
    absent = reasons.count(0) != len(reasons)
    same = chunk.constant(column, kind)
    if same is not None and not absent:
        return [(number, Sums(end - at, same, same * (end - at), same, same)) for number, at, end in spans]
    values = list(chunk.values(column, kind))
    found = []
    for number, at, end in spans:
        run = values[at:end]
        if absent:
            run = [value for value, code in zip(run, reasons[at:end], strict=True) if not code]
        sums = sums_of(run)
        if sums is not None:
            found.append((number, sums))
    return found
