"""The daemon's events: numbered, kept for a while, handed to followers and to the store."""

from __future__ import annotations

import asyncio

from agentd.event import Event
from agentd.event_log import FOLLOWER_QUEUE, RECENT, EventLog
from hal.clock import now_ns, utc_ns


def event(message: str, time_ns: int = 0) -> Event:
    return Event(time_ns=time_ns, kind="start", subject="drive", message=message)


def test_events_are_numbered_from_where_the_store_ended() -> None:
    log = EventLog(first_id=41)
    assert [log.add(event(text)).id for text in "ab"] == [41, 42]


def test_an_event_gets_the_wall_time_of_its_moment() -> None:
    done = EventLog().add(event("a", now_ns() - 5_000_000_000))
    assert abs(done.utc_ns - (utc_ns() - 5_000_000_000)) < 1_000_000_000
    assert EventLog().add(Event(time_ns=0, kind="start", subject="x", message="y", utc_ns=77)).utc_ns == 77


def test_recent_events_are_the_newest_oldest_first() -> None:
    log = EventLog()
    for number in range(RECENT + 10):
        log.add(event(str(number)))
    assert [e.message for e in log.recent(3)] == [str(RECENT + n) for n in (7, 8, 9)]
    assert [e.message for e in log.recent(5, after_id=RECENT + 8)] == [str(RECENT + n) for n in (8, 9)]
    assert log.recent(0) == []
    assert len(log.recent(10**6)) == RECENT


def test_the_store_gets_every_event() -> None:
    stored: list[Event] = []
    log = EventLog(store=stored.append)
    log.add(event("a"))
    assert [e.message for e in stored] == ["a"]


def test_a_follower_that_is_too_slow_loses_the_oldest_and_is_told_how_many() -> None:
    async def follow() -> tuple[list[str], int]:
        log = EventLog()
        follower = log.follow()
        for number in range(FOLLOWER_QUEUE + 5):
            log.add(event(str(number)))
        log.unfollow(follower)
        log.add(event("after"))
        found = [follower.queue.get_nowait().message for _ in range(follower.queue.qsize())]
        return found, follower.dropped_total

    assert asyncio.run(follow()) == ([str(n) for n in range(5, FOLLOWER_QUEUE + 5)], 5)
