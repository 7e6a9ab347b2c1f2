"""The simulated robot's camera: a dark line on a light floor, seen in perspective under uneven light.

A pinhole camera over the axle's front looks down at the floor. Each pixel's point on the floor is known in
the robot's frame, so a picture costs one distance to each straight or arc in view: about 0.1 ms.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hal.drivers.sim.noise import mix, uniform
from hal.drivers.sim.tracks import Line, Piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

ROWS, COLUMNS = 32, 48
HEIGHT_M = 0.12
AHEAD_M = 0.04
"""The camera's place over the floor and before the axle."""

PITCH = math.radians(36.0)
FOCAL_PX = 31.0
LINE_WIDTH_M = 0.025
LINE, FLOOR = 0.15, 0.72
"""Reflectance."""

EXPOSURE = 250.0
READ_NOISE = 4.0
"""Standard deviation in grey levels, at `noise` 1."""

_VIEW_CENTRE_M, _VIEW_RADIUS_M = 0.45, 0.65
_FAR = 1e3


class Camera:
    """Pictures of one line under one light; the same seed and frame number give the same picture."""

    def __init__(self, line: Line, seed: int = 0, light: float = 0.3, noise: float = 1.0) -> None:
        """`light` is how uneven it is: 0 everywhere equal, 0.6 with places of a third of the brightness."""
        self._pieces = [_Arc(piece) if piece.curvature else _Straight(piece) for piece in line.pieces]
        self._x, self._y, self._footprint = _floor_points()
        self._seed = seed
        self._vignette = _vignette(light)
        self._waves = [_Wave.of(seed, number, light) for number in range(3)]
        self._noise = _normals(seed, 16 * ROWS * COLUMNS) * np.float32(READ_NOISE * noise)

    def render(self, x: float, y: float, heading: float, frame: int) -> NDArray[np.uint8]:
        """The picture from this pose: (32, 48) grey levels, the far edge first, left on the left. A new array."""
        covered = self._distance(x, y, heading)
        covered -= 0.5 * LINE_WIDTH_M
        covered /= self._footprint
        np.subtract(0.5, covered, out=covered)
        np.clip(covered, 0.0, 1.0, out=covered)
        covered *= LINE - FLOOR
        covered += FLOOR
        covered *= self._light(x, y, heading)
        start = mix(self._seed, frame) % (15 * ROWS * COLUMNS)
        covered += self._noise[start : start + ROWS * COLUMNS]
        np.clip(covered, 0.0, 255.0, out=covered)
        return covered.astype(np.uint8).reshape(ROWS, COLUMNS)

    def _distance(self, x: float, y: float, heading: float) -> Floats:
        """From each pixel's point on the floor to the line."""
        view = _View(x, y, math.cos(heading), math.sin(heading))
        view_x, view_y = x + _VIEW_CENTRE_M * view.cos, y + _VIEW_CENTRE_M * view.sin
        nearest = np.full(ROWS * COLUMNS, _FAR, np.float32)
        for piece in self._pieces:
            if math.hypot(piece.x - view_x, piece.y - view_y) < piece.radius + _VIEW_RADIUS_M:
                np.minimum(nearest, piece.distance(self._x, self._y, view), out=nearest)
        return nearest

    def _light(self, x: float, y: float, heading: float) -> Floats:
        light = self._vignette.copy()
        for wave in self._waves:
            light += wave.at(self._x, self._y, x, y, heading)
        np.maximum(light, 0.15 * EXPOSURE, out=light)
        return light


@dataclass(frozen=True, slots=True)
class _View:
    """The robot's frame: its place, and cosine and sine of its heading."""

    x: float
    y: float
    cos: float
    sin: float

    def turned(self, x: float, y: float) -> tuple[float, float]:
        """A direction of the world."""
        return x * self.cos + y * self.sin, y * self.cos - x * self.sin

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the world."""
        return self.turned(x - self.x, y - self.y)


class _Seen:
    """A piece as the camera sees it: its bounding circle, and distances in the robot's frame."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self.x, self.y, self.heading = piece.at(0.5 * piece.length)
        self.radius = 0.5 * piece.length

    def distance(self, px: Floats, py: Floats, view: _View) -> Floats:
        """From the points (px, py) of the robot's frame."""
        raise NotImplementedError


class _Straight(_Seen):
    def distance(self, px: Floats, py: Floats, view: _View) -> Floats:
        """Across it, or beyond its ends the excess."""
        along_x, along_y = view.turned(math.cos(self.heading), math.sin(self.heading))
        centre_x, centre_y = view.place(self.x, self.y)
        across = px * -along_y
        across += py * along_x
        across += centre_x * along_y - centre_y * along_x
        np.abs(across, out=across)
        along = px * along_x
        along += py * along_y
        along -= centre_x * along_x + centre_y * along_y
        np.abs(along, out=along)
        along -= self.radius
        np.maximum(across, along, out=across)
        return across


