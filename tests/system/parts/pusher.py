"""An agent that pushes its motor, and misbehaves when a parameter says so."""

from __future__ import annotations

import time

from agents.agent import Agent, Input, Output, Param, State
from hal.signal import Tick


class Pusher(Agent):
    """Sets `push`; counts its steps in its state."""

    measured: float = Input(unit="any")
    output: float = Output()
    steps: int = Output()
    push: float = Param(0.5, low=-10.0, high=10.0)
    spin: bool = Param(False)
    sleep: bool = Param(False)
    fail: bool = Param(False)
    count: int = State(0)

    def step(self, tick: Tick) -> None:
        """Push, or what was ordered."""
        while self.spin:
            pass
        if self.sleep:
            time.sleep(3600)
        if self.fail:
            raise ValueError("asked to fail")
        self.count += 1
        self.steps = self.count
        self.output = self.push
