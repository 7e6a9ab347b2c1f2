"""A node without workers: real rings, a real event log, a status that tests may change.

node = FakeNode(tmp_path)
node.publish("drive", {"robot.x": 1.5, "steer.output": Absent.NO_ANSWER})
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentd.command import Answer, Command
from agentd.config.plan import (
    AgentPlan,
    DevicePlan,
    DrivePlan,
    HttpPlan,
    InputPlan,
    LoopPlan,
    NodePlan,
    SignalPlan,
)
from agentd.event import Event
from agentd.event_log import EventLog
from agentd.runtime.array_ring import ArrayRingWriter
from agentd.runtime.guard import Verdict
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import Layout, RingWriter
from agentd.statistics import LoopStatistics
from agentd.status import ActuatorStatus, LoopStatus, NodeStatus, PartStatus
from hal.clock import boot_id, now_ns
from hal.signal import Absent

ROWS, COLUMNS, TRACK_POINTS = 32, 48, 256
Value = float | int | bool | bytes | Absent


def robot() -> DevicePlan:
    """The demo's robot."""
    signals = [
        SignalPlan(name="robot.camera", type="array", dtype="uint8", shape=(ROWS, COLUMNS), doc="grey levels"),
        SignalPlan(name="robot.x", unit="m", low=-10, high=10),
        SignalPlan(name="robot.y", unit="m", low=-10, high=10),
        SignalPlan(name="robot.heading", unit="rad", low=-3.2, high=3.2),
        SignalPlan(name="robot.speed_measured", unit="m/s", low=-1.6, high=1.6),
        SignalPlan(name="robot.lap", type="int", low=0),
        SignalPlan(name="robot.lap_time", unit="s", low=0),
        SignalPlan(name="robot.progress", low=0, high=1),
        SignalPlan(name="robot.off_track", type="bool"),
        SignalPlan(name="robot.track", type="array", dtype="float32", shape=(TRACK_POINTS, 2), unit="m"),
        SignalPlan(name="robot.steering", role="actuator", low=-1, high=1),
        SignalPlan(name="robot.speed", role="actuator", unit="m/s", low=0, high=1.2),
    ]
    return DevicePlan(
        name="robot", driver="sim.line_follower", arguments={"track": "oval"}, simulated=True, signals=tuple(signals)
    )


def agents() -> tuple[AgentPlan, ...]:
    """The demo's agents."""

    def outputs(owner: str, **units: str) -> tuple[SignalPlan, ...]:
        return tuple(SignalPlan(name=f"{owner}.{name}", unit=unit, role="output") for name, unit in units.items())

    vision = AgentPlan(
        name="vision",
        agent="infer",
        inputs=(InputPlan(attribute="picture", signals=("robot.camera",), array=True),),
        signals=outputs("vision", offset="m", heading="rad", curvature="1/m", confidence=""),
    )
    steer = AgentPlan(
        name="steer",
        agent="pid",
        params={"kp": 4.0, "ki": 0.4},
        inputs=(
            InputPlan(attribute="measured", signals=("vision.offset",)),
            InputPlan(attribute="setpoint", constant=0.0),
        ),
        drives=(DrivePlan(output="output", actuator="robot.steering"),),
        signals=outputs("steer", output="", error="m"),
    )
    pace = AgentPlan(
        name="pace",
        agent="q_learning",
        inputs=(InputPlan(attribute="observation", signals=("vision.offset", "vision.heading"), array=True),),
        drives=(DrivePlan(output="action", actuator="robot.speed"),),
        signals=outputs("pace", action="m/s", epsilon="", reward_mean=""),
    )
    return vision, steer, pace


def host() -> DevicePlan:
    """The machine's own values, of a machine without temperature sensors."""
    units = {"load_1m": "", "cpu_use": "percent", "cpu_temperature": "degC", "uptime": "s"}
    units |= {"memory_total": "B", "memory_available": "B", "disk_used": "B", "disk_free": "B"}
    units |= {"network_received": "B/s", "network_sent": "B/s"}
    units |= {"pressure_cpu": "percent", "pressure_io": "percent", "pressure_memory": "percent"}
    return DevicePlan(
        name="host",
        driver="linux.host",
        signals=tuple(SignalPlan(name=f"host.{name}", unit=unit) for name, unit in units.items()),
    )


