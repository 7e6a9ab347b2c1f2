"""Tracks of the simulated line follower: closed lines made of straights and arcs.

World frame: x and y in metres on the floor, headings counter-clockwise from x (ISO 8855). Distances
along the line, `s`, run from 0 at the start line to `length`. Left of the line is positive.

A half of a track whose headings add up to 180 degrees closes when it is driven twice, a third with 120
degrees when it is driven three times, and so on: that is how the tables below are made.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

Section = tuple[float, float]
"""(length in m, 0) is a straight; (radius in m, degrees) an arc, positive degrees to the left."""

_TABLE: dict[str, tuple[int, tuple[Section, ...]]] = {
    # name: (how often the sections are driven in one lap, sections)
    "oval": (2, ((1.7, 0), (0.3, 180))),
    "eight": (1, ((0.8, 0), (0.4, 270), (0.8, 0), (0.4, -270))),
    "chicane": (2, ((0.9, 0), (0.3, 60), (0.25, -120), (0.3, 60), (0.5, 0), (0.35, 180))),
    "hairpin": (2, ((1.3, 0), (0.2, 180), (0.6, 0), (0.25, -90), (0.25, 90))),
    "clover": (3, ((0.5, 0), (0.3, 210), (0.4, -90))),
}

NAMES = tuple(_TABLE)


@dataclass(frozen=True, slots=True)
class Piece:
    """A straight (`curvature` 0) or an arc, from its start pose; `s` is where it begins on the track."""

    x: float
    y: float
    heading: float
    length: float
    curvature: float
    s: float

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the arc."""
        return self.x - math.sin(self.heading) / self.curvature, self.y + math.cos(self.heading) / self.curvature

    def at(self, distance: float) -> tuple[float, float, float]:
        """Pose `distance` metres after its start: x, y, heading."""
        if self.curvature == 0.0:
            return (
                self.x + distance * math.cos(self.heading),
                self.y + distance * math.sin(self.heading),
                self.heading,
            )
        centre_x, centre_y = self.centre
        heading = self.heading + distance * self.curvature
        return centre_x + math.sin(heading) / self.curvature, centre_y - math.cos(heading) / self.curvature, heading

    def project(self, x: float, y: float) -> tuple[float, float]:
        """Distance along the prolonged piece of the point nearest to (x, y), and how far left of it (x, y) is."""
        if self.curvature == 0.0:
            dx, dy = x - self.x, y - self.y
            cos, sin = math.cos(self.heading), math.sin(self.heading)
            return cos * dx + sin * dy, cos * dy - sin * dx
        centre_x, centre_y = self.centre
        dx, dy = x - centre_x, y - centre_y
        side = math.copysign(1.0, self.curvature)
        turned = side * (math.atan2(dy, dx) - self.heading) + math.pi / 2
        middle = 0.5 * self.length * abs(self.curvature)
        turned -= 2 * math.pi * round((turned - middle) / (2 * math.pi))
        return turned / abs(self.curvature), side * (1 / abs(self.curvature) - math.hypot(dx, dy))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point is relative to the line: the piece, `s`, metres left of the line, the line's heading there."""

    piece: int
    s: float
    offset: float
    heading: float


class Line:
    """Pieces one after the other. A `closed` line begins again at its end."""

    def __init__(self, sections: tuple[Section, ...], closed: bool = True) -> None:
        self.pieces: list[Piece] = []
        self.closed = closed
        x, y, heading, s = 0.0, 0.0, 0.0, 0.0
        for size, degrees in sections:
            curvature = math.copysign(1.0 / size, degrees) if degrees else 0.0
            length = math.radians(abs(degrees)) * size if degrees else size
            piece = Piece(x, y, heading, length, curvature, s)
            self.pieces.append(piece)
            x, y, heading = piece.at(length)
            s += length
        self.length = s
        self.end = (x, y, heading)
        self._starts = [piece.s for piece in self.pieces]

    def pose(self, s: float) -> tuple[float, float, float]:
        """Pose on the line at `s`: x, y, heading."""
        s = s % self.length if self.closed else min(max(s, 0.0), self.length)
        piece = self.pieces[bisect_right(self._starts, s) - 1]
        return piece.at(s - piece.s)

    def turn(self, start: float, end: float) -> float:
        """By how much the line turns left between two places, in radians."""
        laps = math.floor(end / self.length) - math.floor(start / self.length) if self.closed else 0
        return laps * (self.end[2] - self.pieces[0].heading) + self.pose(end)[2] - self.pose(start)[2]

    def locate(self, piece: int, x: float, y: float) -> Place:
        """The place of (x, y), searched from `piece` onwards and backwards.

        Only neighbours are looked at, so that where the line crosses itself a robot stays on its branch.
        """
        count = len(self.pieces)
        for _ in range(count):
            here = self.pieces[piece]
            distance, offset = here.project(x, y)
            wanted = 1 if distance > here.length else -1 if distance < 0.0 else 0
            if wanted == 0 or not (self.closed or 0 <= piece + wanted < count):
                break
            piece = (piece + wanted) % count
        distance = min(max(distance, 0.0), here.length)
        return Place(piece, here.s + distance, offset, here.heading + distance * here.curvature)


def track(name: str) -> Line:
    """The track of that name; ValueError names the known ones."""
    try:
        laps, sections = _TABLE[name]
    except KeyError:
        raise ValueError(f"track {name!r}: expected one of {', '.join(NAMES)}") from None
    return Line(sections * laps)
