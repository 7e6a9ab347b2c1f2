"""Latches: what stays safe until a person clears it, through every restart of the daemon and the machine."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Latches(msgspec.Struct, kw_only=True):
    """The emergency stop and the latched loops, each with its reason; empty texts and no entries are not latched."""

    emergency_stop: str = ""
    loops: dict[str, str] = {}


class LatchFile:
    """`latches.json` in the state directory; synced before anybody is told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = ""
        try:
            self.latches = msgspec.json.decode(path.read_bytes(), type=Latches)
        except FileNotFoundError:
            self.latches = Latches()
        except (OSError, msgspec.MsgspecError) as error:
            self.damaged = f"{path} cannot be read: {error}"
            self.latches = Latches(emergency_stop=f"latches were damaged, so everything stays safe: {self.damaged}")

    def save(self) -> None:
        """Write and sync. Raises OSError."""
        temporary = self._path.with_name(self._path.name + ".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, msgspec.json.encode(self.latches))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
