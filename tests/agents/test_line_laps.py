"""The demo's loop in virtual time: picture or truth, `pid`, `q_learning`, and the guard's slew and interlock."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from agents.pid import Pid
from agents.q_learning import QLearning
from hal.drivers.sim.line_follower import LOOKAHEAD_M, LineFollower
from hal.drivers.sim.tracks import track
from hal.signal import Tick

PERIOD_S = 0.01
SLEW_PER_TICK = 0.02  # m/s: 2 m/s2
SPEEDS = [0.3, 0.6, 0.9]
CAREFUL = 0.6
"""The fastest of them with which the robot gets round the oval's curves."""


class Dark:
    """In place of the camera, for a robot that is told the truth: pictures take three quarters of the time."""

    def render(self, *_pose: float) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        return np.zeros((32, 48), np.uint8)


class Truth:
    """Offset and heading of the line at the look-ahead point, with the model's errors."""

    def __init__(self, robot: LineFollower, seed: int) -> None:
        self._robot, self._line, self._piece = robot, track("oval"), 0
        self._chance = random.Random(seed)
        robot._camera = Dark()  # type: ignore[assignment]

    def look(self, _tick: Tick) -> tuple[float, float, bool]:
        robot, line = self._robot, self._line
        self._piece = line.locate(self._piece, robot.x, robot.y).piece
        ahead_x, ahead_y = LOOKAHEAD_M * math.cos(robot.heading), LOOKAHEAD_M * math.sin(robot.heading)
        place = line.locate(self._piece, robot.x + ahead_x, robot.y + ahead_y)
        heading = math.remainder(place.heading - robot.heading, math.tau)
        seen = abs(place.offset) < 0.16 and abs(heading) < 1.3
        return place.offset + self._chance.gauss(0, 0.002), heading + self._chance.gauss(0, 0.025), seen


class Model:
    """What the shipped model sees in the camera's picture."""

    def __init__(self, robot: LineFollower) -> None:
        from agents import infer
        from hal import model

        self._robot = robot
        self._infer = infer.Infer(model.Model(str(Path(infer.__file__).parent / "models/line-offset.tflite")))
        self._infer.prepare()

    def look(self, tick: Tick) -> tuple[float, float, bool]:
        self._infer.picture = self._robot.camera
        self._infer.step(tick)
        values = [getattr(self._infer, name) for name in ("offset", "heading", "confidence")]
        return values[0], values[1], values[2] > 0.5


@dataclass
class Drive:
    """What came of it. Only complete laps have a time."""

    laps: list[float] = field(default_factory=list)
    resets_at: list[int] = field(default_factory=list)


def drive(robot: LineFollower, eyes: Truth | Model, pace: QLearning | float, laps: int) -> Drive:
    """So many complete laps, 600 s at most."""
    steer = Pid()
    steer.kp, steer.ki, steer.kd, steer.derivative_filter_s, steer.setpoint = 8.0, 1.0, 0.3, 0.02, 0.0
    tick, speed, seen = Tick(0, 1_000_000_000, PERIOD_S), 0.0, Drive()
    robot.open()
    while len(seen.laps) < laps and tick.number < 60_000:
        tick.number, tick.time_ns = tick.number + 1, tick.time_ns + 10_000_000
        robot.read(tick)
        if robot.lap > len(seen.laps):
            seen.laps.append(robot.lap_time or 0.0)
        if robot.resets > len(seen.resets_at):
            seen.resets_at.append(len(seen.laps))
        steer.measured, heading, sure = eyes.look(tick)
        steer.step(tick)
        if isinstance(pace, QLearning):
            pace.observation, pace.applied = np.array([steer.measured, heading]), speed
            pace.reward, pace.terminated = robot.speed_measured, robot.off_track
            pace.step(tick)
        wanted = pace.action if isinstance(pace, QLearning) else pace
        speed = min(max(wanted, speed - SLEW_PER_TICK), speed + SLEW_PER_TICK) if sure else 0.0
        robot.steering = steer.applied = min(max(steer.output, -1.0), 1.0)
        robot.speed = speed
        robot.write(tick)
    return seen


def learner(seed: int) -> QLearning:
    return QLearning(SPEEDS, np.random.default_rng([seed, 0]))


@pytest.fixture(scope="module")
def careful_lap_s() -> float:
    """Mean lap at the best constant speed."""
    robot = LineFollower(seed=7)
    seen = drive(robot, Truth(robot, 7), CAREFUL, 4)
    assert not seen.resets_at
    return fmean(seen.laps[1:])


def test_the_fastest_constant_speed_loses_the_line() -> None:
    robot = LineFollower(seed=7)
    assert len(drive(robot, Truth(robot, 7), SPEEDS[-1], 1).resets_at) > 5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_laps_get_faster_than_the_best_constant_speed(seed: int, careful_lap_s: float) -> None:
    robot = LineFollower(seed=seed)
    seen = drive(robot, Truth(robot, seed), learner(seed), 25)
    assert fmean(seen.laps[-5:]) < 0.95 * fmean(seen.laps[:5])
    assert fmean(seen.laps[-5:]) < 0.98 * careful_lap_s
    assert len(seen.resets_at) <= 4
    assert not [lap for lap in seen.resets_at if lap >= 15]


@pytest.mark.system
def test_laps_get_faster_with_camera_and_model(careful_lap_s: float) -> None:
    first, last = [], []
    for seed in range(1, 6):
        robot = LineFollower(seed=seed)
        seen = drive(robot, Model(robot), learner(seed), 25)
        first.append(fmean(seen.laps[:5]))
        last.append(fmean(seen.laps[-5:]))
        assert last[-1] < min(first[-1], 0.9 * careful_lap_s)
        assert len(seen.resets_at) <= 6
    assert fmean(last) < 0.92 * fmean(first)
