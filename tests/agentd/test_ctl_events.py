"""`agentctl events`: the newest ones that are wanted, new ones as they come, and old ones from the record."""

from __future__ import annotations

import json
import threading
from collections import deque

import msgspec
import pytest

from agentd.config.plan import RecordPlan
from agentd.ctl.errors import NOT_RUNNING, OK, WRONG_USE
from agentd.ctl.events import as_lines
from agentd.ctl.past_events import Sieve
from agentd.ctl.text import Paper
from agentd.event import Event
from agentd.store.database import FILE_NAME
from agentd.store.retention import Budget
from agentd.store.writer import RecordWriter
from hal.clock import now_ns, utc_ns
from tests.agentd.ctl_site import Site


def event(number: int, kind: str = "guard", severity: str = "info") -> Event:
    """Something that happened."""
    return Event(
        time_ns=number,
        kind=kind,
        subject="drive",
        message=f"event {number}",
        severity=severity,
        id=number,
        utc_ns=utc_ns(),
    )


def record(site: Site, *events: Event) -> None:
    """What a daemon has written before it ended."""
    waiting = deque(events)
    writer = RecordWriter(
        site.state / FILE_NAME, Budget.of(RecordPlan()), site.runtime, events=waiting, tell=waiting.append
    )
    while waiting:
        writer.poll(force=True)
    writer.close()


def messages(text: str) -> list[str]:
    """Of a list in JSON."""
    return [found["message"] for found in json.loads(text)["events"]]


def test_the_newest_come_last(site: Site) -> None:
    for number in range(30):
        site.tell("guard", "robot.speed", f"event {number}")
    lines = site.run("events").lines
    assert len(lines) == 20
    assert lines[0].endswith("robot.speed: event 10") and lines[-1].endswith("robot.speed: event 29")
    assert len(site.run("events", "-n", "3").lines) == 3


def test_a_count_is_of_those_that_are_wanted(site: Site) -> None:
    for number in range(50):
        site.tell("miss" if number % 10 == 0 else "guard", "drive", f"event {number}", "warning")
        site.tell("guard", "drive", "noise")
    found = site.run("events", "-n", "2", "--kind", "miss", "--json")
    assert messages(found.out) == ["event 30", "event 40"]


def test_a_severity_means_this_and_worse() -> None:
    events = [event(1), event(2, severity="warning"), event(3, severity="error")]
    assert Sieve(severity="warning").last(events, 10) == events[1:]
    assert Sieve(severity="error").last(events, 10) == events[2:]
    assert Sieve().last(events, 2) == events[1:]


def test_an_unknown_kind_is_a_wrong_command_line(site: Site) -> None:
    result = site.run("events", "--kind", "gard")
    assert (result.status, result.out) == (WRONG_USE, "")


def test_a_line_names_the_subject_once_and_wraps_below_itself() -> None:
    told = msgspec.structs.replace(event(1, severity="error"), subject="slow", message="slow: " + "word " * 30)
    lines = as_lines(told, Paper(80))
    assert "error: slow: word" in lines[0] and "slow: slow" not in lines[0]
    assert lines[1].startswith(" " * 28 + "word")
    assert max(map(len, lines)) <= 80


def test_what_a_dying_worker_printed_cannot_steer_the_terminal() -> None:
    told = msgspec.structs.replace(event(1), message="drive: \x1b]0;owned\x07\x1b[2J")
    assert "\x1b" not in "".join(as_lines(told, Paper(80)))


def test_followed_events_come_as_they_happen_and_none_is_lost_or_doubled(site: Site) -> None:
    for number in range(3):
        site.tell("guard", "drive", f"event {number}")
    told = threading.Event()

    def happen() -> None:
        while not site.streams():
            told.wait(0.005)
        for number in range(3, 100):
            site.tell("guard" if number % 2 else "miss", "drive", f"event {number}")
        while site.unsent():
            told.wait(0.005)
        site.stop()

    thread = threading.Thread(target=happen)
    thread.start()
    result = site.run("events", "--follow", "--kind", "guard", "--json")
    thread.join(20)
    seen = [json.loads(line)["message"] for line in result.lines]
    assert seen == ["event 0", "event 1", "event 2", *(f"event {number}" for number in range(3, 100, 2))]
    assert result.status == NOT_RUNNING


def test_without_a_daemon_events_come_from_the_record(empty_site: Site) -> None:
    record(empty_site, *(event(n, "miss" if n % 2 else "guard", "warning" if n > 5 else "info") for n in range(1, 11)))
    found = empty_site.run("events", "-n", "2", "--kind", "miss", "--severity", "warning", "--json")
    assert messages(found.out) == ["event 7", "event 9"]
    assert found.status == OK
    assert "from its record" in found.err


def test_a_severe_event_is_found_far_back_in_the_record(empty_site: Site) -> None:
    record(empty_site, event(1, severity="error"), *(event(number) for number in range(2, 500)))
    assert messages(empty_site.run("events", "-n", "1", "--severity", "error", "--json").out) == ["event 1"]


def test_recorded_events_have_the_time_of_day_as_it_is_known_now(empty_site: Site) -> None:
    wrong = msgspec.structs.replace(event(now_ns()), utc_ns=17)
    record(empty_site, wrong)
    (found,) = empty_site.run("events", "--json").json["events"]
    assert abs(found["utc_ns"] - utc_ns()) < 60e9


def test_more_than_the_daemon_remembers_is_read_from_the_record(site: Site) -> None:
    for number in range(1001):
        site.tell("guard", "drive", f"new {number}")
    record(site, *(event(number) for number in range(1, 2002)))
    assert len(site.run("events", "-n", "1500").lines) == 1500


@pytest.mark.parametrize("data", [b"", b"no database at all"])
def test_a_damaged_record_is_an_error_and_no_output(empty_site: Site, data: bytes) -> None:
    (empty_site.state / FILE_NAME).write_bytes(data)
    result = empty_site.run("events")
    assert (result.status, result.out) == (1, "")
