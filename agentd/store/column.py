"""One column of a chunk: the codings, each exact to the bit.

A column of n words becomes byte planes (all first bytes, all second bytes, ...). A plane that is constant
costs one byte of the column's code; the others join a group of planes of like statistics, and each group
is compressed by itself: an exponent's plane beside a mantissa's costs both.

No numpy: strided slices of `bytes` transpose at half a nanosecond to one a byte, strided memory views are
compared at one a word, and the daemon stays 13 MB smaller. Words are little-endian, as the rings are and as
every supported machine is.
"""

from __future__ import annotations

import enum
import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import repeat
from operator import and_, eq, itemgetter, or_, sub, truediv

import msgspec

from agentd.store.lanes import WORD
from hal.clock import NS_PER_S

REAL, WHOLE, SMALL, GROUPS = 0, 8, 16, 17
"""First group of planes of floats, and of integers (a group for each byte's significance); single bytes; count."""

U64 = 1 << 64
TABLE_MAX = 256
SAMPLE = 64
STEP_ZERO = 0x40404040
"""Step 0 as it is stored: small steps of either sign then differ in the low planes only."""

STEP_GAP = 0
"""Stored for NaN, whose lower half is 0."""

STEP_LEAST = 1e-15
"""Finer resolutions have no whole inverse in a float64."""

ROUNDER = 1.5 * 2**52 + STEP_ZERO
MINUS_ZERO = b"\x80"
"""Highest byte of -0.0, which is equal to 0.0 and yet another word."""

ROUNDED_UPPER = 0x43380000
"""Upper half of ROUNDER, and of ROUNDER plus any step that fits."""


class How(enum.IntEnum):
    """Codings of a column."""

    PLANES = 0
    """The words as they are; `low` holds the constant planes, `ref` is the group of the lowest plane."""
    SAME = 1
    """Equal to the earlier field `ref`."""
    TABLE = 2
    """At most 256 different words: `table`, and one byte a row."""
    WHOLE = 3
    """Integers: `low` + planes + the reference `ref`, a `Reference`."""
    STEPS = 4
    """Floats: 32-bit planes (`low` holds the constant ones) less STEP_ZERO, times `step`, or divided by it if `ref`."""
    INTERVAL = 5
    """Floats: seconds from one row's time to the next; `low` holds the first one's bits."""


class Reference(enum.IntEnum):
    """What is added to a WHOLE column, row by row."""

    NONE = 0
    NUMBER = 1
    """0, 1, 2, ..."""
    TIME = 2
    """The row's time."""
    SCHEDULE = 3
    """Tick number times `step`, plus the wake latency: when the tick was due, and how late it was."""


class Code(msgspec.Struct, array_like=True, frozen=True):
    """How one field is stored. `mask` has a bit for each plane that is not constant."""

    how: int
    mask: int = 0
    low: int = 0
    ref: int = 0
    step: float = 0.0
    table: bytes = b""


