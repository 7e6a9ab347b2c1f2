"""Figures of every loop: durations from the rings' new rows, and why the last tick was missed."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field

from agentd.event import Event
from agentd.runtime.process_image import ProcessImage
from agentd.statistics import LoopStatistics

ROWS_AT_ONCE = 4000


@dataclass(slots=True)
class LoopFigures:
    """One loop's statistics, and where its next row is."""

    statistics: LoopStatistics = field(default_factory=lambda: LoopStatistics((), 1))
    generation: int = 0
    position: int = 0
    last_miss: str = ""


class Figures:
    """Follows the rings of a process image."""

    def __init__(self, image: ProcessImage) -> None:
        self._image = image
        self._loops: dict[str, LoopFigures] = {}

    def of(self, loop: str) -> LoopFigures:
        """A loop's figures; empty ones for a loop that has not run."""
        return self._loops.setdefault(loop, LoopFigures())

    def note(self, event: Event) -> None:
        """Keep why a tick was missed."""
        if event.kind == "miss":
            self.of(event.subject).last_miss = event.message

    def renewed(self, loop: str) -> None:
        """A loop has a new ring. One that cannot be read is left alone: its worker's fault, not ours."""
        with suppress(OSError):
            self._image.refresh(loop)
            ring = self._image.ring(loop)
            if ring is not None:
                figures = self.of(loop)
                figures.statistics.follow(ring.layout.parts, ring.layout.period_ns)
                figures.generation, figures.position = ring.layout.generation, 0

    def follow(self) -> None:
        """Count what is new in every ring."""
        for name, figures in self._loops.items():
            with suppress(OSError, ValueError, struct.error):
                ring = self._image.ring(name)
                if ring is not None and ring.layout.generation == figures.generation:
                    first, rows = ring.raw_since(figures.position, ROWS_AT_ONCE)
                    figures.position = first + len(rows)
                    figures.statistics.add(rows)

    def forget(self, names: set[str]) -> None:
        """Keep the figures of these loops only."""
        self._loops = {name: figures for name, figures in self._loops.items() if name in names}
