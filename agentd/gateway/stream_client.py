"""One reader of `/events`: what it has not taken yet, and how that looks on the wire.

Format: HTML Living Standard, section 9.2, Server-sent events.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from agentd.event import Event
from agentd.gateway.readings import Scalar
from agentd.status import NodeStatus

PENDING_EVENTS = 256


class LoopBeat(msgspec.Struct, frozen=True):
    """How far a loop is."""

    tick: int
    age_s: float
    generation: int


class Signals(msgspec.Struct):
    """What changed since the last message."""

    time_s: float
    """CLOCK_BOOTTIME."""
    loops: dict[str, LoopBeat] = {}
    values: dict[str, Scalar | str] = {}
    """A text is the reason why there is no value; for arrays the number of the newest one."""
    verdicts: dict[str, str] = {}
    stale: tuple[str, ...] = ()
    """All signals that are stale now, changed or not."""


class Picture(msgspec.Struct, frozen=True):
    """A small picture: bytes row by row."""

    signal: str
    index: int
    rows: int
    columns: int
    channels: int
    data: str
    """Base64."""


class Client:
    """One reader, and what it has not taken yet."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=PENDING_EVENTS)
        self.dropped = 0
        self.last_id = 0
        self.signals: Signals | None = None
        self.pictures: dict[str, Picture] = {}
        self.status: NodeStatus | None = None
        self.wake = asyncio.Event()
        self.closed = False

    def put_event(self, event: Event) -> None:
        """The oldest goes when there is no room, and is counted. What was put before is not put again."""
        if event.id <= self.last_id:
            return
        self.last_id = event.id
        self.dropped += len(self.events) == PENDING_EVENTS
        self.events.append(event)
        self.wake.set()

    def put_signals(self, news: Signals) -> None:
        """Merged into what waits already."""
        if self.signals is None:
            self.signals = Signals(news.time_s)
        waiting = self.signals
        waiting.time_s, waiting.loops, waiting.stale = news.time_s, news.loops, news.stale
        waiting.values = waiting.values | news.values
        waiting.verdicts = waiting.verdicts | news.verdicts
        self.wake.set()

    def put_picture(self, picture: Picture) -> None:
        """Replaces one of the same signal that waits."""
        self.pictures[picture.signal] = picture
        self.wake.set()

    def put_status(self, status: NodeStatus) -> None:
        """Replaces one that waits."""
        self.status = status
        self.wake.set()

    def take(self) -> bytes:
        """Everything that waits, as messages."""
        self.wake.clear()
        messages = []
        if self.dropped:
            messages.append(message("dropped", {"events": self.dropped}))
        messages += [message("event", event, event.id) for event in self.events]
        for name, content in (("signals", self.signals), ("status", self.status)):
            if content is not None:
                messages.append(message(name, content))
        messages += [message("picture", picture) for picture in self.pictures.values()]
        self.dropped, self.signals, self.status = 0, None, None
        self.events.clear()
        self.pictures.clear()
        return b"".join(messages)


def message(name: str, content: object, number: int | None = None) -> bytes:
    """One message; `number` is what a browser sends back when it reconnects."""
    identity = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (identity, name.encode(), msgspec.json.encode(content))
