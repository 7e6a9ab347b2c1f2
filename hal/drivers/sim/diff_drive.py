"""A small differential-drive robot: two driven wheels with motor lag, and tyres with limited grip.

Pure arithmetic without numpy, so that a worker can bring the plant up to date before it imports anything.
Body frame: x ahead, y left; yaw counter-clockwise (ISO 8855). The reference point is the middle of the axle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TRACK_WIDTH_M = 0.12
MOTOR_LAG_S = 0.06
"""Time constant of a small brushed gear motor under speed control."""

WHEEL_SPEED_MAX = 1.5
MAX_CURVATURE = 10.0
"""1/m at full steering: a circle of 0.1 m radius."""

GRIP = 1.45
"""Lateral acceleration in m/s2 beyond which the tyres slip: the robot runs wide and loses speed."""

SLIDING = 0.8
"""What is left of the grip while they slip."""

WHEEL_NOISE = 0.04
"""Spread of a wheel's speed from step to step, as a part of it."""

WHEEL_MISMATCH = 0.02
"""Largest constant difference of one wheel from its nominal speed: why a steering loop wants an integral part."""

TRACTION = 1.5
"""Acceleration and braking in m/s2 that the tyres give: 0.27 m to a stop from 0.9 m/s."""

_STANDSTILL = 1e-4


@dataclass(slots=True)
class Body:
    """Pose in metres and radians, wheel speeds in m/s, and what the robot does now."""

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    left: float = 0.0
    right: float = 0.0
    speed: float = 0.0
    yaw_rate: float = 0.0

    @property
    def standing(self) -> bool:
        """Neither wheel turns."""
        return self.left == 0.0 and self.right == 0.0

    def stop(self) -> None:
        """Wheels and body at rest."""
        self.left = self.right = self.speed = self.yaw_rate = 0.0

    def step(self, dt_s: float, speed: float, steering: float, gains: tuple[float, float]) -> None:
        """Move for `dt_s` with the commanded speed in m/s and steering -1..1; `gains` multiply each wheel's speed."""
        turn = 0.5 * TRACK_WIDTH_M * steering * MAX_CURVATURE
        follow = 1.0 - math.exp(-dt_s / MOTOR_LAG_S)
        left = follow * (_wheel(speed * (1.0 - turn)) * gains[0] - self.left)
        right = follow * (_wheel(speed * (1.0 + turn)) * gains[1] - self.right)
        excess = 0.5 * (left + right)
        excess -= min(max(excess, -TRACTION * dt_s), TRACTION * dt_s)
        self.left += left - excess
        self.right += right - excess
        if speed == 0.0 and abs(self.left) + abs(self.right) < _STANDSTILL:
            self.stop()
            return
        self._roll()
        middle = self.heading + 0.5 * self.yaw_rate * dt_s
        self.x += self.speed * math.cos(middle) * dt_s
        self.y += self.speed * math.sin(middle) * dt_s
        self.heading += self.yaw_rate * dt_s

    def _roll(self) -> None:
        """What the wheels ask of the body, less what the tyres cannot give."""
        self.speed = 0.5 * (self.left + self.right)
        self.yaw_rate = (self.right - self.left) / TRACK_WIDTH_M
        demand = abs(self.speed * self.yaw_rate)
        if demand > GRIP:
            self.yaw_rate *= SLIDING * GRIP / demand
            self.speed *= max(0.85, 1.0 - 0.05 * (demand - GRIP))


def _wheel(speed: float) -> float:
    return min(max(speed, -WHEEL_SPEED_MAX), WHEEL_SPEED_MAX)
