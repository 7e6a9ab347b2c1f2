"""How fast outputs are safe after a worker was killed, and what a spinning agent costs the others.

Measured on the plant: its file keeps every command with its time, and outlives the worker.
"""

from __future__ import annotations

import os
import select
import signal
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path

from agentd.runtime.process_image import ProcessImage
from hal.clock import NS_PER_S, SystemClock
from hal.drivers.sim.plant_state import Command, read_commands
from tests.node import RunningNode

KILLS = 5
PERIOD_MS = 10.0
SPINNER = '''"""Runs for ever when it is told to."""

from agents.agent import Agent, Input, Output, Param
from hal.signal import Tick


class Spinner(Agent):
    """Spins when `spin` is set."""

    measured: float = Input(unit="any")
    output: float = Output()
    spin: bool = Param(False)

    def step(self, tick: Tick) -> None:
        """Answer, or never."""
        while self.spin:
            pass
        self.output = 0.0
'''
CONFIG = """
node: bench
devices:
  one: {driver: sim.line_follower, seed: 1}
  two: {driver: sim.line_follower, seed: 2}
loops:
  bad:
    rate_hz: 100
    realtime: true
    devices: [one]
    agents:
      spinner: {agent: ./spinner.py, measured: one.offset_true, output: one.steering}
  good:
    rate_hz: 100
    realtime: true
    devices: [two]
    agents:
      steer: {agent: pid, measured: two.offset_true, setpoint: 0.0, output: two.steering, kp: 2.0}
http: {bind: 127.0.0.1:0}
"""


def commands(node: RunningNode, part: str) -> list[Command]:
    """Every command that a plant has kept."""
    found = sorted((node.runtime / "plants").glob(f"*{part}*"))
    assert len(found) == 1, found
    return read_commands(found[0])


def kill_worker() -> dict[str, object]:
    """SIGKILL to the demo's drive worker while it drives, each time on a fresh node."""
    safe_s, ticking_s = [], []
    for _ in range(KILLS):
        with tempfile.TemporaryDirectory() as folder, RunningNode(Path(folder), None) as node:
            safe, ticking = _kill_once(node)
            safe_s.append(safe)
            ticking_s.append(ticking)
    return {
        "safe_s": {"median": round(statistics.median(safe_s), 3), "max": round(max(safe_s), 3)},
        "ticking_s": {"median": round(statistics.median(ticking_s), 3), "max": round(max(ticking_s), 3)},
    }


def _kill_once(node: RunningNode) -> tuple[float, float]:
    """Seconds from the kill to the safe command on the plant, and to the first tick."""
    node.until("the robot drives", lambda: commands(node, "line_follower")[-1].values[1] > 0.1, 30)
    os.kill(node.worker_pid("drive"), signal.SIGKILL)
    killed_ns, image = SystemClock().now_ns(), node.image()
    node.until("drive ticks again", lambda: _ticks(image, killed_ns))
    ring = image.ring("drive")
    first = ring.row(0) if ring is not None else None
    assert first is not None
    safe = next(c for c in commands(node, "line_follower") if c.time_ns > killed_ns and c.values == (0.0, 0.0))
    return (safe.time_ns - killed_ns) / NS_PER_S, (first.time_ns - killed_ns) / NS_PER_S


def _ticks(image: ProcessImage, after_ns: int) -> bool:
    image.refresh("drive")
    ring = image.ring("drive")
    row = ring.row(0) if ring is not None else None
    return row is not None and row.time_ns > after_ns


def spinning_agent() -> dict[str, object]:
    """An agent that never returns: when its worker ended, whether it is named, how late the other loop was."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spinner.py").write_text(SPINNER, encoding="utf-8")
        with RunningNode(Path(folder), CONFIG) as node:
            ring = node.image().ring("good")
            bad = node.image().ring("bad")
            assert ring is not None and bad is not None
            clock.wait_until(clock.now_ns() + NS_PER_S)
            pid, position = node.worker_pid("bad"), ring.head
            pidfd = os.pidfd_open(pid)
            node.command(do="set_param", name="spinner.spin", value=1)
            last = bad.latest()
            select.select([pidfd], [], [], 5)
            os.close(pidfd)
            ended_ns = clock.now_ns()
            row = bad.latest() or last
            assert row is not None
            node.until("bad runs again", lambda: node.loop("bad")["state"] == "running")
            parts = {p["name"]: p["state"] for p in node.loop("bad")["parts"]}
            _, rows = ring.raw_since(position, 5000)
            began = [ring.codec.decode(row).time_ns for row in rows]
            late = sorted((b - a) / 1e6 - PERIOD_MS for a, b in pairwise(began))
    return {
        "ended_ms": round((ended_ns - row.time_ns) / 1e6 - PERIOD_MS, 1),
        "named": parts.get("spinner") == "quarantined",
        "other_loop_late_ms": {"p99": round(late[len(late) * 99 // 100], 3), "max": round(late[-1], 3)},
    }


def run() -> dict[str, object]:
    """The figures of this module."""
    return {"worker_killed": kill_worker(), "spinning_agent": spinning_agent()}


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
