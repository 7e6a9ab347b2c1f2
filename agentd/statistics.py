"""Statistics of a loop over the last minute: how late it woke, how long it took, and each part's share.

Durations fall into logarithmic buckets: the upper half of a 32-bit float is its exponent and 7 bits of
mantissa, so 128 buckets an octave, and a bucket's middle is within 0.4 % of what fell into it. Converting
and counting run in C over a whole batch of rows (0.2 us a value); nothing is sorted but bucket numbers.
The window moves in slices: it covers between 45 and 60 seconds.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentd.runtime.ring import FIXED, Flag
from agentd.status import Quantiles

WINDOW_NS = 60_000_000_000
SLICES = 4
SLICE_NS = WINDOW_NS // SLICES
RATE_OVER_NS = 5_000_000_000
"""The measured rate is that of the last seconds, or of the last five ticks of a slow loop."""

_NS_PER_US = 1000.0
_UPPER = 1 if sys.byteorder == "little" else 0
_FLAGS, _WAKE, _BOOK, _TOTAL, _PARTS = 4, 5, 10, 11, 12  # fields of ring.FIXED


class Histogram:
    """Counts of durations in nanoseconds. Merging two gives the histogram of both."""

    __slots__ = ("counts", "highest")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.highest = 0

    def add(self, durations_ns: Sequence[int]) -> None:
        """Count some durations; none is negative."""
        if durations_ns:
            halves = memoryview(array("f", durations_ns)).cast("B").cast("H")
            self.counts.update(halves[_UPPER::2].tolist())
            self.highest = max(self.highest, *durations_ns)

    def merge(self, other: Histogram) -> None:
        """Take another one's counts in."""
        self.counts.update(other.counts)
        self.highest = max(self.highest, other.highest)

    def quantiles(self) -> Quantiles:
        """The rank `ceil(q * n)` of what was counted, in microseconds; zeros when nothing was."""
        total = self.counts.total()
        if not total:
            return Quantiles()
        ranks = [max(1, -(-total * per_mille // 1000)) for per_mille in (500, 990, 999)]
        found: list[float] = []
        passed = 0
        for bucket in sorted(self.counts):
            passed += self.counts[bucket]
            while len(found) < len(ranks) and passed >= ranks[len(found)]:
                found.append(min(_middle_ns(bucket), self.highest) / _NS_PER_US)
        return Quantiles(p50_us=found[0], p99_us=found[1], p999_us=found[2], max_us=self.highest / _NS_PER_US)


def _middle_ns(bucket: int) -> float:
    middle: float = struct.unpack("f", struct.pack("I", bucket << 16 | 0x8000))[0]
    return middle if bucket else 0.0


class Slice:
    """Histograms of one stretch of the window."""

    __slots__ = ("began_ns", "book", "parts", "total", "wake")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.wake, self.total, self.book = Histogram(), Histogram(), Histogram()
        self.parts: dict[str, Histogram] = {}


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """What the statistics say now."""

    measured_hz: float
    wake: Quantiles
    duration: Quantiles
    bookkeeping: Quantiles
    parts: dict[str, Quantiles]


class LoopStatistics:
    """One loop's sliding window, fed with raw rows of its ring. Totals grow as long as the daemon lives."""

    def __init__(self, parts: Sequence[str], period_ns: int) -> None:
        self.rows_total = 0
        self.missed_total = 0
        self._slices: deque[Slice] = deque(maxlen=SLICES)
        self._marks: deque[tuple[int, int]] = deque()
        self.follow(parts, period_ns)

    def follow(self, parts: Sequence[str], period_ns: int) -> None:
        """Go on with a new generation of the loop's worker, whose parts and rate may be others."""
        self._names, self._period_ns = tuple(parts), period_ns
        self._head = struct.Struct(f"{FIXED.format}{len(self._names)}I")
        self._marks.clear()

    def add(self, rows: Sequence[bytes | memoryview]) -> None:
        """Count whole rows, oldest first: all that came since the last call."""
        if not rows:
            return
        unpack = self._head.unpack_from
        columns = list(zip(*(unpack(row) for row in rows), strict=True))
        first_ns, last_ns = columns[2][0], columns[2][-1]
        self.rows_total += len(rows)
        self.missed_total += sum(flags & Flag.MISSED != 0 for flags in columns[_FLAGS])
        slot = self._slice(last_ns)
        slot.wake.add(columns[_WAKE])
        slot.book.add(columns[_BOOK])
        slot.total.add(columns[_TOTAL])
        for name, durations in zip(self._names, columns[_PARTS:], strict=True):
            slot.parts.setdefault(name, Histogram()).add(durations)
        if not self._marks:
            self._marks.append((columns[0][0], first_ns))
        self._marks.append((columns[0][-1], last_ns))
        over_ns = max(RATE_OVER_NS, 5 * self._period_ns)
        while len(self._marks) > 2 and self._marks[1][1] < last_ns - over_ns:
            self._marks.popleft()

    def _slice(self, now_ns: int) -> Slice:
        if not self._slices or now_ns >= self._slices[-1].began_ns + SLICE_NS:
            self._slices.append(Slice(now_ns))
        return self._slices[-1]

    def measured_hz(self, now_ns: int) -> float:
        """Ticks a second; 0 when the loop is silent."""
        if not self._marks:
            return 0.0
        (first, began_ns), (last, ended_ns) = self._marks[0], self._marks[-1]
        silent = now_ns - ended_ns > max(1_000_000_000, 3 * self._period_ns)
        return 0.0 if silent or ended_ns <= began_ns else (last - first) * 1e9 / (ended_ns - began_ns)

    def figures(self, now_ns: int) -> WindowFigures:
        """The last minute before `now_ns` (CLOCK_BOOTTIME)."""
        live = [part for part in self._slices if part.began_ns > now_ns - WINDOW_NS]
        return WindowFigures(
            measured_hz=self.measured_hz(now_ns),
            wake=_merged(part.wake for part in live),
            duration=_merged(part.total for part in live),
            bookkeeping=_merged(part.book for part in live),
            parts={name: _merged(part.parts[name] for part in live if name in part.parts) for name in self._names},
        )


def _merged(histograms: Iterable[Histogram]) -> Quantiles:
    merged = Histogram()
    for histogram in histograms:
        merged.merge(histogram)
    return merged.quantiles()