def plan(extra: tuple[LoopPlan, ...] = ()) -> NodePlan:
    """The demo's plan, nearly."""
    drive = LoopPlan(name="drive", node="robot-1", rate_hz=100, realtime=True, devices=(robot(),), agents=agents())
    slow = LoopPlan(name="slow", node="robot-1", rate_hz=1, devices=(host(),))
    return NodePlan(node="robot-1", source="/etc/agentd/robot.yaml", loops=(drive, slow, *extra), http=HttpPlan(port=0))


class Worker:
    """What a loop's worker would write."""

    def __init__(self, runtime: Path, loop: LoopPlan, generation: int) -> None:
        parts = [part.name for _kind, _use, part in _parts(loop)]
        columns = self.columns = [signal for _kind, _use, part in _parts(loop) for signal in part.signals]
        self.layout = Layout(
            node=loop.node,
            loop=loop.name,
            generation=generation,
            boot_id=boot_id(),
            period_ns=loop.period_ns,
            columns=tuple(columns),
            parts=tuple(parts),
        )
        folder = runtime / loop.name
        self.ring = RingWriter(folder / f"ring.{generation}", self.layout, 512)
        self.arrays = {
            c.name: ArrayRingWriter(folder / f"{c.name}.{generation}", c, 1 if c.dtype == "uint8" else 4, 16)
            for c in columns
            if c.type == "array"
        }
        self.values: dict[str, float | int] = {c.name: 0 for c in columns}
        self.reasons: dict[str, int] = {c.name: 0 if c.role == "actuator" else Absent.NOT_YET for c in columns}
        self.stamps: dict[str, int] = {c.name: 0 for c in columns}
        self.verdicts: dict[str, Verdict] = {}
        self.tick = 0

    def publish(self, values: Mapping[str, Value], time_ns: int, durations: tuple[int, int, tuple[int, ...]]) -> None:
        """One row; what is not in `values` stays as it was."""
        for name, value in values.items():
            self._set(name, value, time_ns)
        self.reasons.update(self.verdicts)
        wake_ns, total_ns, parts_ns = durations
        fixed = (self.tick, time_ns, 0.01, 0, wake_ns, 0, 0, 0, 0, 9000, total_ns)
        stamps = (self.stamps[c.name] for c in self.columns)
        reasons = bytes(self.reasons[c.name] for c in self.columns)
        self.ring.publish(*fixed, *parts_ns, *(self.values[c.name] for c in self.columns), *stamps, reasons)
        self.tick += 1

    def _set(self, name: str, value: Value, time_ns: int) -> None:
        if isinstance(value, Absent):
            self.reasons[name] = int(value)
            return
        if not isinstance(value, bytes):
            self.values[name] = value
        else:
            plan = next(column for column in self.columns if column.name == name)
            whole = memoryview(value)
            shaped: Any = whole.cast("f", plan.shape) if plan.dtype == "float32" else whole.cast("B", plan.shape)
            self.values[name] = self.arrays[name].publish(time_ns, shaped)
        self.stamps[name] = time_ns
        self.reasons[name] = 0

    def close(self) -> None:
        """Unmap."""
        self.ring.close()
        for array in self.arrays.values():
            array.close()


