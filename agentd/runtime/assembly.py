"""From a plan to a scan cycle: parts built, columns laid out, everything connected.

The worker does it in stages (actuators safe before anything heavy is imported); the test kit does it
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentd import registry
from agentd.config.plan import AgentPlan, DevicePlan, LoopPlan, Requirement, SignalPlan
from agentd.runtime.accounting import Account
from agentd.runtime.agent_port import AgentPort
from agentd.runtime.array_ring import ARRAY_BYTES, ArrayRingWriter
from agentd.runtime.device_port import DevicePort, Report, describe
from agentd.runtime.foreign import ForeignPort
from agentd.runtime.guard import Channel, Guard, Interlock, Verdict
from agentd.runtime.journal import Journal
from agentd.runtime.loop import ScanCycle
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import Layout, RingWriter
from agentd.runtime.row import LoopRow
from hal.clock import Clock, boot_id
from hal.signal import ActuatorDeclaration, Declaration

BLACK_BOX_S = 60
"""How much of the past a ring holds."""
ARRAY_SLOTS = 64


def safe_values(plan: LoopPlan) -> dict[str, float]:
    """What the guard holds for safe, by signal: a driver's own may differ."""
    return {channel.signal: channel.safe for channel in plan.channels}


def device_port(
    plan: DevicePlan, report: Report, quarantined: str = "", safe: dict[str, float] | None = None
) -> DevicePort:
    """Build a device; one that cannot be built is left out and says why."""
    if quarantined:
        return DevicePort(plan.name, None, report, quarantined)
    try:
        return DevicePort(plan.name, registry.build_device(plan), report, safe=safe)
    except Exception as error:
        report("device", plan.name, "error", f"{plan.name}: {describe(error)}")
        return DevicePort(plan.name, None, report, describe(error))


def agent_port(plan: AgentPlan, report: Report, quarantined: str = "") -> AgentPort:
    """Build an agent with its parameters; one that cannot be built is left out and says why."""
    if quarantined:
        return AgentPort(plan, None, report, quarantined)
    try:
        agent = registry.build_agent(plan)
        for name, value in plan.params.items():
            setattr(agent, name, value)
        agent.prepare()
    except Exception as error:
        report("agent", plan.name, "error", f"{plan.name}: {describe(error)}")
        return AgentPort(plan, None, report, describe(error))
    return AgentPort(plan, agent, report)


def columns(plan: LoopPlan, devices: Sequence[DevicePort]) -> tuple[SignalPlan, ...]:
    """Every column of the loop's row: the plan's, and what devices added when they were opened."""
    found: dict[str, SignalPlan] = {}
    for device in plan.devices:
        found.update({signal.name: signal for signal in device.signals})
    for port in devices:
        if port.device is not None:
            for name, declaration in port.device.signals.items():
                found.setdefault(f"{port.name}.{name}", _signal(port.name, declaration))
    for agent in plan.agents:
        found.update({signal.name: signal for signal in agent.signals})
    found.update({signal.name: signal for signal in plan.foreign})
    return tuple(found.values())


def _signal(owner: str, declaration: Declaration) -> SignalPlan:
    return SignalPlan(
        name=f"{owner}.{declaration.name}",
        type=declaration.type.kind,
        dtype=declaration.type.dtype,
        shape=declaration.shape or (),
        unit=declaration.unit,
        low=declaration.low,
        high=declaration.high,
        resolution=declaration.resolution,
        role="actuator" if isinstance(declaration, ActuatorDeclaration) else "sensor",
        doc=declaration.doc,
    )


def _interlock(need: Requirement, row: LoopRow) -> Interlock:
    column = row.index_of[need.signal]
    return Interlock(column, need, always_present=row.columns[column].role == "actuator")


def assemble(
    plan: LoopPlan,
    devices: Sequence[DevicePort],
    agents: Sequence[AgentPort],
    *,
    clock: Clock,
    journal: Journal,
    runtime: Path,
    generation: int,
    pid: int = 0,
) -> ScanCycle:
    """Lay the row out, make the rings, connect every part."""
    laid = columns(plan, devices)
    row = LoopRow(laid)
    channels = {
        entry.signal: Channel(entry, plan.period_ns, [_interlock(need, row) for need in entry.requires])
        for entry in plan.channels
    }
    ports: list[DevicePort | AgentPort] = [*devices, *agents]
    parts = tuple(port.name for port in ports)
    layout = Layout(
        node=plan.node,
        loop=plan.name,
        generation=generation,
        boot_id=boot_id(),
        period_ns=plan.period_ns,
        columns=laid,
        parts=parts,
        plan_hash=plan.hash,
        pid=pid,
    )
    folder = runtime / plan.name
    arrays = {
        column.name: ArrayRingWriter(
            folder / f"{column.name}.{generation}", column, ARRAY_BYTES[column.dtype], ARRAY_SLOTS
        )
        for column in laid
        if column.type == "array" and column.role != "foreign"
    }
    for port in ports:
        port.connect(row, channels, arrays)
    ring = RingWriter(folder / f"ring.{generation}", layout, round(BLACK_BOX_S * plan.rate_hz) + 1)
    return ScanCycle(
        loop=plan.name,
        period_ns=plan.period_ns,
        clock=clock,
        row=row,
        devices=devices,
        agents=agents,
        guard=Guard(list(channels.values())),
        foreign=ForeignPort(plan.foreign, ProcessImage(runtime), row),
        ring=ring,
        journal=journal,
        account=Account(parts),
        stop=Verdict.AS_ASKED,
    )
