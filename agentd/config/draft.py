"""What is known of a configuration while it is being resolved: parts and signals with their places."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.config.plan import AgentPlan, DevicePlan, SignalPlan
from agentd.config.schema import LoopEntry
from agentd.config.tree import Place, Section, Tree
from agentd.registry import nearest
from agents.agent import Agent, OutputDeclaration
from hal.device import Device
from hal.signal import ANY_UNIT, ActuatorDeclaration, Declaration, SensorDeclaration


@dataclass(slots=True)
class DeviceDraft:
    """One entry of `devices:`. `device` is None when it could not be made; its problem is reported already."""

    name: str
    place: Place
    section: Section | None
    """None when the entry is no section, which is reported already."""
    loop: str = ""
    device: Device | None = None
    plan: DevicePlan | None = None

    @property
    def signals(self) -> dict[str, Declaration] | None:
        """What it owns, or None when that is not known."""
        return None if self.device is None else self.device.signals


@dataclass(slots=True)
class AgentDraft:
    """One entry of a loop's `agents:`. `agent` is None when it could not be made."""

    name: str
    place: Place
    section: Section | None
    loop: str
    agent: Agent | None = None
    plan: AgentPlan | None = None
    wires: dict[str, Tree] = field(default_factory=dict)
    """What its declarations are wired to: the keys that are not the constructor's."""
    misspelt: frozenset[str] = frozenset()
    """Names that an unknown key most likely means; they are not reported as missing as well."""
    priority: int = 0

    @property
    def signals(self) -> dict[str, Declaration] | None:
        """What it owns, or None when that is not known."""
        if self.agent is None:
            return None
        return {name: d for name, d in self.agent.signals.items() if isinstance(d, OutputDeclaration)}


@dataclass(slots=True)
class LoopDraft:
    """One entry of `loops:`."""

    name: str
    place: Place
    entry: LoopEntry
    devices: list[DeviceDraft] = field(default_factory=list)
    agents: list[AgentDraft] = field(default_factory=list)
    foreign: dict[str, SignalPlan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """One signal of the node, with the part that owns it."""

    name: str
    declaration: Declaration
    owner: DeviceDraft | AgentDraft

    @property
    def actuator(self) -> bool:
        """It is written, through the guard."""
        return isinstance(self.declaration, ActuatorDeclaration)

    def plan(self, role: str = "") -> SignalPlan:
        """Its description for the plan."""
        return signal_plan(self.owner.name, self.declaration, role)


@dataclass(slots=True)
class NodeDraft:
    """All parts of the node by name."""

    node: str = ""
    devices: dict[str, DeviceDraft] = field(default_factory=dict)
    loops: dict[str, LoopDraft] = field(default_factory=dict)
    owners: dict[str, DeviceDraft | AgentDraft] = field(default_factory=dict)

    def find(self, name: str) -> Known | None:
        """The signal of that full name."""
        owner = self.owners.get(name.partition(".")[0])
        declaration = (owner.signals or {}).get(name.partition(".")[2]) if owner is not None else None
        return None if owner is None or declaration is None else Known(name, declaration, owner)

    def unclear(self, name: str) -> bool:
        """True when the owner exists and could not be made: nobody can say whether it has this signal."""
        owner = self.owners.get(name.partition(".")[0])
        return owner is not None and owner.signals is None

    def names(self, *, actuators_of: str | None = None) -> list[str]:
        """Full names of all signals, or of the actuators of one loop."""
        return [
            f"{owner.name}.{signal}"
            for owner in self.owners.values()
            for signal, declaration in (owner.signals or {}).items()
            if actuators_of is None or (owner.loop == actuators_of and isinstance(declaration, ActuatorDeclaration))
        ]

    def hint(self, name: str) -> str:
        """The nearest signal name, or what the owner has."""
        near = nearest(name, self.names())
        if near:
            return near
        owner = self.owners.get(name.partition(".")[0])
        if owner is not None:
            return f"; {owner.name} has {', '.join(owner.signals or {}) or 'no signals'}"
        return "; expected OWNER.SIGNAL, and the owners are " + (", ".join(sorted(self.owners)) or "none")


def signal_plan(owner: str, declaration: Declaration, role: str = "") -> SignalPlan:
    """A declaration as the plan describes it; the role follows from its class."""
    roles = {ActuatorDeclaration: "actuator", SensorDeclaration: "sensor"}
    return SignalPlan(
        name=f"{owner}.{declaration.name}",
        type=declaration.type.kind,
        dtype=declaration.type.dtype,
        shape=declaration.shape or (),
        unit="" if declaration.unit == ANY_UNIT else declaration.unit,
        low=declaration.low,
        high=declaration.high,
        resolution=declaration.resolution,
        role=role or roles.get(type(declaration), "output"),
        doc=declaration.doc,
    )
