"""A directory with a configuration, a driver and agents beside it, and what the resolver makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agentd.config.plan import AgentPlan, LoopPlan, NodePlan, Problem, Resolution
from agentd.config.resolve import resolve

PLANT = '''
"""An oven on a slide with a camera."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hal.device import Device
from hal.signal import Actuator, Sensor


class Plant(Device):
    simulated = True

    temperature: float = Sensor(unit="degC", doc="of the oven")
    position: float = Sensor(unit="mm")
    flag: bool = Sensor()
    count: int = Sensor()
    picture: NDArray[np.uint8] = Sensor(shape=(4, 6))
    heater: float = Actuator(low=0.0, high=1.0, safe=0.0, slew_per_s=5.0)
    travel: float = Actuator(unit="m", low=-0.5, high=0.5, safe=0.1)

    def __init__(self, size: int = 1, tags: list[str] | None = None) -> None:
        if size < 1:
            raise ValueError(f"size {size}: expected 1 or more")
'''

KEEP = '''
"""Copies what it measures."""
from __future__ import annotations

from agents.agent import Agent, Applied, Input, Output, Param
from hal.signal import Tick


class Keep(Agent):
    measured: float = Input(unit="any")
    setpoint: float = Input(unit="any", low=-100.0, high=100.0)
    extra: float | None = Input(unit="any")
    output: float = Output(unit="any")
    applied: float | None = Applied("output", unit="any")
    gain: float = Param(1.0, low=0.0, high=10.0)
    active: bool = Param(True)

    def step(self, tick: Tick) -> None:
        self.output = self.measured
'''

TYPED = '''
"""Inputs of every kind, and a constructor with parameters."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.agent import Agent, Input, Output
from hal.signal import Tick


class Typed(Agent):
    metres: float | None = Input(unit="m")
    whole: int | None = Input()
    many: NDArray[np.float64] | None = Input(unit="m", shape=(-1,))
    pair: NDArray[np.float64] | None = Input(unit="any", shape=(2,))
    picture: NDArray[np.uint8] | None = Input(shape=(4, 6))
    distance: float = Output(unit="mm")
    total: int = Output()

    def __init__(self, values: list[float], generator: np.random.Generator, label: str = "") -> None:
        self.drawn = float(generator.random())
        for name in label.split():
            self.add(name, Output(unit="m"))

    def step(self, tick: Tick) -> None:
        self.distance = 1.0
'''

GOOD = """\
node: robot-1
devices:
  plant: {driver: ./plant.py, size: 2}
  host: {driver: ./plant.py}
loops:
  drive:
    rate_hz: 50
    realtime: true
    devices: [plant]
    agents:
      keep:
        agent: ./keep.py
        measured: plant.temperature
        setpoint: 20.0
        output: plant.heater
        gain: 2
      typed: {agent: ./typed.py, values: [1, 2.5], metres: plant.position}
  slow:
    rate_hz: 1
    devices: [host]
guard:
  plant.heater: {high: 0.9, requires: [plant.temperature < 80]}
record: {keep_days: 3}
http: {bind: 127.0.0.1:0}
"""


@dataclass(frozen=True)
class Rig:
    """Checks configurations in one directory, in this process."""

    folder: Path

    def check(self, text: str | bytes, http: str | None = None) -> Resolution:
        """What the resolver answers for a file with this text."""
        file = self.folder / "robot.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return resolve(str(file), http)

    def plan(self, text: str = GOOD) -> NodePlan:
        """The plan of a configuration that must be good."""
        resolution = self.check(text)
        assert resolution.problems == ()
        assert resolution.plan is not None
        return resolution.plan

    def problems(self, text: str | bytes) -> tuple[Problem, ...]:
        """The problems of a configuration that must be bad."""
        resolution = self.check(text)
        assert resolution.plan is None
        assert resolution.problems
        return resolution.problems

    def problem(self, old: str, new: str, base: str = GOOD) -> tuple[int, str]:
        """Line and message of the only problem of a good configuration in which `old` became `new`."""
        assert base.count(old) == 1
        (problem,) = self.problems(base.replace(old, new))
        assert problem.file == str(self.folder / "robot.yaml")
        assert problem.column >= (1 if problem.line else 0)
        return problem.line, problem.message

    def loop(self, text: str = GOOD, name: str = "drive") -> LoopPlan:
        """One loop of a good configuration."""
        return next(loop for loop in self.plan(text).loops if loop.name == name)

    def agent(self, name: str, text: str = GOOD) -> AgentPlan:
        """One agent of the loop `drive` of a good configuration."""
        return next(agent for agent in self.loop(text).agents if agent.name == name)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A directory with `plant.py`, `keep.py` and `typed.py`."""
    for name, text in (("plant", PLANT), ("keep", KEEP), ("typed", TYPED)):
        (tmp_path / f"{name}.py").write_text(text)
    return Rig(tmp_path)


@pytest.fixture
def good() -> str:
    """A configuration without problems; tests change one thing in it."""
    return GOOD
