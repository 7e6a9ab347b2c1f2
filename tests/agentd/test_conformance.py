"""Every driver and every agent that ships conforms; and the checks find what they are for."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from agentd import registry
from agentd.config.plan import AgentPlan, DevicePlan
from agentd.testing.conformance import NotConforming, check_agent, check_device
from agents.agent import Agent, Applied, Input, NoAnswer, Output, Param, State
from hal.device import Device
from hal.signal import Actuator, Sensor, Tick

MODEL = Path(agents.__file__).parent / "models/line-offset.tflite"

AGENTS: dict[str, AgentPlan] = {
    "infer": AgentPlan(name="it", agent="infer", models={"model": str(MODEL)}),
    "q_learning": AgentPlan(name="it", agent="q_learning", arguments={"values": [0.3, 0.6, 0.9]}, seed=5),
}
"""Agents whose constructors need something; the others are made without arguments."""

DRIVERS: dict[str, dict[str, Any]] = {}


@pytest.mark.parametrize("name", registry.known_agents())
def test_every_agent_conforms(name: str) -> None:
    plan = AGENTS.get(name, AgentPlan(name="it", agent=name))
    check_agent(lambda: registry.build_agent(plan))


@pytest.mark.parametrize("name", registry.known_drivers())
def test_every_driver_conforms(name: str) -> None:
    plan = DevicePlan(name="it", driver=name, arguments=DRIVERS.get(name, {}))
    check_device(lambda: registry.build_device(plan))


class Mean(Agent):
    """Conforms: the mean of what it has seen."""

    seen: float = Input(low=-1.0, high=1.0)
    more: NDArray[np.float64] | None = Input(shape=(-1,))
    mean: float = Output(low=-1.0, high=1.0)
    number: int = Output()
    applied: float | None = Applied("mean")
    share: float = Param(0.5, low=0.0, high=1.0)
    memory: float = State(0.0)
    count: int = State(0)

    def step(self, tick: Tick) -> None:
        if abs(self.seen) > 1.0:
            raise NoAnswer("out of range")
        self.memory += (self.seen - self.memory) * self.share
        self.count += 1
        self.mean, self.number = self.memory, self.count


class Forgets(Mean):
    """Keeps something that is no State."""

    def __init__(self) -> None:
        self._last = 0.0

    def step(self, tick: Tick) -> None:
        super().step(tick)
        self.mean, self._last = self._last, self.mean


class AsksForTheTime(Mean):
    """Asks the clock."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        time.monotonic()


class ThrowsDice(Mean):
    """Asks chance."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        self.mean = random.random()


class Misspells(Mean):
    """Sets what is not declared."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        self.maen = 0.0


class ChangesItsInput(Mean):
    """Sets an input."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        self.seen = 0.0


class ChangesTheArray(Mean):
    """Writes into an input."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        if self.more is not None:
            self.more[0] = 0.0


