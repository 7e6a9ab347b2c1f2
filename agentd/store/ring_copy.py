"""Copies of rings as files of the same format: what is in them now, and no more slots than that.

A living ring is overwritten while it is read. So it is not copied byte by byte: whole rows are taken as any reader
takes them, and laid out again in a ring that is exactly full.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from agentd.runtime.array_ring import ArrayRingReader
from agentd.runtime.ring import HEADER_BYTES, PAGE, RingReader, Word, open_ring

ROWS_AT_ONCE = 512
"""Between two pauses, for the thread is not the only one of its process."""

Pause = Callable[[], object]


def copy_ring(source: Path, target: Path, pause: Pause = bool) -> int:
    """Write and sync the rows of a ring; how many. Raises RingError, OSError."""
    reader = RingReader(source)
    try:
        size = reader.codec.row_bytes
        pieces: list[bytes] = []
        end = reader.head
        first = index = max(0, end - reader.capacity)
        while index < end:
            found, data = reader.span(index, min(ROWS_AT_ONCE, end - index))
            if not data:
                break
            if not pieces:
                first = found
            elif found != index:  # what follows was overwritten meanwhile: a gap, so begin anew behind it
                first, pieces = found, []
            pieces.append(data)
            index = found + len(data) // size
            pause()
        rows = b"".join(pieces)
        _write(source, target, first, rows, size)
        return len(rows) // size
    finally:
        reader.close()


def copy_array_ring(source: Path, target: Path, room_bytes: int, pause: Pause = bool) -> int:
    """As `copy_ring` for a ring of arrays: the newest of them that fit into `room_bytes`; how many."""
    ring = open_ring(source)
    slot, capacity = ring.words[Word.SLOT_BYTES], ring.words[Word.CAPACITY]
    reader = ArrayRingReader(source)
    try:
        head, slots = reader.head, []
        for index in reversed(range(max(0, head - min(capacity, room_bytes // slot)), head)):
            start = ring.words[Word.DATA] + index % capacity * slot
            data = bytes(ring.buffer[start : start + slot])
            if reader.at(index) is None or data != bytes(ring.buffer[start : start + slot]):
                break
            slots.append(data)
            pause()
        _write(source, target, head - len(slots), b"".join(reversed(slots)), slot)
        return len(slots)
    finally:
        reader.close()
        ring.close()


def _write(source: Path, target: Path, first: int, slots: bytes, slot_bytes: int) -> None:
    """A ring that holds just these slots; its other words are the source's."""
    ring = open_ring(source)
    try:
        count = len(slots) // slot_bytes
        header = bytearray(ring.buffer[:HEADER_BYTES])
        words = memoryview(header).cast("Q")
        layout = bytes(ring.buffer[HEADER_BYTES : HEADER_BYTES + words[Word.LAYOUT_BYTES]])
        words[Word.DATA] = (HEADER_BYTES + len(layout) + PAGE - 1) // PAGE * PAGE
        words[Word.CAPACITY], words[Word.HEAD] = max(1, count), first + count
        space = bytes(words[Word.DATA] - HEADER_BYTES - len(layout))
    finally:
        ring.close()
    turn = (count - first % count) % count * slot_bytes if count else 0
    write_synced(target, (header, layout, space, slots[turn:], slots[:turn], b"" if count else bytes(slot_bytes)))


def write_synced(path: Path, pieces: Iterable[bytes | bytearray]) -> None:
    """A new file that is on the disk when this returns. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
