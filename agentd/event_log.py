"""The daemon's own memory of recent events, and the way to follow them as they happen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec

from agentd.event import Event
from hal.clock import now_ns, utc_ns

RECENT = 2000
FOLLOWER_QUEUE = 256


class Follower:
    """One reader of new events. When it is too slow the oldest are dropped and counted."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue(FOLLOWER_QUEUE)
        self.dropped_total = 0

    def offer(self, event: Event) -> None:
        """Never blocks."""
        if self.queue.full():
            self.queue.get_nowait()
            self.dropped_total += 1
        with suppress(asyncio.QueueFull):
            self.queue.put_nowait(event)


class EventLog:
    """Numbers events, keeps the last ones, hands them to followers and to the store."""

    def __init__(self, first_id: int = 1, store: Callable[[Event], None] | None = None) -> None:
        self._next, self._store = first_id, store
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._followers: set[Follower] = set()

    def add(self, event: Event) -> Event:
        """Number an event and tell everyone."""
        done = msgspec.structs.replace(event, id=self._next, utc_ns=event.utc_ns or utc_ns() - now_ns() + event.time_ns)
        self._next += 1
        self._recent.append(done)
        for follower in self._followers:
            follower.offer(done)
        if self._store is not None:
            self._store(done)
        return done

    def recent(self, limit: int = 100, after_id: int = 0) -> list[Event]:
        """The newest events, oldest first."""
        return [e for e in self._recent if e.id > after_id][-limit:] if limit > 0 else []

    def follow(self) -> Follower:
        """Start following; give the follower back with `unfollow`."""
        follower = Follower()
        self._followers.add(follower)
        return follower

    def unfollow(self, follower: Follower) -> None:
        """Stop following."""
        self._followers.discard(follower)
