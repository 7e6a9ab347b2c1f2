"""A record that was really written: rings filled by hand, recorded by the recorder's own writer.

past = Past(tmp_path)
drive = past.loop("drive", SPEED, X)
drive.tick(0.5, Absent.NO_ANSWER)
past.write()
"""

from __future__ import annotations

import math
import sqlite3
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from agentd.config.plan import RecordPlan, SignalPlan
from agentd.event import Event
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import Layout, RingWriter
from agentd.store.database import FILE_NAME, prepare
from agentd.store.retention import Budget
from agentd.store.writer import Clocks, RecordWriter
from hal.clock import NS_PER_S
from hal.signal import Absent

SPEED = SignalPlan(name="robot.speed", unit="m/s", role="actuator", low=0.0, high=1.0)
X = SignalPlan(name="robot.x", unit="m")
LAP = SignalPlan(name="robot.lap", type="int")
OFF_TRACK = SignalPlan(name="robot.off_track", type="bool")
CAMERA = SignalPlan(name="robot.camera", type="array", dtype="uint8", shape=(2, 2))
LOAD = SignalPlan(name="host.load_1m")

START_NS = 1000 * NS_PER_S
UTC_NS = 1_700_000_000 * NS_PER_S
"""What UTC is when a boot's time is 0, unless the clock was set."""

T0 = START_NS + UTC_NS
PERIOD_NS = NS_PER_S // 100

Given = float | int | bool | Absent | Verdict | tuple[float, Verdict]


@cache
def _empty() -> bytes:
    """A new database: making one takes a process and half a second."""
    with TemporaryDirectory() as folder:
        prepare(Path(folder) / FILE_NAME)
        return (Path(folder) / FILE_NAME).read_bytes()


class Past:
    """A state directory and what was recorded there, on a clock that the test moves."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.runtime, self.path = folder / "runtime", (state or folder / "state") / FILE_NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(_empty())
        self.now_ns, self.offset_ns, self.boot = START_NS, UTC_NS, "boot-1"
        self.events: deque[Event] = deque()
        clocks = Clocks(lambda: self.now_ns, lambda: self.now_ns + self.offset_ns, lambda: self.boot)
        budget = Budget.of(RecordPlan(keep_days=100_000))
        self.writer = RecordWriter(
            self.path, budget, self.runtime, events=self.events, tell=self.events.append, clocks=clocks
        )

    def loop(self, name: str, *columns: SignalPlan, generation: int = 1) -> Loop:
        """A worker begins."""
        return Loop(self, name, columns, generation)

    def write(self) -> None:
        """Everything that is in the rings and not yet recorded; a chunk a ring."""
        while self.writer.poll(force=True):
            pass

    def reboot(self, uptime_ns: int = START_NS) -> None:
        """The machine starts again: another boot id, another time, no rings."""
        self.write()
        for ring in self.runtime.glob("*/ring.*"):
            ring.unlink()
        self.writer.close()
        self.boot, self.now_ns = f"{self.boot}+", uptime_ns
        self.writer = RecordWriter(
            self.path,
            Budget.of(RecordPlan(keep_days=100_000)),
            self.runtime,
            events=self.events,
            tell=self.events.append,
            clocks=self.writer._clocks,
        )

    def change(self, sql: str, *arguments: object) -> None:
        """Damage something."""
        with closing(sqlite3.connect(self.path)) as db:
            db.execute(sql, arguments)
            db.commit()

    def chunks(self) -> list[tuple[int, bytes]]:
        """Id and blob, in order."""
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT id, data FROM chunk ORDER BY id").fetchall()


class Loop:
    """A worker's ring. Each tick lets the clock advance by a period afterwards."""

    def __init__(self, past: Past, name: str, columns: Sequence[SignalPlan], generation: int) -> None:
        layout = Layout(
            node="robot-1",
            loop=name,
            generation=generation,
            boot_id=past.boot,
            period_ns=PERIOD_NS,
            columns=tuple(columns),
            parts=("robot",),
        )
        self._past, self._columns, self.number = past, columns, 0
        self._ring = RingWriter(past.runtime / name / f"ring.{generation}", layout, 5000)

    def tick(self, *given: Given, advance: bool = True) -> None:
        """One row: a value, why it is absent, or for an actuator what was applied and the verdict."""
        values, reasons = zip(
            *(_stored(plan, value) for plan, value in zip(self._columns, given, strict=True)), strict=True
        )
        now = self._past.now_ns
        self._ring.publish(
            self.number, now, 0.01, 0, *[0] * 7, 0, *values, *[now] * len(values), bytes(reasons)
        )  # fmt: skip
        self.number += 1
        if advance:
            self._past.now_ns += PERIOD_NS


def _stored(plan: SignalPlan, given: Given) -> tuple[float, int]:
    """As the scan cycle stores it."""
    if isinstance(given, tuple):
        return given
    if isinstance(given, Absent):
        return (math.nan if plan.type == "float" else 0), given
    return (float(given) if plan.type == "float" else int(given)), 0


COUNT = 30
"""Rows of a ramp."""


def ramp(past: Past, chunks: int = 3, per_chunk: int = 10) -> None:
    """`robot.x` counts ticks."""
    drive = past.loop("drive", X)
    for _ in range(chunks):
        for _ in range(per_chunk):
            drive.tick(float(drive.number))
        past.write()
