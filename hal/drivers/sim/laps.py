"""Laps of a robot on a closed line: counted at the start line, void when the robot had to be put back."""

from __future__ import annotations

from dataclasses import dataclass

_WHOLE = 0.9
"""A lap counts when at least this part of it was driven: turning round at the start line does not."""


@dataclass(slots=True)
class Laps:
    """`s` is the place on the line, `driven` the metres and `clock_s` the seconds since the lap began."""

    length: float
    s: float = 0.0
    driven: float = 0.0
    clock_s: float = 0.0
    valid: bool = True
    count: int = 0
    last_s: float = 0.0
    """Time of the last complete lap in seconds; 0 before the first."""

    def advance(self, s: float, dt_s: float) -> None:
        """The robot has come to `s` in `dt_s`."""
        moved = s - self.s
        crossed = moved < -0.5 * self.length
        moved -= round(moved / self.length) * self.length
        self.s = s
        self.driven += moved
        self.clock_s += dt_s
        if crossed and (not self.valid or self.driven > _WHOLE * self.length):
            self._finish(dt_s * s / moved if moved > 0.0 else 0.0)

    def _finish(self, since_s: float) -> None:
        """At the start line, which was crossed `since_s` seconds ago."""
        if self.valid:
            self.count += 1
            self.last_s = self.clock_s - since_s
        self.valid, self.driven, self.clock_s = True, 0.0, since_s

    def void(self) -> None:
        """The lap under way does not count; the next one begins at the start line."""
        self.valid = False
