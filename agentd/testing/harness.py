"""One loop in this process, under a virtual clock: for tests of drivers, agents and whole loops.

`run_loop` takes parts that the test has made, a plan, or a configuration file, runs so many ticks as fast as the
machine can, and returns their rows. Everything but the clock is what the daemon runs: the scan cycle, the guard, the
ring of rows in a temporary runtime directory.

    class Oven(Device):
        temperature: float = Sensor(unit="degC")
        heater: float = Actuator(low=0.0, high=1.0, safe=0.0)
        heat = 20.0

        def read(self, tick: Tick) -> None:
            self.heat += (self.heater * 100.0 - (self.heat - 20.0)) * tick.dt_s
            self.temperature = self.heat

    oven = Parts(
        devices={"oven": Oven()},
        agents={"keep": Threshold()},
        wires={"keep.measured": "oven.temperature", "keep.output": "oven.heater", "keep.above": 59, "keep.below": 61},
    )
    run = run_loop(oven, ticks=1000)
    assert 58 < run.values("oven.temperature")[-1] < 62
    assert run.verdicts("oven.heater")[-1] is Verdict.AS_ASKED

Ticks that a test wants to look at one by one, or to disturb, are run with `SimulatedLoop`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from agentd.config.child import resolve_now
from agentd.config.plan import AgentPlan, DevicePlan, LoopPlan, SignalPlan
from agentd.runtime import assembly
from agentd.runtime.agent_port import AgentPort
from agentd.runtime.device_port import DevicePort
from agentd.runtime.guard import Verdict
from agentd.runtime.journal import Journal
from agentd.runtime.letters import Report
from agentd.runtime.ring import RingReader, Row
from agentd.runtime.schedule import Schedule
from agentd.testing.parts import Parts, WireTo
from hal.clock import VirtualClock
from hal.signal import Absent


class _AtOnce(Executor):
    """Opens devices in the caller's thread, so that a run is the same every time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class SimulatedLoop:
    """One loop, tick by tick. A context manager: devices are closed and files removed at its end.

    Loops that read each other's signals share a `runtime` directory and a clock.
    """

    def __init__(
        self,
        what: Parts | LoopPlan,
        *,
        clock: VirtualClock | None = None,
        runtime: Path | None = None,
        generation: int = 1,
        quarantined: Mapping[str, str] | None = None,
    ) -> None:
        self._made = what if isinstance(what, Parts) else Parts()
        self.plan = plan = what.plan() if isinstance(what, Parts) else what
        self.clock = clock or VirtualClock()
        self._folder = None if runtime else tempfile.TemporaryDirectory(prefix="agentd-", dir=_memory())
        self.runtime = runtime or Path(self._folder.name if self._folder else "")
        self.reports: list[Report] = []
        """What the loop told the daemon."""
        self._journal = Journal(self.clock.now_ns, self._heard)
        left_out, self._safe = quarantined or {}, assembly.safe_values(plan)
        self.devices = [self._device(p, left_out.get(p.name, "")) for p in plan.devices]
        self._open()
        self.agents = [self._agent(p, left_out.get(p.name, "")) for p in plan.agents]
        self.cycle = assembly.assemble(
            plan, self.devices, self.agents, clock=self.clock, journal=self._journal, runtime=self.runtime,
            generation=generation,
        )  # fmt: skip
        self.cycle.foreign.bind()
        self.schedule = Schedule(plan.period_ns, self.clock.now_ns())
        self._reader = RingReader(self.runtime / plan.name / f"ring.{generation}")

    def _heard(self, report: Report) -> bool:
        self.reports.append(report)
        return True

    def _open(self) -> None:
        for port in self.devices:
            if port.device is not None:
                port.open_now(self.clock.now_ns())
                port.prepare()

    def _device(self, plan: DevicePlan, left_out: str) -> DevicePort:
        device = self._made.devices.get(plan.name)
        if device is None or left_out:
            return assembly.device_port(plan, self._journal.report, left_out, self._safe)
        return DevicePort(plan.name, device, self._journal.report, safe=self._safe)

    def _agent(self, plan: AgentPlan, left_out: str) -> AgentPort:
        agent = self._made.agents.get(plan.name)
        if agent is None or left_out:
            return assembly.agent_port(plan, self._journal.report, left_out)
        for name, value in plan.params.items():
            setattr(agent, name, value)
        agent.prepare()
        return AgentPort(plan, agent, self._journal.report)

    def tick(self) -> Row:
        """Wait for the next tick, run it, and return its row."""
        self.clock.wait_until(self.schedule.deadline_ns)
        skipped = self.schedule.woke(self.clock.now_ns())
        done_ns = self.cycle.run(self.schedule.number, self.schedule.deadline_ns, skipped)
        self.schedule.done(done_ns)
        for port in self.devices:
            port.poll(done_ns, _AtOnce())
        row = self._reader.latest()
        assert row is not None
        return row

    def run(self, ticks: int) -> list[Row]:
        """The rows of so many ticks."""
        return [self.tick() for _ in range(ticks)]

    def value(self, signal: str, row: Row | None = None) -> float | None:
        """A signal's value in the newest row, or in another; None when it is absent. An actuator's is never."""
        row = row or self._reader.latest()
        column = self._reader.index_of[signal]
        if row is None or (row.reasons[column] and self._reader.layout.columns[column].role != "actuator"):
            return None
        return row.values[column]

    def close(self) -> None:
        """Close the devices and remove what was made."""
        for port in self.devices:
            port.close()
        self._reader.close()
        self.cycle.ring.close()
        self.cycle.foreign.image.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> SimulatedLoop:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


