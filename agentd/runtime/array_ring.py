"""Rings of arrays: pictures and whatever else is too large for a row. A row holds the array's index here."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import HEADER_BYTES, MAX_RING_BYTES, SNAPSHOT_TRIES, RingError, Word, create_ring, open_ring

ARRAY_SLOT = struct.Struct("<QqI4x")
"""index, time_ns, crc of the bytes that follow, begun with that of the time."""
_TIME = struct.Struct("<q")


class ArrayRingWriter:
    """Ring of one array signal. A new object is a new entry; the same object again is not."""

    def __init__(self, path: Path, signal: SignalPlan, item_bytes: int, capacity: int) -> None:
        self._item, self._signal = item_bytes, signal
        self._formats = FORMATS[signal.dtype]
        for length in signal.shape:
            self._item *= length
        slot = (ARRAY_SLOT.size + self._item + 7) // 8 * 8
        self._slot, self._capacity = slot, max(2, min(capacity, MAX_RING_BYTES // slot))
        self._ring = create_ring(path, msgspec.json.encode(signal), slot, self._capacity)
        self._data, self._index = self._ring.words[Word.DATA], 0

    def publish(self, time_ns: int, contents: memoryview) -> int:
        """Store one contiguous array, or its plain bytes, and return its index.

        Raises ValueError for another type or shape: readers know the bytes by the declaration alone.
        """
        fits = contents.shape == self._signal.shape and contents.format in self._formats
        if not fits and (contents.format, contents.shape) != ("B", (self._item,)):
            found, signal = f"{contents.format!r} {contents.shape}", self._signal
            raise ValueError(f"{signal.name}: found an array of {found}, expected {signal.dtype} {signal.shape}")
        index = self._index
        start = self._data + index % self._capacity * self._slot
        ARRAY_SLOT.pack_into(self._ring.buffer, start, index, time_ns, _crc(time_ns, contents))
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
        try:
            self.signal = msgspec.json.decode(raw, type=SignalPlan)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RingError(f"{path}: signal: {error}") from None
        self._slot, self._capacity, self._data = words[Word.SLOT_BYTES], words[Word.CAPACITY], words[Word.DATA]
        self.item_bytes = ARRAY_BYTES.get(self.signal.dtype, 0)
        for length in self.signal.shape:
            self.item_bytes *= length
        if not 0 < self.item_bytes <= self._slot - ARRAY_SLOT.size or min(self.signal.shape, default=1) < 1:
            what = f"{self.signal.dtype} {self.signal.shape}"
            raise RingError(f"{path}: slots of {self._slot} bytes do not hold an array of {what}")

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
        data = bytes(self._ring.buffer[begin : begin + self.item_bytes])
        return (index, time_ns, data) if found == index and _crc(time_ns, data) == crc else None

    def close(self) -> None:
        """Unmap."""
        self._ring.close()


def _crc(time_ns: int, contents: bytes | memoryview) -> int:
    return zlib.crc32(contents, zlib.crc32(_TIME.pack(time_ns)))


ARRAY_BYTES = {
    "bool_": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2,
    "int32": 4, "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip
"""Bytes of one element by numpy's name, so that readers need no numpy."""

FORMATS = {
    "bool_": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "float16": "e",
    "int32": "i", "uint32": "I", "float32": "f", "int64": "lq", "uint64": "LQ", "float64": "d",
}  # fmt: skip
"""What a memoryview calls that element; the buffer protocol has two names for the widest."""
