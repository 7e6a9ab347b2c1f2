"""One ring of rows per loop, in a file that any process may map and read.

A row is what one tick saw and did. The writer packs it with its CRC-32 into the slot `index %
capacity`, then stores the head word; a reader takes the head's row and checks index and CRC, else the
row before. No lock: a writer that dies inside a row leaves the row before intact.

File: 64 words (64-bit, native order), the layout as JSON, then `capacity` slots. Single words are
stored only through an aligned `memoryview.cast("Q")`: `struct.pack_into` zeroes first, and readers see it.
"""

from __future__ import annotations

import enum
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from agentd.config.plan import SignalPlan
from agentd.runtime.run_check import RunCheck

MAGIC = 0x31474E4952444741  # b"AGDRING1", little-endian
WORDS = 64
HEADER_BYTES = WORDS * 8
MAX_RING_BYTES = 64 * 1024 * 1024
MAX_LAYOUT_BYTES = 4 * 1024 * 1024
PAGE = mmap.PAGESIZE
U32_MAX = 0xFFFFFFFF
SNAPSHOT_TRIES = 3
CRC_RESIDUE = 0x2144DF1C
"""CRC-32 of any bytes followed by their own CRC-32, little-endian: one call checks a row."""


class Word(enum.IntEnum):
    """Words of a ring file."""

    MAGIC = 0
    HEAD = 1
    """Rows written so far; the newest is HEAD - 1."""
    SLOT_BYTES = 2
    CAPACITY = 3
    DATA = 4
    """Offset of slot 0."""
    LAYOUT_BYTES = 5
    HEARTBEAT_NS = 6
    """When the worker last began a tick or reported life (CLOCK_BOOTTIME)."""
    BREADCRUMB = 7
    """What the worker is inside of: `part + 1`, plus the phase shifted by 32; 0 between parts."""
    STATE = 8
    """A `WorkerState`."""
    MAIL = 9
    """Letters of the mailbox applied so far."""
    SKIPPED = 10
    """Ticks that were never run because the one before was still running."""
    TICK_BEGAN_NS = 11
    """Non-zero while a tick runs."""
    EVENTS_LOST = 12


class WorkerState(enum.IntEnum):
    """How far a worker is."""

    STARTING = 0
    SAFE = 1
    """Actuator devices are open and hold safe values; agents are not loaded yet."""
    WARMING = 2
    RUNNING = 3
    HOLDING = 4
    """Latched: safe values, no agents."""
    STOPPING = 5


class Phase(enum.IntEnum):
    """Where in its life a part is called; the upper half of a breadcrumb."""

    OPEN = 1
    READ = 2
    STEP = 3
    WRITE = 4
    CLOSE = 5
    IMPORT = 6


class Flag(enum.IntFlag):
    """Flags of a row."""

    LATE = 1
    """The tick began more than half a period after its deadline."""
    MISSED = 2
    """The tick ended after the next one should have begun."""
    HOLD = 4
    """No agents run: latched, or the daemon is gone."""
    EXPIRED = 8
    """Between the guard's decision and the write a value became too old; it was replaced by the safe one."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What a ring holds: the truth about a loop's columns, readable without the daemon."""

    node: str
    loop: str
    generation: int
    boot_id: str
    period_ns: int
    columns: tuple[SignalPlan, ...]
    parts: tuple[str, ...]
    """Devices and agents in the order of the row's durations."""
    plan_hash: str = ""
    pid: int = 0


FIXED = struct.Struct("<QQqdIIIIIIII")
"""index, tick, time_ns, dt_s, flags, wake, read, step, guard, write, book, total; durations in ns, saturating.

`time_ns` is when the tick began; `wake` how long after its deadline that was; `book` what the tick before
took for everything but devices and agents; `total` from the beginning to the end of the write phase.
"""
CRC = struct.Struct("<I")


class Row(NamedTuple):
    """One decoded row; `position` is its index in the ring."""

    position: int
    tick: int
    time_ns: int
    dt_s: float
    flags: int
    wake_ns: int
    read_ns: int
    step_ns: int
    guard_ns: int
    write_ns: int
    book_ns: int
    total_ns: int
    parts_ns: tuple[int, ...]
    values: tuple[float | int, ...]
    """A column each. Booleans are 0 and 1; for arrays the index in the array's own ring."""
    stamps_ns: tuple[int, ...]
    """When each value was measured, or for outputs its oldest required input (CLOCK_BOOTTIME)."""
    reasons: bytes
    """Why a column is absent (`Absent`, 0 = present); for actuators the guard's `Verdict`."""