__all__ = ["LoopRun", "Parts", "SimulatedLoop", "WireTo", "run_loop"]


@dataclass(frozen=True)
class LoopRun:
    """What `run_loop` returns: the rows, and what the loop told the daemon (`reports`)."""

    columns: tuple[SignalPlan, ...]
    rows: list[Row]
    reports: list[Report]

    def _at(self, signal: str) -> int:
        return [column.name for column in self.columns].index(signal)

    def values(self, signal: str) -> list[float | None]:
        """A signal tick by tick; None where it is absent."""
        at = self._at(signal)
        actuator = self.columns[at].role == "actuator"
        return [row.values[at] if actuator or not row.reasons[at] else None for row in self.rows]

    def absent(self, signal: str) -> list[Absent]:
        """Why a signal is absent, tick by tick."""
        at = self._at(signal)
        return [Absent(row.reasons[at]) for row in self.rows]

    def verdicts(self, actuator: str) -> list[Verdict]:
        """What the guard did with an actuator, tick by tick."""
        at = self._at(actuator)
        return [Verdict(row.reasons[at]) for row in self.rows]


def run_loop(
    what: Parts | LoopPlan | str | os.PathLike[str],
    ticks: int,
    *,
    loop: str = "",
    clock: VirtualClock | None = None,
) -> LoopRun:
    """Run one loop for so many ticks. `what` is the parts, a plan, or a configuration file, of which `loop` is run.

    Raises ValueError with every problem of a configuration that has some.
    """
    found = what if isinstance(what, (Parts, LoopPlan)) else _from_file(what, loop)
    with SimulatedLoop(found, clock=clock) as simulated:
        rows = simulated.run(ticks)
        return LoopRun(simulated.cycle.row.columns, rows, simulated.reports)


def _from_file(path: str | os.PathLike[str], loop: str) -> LoopPlan:
    resolution = resolve_now(Path(path))
    if resolution.plan is None:
        raise ValueError("\n".join(map(str, resolution.problems)))
    found = [plan for plan in resolution.plan.loops if loop in ("", plan.name)]
    if len(found) != 1:
        known = ", ".join(plan.name for plan in resolution.plan.loops)
        raise ValueError(f"{os.fspath(path)}: loop {loop!r}: expected one of {known}")
    return found[0]


def _memory() -> str | None:
    """Where a ring costs no disk: tmpfs, when there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a private folder is made in it
