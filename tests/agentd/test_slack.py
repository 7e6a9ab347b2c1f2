"""Between two ticks: mail is applied, the daemon's silence is noticed, and nothing there can end the loop."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agentd.runtime import keyframe
from agentd.runtime.control import HEARTBEAT, MAIL, STOP, Control
from agentd.runtime.guard import Verdict
from agentd.runtime.letters import (
    ChannelNote,
    Grant,
    Keyframe,
    Mailbox,
    PartNote,
    Reply,
    Report,
    SetNumber,
    Stop,
    TakeBack,
    Up,
    pair,
)
from agentd.runtime.ring import Word
from agentd.runtime.slack import DAEMON_SILENT_NS, FULL_EVERY_NS, KEYFRAME_EVERY_NS, MAX_LETTERS, Slack
from agentd.testing.harness import SimulatedLoop
from hal.clock import NS_PER_S, VirtualClock
from hal.device import DeviceError
from tests.agentd.loop_parts import MS, Follow, robot


class Desk:
    """A loop with its slack, and the daemon's end of everything."""

    def __init__(self, folder: Path, follow: Follow | None = None, *, hold: bool = False) -> None:
        self.clock = VirtualClock()
        self.motor, self.follow, parts = robot(self.clock)
        if follow is not None:
            self.follow = follow
            parts = type(parts)(devices=parts.devices, agents={"follow": follow}, wires=parts.wires)
        self.loop = SimulatedLoop(parts, clock=self.clock, runtime=folder)
        self.control = Control(folder / "control", create=True)
        self.control.words[HEARTBEAT] = self.clock.now_ns()
        mine, theirs = pair()
        self.mailbox = Mailbox(mine)
        self.opener = ThreadPoolExecutor(1)
        self.slack = Slack(self.loop.cycle, self.control, 0, Mailbox(theirs), self.opener, hold=hold)

    def post(self, *letters: Stop | Grant | TakeBack | SetNumber) -> None:
        for letter in letters:
            assert self.mailbox.send(letter)
            self.control.words[MAIL] += 1

    def turn(self) -> None:
        """A tick with what lies before and after it."""
        self.control.words[HEARTBEAT] = self.clock.now_ns()
        self.slack.before_tick()
        self.loop.tick()
        self.slack.after_tick(self.clock.now_ns(), 10 * MS)

    def heard(self) -> list[Up]:
        found = []
        while data := self.mailbox.receive():
            found.append(msgspec.json.decode(data, type=Up))
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.opener.shutdown()
    made.loop.close()


def grant(number: int = 1, **changes: object) -> Grant:
    lease: dict[str, object] = {
        "number": number, "signal": "motor.speed", "holder": "ann", "priority": 100,
        "expires_ns": 2 * NS_PER_S, "low": -1.0, "high": 1.0, "value": 0.9,
    }  # fmt: skip
    return Grant(**(lease | changes))  # type: ignore[arg-type]


def test_a_lease_is_given_and_taken_back_at_tick_boundaries_and_answered(desk: Desk) -> None:
    desk.post(grant(1))
    desk.turn()
    assert desk.motor.written[-1] == 0.9
    desk.post(TakeBack(number=2, signal="motor.speed", holder="ann"))
    desk.turn()
    assert desk.motor.written[-1] == pytest.approx(0.5)
    assert [(r.number, r.refusal) for r in desk.heard() if isinstance(r, Reply)] == [(1, ""), (2, "")]


