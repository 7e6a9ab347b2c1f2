"""The node's control words: written by the daemon alone, read by every worker without a system call.

One small file in the runtime directory: the daemon's heartbeat, the emergency stop, and for each loop
how many letters wait in its mailbox.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

MAGIC = 0x314C54434E444741  # b"AGDNCTL1", little-endian
WORDS = 512
HEARTBEAT, STOP, MAIL = 1, 2, 8
MAX_LOOPS = WORDS - MAIL


class Control:
    """The words, mapped. `index` of a loop is its place among the mail words."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            self._make(path)
        fd = os.open(path, (os.O_RDWR if create else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(fd, WORDS * 8, prot=mmap.PROT_READ | (mmap.PROT_WRITE if create else 0))
        finally:
            os.close(fd)
        self.words = memoryview(self._map).cast("Q")
        if self.words[0] != MAGIC:
            raise OSError(f"{path}: not the control words of a node")

    @staticmethod
    def _make(path: Path) -> None:
        """A new file, never the old one again: workers that a killed daemon left must see its silence, and end."""
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, MAGIC.to_bytes(8, sys.byteorder) + bytes((WORDS - 1) * 8))
        finally:
            os.close(fd)
        os.replace(temporary, path)

    def close(self) -> None:
        """Unmap."""
        self.words.release()
        self._map.close()
