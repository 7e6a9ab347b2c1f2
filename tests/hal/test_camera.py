"""Pictures of the simulated camera."""

from __future__ import annotations

import numpy as np
import pytest

from hal.drivers.sim.camera import COLUMNS, ROWS, Camera, pixel
from hal.drivers.sim.tracks import Line, track

POSE = (0.3, 0.0, 0.0)


def dark_column(camera: Camera, aside_m: float, heading: float, row: int = 24) -> float:
    """Mean column of the line in that row, seen by a robot that is so far left of it."""
    picture = camera.render(0.3, aside_m, heading, 1)[row].astype(float)
    dark = np.clip(picture.max() * 0.6 - picture, 0, None)
    return float((dark * np.arange(COLUMNS)).sum() / dark.sum())


@pytest.fixture
def even() -> Camera:
    return Camera(Line(((3.0, 0),), closed=False), light=0.0, noise=0.0)


def test_picture_has_the_declared_shape_and_type() -> None:
    picture = Camera(track("oval")).render(*POSE, 1)
    assert picture.shape == (ROWS, COLUMNS) == (32, 48)
    assert picture.dtype == np.uint8


def test_same_seed_and_frame_give_the_same_picture() -> None:
    first, second = Camera(track("eight"), seed=5), Camera(track("eight"), seed=5)
    for frame in range(5):
        assert np.array_equal(first.render(*POSE, frame), second.render(*POSE, frame))


def test_another_seed_or_frame_gives_another_picture() -> None:
    first, second = Camera(track("eight"), seed=5), Camera(track("eight"), seed=6)
    assert not np.array_equal(first.render(*POSE, 1), second.render(*POSE, 1))
    assert not np.array_equal(first.render(*POSE, 1), first.render(*POSE, 2))


def test_line_is_in_the_middle_for_a_robot_on_it(even: Camera) -> None:
    assert dark_column(even, 0.0, 0.0) == pytest.approx((COLUMNS - 1) / 2, abs=0.1)


def test_robot_left_of_its_line_sees_it_on_the_right(even: Camera) -> None:
    assert dark_column(even, 0.04, 0.0) > COLUMNS / 2 + 3


def test_robot_turned_left_sees_its_line_on_the_right(even: Camera) -> None:
    assert dark_column(even, 0.0, 0.2, row=8) > COLUMNS / 2 + 3


def test_near_line_is_wider_than_far_line(even: Camera) -> None:
    picture = even.render(*POSE, 1)
    assert (picture[-1] < 100).sum() > 2 * (picture[4] < 100).sum() > 0


def test_a_curve_to_the_left_leads_to_the_left() -> None:
    camera = Camera(Line(((0.5, 0), (0.4, 90)), closed=False), light=0.0, noise=0.0)
    row = camera.render(0.25, 0.0, 0.0, 1)[3]
    assert int(row.argmin()) < COLUMNS / 2 - 2


def test_light_is_uneven_and_never_dark() -> None:
    camera = Camera(Line((), closed=False), seed=3, light=0.6, noise=0.0)
    means = [camera.render(0.1 * i, 0.0, 0.0, 1).mean() for i in range(100)]
    assert max(means) > 1.4 * min(means)
    assert min(means) > 20


def test_both_branches_are_in_sight_at_the_crossing() -> None:
    camera = Camera(track("eight"), light=0.0, noise=0.0)
    picture = camera.render(*track("eight").pose(0.1), 1)
    dark = picture < 80
    assert dark[:, 22:26].any(1).mean() > 0.9  # along
    assert dark.all(1).any()  # across, from edge to edge


def test_pixel_of_a_point_on_the_floor_is_where_the_line_is_seen(even: Camera) -> None:
    row, column = pixel(0.12, -0.04)
    assert dark_column(even, 0.04, 0.0, row=round(row)) == pytest.approx(column, abs=0.5)


def test_a_point_behind_the_camera_is_not_in_the_picture() -> None:
    row, _column = pixel(-0.2, 0.0)
    assert row >= ROWS
