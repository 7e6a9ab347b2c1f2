"""One ring being recorded: where its next row is, and when its rows are worth a chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from agentd.runtime.ring import CRC, RingReader
from agentd.store.chunk import TIME
from agentd.store.chunk_encoder import ChunkEncoder
from hal.clock import NS_PER_S

CHUNK_BYTES = 64 * 1024
"""Rows of less than this wait: small chunks compress badly and wear flash."""

CHUNK_MAX_BYTES = 1024 * 1024
"""Rows of one chunk at most: a bound on memory, and on what a reader must decompress for one value."""

CHUNK_AFTER_NS = 10 * NS_PER_S
"""Rows worth a chunk are written after this: six transactions a minute."""

CHUNK_AT_LAST_NS = 60 * NS_PER_S
"""However few they are."""

RING_SHARE = 2
"""A chunk is made before this part of the ring is unread, lest rows are overwritten first."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one chunk, encoded and not yet committed."""

    first: int
    rows: int
    from_ns: int
    to_ns: int
    blob: bytes


class Feed:
    """A ring file and the cursor in it. `take` moves on; `settle` or `rewind` says what became of that."""

    def __init__(self, loop: str, reader: RingReader) -> None:
        self.loop, self.reader = loop, reader
        layout = reader.layout
        self.boot_id, self.generation = layout.boot_id, layout.generation
        self.scalars = sum(column.type != "array" for column in layout.columns)
        self.ring: int | None = None
        """Its id in the database; None before its first commit."""
        self.position = 0
        self.last_crc = 0
        self.lost = 0
        """Rows that were overwritten before they were read, not yet committed."""
        self.retired = False
        """A newer generation runs: what is left here is all there will be."""
        self._encoder = ChunkEncoder(layout.columns, len(layout.parts), layout.period_ns)
        self._row, self._body = self._encoder.shape.row_bytes, self._encoder.shape.body_bytes
        self._settled = (0, 0)
        self._waiting_since_ns = 0
        self._torn = -1

    @property
    def pending(self) -> int:
        """Rows that are not taken yet."""
        return self.reader.head - self.position

    def resume(self, ring: int, position: int, last_crc: int) -> bool:
        """Go on where an earlier recording ended. False when this is another ring of the same name."""
        if position > self.reader.head:
            return False
        if position > 0:
            first, data = self.reader.span(position - 1, 1)
            if data and first == position - 1 and self._crc(data) != last_crc:
                return False
        self.ring, self.position, self.last_crc = ring, position, last_crc
        self._settled = (position, last_crc)
        return True

    def due(self, now_ns: int) -> bool:
        """Whether what is pending should be written now."""
        pending = self.pending
        if pending <= 0:
            self._waiting_since_ns = 0
            return False
        self._waiting_since_ns = self._waiting_since_ns or now_ns
        age_ns = now_ns - self._waiting_since_ns
        raw = pending * self._row
        return (
            self.retired
            or raw >= CHUNK_MAX_BYTES
            or pending >= self.reader.capacity // RING_SHARE
            or (raw >= CHUNK_BYTES and age_ns >= CHUNK_AFTER_NS)
            or age_ns >= CHUNK_AT_LAST_NS
        )

    def take(self, pause: Callable[[], object]) -> Batch | None:
        """The next rows, at most a chunk of them, encoded. None when there is nothing whole to take."""
        first, data = self.reader.span(self.position, max(1, CHUNK_MAX_BYTES // self._row))
        if not data:
            self._pass_torn(first)
            return None
        blob = self._encoder.encode(data, pause)
        rows = len(data) // self._row
        self.lost += first - self.position
        self.position, self.last_crc = first + rows, self._crc(data)
        self._waiting_since_ns, self._torn = 0, -1
        last = len(data) - self._row
        return Batch(first, rows, self._time(data, 0), self._time(data, last), blob)

    def settle(self) -> None:
        """What was taken is committed."""
        self._settled, self.lost = (self.position, self.last_crc), 0

    def rewind(self) -> None:
        """What was taken could not be committed: take it again."""
        self.position, self.last_crc = self._settled
        self.lost = 0

    def layout_key(self) -> tuple[bytes, str]:
        """SHA-256 and JSON of the layout, without what changes at each start."""
        lasting = msgspec.structs.replace(self.reader.layout, generation=0, boot_id="", pid=0)
        body = msgspec.json.encode(lasting)
        return sha256(body).digest(), body.decode()

    def _pass_torn(self, row: int) -> None:
        """A row that is torn at two polls stays so: leave it out rather than wait for it for ever."""
        if row < self.reader.head and self._torn == row:
            self.lost += row + 1 - self.position
            self.position = row + 1
        self._torn = row

    def _crc(self, data: bytes) -> int:
        """Checksum of the last of these rows."""
        found: int = CRC.unpack_from(data, len(data) - self._row + self._body)[0]
        return found

    def _time(self, data: bytes, row: int) -> int:
        offset = row + self._encoder.shape.fields[TIME][0]
        return int.from_bytes(data[offset : offset + 8], "little", signed=True)
