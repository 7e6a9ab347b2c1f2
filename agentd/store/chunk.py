"""A chunk: consecutive rows of one ring as one compressed blob, exact to the bit.

    1 byte    format, 1
    4 bytes   length of the header's frame
    frame     header: rows, parts, columns, a code a field, the length of each group's frame
    frames    one a group of byte planes (see `column.py`)

Frames are Zstandard with a checksum. Fields are those of a row in its order: index, tick, time, dt, eight
32-bit words, a duration a part, then values, time stamps and reasons, one a column. A row's CRC is computed
again when it is read. Whatever a damaged or hostile blob holds, reading it ends in `ChunkError`.
`chunk_encoder.py` makes chunks.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Sequence
from operator import add

import msgspec
import zstandard

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import CRC, RowCodec
from agentd.store.column import (
    GROUPS,
    SMALL,
    TABLE_MAX,
    WHOLE,
    Code,
    How,
    Reference,
    interval_words,
    join_planes,
    step_words,
    wrapped_words,
)
from agentd.store.lanes import WORD

FORMAT = 1
PREFIX_BYTES = 5
INDEX, TICK, TIME, DT, FLAGS, WAKE = range(6)
FIXED_FIELDS = 12
MAX_ROWS = 1_000_000
MAX_CHUNK_BYTES = 64 * 1024 * 1024
"""Of rows, before compression. More is refused, also when it is read."""

MAX_HEADER_BYTES = 16 * 1024 * 1024


class ChunkError(ValueError):
    """A blob that is not a chunk of this layout, or one that was damaged."""


class Header(msgspec.Struct, array_like=True, frozen=True):
    """What is in a chunk, and how each field is coded."""

    rows: int
    parts: int
    columns: int
    codes: list[Code]
    frames: list[int]


class RowShape:
    """Where each field of a row lies. `columns` are a ring's, `parts` the number of its parts."""

    def __init__(self, columns: Sequence[SignalPlan], parts: int) -> None:
        codec = RowCodec(columns, parts)
        _durations, values, stamps, reasons = codec.offsets()
        self.parts, self.columns = parts, len(columns)
        self.row_bytes, self.body_bytes = codec.row_bytes, codec.body.size
        self.values = FIXED_FIELDS + parts
        self.stamps = self.values + self.columns
        self.reasons = self.stamps + self.columns
        self.fields: list[tuple[int, int]] = [
            *((8 * i, 8) for i in range(FLAGS)),
            *((32 + 4 * i, 4) for i in range(FIXED_FIELDS - FLAGS + parts)),
            *((values + 8 * i, 8) for i in range(self.columns)),
            *((stamps + 8 * i, 8) for i in range(self.columns)),
            *((reasons + i, 1) for i in range(self.columns)),
        ]
        """Offset and width of each field."""


