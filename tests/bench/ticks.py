"""What a tick costs beyond its devices and agents, and how that grows with the number of signals."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import msgspec

from agentd.config.child import resolve_now
from agentd.config.plan import LoopPlan
from agentd.runtime import assembly
from agentd.runtime.journal import Journal
from agentd.runtime.loop import ScanCycle
from agentd.runtime.realtime import steady
from hal.clock import SystemClock

TICKS = 4000
WARM_UP = 500
OWN_SIGNALS = 6
"""Of the loop below with no extra sensors: level, valve, and the controller's outputs; checked at run time."""


def make_plan(signals: int) -> LoopPlan:
    """A loop of one plant and one PID whose row has exactly `signals` columns. Raises RuntimeError."""
    plant = Path(__file__).with_name("plant.py")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plant.py").write_text(plant.read_text(encoding="utf-8"), encoding="utf-8")
        extra = max(0, signals - OWN_SIGNALS)
        for _ in range(2):
            config = Path(folder) / "bench.yaml"
            config.write_text(
                "node: bench\n"
                f"devices:\n  plant: {{driver: ./plant.py, extra: {extra}}}\n"
                "loops:\n  fast:\n    rate_hz: 1000\n    realtime: true\n    devices: [plant]\n    agents:\n"
                "      level: {agent: pid, measured: plant.level, setpoint: 1.0, output: plant.valve, kp: 1.0}\n"
                "guard:\n  plant.valve: {slew_per_s: 50.0}\n",
                encoding="utf-8",
            )
            resolution = resolve_now(config)
            if resolution.plan is None:
                raise RuntimeError("; ".join(map(str, resolution.problems)))
            loop = resolution.plan.loops[0]
            have = sum(len(d.signals) for d in loop.devices) + sum(len(a.signals) for a in loop.agents)
            if have == signals:
                return loop
            extra += signals - have
    raise RuntimeError(f"no loop of {signals} signals")


def make_cycle(plan: LoopPlan, runtime: Path) -> ScanCycle:
    """The loop's cycle in this process, opened."""
    plant = Path(__file__).with_name("plant.py")
    clock = SystemClock()
    journal = Journal(clock.now_ns, lambda _report: True)
    devices = []
    for device in plan.devices:
        port = assembly.device_port(msgspec.structs.replace(device, path=str(plant)), journal.report)
        port.open_now(clock.now_ns())
        devices.append(port)
    agents = [assembly.agent_port(agent, journal.report) for agent in plan.agents]
    return assembly.assemble(plan, devices, agents, clock=clock, journal=journal, runtime=runtime, generation=1)


def bookkeeping_us(signals: int) -> dict[str, float]:
    """Median and p99 of everything in a tick but the device and the agent, in microseconds, hot."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        cycle = make_cycle(make_plan(signals), Path(folder))
        steady(cycle.period_ns)
        clock, book = cycle.clock, []
        for number in range(TICKS):
            done_ns = cycle.run(number, clock.now_ns())
            if number > WARM_UP:
                book.append((done_ns - cycle.tick.time_ns - sum(cycle.account.parts_ns)) / 1000)
        cycle.ring.close()
    book.sort()
    return {"p50_us": round(statistics.median(book), 2), "p99_us": round(book[len(book) * 99 // 100], 2)}


def run() -> dict[str, object]:
    """The figures of this module."""
    growth = {signals: bookkeeping_us(signals) for signals in (10, 100, 1000)}
    slope = (growth[1000]["p50_us"] - growth[100]["p50_us"]) / 900
    first = (growth[100]["p50_us"] - growth[10]["p50_us"]) / 90
    return {
        "bookkeeping_16_signals": bookkeeping_us(16),
        "growth": growth,
        "us_per_signal_10_to_100": round(first, 4),
        "us_per_signal_100_to_1000": round(slope, 4),
    }


if __name__ == "__main__":
    import json

    print(json.dumps(run(), indent=2))
