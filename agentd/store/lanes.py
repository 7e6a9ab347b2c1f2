"""Arithmetic on whole columns without numpy: n 64-bit words are one integer, a word a lane.

Python adds, subtracts and scales such integers at a tenth of a nanosecond a byte, where a list takes fifty a
word. A lane must not overflow into the next one: columns are `small`, below 2**56, and a difference is kept
positive by what is added to every lane.
"""

from __future__ import annotations

from array import array
from functools import lru_cache

WORD = 8
LANE_BITS = 64
SMALL_BITS = 56
NEAR = 0x8000
"""Added to differences from the first one: those that differ by less need two bytes."""

_MIDDLE = 1 << 62


def is_small(words: bytes) -> bool:
    """Whether every word is below 2**56. Boot times are, for two years."""
    return words[WORD - 1 :: WORD] == bytes(len(words) // WORD)


def lanes(words: bytes) -> int:
    """A column's words as one integer."""
    return int.from_bytes(words, "little")


def ones(rows: int) -> int:
    """1 in every lane; times a number: that number in every lane."""
    return int.from_bytes(b"\1\0\0\0\0\0\0\0" * rows, "little")


def ramp(rows: int) -> int:
    """0, 1, 2, ..."""
    return _ramp(1 << rows.bit_length()) & ((1 << LANE_BITS * rows) - 1)


@lru_cache(maxsize=8)
def _ramp(rows: int) -> int:
    return lanes(array("Q", range(rows)).tobytes())


def fit(values: int, bits: int, rows: int) -> bool:
    """Whether every lane is below 2**bits."""
    return not values & (ones(rows) * ((1 << LANE_BITS) - (1 << bits)))


def upper_halves(values: int, rows: int) -> int:
    """The upper 32 bits of each lane."""
    return values >> 32 & ones(rows) * 0xFFFFFFFF


def differences(values: int, reference: int, rows: int) -> tuple[int, bytes]:
    """A number and words: their sums are `values` less `reference`, lane by lane. Both are small."""
    lane = (1 << LANE_BITS) - 1
    low = (values & lane) - (reference & lane) - NEAR - _MIDDLE
    return low, (values - reference - low * ones(rows)).to_bytes(WORD * rows, "little")
