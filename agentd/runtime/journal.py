"""What a worker reports: at once when it is new, counted when it repeats, so that nothing floods the daemon."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from agentd.runtime.letters import Report
from hal.clock import NS_PER_S

REPEAT_NS = 5 * NS_PER_S
ROUTINE_NS = 60 * NS_PER_S
"""For what is no trouble at all: a slew limit at work."""
MAX_KEYS = 512
MAX_CAUSES = 4
"""Of one part at a time: what says something else each time is counted like a repetition."""
_NUMBER = re.compile(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?")


class Journal:
    """Reports by key: the first passes, repetitions within five seconds are counted into the next."""

    def __init__(self, now_ns: Callable[[], int], send: Callable[[Report], bool]) -> None:
        self._now_ns, self._send = now_ns, send
        self._last: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.lost_total = 0

    def report(self, kind: str, subject: str, severity: str, message: str) -> None:
        """Report an event without further data; another cause, or another severity, is told at once.

        A message that differs in its numbers only is the same cause.
        """
        key = f"{severity}: {_NUMBER.sub('#', message)}"
        if (kind, subject, key) not in self._last and self._causes(kind, subject) >= MAX_CAUSES:
            key = severity
        self.tell(kind, subject, severity, message, {}, key=key)

    def _causes(self, kind: str, subject: str) -> int:
        """How many causes of a subject were told within the last five seconds."""
        since_ns = self._now_ns() - REPEAT_NS
        return sum(
            last_ns > since_ns for (of, who, _), (last_ns, _) in self._last.items() if (of, who) == (kind, subject)
        )

    def tell(  # noqa: PLR0917 - one line for each field of an event
        self,
        kind: str,
        subject: str,
        severity: str,
        message: str,
        data: dict[str, Any],
        key: str = "",
        *,
        repeat_ns: int = REPEAT_NS,
    ) -> None:
        """Report an event; `key` tells apart what may repeat independently, after `repeat_ns`."""
        now_ns = self._now_ns()
        known = (kind, subject, key)
        last_ns, held_back = self._last.get(known, (-repeat_ns, 0))
        if now_ns - last_ns < repeat_ns:
            self._last[known] = (last_ns, held_back + 1)
            return
        if len(self._last) >= MAX_KEYS:
            self._last.clear()
        self._last[known] = (now_ns, 0)
        if held_back:
            message = f"{message} ({held_back} more like this were not listed)"
            data = {**data, "held_back": held_back}
        letter = Report(time_ns=now_ns, kind=kind, subject=subject, severity=severity, message=message, data=data)
        if not self._send(letter):
            self.lost_total += 1
