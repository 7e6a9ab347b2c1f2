"""Events that are wanted, and how they are read from the record when the daemon does not remember them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agentd.ctl.errors import CtlError
from agentd.event import SEVERITIES, Event
from agentd.store.database import FILE_NAME, StoreError, open_reader

QUERY = """
SELECT id, time_ns, time_ns + ifnull(
         (SELECT offset_ns FROM utc WHERE utc.boot = event.boot ORDER BY utc.time_ns DESC LIMIT 1), utc_ns - time_ns),
       kind, subject, severity, message, data
FROM event
WHERE (?1 IS NULL OR kind = ?1) AND severity IN (SELECT value FROM json_each(?2))
ORDER BY id DESC LIMIT ?3
"""
"""With the time of day as it is known by now: the clock may have been set after the event."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which events are wanted."""

    kind: str | None = None
    severity: str = "info"

    def keeps(self, event: Event) -> bool:
        """Of that kind, and at least that severe."""
        return self.kind in (None, event.kind) and _rank(event.severity) >= _rank(self.severity)

    def last(self, events: Iterable[Event], limit: int) -> list[Event]:
        """The newest that are wanted, oldest first."""
        return [event for event in events if self.keeps(event)][-limit:]


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def recorded(state: Path, sieve: Sieve, limit: int) -> list[Event]:
    """The newest events of the record that are wanted, oldest first. Raises CtlError when it cannot be read."""
    severities = [word for word in SEVERITIES if _rank(word) >= _rank(sieve.severity)]
    try:
        with closing(open_reader(state / FILE_NAME)) as record:
            rows = record.execute(QUERY, (sieve.kind, json.dumps(severities), limit)).fetchall()
    except (StoreError, sqlite3.Error, OSError) as error:
        raise CtlError(f"no events: {error}") from None
    names = ("id", "time_ns", "utc_ns", "kind", "subject", "severity", "message", "data")
    return [Event(**dict(zip(names, (*row[:-1], json.loads(row[-1])), strict=True))) for row in reversed(rows)]
