"""Labelled pictures of random lines, from the simulator's camera.

The tracks of the simulator are not among them: every line is drawn at random, so that each named track is held out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hal.drivers.sim.camera import COLUMNS, ROWS, Camera, pixel
from hal.drivers.sim.line_follower import LOOKAHEAD_M
from hal.drivers.sim.tracks import Line, Place, Section

SCALES = {"offset": 0.2, "heading": 1.6, "curvature": 8.0}
"""Full scale of each output; the net's outputs lie in -1..1."""

PREVIEW_M = 0.3
"""`curvature` is the mean over this length, from the look-ahead point on."""

SURE_OFFSET_M, SURE_HEADING_RAD = 0.17, 1.35
POSES_PER_SCENE = 24
BROKEN = 0.03
"""Part of the pictures that come from a broken, covered or dazzled camera: the model must not be sure then."""


@dataclass(slots=True)
class Batch:
    """Pictures (n, 32, 48), labels (n, 3) at full scale 1, and whether the line is in sight (n)."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.float32]
    sure: NDArray[np.float32]


def labelled(count: int, seed: int) -> Batch:
    """So many pictures; the same seed gives the same ones."""
    generator = np.random.default_rng(seed)
    batch = Batch(
        np.empty((count, ROWS, COLUMNS), np.uint8), np.empty((count, 3), np.float32), np.empty(count, np.float32)
    )
    for start in range(0, count, POSES_PER_SCENE):
        line, camera = _scene(generator)
        for index in range(start, min(count, start + POSES_PER_SCENE)):
            place, pose = _pose(line, generator)
            batch.pictures[index] = camera.render(*pose, index)
            batch.labels[index], batch.sure[index] = label(line, place, pose)
            if generator.random() < BROKEN:
                batch.pictures[index], batch.sure[index] = _broken(generator), 0.0
    return batch


def label(line: Line, place: Place, pose: tuple[float, float, float]) -> tuple[tuple[float, float, float], float]:
    """What the net is to answer for a robot at this pose, whose axle is at `place`."""
    x, y, heading = pose
    look = line.locate(place.piece, x + LOOKAHEAD_M * math.cos(heading), y + LOOKAHEAD_M * math.sin(heading))
    ahead = math.remainder(look.heading - heading, math.tau)
    curvature = line.turn(look.s, look.s + PREVIEW_M) / PREVIEW_M
    answer = (look.offset / SCALES["offset"], ahead / SCALES["heading"], curvature / SCALES["curvature"])
    near = abs(look.offset) < SURE_OFFSET_M and abs(ahead) < SURE_HEADING_RAD
    return answer, float(near and _in_sight(line, look.s, pose))


def _in_sight(line: Line, s: float, pose: tuple[float, float, float]) -> bool:
    """At least 0.1 m of the line about the look-ahead point lie in the picture."""
    x, y, heading = pose
    cos, sin = math.cos(heading), math.sin(heading)
    seen = 0
    for step in range(-6, 16):
        there_x, there_y, _ = line.pose(s + 0.02 * step)
        ahead = (there_x - x) * cos + (there_y - y) * sin
        row, column = pixel(ahead, (there_y - y) * cos - (there_x - x) * sin)
        seen += 0.5 < row < ROWS - 1.5 and 0.5 < column < COLUMNS - 1.5
    return seen >= 5


def _scene(generator: np.random.Generator) -> tuple[Line, Camera]:
    """A random line and a camera under random light; every fourth line is crossed by another, some are bare floor."""
    while True:
        line = Line(tuple(_section(generator) for _ in range(int(generator.integers(4, 8)))), closed=False)
        if line.length > 2.2 and not _ambiguous(line):
            break
    scene = Line((), closed=False)
    scene.pieces = list(line.pieces)
    if generator.random() < 0.25:
        scene.pieces += _crossing(line, generator)
    if generator.random() < 0.03:
        scene.pieces = []
    light, noise = generator.uniform(0.0, 0.6), generator.uniform(0.5, 1.6)
    return line, Camera(scene, int(generator.integers(1 << 31)), light, noise)


def _broken(generator: np.random.Generator) -> NDArray[np.uint8]:
    """One grey level from edge to edge, or a fade, with anything between no noise and nothing but noise."""
    grey = np.linspace(*generator.uniform(0, 255, 2), ROWS)[:, None] + np.linspace(
        *generator.uniform(-60, 60, 2), COLUMNS
    )
    grey = grey * (generator.random() < 0.6) + generator.uniform(0, 255) * (generator.random() < 0.5)
    noise = generator.choice((0.0, 4.0, 30.0, 150.0)) * generator.standard_normal((ROWS, COLUMNS))
    if generator.random() < 0.2:
        return generator.integers(0, 256, (ROWS, COLUMNS), np.uint8)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def _section(generator: np.random.Generator) -> Section:
    if generator.random() < 0.4:
        return generator.uniform(0.2, 1.8), 0
    radius = 0.15 + 0.35 * generator.random() ** 1.3
    return radius, generator.choice((-1.0, 1.0)) * generator.uniform(25.0, min(270.0, 75.0 / radius))


def _ambiguous(line: Line) -> bool:
    """Two branches run beside each other where the camera would see both as one, or cross at a small angle."""
    s = np.arange(0.0, line.length, 0.04)
    poses = np.array([line.pose(float(value)) for value in s])
    apart = np.hypot(poses[:, None, 0] - poses[None, :, 0], poses[:, None, 1] - poses[None, :, 1])
    across = np.abs(np.sin(poses[:, None, 2] - poses[None, :, 2]))
    far = np.abs(s[:, None] - s[None, :]) > 0.45
    return bool(np.any(far & (apart < 0.24) & (across < 0.85)))


def _crossing(line: Line, generator: np.random.Generator) -> list:
    """A straight across the line, at about a right angle."""
    x, y, heading = line.pose(generator.uniform(0.4, line.length - 0.8))
    heading += math.pi / 2 + generator.normal(0.0, 0.15)
    straight = Line(((3.0, 0),), closed=False).pieces[0]
    return [type(straight)(x - 1.5 * math.cos(heading), y - 1.5 * math.sin(heading), heading, 3.0, 0.0, 0.0)]


def _pose(line: Line, generator: np.random.Generator) -> tuple[Place, tuple[float, float, float]]:
    """A robot mostly near the line, sometimes far from it or askew."""
    s = generator.uniform(0.25, line.length - 0.9)
    x, y, heading = line.pose(s)
    kind = generator.random()
    if kind < 0.55:
        offset, askew = generator.normal(0.0, 0.04), generator.normal(0.0, 0.2)
    elif kind < 0.9:
        offset, askew = generator.uniform(-0.2, 0.2), generator.normal(0.0, 0.45)
    else:
        offset, askew = generator.uniform(-0.45, 0.45), generator.uniform(-1.6, 1.6)
    x, y = x - offset * math.sin(heading), y + offset * math.cos(heading)
    piece = next(index for index in reversed(range(len(line.pieces))) if line.pieces[index].s <= s)
    return line.locate(piece, x, y), (x, y, heading + askew)
