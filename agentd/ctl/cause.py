"""Why a signal has its value: from an actuator over the guard and the agents to the sensors, as a tree of facts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentd.config.plan import AgentPlan, ChannelPlan, DrivePlan, InputPlan, LoopPlan
from agentd.ctl.errors import CtlError
from agentd.ctl.follow import Sample, sample
from agentd.ctl.moments import Moment
from agentd.ctl.names import nearest
from hal.clock import NS_PER_S

MAX_DEPTH = 12
MAX_FACTS = 200
"""Of one story; what is beyond is named and not followed."""


class Guarding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the guard had to go by."""

    verdict: str
    holder: str
    """Whose request was applied; empty when it was the safe value."""
    asked: float | None
    """By the holder, in the actuator's unit; None when nobody did, or that is not known."""
    limits: ChannelPlan


class Doing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agent behind an output."""

    name: str
    agent: str
    params: dict[str, float | int | bool]
    constants: dict[str, float] = {}
    """Inputs that are wired to a number."""
    models: dict[str, str] = {}
    """Constructor parameter -> file and SHA-256."""


class Hardware(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The device of a sensor or an actuator."""

    name: str
    driver: str
    simulated: bool


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One signal, and what it came from."""

    signal: str
    loop: str
    role: str
    sample: Sample | None
    """None where the signal is not in any row of that time."""
    age_s: float | None = None
    """Since it was measured, as of its tick; for outputs since the oldest input that they need was."""
    wire: str = ""
    """The input of the agent above that it is wired to."""
    origin: str = ""
    """ring or record."""
    guard: Guarding | None = None
    agent: Doing | None = None
    device: Hardware | None = None
    inputs: list[Fact] = []
    said: bool = False
    """It was told further up; so its inputs are not told again."""


class Story:
    """Facts of one instant. `holders` are those of now, where the daemon was asked."""

    def __init__(self, moments: Sequence[Moment], holders: dict[str, str]) -> None:
        self._moments, self._holders = moments, holders
        self._told: set[str] = set()

    def of(self, signal: str) -> Fact:
        """The tree. Raises CtlError for a name that no loop has."""
        known = [plan.name for moment in self._moments for plan in moment.signals]
        if signal not in known:
            raise CtlError(f"no signal {signal!r} then; {nearest(signal, known)}")
        return self._fact(signal, "", None, 0)

    def _fact(self, signal: str, wire: str, reader: Moment | None, depth: int) -> Fact:
        """As its reader saw it, if its reader has it in its row; explained from its owner's."""
        owner = next((moment for moment in self._moments if moment.owns(signal)), None)
        seen = reader if reader is not None and reader.column(signal) is not None else owner
        if seen is None:
            return Fact(signal=signal, loop="", role="unknown", sample=None, wire=wire)
        column = seen.column(signal)
        assert column is not None
        plan = seen.layout.columns[column]
        found = sample(plan, seen.row, column, seen.offset_ns)
        stamp_ns = seen.row.stamps_ns[column]
        fact = Fact(
            signal=signal,
            loop=owner.layout.loop if owner else seen.layout.loop,
            role=plan.role,
            sample=found,
            age_s=(seen.row.time_ns - stamp_ns) / NS_PER_S if stamp_ns and not found.reason else None,
            wire=wire,
            origin=seen.origin,
        )
        if signal in self._told:
            return msgspec.structs.replace(fact, said=True)
        if owner is None or owner.plan is None or depth >= MAX_DEPTH or len(self._told) >= MAX_FACTS:
            return fact
        self._told.add(signal)
        return self._explained(fact, owner, owner.plan, depth)

    def _explained(self, fact: Fact, moment: Moment, plan: LoopPlan, depth: int) -> Fact:
        name, _, attribute = fact.signal.partition(".")
        device = next((one for one in plan.devices if one.name == name), None)
        if device is not None:
            fact = msgspec.structs.replace(
                fact, device=Hardware(name=name, driver=device.driver, simulated=device.simulated)
            )
        channel = next((one for one in plan.channels if one.signal == fact.signal), None)
        if channel is not None:
            return self._guarded(fact, channel, moment, plan, depth)
        agent = next((one for one in plan.agents if one.name == name), None)
        if agent is None:
            return fact
        inputs = [
            self._fact(signal, wire.attribute, moment, depth + 1)
            for wire in agent.inputs
            if attribute
            for signal in wire.signals
        ]
        return msgspec.structs.replace(fact, agent=_doing(agent), inputs=inputs)

    def _guarded(self, fact: Fact, channel: ChannelPlan, moment: Moment, plan: LoopPlan, depth: int) -> Fact:
        assert fact.sample is not None
        verdict = fact.sample.verdict
        drives = sorted(
            ((f"{agent.name}.{drive.output}", drive) for agent in plan.agents for drive in agent.drives
             if drive.actuator == channel.signal),
            key=lambda entry: -entry[1].priority,
        )  # fmt: skip
        safe = verdict.startswith("safe_")
        known = self._holders.get(channel.signal, "")
        asks = {output: value for output, drive in drives if (value := _asked(moment, output, drive)) is not None}
        holder = "" if safe else known or next(iter(asks), "")
        asked = asks.get(holder)
        behind = [self._fact(output, "asks", moment, depth + 1) for output, _drive in drives]
        behind += [self._fact(one.signal, "requires", moment, depth + 1) for one in channel.requires]
        guard = Guarding(verdict=verdict, holder=holder, asked=asked, limits=channel)
        return msgspec.structs.replace(fact, guard=guard, inputs=behind)


def _asked(moment: Moment, output: str, drive: DrivePlan) -> float | None:
    """What an agent's output asks for, in the actuator's unit."""
    column = moment.column(output)
    if column is None or moment.row.reasons[column]:
        return None
    return moment.row.values[column] * drive.scale + drive.offset


def _doing(agent: AgentPlan) -> Doing:
    hashes = agent.model_hashes
    return Doing(
        name=agent.name,
        agent=agent.agent,
        params=agent.params,
        constants={
            wire.attribute: wire.constant for wire in agent.inputs if _fixed(wire) and wire.constant is not None
        },
        models={key: f"{path} sha256 {hashes.get(key, 'unknown')}" for key, path in agent.models.items()},
    )


def _fixed(wire: InputPlan) -> bool:
    return not wire.signals
