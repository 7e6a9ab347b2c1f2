"""Server-sent events: what happens arrives, and a slow reader costs nobody anything."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from agentd.event import Event
from agentd.gateway.stream import MAX_CLIENTS
from agentd.gateway.stream_client import PENDING_EVENTS, Client, LoopBeat, Picture, Signals
from hal.signal import Absent
from tests.agentd.gateway.fake_node import COLUMNS, ROWS
from tests.agentd.gateway.served import Condition, Messages, Served

PICTURE = bytes(i % 251 for i in range(ROWS * COLUMNS))


def contents(found: Messages, kind: str) -> list[Any]:
    """What the messages of one kind say."""
    return [content for name, content in found if name == kind]


def has(kind: str, count: int = 1) -> Condition:
    """A condition to wait for."""
    return lambda found: len(contents(found, kind)) >= count


def test_a_new_reader_gets_status_signals_and_picture(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.5, "robot.lap_time": Absent.NOT_GIVEN, "robot.camera": PICTURE})
    found = served.follow("/events", lambda m: has("picture")(m) and has("signals")(m) and has("status")(m))
    assert contents(found, "status")[0]["node"] == "robot-1"
    signals = contents(found, "signals")[0]
    assert signals["values"]["robot.x"] == 1.5
    assert signals["values"]["robot.lap_time"] == "not_given"
    assert signals["values"]["host.cpu_use"] == "loop_silent"
    assert signals["verdicts"]["robot.speed"] == "as_asked"
    assert signals["loops"]["drive"]["tick"] == 0
    picture = contents(found, "picture")[0]
    assert (picture["rows"], picture["columns"], b64decode(picture["data"])) == (ROWS, COLUMNS, PICTURE)


def test_only_what_changed_is_sent_again(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.5, "robot.y": 2.5})

    def moved(found: Messages) -> bool:
        if has("signals")(found) and not has("signals", 2)(found):
            served.node.publish("drive", {"robot.x": 1.6, "robot.y": 2.5})
        return has("signals", 3)(found)

    later = contents(served.follow("/events", moved), "signals")[1:]
    changed = {name: value for message in later for name, value in message["values"].items()}
    assert changed == {"robot.x": 1.6}


def test_stale_values_are_named(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.5}, age_ns=5_000_000_000)
    signals = contents(served.follow("/events", has("signals")), "signals")[0]
    assert "robot.x" in signals["stale"]
    assert "vision.offset" not in signals["stale"]  # absent is not stale


def test_an_event_arrives_as_it_happens(served: Served) -> None:
    def told(found: Messages) -> bool:
        if has("status")(found) and not served.node.events.recent():
            served.node.tell("guard", "robot.speed", "clamped", asked=2.0)
        return has("event")(found)

    event = contents(served.follow("/events", told), "event")[0]
    assert (event["kind"], event["subject"], event["data"]) == ("guard", "robot.speed", {"asked": 2.0})


@pytest.mark.parametrize(("path", "headers"), [("/events?after=1", {}), ("/events", {"Last_Event_ID": "1"})])
def test_a_reader_that_comes_back_gets_what_it_missed_once(served: Served, path: str, headers: dict[str, str]) -> None:
    for number in range(4):
        served.node.tell("device", "robot", f"lap {number}")
    found = served.follow(path, has("status", 2), **headers)
    assert [event["message"] for event in contents(found, "event")] == ["lap 1", "lap 2", "lap 3"]


def test_a_second_reader_gets_everything_too(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.5, "robot.camera": PICTURE})

    async def both() -> Messages:
        first = asyncio.create_task(served._follow("/events", has("signals", 8), {}))
        await asyncio.sleep(0.3)
        found = await served._follow("/events", lambda m: has("signals")(m) and has("picture")(m), {})
        await first
        return found

    found = served.run(both())
    assert contents(found, "signals")[0]["values"]["robot.x"] == 1.5


def test_a_reader_that_leaves_is_forgotten(served: Served) -> None:
    served.follow("/events", has("signals", 2))

    async def gone() -> None:
        while served.gateway.stream.clients:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)

    served.run(gone())


def test_readers_are_limited(served: Served) -> None:
    async def crowd() -> bytes:
        head = f"GET /events HTTP/1.1\r\nHost: {served.host}\r\n\r\n".encode()
        crowd = [await served.connect() for _ in range(MAX_CLIENTS)]
        for reader, writer in crowd:
            writer.write(head)
            await reader.readuntil(b"\r\n\r\n")
        reader, writer = await served.connect()
        writer.write(head)
        answer = await reader.readuntil(b"}}")
        for _reader, other in [*crowd, (reader, writer)]:
            other.close()
        return answer

    answer = served.run(crowd())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"busy"' in answer


def test_a_reader_that_takes_nothing_is_dropped(tmp_path: Path) -> None:
    served = Served(tmp_path, stalled_s=0.2)

    async def stall() -> None:
        reader, writer = await served.connect()
        writer.write(f"GET /events HTTP/1.1\r\nHost: {served.host}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        while served.gateway.stream.dropped_clients_total == 0:
            for _ in range(PENDING_EVENTS):
                served.node.tell("guard", "robot.speed", "x" * 2000)
            await asyncio.sleep(0.02)
        assert not served.gateway.stream.clients
        writer.close()

    served.run(stall())
    served.close()


def test_stopping_ends_the_streams_at_once(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def stop() -> float:
        reader, writer = await served.connect()
        writer.write(f"GET /events HTTP/1.1\r\nHost: {served.host}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await served.gateway.stop()
        took = loop.time() - began
        await reader.read()
        writer.close()
        return took

    assert served.run(stop()) < 1.0
    served.close()


def event(number: int) -> Event:
    """An event with that number."""
    return Event(time_ns=0, kind="guard", subject="robot.speed", message="clamped", id=number)


def test_a_slow_reader_loses_the_oldest_events_and_is_told() -> None:
    client = Client()
    for number in range(1, PENDING_EVENTS + 11):
        client.put_event(event(number))
    data = client.take()
    assert data.startswith(b'event: dropped\ndata: {"events":10}\n\nid: 11\n')
    assert client.take() == b""


def test_a_slow_reader_sees_the_present_not_the_past() -> None:
    client = Client()
    for tick in range(1000):
        client.put_signals(Signals(tick, {"drive": LoopBeat(tick, 0.0, 1)}, {"robot.x": float(tick)}, {}))
        client.put_picture(Picture("robot.camera", tick, 1, 1, 1, "AA=="))
    client.put_signals(Signals(1000, {}, {"robot.y": 1.0}, {}))
    data = client.take()
    assert data.count(b"event: ") == 2
    assert b'"robot.x":999.0' in data
    assert b'"robot.y":1.0' in data
    assert b'"index":999' in data
