"""The recorder against one row per sample: the demo's drive, simulated, recorded both ways in turns.

The reference gets (signal, t, value) with a number for the signal, 1,000 a transaction with `executemany`, in WAL
mode as the recorder: once with the recorder's `synchronous=FULL`, once with NORMAL, which keeps less in a power cut.
The recorder's path begins at the ring, so checking every row's CRC is in its time; time stamps, reasons and durations
are in its bytes. Timed until committed.
"""

from __future__ import annotations

import math
import random
import sqlite3
import tempfile
import time
from collections import deque
from pathlib import Path

from agentd.config.child import resolve_now
from agentd.config.plan import RecordPlan
from agentd.runtime import assembly
from agentd.runtime.journal import Journal
from agentd.runtime.loop import ScanCycle
from agentd.runtime.ring import RingReader
from agentd.store.database import FILE_NAME
from agentd.store.retention import Budget
from agentd.store.writer import RecordWriter
from hal.clock import NS_PER_S

DEMO = Path(__file__).parents[2] / "agentd" / "demo.yaml"
TICKS = 5000
"""Between two turns: less than the ring holds."""

TURNS = 4
TRANSACTION = 1000


class RestlessClock:
    """Virtual time that passes at every look as it does on a machine, so that durations are not all alike."""

    def __init__(self) -> None:
        self._now_ns, self._random = NS_PER_S, random.Random(1)

    def now_ns(self) -> int:
        """Some microseconds later."""
        self._now_ns += round(self._random.lognormvariate(math.log(8000), 0.4))
        return self._now_ns

    def wait_until(self, deadline_ns: int) -> None:
        """Wake a little late."""
        late_ns = round(self._random.lognormvariate(math.log(60_000), 0.3))
        self._now_ns = max(self._now_ns, deadline_ns) + late_ns


class Drive:
    """The demo's drive loop under a virtual clock."""

    def __init__(self, runtime: Path) -> None:
        plan = resolve_now(DEMO).plan
        assert plan is not None
        loop = next(loop for loop in plan.loops if loop.name == "drive")
        self.clock = RestlessClock()
        journal = Journal(self.clock.now_ns, lambda _report: True)
        devices = [assembly.device_port(device, journal.report) for device in loop.devices]
        for device in devices:
            device.open_now(self.clock.now_ns())
        agents = [assembly.agent_port(agent, journal.report) for agent in loop.agents]
        self.cycle: ScanCycle = assembly.assemble(
            loop, devices, agents, clock=self.clock, journal=journal, runtime=runtime, generation=1
        )
        self._period_ns, self._number = loop.period_ns, 0
        self._start_ns = self.clock.now_ns() + loop.period_ns

    def run(self, ticks: int) -> None:
        """So many ticks."""
        for _ in range(ticks):
            deadline_ns = self._start_ns + self._number * self._period_ns
            self.clock.wait_until(deadline_ns)
            self.cycle.run(self._number, deadline_ns)
            self._number += 1


class Reference:
    """One row per sample."""

    def __init__(self, path: Path, reader: RingReader, synchronous: str) -> None:
        self.path, self._reader = path, reader
        self.scalars = [i for i, column in enumerate(reader.layout.columns) if column.type != "array"]
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        self._db.execute("CREATE TABLE sample (signal INTEGER, t INTEGER, value REAL)")
        self._position = self.samples = 0
        self.seconds = 0.0

    def take(self) -> None:
        """Insert what the ring got since; only the insertion is timed."""
        first, raw = self._reader.raw_since(self._position, self._reader.capacity)
        self._position = first + len(raw)
        rows = [self._reader.codec.decode(data) for data in raw]
        samples = [(i, row.time_ns, row.values[i]) for row in rows for i in self.scalars]
        self.samples += len(samples)
        began = time.perf_counter()
        for start in range(0, len(samples), TRANSACTION):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO sample VALUES (?, ?, ?)", samples[start : start + TRANSACTION])
            self._db.execute("COMMIT")
        self.seconds += time.perf_counter() - began

    def close(self) -> None:
        """Fold the log into the file."""
        self._db.close()


def run() -> dict[str, object]:
    """Samples a second and bytes a sample, each way, and the ratios."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, tempfile.TemporaryDirectory(dir="/var/tmp") as disk:
        drive = Drive(Path(memory))
        drive.run(1)
        reader = RingReader(Path(memory) / "drive" / "ring.1")
        references = [Reference(Path(disk) / name, reader, name) for name in ("FULL", "NORMAL")]
        path = Path(disk) / FILE_NAME
        writer = RecordWriter(path, Budget.of(RecordPlan()), Path(memory), events=deque(), tell=print)
        seconds = 0.0
        for turn in range(1 + TURNS):
            drive.run(TICKS)
            began = time.perf_counter()
            writer.poll(force=True)
            seconds += time.perf_counter() - began
            for reference in references:
                reference.take()
            if turn == 0:  # the first one warms both up: files, layout, imports
                seconds, skipped = 0.0, writer.samples_total
                for reference in references:
                    reference.seconds = 0.0
        writer.close()
        for reference in references:
            reference.close()
        own_bytes, their_bytes = path.stat().st_size, references[0].path.stat().st_size
    samples = writer.samples_total
    assert all(samples == reference.samples for reference in references), "not the same samples"
    rate, full, normal = (
        round((samples - skipped) / s) for s in (seconds, *(reference.seconds for reference in references))
    )
    return {
        "samples": samples,
        "signals": len(references[0].scalars),
        "recorder": {"samples_per_s": rate, "bytes_per_sample": round(own_bytes / samples, 2)},
        "row_per_sample": {"samples_per_s": full, "bytes_per_sample": round(their_bytes / samples, 2)},
        "row_per_sample_normal": {"samples_per_s": normal},
        "times_faster": round(rate / full, 1),
        "times_faster_than_normal": round(rate / normal, 1),
        "part_of_bytes": round(own_bytes / their_bytes, 3),
    }


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