class RowCodec:
    """The binary form of a row for one set of columns and parts."""

    def __init__(self, columns: Sequence[SignalPlan], parts: int) -> None:
        self._parts, self._columns = parts, len(columns)
        kinds = "".join("d" if column.type == "float" else "q" for column in columns)
        count = len(columns)
        self.body = struct.Struct(f"{FIXED.format}{parts}I{kinds}{count}q{count}s")
        self.row_bytes = (self.body.size + CRC.size + 7) // 8 * 8

    def offsets(self) -> tuple[int, int, int, int]:
        """Byte offsets in a row of part durations, values, stamps and reasons."""
        values = FIXED.size + 4 * self._parts
        stamps = values + 8 * self._columns
        return FIXED.size, values, stamps, stamps + 8 * self._columns

    def decode(self, data: bytes | memoryview) -> Row:
        """A row from its bytes; the CRC is the caller's business."""
        fields = self.body.unpack_from(data)
        parts, values = 12 + self._parts, 12 + self._parts + self._columns
        return Row._make((*fields[:12], fields[12:parts], fields[parts:values], fields[values:-1], fields[-1]))

    def intact(self, data: bytes | memoryview, index: int) -> bool:
        """Whether these bytes are the whole row `index`."""
        size = self.body.size
        found: int = CRC.unpack_from(data, size)[0]
        return int.from_bytes(data[:8], "little") == index and zlib.crc32(memoryview(data)[:size]) == found


