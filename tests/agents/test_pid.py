"""What `agent: pid` promises beyond the textbook formula."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.agent import NoAnswer
from agents.pid import Pid
from hal.signal import Tick

PERIOD_S = 0.01

any_float = st.floats(allow_nan=True, allow_infinity=True)
wild = st.floats(-1e100, 1e100) | any_float
any_dt_s = st.sampled_from([5e-324, 1e-9, PERIOD_S, 1e308]) | any_float
gain = st.floats(-1e9, 1e9)
moderate = st.floats(-100.0, 100.0)


class Runner:
    """Steps a controller as a loop does: fixed period, parameters before the first tick."""

    def __init__(self, **params: float) -> None:
        self.pid = Pid()
        self.tick = Tick(0, 0, PERIOD_S)
        self.change(**params)

    def change(self, **params: float) -> None:
        for name, value in params.items():
            setattr(self.pid, name, value)
        self.pid.params_changed(frozenset(params))

    def step(self, measured: float, setpoint: float = 0.0, dt_s: float = PERIOD_S) -> float:
        self.tick.number += 1
        self.tick.dt_s = dt_s
        self.tick.time_ns += round(min(dt_s, 1e9) * 1e9) if dt_s > 0 else 0
        self.pid.measured, self.pid.setpoint = measured, setpoint
        self.pid.step(self.tick)
        return self.pid.output


def respond(plant: Callable[[float, float], float], runner: Runner, setpoint: float, seconds: float) -> list[float]:
    """Measured values of a closed loop from rest."""
    measured, seen = 0.0, []
    for _ in range(round(seconds / PERIOD_S)):
        measured = plant(measured, runner.step(measured, setpoint))
        seen.append(measured)
    return seen


def lag(measured: float, output: float) -> float:
    """First-order plant: gain 1, time constant 0.5 s."""
    return measured + (output - measured) * PERIOD_S / 0.5


@given(
    steps=st.lists(st.tuples(wild, wild, st.none() | wild, st.none() | wild, any_dt_s), max_size=20),
    gains=st.tuples(gain, gain, gain, gain),
    limits=st.tuples(gain, gain),
    ramp=st.floats(0.0, 1e9),
    filter_s=st.floats(0.0, 1e6),
)
def test_output_is_finite_and_within_limits_whatever_comes_in(
    steps: list[tuple[float, float, float | None, float | None, float]],
    gains: tuple[float, float, float, float],
    limits: tuple[float, float],
    ramp: float,
    filter_s: float,
) -> None:
    kp, ki, kd, forward = gains
    run = Runner(kp=kp, ki=ki, kd=kd, feedforward_gain=forward, output_low=limits[0], output_high=limits[1])
    run.change(setpoint_ramp_per_s=ramp, derivative_filter_s=filter_s)
    for measured, setpoint, feedforward, applied, dt_s in steps:
        run.pid.feedforward, run.pid.applied = feedforward, applied
        try:
            output = run.step(measured, setpoint, dt_s)
        except NoAnswer:
            continue
        assert min(limits) <= output <= max(limits)
    assert all(value is None or math.isfinite(value) for value in run.pid.get_state().values())


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e200])
def test_a_bad_value_gives_no_answer_and_leaves_the_integral_alone(poison: float) -> None:
    run, clean = Runner(ki=2.0), Runner(ki=2.0)
    for _ in range(10):
        run.step(1.0, 3.0)
        clean.step(1.0, 3.0)
    for measured, setpoint in ((poison, 0.0), (0.0, poison)):
        with pytest.raises(NoAnswer, match="not usable"):
            run.step(measured, setpoint)
    assert run.pid.integral == clean.pid.integral > 0.0
    assert run.step(1.0, 3.0) == clean.step(1.0, 3.0)


def test_a_steady_error_is_integrated_away() -> None:
    assert respond(lag, Runner(kp=2.0, ki=4.0), 1.0, 6.0)[-1] == pytest.approx(1.0, abs=1e-3)
    assert respond(lag, Runner(kp=2.0), 1.0, 6.0)[-1] == pytest.approx(2 / 3, abs=1e-3)


@given(
    gains=st.tuples(moderate, moderate, moderate), later=st.tuples(moderate, moderate, moderate), weight=st.floats(0, 1)
)
def test_new_gains_do_not_bump_the_output(
    gains: tuple[float, float, float], later: tuple[float, float, float], weight: float
) -> None:
    run = Runner(kp=gains[0], ki=gains[1], kd=gains[2])
    for measured in (0.3, 0.31, 0.32, 0.33):
        run.step(measured, 0.5)
    run.change(kp=later[0], ki=later[1] or 1.0, kd=later[2], setpoint_weight=weight)
    before = run.pid.output
    moved = abs((later[1] or 1.0) * 0.17 * PERIOD_S) + 1e-9
    assert abs(run.step(0.34, 0.5) - before + later[0] * 0.01) <= moved


def test_a_change_of_gain_without_an_integral_acts_at_once() -> None:
    run = Runner(kp=1.0)
    run.step(0.0, 1.0)
    run.change(kp=3.0)
    assert run.step(0.0, 1.0) == 3.0


def test_a_new_limit_holds_from_the_next_tick() -> None:
    run = Runner(kp=10.0, ki=1.0)
    run.step(0.0, 1.0)
    run.change(output_high=0.5)
    assert run.step(0.0, 1.0) == 0.5


@given(ki=st.floats(0.1, 10.0), error=st.floats(0.1, 10.0), limit=st.floats(0.0, 0.5))
def test_the_integral_waits_while_the_guard_applies_less(ki: float, error: float, limit: float) -> None:
    run = Runner(kp=10.0, ki=ki)
    run.step(0.0, error)
    held = run.pid.integral
    for _ in range(50):
        run.pid.applied = limit
        run.step(0.0, error)
        assert run.pid.saturated
    assert run.pid.integral == held


def test_the_integral_unwinds_while_the_guard_applies_less() -> None:
    run = Runner(kp=1.0, ki=1.0)
    for _ in range(100):
        run.step(0.0, 5.0)
    high = run.pid.integral
    run.pid.applied = 0.0
    for _ in range(10):
        run.step(6.0, 5.0)
    assert run.pid.integral < high


def test_leaving_a_limit_does_not_overshoot() -> None:
    """An actuator that gives half of what is wanted for seconds: the measured value must not run past its setpoint."""

    def limited(measured: float, output: float) -> float:
        run.pid.applied = min(output, 1.05)
        return lag(measured, run.pid.applied)

    run = Runner(kp=5.0, ki=5.0)
    seen = respond(limited, run, 1.0, 10.0)
    assert max(seen) < 1.02
    assert seen[-1] == pytest.approx(1.0, abs=1e-3)


def test_applied_within_the_tolerance_is_not_saturation() -> None:
    run = Runner(kp=0.0, ki=1.0, applied_tolerance=0.5)
    for _ in range(200):
        output = run.step(0.0, 1.0)
        run.pid.applied = float(round(output))
    assert output == pytest.approx(2.0, abs=0.05)


@given(
    seen=st.lists(st.tuples(moderate, moderate), min_size=2, max_size=30),
    cut=st.integers(1, 29),
    ramp=st.sampled_from([0.0, 5.0]),
)
def test_a_restored_controller_goes_on_with_the_same_bytes(
    seen: list[tuple[float, float]], cut: int, ramp: float
) -> None:
    params = {
        "kp": 3.0,
        "ki": 2.0,
        "kd": 0.1,
        "derivative_filter_s": 0.05,
        "setpoint_ramp_per_s": ramp,
        "output_high": 50.0,
    }
    first = Runner(**params)
    for measured, setpoint in seen[:cut]:
        first.step(measured, setpoint)
    second = Runner(**params)
    second.tick.time_ns = first.tick.time_ns
    second.pid.set_state(json.loads(json.dumps(first.pid.get_state())))
    for measured, setpoint in seen[cut:]:
        assert struct.pack("d", first.step(measured, setpoint)) == struct.pack("d", second.step(measured, setpoint))
    assert first.pid.get_state() == second.pid.get_state()


def test_the_derivative_is_filtered_and_ignores_the_setpoint() -> None:
    sharp, smooth = Runner(kp=0.0, kd=1.0), Runner(kp=0.0, kd=1.0, derivative_filter_s=0.09)
    for run in (sharp, smooth):
        run.step(0.0)
        assert run.step(0.0, 100.0) == 0.0
    assert sharp.step(-1.0) == pytest.approx(100.0)
    assert smooth.step(-1.0) == pytest.approx(10.0)


def test_nothing_from_before_a_gap_counts_after_it() -> None:
    run = Runner(kp=0.0, ki=1.0, kd=1.0, derivative_filter_s=0.09, output_high=2.0)
    for measured in (0.0, -5.0, -10.0):
        run.step(measured)
    assert run.pid.saturated
    held = run.pid.integral
    run.tick.time_ns += 1_000_000_000
    assert run.step(-20.0) == held + 20.0 * PERIOD_S
    assert not run.pid.saturated


def test_the_setpoint_ramps_from_the_first_measured_value() -> None:
    run = Runner(kp=1.0, setpoint_ramp_per_s=10.0)
    assert run.step(2.0, 5.0) == pytest.approx(0.1)
    assert run.step(2.0, 5.0) == pytest.approx(0.2)
    for _ in range(100):
        output = run.step(2.0, 5.0)
    assert output == 3.0


def test_feedforward_adds_and_may_be_absent() -> None:
    run = Runner(kp=0.0, feedforward_gain=2.0)
    run.pid.feedforward = 1.5
    assert run.step(0.0) == 3.0
    for absent in (None, math.nan, math.inf):
        run.pid.feedforward = absent
        assert run.step(0.0) == 0.0


def test_a_setpoint_weight_below_one_softens_the_step() -> None:
    assert Runner(kp=4.0, setpoint_weight=0.25).step(0.0, 1.0) == 1.0
