"""The recorder against one row per sample: the demo's drive, simulated, recorded each way in turns.

The reference is (signal, t, value), 1,000 rows a transaction with `executemany`, in WAL mode with the recorder's
`synchronous=FULL`; the signal is its name, as everywhere in this project. Beside it, to be hard on ourselves, the
same with a number for the signal, and with NORMAL, which keeps less in a power cut. The recorder's path begins at the
ring, so checking every row's CRC is in its time; time stamps, reasons and durations are in its bytes. Timed until
committed.
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
    """One row per sample; with `named` the signal is its name, else a number."""

    def __init__(self, folder: Path, reader: RingReader, synchronous: str, *, named: bool) -> None:
        self.path, self._reader = folder / f"{synchronous}-{named}.sqlite", reader
        columns = enumerate(reader.layout.columns)
        self._signals = [(i, column.name if named else i) for i, column in columns if column.type != "array"]
        self._db = sqlite3.connect(self.path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        self._db.execute(f"CREATE TABLE sample (signal {'TEXT' if named else 'INTEGER'}, t INTEGER, value REAL)")
        self._position = self.samples = 0
        self.seconds = 0.0

    def take(self) -> None:
        """Insert what the ring got since; only the insertion is timed."""
        first, raw = self._reader.raw_since(self._position, self._reader.capacity)
        self._position = first + len(raw)
        rows = [self._reader.codec.decode(data) for data in raw]
        samples = [(signal, row.time_ns, row.values[i]) for row in rows for i, signal in self._signals]
        self.samples += len(samples)
        began = time.perf_counter()
        for start in range(0, len(samples), TRANSACTION):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO sample VALUES (?, ?, ?)", samples[start : start + TRANSACTION])
            self._db.execute("COMMIT")
        self.seconds += time.perf_counter() - began

    def figures(self, skipped: int) -> dict[str, float]:
        """Rows a second but for the first `skipped`, and bytes of each."""
        rate, size = (self.samples - skipped) / self.seconds, self.path.stat().st_size / self.samples
        return {"samples_per_s": round(rate), "bytes_per_sample": round(size, 2)}

    def close(self) -> None:
        """Fold the log into the file."""
        self._db.close()


def run() -> dict[str, object]:
    """Samples a second and bytes a sample, each way, and the ratios."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, tempfile.TemporaryDirectory(dir="/var/tmp") as disk:
        drive = Drive(Path(memory))
        drive.run(1)
        reader = RingReader(Path(memory) / "drive" / "ring.1")
        references = {
            "row_per_sample": Reference(Path(disk), reader, "FULL", named=True),
            "numbered": Reference(Path(disk), reader, "FULL", named=False),
            "numbered_normal": Reference(Path(disk), reader, "NORMAL", named=False),
        }
        path = Path(disk) / FILE_NAME
        writer = RecordWriter(path, Budget.of(RecordPlan()), Path(memory), events=deque(), tell=print)
        seconds, skipped = 0.0, 0
        for turn in range(1 + TURNS):
            drive.run(TICKS)
            began = time.perf_counter()
            writer.poll(force=True)
            seconds += time.perf_counter() - began
            for reference in references.values():
                reference.take()
            if turn == 0:  # the first one warms both up: files, layout, imports
                seconds, skipped = 0.0, writer.samples_total
                for reference in references.values():
                    reference.seconds = 0.0
        writer.close()
        for reference in references.values():
            reference.close()
            assert reference.samples == writer.samples_total, "not the same samples"
        samples = writer.samples_total
        own = {
            "samples_per_s": round((samples - skipped) / seconds),
            "bytes_per_sample": round(path.stat().st_size / samples, 2),
        }
        theirs = {name: reference.figures(skipped) for name, reference in references.items()}
    ratios = {name: round(own["samples_per_s"] / other["samples_per_s"], 1) for name, other in theirs.items()}
    return {
        "samples": samples,
        "recorder": own,
        **theirs,
        "samples_per_s_ratio": ratios["row_per_sample"],
        "samples_per_s_ratio_numbered": ratios["numbered"],
        "samples_per_s_ratio_numbered_normal": ratios["numbered_normal"],
        "bytes_ratio": round(own["bytes_per_sample"] / theirs["row_per_sample"]["bytes_per_sample"], 3),
        "bytes_ratio_numbered": round(own["bytes_per_sample"] / theirs["numbered"]["bytes_per_sample"], 3),
    }


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
