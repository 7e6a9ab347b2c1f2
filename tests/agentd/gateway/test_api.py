"""What can be asked over HTTP, and what the answers mean."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from agentd.gateway.pages import FOLDER
from agentd.gateway.readings import STALE_AFTER_S
from agentd.runtime.guard import Verdict
from hal.signal import Absent
from tests.agentd.gateway.fake_node import COLUMNS, ROWS, TRACK_POINTS
from tests.agentd.gateway.served import Served

PICTURE = bytes(i % 251 for i in range(ROWS * COLUMNS))


def signal(served: Served, name: str) -> Any:
    """One signal's reading."""
    reply = served.ask(f"/api/v1/signals/{name}")
    assert reply.status == 200
    return reply.json


def test_a_node_that_is_well_is_live_and_ready(served: Served) -> None:
    for path in ("/healthz", "/readyz"):
        reply = served.ask(path)
        assert (reply.status, reply.json) == (200, {"ok": True, "problems": []})


def test_a_node_that_is_not_live_is_unavailable(served: Served) -> None:
    served.node.live = False
    assert served.ask("/healthz").status == 503


def test_a_node_with_a_problem_is_not_ready(served: Served) -> None:
    served.node.problems = ("loop slow: latched: its worker died",)
    reply = served.ask("/readyz")
    assert (reply.status, reply.json) == (503, {"ok": False, "problems": ["loop slow: latched: its worker died"]})
    assert served.ask("/healthz").status == 200


def test_the_status_is_the_nodes_own(served: Served) -> None:
    status = served.ask("/api/v1/status").json
    assert status["node"] == "robot-1"
    assert status["simulated"] == ["robot"]
    assert [loop["name"] for loop in status["loops"]] == ["drive", "slow"]


def test_a_signal_has_value_unit_age_and_owner(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.25}, age_ns=200_000_000)
    found = signal(served, "robot.x")
    assert (found["value"], found["unit"], found["reason"], found["stale"]) == (1.25, "m", None, False)
    assert 0.2 <= found["age_s"] < STALE_AFTER_S
    assert (found["owner"], found["owner_kind"], found["loop"]) == ("robot", "device", "drive")
    assert signal(served, "steer.output")["owner_kind"] == "agent"


def test_an_absent_signal_says_why(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.0, "robot.lap_time": Absent.NOT_GIVEN})
    assert (signal(served, "robot.lap_time")["value"], signal(served, "robot.lap_time")["reason"]) == (
        None,
        "not_given",
    )
    assert signal(served, "vision.offset")["reason"] == "not_yet"


def test_a_loop_that_never_published_is_silent(served: Served) -> None:
    assert signal(served, "host.cpu_use")["reason"] == "loop_silent"
    assert signal(served, "host.cpu_use")["age_s"] is None


def test_an_old_value_is_called_stale(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.0}, age_ns=int(1.1e9 * STALE_AFTER_S))
    assert signal(served, "robot.x")["stale"]
    served.node.publish("slow", {"host.cpu_use": 3.0}, age_ns=int(1.1e9 * STALE_AFTER_S))
    assert not signal(served, "host.cpu_use")["stale"]  # the loop runs once a second


def test_types_survive(served: Served) -> None:
    served.node.publish("drive", {"robot.off_track": True, "robot.lap": 3})
    assert signal(served, "robot.off_track")["value"] is True
    assert signal(served, "robot.lap")["value"] == 3


def test_an_actuator_shows_what_the_guard_did(served: Served) -> None:
    served.node.workers["drive"].verdicts = {"robot.speed": Verdict.SAFE_INTERLOCK}
    served.node.publish("drive", {"robot.speed": 0.0})
    found = signal(served, "robot.speed")
    assert (found["value"], found["reason"], found["verdict"]) == (0.0, None, "safe_interlock")


def test_all_signals_are_listed_once(served: Served) -> None:
    names = [entry["name"] for entry in served.ask("/api/v1/signals").json["signals"]]
    assert len(names) == len(set(names)) == 12 + 4 + 2 + 3 + 13


