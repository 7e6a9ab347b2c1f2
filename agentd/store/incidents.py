"""Incidents: what a loop's rings held when something went wrong, kept on the disk.

    <state>/incidents/<utc>-<loop>-<kind>/incident.json
                                          ring.<generation>             rows, as in the runtime directory
                                          <owner>.<signal>.<generation> arrays (pictures)
                                          order.<generation>.json       the configuration it ran with

A folder takes its name when it is complete and synced. The oldest are deleted when there are too many.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agentd.runtime.process_image import generations
from agentd.runtime.ring import RingError, RingReader, Word, WorkerState
from agentd.store.ring_copy import Pause, copy_array_ring, copy_ring, write_synced
from hal.clock import NS_PER_S

FOLDER = "incidents"
ABOUT = "incident.json"
MAX_INCIDENTS = 64
MAX_BYTES = 256 * 1024 * 1024
"""Of all incidents. Pictures of one take a quarter of it at most."""
MAX_STORIES = 20
"""Events of one incident that are kept with it."""
PAST_NS = 60 * NS_PER_S
"""Earlier generations that lived within this belong to the last minute, too."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident: what happened to which loop; `incident.json` in its folder."""

    id: str
    serial: int
    """Grows; a clock that steps does not disturb the order."""
    loop: str
    kind: str
    """guard, latch or worker."""
    time_ns: int
    """CLOCK_BOOTTIME of that boot."""
    utc_ns: int
    boot_id: str
    why: list[str]
    """What was told: the first event, and those that joined it."""
    generations: list[int] = []
    """Of the loop's worker, oldest first."""


class IncidentStore:
    """The incidents of a state directory. Writing is for one thread of the daemon alone."""

    def __init__(self, state: Path, max_incidents: int = MAX_INCIDENTS, max_bytes: int = MAX_BYTES) -> None:
        self.folder = state / FOLDER
        self._max_incidents, self._max_bytes = max_incidents, max_bytes

    def list(self) -> list[Incident]:
        """All of them, oldest first; a folder that cannot be read is left out."""
        return sorted(self._read(), key=lambda incident: (incident.serial, incident.id))

    def _read(self) -> Iterator[Incident]:
        for path in self.folder.glob(f"[!.]*/{ABOUT}"):
            with suppress(OSError, msgspec.MsgspecError):
                found = msgspec.json.decode(path.read_bytes(), type=Incident)
                if found.id == path.parent.name:
                    yield found

    def new_id(self, utc_ns: int, loop: str, kind: str, taken: Iterable[str] = ()) -> str:
        """A name that is not taken."""
        stamp = datetime.fromtimestamp(utc_ns // NS_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{stamp}-{loop}-{kind}"
        found, number, known = name, 1, set(taken)
        while found in known or (self.folder / found).exists():
            number += 1
            found = f"{name}-{number}"
        return found

    def save(self, incident: Incident, source: Path, generation: int, pause: Pause = bool) -> Incident:
        """Keep a worker's generation, and those before it that lived in the last minute; join what is there.

        `source` is the loop's folder in the runtime directory. Raises OSError; then nothing was changed.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        serial = max((known.serial for known in self.list()), default=0) + 1
        target, part = self.folder / incident.id, self.folder / f".{incident.id}.part"
        before = next((known for known in self.list() if known.id == incident.id), None)
        if before is not None:
            incident = msgspec.structs.replace(before, why=[*before.why, *incident.why][:MAX_STORIES])
        else:
            incident = msgspec.structs.replace(incident, serial=serial)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        try:
            fresh = [one for one in _lived(source, generation, incident) if one not in incident.generations]
            for one in fresh:
                _copy(source, part, one, self._max_bytes // 4, pause)
            incident = msgspec.structs.replace(incident, generations=sorted({*incident.generations, *fresh}))
            write_synced(part / ABOUT, [msgspec.json.format(msgspec.json.encode(incident))])
            _place(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self._prune(incident.id)
        return incident

    def _prune(self, newest: str) -> None:
        """Delete the oldest until the rest is within the budget; the newest stays."""
        known = [incident.id for incident in self.list() if incident.id != newest]
        left = self._max_bytes - _bytes(self.folder / newest)
        kept = 1
        for name in reversed(known):
            left -= _bytes(self.folder / name)
            kept += 1
            if kept > self._max_incidents or left < 0:
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def unsaved(self, source: Path, boot_id: str) -> Iterator[RingReader]:
        """Rings of a loop's folder whose worker died, and of which there is no incident. The caller closes them."""
        known = {
            (found.loop, generation)
            for found in self.list()
            if found.boot_id == boot_id
            for generation in found.generations
        }
        found = generations(source)
        for generation in found[:-1] if _lives(source) else found:
            if (source.name, generation) in known:
                continue
            with suppress(RingError, FileNotFoundError):
                ring = RingReader(source / f"ring.{generation}")
                if ring.layout.boot_id == boot_id and ring.words[Word.STATE] != WorkerState.STOPPING:
                    yield ring
                else:
                    ring.close()


def _lives(source: Path) -> bool:
    """Whether a loop's newest worker is still there: it holds the loop's lock to its end."""
    try:
        fd = os.open(source / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _lived(source: Path, generation: int, incident: Incident) -> list[int]:
    """The generation, and those before it that were heard of in the minute before the incident."""
    found = [generation]
    for one in generations(source):
        if one < generation:
            with suppress(RingError, FileNotFoundError):
                ring = RingReader(source / f"ring.{one}")
                if incident.time_ns - ring.words[Word.HEARTBEAT_NS] < PAST_NS:
                    found.append(one)
                ring.close()
    return found


def _copy(source: Path, target: Path, generation: int, room_bytes: int, pause: Pause) -> None:
    """Ring, order and pictures of one generation. A worker that died early has left less."""
    ring, order = source / f"ring.{generation}", source / f"order.{generation}.json"
    with suppress(FileNotFoundError):
        write_synced(target / order.name, [order.read_bytes()])
    if not ring.exists():
        return
    copy_ring(ring, target / ring.name, pause)
    for path in sorted(source.glob(f"*.*.{generation}")):
        with suppress(RingError, FileNotFoundError):
            copy_array_ring(path, target / path.name, room_bytes, pause)
            room_bytes -= (target / path.name).stat().st_size


def _place(part: Path, target: Path) -> None:
    """Give a complete folder its name, or move its files into the one that has it: the description last."""
    if target.exists():
        for path in sorted(part.iterdir(), key=lambda path: path.name == ABOUT):
            path.replace(target / path.name)
        _sync(target)
    else:
        _sync(part)
        part.rename(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _bytes(folder: Path) -> int:
    """What a folder takes."""
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0
