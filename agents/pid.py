"""PID control: simple-pid inside, and around it what it lacks.

    output = kp * (setpoint_weight * r - y) + integral + kd * filtered(-dy/dt) + feedforward_gain * feedforward

with `r` the ramped setpoint and `y` the measured value. The integral within its limits and the rate of the measured
value are simple-pid's (https://github.com/m-lundberg/simple-pid), which is called with `dt` every tick and with numbers
only. Composed around it: setpoint weight (two degrees of freedom), derivative filter, feed-forward, setpoint ramp,
changes of parameters without a bump, and conditional integration against what the guard really applied.
Source for all of these: K. J. Aström, T. Hägglund, Advanced PID Control, ISA 2006, chapters 3 and 5.
"""

from __future__ import annotations

import math
from typing import Any

from simple_pid import PID

from agents.agent import Agent, Applied, Input, NoAnswer, Output, Param, State
from hal.signal import ANY_UNIT, Tick

LARGEST = 1e100
"""Inputs beyond this are no measurements: differences and products of what is below stay finite."""

GAP = 1.5
"""Periods without a step after which the rate of change is unknown: ticks jitter by less."""


class Pid(Agent):
    """Brings `measured` to `setpoint`, in whatever units they are wired to. Negative gains act in reverse."""

    measured: float = Input(unit=ANY_UNIT)
    setpoint: float = Input(unit=ANY_UNIT)
    feedforward: float | None = Input(
        unit=ANY_UNIT, doc="what is known to be needed, such as a disturbance; absent is 0"
    )
    output: float = Output(unit=ANY_UNIT)
    error: float = Output(unit=ANY_UNIT, doc="ramped setpoint less measured value")
    saturated: bool = Output(doc="more was wanted than was applied: the integral waits")
    applied: float | None = Applied("output", unit=ANY_UNIT)

    kp: float = Param(1.0, unit=ANY_UNIT, low=-1e9, high=1e9, doc="proportional gain")
    ki: float = Param(0.0, unit=ANY_UNIT, low=-1e9, high=1e9, doc="integral gain, per second")
    kd: float = Param(0.0, unit=ANY_UNIT, low=-1e9, high=1e9, doc="derivative gain, times seconds")
    derivative_filter_s: float = Param(0.0, unit="s", low=0.0, high=1e6, doc="time constant; 0 is unfiltered")
    setpoint_weight: float = Param(1.0, low=0.0, high=1.0, doc="below 1 the output jumps less when the setpoint does")
    feedforward_gain: float = Param(1.0, unit=ANY_UNIT, low=-1e9, high=1e9)
    setpoint_ramp_per_s: float = Param(
        0.0, unit=ANY_UNIT, low=0.0, high=1e9, doc="fastest change of setpoint; 0 is off"
    )
    output_low: float = Param(-1e6, unit=ANY_UNIT, low=-1e9, high=1e9, doc="the actuator's own range counts as well")
    output_high: float = Param(1e6, unit=ANY_UNIT, low=-1e9, high=1e9)
    applied_tolerance: float = Param(
        1e-6,
        unit=ANY_UNIT,
        low=0.0,
        high=1e9,
        doc="applied this close to asked is as asked; half a step of a stepped actuator",
    )

    integral: float = State(0.0)
    rate: float = State(0.0, doc="filtered negative rate of change of the measured value, per second")
    reference: float | None = State(doc="the ramped setpoint")
    measured_before: float | None = State()
    feedforward_before: float = State(0.0)
    wanted: float | None = State(doc="the last output before the limits")
    asked: float | None = State(doc="the last output")
    stepped_ns: int = State(0)

    def __init__(self) -> None:
        self._core = PID(sample_time=None, time_fn=_no_time)

    def step(self, tick: Tick) -> None:
        """Raises NoAnswer for an infinite or absurd measured value or setpoint; nothing of it is kept."""
        if not (abs(self.measured) <= LARGEST and abs(self.setpoint) <= LARGEST and 0.0 < tick.dt_s < math.inf):
            raise NoAnswer(f"measured {self.measured}, setpoint {self.setpoint}, dt {tick.dt_s} s: not usable")
        self._notice_gap(tick)
        self._move_reference(tick.dt_s)
        self._integrate_and_differentiate(tick.dt_s)
        forward = self.feedforward
        self.feedforward_before = forward if forward is not None and abs(forward) <= LARGEST else 0.0
        self.measured_before, self.stepped_ns = self.measured, tick.time_ns
        self.wanted = self._all_but_integral() + self.integral
        self.asked = self.output = self._limited(self.wanted)

    def params_changed(self, names: frozenset[str]) -> None:
        """Shift the integral so that the output goes on where it was. Without an integral the change acts at once."""
        if self.asked is None or self.ki == 0.0:
            return
        rest, target = self._all_but_integral(), self._limited(self.asked)
        if self._limited(rest + self.integral) != target:
            self._hand_over(target - rest, self.measured_before)

    def set_state(self, state: dict[str, Any]) -> None:
        """As `Agent.set_state`; the next outputs are those that would have followed the saved one."""
        super().set_state(state)
        self._hand_over(self.integral, self.measured_before)

    def _notice_gap(self, tick: Tick) -> None:
        """After ticks without a step the old value says nothing of the rate, nor the old output of what was applied."""
        if self.measured_before is None or abs(tick.time_ns - self.stepped_ns) > GAP * 1e9 * tick.dt_s:
            self.rate, self.wanted = 0.0, None
            self._hand_over(self.integral, self.measured)

    def _move_reference(self, dt_s: float) -> None:
        if self.setpoint_ramp_per_s == 0.0:
            self.reference = self.setpoint
            return
        before = self.measured if self.reference is None else self.reference
        reach = self.setpoint_ramp_per_s * dt_s
        self.reference = min(max(self.setpoint, before - reach), before + reach)

    def _integrate_and_differentiate(self, dt_s: float) -> None:
        """One call of simple-pid. A gain of 1 for the derivative leaves the rate itself, which is filtered here."""
        core, reference = self._core, self.reference or 0.0
        self.error = reference - self.measured
        self.saturated = self._winds_up(self.ki * self.error)
        core.tunings = (self.kp, 0.0 if self.saturated else self.ki, 1.0)
        limits = self._limits()
        if core.output_limits != limits:
            core.output_limits = limits
        core.setpoint = reference
        core(self.measured, dt_s)
        _, self.integral, rate = core.components
        share = dt_s / (self.derivative_filter_s + dt_s)
        self.rate += (min(max(rate, -LARGEST), LARGEST) - self.rate) * share

    def _winds_up(self, push: float) -> bool:
        """True while less was applied than was wanted, and the integral would only want more."""
        if self.wanted is None or self.asked is None:
            return False
        excess = self.wanted - (self.asked if self.applied is None else self.applied)
        return abs(excess) > self.applied_tolerance and excess * push > 0.0

    def _all_but_integral(self) -> float:
        """The other terms for the last inputs, with the parameters as they are now."""
        proportional = self.kp * (self.setpoint_weight * (self.reference or 0.0) - (self.measured_before or 0.0))
        return proportional + self.kd * self.rate + self.feedforward_gain * self.feedforward_before

    def _hand_over(self, integral: float, measured: float | None) -> None:
        """Give simple-pid an integral and a last measured value: its own hand-over, then a call that only looks."""
        core = self._core
        core.output_limits = self._limits()
        core.set_auto_mode(False)
        core.set_auto_mode(True, last_output=integral)
        if measured is not None:
            core.tunings = (0.0, 0.0, 0.0)
            core(measured, 1.0)
        self.integral = core.components[1]

    def _limits(self) -> tuple[float, float]:
        """In order even while a person changes one after the other."""
        low, high = self.output_low, self.output_high
        return (low, high) if low <= high else (high, low)

    def _limited(self, value: float) -> float:
        low, high = self._limits()
        return min(max(value, low), high)


def _no_time() -> float:
    """Simple-pid asks for the time even when it is given `dt`; an agent asks nobody."""
    return 0.0
