"""What can be asked: health, status, signals, events, the plan. All of it reads and none of it writes."""

from __future__ import annotations

import math

import msgspec
from aiohttp import web

from agentd.config.plan import NodePlan
from agentd.event import KINDS, Event
from agentd.gateway.errors import Refused, json_response
from agentd.gateway.pictures import png, size_of
from agentd.gateway.readings import Reading, Readings
from agentd.gateway.status_cache import StatusCache
from agentd.node_view import NodeView

MAX_EVENTS = 1000
DEFAULT_EVENTS = 100
SCAN_EVENTS = 100_000
"""More than the daemon remembers: a filter looks at all of them."""


class Health(msgspec.Struct, frozen=True):
    """Answer of `/healthz` and `/readyz`."""

    ok: bool
    problems: tuple[str, ...]


class SignalList(msgspec.Struct, frozen=True):
    """Answer of `/api/v1/signals`."""

    signals: list[Reading]


class EventList(msgspec.Struct, frozen=True):
    """Answer of `/api/v1/events`, oldest first."""

    events: list[Event]


class Api:
    """The handlers that read."""

    def __init__(self, view: NodeView, readings: Readings, statuses: StatusCache) -> None:
        self._view, self._readings, self._statuses = view, readings, statuses

    def routes(self) -> list[web.RouteDef]:
        """Where the handlers are."""
        return [
            web.get("/healthz", self.live),
            web.get("/readyz", self.ready),
            web.get("/api/v1/status", self.status),
            web.get("/api/v1/signals", self.signals),
            web.get("/api/v1/signals/{name}", self.signal),
            web.get("/api/v1/events", self.events),
            web.get("/api/v1/config", self.config),
        ]

    async def live(self, _request: web.Request) -> web.Response:
        """200 while the daemon's own work is on time: a supervisor restarts it otherwise."""
        status = self._statuses.get()
        return _health(status.live, status.problems)

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when every loop runs; else 503, and why."""
        status = self._statuses.get()
        return _health(status.ready, status.problems)

    async def status(self, _request: web.Request) -> web.Response:
        """A `NodeStatus`."""
        return json_response(self._statuses.get())

    async def signals(self, _request: web.Request) -> web.Response:
        """Every signal with its latest value."""
        return json_response(SignalList(self._readings.all()))

    async def signal(self, request: web.Request) -> web.Response:
        """One signal; `format=raw` gives an array's bytes, `format=png` a picture."""
        name = request.match_info["name"]
        reading = self._readings.one(name)
        if reading is None:
            near = self._readings.near(name)
            hint = f"; did you mean {near!r}?" if near else "; see /api/v1/signals"
            raise Refused(404, "unknown_signal", f"no signal {name[:80]!r}{hint}")
        form = request.query.get("format", "json")
        if form == "json":
            return json_response(reading)
        if form not in ("raw", "png"):
            raise Refused(400, "bad_format", f"format {form[:20]!r}: expected json, raw or png")
        return self._contents(reading, form)

    def _contents(self, reading: Reading, form: str) -> web.Response:
        """Raises Refused when there are none."""
        if reading.type != "array":
            raise Refused(
                400, "not_an_array", f"{reading.name} is a {reading.type}: expected no format, or format=json"
            )
        ring = self._readings.array(reading.loop, reading.name)
        found = ring.latest() if ring is not None else None
        if ring is None or found is None:
            raise Refused(404, "absent", f"{reading.name} has no value now: {reading.reason or 'not_yet'}")
        index, time_ns, data = found
        shape = "x".join(map(str, ring.signal.shape))
        headers = {"Cache-Control": "no-store", "X-Index": str(index), "X-Time-Ns": str(time_ns)}
        if form == "raw":
            headers |= {"X-Shape": shape, "X-Dtype": ring.signal.dtype}
            return web.Response(body=data, content_type="application/octet-stream", headers=headers)
        size = size_of(ring.signal)
        if size is None:
            kind = f"{ring.signal.dtype} {shape}"
            raise Refused(
                400, "not_a_picture", f"{reading.name} is {kind}, expected uint8 rows x columns; use format=raw"
            )
        return web.Response(body=png(data, *size), content_type="image/png", headers=headers)

    async def events(self, request: web.Request) -> web.Response:
        """The newest events: `limit`, `after` (an id), `kind`."""
        limit = whole(request, "limit", DEFAULT_EVENTS, 1, MAX_EVENTS)
        after = whole(request, "after", 0, 0, 2**62)
        kind = request.query.get("kind")
        if kind is None:
            return json_response(EventList(self._view.events.recent(limit, after)))
        if kind not in KINDS:
            raise Refused(400, "bad_kind", f"kind {kind[:40]!r}: expected one of {', '.join(sorted(KINDS))}")
        found = [event for event in self._view.events.recent(SCAN_EVENTS, after) if event.kind == kind]
        return json_response(EventList(found[-limit:]))

    async def config(self, _request: web.Request) -> web.Response:
        """The plan in force."""
        plan: NodePlan = self._view.plan
        return json_response(plan)


def _health(ok: bool, problems: tuple[str, ...]) -> web.Response:
    return json_response(Health(ok, problems), 200 if ok else 503)


def whole(request: web.Request, key: str, default: int, low: int, high: int) -> int:
    """A whole number of the query. Raises Refused when it is none, or out of range."""
    text = request.query.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not low <= int(text) <= high:
        raise Refused(400, f"bad_{key}", f"{key} {text[:40]!r}: expected a whole number from {low} to {high}")
    return int(text)


def number(request: web.Request, key: str, default: float) -> float:
    """A number of the query. Raises Refused when it is none, or not finite."""
    text = request.query.get(key)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refused(400, f"bad_{key}", f"{key} {text[:40]!r}: expected a number")
    return value
