"""How late a 1 kHz loop wakes while both cores are busy, against cyclictest under the same load."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hal.clock import NS_PER_S, SystemClock
from tests.node import RunningNode

SEGMENT_S = 10
ROUNDS = 3
CONFIG = """
node: bench
devices:
  plant: {driver: ./plant.py, extra: 2}
loops:
  fast:
    rate_hz: 1000
    realtime: true
    devices: [plant]
    agents:
      level: {agent: pid, measured: plant.level, setpoint: 1.0, output: plant.valve, kp: 1.0, ki: 0.1}
http: {bind: 127.0.0.1:0}
"""


@contextmanager
def load() -> Iterator[None]:
    """Both cores busy with ordinary work."""
    workers = str(os.cpu_count() or 2)
    stress = subprocess.Popen(["stress-ng", "--quiet", "--cpu", workers], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        stress.terminate()
        stress.wait()


def cyclictest(seconds: int) -> list[int]:
    """Wake latencies in whole microseconds, one for each cycle of 1 ms, on the CPU where loops run."""
    cpu = str(max(os.sched_getaffinity(0)))
    done = subprocess.run(
        ["cyclictest", "-q", "-m", "-p50", "-i1000", "-t1", f"-a{cpu}", f"-D{seconds}", "-h20000"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[int] = []
    for line in done.stdout.splitlines():
        match = re.fullmatch(r"(\d+)\s+(\d+)", line.strip())
        if match:
            found += [int(match[1])] * int(match[2])
    return sorted(found)


def quantile(values: list[float] | list[int], q: float) -> float:
    """The value at rank q of sorted values."""
    return float(values[min(len(values) - 1, int(len(values) * q))])


def loop_rows(node: RunningNode, seconds: int) -> tuple[list[float], list[float]]:
    """Wake latencies and bookkeeping of the loop's next ticks, in microseconds, sorted."""
    ring = node.image().ring("fast")
    assert ring is not None
    clock, wake, book = SystemClock(), [], []
    position = ring.head
    for _ in range(seconds):
        clock.wait_until(clock.now_ns() + NS_PER_S)
        first, rows = ring.raw_since(position, 5000)
        position = first + len(rows)
        for data in rows:
            row = ring.codec.decode(data)
            wake.append(row.wake_ns / 1000)
            book.append(row.book_ns / 1000)
    return sorted(wake), sorted(book)


def run() -> dict[str, object]:
    """Loop and reference take turns, so that both see the same machine and neither disturbs the other."""
    wake: list[float] = []
    book: list[float] = []
    reference: list[int] = []
    granted, missed = [], 0
    with load():
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                plant = Path(__file__).with_name("plant.py")
                (Path(folder) / "plant.py").write_text(plant.read_text(encoding="utf-8"), encoding="utf-8")
                with RunningNode(Path(folder), CONFIG) as node:
                    rows = loop_rows(node, SEGMENT_S)
                    loop = node.loop("fast")
            wake += rows[0]
            book += rows[1]
            granted.append(loop["realtime"])
            missed += loop["missed_total"]
            reference += cyclictest(SEGMENT_S)
    wake.sort()
    book.sort()
    reference.sort()
    ratio = quantile(wake, 0.99) / max(1.0, quantile(reference, 0.99))
    return {
        "realtime": all(granted),
        "loop_wake_us": {name: round(quantile(wake, q), 1) for name, q in QUANTILES.items()},
        "cyclictest_us": {name: quantile(reference, q) for name, q in QUANTILES.items()},
        "ratio_p99": round(ratio, 2),
        "bookkeeping_us": {name: round(quantile(book, q), 1) for name, q in QUANTILES.items()},
        "ticks": len(wake),
        "missed": missed,
    }


QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}

if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
