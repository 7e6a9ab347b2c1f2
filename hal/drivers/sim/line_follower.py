"""A simulated robot that follows a line: differential drive, camera, encoders and a gyroscope.

Signs follow ISO 8855: left and counter-clockwise are positive. `steering` 1.0 turns left on a circle of 0.1 m
radius whatever the speed, so at speed 0 the robot stands still. `offset_true` is how far the *look-ahead point*,
0.18 m before the axle, is left of the line: a robot that is left of its line has a positive offset and steers
right, which is what a PID controller with setpoint 0 and positive gains does.

In curves the tyres slip beyond a lateral acceleration of `diff_drive.GRIP`: the robot runs wide. When the line has
been out of sight for two seconds, or at once when it is far away, somebody puts the robot back on the line where it
left it; that lap is void. The plant outlives its worker, see `plant_state`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hal.clock import NS_PER_S, now_ns
from hal.device import Device
from hal.drivers.sim.diff_drive import WHEEL_MISMATCH, WHEEL_NOISE, Body
from hal.drivers.sim.laps import Laps
from hal.drivers.sim.noise import two_normals, uniform
from hal.drivers.sim.plant_state import PlantFile, plant_file
from hal.drivers.sim.tracks import Place, track
from hal.signal import Actuator, Sensor, Tick

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hal.drivers.sim.camera import Camera

LOOKAHEAD_M = 0.18
"""The point whose offset is measured lies this far before the axle: the middle of the picture's lower half."""

OFF_TRACK_M, OFF_TRACK_RAD = 0.14, 1.1
"""Beyond either, at the look-ahead point, the camera hardly sees the line: the robot is off its track."""

ASIDE_M, ASIDE_RAD = 0.06, 0.5
"""A robot that stands still further off than this may have lost its line for good, whatever it was that stopped it."""

PUT_BACK_S = 2.0
PUT_BACK_M = 0.4
"""A robot that is off its track, or stands aside, for so long, or is at once so far, is put back on the line."""

LONGEST_GAP_S = 10.0
"""More time than this nobody let it drive on alone: elapsed time beyond it is not integrated."""

STEP_S = 0.01
MAP_POINTS = 256


