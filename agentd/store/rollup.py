"""Rollups: what each signal did in a second, a minute, an hour, for plots of any span.

Buckets lie on multiples of their width in the time of their boot, so a clock that is set later moves them as
it moves the samples. A row of the table `rollup` holds some signals of one ring for one stretch of time:

    1 byte      format, 1
    8 x 4 bytes length of each column's frame, 0 for none
    frames      Zstandard with a checksum: a bit for each bucket of the stretch that has a value, then byte
                planes of counts (32 bits) and of least, sum, greatest and last (float64)

Integers are float64 here: above 2**53 they are rounded.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

import zstandard

from hal.clock import NS_PER_S

FORMAT = 1
PART_COLUMNS = 8
"""Columns of a row: one signal is found without reading the whole loop's, and few pages are not full."""

LENGTHS = struct.Struct(f"<B{PART_COLUMNS}I")
ZSTD_LEVEL = 3
LEAST_ROWS = 20
"""A level is kept where a bucket stands for at least so many rows; less would cost about as much as they do."""


class RollupError(ValueError):
    """A blob that is no rollup, or one that was damaged."""


class Level(NamedTuple):
    """Buckets of one width, and how long a stretch of them is one row."""

    number: int
    width_ns: int
    stretch_ns: int

    @property
    def buckets(self) -> int:
        """Of a stretch."""
        return self.stretch_ns // self.width_ns


LEVELS = (
    Level(1, NS_PER_S, 300 * NS_PER_S),
    Level(2, 60 * NS_PER_S, 3600 * NS_PER_S),
    Level(3, 3600 * NS_PER_S, 86_400 * NS_PER_S),
)
"""Finest first; each one's width is a multiple of the one's before it."""


def levels(period_ns: int) -> list[Level]:
    """Those that are kept for a loop of this period."""
    return [level for level in LEVELS if level.width_ns >= LEAST_ROWS * period_ns]


class Sums(NamedTuple):
    """Some samples of one signal."""

    rows: int
    low: float
    total: float
    high: float
    last: float

    def plus(self, later: Sums) -> Sums:
        """These and later ones."""
        return Sums(
            self.rows + later.rows,
            min(self.low, later.low),
            self.total + later.total,
            max(self.high, later.high),
            later.last,
        )


Track = dict[int, Sums]
"""One signal by the number of the bucket: time // width."""


def sums_of(values: Sequence[float]) -> Sums | None:
    """Of present values, oldest first; NaN counts as absent. None without any."""
    if not values:
        return None
    total = float(sum(values))
    if isnan(total):
        values = [value for value in values if not isnan(value)]
        if not values:
            return None
        total = float(sum(values))  # still NaN where there are both infinities
    return Sums(len(values), float(min(values)), total, float(max(values)), float(values[-1]))


def add(track: Track, number: int, sums: Sums) -> None:
    """Put later samples into a bucket."""
    before = track.get(number)
    track[number] = sums if before is None else before.plus(sums)


