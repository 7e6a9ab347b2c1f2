"""The demo as a user starts it: time to ready, the drive loop's whole tick, memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hal.clock import NS_PER_S, SystemClock
from tests.bench.wake import QUANTILES, quantile
from tests.node import RunningNode

STARTS = 3
DRIVE_S = 30


def pss_mb(pid: int) -> float:
    """Proportional set size of a process, in megabytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no Pss of process {pid}")


def run() -> dict[str, object]:
    """Several starts; the last one drives for a while."""
    clock, starts = SystemClock(), []
    for start in range(STARTS):
        with tempfile.TemporaryDirectory() as folder, RunningNode(Path(folder), None) as node:
            starts.append((node.ready_ns - node.began_ns) / NS_PER_S)
            if start < STARTS - 1:
                continue
            ring = node.image().ring("drive")
            assert ring is not None
            clock.wait_until(clock.now_ns() + 2 * NS_PER_S)
            position = ring.head
            clock.wait_until(clock.now_ns() + DRIVE_S * NS_PER_S)
            _, rows = ring.raw_since(position, DRIVE_S * 110)
            decoded = [ring.codec.decode(row) for row in rows]
            totals = sorted((row.total_ns + row.book_ns) / 1000 for row in decoded)
            wakes = sorted(row.wake_ns / 1000 for row in decoded)
            memory = {"daemon": round(pss_mb(node.status()["pid"]), 1)}
            memory |= {name: round(pss_mb(node.worker_pid(name)), 1) for name in ("drive", "slow")}
    return {
        "start_to_ready_s": {"median": round(sorted(starts)[len(starts) // 2], 2), "max": round(max(starts), 2)},
        "drive_tick_us": {name: round(quantile(totals, q)) for name, q in QUANTILES.items()},
        "drive_wake_us": {name: round(quantile(wakes, q)) for name, q in QUANTILES.items()},
        "pss_mb": memory,
    }


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
