"""The process image: the files in the runtime directory that hold every loop's last rows.

    <runtime>/<loop>/ring.<generation>             rows; the header describes every column
    <runtime>/<loop>/<owner>.<signal>.<generation> arrays (pictures), a ring each

Every generation of a worker makes new files, so the old ones are the black box. Rings are in
`ring.py`, arrays in `array_ring.py`.
"""

from __future__ import annotations

from pathlib import Path

from agentd.runtime.array_ring import ArrayRingReader
from agentd.runtime.ring import RingReader


def generations(folder: Path, prefix: str = "ring") -> list[int]:
    """The generations of a ring in a loop's folder, oldest first."""
    found = []
    for entry in folder.glob(f"{prefix}.*"):
        suffix = entry.name.removeprefix(f"{prefix}.")
        if suffix.isdigit():
            found.append(int(suffix))
    return sorted(found)


class ProcessImage:
    """Every loop's newest ring in a runtime directory, opened when first asked for."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self._rings: dict[str, RingReader] = {}
        self._arrays: dict[str, tuple[int, ArrayRingReader]] = {}

    def loops(self) -> list[str]:
        """Loops that have published, by name."""
        if not self.runtime.is_dir():
            return []
        return sorted(p.name for p in self.runtime.iterdir() if p.is_dir() and generations(p))

    def ring(self, loop: str) -> RingReader | None:
        """The newest generation's ring. Ask again after a restart: `refresh` forgets the old one."""
        reader = self._rings.get(loop)
        if reader is None:
            found = generations(self.runtime / loop)
            if not found:
                return None
            reader = self._rings[loop] = RingReader(self.runtime / loop / f"ring.{found[-1]}")
        return reader

    def refresh(self, loop: str) -> None:
        """Forget a loop's ring when a newer generation exists."""
        reader = self._rings.get(loop)
        found = generations(self.runtime / loop)
        if reader is not None and (not found or found[-1] != reader.layout.generation):
            self._rings.pop(loop).close()

    def array(self, loop: str, signal: str) -> ArrayRingReader | None:
        """The ring of an array signal of that loop's newest generation."""
        ring = self.ring(loop)
        if ring is None:
            return None
        generation = ring.layout.generation
        known = self._arrays.get(signal)
        if known is not None and known[0] == generation:
            return known[1]
        path = self.runtime / loop / f"{signal}.{generation}"
        if not path.exists():
            return None
        if known is not None:
            known[1].close()
        reader = ArrayRingReader(path)
        self._arrays[signal] = (generation, reader)
        return reader

    def close(self) -> None:
        """Unmap everything."""
        for ring in self._rings.values():
            ring.close()
        for _generation, array in self._arrays.values():
            array.close()
        self._rings.clear()
        self._arrays.clear()
