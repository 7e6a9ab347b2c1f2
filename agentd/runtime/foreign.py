"""Signals of other loops, latched once a tick from the process image."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agentd.config.plan import SignalPlan
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import RingReader, Word
from agentd.runtime.row import LoopRow
from hal.signal import Absent


@dataclass(slots=True)
class _Source:
    """One other loop and the columns taken from it: (own column, its column, role)."""

    ring: RingReader
    columns: list[tuple[int, int, str]] = field(default_factory=list)
    head: int = 0


class ForeignPort:
    """Looks the owners up when told that rings changed, and copies new rows' values."""

    def __init__(self, signals: Sequence[SignalPlan], image: ProcessImage, row: LoopRow) -> None:
        self._signals = {signal.name: signal for signal in signals}
        self.image, self._row = image, row
        self._sources: list[_Source] = []

    def bind(self) -> None:
        """Find which loops' rings hold the signals. Signals of a loop that publishes nothing are absent.

        A part may have moved to another loop: the ring that was written last is the owner's, the other a black box.
        """
        self._sources = []
        missing = dict(self._signals)
        for ring in self._rings() if missing else ():
            source = _Source(ring)
            for name in [n for n in missing if n in ring.index_of]:
                theirs, wanted = ring.layout.columns[ring.index_of[name]], missing[name]
                same = (theirs.type, theirs.dtype, theirs.shape) == (wanted.type, wanted.dtype, wanted.shape)
                if theirs.role != "foreign" and same:
                    own = self._row.index_of[missing.pop(name).name]
                    self._row.objects[own] = None
                    source.columns.append((own, ring.index_of[name], theirs.role))
            if source.columns:
                self._sources.append(source)
        for name in missing:
            self._row.clear(self._row.index_of[name], Absent.LOOP_SILENT)

    def _rings(self) -> list[RingReader]:
        """Every loop's newest ring, those that are written first; one that is damaged is left out."""
        rings = []
        for loop in self.image.loops():
            with suppress(OSError):
                self.image.refresh(loop)
                ring = self.image.ring(loop)
                rings += [ring] if ring is not None else []
        return sorted(rings, key=lambda ring: -ring.words[Word.HEARTBEAT_NS])

    def latch(self) -> None:
        """Copy what is new. Ages come from the owner's time stamps, so a silent owner grows stale."""
        row = self._row
        for source in self._sources:
            head = source.ring.head
            if head == source.head:
                continue
            found = source.ring.latest()
            if found is None:
                continue
            source.head = head
            for own, theirs, role in source.columns:
                before = row.values[own]
                row.values[own] = value = found.values[theirs]
                row.stamps_ns[own] = found.stamps_ns[theirs]
                row.reasons[own] = 0 if role == "actuator" else found.reasons[theirs]
                if row.kinds[own] == "array" and not row.reasons[own]:
                    if before != value or row.objects[own] is None:
                        row.objects[own] = self._array(source.ring, theirs, int(value))
                    if row.objects[own] is None:
                        row.clear(own, Absent.LOOP_SILENT)

    def _array(self, ring: RingReader, column: int, index: int) -> object:
        """The array itself; None when it was overwritten meanwhile, or cannot be read."""
        import numpy as np  # noqa: PLC0415 - only loops with array inputs need numpy

        signal = ring.layout.columns[column]
        try:
            reader = self.image.array(ring.layout.loop, signal.name)
            found = reader.at(index) if reader is not None else None
            if found is None:
                return None
            return np.frombuffer(found[2], dtype=signal.dtype.rstrip("_")).reshape(signal.shape)
        except (OSError, ValueError):
            return None
