"""Events that are wanted, and how they are read from the record when the daemon does not remember them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agentd.ctl.errors import CtlError
from agentd.event import SEVERITIES, Event

FURTHER = 8
"""So many times more events are read when too few of them were severe enough."""


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
    from agentd.store import catalogue, database, query  # noqa: PLC0415 - only here: they read chunks too, slowly

    try:
        with closing(query.open_record(state / database.FILE_NAME)) as record:
            asked = limit
            while True:
                found = query.events(record, kind=sieve.kind, limit=asked)
                wanted = sieve.last(found, limit)
                if len(wanted) == limit or len(found) < asked:
                    return wanted
                asked *= FURTHER
    except (catalogue.RecordError, sqlite3.Error) as error:
        raise CtlError(f"no events: {error}") from None