class _Arc(_Seen):
    def distance(self, px: Floats, py: Floats, view: _View) -> Floats:
        """From the circle, within the arc's sector; far outside of it."""
        centre_x, centre_y = self._piece.centre
        middle_x, middle_y = view.turned(self.x - centre_x, self.y - centre_y)
        centre_x, centre_y = view.place(centre_x, centre_y)
        radius = 1.0 / abs(self._piece.curvature)
        dx, dy = px - centre_x, py - centre_y
        along = dx * (middle_x / radius)
        along += dy * (middle_y / radius)
        dx *= dx
        dy *= dy
        dx += dy
        np.sqrt(dx, out=dx)
        outside = along < math.cos(min(math.pi, 0.5 * self._piece.length / radius)) * dx
        dx -= radius
        np.abs(dx, out=dx)
        dx[outside] = _FAR
        return dx


class _Wave:
    """One component of the uneven light: a wave over the floor, the last one sharp like a shadow."""

    def __init__(self, amplitude: float, length_m: float, direction: float, phase: float, sharp: float) -> None:
        self._amplitude, self._sharp, self._phase = amplitude, sharp, phase
        self._k = 2 * math.pi / length_m
        self._direction = direction

    @classmethod
    def of(cls, seed: int, number: int, light: float) -> _Wave:
        """The wave of that number under this light."""
        draw = [uniform(seed, 1000 + 10 * number + index) for index in range(3)]
        length = (1.9, 0.8, 2.6)[number] * (1.0 + 0.3 * draw[0])
        amplitude = light * (0.55, 0.25, 0.45)[number] * EXPOSURE
        return cls(amplitude, length, math.pi * draw[1], math.pi * draw[2], 6.0 if number == 2 else 0.0)

    def at(self, px: Floats, py: Floats, x: float, y: float, heading: float) -> Floats:
        """Brightness that it adds at the points (px, py) of the robot's frame."""
        seen = self._direction - heading
        wave = px * (self._k * math.cos(seen))
        wave += py * (self._k * math.sin(seen))
        wave += self._k * (x * math.cos(self._direction) + y * math.sin(self._direction)) + self._phase
        np.sin(wave, out=wave)
        if self._sharp:
            wave *= self._sharp
            np.clip(wave, -1.0, 1.0, out=wave)
        wave *= self._amplitude
        return wave


def _normals(seed: int, count: int) -> Floats:
    """About standard normal: sums of four bytes of SHAKE-256, the same with every version of numpy."""
    stream = hashlib.shake_256(f"camera/{seed}".encode()).digest(4 * count)
    sums = np.frombuffer(stream, np.uint8).reshape(4, count).sum(0, dtype=np.int32)
    normals: Floats = ((sums - 510) / math.sqrt(4 * (256**2 - 1) / 12)).astype(np.float32)
    return normals


def pixel(ahead_m: float, left_m: float) -> tuple[float, float]:
    """Row and column of a point on the floor, given in the robot's frame; outside of the picture when not in sight."""
    before = ahead_m - AHEAD_M
    depth = before * math.cos(PITCH) + HEIGHT_M * math.sin(PITCH)
    if depth <= 0.0:
        return math.inf, math.inf
    down = (HEIGHT_M * math.cos(PITCH) - before * math.sin(PITCH)) / depth
    return (ROWS - 1) / 2 + down * FOCAL_PX, (COLUMNS - 1) / 2 - left_m / depth * FOCAL_PX


def _floor_points() -> tuple[Floats, Floats, Floats]:
    """Where each pixel's ray meets the floor, in the robot's frame, and how wide a pixel is there."""
    down = (np.arange(ROWS) - (ROWS - 1) / 2)[:, None] / FOCAL_PX
    right = (np.arange(COLUMNS) - (COLUMNS - 1) / 2)[None, :] / FOCAL_PX
    depth = HEIGHT_M / (math.sin(PITCH) + down * math.cos(PITCH))
    return (
        _flat(AHEAD_M + depth * (math.cos(PITCH) - down * math.sin(PITCH))),
        _flat(-depth * right),
        _flat(depth / FOCAL_PX),
    )


def _flat(values: NDArray[np.floating]) -> Floats:
    return np.broadcast_to(values, (ROWS, COLUMNS)).astype(np.float32).ravel()


def _vignette(light: float) -> Floats:
    """Darker corners, more of them where the light is uneven."""
    row, column = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    return _flat((1.0 - 0.4 * light * (row**2 + column**2)) * EXPOSURE)