class LeavesItsRange(Mean):
    """Sets more than it declares."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        self.mean *= 3.0


class SetsAnotherType(Mean):
    """Sets a float where an int is declared."""

    def step(self, tick: Tick) -> None:
        super().step(tick)
        self.number = self.mean  # type: ignore[assignment]


class Stumbles(Mean):
    """Raises for numbers that may come."""

    def step(self, tick: Tick) -> None:
        self.mean, self.number = 0.0, round(self.seen)


class AppliesNothing(Agent):
    """Reads back an output that is none."""

    output: float = Output()
    applied: float | None = Applied("outptu")

    def step(self, tick: Tick) -> None:
        self.output = 0.0


class DefaultOutOfRange(Mean):
    """Its default is not allowed."""

    rate: float = Param(2.0, low=0.0, high=1.0)


class Undocumented(Mean):
    pass


def test_a_good_agent_conforms() -> None:
    check_agent(Mean)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Forgets, "all that step keeps declared as State"),
        (AsksForTheTime, r"step uses time\.monotonic"),
        (ThrowsDice, r"step uses random\.random"),
        (Misspells, "step creates maen"),
        (ChangesItsInput, "step changes an input"),
        (ChangesTheArray, "read-only"),
        (LeavesItsRange, r"mean: is -?\d\.\d+, declared -1\.0 to 1\.0"),
        (SetsAnotherType, "number: is .*, expected int"),
        (Stumbles, "step raises OverflowError"),
        (AppliesNothing, "is applied of 'outptu', no output"),
        (DefaultOutOfRange, "default 2.0 is not within"),
        (Undocumented, "has no docstring"),
    ],
)
def test_an_agent_that_breaks_a_promise_is_told_which(cls: type[Agent], message: str) -> None:
    with pytest.raises(NotConforming, match=message) as told:
        check_agent(cls)
    assert str(told.value).startswith(f"{cls.__name__}: ")


class Oven(Device):
    """Conforms: warms up with its heater."""

    temperature: float = Sensor(unit="degC", low=0.0, high=200.0, resolution=0.5)
    door: bool | None = Sensor()
    picture: NDArray[np.uint8] = Sensor(shape=(2, 3))
    heater: float = Actuator(unit="percent", low=0.0, high=100.0, safe=0.0)
    fan: int = Actuator(low=1, high=5, safe=2)

    def __init__(self, start: float = 20.0) -> None:
        self._heat = start

    def read(self, tick: Tick) -> None:
        self._heat += (self.heater - self._heat) * tick.dt_s
        self.temperature = round(self._heat * 2) / 2
        self.door = None
        self.picture = np.zeros((2, 3), np.uint8)


class OpensTooEarly(Oven):
    """Does input and output in its constructor."""

    def __init__(self) -> None:
        super().__init__()
        with open("/dev/null", encoding="ascii"):
            pass


class NotSafeAtFirst(Oven):
    """Starts with another value than the safe one."""

    def __init__(self) -> None:
        super().__init__()
        self.heater = 50.0


class AddsLate(Oven):
    """Adds a signal in read."""

    def read(self, tick: Tick) -> None:
        super().read(tick)
        if "late" not in self.signals:
            self.add("late", Sensor(), float)
        self.late = 0.0


class AddsAtEveryOpen(Oven):
    """Cannot be opened twice."""

    def open(self) -> None:
        self.add("probe", Sensor(), float | None)


class LeavesOut(Oven):
    """A sensor that is never set."""

    pressure: float = Sensor(unit="Pa")


class BetweenSteps(Oven):
    """Finer than its resolution."""

    def read(self, tick: Tick) -> None:
        super().read(tick)
        self.temperature += 0.1


class WrongShape(Oven):
    """A picture of another size."""

    def read(self, tick: Tick) -> None:
        super().read(tick)
        self.picture = np.zeros((3, 2), np.uint8)


class DecidesItself(Oven):
    """Changes what the guard has decided."""

    def write(self, tick: Tick) -> None:
        self.heater = min(self.heater, 50.0)


class RefusesItsRange(Oven):
    """Does not take what it declares."""

    def write(self, tick: Tick) -> None:
        if self.fan == 5:
            raise ValueError("too fast")


class NeedsARead(Oven):
    """Cannot write safe values first."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = False

    def read(self, tick: Tick) -> None:
        super().read(tick)
        self._seen = True

    def write(self, tick: Tick) -> None:
        if not self._seen:
            raise RuntimeError("read first")


class Unconfigurable(Oven):
    """A constructor without types."""

    def __init__(self, start=1.0) -> None:  # type: ignore[no-untyped-def]
        super().__init__(start)


def test_a_good_driver_conforms() -> None:
    check_device(Oven)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (OpensTooEarly, r"the constructor uses builtins\.open"),
        (NotSafeAtFirst, r"heater: before open found 50\.0, not 0\.0"),
        (AddsLate, "adds signals after open"),
        (AddsAtEveryOpen, "declared twice"),
        (LeavesOut, "pressure: is None"),
        (BetweenSteps, "no whole number of steps of 0.5"),
        (WrongShape, r"picture: has shape \(3, 2\)"),
        (DecidesItself, "write changes an actuator"),
        (RefusesItsRange, "write of .*'fan': 5.* raises ValueError: too fast"),
        (NeedsARead, "raises RuntimeError: read first"),
        (Unconfigurable, "'start' needs a type"),
    ],
)
def test_a_driver_that_breaks_a_promise_is_told_which(cls: type[Device], message: str) -> None:
    with pytest.raises(NotConforming, match=message):
        check_device(cls)
