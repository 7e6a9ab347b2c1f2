"""How good the written model is, on what it never saw: the simulator's named tracks, under light of other seeds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hal.accelerators.cpu import load
from hal.drivers.sim.camera import COLUMNS, ROWS, Camera
from hal.drivers.sim.tracks import NAMES, track
from hal.model import InputSpec
from training.line_offset.scenes import Batch, label

LIGHT_SEEDS = 500_000
"""Far from those that training draws is not possible, its seeds are random over 2^31; equal ones are unlikely."""


def held_out(each: int, seed: int) -> Batch:
    """So many poses of each track, as a robot that drives sees them: up to 0.1 m and 0.5 rad off its line."""
    generator = np.random.default_rng(seed)
    pictures, labels, sure = [], [], []
    for name in NAMES:
        line = track(name)
        for index in range(each):
            if index % 10 == 0:
                camera = Camera(line, LIGHT_SEEDS + index, generator.uniform(0.1, 0.5))
            s = generator.uniform(0.0, line.length)
            x, y, heading = line.pose(s)
            aside, askew = np.clip(generator.normal(0.0, (0.04, 0.2)), (-0.1, -0.5), (0.1, 0.5))
            pose = (x - aside * math.sin(heading), y + aside * math.cos(heading), heading + askew)
            piece = max(index for index, piece in enumerate(line.pieces) if piece.s <= s)
            answer, seen = label(line, line.locate(piece, *pose[:2]), pose)
            pictures.append(camera.render(*pose, index))
            labels.append(answer)
            sure.append(seen)
    return Batch(np.array(pictures), np.array(labels, np.float32), np.array(sure, np.float32))


def bare(count: int, seed: int) -> NDArray[np.uint8]:
    """Pictures without the line: from places far beside the oval."""
    generator = np.random.default_rng(seed)
    cameras = [Camera(track("oval"), LIGHT_SEEDS + 7 * index, 0.4) for index in range(20)]
    return np.array(
        [cameras[i % 20].render(8.0 + generator.random(), generator.random(), 6 * generator.random(), i)
         for i in range(count)]
    )  # fmt: skip


def answers(model: bytes, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the written model says, in -1..1."""
    kernel = load(model, InputSpec(shape=(ROWS, COLUMNS)), 4, 1, "line-offset")
    return np.array([kernel.run(picture).copy() for picture in pictures])
