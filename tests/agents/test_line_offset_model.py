"""The shipped model reaches the errors that its manifest states, on tracks and light that it was not trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hal.drivers.sim.camera import COLUMNS, ROWS, Camera, pixel
from hal.drivers.sim.line_follower import LOOKAHEAD_M
from hal.drivers.sim.tracks import NAMES, Line, Place, track
from hal.model import SHIPPED, LoadedModel, Model

POSES = 400
PREVIEW_M = 0.3


@dataclass
class Seen:
    """Answers and truths of the poses that were tried, in the order of the manifest's outputs."""

    answers: NDArray[np.float64]
    truths: NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(SHIPPED / "line-offset.tflite")


@pytest.fixture(scope="module")
def loaded(model: Model) -> LoadedModel:
    return model.load()


Pose = tuple[float, float, float]


def look(line: Line, s: float, pose: Pose) -> Place:
    """Where the look-ahead point is."""
    x, y, heading = pose
    piece = max(index for index, piece in enumerate(line.pieces) if piece.s <= s)
    return line.locate(piece, x + LOOKAHEAD_M * math.cos(heading), y + LOOKAHEAD_M * math.sin(heading))


def truth(line: Line, place: Place, pose: Pose) -> Pose:
    """Offset, heading and curvature there, from the track's geometry."""
    ahead = math.remainder(place.heading - pose[2], math.tau)
    return place.offset, ahead, line.turn(place.s, place.s + PREVIEW_M) / PREVIEW_M


def in_sight(line: Line, s: float, pose: Pose) -> bool:
    """A tenth of a metre of the line about the look-ahead point lies in the picture."""
    x, y, heading = pose
    cos, sin = math.cos(heading), math.sin(heading)
    rows_columns = []
    for step in range(-6, 16):
        there_x, there_y, _ = line.pose(s + 0.02 * step)
        dx, dy = there_x - x, there_y - y
        rows_columns.append(pixel(dx * cos + dy * sin, dy * cos - dx * sin))
    return sum(1 < row < ROWS - 2 and 1 < column < COLUMNS - 2 for row, column in rows_columns) >= 6


@pytest.fixture(scope="module", params=NAMES)
def seen(request: pytest.FixtureRequest, loaded: LoadedModel) -> Seen:
    """A robot that drives: up to 0.1 m and 0.5 rad off its line, under light of a new seed every ten poses."""
    line = track(request.param)
    generator = np.random.default_rng(2026)
    answers, truths = [], []
    for number in range(POSES):
        if number % 10 == 0:
            camera = Camera(line, seed=900_000 + number, light=generator.uniform(0.1, 0.5))
        s = generator.uniform(0.0, line.length)
        x, y, heading = line.pose(s)
        aside, askew = np.clip(generator.normal(0.0, (0.04, 0.2)), (-0.1, -0.5), (0.1, 0.5))
        pose = (x - aside * math.sin(heading), y + aside * math.cos(heading), heading + askew)
        place = look(line, s, pose)
        if in_sight(line, place.s, pose):
            answers.append(loaded.run(camera.render(*pose, number)))
            truths.append(truth(line, place, pose))
    return Seen(np.array(answers), np.array(truths))


def test_stated_errors_hold_on_each_track(model: Model, seen: Seen) -> None:
    errors = np.abs(seen.answers[:, :3] - seen.truths)
    for output, of_output in zip(model.manifest.outputs, errors.T, strict=False):
        assert output.error is not None
        assert of_output.mean() <= 1.5 * output.error.mean, output.name  # the statement is over all tracks
        assert np.mean(of_output > output.error.p99) <= 0.03, output.name


def test_stated_offset_error_is_good_enough_to_steer_by(model: Model) -> None:
    error = model.manifest.outputs[0].error
    assert error is not None
    assert error.mean <= 0.004
    assert error.p99 <= 0.015


def test_it_is_sure_where_the_line_is_in_sight(seen: Seen) -> None:
    assert np.mean(seen.answers[:, 3] > 0.5) > 0.985


def test_it_is_not_sure_of_a_bare_floor(loaded: LoadedModel) -> None:
    camera = Camera(track("oval"), seed=77, light=0.5)
    sure = [loaded.run(camera.render(7.0 + 0.02 * i, 3.0, 0.1 * i, i))[3] > 0.5 for i in range(200)]
    assert sum(sure) == 0


@pytest.mark.parametrize("kind", ["noise", "dark", "dazzled", "grey"])
def test_it_is_not_sure_of_a_broken_camera(loaded: LoadedModel, kind: str) -> None:
    generator = np.random.default_rng(5)
    level = {"dark": 0, "dazzled": 255, "grey": 128}.get(kind, 0)
    for _ in range(20):
        noise = generator.integers(0, 256 if kind == "noise" else 5, (32, 48))
        picture = np.clip(level + noise, 0, 255).astype(np.uint8)
        assert loaded.run(picture)[3] < 0.5


def test_signs_follow_iso_8855(loaded: LoadedModel) -> None:
    camera = Camera(Line(((3.0, 0),), closed=False), light=0.2)
    offset, heading, *_ = loaded.run(camera.render(0.5, 0.05, 0.0, 1))
    assert offset == pytest.approx(0.05, abs=0.01)  # left of the line
    offset, heading, *_ = loaded.run(camera.render(0.5, 0.0, 0.3, 1))
    assert heading == pytest.approx(-0.3, abs=0.08)  # turned left, so the line leads to the right
    bend = Camera(Line(((0.6, 0), (0.3, 180)), closed=False), light=0.2)
    assert loaded.run(bend.render(0.4, 0.0, 0.0, 1))[2] == pytest.approx(1 / 0.3, abs=1.2)  # bends to the left