@pytest.mark.parametrize(
    ("letter", "refusal"),
    [
        (grant(signal="motor.position"), "motor.position is no actuator of loop loop"),
        (grant(low=5.0, high=6.0), "do not meet the range"),
        (TakeBack(number=1, signal="motor.speed", holder="bob"), "bob holds no lease of motor.speed"),
        (SetNumber(number=1, name="follow.nothing", value=1.0), "follow has no parameter 'nothing'"),
        (SetNumber(number=1, name="nobody.gain", value=1.0), "nobody is no agent of loop loop"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason(
    desk: Desk, letter: Grant | TakeBack | SetNumber, refusal: str
) -> None:
    desk.post(letter)
    desk.turn()
    (reply,) = [r for r in desk.heard() if isinstance(r, Reply)]
    assert (reply.number, refusal in reply.refusal) == (1, True)
    assert desk.motor.written[-1] == pytest.approx(0.5)


def test_a_parameter_arrives_before_the_next_tick(desk: Desk) -> None:
    desk.post(SetNumber(number=1, name="follow.gain", value=0.05))
    desk.turn()
    assert desk.motor.written[-1] == pytest.approx(0.25)


def test_much_mail_is_spread_over_ticks_and_none_is_lost(desk: Desk) -> None:
    desk.post(*(SetNumber(number=n, name="follow.gain", value=0.1) for n in range(MAX_LETTERS + 5)))
    desk.turn()
    assert desk.loop.cycle.ring.words[Word.MAIL] == MAX_LETTERS
    desk.turn()
    assert [r.number for r in desk.heard() if isinstance(r, Reply)] == list(range(MAX_LETTERS + 5))


def test_a_letter_that_cannot_be_read_is_told_and_the_next_one_applied(desk: Desk) -> None:
    desk.post(
        SetNumber(number=1, name="follow.gain", value=math.nan), SetNumber(number=2, name="follow.gain", value=0.0)
    )
    desk.turn()
    assert desk.motor.written[-1] == 0.0
    assert [r.number for r in desk.heard() if isinstance(r, Reply)] == [2]
    assert "a letter that cannot be read" in desk.loop.reports[0].message


def test_the_loop_ends_when_it_is_asked_to(desk: Desk) -> None:
    desk.post(Stop())
    desk.slack.before_tick()
    assert desk.slack.stopping == "asked to stop"


def test_the_loop_ends_when_the_daemon_is_silent(desk: Desk) -> None:
    desk.clock.advance(DAEMON_SILENT_NS)
    desk.slack.before_tick()
    assert desk.slack.stopping == ""
    desk.clock.advance(1)
    desk.slack.before_tick()
    assert desk.slack.stopping == "the daemon is silent"


def test_the_loop_ends_when_the_daemon_has_closed_the_mailbox(desk: Desk) -> None:
    desk.mailbox.close()
    desk.control.words[MAIL] += 1
    desk.slack.before_tick()
    assert "closed" in desk.slack.stopping


def test_the_emergency_stop_makes_the_next_tick_safe_and_its_clearing_gives_back(desk: Desk) -> None:
    desk.post(grant())
    desk.turn()
    desk.control.words[STOP] = 1
    desk.turn()
    assert desk.loop.cycle.guard.channels[0].verdict is Verdict.SAFE_EMERGENCY_STOP
    assert desk.motor.written[-1] == 0.0
    desk.control.words[STOP] = 0
    desk.turn()
    assert desk.motor.written[-1] == 0.9


def test_a_held_loop_stays_safe_after_an_emergency_stop_is_cleared(tmp_path: Path) -> None:
    desk = Desk(tmp_path, hold=True)
    desk.control.words[STOP] = 1
    desk.turn()
    desk.control.words[STOP] = 0
    desk.turn()
    assert desk.loop.cycle.guard.channels[0].verdict is Verdict.SAFE_HOLD
    assert set(desk.motor.written) == {0.0}


def test_notes_tell_what_changed_and_only_that(desk: Desk) -> None:
    desk.turn()
    first = desk.heard()
    assert {(n.name, n.state) for n in first if isinstance(n, PartNote)} == {("motor", "ok"), ("follow", "ok")}
    assert [(n.signal, n.holder) for n in first if isinstance(n, ChannelNote)] == [("motor.speed", "follow.speed")]
    for _ in range(30):
        desk.turn()
    assert desk.heard() == []
    desk.motor.reading = desk.motor.opening = DeviceError("off")
    for _ in range(30):
        desk.turn()
    changed = [n for n in desk.heard() if isinstance(n, PartNote)]
    assert {(n.name, n.state in ("closed", "opening", "degraded")) for n in changed} == {
        ("motor", True), ("follow", True),
    }  # fmt: skip


def test_agents_state_is_saved_every_minute(desk: Desk, tmp_path: Path) -> None:
    desk.turn()
    desk.clock.advance(KEYFRAME_EVERY_NS)
    desk.turn()
    (letter,) = [r for r in desk.heard() if isinstance(r, Keyframe)]
    assert keyframe.decode(Path(letter.path).read_bytes()) == {"follow": {}}
    assert Path(letter.path) == tmp_path / "loop" / "keyframe.1"


@pytest.mark.parametrize("state", [{"x": object()}, RuntimeError("no state")], ids=["object", "raises"])
def test_state_that_cannot_be_saved_is_told_and_the_loop_goes_on(tmp_path: Path, state: object) -> None:
    class Forgetful(Follow):
        def get_state(self) -> dict[str, object]:
            if isinstance(state, Exception):
                raise state
            return {"x": state}

    desk = Desk(tmp_path, Forgetful())
    desk.clock.advance(KEYFRAME_EVERY_NS)
    desk.turn()
    assert "loop: state not saved" in desk.loop.reports[-1].message
    desk.turn()


def test_garbage_is_collected_often_a_little_and_rarely_in_full(desk: Desk) -> None:
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            found.append(info["generation"])

    desk.turn()
    gc.disable()
    gc.callbacks.append(note)
    try:
        for _ in range(40):
            desk.turn()
        assert found == [1, 1]
        desk.clock.advance(FULL_EVERY_NS)
        desk.turn()
        assert found == [1, 1, 2]
    finally:
        gc.callbacks.remove(note)
        gc.enable()


def test_what_a_full_mailbox_drops_is_counted(desk: Desk) -> None:
    report = Report(time_ns=0, kind="agent", subject="x", severity="info", message="m" * 50_000)
    mine, _theirs = pair()
    box = Mailbox(mine)
    sent = [box.send(report) for _ in range(20)]
    assert sent[0] and not sent[-1], "sending never blocks"
    assert not box.send(msgspec.structs.replace(report, message="m" * 70_000))
