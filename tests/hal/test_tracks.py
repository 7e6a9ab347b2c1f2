"""Tracks are closed lines, and a robot stays on its branch."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.drivers.sim.tracks import NAMES, Line, track


@pytest.mark.parametrize("name", NAMES)
def test_track_ends_where_and_as_it_began(name: str) -> None:
    line = track(name)
    x, y, heading = line.end
    assert (x, y, math.remainder(heading, math.tau)) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_line_has_no_jump_and_no_kink(name: str) -> None:
    line = track(name)
    places = [line.pose(line.length * i / 2000) for i in range(2001)]
    for (x, y, heading), (next_x, next_y, next_heading) in pairwise(places):
        assert math.hypot(next_x - x, next_y - y) <= line.length / 2000 + 1e-9
        assert abs(math.remainder(next_heading - heading, math.tau)) < 0.03


@given(st.sampled_from(NAMES), st.floats(0.0, 1.0, exclude_max=True), st.floats(-0.12, 0.12))
def test_a_point_beside_the_line_is_located_where_it_was_put(name: str, part: float, aside: float) -> None:
    line = track(name)
    s = part * line.length
    x, y, heading = line.pose(s)
    piece = max(index for index, piece in enumerate(line.pieces) if piece.s <= s)
    place = line.locate(piece, x - aside * math.sin(heading), y + aside * math.cos(heading))
    assert place.offset == pytest.approx(aside, abs=1e-9)
    assert math.remainder(place.s - s, line.length) == pytest.approx(0.0, abs=1e-6)
    assert math.remainder(place.heading - heading, math.tau) == pytest.approx(0.0, abs=1e-6)


def test_left_of_the_line_is_positive() -> None:
    assert Line(((1.0, 0),), closed=False).locate(0, 0.5, 0.1).offset == pytest.approx(0.1)


def test_where_the_line_crosses_itself_the_branch_is_kept() -> None:
    line = track("eight")
    x, y, _heading = line.pose(0.4)
    assert line.locate(0, x, y).s == pytest.approx(0.4)
    other = line.locate(2, x, y)
    assert other.piece == 2
    assert other.s == pytest.approx(line.pieces[2].s + 0.4)


def test_turn_counts_whole_laps() -> None:
    line = track("oval")
    assert line.turn(0.1, 0.1 + line.length) == pytest.approx(math.tau)
    assert line.turn(line.length - 0.1, line.length + 0.1) == pytest.approx(0.1 / 0.3)


def test_an_unknown_track_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="'ovel': expected one of oval, eight"):
        track("ovel")
