"""How often a worker may be started again, and how long to wait before it. Pure."""

from __future__ import annotations

from collections import deque

from hal.clock import NS_PER_S

WINDOW_NS = 60 * NS_PER_S
LIMIT = 5
"""Deaths within the window; one more latches the loop."""
FIRST_NS = NS_PER_S // 10
LAST_NS = 5 * NS_PER_S
"""How long a worker that only holds a latched loop safe waits before it is started again."""


class Backoff:
    """The first restart is immediate, then 0.1 s, doubled each time until the limit latches the loop."""

    def __init__(self) -> None:
        self._deaths: deque[int] = deque(maxlen=LIMIT + 1)

    def died(self, now_ns: int) -> int | None:
        """How long to wait before the next start; None when the limit is passed."""
        self._deaths.append(now_ns)
        recent = sum(1 for at in self._deaths if now_ns - at <= WINDOW_NS)
        if recent > LIMIT:
            return None
        return 0 if recent == 1 else FIRST_NS << (recent - 2)

    def clear(self) -> None:
        """A person has cleared the latch: start counting anew."""
        self._deaths.clear()
