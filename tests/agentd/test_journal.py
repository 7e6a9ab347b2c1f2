"""What a worker reports: the first at once, repetitions counted, nothing lost in silence."""

from __future__ import annotations

import pytest

from agentd.runtime.journal import MAX_CAUSES, MAX_KEYS, REPEAT_NS, Journal
from agentd.runtime.letters import Report
from hal.clock import VirtualClock


class Desk:
    """A journal with its clock and what it sent; `full` makes the mailbox refuse."""

    def __init__(self) -> None:
        self.clock, self.sent, self.full = VirtualClock(0), list[Report](), False
        self.journal = Journal(self.clock.now_ns, self._send)

    def _send(self, report: Report) -> bool:
        if not self.full:
            self.sent.append(report)
        return not self.full

    @property
    def messages(self) -> list[str]:
        return [report.message for report in self.sent]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_report_passes_at_once(desk: Desk) -> None:
    desk.journal.tell("miss", "drive", "warning", "late", {"cause": "gc"}, key="gc")
    assert desk.sent == [
        Report(time_ns=0, kind="miss", subject="drive", severity="warning", message="late", data={"cause": "gc"})
    ]


def test_repetitions_are_counted_into_the_next_report(desk: Desk) -> None:
    for number in range(10):
        desk.journal.report("device", "oven", "error", f"no answer {number}")
        desk.clock.advance(REPEAT_NS // 8)
    assert desk.messages == ["no answer 0", "no answer 8 (7 more like this were not listed)"]
    assert desk.sent[1].data["held_back"] == 7


def test_different_subjects_kinds_and_keys_do_not_hide_each_other(desk: Desk) -> None:
    desk.journal.report("device", "oven", "error", "a")
    desk.journal.report("device", "pump", "error", "b")
    desk.journal.report("device", "oven", "info", "c")
    desk.journal.report("agent", "oven", "error", "d")
    desk.journal.tell("device", "oven", "error", "e", {}, key="other")
    assert desk.messages == ["a", "b", "c", "d", "e"]


def test_another_cause_is_told_at_once_and_the_same_with_other_numbers_is_not(desk: Desk) -> None:
    for message in ("no answer; again in 0.25 s", "no answer; again in 0.5 s", "chip id 0x12, expected 0x34"):
        desk.journal.report("device", "oven", "error", message)
    assert desk.messages == ["no answer; again in 0.25 s", "chip id 0x12, expected 0x34"]


def test_a_part_that_says_something_else_each_time_floods_nobody(desk: Desk) -> None:
    words = [letter + other for letter in "abcdefgh" for other in "abcdefgh"]
    for word in words:
        desk.journal.report("agent", "steer", "error", word)
    assert len(desk.sent) == MAX_CAUSES + 1, "one more tells that there are others"
    desk.clock.advance(REPEAT_NS)
    desk.journal.report("agent", "steer", "error", "ab")
    assert desk.messages[-1].startswith("ab")


def test_what_the_mailbox_refuses_is_counted(desk: Desk) -> None:
    desk.full = True
    desk.journal.report("device", "oven", "error", "a")
    assert (desk.messages, desk.journal.lost_total) == ([], 1)


def test_its_memory_is_bounded(desk: Desk) -> None:
    for number in range(3 * MAX_KEYS):
        desk.journal.report("device", f"part{number}", "error", "a")
    assert len(desk.sent) == 3 * MAX_KEYS
    assert len(desk.journal._last) <= MAX_KEYS
