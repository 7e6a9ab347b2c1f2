"""Agents' declarations to wires of the plan: inputs, the actuators that outputs drive, and parameters."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from agentd.config.draft import AgentDraft, Known, LoopDraft, NodeDraft, signal_plan
from agentd.config.fitting import expected_value, number, scaling
from agentd.config.inputs import Edge, Inputs
from agentd.config.plan import DrivePlan, SignalPlan
from agentd.config.tree import Place, Problems, Scalar, Tree, shown
from agents.agent import InputDeclaration, OutputDeclaration, ParamDeclaration
from hal.signal import ANY_UNIT
from hal.units import UnitError


@dataclass(frozen=True, slots=True)
class Drive:
    """An agent's output that asks for an actuator, with the place where it says so."""

    agent: AgentDraft
    plan: DrivePlan
    place: Place


class Wiring:
    """Wires the agents of one loop. `drives` and `edges` are what it found."""

    def __init__(self, node: NodeDraft, loop: LoopDraft, problems: Problems) -> None:
        self._node = node
        self._loop = loop
        self._problems = problems
        self._inputs = Inputs(node, loop, problems)
        self.drives: list[Drive] = []

    @property
    def edges(self) -> list[Edge]:
        """Wires between two agents of this loop."""
        return self._inputs.edges

    def agent(self, draft: AgentDraft) -> None:
        """Complete the draft's plan with inputs, drives, parameters and signals, or report what is wrong."""
        if draft.agent is None or draft.plan is None:
            return
        inputs, params, drives = [], {}, []
        for name, declaration in draft.agent.signals.items():
            tree = draft.wires.get(name)
            if isinstance(declaration, InputDeclaration):
                wire = self._inputs.read(draft, declaration, tree)
                inputs += [wire] if wire is not None else []
            elif isinstance(declaration, ParamDeclaration):
                params[name] = self._param(draft, declaration, tree)
            elif isinstance(declaration, OutputDeclaration):
                drive = None if tree is None else self._drive(draft, declaration, tree)
                drives += [drive] if drive is not None else []
            elif tree is not None:
                kind = type(declaration).__name__.removesuffix("Declaration").lower()
                self._problems.add(tree.place, f"{draft.name}.{name}: is {kind}, which is never wired; remove the key")
        draft.plan = msgspec.structs.replace(
            draft.plan,
            inputs=tuple(inputs),
            params=params,
            drives=tuple(drives),
            signals=self._signals(draft, drives),
        )

    def _signals(self, draft: AgentDraft, drives: list[DrivePlan]) -> tuple[SignalPlan, ...]:
        """The agent's outputs; one without a unit of its own has that of the actuator that it drives."""
        units = {}
        for drive in drives:
            known = self._node.find(drive.actuator)
            units[drive.output] = known.declaration.unit if known is not None else ""
        plans = []
        for name, declaration in (draft.signals or {}).items():
            plan = signal_plan(draft.name, declaration)
            if declaration.unit == ANY_UNIT:
                plan = msgspec.structs.replace(plan, unit=units.get(name, ""))
            plans.append(plan)
        return tuple(plans)

    def _param(self, draft: AgentDraft, declaration: ParamDeclaration, tree: Tree | None) -> float | int | bool:
        if tree is None:
            return declaration.default
        who = f"{draft.name}.{declaration.name}"
        if not isinstance(tree, Scalar):
            self._problems.add(tree.place, f"{who}: found {shown(tree)}, expected {expected_value(declaration)}")
            return declaration.default
        value = number(declaration, tree, who, self._problems)
        return declaration.default if value is None else value

    def _drive(self, draft: AgentDraft, declaration: OutputDeclaration, tree: Tree) -> DrivePlan | None:
        who = f"{draft.name}.{declaration.name}"
        if not isinstance(tree, Scalar) or not isinstance(tree.value, str):
            self._problems.add(tree.place, f"{who}: found {shown(tree)}, expected the name of an actuator")
            return None
        known = self._inputs.signal(tree, who)
        if known is None:
            return None
        refusal = self._refusal(declaration, known)
        if refusal:
            self._problems.add(tree.place, f"{who}: {refusal}")
        if refusal or not known.owner.loop:
            return None
        try:
            scale, offset = scaling(declaration, known.declaration)
        except UnitError as error:
            self._problems.add(tree.place, f"{who}: does not fit {known.name}: {error}")
            return None
        plan = DrivePlan(
            output=declaration.name, actuator=known.name, scale=scale, offset=offset, priority=draft.priority
        )
        self.drives.append(Drive(draft, plan, tree.place))
        return plan

    def _refusal(self, declaration: OutputDeclaration, known: Known) -> str:
        """Why this output may not drive that signal, or an empty text."""
        mine = ", ".join(self._node.names(actuators_of=self._loop.name)) or "none"
        if not known.actuator:
            return f"{known.name} is not an actuator; the actuators of loop {self._loop.name}: {mine}"
        if known.owner.loop not in ("", self._loop.name):
            return (
                f"actuator {known.name} belongs to loop {known.owner.loop}, and an agent drives only its own loop's "
                f"actuators ({mine}); move the agent or the device"
            )
        if declaration.type.kind == "array":
            return f"is an array, and actuator {known.name} takes one number"
        return ""
