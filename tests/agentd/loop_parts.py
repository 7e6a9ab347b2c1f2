"""A device and an agent for tests of the loop: small, real, and as bad as a test wants them."""

from __future__ import annotations

from agentd.testing.harness import Parts
from agents.agent import Agent, Applied, Input, Output, Param
from hal.clock import VirtualClock
from hal.device import Device
from hal.signal import Actuator, Sensor, Tick

MS = 1_000_000


class Motor(Device):
    """Turns as it is told. What a test sets makes it fail, answer nonsense, or take its time."""

    position: float | None = Sensor(unit="mm")
    turns: int | None = Sensor()
    speed: float = Actuator(unit="mm/s", low=-1.0, high=1.0, safe=0.0)

    def __init__(self, clock: VirtualClock | None = None, log: list[str] | None = None, name: str = "motor") -> None:
        self.clock, self.log, self.name = clock or VirtualClock(), log if log is not None else [], name
        self.at: float | None = 5.0
        self.count: int | None = 3
        self.opening: BaseException | None = None
        self.reading: BaseException | None = None
        self.writing: BaseException | None = None
        self.slow_ns = 0
        self.written: list[float] = []
        self.opened_total = 0

    def open(self) -> None:
        self.log.append(f"open {self.name}")
        self.opened_total += 1
        if self.opening:
            raise self.opening

    def read(self, tick: Tick) -> None:
        self.log.append(f"read {self.name}")
        self.clock.advance(self.slow_ns)
        if self.reading:
            raise self.reading
        self.position, self.turns = self.at, self.count

    def write(self, tick: Tick) -> None:
        self.log.append(f"write {self.name}")
        if self.writing:
            raise self.writing
        self.written.append(self.speed)

    def close(self) -> None:
        self.log.append(f"close {self.name}")


class Follow(Agent):
    """Asks for a speed. What a test sets makes it fail, answer nonsense, or take its time."""

    measured: float = Input(unit="mm")
    other: float | None = Input(unit="any")
    speed: float | None = Output(unit="mm/s")
    moving: bool = Output()
    applied: float | None = Applied("speed", unit="mm/s")
    gain: float = Param(0.1, low=0.0, high=0.2)

    def __init__(self, clock: VirtualClock | None = None, log: list[str] | None = None, name: str = "follow") -> None:
        self.clock, self.log, self.name = clock or VirtualClock(), log if log is not None else [], name
        self.answer: float | None = None
        self.raising: BaseException | None = None
        self.slow_ns = 0
        self.seen: list[tuple[float, float | None, float | None]] = []

    def step(self, tick: Tick) -> None:
        self.log.append(f"step {self.name}")
        self.clock.advance(self.slow_ns)
        if self.raising:
            raise self.raising
        self.seen.append((self.measured, self.other, self.applied))
        self.speed = self.measured * self.gain if self.answer is None else self.answer
        self.moving = True


def robot(clock: VirtualClock) -> tuple[Motor, Follow, Parts]:
    """A motor and an agent that drives it by its position."""
    motor, follow = Motor(clock), Follow(clock)
    wires = {"follow.measured": "motor.position", "follow.speed": "motor.speed"}
    return motor, follow, Parts(devices={"motor": motor}, agents={"follow": follow}, wires=wires)