class Chunk:
    """A chunk being read; a column is decompressed when it is asked for. Any method may raise ChunkError."""

    def __init__(self, blob: bytes, shape: RowShape) -> None:
        self._shape, self._blob = shape, memoryview(blob)
        self._zstd = zstandard.ZstdDecompressor()
        self._frames_at = 0
        self._header = self._read_header()
        self.rows, self._codes = self._header.rows, self._header.codes
        self._counts = [0] * GROUPS
        self._places = [self._place(field, code) for field, code in enumerate(self._codes)]
        self._groups: dict[int, bytes] = {}
        self._times: list[int] | None = None

    @property
    def first(self) -> int:
        """The first row's index in its ring."""
        return self._codes[INDEX].low

    def times_ns(self) -> list[int]:
        """When each row's tick began (CLOCK_BOOTTIME)."""
        if self._times is None:
            self._times = array("q", self._field(TIME)).tolist()
        return self._times

    def ticks(self) -> list[int]:
        """The rows' tick numbers."""
        return array("Q", self._field(TICK)).tolist()

    def values(self, column: int, kind: str) -> Sequence[float]:
        """Values of a column of type `kind`: float64, or 64-bit integers for everything else."""
        return array("d" if kind == "float" else "q", self._field(self._shape.values + column))

    def stamps_ns(self, column: int) -> Sequence[int]:
        """When each value was measured."""
        return array("q", self._field(self._shape.stamps + column))

    def reasons(self, column: int) -> bytes:
        """Why each value is absent, 0 where it is present; for actuators the guard's verdict."""
        return self._field(self._shape.reasons + column)

    def raw(self) -> bytes:
        """The rows as they were in the ring, with their CRC."""
        row, body = self._shape.row_bytes, self._shape.body_bytes
        data = bytearray(row * self.rows)
        for field, (offset, width) in enumerate(self._shape.fields):
            words = self._field(field)
            for k in range(width):
                data[offset + k :: row] = words[k::width]
        for start in range(0, len(data), row):
            CRC.pack_into(data, start + body, zlib.crc32(data[start : start + body]))
        return bytes(data)

    def _read_header(self) -> Header:
        if len(self._blob) < PREFIX_BYTES or self._blob[0] != FORMAT:
            raise ChunkError(f"chunk: format {bytes(self._blob[:1]).hex() or 'missing'}, expected {FORMAT:02x}")
        self._frames_at = PREFIX_BYTES + int.from_bytes(self._blob[1:PREFIX_BYTES], "little")
        raw = self._unpack(self._blob[PREFIX_BYTES : self._frames_at], MAX_HEADER_BYTES)
        try:
            header = msgspec.msgpack.decode(raw, type=Header)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ChunkError(f"chunk: header: {error}") from None
        shape = self._shape
        if (header.parts, header.columns, len(header.codes)) != (shape.parts, shape.columns, len(shape.fields)):
            raise ChunkError(f"chunk: {header.columns} columns, {shape.columns} expected: it has another layout")
        if not 0 < header.rows <= min(MAX_ROWS, MAX_CHUNK_BYTES // shape.row_bytes):
            raise ChunkError(f"chunk: {header.rows} rows")
        end = self._frames_at + sum(header.frames)
        if len(header.frames) != GROUPS or min(header.frames) < 0 or end != len(self._blob):
            raise ChunkError(f"chunk: {len(self._blob)} bytes, {end} expected")
        return header

    def _unpack(self, frame: memoryview, limit: int) -> bytes:
        try:
            size = zstandard.frame_content_size(frame)
            if not 0 <= size <= limit:
                raise ChunkError(f"chunk: a frame of {size} bytes, at most {limit} expected")
            return self._zstd.decompress(frame)
        except (zstandard.ZstdError, MemoryError) as error:
            raise ChunkError(f"chunk: {error}") from None

    def _place(self, field: int, code: Code) -> list[tuple[int, int]]:
        """Where a field's varying planes are: group, and which one of it. Checks the code."""
        group, planes = self._group(field, code)
        if code.mask < 0 or code.mask >> planes:
            raise ChunkError(f"chunk: field {field}: mask {code.mask:#x}")
        places = []
        for k in range(code.mask.bit_length()):
            if code.mask >> k & 1:
                places.append((group + k, self._counts[group + k]))
                self._counts[group + k] += 1
        return places

    def _group(self, field: int, code: Code) -> tuple[int, int]:
        """First group and greatest number of planes of a field. Raises ChunkError for a code that cannot be."""
        width = self._shape.fields[field][1]
        sound, group, planes = False, WHOLE, WORD
        if code.how == How.PLANES:
            group, planes = code.ref, width
            sound = 0 <= code.low < 1 << 8 * width and group >= 0 and group + planes <= GROUPS
        elif code.how == How.SAME:
            planes = 0
            sound = 0 <= code.ref < field and self._codes[code.ref].how != How.SAME
            sound = sound and self._shape.fields[code.ref][1] == width
        elif code.how == How.TABLE:
            group, planes = SMALL, 1
            sound = width == WORD and code.mask == 1 and 0 < len(code.table) <= WORD * TABLE_MAX
            sound = sound and len(code.table) % WORD == 0
        elif code.how == How.WHOLE:
            sound = width == WORD and code.ref in self._references(field)
        elif code.how == How.STEPS:
            planes, sound = 4, width == WORD and 0 <= code.low < 1 << 32 and code.ref in (0, 1)
        elif code.how == How.INTERVAL:
            planes, sound = 0, field == DT and 0 <= code.low < 1 << 64
        if not sound or (field == INDEX and (code.how, code.mask) != (How.WHOLE, 0)):
            raise ChunkError(f"chunk: field {field}: impossible code {code}")
        return group, planes

    @staticmethod
    def _references(field: int) -> tuple[Reference, ...]:
        """What a field may refer to without going round in a circle."""
        if field in (INDEX, TICK):
            return (Reference.NONE, Reference.NUMBER)
        if field == TIME:
            return (Reference.NONE, Reference.NUMBER, Reference.SCHEDULE)
        return tuple(Reference)

    def _planes(self, field: int) -> list[bytes]:
        rows, found = self.rows, []
        for group, ordinal in self._places[field]:
            if group not in self._groups:
                start = self._frames_at + sum(self._header.frames[:group])
                frame = self._blob[start : start + self._header.frames[group]]
                self._groups[group] = self._unpack(frame, rows * self._counts[group])
            plane = self._groups[group][rows * ordinal : rows * (ordinal + 1)]
            if len(plane) != rows:
                raise ChunkError(f"chunk: group {group} is too short")
            found.append(plane)
        return found

    def _field(self, field: int) -> bytes:
        """The words of a field, one a row."""
        code = self._codes[field]
        if code.how == How.SAME:
            return self._field(code.ref)
        planes, rows = self._planes(field), self.rows
        try:
            if code.how == How.PLANES:
                return join_planes(planes, code.mask, code.low, self._shape.fields[field][1], rows)
            if code.how == How.TABLE:
                table = array("Q", code.table)
                return array("Q", map(table.__getitem__, planes[0])).tobytes()
            if code.how == How.INTERVAL:
                return interval_words(self.times_ns(), code.low.to_bytes(WORD, "little"))
            if code.how == How.STEPS:
                stored = array("I", join_planes(planes, code.mask, code.low, 4, rows))
                return step_words(stored, code.step, bool(code.ref))
            offsets = array("Q", join_planes(planes, code.mask, 0, WORD, rows))
            return wrapped_words(map(add, map(code.low.__add__, offsets), self._reference(code)))
        except (OverflowError, ZeroDivisionError, IndexError, ValueError) as error:
            raise ChunkError(f"chunk: field {field}: {error}") from None

    def _reference(self, code: Code) -> Iterable[int]:
        if code.ref == Reference.NUMBER:
            return range(self.rows)
        if code.ref == Reference.TIME:
            return self.times_ns()
        if code.ref == Reference.SCHEDULE:
            period, wakes = int(code.step), array("I", self._field(WAKE))
            return [tick * period + wake for tick, wake in zip(self.ticks(), wakes, strict=True)]
        return bytes(self.rows)
