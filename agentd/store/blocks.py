"""The record's chunks, a block of columns each: where every reader begins.

Chunks are read one by one, never a whole table at once, and no transaction stays open between two: a slow reader
never keeps the writer's log from being folded in, and what retention deletes meanwhile is left out.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from agentd.runtime.guard import Verdict
from agentd.store.catalogue import Column, Damaged, Selection, Source, Tell, insist
from agentd.store.chunk import Chunk, ChunkError
from agentd.store.instant import iso
from hal.signal import Absent

Scalar: TypeAlias = float | int | bool | None
INT64_MAX = 2**63 - 1

ABSENT = [Absent(code).name.lower() if code in list(Absent) else f"code_{code}" for code in range(256)]
ABSENT[Absent.PRESENT] = ""
VERDICTS = [Verdict(code).name.lower() if code in list(Verdict) else f"code_{code}" for code in range(256)]
"""A row's byte in words; a newer daemon may know more of them."""


class Span(NamedTuple):
    """A stretch of UTC: from the first, before the second."""

    from_utc_ns: int | None = None
    """None is no limit."""
    to_utc_ns: int | None = None

    def within(self, source: Source) -> tuple[int, int]:
        """In the time of a ring's boot."""
        low = -INT64_MAX if self.from_utc_ns is None else self.from_utc_ns - source.offset_ns
        high = INT64_MAX if self.to_utc_ns is None else self.to_utc_ns - source.offset_ns
        return max(low, -INT64_MAX), max(-INT64_MAX, min(high, INT64_MAX))


EVER = Span()


class Row(NamedTuple):
    """One tick of one loop, with the signals that were asked for, in their order."""

    utc_ns: int
    time_ns: int
    """When the tick began, CLOCK_BOOTTIME of that boot."""
    loop: str
    tick: int
    values: tuple[Scalar, ...]
    """None where a signal was absent, or does not belong to this loop."""
    remarks: tuple[str, ...]
    """Why it was absent; for actuators the guard's verdict; empty where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Series:
    """One signal in one block. For an actuator `codes` are verdicts, and every value is present."""

    column: Column
    values: Sequence[float]
    codes: bytes

    def scalars(self) -> Sequence[Scalar]:
        """In its own type, None where absent."""
        found: Sequence[Scalar] = self.values
        if self.column.plan.type == "bool":
            found = [value != 0 for value in self.values]
        if self.column.plan.role != "actuator" and any(self.codes):
            found = [None if code else value for value, code in zip(found, self.codes, strict=True)]
        return found

    def remarks(self) -> list[str]:
        """Why absent, or the verdict."""
        words = VERDICTS if self.column.plan.role == "actuator" else ABSENT
        return list(map(words.__getitem__, self.codes))


@dataclass(frozen=True, slots=True)
class Block:
    """The wanted rows of one chunk; a signal that its ring does not have is None."""

    source: Source
    times_ns: list[int]
    ticks: list[int]
    """Empty when they were not asked for."""
    series: list[Series | None]

    def rows(self) -> Iterator[Row]:
        """Row by row."""
        count = len(self.times_ns)
        none, silent = [None] * count, [""] * count
        values = zip(*(each.scalars() if each else none for each in self.series), strict=True)
        remarks = zip(*(each.remarks() if each else silent for each in self.series), strict=True)
        utc, loop = self.source.offset_ns, self.source.loop
        for time_ns, tick, found, why in zip(self.times_ns, self.ticks, values, remarks, strict=True):
            yield Row(time_ns + utc, time_ns, loop, tick, found, why)


def blocks(
    db: sqlite3.Connection,
    selection: Selection,
    span: Span,
    *,
    loop: str | None = None,
    newest_first: bool = False,
    with_ticks: bool = True,
    tell: Tell = insist,
) -> Iterator[Block]:
    """What was selected, a block a chunk, each chunk read once; of one loop if it is named.

    Raises RecordError, sqlite3.Error.
    """
    for source, columns in reversed(selection.places) if newest_first else selection.places:
        if loop not in (None, source.loop):
            continue
        low, high = span.within(source)
        if source.to_ns < low or source.from_ns >= high:
            continue
        for stored in _stored(db, source.ring, low, high, newest_first):
            try:
                block = _block(source, columns, stored, (low, high), with_ticks=with_ticks)
            except ChunkError as error:
                tell(_damaged(source, stored, error))
            else:
                if block.times_ns:
                    yield block


class _Stored(NamedTuple):
    id: int
    first: int
    rows: int
    from_ns: int
    to_ns: int
    data: bytes


def _stored(db: sqlite3.Connection, ring: int, low: int, high: int, newest_first: bool) -> Iterator[_Stored]:
    """Chunks of one ring that reach into a span, one statement each: retention may delete between them."""
    edge, order, beyond = (high - 1, "DESC", "<") if newest_first else (low, "", ">")
    start = db.execute(
        "SELECT first FROM chunk WHERE ring = ? AND from_ns <= ? ORDER BY from_ns DESC LIMIT 1", (ring, edge)
    ).fetchone()
    if start is None and newest_first:
        return
    found = db.execute(
        f"SELECT id, first, rows, from_ns, to_ns, data FROM chunk WHERE ring = ? AND first {beyond}= ?"  # noqa: S608
        f" ORDER BY first {order} LIMIT 1",
        (ring, start[0] if start else -INT64_MAX),
    ).fetchone()
    while found is not None:
        stored = _Stored(*found)
        if (stored.to_ns < low) if newest_first else (stored.from_ns >= high):
            return
        yield stored
        found = db.execute(
            f"SELECT id, first, rows, from_ns, to_ns, data FROM chunk WHERE ring = ? AND first {beyond} ?"  # noqa: S608
            f" ORDER BY first {order} LIMIT 1",
            (ring, stored.first),
        ).fetchone()


def _block(
    source: Source, columns: Sequence[Column | None], stored: _Stored, within: tuple[int, int], *, with_ticks: bool
) -> Block:
    """Decode the wanted columns of a chunk. Raises ChunkError."""
    chunk = Chunk(stored.data, source.shape)
    if (chunk.first, chunk.rows) != (stored.first, stored.rows):
        raise ChunkError(f"chunk: {chunk.rows} rows from {chunk.first}, {stored.rows} from {stored.first} expected")
    times_ns = chunk.times_ns()
    begin, end = (bisect_left(times_ns, edge) for edge in within)
    series = [_series(chunk, column, begin, end) if column else None for column in columns]
    ticks = chunk.ticks()[begin:end] if with_ticks else []
    return Block(source, times_ns[begin:end], ticks, series)


def _series(chunk: Chunk, column: Column, begin: int, end: int) -> Series:
    values = chunk.values(column.index, column.plan.type)[begin:end]
    if (column.factor, column.offset) != (1.0, 0.0):
        values = [value * column.factor + column.offset for value in values]
    return Series(column, values, chunk.reasons(column.index)[begin:end])


def _damaged(source: Source, stored: _Stored, error: ChunkError) -> Damaged:
    began, ended = (iso(time_ns + source.offset_ns) for time_ns in (stored.from_ns, stored.to_ns))
    return Damaged(f"chunk {stored.id} of loop {source.loop} is damaged, {began} to {ended} cannot be read: {error}")
