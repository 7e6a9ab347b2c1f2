"""Rings that tests write, clocks that tests set, and what the record then holds."""

from __future__ import annotations

import atexit
import random
import shutil
import sqlite3
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec

from agentd.config.plan import RecordPlan, SignalPlan
from agentd.event import Event
from agentd.runtime.ring import Layout, RingWriter
from agentd.store.chunk import Chunk, RowShape
from agentd.store.database import FILE_NAME, open_writer
from agentd.store.retention import Budget
from agentd.store.writer import Clocks, RecordWriter
from hal.clock import NS_PER_S

COLUMNS = (
    SignalPlan(name="oven.temperature", type="float", unit="degC", resolution=0.0625),
    SignalPlan(name="oven.count", type="int"),
    SignalPlan(name="oven.picture", type="array", dtype="uint8", shape=(4, 4)),
    SignalPlan(name="keep.output", type="float"),
)
PARTS = ("oven", "keep")
BOOT = "boot-1"
PERIOD_NS = 10_000_000


def layout(
    generation: int = 1, columns: Sequence[SignalPlan] = COLUMNS, boot: str = BOOT, loop: str = "bake"
) -> Layout:
    return Layout(
        node="robot-1", loop=loop, generation=generation, boot_id=boot, period_ns=PERIOD_NS,
        columns=tuple(columns), parts=PARTS, pid=generation,
    )  # fmt: skip


@dataclass
class Time:
    """Clocks that stand still until they are set."""

    now_ns: int = 1000 * NS_PER_S
    offset_ns: int = 1_700_000_000 * NS_PER_S
    boot: str = BOOT

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now_ns, lambda: self.now_ns + self.offset_ns, lambda: self.boot)


class Oven:
    """A loop that publishes rows at the time that it is; every row says its number."""

    def __init__(
        self, runtime: Path, time: Time, generation: int = 1, capacity: int = 6000, loop: str = "bake"
    ) -> None:
        self.time, self.number, self.noise = time, 0, random.Random(7)
        self.path = runtime / loop / f"ring.{generation}"
        self.ring = RingWriter(self.path, layout(generation, boot=time.boot, loop=loop), capacity)

    def publish(self, rows: int, *, advance: bool = True) -> None:
        """So many ticks; time passes with them."""
        for _ in range(rows):
            n, now = self.number, self.time.now_ns
            values = (20.0 + n % 64 * 0.0625, n, n, self.noise.random())
            self.ring.publish(
                n, now, 0.01, 0, *[n % 5000] * 7, *[n % 300] * 2, *values, *[now + 5, now + 5, now + 5, now], bytes(4)
            )
            self.number += 1
            if advance:
                self.time.now_ns += PERIOD_NS


@dataclass
class Site:
    """A state directory, a runtime directory, and the writer between them."""

    folder: Path
    time: Time = field(default_factory=Time)
    plan: RecordPlan = field(default_factory=RecordPlan)
    events: deque[Event] = field(default_factory=deque)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path, self.runtime = self.folder / "state" / "record.sqlite", self.folder / "runtime"

    def open(self) -> RecordWriter:
        if not self.path.exists():
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copy(empty_record(), self.path)
        return RecordWriter(
            self.path, Budget.of(self.plan), self.runtime,
            events=self.events, tell=self.told.append, clocks=self.time.clocks(),
        )  # fmt: skip

    def query(self, sql: str, *arguments: object) -> list[tuple[object, ...]]:
        """From outside, as another process would."""
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return db.execute(sql, arguments).fetchall()
        finally:
            db.close()

    def recorded(self) -> dict[int, list[bytes]]:
        """Every recorded row as it was in its ring, in order, by the id of the ring."""
        found: dict[int, list[bytes]] = {}
        for ring, body, first, data in self.query(
            "SELECT ring, body, first, data FROM chunk JOIN ring ON ring.id = chunk.ring"
            " JOIN layout ON layout.id = ring.layout ORDER BY ring, first"
        ):
            shape = shape_of(str(body))
            rows = found.setdefault(int(str(ring)), [])
            chunk = Chunk(bytes(data), shape)  # type: ignore[call-overload]
            assert chunk.first == first
            raw = chunk.raw()
            rows += [raw[at : at + shape.row_bytes] for at in range(0, len(raw), shape.row_bytes)]
        return found

    def indices(self, ring: int = 1) -> list[int]:
        """Which rows of a ring are recorded, in order."""
        return [int.from_bytes(row[:8], "little") for row in self.recorded().get(ring, [])]


@cache
def empty_record() -> Path:
    """A new record to copy: making one starts a process."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / FILE_NAME
    open_writer(path).close()
    return path


def shape_of(body: str) -> RowShape:
    known = msgspec.json.decode(body, type=Layout)
    return RowShape(known.columns, len(known.parts))


def event(number: int, severity: str = "info", **more: object) -> Event:
    return Event(
        time_ns=number, kind="device", subject="robot", message=f"lap {number}", severity=severity, id=number, data=more
    )
