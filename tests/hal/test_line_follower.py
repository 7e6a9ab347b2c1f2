"""The simulated robot: signs, physics, laps, and a plant that outlives its worker."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hal import clock
from hal.device import DeviceError
from hal.drivers.sim.diff_drive import Body
from hal.drivers.sim.line_follower import LineFollower
from hal.drivers.sim.plant_state import read_commands, read_snapshot
from hal.signal import SensorDeclaration, Tick

START_NS = 5_000_000_000
FILE = "line_follower-oval-1.plant"


class Clockwork:
    """Ticks of 10 ms for one robot: read, decide, write."""

    def __init__(self, robot: LineFollower) -> None:
        self.robot = robot
        self.tick = Tick(0, START_NS, 0.01)
        robot.open()

    def run(self, seconds: float, decide: Callable[[LineFollower], tuple[float, float]]) -> LineFollower:
        """`decide` gives steering and speed."""
        for _ in range(round(seconds * 100)):
            self.tick.number += 1
            self.tick.time_ns += 10_000_000
            self.robot.read(self.tick)
            self.robot.steering, self.robot.speed = decide(self.robot)
            self.robot.write(self.tick)
        return self.robot


def follow(speed: float) -> Callable[[LineFollower], tuple[float, float]]:
    """Steer by the true offset."""
    return lambda robot: (min(max(-8.0 * robot.offset_true, -1.0), 1.0), speed)


def drive(steering: float, speed: float) -> Callable[[LineFollower], tuple[float, float]]:
    """The same command for ever."""
    return lambda _robot: (steering, speed)


@pytest.fixture
def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTD_PLANTS", raising=False)


@pytest.fixture
def plants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTD_PLANTS", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("no_file")
class TestPhysics:
    """Without a file: nothing but ticks moves the robot."""

    def test_positive_steering_turns_left(self) -> None:
        robot = Clockwork(LineFollower(noise=0.0)).run(0.5, drive(0.3, 0.3))
        assert robot.heading > 0.1
        assert robot.yaw_rate > 0.1
        assert robot.offset_true > 0.02

    def test_full_steering_is_a_circle_of_a_tenth_of_a_metre(self) -> None:
        robot = Clockwork(LineFollower(noise=0.0)).run(1.0, drive(1.0, 0.3))
        assert robot.yaw_rate / robot.speed_measured == pytest.approx(10.0, rel=0.03)

    def test_speed_zero_stands_still_whatever_the_steering(self) -> None:
        clockwork = Clockwork(LineFollower())
        clockwork.run(0.5, drive(0.0, 0.6))
        clockwork.run(1.0, drive(1.0, 0.0))
        robot = clockwork.robot
        place = (robot.x, robot.y, robot.heading)
        clockwork.run(1.0, drive(1.0, 0.0))
        assert (robot.x, robot.y, robot.heading) == place
        assert robot.speed_measured == 0.0

    def test_motor_follows_with_a_lag(self) -> None:
        clockwork = Clockwork(LineFollower(noise=0.0))
        assert 0.0 < clockwork.run(0.05, drive(0.0, 0.6)).speed_measured < 0.1
        assert clockwork.run(1.0, drive(0.0, 0.6)).speed_measured == pytest.approx(0.6, abs=0.02)

    def test_braking_takes_its_way(self) -> None:
        clockwork = Clockwork(LineFollower(noise=0.0))
        before = clockwork.run(1.2, drive(0.0, 0.9)).x
        assert clockwork.run(2.0, drive(0.0, 0.0)).x - before > 0.2

    def test_tyres_slip_in_a_curve_that_is_taken_too_fast(self) -> None:
        slow, fast = Body(), Body()
        for _ in range(200):
            slow.step(0.01, 0.6, 0.3, (1.0, 1.0))
            fast.step(0.01, 0.9, 0.3, (1.0, 1.0))
        assert slow.yaw_rate / slow.speed == pytest.approx(3.0, rel=0.01)
        assert fast.yaw_rate / fast.speed < 2.0

    def test_same_seed_drives_and_sees_the_same(self) -> None:
        first, second = (Clockwork(LineFollower(seed=4)).run(3.0, follow(0.6)) for _ in range(2))
        for name, declaration in first.signals.items():
            if isinstance(declaration, SensorDeclaration):
                assert np.array_equal(getattr(first, name), getattr(second, name)), name

    def test_another_seed_drives_differently(self) -> None:
        first, second = (Clockwork(LineFollower(seed=seed)).run(2.0, drive(0.1, 0.6)) for seed in (4, 5))
        assert (first.x, first.y) != (second.x, second.y)

    def test_every_sensor_is_a_whole_number_of_its_steps_and_in_range(self) -> None:
        robot = Clockwork(LineFollower("chicane")).run(4.0, follow(0.6))
        for name, declaration in robot.signals.items():
            if declaration.resolution is None or getattr(robot, name) is None:
                continue
            value = getattr(robot, name)
            assert round(value / declaration.resolution) * declaration.resolution == value, name
            assert (declaration.low or -99) <= value <= (declaration.high or 99), name

    def test_camera_and_map_are_declared_as_they_are(self) -> None:
        clockwork = Clockwork(LineFollower())
        robot = clockwork.run(0.01, drive(0.0, 0.0))
        picture, line = robot.camera, robot.track
        assert picture.shape == robot.signals["camera"].shape
        assert line.shape == robot.signals["track"].shape
        assert (picture.dtype.name, line.dtype.name) == ("uint8", "float32")
        clockwork.run(0.01, drive(0.0, 0.0))
        assert robot.track is line
        assert robot.camera is not picture

    def test_skipped_ticks_pass_on_the_plant(self) -> None:
        clockwork = Clockwork(LineFollower(noise=0.0))
        before = clockwork.run(1.0, drive(0.0, 0.3)).x
        clockwork.tick.time_ns += 490_000_000
        assert clockwork.run(0.01, drive(0.0, 0.3)).x - before == pytest.approx(0.15, abs=0.01)


@pytest.mark.usefixtures("no_file")
class TestLaps:
    def test_a_lap_is_counted_and_timed(self) -> None:
        robot = Clockwork(LineFollower("oval")).run(20.0, follow(0.6))
        assert robot.lap == 2
        assert robot.lap_time == pytest.approx(8.6, abs=0.5)
        assert robot.resets == 0

    def test_before_the_first_lap_there_is_no_lap_time(self) -> None:
        assert Clockwork(LineFollower("oval")).run(0.1, follow(0.6)).lap_time is None

    def test_progress_grows_along_the_lap(self) -> None:
        clockwork = Clockwork(LineFollower("eight"))
        seen = [clockwork.run(1.0, follow(0.6)).progress for _ in range(7)]
        assert seen == sorted(seen)
        assert seen[0] < 0.15
        assert seen[-1] > 0.7

    def test_a_robot_that_leaves_its_line_is_put_back_and_the_lap_is_void(self) -> None:
        clockwork = Clockwork(LineFollower("oval"))
        robot = clockwork.run(2.5, drive(0.0, 0.6))
        while not robot.resets:
            was_off_track = robot.off_track
            clockwork.run(0.01, drive(0.0, 0.3))
        assert was_off_track
        assert abs(robot.offset_true) < 0.06
        assert not robot.off_track
        assert robot.progress == pytest.approx(0.4, abs=0.1)  # where it left the line
        clockwork.run(9.0, follow(0.6))
        assert robot.lap == 0
        clockwork.run(9.0, follow(0.6))
        assert robot.lap == 1

    def test_a_robot_that_was_stopped_aside_is_put_back(self) -> None:
        clockwork = Clockwork(LineFollower("oval"))
        robot = clockwork.run(20.0, lambda r: (0.15, 0.3) if abs(r.offset_true) < 0.09 else (0.0, 0.0))
        assert robot.resets > 0

    def test_a_robot_that_was_stopped_on_its_line_stays(self) -> None:
        clockwork = Clockwork(LineFollower("oval"))
        clockwork.run(2.0, follow(0.3))
        assert clockwork.run(20.0, drive(0.0, 0.0)).resets == 0

    def test_backwards_and_forwards_over_the_start_line_is_no_lap(self) -> None:
        robot = LineFollower("oval")
        laps = robot._laps
        for s in (0.1, 0.0, laps.length - 0.1, 0.05, laps.length - 0.1, 0.1):
            laps.advance(s, 0.01)
        assert laps.count == 0

    @pytest.mark.parametrize("speed", [0.9])
    def test_full_speed_all_round_costs_more_than_it_brings(self, speed: float) -> None:
        def careful(robot: LineFollower) -> tuple[float, float]:
            steering, _ = follow(speed)(robot)
            return steering, 0.0 if robot.off_track else speed

        assert Clockwork(LineFollower("oval")).run(30.0, careful).resets >= 3


class TestPlant:
    """With a file: the plant goes on without its worker."""

    def test_it_drives_on_with_its_last_command_while_nobody_looks(
        self, plants: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [START_NS]
        monkeypatch.setattr("hal.drivers.sim.line_follower.now_ns", lambda: now[0])
        clockwork = Clockwork(LineFollower(noise=0.0))
        before = clockwork.run(1.0, drive(0.0, 0.3)).x
        clockwork.robot.close()
        now[0] = clockwork.tick.time_ns + 1_000_000_000
        again = LineFollower(noise=0.0)
        again.open()
        again.read(Tick(1, now[0], 0.01))
        again.close()
        assert again.x - before == pytest.approx(0.3, abs=0.01)

    def test_making_it_safe_does_not_undo_how_far_it_came(self, plants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [START_NS]
        monkeypatch.setattr("hal.drivers.sim.line_follower.now_ns", lambda: now[0])
        clockwork = Clockwork(LineFollower(noise=0.0))
        before = clockwork.run(1.0, drive(0.0, 0.3)).x
        clockwork.robot.close()
        now[0] = clockwork.tick.time_ns + 1_000_000_000
        again = LineFollower(noise=0.0)
        again.open()
        again.write(Tick(0, 0, 0.01))
        again.read(Tick(1, now[0] + 900_000_000, 0.01))
        again.close()
        assert again.x - before == pytest.approx(0.33, abs=0.02)
        snapshot = read_snapshot(plants / FILE)
        assert snapshot is not None
        assert snapshot.time_ns == now[0]

    def test_it_stands_where_it_was_stopped(self, plants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [START_NS]
        monkeypatch.setattr("hal.drivers.sim.line_follower.now_ns", lambda: now[0])
        clockwork = Clockwork(LineFollower())
        clockwork.run(1.0, follow(0.3))
        clockwork.run(0.5, drive(0.0, 0.0))
        robot = clockwork.robot
        robot.close()
        now[0] = clockwork.tick.time_ns + 3_600_000_000_000
        again = LineFollower()
        again.open()
        again.read(Tick(1, now[0], 0.01))
        again.close()
        assert (again.x, again.y, again.heading, again.resets) == (robot.x, robot.y, robot.heading, 0)

    def test_laps_survive_their_worker(self, plants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [START_NS]
        monkeypatch.setattr("hal.drivers.sim.line_follower.now_ns", lambda: now[0])
        clockwork = Clockwork(LineFollower("oval"))
        robot = clockwork.run(10.0, follow(0.6))
        now[0] = clockwork.tick.time_ns
        robot.close()
        again = LineFollower("oval")
        again.open()
        again.read(clockwork.tick)
        again.close()
        assert (again.lap, again.lap_time, again.progress) == (1, robot.lap_time, robot.progress)

    def test_under_another_clock_it_moves_once_a_tick(self, plants: Path) -> None:
        robot = Clockwork(LineFollower(noise=0.0)).run(1.0, drive(0.0, 0.3))
        robot.close()
        assert robot.x == pytest.approx(0.3 * 0.99 - 0.02, abs=0.02)

    def test_its_commands_can_be_read_by_others(self, plants: Path) -> None:
        before = clock.now_ns()
        clockwork = Clockwork(LineFollower())
        clockwork.run(0.02, drive(0.5, 0.9))
        clockwork.run(0.01, drive(0.0, 0.0))
        commands = read_commands(plants / FILE)
        clockwork.robot.close()
        assert [command.values for command in commands] == [(0.5, 0.9), (0.5, 0.9), (0.0, 0.0)]
        assert before < commands[0].time_ns < commands[-1].time_ns < clock.now_ns()

    def test_a_second_driver_of_the_same_plant_is_refused(self, plants: Path) -> None:
        first, second = LineFollower(), LineFollower()
        first.open()
        with pytest.raises(DeviceError, match="another device drives it"):
            second.open()
        first.close()
        second.open()
        second.close()

    def test_it_is_opened_and_made_safe_before_numpy_is_there(self, plants: Path) -> None:
        code = (
            "import sys; from hal.drivers.sim.line_follower import LineFollower; from hal.signal import Tick\n"
            "robot = LineFollower(); robot.open(); robot.write(Tick(0, 1, 0.01))\n"
            "assert 'numpy' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
        assert read_commands(plants / FILE)[-1].values == (0.0, 0.0)


@pytest.mark.parametrize(("noise", "light"), [(-0.1, 0.3), (11.0, 0.3), (math.nan, 0.3), (1.0, -0.1), (1.0, 0.7)])
def test_noise_and_light_out_of_range_are_refused(noise: float, light: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 10, and 0 to"):
        LineFollower(noise=noise, light=light)


def test_no_clock_is_asked_without_a_file(no_file: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> int:
        raise AssertionError("the wall clock was read")

    monkeypatch.setattr("hal.drivers.sim.line_follower.now_ns", forbidden)
    monkeypatch.setattr("hal.drivers.sim.plant_state.now_ns", forbidden)
    robot = Clockwork(LineFollower()).run(0.1, follow(0.3))
    robot.close()
    assert math.isfinite(robot.x)