def test_a_picture_can_be_had_raw_and_as_png(served: Served) -> None:
    served.node.publish("drive", {"robot.camera": PICTURE})
    raw = served.ask("/api/v1/signals/robot.camera?format=raw")
    assert (raw.body, raw.headers["x-shape"], raw.headers["x-dtype"]) == (PICTURE, f"{ROWS}x{COLUMNS}", "uint8")
    png = served.ask("/api/v1/signals/robot.camera?format=png")
    assert png.headers["content-type"] == "image/png"
    assert pixels(png.body) == (COLUMNS, ROWS, PICTURE)


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and grey levels of an unfiltered PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", png, at + 8 + size)[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    lines = zlib.decompress(chunks[b"IDAT"])
    return width, height, b"".join(lines[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height))


def test_an_array_that_is_no_picture_is_had_raw_only(served: Served) -> None:
    points = struct.pack(f"{2 * TRACK_POINTS}f", *range(2 * TRACK_POINTS))
    served.node.publish("drive", {"robot.track": points})
    assert served.ask("/api/v1/signals/robot.track?format=raw").body == points
    assert served.ask("/api/v1/signals/robot.track?format=png").code == "not_a_picture"


def test_a_new_generation_of_the_worker_is_read_too(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.0, "robot.camera": PICTURE})
    assert signal(served, "robot.x")["value"] == 1.0
    served.ask("/api/v1/signals/robot.camera?format=raw")
    served.node.start_worker("drive")
    served.node.publish("drive", {"robot.x": 2.0, "robot.camera": PICTURE[::-1]})
    assert signal(served, "robot.x")["value"] == 2.0
    assert served.ask("/api/v1/signals/robot.camera?format=raw").body == PICTURE[::-1]


def test_events_can_be_read_by_number_and_by_kind(served: Served) -> None:
    for lap in range(5):
        served.node.tell("device", "robot", f"lap {lap}")
        served.node.tell("guard", "robot.speed", "clamped")
    events = served.ask("/api/v1/events?limit=2").json["events"]
    assert [event["id"] for event in events] == [9, 10]
    assert [event["id"] for event in served.ask("/api/v1/events?after=8").json["events"]] == [9, 10]
    laps = served.ask("/api/v1/events?kind=device&limit=3").json["events"]
    assert [event["message"] for event in laps] == ["lap 2", "lap 3", "lap 4"]


def test_the_plan_in_force_can_be_read(served: Served) -> None:
    assert served.ask("/api/v1/config").json["loops"][0]["agents"][1]["params"] == {"kp": 4.0, "ki": 0.4}


def test_head_gives_no_body(served: Served) -> None:
    reply = served.ask("/api/v1/status", "HEAD")
    assert reply.status == 200
    assert int(reply.headers["content-length"]) > 100


def test_the_page_is_served_and_not_sent_twice(served: Served) -> None:
    page = served.ask("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>" in page.body
    assert served.ask("/", headers={"If-None-Match": page.headers["etag"]}).status == 304


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_the_page_asks_nobody_else(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"""https?://|["'(]//""", text)


def test_metrics_speak_of_loops_signals_and_the_guard(served: Served) -> None:
    served.node.publish("drive", {"robot.x": 1.5})
    reply = served.ask("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = reply.body.decode().splitlines()
    assert 'agentd_signal_value{loop="drive",signal="robot.x",unit="m"} 1.5' in lines
    assert 'agentd_loop_ticks_total{loop="drive"} 1.0' in lines
    assert 'agentd_actuator_interventions_total{signal="robot.speed"} 3.0' in lines
    assert 'agentd_loop_wake_latency_seconds{loop="drive",quantile="0.99"} 6e-05' in lines


@pytest.mark.system
def test_promtool_has_no_complaint(served: Served) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is in the Debian package prometheus"
    served.node.publish("drive", {"robot.x": 1.5})
    found = subprocess.run(
        [promtool, "check", "metrics"], input=served.ask("/metrics").body, capture_output=True, check=False
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, b"")


def test_the_last_minute_is_there_for_those_who_come_later(served: Served) -> None:
    for x in range(100):
        served.node.publish("drive", {"robot.x": float(x), "robot.lap_time": Absent.NOT_GIVEN})
    found = served.ask("/api/v1/recent?signal=robot.x&signal=robot.lap_time&signal=host.cpu_use&points=20").json[
        "signals"
    ]
    values = [value for _at, value in found["robot.x"]]
    assert values == [9.0 + 10 * i for i in range(10)]  # two loops share the points
    assert [value for _at, value in found["robot.lap_time"]] == [None] * 10
    times = [at for at, _value in found["robot.x"]]
    assert times == sorted(times)
    assert found["host.cpu_use"] == []
