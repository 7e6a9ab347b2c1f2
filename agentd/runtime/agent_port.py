"""One agent in a loop: inputs latched from the row, stepped, its outputs stored and offered to the guard."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from agentd.config.plan import AgentPlan, InputPlan
from agentd.runtime.array_ring import ArrayRingWriter
from agentd.runtime.device_port import Report, describe
from agentd.runtime.guard import Channel, Request
from agentd.runtime.row import LoopRow
from agents.agent import Agent, AppliedDeclaration, NoAnswer, ParamDeclaration
from hal.signal import Absent, Tick


class UndeclaredAttribute(TypeError):
    """`step` created an attribute that the class does not declare: most likely a misspelt output."""


@dataclass(slots=True)
class Wire:
    """One input: which columns it takes, and how their units are converted."""

    attribute: str
    columns: tuple[int, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    optional: bool
    many: bool
    is_array: bool
    check: tuple[bool, ...]
    """Whether the column's reason byte says presence; an actuator's says the verdict."""
    kind: str
    """float, int or bool, as the agent declares it."""
    initial: float | int | bool | None
    """What the input is while it is absent and may be."""
    buffer: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Drive:
    """One output that drives an actuator."""

    attribute: str
    column: int
    request: Request
    channel: Channel
    scale: float
    offset: float
    applied: list[str]
    """Attributes that read back what was applied."""


class AgentPort:
    """An agent with its columns of the row."""

    def __init__(self, plan: AgentPlan, agent: Agent | None, report: Report, why: str = "") -> None:
        self.name, self.plan, self.agent, self.why = plan.name, plan, agent, why
        self._report = report
        self._wires: list[Wire] = []
        self._constants: list[InputPlan] = []
        self._outputs: list[tuple[str, int]] = []
        self._array_outputs: list[tuple[str, int, ArrayRingWriter]] = []
        self.drives: list[Drive] = []
        self._known: frozenset[str] | None = None
        """Attributes there were before the first step."""
        self._stepped = False
        self.broken = False
        """It can never work as written: not stepped any more."""
        self.failing = False

    def connect(self, row: LoopRow, channels: dict[str, Channel], arrays: dict[str, ArrayRingWriter]) -> None:
        """Find the columns of this agent's inputs and outputs, once the layout is known."""
        self._outputs = [
            (s.name.split(".", 1)[1], row.index_of[s.name]) for s in self.plan.signals if s.type != "array"
        ]
        self._array_outputs = [
            (s.name.split(".", 1)[1], row.index_of[s.name], arrays[s.name])
            for s in self.plan.signals
            if s.type == "array"
        ]
        if self.agent is None:
            return
        for wired in self.plan.inputs:
            self._connect_input(wired, row)
        for drive in self.plan.drives:
            column = row.index_of[f"{self.name}.{drive.output}"]
            channel = channels[drive.actuator]
            request = channel.request(f"{self.name}.{drive.output}", drive.priority)
            applied = [
                d.name
                for d in self.agent.signals.values()
                if isinstance(d, AppliedDeclaration) and d.of == drive.output
            ]
            self.drives.append(Drive(drive.output, column, request, channel, drive.scale, drive.offset, applied))

    def _connect_input(self, wired: InputPlan, row: LoopRow) -> None:
        assert self.agent is not None
        declared = self.agent.signals[wired.attribute]
        if not wired.signals:
            if wired.constant is not None:
                setattr(self.agent, wired.attribute, _number(declared.type.kind, wired.constant))
            return
        columns = tuple(row.index_of[name] for name in wired.signals)
        is_array = row.kinds[columns[0]] == "array"
        self._wires.append(
            Wire(
                attribute=wired.attribute,
                columns=columns,
                scales=wired.scales or (1.0,) * len(columns),
                offsets=wired.offsets or (0.0,) * len(columns),
                optional=wired.optional or wired.initial is not None,
                many=wired.array and not is_array,
                is_array=is_array,
                check=tuple(row.columns[c].role != "actuator" for c in columns),
                kind=declared.type.kind,
                initial=None if wired.initial is None else _number(declared.type.kind, wired.initial),
            )
        )

    def step(self, tick: Tick, row: LoopRow) -> None:
        """Latch inputs, step, store outputs, ask the guard. Never raises."""
        agent = self.agent
        if agent is None or self.broken:
            self._give_up(row, Absent.QUARANTINED if agent is None else Absent.AGENT_ERROR)
            return
        try:
            oldest_ns = self._latch(agent, row, tick.time_ns)
            if oldest_ns is None:
                self._give_up(row, Absent.INPUT_ABSENT, keep_held=True)
                return
            for drive in self.drives:
                for attribute in drive.applied:
                    setattr(agent, attribute, (drive.channel.applied - drive.offset) / drive.scale)
            if self._stepped:
                agent.step(tick)
            else:
                self._first_step(agent, tick)
            self._store(agent, row, oldest_ns, tick.time_ns)
        except NoAnswer as reason:
            self.why = f"no answer: {reason}" if str(reason) else "no answer"
            self._give_up(row, Absent.NO_ANSWER)
        except Exception as error:
            self._give_up(row, Absent.AGENT_ERROR)
            self._failed(error)
        else:
            if self.failing:
                self.failing = False
                self._report("agent", self.name, "info", f"{self.name}: answers again")
            self.why = ""

    def _first_step(self, agent: Agent, tick: Tick) -> None:
        """The first step must not create attributes: a misspelt output would be silent for ever."""
        if self._known is None:
            self._known = frozenset(agent.__dict__) | frozenset(agent.signals)
        agent.step(tick)
        created = sorted(frozenset(agent.__dict__) - self._known)
        if created:
            self.broken = True
            raise UndeclaredAttribute(
                f"step sets {', '.join(map(repr, created))}, which {type(agent).__name__} does not declare; "
                "declare an Output or State, or set it in the constructor"
            )
        self._stepped = True

    def _latch(self, agent: Agent, row: LoopRow, began_ns: int) -> int | None:
        """Set every wired input. The stamp of the oldest required one; None when one of them is absent.

        Nothing is younger than the tick's beginning: the guard decides as of then, so that replay repeats it.
        """
        oldest_ns = began_ns
        reasons, stamps, values = row.reasons, row.stamps_ns, row.values
        attributes = agent.__dict__
        for wire in self._wires:
            absent = False
            for column, check in zip(wire.columns, wire.check, strict=True):
                if check and reasons[column]:
                    absent = True
                elif not wire.optional and stamps[column] < oldest_ns:
                    oldest_ns = stamps[column]
            if absent:
                attributes[wire.attribute] = wire.initial
                if not wire.optional:
                    self.why = _waits(wire, row)
                    return None
            elif wire.is_array:
                attributes[wire.attribute] = row.objects[wire.columns[0]]
            elif wire.many:
                attributes[wire.attribute] = _gather(wire, values)
            elif wire.kind == "float":
                attributes[wire.attribute] = values[wire.columns[0]] * wire.scales[0] + wire.offsets[0]
            else:  # never converted, and beyond 2**53 a float would not hold it
                attributes[wire.attribute] = _number(wire.kind, values[wire.columns[0]])
        return oldest_ns

    def _store(self, agent: Agent, row: LoopRow, oldest_ns: int, now_ns: int) -> None:
        values = agent.__dict__
        for attribute, column in self._outputs:
            row.store(column, values.get(attribute), oldest_ns)
        for attribute, column, ring in self._array_outputs:
            value = values.get(attribute)
            if value is None:
                row.clear(column, Absent.NOT_GIVEN)
                continue
            if value is not row.objects[column]:
                row.values[column] = ring.publish(oldest_ns, memoryview(value))
                row.objects[column] = value
            row.stamps_ns[column], row.reasons[column] = oldest_ns, 0
        for drive in self.drives:
            reason = row.reasons[drive.column]
            if not reason:
                drive.request.ask(row.values[drive.column] * drive.scale + drive.offset, oldest_ns, now_ns)
            elif reason == Absent.NOT_A_NUMBER:
                drive.request.ask(math.nan, oldest_ns, now_ns)  # the guard says so in its verdict
            else:
                drive.request.withdraw()

    def _give_up(self, row: LoopRow, reason: int, *, keep_held: bool = False) -> None:
        for _, column in self._outputs:
            row.clear(column, reason)
        for _, column, _ring in self._array_outputs:
            row.clear(column, reason)
        if not keep_held:
            for drive in self.drives:
                drive.request.withdraw()

    def _failed(self, error: Exception) -> None:
        self.why = describe(error)
        if not self.failing:
            self.failing = True
            self._report("agent", self.name, "error", f"{self.name}: {self.why}")

    def set_number(self, attribute: str, value: float) -> str:
        """Change a parameter or a constant input between two ticks. Why not, or an empty text."""
        if self.agent is None:
            return f"{self.name} is quarantined"
        declaration = self.agent.signals.get(attribute)
        constants = [wired.attribute for wired in self.plan.inputs if wired.constant is not None]
        if not (isinstance(declaration, ParamDeclaration) or (declaration is not None and attribute in constants)):
            return f"{self.name} has no parameter {attribute!r}"
        low = -math.inf if declaration.low is None else declaration.low
        high = math.inf if declaration.high is None else declaration.high
        if not (math.isfinite(value) and low <= value <= high):
            return f"{self.name}.{attribute} = {value:g}: expected a number from {low:g} to {high:g}"
        try:
            setattr(self.agent, attribute, _number(declaration.type.kind, value))
            self.agent.params_changed(frozenset((attribute,)))
        except Exception as error:
            return f"{self.name}.{attribute} = {value:g}: {describe(error)}"
        return ""


def _waits(wire: Wire, row: LoopRow) -> str:
    """Which signals of an input are absent, and why: a device that gives NaN is ok itself, so only this tells."""
    names = [
        f"{row.columns[column].name} ({Absent(row.reasons[column]).name.lower().replace('_', ' ')})"
        for column, check in zip(wire.columns, wire.check, strict=True)
        if check and row.reasons[column]
    ]
    return f"waits for {', '.join(names)}"


def _gather(wire: Wire, values: list[float]) -> object:
    import numpy as np  # noqa: PLC0415 - only loops with array inputs need numpy

    gathered = [
        values[column] * scale + offset
        for column, scale, offset in zip(wire.columns, wire.scales, wire.offsets, strict=True)
    ]
    return np.array(gathered, dtype=np.float64)


def _number(kind: str, value: float) -> float | int | bool:
    """A value as the declared type."""
    return value if kind == "float" else bool(value) if kind == "bool" else round(value)