def fold(track: Track, finer: Level, coarser: Level) -> Track:
    """The same in wider buckets."""
    factor, folded = coarser.width_ns // finer.width_ns, Track()
    for number in sorted(track):
        add(folded, number // factor, track[number])
    return folded


def runs(times_ns: Sequence[int], width_ns: int) -> list[tuple[int, int, int]]:
    """Number of the bucket, and which rows are in it. Times rise."""
    found, at = [], 0
    while at < len(times_ns):
        number = times_ns[at] // width_ns
        end = bisect_left(times_ns, (number + 1) * width_ns, at)
        found.append((number, at, end))
        at = end
    return found


@dataclass(frozen=True, slots=True)
class Stretch:
    """One signal in one stretch: columns, in the order of time, of the buckets that have a value."""

    numbers: Sequence[int]
    """Which bucket of the stretch, from 0."""
    counts: Sequence[int]
    lows: Sequence[float]
    totals: Sequence[float]
    highs: Sequence[float]
    lasts: Sequence[float]

    def part(self, begin: int, end: int) -> Stretch:
        """Some of the buckets."""
        if (begin, end) == (0, len(self.numbers)):
            return self
        columns = (self.numbers, self.counts, self.lows, self.totals, self.highs, self.lasts)
        return Stretch(*(column[begin:end] for column in columns))  # type: ignore[arg-type]  # mypy joins their types

    def between(self, begin: int, end: int) -> Sums:
        """Of some buckets, at least one."""
        part = slice(begin, end)
        return Sums(
            sum(self.counts[part]),
            min(self.lows[part]),
            sum(self.totals[part]),
            max(self.highs[part]),
            self.lasts[end - 1],
        )

    def scaled(self, factor: float, offset: float) -> Stretch:
        """In another unit."""
        if (factor, offset) == (1.0, 0.0):
            return self
        lows, highs, lasts = (
            [value * factor + offset for value in each] for each in (self.lows, self.highs, self.lasts)
        )
        totals = [total * factor + offset * count for total, count in zip(self.totals, self.counts, strict=True)]
        if factor < 0:
            lows, highs = highs, lows
        return Stretch(self.numbers, self.counts, lows, totals, highs, lasts)

    def track(self, base: int) -> Track:
        """By bucket; `base` is the number of the stretch's first one."""
        columns = zip(self.counts, self.lows, self.totals, self.highs, self.lasts, strict=True)
        return {base + number: Sums(*sums) for number, sums in zip(self.numbers, columns, strict=True)}


def encode(tracks: Sequence[Track], base: int, level: Level) -> bytes:
    """At most eight signals of one stretch, in the order of their columns."""
    zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    frames = [zstd.compress(_flat(track, base, level)) if track else b"" for track in tracks]
    lengths = [len(frame) for frame in frames] + [0] * (PART_COLUMNS - len(frames))
    return b"".join((LENGTHS.pack(FORMAT, *lengths), *frames))


def _flat(track: Track, base: int, level: Level) -> bytes:
    numbers = sorted(track)
    present = sum(1 << number - base for number in numbers).to_bytes(-(-level.buckets // 8), "little")
    counts, *sums = zip(*map(track.__getitem__, numbers), strict=True)
    planes = _planes(array("I", counts).tobytes(), 4)
    return b"".join((present, planes, *(_planes(array("d", column).tobytes(), 8) for column in sums)))


def _planes(words: bytes, width: int) -> bytes:
    return b"".join(words[k::width] for k in range(width))


def decode(blob: bytes, column: int, level: Level) -> Stretch | None:
    """One of the eight columns, None where it has nothing. Raises RollupError."""
    if len(blob) < LENGTHS.size or blob[0] != FORMAT:
        raise RollupError(f"rollup: format {blob[:1].hex() or 'missing'}, expected {FORMAT:02x}")
    lengths = LENGTHS.unpack_from(blob)[1:]
    if LENGTHS.size + sum(lengths) != len(blob):
        raise RollupError(f"rollup: {len(blob)} bytes, {LENGTHS.size + sum(lengths)} expected")
    if not lengths[column]:
        return None
    begin = LENGTHS.size + sum(lengths[:column])
    flat = _unpacked(blob[begin : begin + lengths[column]], level)
    head = -(-level.buckets // 8)
    present = int.from_bytes(flat[:head], "little")
    count = present.bit_count()
    if present >> level.buckets or not count or len(flat) != head + 36 * count:
        raise RollupError(f"rollup: {len(flat)} bytes for {count} buckets")
    full = present == (1 << level.buckets) - 1
    numbers = range(level.buckets) if full else [n for n in range(level.buckets) if present >> n & 1]
    counts = array("I", _words(flat, head, count, 4)).tolist()
    at = head + 4 * count
    low, total, high, last = (
        array("d", _words(flat, at + 8 * count * k, count, 8)).tolist() for k in range(4)
    )  # fmt: skip
    return Stretch(numbers, counts, low, total, high, last)


def _unpacked(frame: bytes, level: Level) -> bytes:
    try:
        if not 0 < zstandard.frame_content_size(frame) <= 37 * level.buckets + 1:
            raise RollupError("rollup: a frame of another size")
        return zstandard.ZstdDecompressor().decompress(frame)
    except (zstandard.ZstdError, MemoryError) as error:
        raise RollupError(f"rollup: {error}") from None


def _words(flat: bytes, at: int, count: int, width: int) -> bytes:
    words = bytearray(width * count)
    for k in range(width):
        words[k::width] = flat[at + k * count : at + (k + 1) * count]
    return bytes(words)


def merge(blob: bytes, later: Iterable[Track], base: int, level: Level) -> list[Track]:
    """What a row holds, and later samples. Raises RollupError."""
    merged = []
    for column, track in enumerate(later):
        stretch = decode(blob, column, level)
        before = stretch.track(base) if stretch else Track()
        for number in sorted(track):
            add(before, number, track[number])
        merged.append(before)
    return merged