class LineFollower(Device):
    """Robot, track and camera."""

    simulated = True

    camera: NDArray[np.uint8] = Sensor(shape=(32, 48), doc="grey levels, the far edge first")
    x: float = Sensor(unit="m", low=-10.0, high=10.0, resolution=0.001, doc="middle of the axle")
    y: float = Sensor(unit="m", low=-10.0, high=10.0, resolution=0.001)
    heading: float = Sensor(unit="rad", low=-3.2, high=3.2, resolution=0.002, doc="counter-clockwise from x")
    speed_measured: float = Sensor(unit="m/s", low=-1.6, high=1.6, resolution=0.01, doc="from the encoders")
    yaw_rate: float = Sensor(unit="rad/s", low=-20.0, high=20.0, resolution=0.01, doc="gyroscope")
    lap: int = Sensor(low=0, doc="complete laps")
    lap_time: float | None = Sensor(unit="s", low=0.0, resolution=0.001, doc="of the last complete lap")
    progress: float = Sensor(low=0.0, high=1.0, resolution=0.001, doc="part of the lap")
    offset_true: float = Sensor(
        unit="m", low=-1.0, high=1.0, resolution=0.0005, doc="look-ahead point left of the line; for evaluation"
    )
    off_track: bool = Sensor(doc="the line is out of sight")
    resets: int = Sensor(low=0, doc="how often it was put back on the line")
    track: NDArray[np.float32] = Sensor(unit="m", shape=(MAP_POINTS, 2), doc="centre line, evenly spaced")

    steering: float = Actuator(low=-1.0, high=1.0, safe=0.0, doc="1.0 turns left on a radius of 0.1 m")
    speed: float = Actuator(unit="m/s", low=0.0, high=1.2, safe=0.0)

    def __init__(self, track: str = "oval", seed: int = 1, noise: float = 1.0, light: float = 0.3) -> None:
        """`noise` multiplies all noise, 1 is usual; `light` is how uneven it is, from 0 to 0.6.

        Raises ValueError for an unknown track, or a number out of these ranges.
        """
        if not (0.0 <= noise <= 10.0 and 0.0 <= light <= 0.6):
            raise ValueError(f"noise {noise}, light {light}: expected 0 to 10, and 0 to 0.6")
        self._line = _line(track)
        self._name = f"line_follower-{track}-{seed}"
        self._seed, self._noise, self._light = seed, noise, light
        self._file: PlantFile | None = None
        self._camera: Camera | None = None
        self._gains = tuple(1.0 + noise * WHEEL_MISMATCH * uniform(seed, -1 - wheel) for wheel in range(2))
        self._begin()

    def _begin(self) -> None:
        """At the start line, at rest, a little beside it."""
        x, y, heading = self._line.pose(0.0)
        aside = 0.01 * uniform(self._seed, -3)
        self._body = Body(x - aside * math.sin(heading), y + aside * math.cos(heading), heading)
        self._laps = Laps(self._line.length)
        self._piece, self._step, self._lost_s, self._put_back = 0, 0, 0.0, 0
        self._off_track = False
        self._command = (0.0, 0.0)
        self._time_ns, self._tick_ns = 0, -1

    def open(self) -> None:
        """Take over the plant where it is by now. Raises DeviceError when another device drives it."""
        self.close()
        self._file = plant_file(self._name, 2, 15)
        if not self._file:
            return
        found = self._file.load()
        if found:
            self._restore(found.state)
            self._command, self._time_ns = (found.command[0], found.command[1]), found.time_ns
            self._advance((now_ns() - self._time_ns) / NS_PER_S)
        self._time_ns = now_ns()

    def read(self, tick: Tick) -> None:
        """Let the time since the last tick pass, then look."""
        self._pass(tick)
        if self._camera is None:
            self.prepare()
        body, look = self._body, self._look()
        along, across = two_normals(self._seed, self._step << 1 | 1)
        self.x, self.y = _steps(body.x, 0.001), _steps(body.y, 0.001)
        self.heading = _steps(math.remainder(body.heading, math.tau), 0.002)
        self.speed_measured = _steps(body.speed * (1.0 + 0.01 * self._noise * along), 0.01)
        self.yaw_rate = _steps(body.yaw_rate + 0.02 * self._noise * across, 0.01)
        self.offset_true = _steps(look.offset, 0.0005)
        self.off_track = self._off_track
        self.progress = _steps(self._laps.s / self._line.length, 0.001)
        self.lap, self.resets = self._laps.count, self._put_back
        self.lap_time = _steps(self._laps.last_s, 0.001) if self._laps.count else None
        assert self._camera is not None
        self.camera = self._camera.render(body.x, body.y, body.heading, self._step)

    def write(self, tick: Tick) -> None:
        """Give the motors their command; it holds until the next one."""
        self._pass(tick)
        self._command = (self.steering, self.speed)
        if self._file:
            self._file.store(self._time_ns, self._command, self._state())

    def close(self) -> None:
        """Leave the plant to itself."""
        if self._file:
            self._file.close()
            self._file = None

    def prepare(self) -> None:
        """Everything that needs numpy: safe values are written before this."""
        import numpy as np  # noqa: PLC0415 - see above

        from hal.drivers.sim.camera import Camera  # noqa: PLC0415

        self._camera = Camera(self._line, self._seed, self._light, self._noise)
        points = (self._line.pose(self._line.length * i / MAP_POINTS)[:2] for i in range(MAP_POINTS))
        self.track = np.array(list(points), dtype=np.float32)

    def _pass(self, tick: Tick) -> None:
        """Up to this tick's time; by its `dt_s` where the time before is unknown, or of another clock."""
        if tick.time_ns == self._tick_ns:
            return
        known = 0 < self._time_ns <= tick.time_ns
        self._advance((tick.time_ns - self._time_ns) / NS_PER_S if known else tick.dt_s)
        self._tick_ns = tick.time_ns
        if known or not self._file:
            self._time_ns = tick.time_ns

    def _advance(self, elapsed_s: float) -> None:
        """Steps of at most 10 ms with the last command; a time that runs backwards is no time."""
        steps = math.ceil(min(elapsed_s, LONGEST_GAP_S) / STEP_S - 0.05)
        if steps <= 0:
            return
        dt_s = min(elapsed_s, LONGEST_GAP_S) / steps
        for _ in range(steps):
            self._move(dt_s)

    def _move(self, dt_s: float) -> None:
        steering, speed = self._command
        self._step += 1
        left, right = two_normals(self._seed, self._step << 1)
        spread = WHEEL_NOISE * self._noise
        self._body.step(
            dt_s, speed, steering, (self._gains[0] * (1.0 + spread * left), self._gains[1] * (1.0 + spread * right))
        )
        place = self._line.locate(self._piece, self._body.x, self._body.y)
        self._piece = place.piece
        self._laps.advance(place.s, dt_s)
        self._watch(place, dt_s)

    def _watch(self, place: Place, dt_s: float) -> None:
        """Whether it has lost its line, and for how long."""
        look = self._look()
        offset, askew = abs(look.offset), abs(math.remainder(self._body.heading - look.heading, math.tau))
        self._off_track = offset > OFF_TRACK_M or askew > OFF_TRACK_RAD
        stuck = self._body.standing and (offset > ASIDE_M or askew > ASIDE_RAD)
        self._lost_s = self._lost_s + dt_s if self._off_track or stuck else 0.0
        if self._lost_s > PUT_BACK_S or abs(place.offset) > PUT_BACK_M:
            self._body.x, self._body.y, self._body.heading = self._line.pose(place.s)
            self._body.stop()
            self._laps.void()
            self._put_back += 1
            self._off_track, self._lost_s = False, 0.0

    def _look(self) -> Place:
        """Where the look-ahead point is."""
        body = self._body
        ahead_x, ahead_y = LOOKAHEAD_M * math.cos(body.heading), LOOKAHEAD_M * math.sin(body.heading)
        return self._line.locate(self._piece, body.x + ahead_x, body.y + ahead_y)

    def _state(self) -> tuple[float, ...]:
        body, laps = self._body, self._laps
        return (
            *(body.x, body.y, body.heading, body.left, body.right),
            *(laps.s, laps.driven, laps.clock_s, laps.valid, laps.count, laps.last_s),
            *(self._piece, self._step, self._lost_s, self._put_back),
        )

    def _restore(self, state: tuple[float, ...]) -> None:
        self._body = Body(*state[:5])
        s, driven, clock_s, valid, count, last_s = state[5:11]
        self._laps = Laps(self._line.length, s, driven, clock_s, bool(valid), int(count), last_s)
        self._piece, self._step, self._lost_s, self._put_back = (
            int(state[11]),
            int(state[12]),
            state[13],
            int(state[14]),
        )


def _steps(value: float, resolution: float) -> float:
    """Rounded to a whole number of steps."""
    return round(value / resolution) * resolution


_line = track  # the constructor's parameter has the same name
