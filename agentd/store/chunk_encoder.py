"""Makes chunks: finds for each field the coding that costs least and is exact. The format is in `chunk.py`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import msgspec
import zstandard

from agentd.config.plan import SignalPlan
from agentd.store.chunk import DT, FLAGS, FORMAT, INDEX, MAX_CHUNK_BYTES, MAX_ROWS, TICK, TIME, Header, RowShape
from agentd.store.column import (
    REAL,
    SMALL,
    WHOLE,
    Code,
    How,
    Planes,
    Reference,
    WordTable,
    encode_steps,
    interval_words,
    step_ways,
    suits_planes,
)
from agentd.store.lanes import SMALL_BITS, WORD, differences, fit, is_small, lanes, ramp, upper_halves

LEVEL = 3
"""Of Zstandard. Level 1 takes 0.7 ns a sample less and 1.2 % more bytes, level 5 7 ns more and 1.3 % less."""

ALIKE_MAX = 8
"""How many columns that begin alike are remembered: a bound on comparing, not on correctness."""

PAUSE_AFTER_BYTES = 64 * 1024
"""Work between two calls of `pause`: some tenths of a millisecond."""


class ChunkEncoder:
    """Encodes rows of one layout; remembers what was found in a column for the next chunk."""

    def __init__(self, columns: Sequence[SignalPlan], parts: int, period_ns: int) -> None:
        self.shape = RowShape(columns, parts)
        self._period_ns = period_ns
        self._groups = [REAL if column.type == "float" else WHOLE for column in columns]
        self._ways = [step_ways(c.resolution) if c.resolution and c.type == "float" else [] for c in columns]
        self._words = [WordTable() for _ in columns]
        self._zstd = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)

    def encode(self, data: bytes, pause: Callable[[], object] = bool) -> bytes:
        """Whole rows in one piece -> a blob. `pause` is called between slices of work.

        Raises ValueError when `data` is not a whole number of rows, or more than a chunk may hold.
        """
        row = self.shape.row_bytes
        if not data or len(data) % row or len(data) > MAX_CHUNK_BYTES or len(data) // row > MAX_ROWS:
            raise ValueError(f"chunk: {len(data)} bytes, expected up to {MAX_CHUNK_BYTES} in rows of {row}")
        work = _Work(self.shape, data, pause)
        codes = self._times(work)
        codes += [work.plain(field, WHOLE) for field in range(FLAGS, self.shape.values)]
        codes += self._values(work)
        codes += self._stamps(work)
        codes += [work.plain(field, SMALL) for field in range(self.shape.reasons, len(self.shape.fields))]
        pause()
        frames = [self._zstd.compress(b"".join(group)) if group else b"" for group in work.planes.groups]
        header = Header(work.rows, self.shape.parts, self.shape.columns, codes, [len(frame) for frame in frames])
        first = self._zstd.compress(msgspec.msgpack.encode(header))
        return b"".join((bytes([FORMAT]), len(first).to_bytes(4, "little"), first, *frames))

    def _times(self, work: _Work) -> list[Code]:
        """Index, tick, time and dt: nearly always a straight line and the wake latency, which is stored anyway."""
        rows, period, ticked, began = work.rows, self._period_ns, work.copy(TICK), work.copy(TIME)
        count = time = None
        if is_small(ticked) and is_small(began):
            ticks = lanes(ticked)
            wakes = upper_halves(lanes(work.copy(FLAGS)), rows)  # flags and wake latency share a word
            count = work.planes.whole(*differences(ticks, ramp(rows), rows), Reference.NUMBER)
            if fit(ticks, max(0, SMALL_BITS - 1 - period.bit_length()), rows):
                late = differences(lanes(began), ticks * period + wakes, rows)
                time = work.planes.whole(*late, Reference.SCHEDULE, period)
        times, spans = array("q", began).tolist(), work.copy(DT)
        regular = interval_words(times, spans[:WORD]) == spans
        return [
            Code(How.WHOLE, 0, work.words(INDEX)[0], Reference.NUMBER),
            count or work.plain(TICK, WHOLE),
            time or work.plain(TIME, WHOLE),
            Code(How.INTERVAL, low=int.from_bytes(spans[:WORD], "little")) if regular else work.plain(DT, REAL),
        ]

    def _values(self, work: _Work) -> list[Code]:
        known, codes = _Known(), []
        for column, group in enumerate(self._groups):
            field = self.shape.values + column
            words = work.words(field)
            code = known.find(field, words)
            if code is None and group == REAL and not suits_planes(words):
                code = self._few(work, column, words)
            codes.append(code or work.plain(field, group))
            work.breathe()
        return codes

    def _few(self, work: _Work, column: int, words: memoryview) -> Code | None:
        """Integer steps or a table, where a column has them."""
        code = self._words[column].encode(work.planes, words)
        ways = self._ways[column]
        for i, (step, divide) in enumerate(ways if code is None else ()):
            code = encode_steps(work.planes, words.tobytes(), step, divide)
            if code is not None:
                ways.insert(0, ways.pop(i))
                break
        return code

    def _stamps(self, work: _Work) -> list[Code]:
        """Most are equal to another column's: signals of one device are measured together."""
        known, codes = _Known(), []
        times = lanes(work.copy(TIME)) if is_small(work.copy(TIME)) else None
        for field in range(self.shape.stamps, self.shape.reasons):
            words = work.words(field)
            code = known.find(field, words)
            if code is None and times is not None and is_small(stamps := words.tobytes()):
                code = work.planes.whole(*differences(lanes(stamps), times, work.rows), Reference.TIME)
            codes.append(code or work.plain(field, WHOLE))
            work.breathe()
        return codes


