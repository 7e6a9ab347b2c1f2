"""An agent's inputs to wires of the plan.

An input takes a signal, a number, a list of signals where it is an array, or the long form
`{signal: robot.x, delayed: true}`.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentd.config.draft import AgentDraft, Known, LoopDraft, NodeDraft
from agentd.config.fitting import expected_value, kind_of, number, scaling, types_fit
from agentd.config.plan import InputPlan
from agentd.config.schema import WireEntry, read_entry
from agentd.config.tree import Items, Place, Problems, Scalar, Section, Tree, shown
from agents.agent import InputDeclaration
from hal.units import UnitError

IDENTITY = (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Edge:
    """`consumer` reads what `producer` sets, in the same tick or `delayed`; where `needed` it cannot go without."""

    producer: str
    consumer: str
    wire: str
    place: Place
    delayed: bool
    needed: bool


@dataclass(frozen=True, slots=True)
class _Wire:
    """One input that is being read. `who` names it in messages."""

    agent: AgentDraft
    declaration: InputDeclaration
    who: str
    delayed: bool
    initial: float | None
    begins: bool
    """It says what it is at first, be it wrong."""

    def plan(self, names: list[str], scalings: list[tuple[float, float]]) -> InputPlan:
        """The finished wire; scales and offsets only where something is converted."""
        converted = any(pair != IDENTITY for pair in scalings)
        return InputPlan(
            attribute=self.declaration.name,
            signals=tuple(names),
            scales=tuple(scale for scale, _ in scalings) if converted else (),
            offsets=tuple(offset for _, offset in scalings) if converted else (),
            optional=self.declaration.type.optional,
            array=self.declaration.type.kind == "array",
            delayed=self.delayed,
            initial=self.initial,
        )


class Inputs:
    """Reads the inputs of one loop's agents. `edges` grows with each wire from one of them to another or itself."""

    def __init__(self, node: NodeDraft, loop: LoopDraft, problems: Problems) -> None:
        self._node = node
        self._loop = loop
        self._problems = problems
        self.edges: list[Edge] = []

    def read(self, agent: AgentDraft, declaration: InputDeclaration, tree: Tree | None) -> InputPlan | None:
        """The wire, or None when it is left open or wrong; what is wrong is reported."""
        who = f"{agent.name}.{declaration.name}"
        if tree is None or (isinstance(tree, Scalar) and tree.value is None):
            if not declaration.type.optional and declaration.name not in agent.misspelt:
                self._problems.add(agent.place, f"{who}: is not wired; expected {expected_value(declaration)}")
            return None
        delayed, initial, begins = False, None, False
        if isinstance(tree, Section):
            inner = tree.get("signal")
            if inner is None or isinstance(inner, Section):
                form = "{signal: OWNER.SIGNAL, delayed: true, initial: NUMBER}"
                self._problems.add(tree.place, f"{who}: found {shown(tree)}, expected {form}")
                return None
            delayed = read_entry(tree, WireEntry, who, self._problems, elsewhere=("signal", "initial")).delayed
            begins = tree.get("initial") is not None
            initial = self._initial(declaration, tree.get("initial"), who, delayed)
            tree = inner
        wire = _Wire(agent, declaration, who, delayed, initial, begins)
        if isinstance(tree, Items):
            return self._gathered(wire, tree)
        return self._one(wire, tree) if isinstance(tree.value, str) else self._constant(wire, tree)

    def signal(self, tree: Scalar, who: str) -> Known | None:
        """The signal that a text names, or None; unknown names are reported, those of broken owners are not."""
        name = str(tree.value)
        known = self._node.find(name)
        if known is None and not self._node.unclear(name):
            if "/" in name:
                self._problems.add(tree.place, f"{who}: {name!r}: signals of other nodes arrive in a later version")
            else:
                self._problems.add(tree.place, f"{who}: unknown signal {name!r}{self._node.hint(name)}")
        return known

    def _constant(self, wire: _Wire, tree: Scalar) -> InputPlan | None:
        value = number(wire.declaration, tree, wire.who, self._problems)
        if value is None:
            return None
        return InputPlan(
            attribute=wire.declaration.name, constant=float(value), optional=wire.declaration.type.optional
        )

    def _initial(self, declaration: InputDeclaration, tree: Tree | None, who: str, delayed: bool) -> float | None:
        if tree is None:
            return None
        if declaration.type.kind == "array" or not delayed or not isinstance(tree, Scalar):
            form = "a number, for a delayed input that is one number"
            self._problems.add(tree.place, f"{who}.initial: found {shown(tree)}, expected {form}")
            return None
        value = number(declaration, tree, f"{who}.initial", self._problems)
        return None if value is None else float(value)

    def _one(self, wire: _Wire, tree: Scalar) -> InputPlan | None:
        known = self.signal(tree, wire.who)
        if known is None:
            return None
        wanted = wire.declaration
        if not types_fit(known.declaration, wanted):
            found = f"{known.name} is {kind_of(known.declaration)}"
            needed = kind_of(wanted) if wanted.type.kind != "array" else expected_value(wanted)
            self._problems.add(tree.place, f"{wire.who}: {found}, expected {needed}")
            return None
        pair = self._scaling(wire, known, tree.place)
        if pair is None:
            return None
        if pair != IDENTITY and wanted.type.kind != "float":
            self._problems.add(
                tree.place,
                f"{wire.who}: {known.name} is in {known.declaration.unit!r}, expected {wanted.unit!r}: "
                f"only a float input is converted, not {kind_of(wanted)}",
            )
        self._connect(wire, known, tree.place)
        return wire.plan([known.name], [pair])

    def _gathered(self, wire: _Wire, tree: Items) -> InputPlan | None:
        if not wire.declaration.many:
            self._problems.add(
                tree.place, f"{wire.who}: found {shown(tree)}, expected {expected_value(wire.declaration)}"
            )
            return None
        if wire.declaration.type.dtype != "float64":
            found = kind_of(wire.declaration)
            self._problems.add(tree.place, f"{wire.who}: is {found}, and a list of signals arrives as float64")
        wanted = (wire.declaration.shape or (-1,))[0]
        if not tree.items or (wanted >= 0 and len(tree.items) != wanted):
            count = "one or more" if wanted < 0 else str(wanted)
            self._problems.add(tree.place, f"{wire.who}: found {shown(tree)}, expected a list of {count} signals")
        members = [member for item in tree.items if (member := self._member(wire, item)) is not None]
        return wire.plan([known.name for known, _ in members], [pair for _, pair in members])

    def _member(self, wire: _Wire, item: Tree) -> tuple[Known, tuple[float, float]] | None:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            self._problems.add(item.place, f"{wire.who}: found {shown(item)} in the list, expected a signal")
            return None
        known = self.signal(item, wire.who)
        if known is None:
            return None
        if known.declaration.type.kind == "array":
            self._problems.add(
                item.place,
                f"{wire.who}: {known.name} is {kind_of(known.declaration)}, expected signals that are one number each",
            )
            return None
        pair = self._scaling(wire, known, item.place)
        if pair is None:
            return None
        self._connect(wire, known, item.place)
        return known, pair

    def _scaling(self, wire: _Wire, known: Known, place: Place) -> tuple[float, float] | None:
        try:
            return scaling(known.declaration, wire.declaration)
        except UnitError as error:
            self._problems.add(place, f"{wire.who}: does not fit {known.name}: {error}")
            return None

    def _connect(self, wire: _Wire, known: Known, place: Place) -> None:
        owner = known.owner
        if owner.loop and owner.loop != self._loop.name:
            self._loop.foreign.setdefault(known.name, known.plan("foreign"))
        elif isinstance(owner, AgentDraft) and owner.loop == self._loop.name:
            needed = not wire.declaration.type.optional and not wire.begins
            self.edges.append(Edge(owner.name, wire.agent.name, known.name, place, wire.delayed, needed))
