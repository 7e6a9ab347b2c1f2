"""When ticks happen: absolute deadlines on one grid. What is late is skipped, never piled up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Schedule:
    """Tick `k` is due at `origin_ns + k * period_ns`."""

    period_ns: int
    origin_ns: int
    number: int = 0
    skipped_total: int = 0

    @property
    def deadline_ns(self) -> int:
        """When the next tick is due."""
        return self.origin_ns + self.number * self.period_ns

    def woke(self, now_ns: int) -> int:
        """Woken at `now_ns`: drop the ticks whose whole period has passed. How many were."""
        behind = (now_ns - self.deadline_ns) // self.period_ns
        if behind <= 0:
            return 0
        self.number += behind
        self.skipped_total += behind
        return behind

    def done(self, now_ns: int) -> int:
        """The tick ended at `now_ns`: the next is the first that is not due yet. How many were dropped."""
        ahead = max(1, -((self.origin_ns - now_ns) // self.period_ns) - self.number)
        self.number += ahead
        self.skipped_total += ahead - 1
        return ahead - 1
