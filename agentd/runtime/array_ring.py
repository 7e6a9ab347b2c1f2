"""Rings of arrays: pictures and whatever else is too large for a row. A row holds the array's index here."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import HEADER_BYTES, MAX_RING_BYTES, SNAPSHOT_TRIES, Word, create_ring, open_ring

ARRAY_SLOT = struct.Struct("<QqI4x")
"""index, time_ns, crc of the bytes that follow."""


class ArrayRingWriter:
    """Ring of one array signal. A new object is a new entry; the same object again is not."""

    def __init__(self, path: Path, signal: SignalPlan, item_bytes: int, capacity: int) -> None:
        self._item = item_bytes
        for length in signal.shape:
            self._item *= length
        slot = (ARRAY_SLOT.size + self._item + 7) // 8 * 8
        self._slot, self._capacity = slot, max(2, min(capacity, MAX_RING_BYTES // slot))
        self._ring = create_ring(path, msgspec.json.encode(signal), slot, self._capacity)
        self._data, self._index = self._ring.words[Word.DATA], 0

    def publish(self, time_ns: int, contents: memoryview) -> int:
        """Store one array (contiguous bytes) and return its index. Raises ValueError for a wrong size."""
        if contents.nbytes != self._item:
            raise ValueError(f"{contents.nbytes} bytes, expected {self._item}")
        index = self._index
        start = self._data + index % self._capacity * self._slot
        ARRAY_SLOT.pack_into(self._ring.buffer, start, index, time_ns, zlib.crc32(contents))
        begin = start + ARRAY_SLOT.size
        self._ring.buffer[begin : begin + self._item] = contents.cast("B")
        self._index = index + 1
        self._ring.words[Word.HEAD] = index + 1
        return index

    def close(self) -> None:
        """Unmap; the file stays."""
        self._ring.close()


class ArrayRingReader:
    """Reader of one array signal's ring."""

    def __init__(self, path: Path) -> None:
        self._ring = open_ring(path)
        words = self._ring.words
        raw = self._ring.buffer[HEADER_BYTES : HEADER_BYTES + words[Word.LAYOUT_BYTES]]
        self.signal = msgspec.json.decode(raw, type=SignalPlan)
        self._slot, self._capacity, self._data = words[Word.SLOT_BYTES], words[Word.CAPACITY], words[Word.DATA]
        self._item = ARRAY_BYTES.get(self.signal.dtype, 1)
        for length in self.signal.shape:
            self._item *= length

    @property
    def head(self) -> int:
        """How many arrays were written so far."""
        return self._ring.words[Word.HEAD]

    def latest(self) -> tuple[int, int, bytes] | None:
        """Index, time stamp and bytes of the newest whole array."""
        for _ in range(SNAPSHOT_TRIES):
            head = self.head
            for index in (head - 1, head - 2):
                if index >= 0 and (found := self.at(index)) is not None:
                    return found
        return None

    def at(self, index: int) -> tuple[int, int, bytes] | None:
        """As `latest`, for one index; None when it is gone."""
        start = self._data + index % self._capacity * self._slot
        found, time_ns, crc = ARRAY_SLOT.unpack_from(self._ring.buffer, start)
        begin = start + ARRAY_SLOT.size
        data = bytes(self._ring.buffer[begin : begin + self._item])
        return (index, time_ns, data) if found == index and zlib.crc32(data) == crc else None

    def close(self) -> None:
        """Unmap."""
        self._ring.close()


ARRAY_BYTES = {
    "bool_": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2,
    "int32": 4, "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip
"""Bytes of one element by numpy's name, so that readers need no numpy."""
