"""The state of a simulated plant in a file, so that the plant outlives the worker that drives it.

A plant goes on with its last command while nobody drives it: whoever opens it next integrates the elapsed
time. Otherwise a test could not see an output that stays unsafe after a kill. The file lies in the directory
that the environment variable `AGENTD_PLANTS` names (a tmpfs); without it a plant lives in its object only.

Layout, little-endian: one page of header (magic, layout and identity of the plant, boot id); two slots that are
written in turn, each with sequence, time, command, state and CRC-32; then a ring of the last commands. A
process that is killed inside a write leaves one slot torn, its CRC tells, and the other slot counts.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from hal.clock import boot_id, now_ns
from hal.device import DeviceError

VARIABLE = "AGENTD_PLANTS"
RING = 4096
"""Commands that are kept."""

_MAGIC = b"agentd plant 1\n\0"
_HEADER = struct.Struct("<16sII64s128s")  # magic, numbers in a command and in a state, boot id, identity
_SLOTS_AT = mmap.PAGESIZE
_SLOT_SIZE = 512
_RING_AT = _SLOTS_AT + 2 * _SLOT_SIZE
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Command:
    """One write to a plant: CLOCK_BOOTTIME, and the actuators in the order in which the driver declares them."""

    number: int
    time_ns: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest complete record: `time_ns` is when `state` held; `command` has been applied since."""

    number: int
    time_ns: int
    command: tuple[float, ...]
    state: tuple[float, ...]


class PlantFile:
    """The file of one plant, held by one process at a time."""

    def __init__(self, path: Path, identity: str, commands: int, states: int) -> None:
        """Open or make it; a file of another boot, plant or layout is begun anew.

        Raises DeviceError when another device holds it.
        """
        self._slot = struct.Struct(f"<Qq{commands}d{states}d")
        self._entry = struct.Struct(f"<Qq{commands}d")
        if self._slot.size + _CRC.size > _SLOT_SIZE:
            raise ValueError(f"{states} numbers of state do not fit a slot of {_SLOT_SIZE} bytes")
        self._stride = self._entry.size + _CRC.size
        self._commands = commands
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(path)
            header = _HEADER.pack(_MAGIC, commands, states, boot_id().encode(), identity.encode()[:128])
            self._map = self._mapped(header, _RING_AT + RING * self._stride)
        except BaseException:
            os.close(self._fd)
            raise
        found = self.load()
        self._number = found.number if found else 0

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeviceError(
                f"plant {path.name}: another device drives it, expected none; give one of the two another 'seed'"
            ) from None

    def _mapped(self, header: bytes, size: int) -> mmap.mmap:
        if os.fstat(self._fd).st_size != size or os.pread(self._fd, len(header), 0) != header:
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._fd, size)
            os.pwrite(self._fd, header, 0)
        return mmap.mmap(self._fd, size)

    def load(self) -> Snapshot | None:
        """The newest complete record; None for a new plant."""
        return _newest(self._map, self._slot, self._commands)

    def store(self, time_ns: int, command: tuple[float, ...], state: tuple[float, ...]) -> None:
        """Keep the state of `time_ns` with the command applied from now on; the ring gets the time of this call."""
        self._number = number = self._number + 1
        entry = self._entry.pack(number, now_ns(), *command)
        at = _RING_AT + number % RING * self._stride
        self._map[at : at + self._stride] = entry + _CRC.pack(zlib.crc32(entry))
        slot = self._slot.pack(number, time_ns, *command, *state)
        at = _SLOTS_AT + number % 2 * _SLOT_SIZE
        self._map[at : at + len(slot) + _CRC.size] = slot + _CRC.pack(zlib.crc32(slot))

    def close(self) -> None:
        """Give the plant back; it goes on with its last command."""
        self._map.close()
        os.close(self._fd)


def plant_file(name: str, commands: int, states: int) -> PlantFile | None:
    """The file of the plant of that name; None where no directory is named. Raises DeviceError when it is held."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    path = Path(folder) / (re.sub(r"[^A-Za-z0-9_.+-]", "_", name) + ".plant")
    return PlantFile(path, name, commands, states)


def read_commands(path: Path) -> list[Command]:
    """The last commands that reached the plant, oldest first; also while a process drives it.

    For tests and benchmarks. Raises ValueError when the file is no plant.
    """
    data, commands, _states = _read(path)
    entry = struct.Struct(f"<Qq{commands}d")
    stride = entry.size + _CRC.size
    found = []
    for at in range(_RING_AT, _RING_AT + RING * stride, stride):
        number, time_ns, *values = entry.unpack_from(data, at)
        if number and zlib.crc32(data[at : at + entry.size]) == _CRC.unpack_from(data, at + entry.size)[0]:
            found.append(Command(number, time_ns, tuple(values)))
    return sorted(found, key=lambda command: command.number)


def read_snapshot(path: Path) -> Snapshot | None:
    """The newest complete record, for tests; None before the first command. Raises ValueError."""
    data, commands, states = _read(path)
    return _newest(data, struct.Struct(f"<Qq{commands}d{states}d"), commands)


def _read(path: Path) -> tuple[bytes, int, int]:
    data = path.read_bytes()
    if len(data) < _RING_AT or not data.startswith(_MAGIC):
        raise ValueError(f"{path.name}: not the file of a plant")
    _magic, commands, states, _boot, _identity = _HEADER.unpack_from(data)
    return data, commands, states


def _newest(data: bytes | mmap.mmap, slot: struct.Struct, commands: int) -> Snapshot | None:
    best: Snapshot | None = None
    for at in (_SLOTS_AT, _SLOTS_AT + _SLOT_SIZE):
        raw = data[at : at + slot.size]
        number, time_ns, *values = slot.unpack(raw)
        intact = number and _CRC.unpack_from(data, at + slot.size)[0] == zlib.crc32(raw)
        if intact and (best is None or number > best.number):
            best = Snapshot(number, time_ns, tuple(values[:commands]), tuple(values[commands:]))
    return best
