"""The node's control words: written by the daemon alone, read by every worker without a system call.

One small file in the runtime directory: the daemon's heartbeat, the emergency stop, and for each loop
how many letters wait in its mailbox.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

MAGIC = 0x314C54434E444741  # b"AGDNCTL1", little-endian
WORDS = 512
HEARTBEAT, STOP, MAIL = 1, 2, 8
MAX_LOOPS = WORDS - MAIL


class Control:
    """The words, mapped. `index` of a loop is its place among the mail words."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if create:
                os.ftruncate(fd, WORDS * 8)
            self._map = mmap.mmap(fd, WORDS * 8, prot=mmap.PROT_READ | (mmap.PROT_WRITE if create else 0))
        finally:
            os.close(fd)
        self.words = memoryview(self._map).cast("Q")
        if create:
            self.words[0] = MAGIC
        elif self.words[0] != MAGIC:
            raise OSError(f"{path}: not the control words of a node")

    def close(self) -> None:
        """Unmap."""
        self.words.release()
        self._map.close()
