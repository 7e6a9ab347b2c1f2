"""The record as a plot wants it: so many buckets of time, each with least, mean, greatest and last value.

Wide buckets are made of rollups, a thousandth of the work or less. They then begin where rollups do, so that the span
is widened to whole ones: by less than the width of a bucket at either end.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from agentd.store.blocks import EVER, Series, Span, source_blocks
from agentd.store.catalogue import Column, Damaged, Selection, Source, Tell, insist, select
from agentd.store.instant import iso
from agentd.store.rollup import PART_COLUMNS, Level, RollupError, Stretch, Track, add, decode, levels, sums_of

MOST_POINTS = 1_000_000
Progress = Callable[[int], object]
"""Called after each chunk with the UTC up to which was read; may raise to end it."""


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    """What a signal did in one stretch of time. Booleans count as 0 and 1."""

    utc_ns: int
    """Where the stretch begins."""
    count: int
    low: float
    mean: float
    high: float
    last: float


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """Buckets of `width_ns` each, oldest first; those in which the signal had no value are left out."""

    signal: str
    unit: str
    from_utc_ns: int
    to_utc_ns: int
    width_ns: int
    buckets: list[Bucket]


def points(
    db: sqlite3.Connection,
    signal: str,
    span: Span = EVER,
    *,
    count: int,
    tell: Tell = insist,
    progress: Progress = bool,
) -> Points:
    """At most `count` buckets over the span, or over all there is of it. Raises RecordError, sqlite3.Error."""
    db.execute("BEGIN")  # rows and rollups of the same moment: what was rolled up meanwhile would count twice
    try:
        selection = select(db, [signal], tell)
        began, ended, width_ns, level = _grid(selection, span, min(count, MOST_POINTS))
        if level is None:
            db.execute("COMMIT")  # rows alone: the writer's log need not wait for a slow reader
        track = Track()
        for source, (column,) in selection.places:
            assert column is not None
            low, high = Span(began, ended).within(source)
            for grown in _Reader(db, source, column, tell).parts(low, high, level):
                newest_ns = grown(track, began - source.offset_ns, width_ns)
                progress(newest_ns + source.offset_ns)
    finally:
        if db.in_transaction:
            db.execute("COMMIT")
    buckets = [
        Bucket(began + number * width_ns, each.rows, each.low, each.total / each.rows, each.high, each.last)
        for number, each in sorted(track.items())
    ]
    unit = selection.plans[0].unit
    return Points(
        signal=signal, unit=unit, from_utc_ns=began, to_utc_ns=ended, width_ns=width_ns, buckets=buckets
    )  # fmt: skip


def _grid(selection: Selection, span: Span, count: int) -> tuple[int, int, int, Level | None]:
    """Begin, end, width of a bucket, and the coarsest rollup that is fine enough: with one, on its boundaries."""
    recorded = [source for source, _columns in selection.places]
    began = min(each.since_ns + each.offset_ns for each in recorded) if span.from_utc_ns is None else span.from_utc_ns
    ended = max(source.to_utc_ns for source in recorded) + 1 if span.to_utc_ns is None else span.to_utc_ns
    ended = max(began, ended)
    width_ns = max(1, -(-(ended - began) // count))
    fitting = [each for source in recorded for each in levels(source.layout.period_ns) if each.width_ns <= width_ns]
    if not fitting:
        return began, ended, width_ns, None
    level = max(fitting)
    phase = recorded[-1].offset_ns
    began -= (began - phase) % level.width_ns
    ended += -(ended - phase) % level.width_ns
    width_ns = -(-(ended - began) // count)
    return began, ended, width_ns + -width_ns % level.width_ns, level


Grown = Callable[[Track, int, int], int]
"""Adds a part to the buckets that begin at a time and have a width; returns its newest time."""


class _Reader:
    """One signal in one ring: rollups where they are coarse enough, rows where there are none, older rollups else."""

    def __init__(self, db: sqlite3.Connection, source: Source, column: Column, tell: Tell) -> None:
        self._db, self._source, self._column, self._tell = db, source, column, tell

    def parts(self, low: int, high: int, level: Level | None) -> Iterator[Grown]:
        """Oldest first, each sample in one of them."""
        kept = levels(self._source.layout.period_ns)
        fine = [each for each in reversed(kept) if level is not None and each.width_ns <= level.width_ns]
        order: list[Level | None] = [*fine, None, *(each for each in kept if each not in fine)]
        pieces, until = [], high
        for each in order:
            begin = self._begin(each)
            if begin is not None and begin < until and low < until:
                pieces.append((each, until))
                until = begin
        for each, end in reversed(pieces):
            yield from self._rows(low, end, 0) if each is None else self._rollups(each, low, end)
        if pieces and pieces[0][0] is not None:
            yield from self._rows(low, high, self._source.rolled)

    def _begin(self, level: Level | None) -> int | None:
        """Where a level's rollups begin, or for None the rows; None without any."""
        if level is None:
            return self._source.from_ns if self._source.full else None
        found = self._db.execute(
            "SELECT from_ns FROM rollup WHERE ring = ? AND level = ? ORDER BY from_ns LIMIT 1",
            (self._source.ring, level.number),
        ).fetchone()
        return int(found[0]) if found else None

    def _rows(self, low: int, high: int, first: int) -> Iterator[Grown]:
        """Full rows, of chunks that begin at a row or later."""
        for block in source_blocks(
            self._db, self._source, [self._column], (low, high), first=first, with_ticks=False, tell=self._tell
        ):
            series = block.series[0]
            assert series is not None
            yield partial(_grow_rows, block.times_ns, _numbers(series))

    def _rollups(self, level: Level, low: int, high: int) -> Iterator[Grown]:
        """Buckets that lie within a span."""
        part, place = divmod(self._column.index, PART_COLUMNS)
        found = self._db.execute(
            "SELECT id, from_ns FROM rollup WHERE ring = ? AND level = ? AND part = ? AND from_ns > ? AND from_ns < ?"
            " ORDER BY from_ns",
            (self._source.ring, level.number, part, low - level.stretch_ns, high),
        ).fetchall()
        for row, from_ns in found:
            data = self._db.execute("SELECT data FROM rollup WHERE id = ?", (row,)).fetchone()
            try:
                stretch = decode(data[0], place, level) if data else None
            except RollupError as error:
                began = iso(from_ns + self._source.offset_ns)
                self._tell(Damaged(f"rollup {row} of loop {self._source.loop} from {began} cannot be read: {error}"))
                continue
            if stretch is not None:
                begin = bisect_left(stretch.numbers, -((from_ns - low) // level.width_ns))
                end = bisect_left(stretch.numbers, (high - from_ns) // level.width_ns)
                if begin < end:
                    steps = range(from_ns, from_ns + level.stretch_ns, level.width_ns)
                    scaled = stretch.scaled(self._column.factor, self._column.offset)
                    yield partial(_grow_rollups, scaled.part(begin, end), steps)


def _grow_rows(times_ns: list[int], values: Sequence[float | None], track: Track, began: int, width: int) -> int:
    """Whole runs at a time, for there are many more rows than buckets."""
    at = 0
    while at < len(times_ns):
        number = (times_ns[at] - began) // width
        end = max(at + 1, bisect_left(times_ns, began + (number + 1) * width, at))
        found = sums_of([value for value in values[at:end] if value is not None])
        if found is not None:
            add(track, number, found)
        at = end
    return times_ns[-1]


def _grow_rollups(stretch: Stretch, steps: range, track: Track, began: int, width: int) -> int:
    """As rows, by when their buckets begin. `steps` are the times of all buckets of the stretch."""
    numbers, from_ns, level_ns = stretch.numbers, steps.start, steps.step
    at, last = 0, len(numbers)
    while at < last:
        number = (from_ns + numbers[at] * level_ns - began) // width
        ends_at = -((from_ns - began - (number + 1) * width) // level_ns)
        end = max(at + 1, bisect_left(numbers, ends_at, at, last))
        add(track, number, stretch.between(at, end))
        at = end
    return from_ns + numbers[-1] * level_ns


def _numbers(series: Series) -> Sequence[float | None]:
    """None where absent. An actuator that was never asked for anything still has a value: the safe one."""
    if series.column.plan.role == "actuator" or not any(series.codes):
        return series.values
    return [None if code else value for value, code in zip(series.values, series.codes, strict=True)]
