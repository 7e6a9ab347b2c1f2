"""The record as a plot wants it: so many buckets of time, each with least, mean, greatest and last value."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from agentd.store.blocks import EVER, Series, Span, blocks
from agentd.store.catalogue import Selection, Tell, insist, select

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


@dataclass(slots=True)
class _Sum:
    count: int
    low: float
    total: float
    high: float
    last: float

    def add(self, other: _Sum) -> None:
        self.count += other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.total, self.last = self.total + other.total, other.last


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
    selection = select(db, [signal], tell)
    began, ended = _limits(selection, span)
    width_ns = max(1, -(-(ended - began) // min(count, MOST_POINTS)))
    sums: dict[int, _Sum] = {}
    for block in blocks(db, selection, Span(began, ended), with_ticks=False, tell=tell):
        series, offset_ns = block.series[0], block.source.offset_ns
        assert series is not None
        _gather(sums, block.times_ns, _numbers(series), began - offset_ns, width_ns)
        progress(block.times_ns[-1] + offset_ns)
    buckets = [
        Bucket(began + number * width_ns, each.count, each.low, each.total / each.count, each.high, each.last)
        for number, each in sorted(sums.items())
    ]
    unit = selection.plans[0].unit
    return Points(
        signal=signal, unit=unit, from_utc_ns=began, to_utc_ns=ended, width_ns=width_ns, buckets=buckets
    )  # fmt: skip


def _limits(selection: Selection, span: Span) -> tuple[int, int]:
    """A span that has both ends."""
    recorded = [source for source, _columns in selection.places]
    began = min(source.from_utc_ns for source in recorded) if span.from_utc_ns is None else span.from_utc_ns
    ended = max(source.to_utc_ns for source in recorded) + 1 if span.to_utc_ns is None else span.to_utc_ns
    return began, max(began, ended)


def _numbers(series: Series) -> Sequence[float | None]:
    """None where absent. An actuator that was never asked for anything still has a value: the safe one."""
    if series.column.plan.role == "actuator" or not any(series.codes):
        return series.values
    return [None if code else value for value, code in zip(series.values, series.codes, strict=True)]


def _gather(sums: dict[int, _Sum], times_ns: list[int], values: Sequence[float | None], began: int, width: int) -> None:
    """Add a block to its buckets: whole runs at a time, for there are many more rows than buckets."""
    at = 0
    while at < len(times_ns):
        number = (times_ns[at] - began) // width
        end = max(at + 1, bisect_left(times_ns, began + (number + 1) * width, at))
        run = values[at:end]
        found: Sequence[float] = [value for value in run if value is not None] if None in run else run  # type: ignore[assignment]
        at = end
        if not found:
            continue
        new = _Sum(len(found), min(found), sum(found), max(found), found[-1])
        if number in sums:
            sums[number].add(new)
        else:
            sums[number] = new
