"""Simulator, shipped model and a plain PD controller in a closed loop, in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.infer import Infer
from hal.drivers.sim.line_follower import LineFollower
from hal.drivers.sim.tracks import NAMES
from hal.model import SHIPPED, Model
from hal.signal import Tick

KP, KD, FILTER = 8.0, 0.3, 1 / 6
"""Steering per metre and per m/s; part of a new derivative that passes its filter at 100 Hz (50 ms)."""

BRAKE = 0.02
"""Change of the speed in one tick: 2 m/s2."""


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTD_PLANTS", raising=False)


class Robot:
    """One robot on one track, driven tick by tick."""

    def __init__(self, track: str, seed: int = 1) -> None:
        self.plant, self.vision = LineFollower(track, seed), Infer(Model(SHIPPED / "line-offset.tflite"))
        self.vision.prepare()
        self.plant.open()
        self.tick = Tick(0, 1_000_000_000, 0.01)
        self._error, self._slope = 0.0, 0.0
        self.unsure = 0
        self.laps: list[float] = []

    def drive(self, seconds: float, pace: Callable[[Infer], float]) -> None:
        """Read, infer, steer, write at 100 Hz; stop while the model is not sure, as the guard does."""
        for _ in range(round(seconds * 100)):
            self.tick.number += 1
            self.tick.time_ns += 10_000_000
            self.plant.read(self.tick)
            self.vision.picture = self.plant.camera
            self.vision.step(self.tick)
            sure = self.vision.confidence > 0.5  # type: ignore[attr-defined]
            self.unsure += not sure
            self.plant.steering = self._steering()
            self.plant.speed = min(pace(self.vision), self.plant.speed + BRAKE) if sure else 0.0
            self.plant.write(self.tick)
            if self.plant.lap > len(self.laps) and self.plant.lap_time is not None:
                self.laps.append(self.plant.lap_time)

    def _steering(self) -> float:
        error = -self.vision.offset  # type: ignore[attr-defined]
        self._slope += FILTER * ((error - self._error) / self.tick.dt_s - self._slope)
        self._error = error
        return float(min(max(KP * error + KD * self._slope, -1.0), 1.0))


def careful(vision: Infer) -> float:
    """Fast on straights, slow where the line bends or the robot is off it."""
    bend = max(abs(vision.curvature), 4.0 * abs(vision.heading) - 0.5)  # type: ignore[attr-defined]
    if bend < 2.0 and abs(vision.offset) < 0.06:  # type: ignore[attr-defined]
        return 0.9
    return 0.6 if bend < 4.6 else 0.3


@pytest.mark.parametrize("track", NAMES)
def test_robot_completes_laps_on_every_track(track: str) -> None:
    robot = Robot(track, seed=3)
    robot.drive(50.0, lambda _vision: 0.3)
    assert len(robot.laps) >= 2
    assert robot.plant.resets == 0
    assert robot.unsure == 0


def test_well_chosen_speeds_beat_every_constant_one() -> None:
    laps = {}
    for name, pace in (
        ("careful", careful),
        ("slow", lambda _: 0.3),
        ("middle", lambda _: 0.6),
        ("full", lambda _: 0.9),
    ):
        robot = Robot("oval")
        robot.drive(36.0, pace)
        laps[name] = len(robot.laps)
    assert laps["careful"] > laps["middle"] > laps["slow"] > laps["full"]


def test_same_seed_drives_the_same_way() -> None:
    first, second = Robot("chicane"), Robot("chicane")
    for robot in (first, second):
        robot.drive(5.0, lambda _vision: 0.6)
    assert (first.plant.x, first.plant.y, first.plant.heading) == (second.plant.x, second.plant.y, second.plant.heading)
