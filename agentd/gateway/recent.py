"""`/api/v1/recent`: the last minute of some signals, straight from the rings, before the recorder has it.

A page that is opened in the middle of things begins with it instead of with an empty plot.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from agentd.config.plan import LoopPlan
from agentd.gateway.api import whole
from agentd.gateway.errors import Refused, json_response
from agentd.gateway.readings import Readings, Scalar, Snapshot
from agentd.runtime.ring import RingReader

MAX_SIGNALS = 32
MAX_POINTS = 600
"""Rows looked at in one answer: 5 ms of the daemon's time."""


class Recent(msgspec.Struct, frozen=True):
    """Answer of `/api/v1/recent`: for each signal (time in s of CLOCK_BOOTTIME, value), oldest first."""

    signals: dict[str, list[tuple[float, Scalar]]]


class RecentRows:
    """The handler."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def routes(self) -> list[web.RouteDef]:
        """Where the handler is."""
        return [web.get("/api/v1/recent", self.recent)]

    async def recent(self, request: web.Request) -> web.Response:
        """`signal`, as often as wanted, and `points`: at most so many rows, evenly spread over those there are."""
        names = list(dict.fromkeys(request.query.getall("signal", [])))
        if not 0 < len(names) <= MAX_SIGNALS:
            raise Refused(400, "bad_signal", f"{len(names)} signals, expected 1 to {MAX_SIGNALS} as signal=...")
        points = whole(request, "points", 300, 1, MAX_POINTS)
        by_loop: dict[str, tuple[LoopPlan, list[str]]] = {}
        for name in names:
            owner = self._readings.owner(name)
            known = self._readings.snapshot(owner[1]).columns if owner else ()
            if owner is None or all(plan.name != name for plan in known):
                raise Refused(404, "unknown_signal", f"no signal {name[:80]!r}; see /api/v1/signals")
            by_loop.setdefault(owner[1].name, (owner[1], []))[1].append(name)
        share = max(1, points // len(by_loop))
        found = {name: line for loop, wanted in by_loop.values() for name, line in self._lines(loop, wanted, share)}
        return json_response(Recent(found))

    def _lines(self, loop: LoopPlan, names: list[str], points: int) -> list[tuple[str, list[tuple[float, Scalar]]]]:
        ring = self._readings.ring(loop)
        rows = spread(ring, loop, points) if ring is not None else []
        columns = {plan.name: i for i, plan in enumerate(ring.layout.columns)} if ring is not None else {}
        return [
            (name, [(row.time_s(), row.value(columns[name])) for row in rows] if name in columns else [])
            for name in names
        ]


def spread(ring: RingReader, loop: LoopPlan, points: int) -> list[Snapshot]:
    """At most so many rows, evenly spread over what the ring holds, the newest among them."""
    head, held = ring.head, min(ring.head, ring.capacity)
    if held == 0:
        return []
    step = -(-held // points)
    rows = (ring.row(index) for index in range(head - 1 - (held - 1) // step * step, head, step))
    generation, columns = ring.layout.generation, ring.layout.columns
    return [Snapshot(loop, columns, row, generation, row.time_ns) for row in rows if row is not None]
