"""The parts of one loop as a test has made them, and the plan that a configuration with them resolves to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from agentd.config.draft import signal_plan
from agentd.config.fitting import scaling
from agentd.config.plan import AgentPlan, ChannelPlan, DevicePlan, DrivePlan, InputPlan, LoopPlan, SignalPlan
from agents.agent import Agent, InputDeclaration, OutputDeclaration, ParamDeclaration
from hal.device import Device
from hal.signal import ActuatorDeclaration, Declaration

WireTo = str | float | Sequence[str] | InputPlan
"""What an input is wired to: a signal, a number, a list of signals, or the whole of what a plan says. An output is
wired to an actuator, a parameter is a number."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of one loop, as instances. Agents are stepped in this order; units are converted as in a configuration.

    `guard` changes the fields of `ChannelPlan` of an actuator by name: `{"oven.heater": {"slew_per_s": 2.0}}`.
    """

    devices: Mapping[str, Device] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    wires: Mapping[str, WireTo] = field(default_factory=dict)
    guard: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Of agents that drive the same actuator; 0 unless set."""
    foreign: tuple[SignalPlan, ...] = ()
    """Signals of other loops in the same runtime directory."""
    rate_hz: float = 100.0
    name: str = "loop"

    def plan(self) -> LoopPlan:
        """What a configuration with these parts resolves to.

        Raises UnitError for units that do not fit, ValueError for a wire from or to something that is none.
        """
        known = {f"{name}.{attribute}" for name, agent in self.agents.items() for attribute in agent.signals}
        if unknown := set(self.wires) - known:
            raise ValueError(f"wires: {', '.join(sorted(unknown))}: expected some of {', '.join(sorted(known))}")
        devices = tuple(_device_plan(name, device) for name, device in self.devices.items())
        return LoopPlan(
            name=self.name,
            node="test",
            rate_hz=self.rate_hz,
            devices=devices,
            agents=tuple(self._agent_plan(name, agent) for name, agent in self.agents.items()),
            channels=tuple(self._channel(s) for device in devices for s in device.signals if s.role == "actuator"),
            foreign=self.foreign,
        )

    def _declared(self, signal: str) -> Declaration:
        owner, _, name = signal.partition(".")
        part = self.devices.get(owner) or self.agents.get(owner)
        if part is not None and name in part.signals:
            return part.signals[name]
        for found in self.foreign:
            if found.name == signal:
                return Declaration(name=name, unit=found.unit)
        raise ValueError(f"{signal}: no device, agent or foreign signal has that name")

    def _agent_plan(self, name: str, agent: Agent) -> AgentPlan:
        inputs, drives, params = [], [], {}
        for attribute, declaration in agent.signals.items():
            wire = self.wires.get(f"{name}.{attribute}")
            if isinstance(declaration, ParamDeclaration):
                params[attribute] = wire if isinstance(wire, (int, float)) else getattr(agent, attribute)
            elif isinstance(declaration, InputDeclaration) and wire is not None:
                inputs.append(self._input(declaration, wire))
            elif isinstance(declaration, OutputDeclaration) and isinstance(wire, str):
                scale, offset = scaling(declaration, self._declared(wire))
                drive = DrivePlan(
                    output=attribute, actuator=wire, scale=scale, offset=offset, priority=self.priorities.get(name, 0)
                )
                drives.append(drive)
        outputs = [signal_plan(name, d) for d in agent.signals.values() if isinstance(d, OutputDeclaration)]
        return AgentPlan(
            name=name, agent=type(agent).__name__, params=params, inputs=tuple(inputs), drives=tuple(drives),
            signals=tuple(outputs),
        )  # fmt: skip

    def _input(self, declaration: InputDeclaration, wire: WireTo) -> InputPlan:
        if isinstance(wire, InputPlan):
            return wire
        if isinstance(wire, (int, float)):
            return InputPlan(attribute=declaration.name, constant=float(wire), optional=declaration.type.optional)
        names = (wire,) if isinstance(wire, str) else tuple(wire)
        pairs = [scaling(self._declared(name), declaration) for name in names]
        return InputPlan(
            attribute=declaration.name,
            signals=names,
            scales=tuple(scale for scale, _ in pairs),
            offsets=tuple(offset for _, offset in pairs),
            optional=declaration.type.optional,
            array=declaration.type.kind == "array",
        )

    def _channel(self, signal: SignalPlan) -> ChannelPlan:
        declared = self._declared(signal.name)
        assert isinstance(declared, ActuatorDeclaration) and declared.low is not None and declared.high is not None
        plan = ChannelPlan(
            signal=signal.name,
            type=signal.type,
            low=declared.low,
            high=declared.high,
            safe=declared.safe,
            slew_per_s=declared.slew_per_s,
            safe_ramp_per_s=declared.safe_ramp_per_s,
            stale_after_s=max(3 / self.rate_hz, 0.1),
        )
        return msgspec.structs.replace(plan, **self.guard.get(signal.name, {}))


def _device_plan(name: str, device: Device) -> DevicePlan:
    return DevicePlan(
        name=name,
        driver=type(device).__name__,
        simulated=device.simulated,
        actuates=any(isinstance(d, ActuatorDeclaration) for d in device.signals.values()),
        signals=tuple(signal_plan(name, declaration) for declaration in device.signals.values()),
    )
