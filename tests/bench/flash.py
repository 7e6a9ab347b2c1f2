"""Bytes written to the disk for each recorded sample: the demo's drive at its real cadence, under a virtual clock.

The kernel counts what this process sent to the block layer (`write_bytes` of /proc/self/io); every commit is synced, so
that nothing is written only in the page cache. Payload are chunks and rollups as they lie in the database.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import deque
from contextlib import closing
from pathlib import Path

from agentd.config.plan import RecordPlan
from agentd.store.database import FILE_NAME
from agentd.store.retention import Budget
from agentd.store.writer import Clocks, RecordWriter
from tests.bench.recorder import Drive

MINUTES = 20
TICKS_PER_POLL = 100
"""A second of the demo's drive, as the recorder's thread polls."""


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.partition(" ")[2]) for line in lines if line.startswith("write_bytes"))


def measure(journal: str, minutes: int = MINUTES) -> dict[str, float]:
    """With a journal mode; the ring is in memory, the record on the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, tempfile.TemporaryDirectory(dir="/var/tmp") as disk:
        drive, path = Drive(Path(memory)), Path(disk) / FILE_NAME
        drive.run(1)
        clocks = Clocks(drive.clock.now_ns, drive.clock.now_ns, lambda: "bench")
        writer = RecordWriter(path, Budget.of(RecordPlan()), Path(memory), events=deque(), tell=print, clocks=clocks)
        writer._db.execute(f"PRAGMA journal_mode = {journal}")
        began = _written()
        for _ in range(minutes * 60):
            drive.run(TICKS_PER_POLL)
            while writer.poll():
                pass
        samples = writer.samples_total
        writer.close()
        written = _written() - began
        with closing(sqlite3.connect(path)) as db:
            (chunks,) = db.execute("SELECT sum(length(data)) FROM chunk").fetchone()
            (rollups,) = db.execute("SELECT sum(length(data)) FROM rollup").fetchone()
    return {
        "samples": samples,
        "written_bytes_per_sample": round(written / samples, 2),
        "payload_bytes_per_sample": round((chunks + rollups) / samples, 2),
        "rollup_bytes_per_sample": round(rollups / samples, 3),
        "ratio": round(written / (chunks + rollups), 2),
        "ratio_to_chunks": round(written / chunks, 2),
    }


def run() -> dict[str, object]:
    """What the recorder does, and a rollback journal beside it."""
    own = measure("WAL")
    return {"written_ratio": own["ratio"], "wal": own, "truncate": measure("TRUNCATE")}


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