class FakeNode:
    """A `NodeView` that a test holds in its hand."""

    def __init__(self, runtime: Path, plan_: NodePlan | None = None) -> None:
        self.plan = plan_ or plan()
        self.image = ProcessImage(runtime)
        self.events = EventLog()
        self.runtime = runtime
        self.workers: dict[str, Worker] = {}
        self.statistics: dict[str, LoopStatistics] = {}
        self.commands: list[tuple[Command, str]] = []
        self.answer = Answer(ok=True, message="done")
        self.problems: tuple[str, ...] = ()
        self.emergency_stop = ""
        self.live = True
        self._began_ns = now_ns()
        for loop in self.plan.loops[:2]:
            self.start_worker(loop.name)

    def start_worker(self, loop: str) -> None:
        """A new generation of a loop's worker."""
        found = next(entry for entry in self.plan.loops if entry.name == loop)
        generation = self.workers[loop].layout.generation + 1 if loop in self.workers else 1
        worker = self.workers[loop] = Worker(self.runtime, found, generation)
        self.statistics.setdefault(loop, LoopStatistics((), found.period_ns)).follow(
            worker.layout.parts, found.period_ns
        )
        self.image.refresh(loop)

    def publish(
        self,
        loop: str,
        values: Mapping[str, Value],
        age_ns: int = 0,
        wake_ns: int = 60_000,
        parts_ns: tuple[int, ...] = (),
    ) -> None:
        """One tick of a loop, and its statistics."""
        worker = self.workers[loop]
        shares = parts_ns or (150_000,) * len(worker.layout.parts)
        worker.publish(values, now_ns() - age_ns, (wake_ns, sum(shares) + 40_000, shares))
        ring = self.image.ring(loop)
        assert ring is not None
        self.statistics[loop].add(ring.raw_since(ring.head - 1, 1)[1])

    def tell(self, kind: str, subject: str, text: str, severity: str = "info", **data: float | str) -> Event:
        """Something happens."""
        return self.events.add(
            Event(time_ns=now_ns(), kind=kind, subject=subject, message=text, severity=severity, data=dict(data))
        )

    def status(self) -> NodeStatus:
        """As the daemon would say it."""
        return NodeStatus(
            node=self.plan.node,
            version="0.1.0",
            pid=4711,
            uptime_s=(now_ns() - self._began_ns) / 1e9,
            config=self.plan.source,
            live=self.live,
            ready=not self.problems,
            problems=self.problems,
            emergency_stop=self.emergency_stop,
            loops=tuple(self._loop(loop) for loop in self.plan.loops),
            actuators=tuple(self._actuators()),
            simulated=tuple(d.name for loop in self.plan.loops for d in loop.devices if d.simulated),
        )

    def _loop(self, loop: LoopPlan) -> LoopStatus:
        if loop.name not in self.workers:
            return LoopStatus(name=loop.name, rate_hz=loop.rate_hz, state="stopped")
        found = self.statistics[loop.name].figures(now_ns())
        parts = [
            PartStatus(
                name=part.name,
                kind=kind,
                use=use,
                simulated=kind == "device" and getattr(part, "simulated", False),
                duration=found.parts[part.name],
            )
            for kind, use, part in _parts(loop)
        ]
        return LoopStatus(
            name=loop.name,
            rate_hz=loop.rate_hz,
            measured_hz=found.measured_hz,
            state="running",
            generation=self.workers[loop.name].layout.generation,
            pid=4712,
            ticks_total=self.workers[loop.name].tick,
            realtime=loop.realtime,
            wake=found.wake,
            duration=found.duration,
            bookkeeping=found.bookkeeping,
            parts=tuple(parts),
        )

    def _actuators(self) -> list[ActuatorStatus]:
        worker = self.workers["drive"]
        holders = {"robot.steering": "steer.output", "robot.speed": "pace.action"}
        return [
            ActuatorStatus(
                signal=c.name,
                unit=c.unit,
                value=float(worker.values[c.name]),
                verdict=Verdict(worker.reasons[c.name]).name.lower(),
                holder=holders.get(c.name, ""),
                low=c.low or 0.0,
                high=c.high or 0.0,
                interventions_total=3,
            )
            for c in worker.columns
            if c.role == "actuator"
        ]

    async def command(self, command: Command, origin: str) -> Answer:
        """Remembered, and answered with `answer`."""
        self.commands.append((command, origin))
        return self.answer

    def close(self) -> None:
        """Unmap everything."""
        self.image.close()
        for worker in self.workers.values():
            worker.close()


def _parts(loop: LoopPlan) -> list[tuple[str, str, DevicePlan | AgentPlan]]:
    devices: list[tuple[str, str, DevicePlan | AgentPlan]] = [("device", d.driver, d) for d in loop.devices]
    return devices + [("agent", a.agent, a) for a in loop.agents]
