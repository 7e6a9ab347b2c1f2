"""Two-point control with hysteresis and minimum times."""

from __future__ import annotations

import math

from agents.agent import Agent, Input, NoAnswer, Output, Param, State
from hal.signal import ANY_UNIT, Tick


class Threshold(Agent):
    """On above `above`, off below `below`, as before in between; starts off.

    With `above` under `below` it acts in reverse: on below `above`, off above `below`, as a heater does.
    """

    measured: float = Input(unit=ANY_UNIT)
    output: float = Output(unit=ANY_UNIT, doc="on_value or off_value")
    on: bool = Output()
    above: float = Param(1.0, unit=ANY_UNIT, doc="switches on")
    below: float = Param(0.0, unit=ANY_UNIT, doc="switches off")
    on_value: float = Param(1.0, unit=ANY_UNIT)
    off_value: float = Param(0.0, unit=ANY_UNIT)
    min_on_s: float = Param(0.0, unit="s", low=0.0)
    min_off_s: float = Param(0.0, unit="s", low=0.0, doc="counts from the start too: a compressor needs it most there")

    active: bool = State(False)
    held_s: float = State(0.0, unit="s", doc="time since the last change")

    def step(self, tick: Tick) -> None:
        """Raises NoAnswer for an infinite measured value."""
        if not math.isfinite(self.measured):
            raise NoAnswer(f"measured {self.measured}: expected a finite number")
        self.held_s += tick.dt_s
        if self._wants_change() and self.held_s >= (self.min_on_s if self.active else self.min_off_s):
            self.active, self.held_s = not self.active, 0.0
        self.on, self.output = self.active, self.on_value if self.active else self.off_value

    def _wants_change(self) -> bool:
        reverse = self.above < self.below
        if self.active:
            return self.measured > self.below if reverse else self.measured < self.below
        return self.measured < self.above if reverse else self.measured > self.above
