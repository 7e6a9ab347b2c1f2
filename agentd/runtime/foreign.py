"""Signals of other loops, latched once a tick from the process image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.config.plan import SignalPlan
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import RingReader
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
        self._names = {signal.name: row.index_of[signal.name] for signal in signals}
        self.image, self._row = image, row
        self._sources: list[_Source] = []

    def bind(self) -> None:
        """Find which loops' rings hold the signals. Signals of a loop that publishes nothing are absent."""
        sources: dict[str, _Source] = {}
        missing = dict(self._names)
        for loop in self.image.loops() if missing else ():
            self.image.refresh(loop)
            ring = self.image.ring(loop)
            if ring is None:
                continue
            for name in [n for n in missing if n in ring.index_of]:
                column = ring.index_of[name]
                if ring.layout.columns[column].role == "foreign":
                    continue
                source = sources.setdefault(loop, _Source(ring))
                source.columns.append((missing.pop(name), column, ring.layout.columns[column].role))
        for column in missing.values():
            self._row.clear(column, Absent.LOOP_SILENT)
        self._sources = list(sources.values())

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
                row.values[own] = found.values[theirs]
                row.stamps_ns[own] = found.stamps_ns[theirs]
                row.reasons[own] = 0 if role == "actuator" else found.reasons[theirs]
                if row.kinds[own] == "array" and not row.reasons[own]:
                    row.objects[own] = self._array(source.ring, theirs, int(found.values[theirs]))

    def _array(self, ring: RingReader, column: int, index: int) -> object:
        import numpy as np  # noqa: PLC0415 - only loops with array inputs need numpy

        signal = ring.layout.columns[column]
        reader = self.image.array(ring.layout.loop, signal.name)
        found = reader.at(index) if reader is not None else None
        if found is None:
            return None
        return np.frombuffer(found[2], dtype=signal.dtype.rstrip("_")).reshape(signal.shape)