class Planes:
    """The planes of one chunk while it is made, by group."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.groups: list[list[bytes]] = [[] for _ in range(GROUPS)]
        self._runs: dict[int, bytes] = {}

    def split(self, data: bytes, offset: int, stride: int, width: int, group: int) -> tuple[int, int]:
        """Store the words at `offset` in each row of `data`; their mask and constant planes."""
        mask = low = 0
        groups, runs = self.groups, self._runs
        for k in range(width):
            plane = data[offset + k :: stride]
            first = plane[0]
            if first not in runs:
                runs[first] = plane[:1] * self.rows
            if plane == runs[first]:
                low |= first << 8 * k
            else:
                mask |= 1 << k
                groups[group + k].append(plane)
        return mask, low

    def whole(self, low: int, words: bytes, ref: int, step: int = 0) -> Code:
        """Store integers that are `low` plus `words` plus the reference `ref`."""
        mask, constant = self.split(words, 0, WORD, WORD, WHOLE)
        return Code(How.WHOLE, mask, low + constant, ref, step)


def look_up(index: dict[int, int], words: list[int]) -> tuple[int, ...]:
    """The entries of all words, in C. Raises KeyError for one that is not there."""
    return itemgetter(*words)(index) if len(words) > 1 else (index[words[0]],)


class WordTable:
    """The different words of one column, kept from chunk to chunk while they are few."""

    PATIENCE = 16
    """Chunks for which a column that had too many is left alone."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._skip = 0

    def encode(self, planes: Planes, words: memoryview) -> Code | None:
        """None when there are too many for a table to pay."""
        if not self._index and (self._skip or not _repeats(words)):
            self._skip = max(0, self._skip - 1)
            return None
        found = words.tolist()
        most = min(TABLE_MAX, len(found) // 4)
        if len(self._index) > most:
            self._index = {}
        try:
            indices = look_up(self._index, found)
        except KeyError:
            if not self._learn(set(found), most):
                return None
            indices = look_up(self._index, found)
        planes.groups[SMALL].append(bytes(indices))
        return Code(How.TABLE, 1, table=array("Q", self._index).tobytes())

    def _learn(self, words: set[int], most: int) -> bool:
        if len(words.union(self._index)) > most:
            self._index = {}
        new = words.difference(self._index)
        few = len(new) <= most
        self._skip = 0 if few else self.PATIENCE
        if few:
            self._index.update(zip(new, range(len(self._index), TABLE_MAX), strict=False))
        return few


def _repeats(words: memoryview) -> bool:
    """Whether some of a few words are equal: of 64 out of 256 evenly spread ones, 7 are."""
    sample = words[:: len(words) // SAMPLE + 1].tolist()
    return len(sample) - len(set(sample)) >= 2


def suits_planes(words: memoryview) -> bool:
    """Whether planes cost least: most rows repeat the one before (Zstandard finds such runs), or few planes vary."""
    each = 2 * len(words) // SAMPLE + 1
    here, after = words[:-1:each].tolist(), words[1::each].tolist()
    equal: int = sum(map(eq, here, after))
    varying = reduce(or_, here) & ~reduce(and_, here)
    return 8 * equal >= 7 * len(here) or varying.to_bytes(WORD, "little").count(0) >= WORD - 3


def encode_steps(planes: Planes, words: bytes, step: float, divide: bool) -> Code | None:
    """Floats that are whole numbers times `step`, or divided by it, every one to the bit; else None.

    Adding ROUNDER rounds to a whole number and leaves it, plus STEP_ZERO, in the lower half of the float.
    """
    values, scale = struct.unpack(f"<{planes.rows}d", words), 1.0 / step
    if divide:
        rounded = [r for value in values if ((r := value * step + ROUNDER) - ROUNDER) / step == value]
    else:
        rounded = [r for value in values if ((r := value * scale + ROUNDER) - ROUNDER) * step == value]
    sure = len(rounded) == planes.rows
    if not sure:
        if not math.isnan(sum(values)):
            return None
        rounded = [(value * step if divide else value * scale) + ROUNDER for value in values]
    halves = memoryview(struct.pack(f"<{planes.rows}d", *rounded)).cast("I")
    stored, upper = halves[::2].tobytes(), halves[1::2]
    sure = sure and MINUS_ZERO not in words[WORD - 1 :: WORD]
    sure = sure and upper[0] == ROUNDED_UPPER and upper[1:] == upper[:-1]
    if not sure and step_words(array("I", stored), step, divide) != words:  # NaN, -0.0, or too large a number
        return None
    mask, low = planes.split(stored, 0, 4, 4, WHOLE)
    return Code(How.STEPS, mask, low, int(divide), step)


def step_ways(resolution: float) -> list[tuple[float, bool]]:
    """Step and whether to divide by it: `raw * 0.001` and `raw / 1000` differ in the last bit."""
    ways = [(resolution, False)]
    if STEP_LEAST < resolution < 1.0:
        ways.append((float(round(1.0 / resolution)), True))
    return ways


def step_words(stored: Iterable[int], step: float, divide: bool) -> bytes:
    """The floats of stored steps, as bytes."""
    steps = [number - STEP_ZERO if number != STEP_GAP else math.nan for number in stored]
    return array("d", [number / step for number in steps] if divide else [number * step for number in steps]).tobytes()


def interval_words(times: Sequence[int], first: bytes) -> bytes:
    """Seconds from each row to the next as the scan cycle computes them, after the bits of the first."""
    spans = map(truediv, map(sub, times[1:], times), repeat(NS_PER_S))
    return first + struct.pack(f"<{len(times) - 1}d", *spans)


def join_planes(planes: Iterable[bytes], mask: int, low: int, width: int, rows: int) -> bytes:
    """Words of `width` bytes from their varying planes and the constant bytes in `low`."""
    words = bytearray(low.to_bytes(width, "little") * rows)
    varying = iter(planes)
    for k in range(width):
        if mask >> k & 1:
            words[k::width] = next(varying)
    return bytes(words)


def wrapped_words(values: Iterable[int]) -> bytes:
    """64-bit words, wrapped as a machine does: what a hostile chunk holds cannot overflow them."""
    return array("Q", map((U64 - 1).__and__, values)).tobytes()
