"""`/events`: what happens, as server-sent events, for as many readers as there is room for.

One producer looks at the rings ten times a second while anybody reads. What a reader has not taken yet is
merged, not queued: the newest value of each signal, the newest picture, the newest status, and the last
events; so a slow reader costs no more memory than a fast one and sees the present, not the past.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from base64 import b64encode

from aiohttp import web

from agentd.event_log import Follower
from agentd.gateway.errors import Refused
from agentd.gateway.pictures import size_of, thinned
from agentd.gateway.readings import Readings, Scalar, Snapshot
from agentd.gateway.status_cache import StatusCache
from agentd.gateway.stream_client import Client, LoopBeat, Picture, Signals
from agentd.node_view import NodeView
from hal.clock import NS_PER_S, now_ns

MAX_CLIENTS = 32
PERIOD_S = 0.1
STATUS_EVERY = 10
"""A status for this many looks at the rings."""

REPLAYED_EVENTS = 1000
"""At most so many that a reader missed are sent when it comes back."""

STALLED_S = 15.0
"""A reader that takes nothing for so long is dropped."""

COMMENT_S = 15.0
SEND_BUFFER_BYTES = 64 * 1024

_log = logging.getLogger("agentd.gateway")


class Stream:
    """The producer and its readers."""

    def __init__(self, view: NodeView, readings: Readings, statuses: StatusCache, stalled_s: float = STALLED_S) -> None:
        self._view, self._readings, self._statuses, self._stalled_s = view, readings, statuses, stalled_s
        self.clients: set[Client] = set()
        self.dropped_clients_total = 0
        self._task: asyncio.Task[None] | None = None
        self._values: dict[str, Scalar | str] = {}
        self._verdicts: dict[str, str] = {}
        self._pictures: dict[str, Picture] = {}
        self._rows: dict[str, tuple[int, int]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`GET /events?after=ID`: with `after`, or when a browser reconnects, the events since that one first."""
        if len(self.clients) >= MAX_CLIENTS:
            message_ = f"{len(self.clients)} readers already, expected at most {MAX_CLIENTS}"
            raise Refused(503, "busy", message_, {"Retry-After": "5"})
        client = self._join(_after(request))
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            _small_buffers(request)
            await self._send(request, response, b"retry: 2000\n\n")
            await self._serve(request, response, client)
        except ConnectionError:
            pass  # the reader is gone, and that is all
        except TimeoutError:
            self.dropped_clients_total += 1
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.clients.discard(client)
        return response

    def close(self) -> None:
        """End every reader's stream."""
        self._end_clients()
        if self._task is not None:
            self._task.cancel()

    def _end_clients(self) -> None:
        for client in self.clients:
            client.closed = True
            client.wake.set()

    async def _serve(self, request: web.Request, response: web.StreamResponse, client: Client) -> None:
        while not client.closed:
            try:
                async with asyncio.timeout(COMMENT_S):
                    await client.wake.wait()
            except TimeoutError:
                await self._send(request, response, b": nothing new\n\n")
                continue
            await self._send(request, response, client.take())

    async def _send(self, request: web.Request, response: web.StreamResponse, data: bytes) -> None:
        """Raises TimeoutError when the reader does not take it in time, ConnectionError when it is gone."""
        async with asyncio.timeout(self._stalled_s):
            await response.write(data)
            await request.writer.drain()

    def _join(self, after: int | None) -> Client:
        client = Client()
        if self._values:
            client.put_signals(Signals(now_ns() / NS_PER_S, {}, self._values, self._verdicts))
        for picture in self._pictures.values():
            client.put_picture(picture)
        if after is not None:
            for event in self._view.events.recent(REPLAYED_EVENTS, after):
                client.put_event(event)
        client.put_status(self._statuses.get())
        self.clients.add(client)
        if self._task is None or self._task.done():
            follower = self._view.events.follow()  # at once: nothing is to be lost before the task runs
            self._task = asyncio.create_task(self._produce(follower), name="gateway stream")
        return client

    async def _produce(self, follower: Follower) -> None:
        """Until nobody reads any more."""
        try:
            loop = asyncio.get_running_loop()
            due, looks = loop.time(), 0
            while self.clients:
                self._look(follower, looks % STATUS_EVERY == 0)
                looks += 1
                due = max(due + PERIOD_S, loop.time())
                await asyncio.sleep(due - loop.time())
        except Exception:
            _log.exception("the stream failed; its readers are asked to come back")
            self._end_clients()
        finally:
            self._view.events.unfollow(follower)
            for seen in (self._values, self._verdicts, self._pictures, self._rows):
                seen.clear()

    def _look(self, follower: Follower, with_status: bool) -> None:
        news, pictures = Signals(now_ns() / NS_PER_S), []
        for snapshot in self._readings.snapshots():
            self._compare(snapshot, news)
            pictures += self._new_pictures(snapshot)
        events = [follower.queue.get_nowait() for _ in range(follower.queue.qsize())]
        status = self._statuses.get() if with_status else None
        for client in self.clients:
            client.put_signals(news)
            for picture in pictures:
                client.put_picture(picture)
            for event in events:
                client.put_event(event)
            if status is not None:
                client.put_status(status)

    def _compare(self, snapshot: Snapshot, news: Signals) -> None:
        """Put into `news` what changed in one loop."""
        row, name = snapshot.row, snapshot.loop.name
        age_s = snapshot.row_age_s()
        if row is not None and age_s is not None:
            news.loops[name] = LoopBeat(row.tick, age_s, snapshot.generation)
        stale = []
        for column, plan in enumerate(snapshot.columns):
            if plan.role == "foreign":
                continue
            if snapshot.stale(column):
                stale.append(plan.name)
            value = _news(snapshot, column)
            if self._values.get(plan.name, _UNSEEN) != value:
                self._values[plan.name] = news.values[plan.name] = value
            verdict = snapshot.verdict(column)
            if verdict is not None and self._verdicts.get(plan.name) != verdict:
                self._verdicts[plan.name] = news.verdicts[plan.name] = verdict
        news.stale += tuple(stale)

    def _new_pictures(self, snapshot: Snapshot) -> list[Picture]:
        found = []
        for column, plan in enumerate(snapshot.columns):
            size = size_of(plan) if plan.role != "foreign" else None
            if size is None or snapshot.row is None or snapshot.row.reasons[column]:
                continue
            index, before = int(snapshot.row.values[column]), self._rows.get(plan.name)
            if before == (snapshot.generation, index):
                continue
            ring = self._readings.array(snapshot.loop.name, plan.name)
            contents = ring.at(index) if ring else None
            if contents is None:
                continue
            data, rows, columns = thinned(contents[2], *size)
            picture = Picture(plan.name, index, rows, columns, size[2], b64encode(data).decode())
            self._rows[plan.name], self._pictures[plan.name] = (snapshot.generation, index), picture
            found.append(picture)
        return found


_UNSEEN = object()


def _news(snapshot: Snapshot, column: int) -> Scalar | str:
    reason = snapshot.reason(column)
    if reason is not None or snapshot.row is None:
        return reason
    return snapshot.row.values[column] if snapshot.columns[column].type == "array" else snapshot.value(column)


def _after(request: web.Request) -> int | None:
    """Where a reader wants to go on; a browser that reconnects says it in a header."""
    text = request.headers.get("Last-Event-ID") or request.query.get("after")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused(400, "bad_after", f"after {text[:40]!r}: expected the number of an event")
    return int(text)


def _small_buffers(request: web.Request) -> None:
    """What the kernel and the transport hold back is the past: keep it short."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
