"""The record over HTTP: what there is, and plots of it, within limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.config.plan import HttpPlan
from agentd.gateway import record as rooms
from agentd.gateway.server import Gateway
from agentd.store.blocks import EVER
from hal.clock import utc_ns
from tests.agentd.gateway.served import Served
from tests.agentd.record_parts import COUNT, PERIOD_NS, T0, Past, X, ramp


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """What the daemon recorded."""
    return Past(tmp_path / "past")


@pytest.fixture
def served(tmp_path: Path, past: Past) -> Iterator[Served]:
    """A gateway in front of that record."""
    found = Served(tmp_path)
    found.run(found.gateway.stop())
    found.gateway = Gateway(found.node, HttpPlan(port=0), found.socket_path, past.path)
    found.run(found.gateway.start())
    yield found
    found.close()


def test_the_list_says_what_is_recorded(served: Served, past: Past) -> None:
    ramp(past)
    found = served.ask("/api/v1/record").json
    (signal,) = found["signals"]
    assert (signal["name"], signal["unit"], signal["samples"]) == ("robot.x", "m", COUNT)
    assert found["problems"] == []


def test_a_plot_has_buckets_of_the_span(served: Served, past: Past) -> None:
    ramp(past)
    begin, end = "2023-11-14T22:30:00.10Z", "2023-11-14T22:30:00.20Z"
    found = served.ask(f"/api/v1/record/robot.x?from={begin}&to={end}&points=2").json["points"]
    assert (found["signal"], found["unit"], found["width_ns"]) == ("robot.x", "m", 5 * PERIOD_NS)
    assert found["buckets"] == [
        [T0 + 10 * PERIOD_NS, 5, 10.0, 12.0, 14.0, 14.0],
        [T0 + 15 * PERIOD_NS, 5, 15.0, 17.0, 19.0, 19.0],
    ]


def test_the_last_minutes_are_asked_for_as_such(served: Served, past: Past) -> None:
    past.offset_ns = utc_ns() - past.now_ns
    ramp(past)
    found = served.ask("/api/v1/record/robot.x?from=-10m&to=now%2B&points=1")
    assert (found.status, found.code) == (400, "bad_to")
    assert served.ask("/api/v1/record/robot.x?from=-10m&points=1").json["points"]["buckets"][0][1] == COUNT


def test_what_is_not_finite_is_null(served: Served, past: Past) -> None:
    past.loop("drive", X).tick(float("inf"))
    past.write()
    assert served.ask("/api/v1/record/robot.x").json["points"]["buckets"] == [[T0, 1, None, None, None, None]]


def test_what_was_never_recorded_names_the_nearest(served: Served, past: Past) -> None:
    ramp(past)
    reply = served.ask("/api/v1/record/robot.xx")
    assert (reply.status, reply.code) == (404, "not_recorded")
    assert "did you mean robot.x?" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("points=0", "bad_points"),
        ("points=5001", "bad_points"),
        ("points=-1", "bad_points"),
        ("from=nan", "bad_from"),
        ("to=1e300", "bad_to"),
        ("from=", "bad_from"),
        ("from=5&to=4", "bad_span"),
    ],
)
def test_a_question_that_makes_no_sense_says_why(served: Served, past: Past, query: str, code: str) -> None:
    ramp(past)
    reply = served.ask(f"/api/v1/record/robot.x?{query}")
    assert (reply.status, reply.code) == (400, code)


def test_before_anything_is_recorded_the_answer_is_404(served: Served, past: Past) -> None:
    assert served.ask("/api/v1/record").json == {"signals": [], "problems": []}
    assert served.ask("/api/v1/record/robot.x").code == "not_recorded"
    past.path.unlink()
    assert served.ask("/api/v1/record").code == "not_recorded"


def test_what_takes_too_long_says_how_far_it_came(served: Served, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp(past)
    monkeypatch.setattr(rooms, "READ_FOR_S", -1.0)
    reply = served.ask("/api/v1/record/robot.x")
    assert (reply.status, reply.code) == (503, "span_too_long")
    assert "2023-11-14T22:30:00.09" in reply.json["error"]["message"]


def test_a_gateway_that_ends_ends_what_is_read(past: Past) -> None:
    ramp(past)
    stop = threading.Event()
    stop.set()
    with pytest.raises(rooms.TooLong):
        rooms.read(past.path, rooms.Question("robot.x", EVER, 10), 60.0, stop)


def test_more_questions_than_may_wait_are_told_to_come_again(
    served: Served, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp(past)
    monkeypatch.setattr(rooms, "MAX_WAITING", 0)
    reply = served.ask("/api/v1/record/robot.x")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "busy", "1")


def test_a_damaged_chunk_is_named_beside_the_rest(served: Served, past: Past) -> None:
    ramp(past)
    past.change("UPDATE chunk SET data = x'00' WHERE id = ?", past.chunks()[1][0])
    found = served.ask("/api/v1/record/robot.x?points=1").json
    assert found["points"]["buckets"][0][1] == COUNT - 10
    assert len(found["problems"]) == 1


def test_a_damaged_file_is_unreadable_and_no_error_of_ours(served: Served, past: Past) -> None:
    ramp(past)
    past.writer.close()
    past.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    for path in ("/api/v1/record", "/api/v1/record/robot.x"):
        reply = served.ask(path)
        assert (reply.status, reply.code) == (503, "record_unreadable")


def test_a_file_that_was_set_aside_is_followed_by_the_new_one(served: Served, past: Past, tmp_path: Path) -> None:
    ramp(past)
    assert served.ask("/api/v1/record/robot.x").status == 200
    past.writer.close()
    past.path.rename(tmp_path / "aside")
    Past(tmp_path / "new", past.path.parent).loop("drive", X).tick(1.0)
    assert served.ask("/api/v1/record").json["signals"] == []
