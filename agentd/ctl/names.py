"""What a name of the running configuration is, and whether it can be set."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentd.config.plan import AgentPlan, NodePlan
from agentd.ctl.errors import CtlError


@dataclass(frozen=True, slots=True)
class Actuator:
    """To be set with a lease."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Number:
    """A parameter, or an input that is wired to a number: set once and for all."""

    name: str


def find(plan: NodePlan, name: str) -> Actuator | Number:
    """What is to be set. Raises CtlError that says what the name is instead, or which one was meant."""
    actuators = {channel.signal for loop in plan.loops for channel in loop.channels}
    numbers = {f"{agent.name}.{key}" for agent in _agents(plan) for key in _numbers(agent)}
    if name in actuators:
        return Actuator(name, _unit(plan, name))
    if name in numbers:
        return Number(name)
    what = _read_only(plan, name)
    if what:
        raise CtlError(f"{name} {what}")
    raise CtlError(f"{name}: no actuator and no parameter of this node; {nearest(name, actuators | numbers)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is unknown."""
    near = difflib.get_close_matches(name[:80], sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else "see 'agentctl signals'"


def _agents(plan: NodePlan) -> Iterator[AgentPlan]:
    return (agent for loop in plan.loops for agent in loop.agents)


def _numbers(agent: AgentPlan) -> list[str]:
    return [*agent.params, *(wire.attribute for wire in agent.inputs if wire.constant is not None)]


def _unit(plan: NodePlan, name: str) -> str:
    signals = (signal for loop in plan.loops for device in loop.devices for signal in device.signals)
    return next((signal.unit for signal in signals if signal.name == name), "")


def _read_only(plan: NodePlan, name: str) -> str:
    """What a name is that exists and cannot be set; empty when it does not exist."""
    owner, _, attribute = name.partition(".")
    for agent in _agents(plan):
        if agent.name != owner:
            continue
        for drive in agent.drives:
            if drive.output == attribute:
                return f"is what the agent asks for; set the actuator that it drives: {drive.actuator}"
        for wire in agent.inputs:
            if wire.attribute == attribute:
                return f"is an input that follows {', '.join(wire.signals)}; rewire it in {plan.source}"
    known = {signal.name: signal.role for loop in plan.loops for device in loop.devices for signal in device.signals}
    known |= {signal.name: signal.role for agent in _agents(plan) for signal in agent.signals}
    return f"is only read: it is {'a sensor' if known[name] == 'sensor' else 'an output'}" if name in known else ""