class _Work:
    """One chunk being made."""

    def __init__(self, shape: RowShape, data: bytes, pause: Callable[[], object]) -> None:
        self.shape, self.data, self.rows = shape, data, len(data) // shape.row_bytes
        self.planes = Planes(self.rows)
        self._aligned = memoryview(data).cast("Q")
        self._shifted = memoryview(data)[4:-4].cast("Q")
        self._pause, self._columns = pause, 0
        self._pause_each = max(1, PAUSE_AFTER_BYTES // (WORD * self.rows))

    def words(self, field: int) -> memoryview:
        """The 64-bit words of a field, one a row, without copying them. Fields lie on multiples of 4 bytes."""
        place, shift = divmod(self.shape.fields[field][0], WORD)
        return (self._shifted if shift else self._aligned)[place :: self.shape.row_bytes // WORD]

    def copy(self, field: int) -> bytes:
        """As `words`, copied."""
        return self.words(field).tobytes()

    def plain(self, field: int, group: int) -> Code:
        """Store a field as it is."""
        offset, width = self.shape.fields[field]
        mask, low = self.planes.split(self.data, offset, self.shape.row_bytes, width, group)
        return Code(How.PLANES, mask, low, group)

    def breathe(self) -> None:
        """A column is done: pause when it is time."""
        self._columns += 1
        if self._columns % self._pause_each == 0:
            self._pause()


class _Known:
    """Columns seen so far, to find equal ones."""

    def __init__(self) -> None:
        self._columns: dict[tuple[int, int], list[tuple[int, memoryview]]] = {}

    def find(self, field: int, words: memoryview) -> Code | None:
        """The code of a constant column, or of one that is equal to an earlier one. Others are remembered."""
        first, last = words[0], words[-1]
        if first == last and words[1:] == words[:-1]:
            return Code(How.PLANES, 0, first)
        alike = self._columns.setdefault((first, last), [])
        for other, earlier in alike:
            if words == earlier:
                return Code(How.SAME, ref=other)
        if len(alike) < ALIKE_MAX:
            alike.append((field, words))
        return None
