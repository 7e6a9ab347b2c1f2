"""Checks many consecutive rows with one CRC, for readers of whole runs.

A CRC is linear: rows that end in their own CRC all take the register from one state to the same next one, whatever
they hold. So the CRC over n whole rows is known beforehand, and one call at 7 GB/s that lets other threads run
replaces n calls. When it does not fit, the caller looks at each row.
"""

from __future__ import annotations

import zlib
from array import array


class RunCheck:
    """For rows of `row_bytes`, whose first `body_bytes` are followed by their CRC-32 and zeros."""

    def __init__(self, row_bytes: int, body_bytes: int) -> None:
        body = bytes(body_bytes)
        self._row_bytes = row_bytes
        self._any_row = (body + zlib.crc32(body).to_bytes(4, "little")).ljust(row_bytes, b"\0")
        self._expected = [0]
        """CRC-32 of so many whole rows."""

    def intact(self, data: bytes, first: int) -> bool:
        """Whether these are whole rows with the indices `first`, `first` + 1, ..."""
        rows = len(data) // self._row_bytes
        expected = self._expected
        while len(expected) <= rows:
            expected.append(zlib.crc32(self._any_row, expected[-1]))
        indices = memoryview(data).cast("Q")[:: self._row_bytes // 8]
        return zlib.crc32(data) == expected[rows] and indices == memoryview(array("Q", range(first, first + rows)))