class RingFile:
    """A mapped ring file: words, then slots."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._map = mapped
        self.buffer = memoryview(mapped)
        self.words = self.buffer[:HEADER_BYTES].cast("Q")

    def close(self) -> None:
        """Unmap; the file stays."""
        self.words.release()
        self.buffer.release()
        self._map.close()


def create_ring(path: Path, layout: bytes, slot_bytes: int, capacity: int) -> RingFile:
    """Make a ring file, with every page present so that a tick never waits for one.

    Raises FileExistsError when the generation exists, OSError when the file system is full.
    """
    data = (HEADER_BYTES + len(layout) + PAGE - 1) // PAGE * PAGE
    size = data + slot_bytes * capacity
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        raise FileExistsError(path)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        os.posix_fallocate(fd, 0, size)
        mapped = mmap.mmap(fd, size)
    except OSError as error:
        temporary.unlink()  # what was allocated of it would fill the memory for good
        text = f"{error.strerror}; the ring needs {size} bytes here, make room in the runtime directory"
        raise OSError(error.errno, text, str(path)) from None
    finally:
        os.close(fd)
    ring = RingFile(mapped)
    for page in range(0, size, PAGE):
        mapped[page] = 0
    words = ring.words
    words[Word.SLOT_BYTES], words[Word.CAPACITY], words[Word.DATA] = slot_bytes, capacity, data
    words[Word.LAYOUT_BYTES] = len(layout)
    ring.buffer[HEADER_BYTES : HEADER_BYTES + len(layout)] = layout
    words[Word.MAGIC] = MAGIC
    os.rename(temporary, path)
    return ring


class RingWriter:
    """The one writer of a loop's ring."""

    def __init__(self, path: Path, layout: Layout, capacity: int) -> None:
        self.codec = RowCodec(layout.columns, len(layout.parts))
        capacity = max(8, min(capacity, MAX_RING_BYTES // self.codec.row_bytes))
        self._ring = create_ring(path, msgspec.json.encode(layout), self.codec.row_bytes, capacity)
        self.words = self._ring.words
        self.layout = layout
        self._buffer, self._data = self._ring.buffer, self.words[Word.DATA]
        self._row, self._capacity, self._size = self.codec.row_bytes, capacity, self.codec.body.size
        self._pack, self._index = self.codec.body.pack_into, 0

    def publish(self, *fields: object) -> None:
        """Write one row: the fields of `FIXED` without the index, part durations, values, stamps, reasons.

        Raises struct.error when a field does not fit; the row is then not published.
        """
        index = self._index
        start = self._data + index % self._capacity * self._row
        self._pack(self._buffer, start, index, *fields)
        end = start + self._size
        CRC.pack_into(self._buffer, end, zlib.crc32(self._buffer[start:end]))
        self._index = index + 1
        self.words[Word.HEAD] = index + 1

    def close(self) -> None:
        """Unmap; the file stays as the black box."""
        self._ring.close()


class RingError(OSError):
    """A file that is not a ring, or one that was damaged."""


def open_ring(path: Path) -> RingFile:
    """Map a ring file for reading. Raises RingError for a file that is not one, OSError when it cannot be read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size < HEADER_BYTES:
            raise RingError(f"{path}: {size} bytes is too short for a ring")
        ring = RingFile(mmap.mmap(fd, size, prot=mmap.PROT_READ))
    finally:
        os.close(fd)
    words = ring.words
    slots = words[Word.SLOT_BYTES] * words[Word.CAPACITY]
    sound = words[Word.MAGIC] == MAGIC and words[Word.DATA] + slots <= size and slots > 0
    if not sound or HEADER_BYTES + words[Word.LAYOUT_BYTES] > min(words[Word.DATA], MAX_LAYOUT_BYTES):
        ring.close()
        raise RingError(f"{path}: not a ring, or damaged")
    return ring


class RingReader:
    """One reader of a ring file, in any process. Raises RingError for a file that is not one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ring = open_ring(path)
        self.words = self._ring.words
        raw = self._ring.buffer[HEADER_BYTES : HEADER_BYTES + self.words[Word.LAYOUT_BYTES]]
        try:
            self.layout = msgspec.json.decode(raw, type=Layout)
            self.codec = RowCodec(self.layout.columns, len(self.layout.parts))
        except (msgspec.MsgspecError, UnicodeDecodeError, struct.error) as error:
            raise RingError(f"{path}: layout: {error}") from None
        self.index_of = {column.name: i for i, column in enumerate(self.layout.columns)}
        self.capacity, self._data = self.words[Word.CAPACITY], self.words[Word.DATA]
        self._row = self.codec.row_bytes
        self._check = RunCheck(self._row, self.codec.body.size)
        if self.words[Word.SLOT_BYTES] != self._row or self.layout.period_ns <= 0:
            slot, period_ns = self.words[Word.SLOT_BYTES], self.layout.period_ns
            raise RingError(f"{path}: rows of {slot} bytes every {period_ns} ns, expected {self._row} bytes")

    @property
    def head(self) -> int:
        """How many rows were written so far."""
        return self.words[Word.HEAD]

    def latest(self) -> Row | None:
        """The newest whole row; None before the first."""
        for _ in range(SNAPSHOT_TRIES):
            head = self.head
            for index in (head - 1, head - 2):
                if index >= 0 and (data := self._intact(index)) is not None:
                    return self.codec.decode(data)
        return None

    def row(self, index: int) -> Row | None:
        """Row `index`, or None when it is gone or not yet there."""
        if not max(0, self.head - self.capacity) <= index < self.head:
            return None
        data = self._intact(index)
        return self.codec.decode(data) if data is not None else None

    def _intact(self, index: int) -> bytes | None:
        start = self._data + index % self.capacity * self._row
        data = bytes(self._ring.buffer[start : start + self._row])
        return data if self.codec.intact(data, index) else None

    def raw_since(self, index: int, limit: int) -> tuple[int, list[bytes]]:
        """Whole rows from `index` on, at most `limit`, as bytes: the first row's index, and the rows.

        Rows that were overwritten before they could be read are missing at the front: the first index
        says how many. The oldest may be torn by a writer that died over it: it is missing too. Any other
        torn row ends the list.
        """
        head = self.head
        first = max(index, head - self.capacity, 0)
        rows: list[bytes] = []
        for i in range(first, min(head, first + limit)):
            data = self._intact(i)
            if data is None:
                if rows or self.head < i + self.capacity:
                    break
                first = i + 1
                continue
            rows.append(data)
        return first, rows

    def span(self, index: int, limit: int) -> tuple[int, bytes]:
        """As `raw_since` but with the rows in one piece, each of `codec.row_bytes`: a fifth of its time.

        Empty when row `index` is not there yet, or is torn.
        """
        head, row, checked = self.head, self._row, self.codec.body.size + CRC.size
        first = max(index, head - self.capacity, 0)
        data = self._copy(first, min(head - first, limit))
        if self._check.intact(data, first):
            return first, data
        view, crc32 = memoryview(data), zlib.crc32
        whole = [crc32(view[at : at + checked]) == CRC_RESIDUE for at in range(0, len(data), row)]
        found = memoryview(data).cast("Q")[:: row // 8].tolist() if data else []
        whole = [good and at == first + i for i, (good, at) in enumerate(zip(whole, found, strict=True))]
        begin = whole.index(True) if True in whole else len(whole)
        if begin and self.head < first + begin - 1 + self.capacity:
            return first, b""
        end = whole.index(False, begin) if False in whole[begin:] else len(whole)
        return first + begin, data[begin * row : end * row]

    def _copy(self, first: int, count: int) -> bytes:
        """Slots from row `first` on as they are now, in one or two pieces."""
        if count <= 0:
            return b""
        buffer, row, slot = self._ring.buffer, self._row, first % self.capacity
        straight = min(count, self.capacity - slot)
        start = self._data + slot * row
        data = bytes(buffer[start : start + straight * row])
        return data + bytes(buffer[self._data : self._data + (count - straight) * row])

    def close(self) -> None:
        """Unmap."""
        self._ring.close()
