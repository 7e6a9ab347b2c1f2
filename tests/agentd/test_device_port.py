"""One device in a loop: whatever it does, it degrades alone, and its hardware is left safe."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from agentd.runtime.array_ring import ArrayRingReader
from agentd.runtime.device_port import BACKOFF_FIRST_NS, BACKOFF_LAST_NS, DevicePort, DeviceState, describe
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import Row
from agentd.testing.harness import Parts, SimulatedLoop, WireTo, run_loop
from hal.clock import NS_PER_S, VirtualClock
from hal.device import Device, DeviceError, NotReady
from hal.signal import Absent, Sensor, Tick
from tests.agentd.loop_parts import Follow, Motor


class Site:
    """Two motors, each with its agent, in one loop: `bad` is what a test breaks, `good` must not notice."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.bad, self.good = Motor(self.clock), Motor(self.clock)
        wires: dict[str, WireTo] = {}
        for name in ("bad", "good"):
            wires |= {f"{name}_agent.measured": f"{name}.position", f"{name}_agent.speed": f"{name}.speed"}
        self.parts = Parts(
            devices={"bad": self.bad, "good": self.good},
            agents={"bad_agent": Follow(self.clock), "good_agent": Follow(self.clock)},
            wires=wires,
        )
        self.loop = SimulatedLoop(self.parts, clock=self.clock)
        self.port = self.loop.devices[0]

    def reason(self, row: Row, signal: str) -> int:
        return row.reasons[self.loop.cycle.row.index_of[signal]]

    def errors(self) -> list[str]:
        return [r.message for r in self.loop.reports if (r.kind, r.subject, r.severity) == ("device", "bad", "error")]

    def run_until_open(self, limit: int = 10_000) -> int:
        """Ticks until the bad device is open again."""
        for count in range(limit):
            if self.port.state is DeviceState.OPEN:
                return count
            self.loop.tick()
        raise AssertionError("never opened again")


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.loop.close()


def test_a_device_that_raises_degrades_alone_while_the_rest_keeps_the_schedule(site: Site) -> None:
    site.loop.run(3)
    site.bad.reading = DeviceError("bus error at 0x48")
    rows = site.loop.run(20)
    assert [row.tick for row in rows] == list(range(3, 23))
    assert {site.reason(row, "good.position") for row in rows} == {Absent.PRESENT}
    assert {site.reason(row, "good.speed") for row in rows} == {Verdict.AS_ASKED}
    assert [site.reason(row, "bad.position") for row in rows[:2]] == [Absent.DEVICE_ERROR, Absent.DEVICE_CLOSED]
    assert {site.reason(row, "bad_agent.speed") for row in rows} == {Absent.INPUT_ABSENT}
    assert {site.reason(row, "bad.speed") for row in rows} == {Verdict.SAFE_DEVICE}
    assert site.good.written[-1] == pytest.approx(0.5)


def test_the_error_says_who_what_where_and_when_it_is_tried_again(site: Site) -> None:
    site.bad.reading = DeviceError("bus error at 0x48")
    site.loop.tick()
    (error,) = site.errors()
    assert error.startswith("bad: read: bus error at 0x48 (DeviceError in loop_parts.py:")
    assert error.endswith("; trying again in 0.25 s")


@pytest.mark.parametrize("failing", ["reading", "writing"])
def test_a_device_that_fails_is_closed_and_opened_again_after_a_while(site: Site, failing: str) -> None:
    site.loop.run(3)
    setattr(site.bad, failing, DeviceError("off"))
    site.loop.tick()
    assert site.bad.log[-1] == "close motor"
    setattr(site.bad, failing, None)
    assert site.run_until_open() == 26, "0.25 s at 100 Hz, and a tick to notice"
    row = site.loop.tick()
    assert (site.reason(row, "bad.position"), site.reason(row, "bad.speed")) == (0, Verdict.AS_ASKED)
    assert [r.message for r in site.loop.reports if r.severity == "info" and r.kind == "device"] == ["bad: open again"]


def test_a_device_whose_read_fails_is_left_with_its_safe_value(site: Site) -> None:
    site.loop.run(3)
    assert site.bad.written[-1] == pytest.approx(0.5)
    site.bad.reading = DeviceError("off")
    site.loop.tick()
    assert site.bad.written[-1] == 0.0, "closed with its last command it would go on"
    assert site.bad.log[-2:] == ["write motor", "close motor"]


def test_a_device_that_takes_no_write_any_more_says_that_it_may_not_be_safe(site: Site) -> None:
    site.loop.run(3)
    site.bad.writing = DeviceError("no acknowledge")
    row = site.loop.tick()
    assert "its outputs could not be made safe" in site.errors()[0]
    assert (site.loop.value("bad.speed", row), site.reason(row, "bad.speed")) == (0.0, Verdict.SAFE_DEVICE)


def test_it_waits_twice_as_long_each_time_up_to_a_limit(site: Site) -> None:
    site.bad.reading = site.bad.opening = DeviceError("off")
    waits: list[float] = []
    last_ns = 0
    while len(waits) < 10:
        before = site.bad.opened_total
        site.loop.tick()
        if site.bad.opened_total != before:
            waits.append(round((site.clock.now_ns() - last_ns) / NS_PER_S, 1))
            last_ns = site.clock.now_ns()
    assert waits[1:] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_device_that_opens_only_to_fail_again_waits_longer_too(site: Site) -> None:
    site.bad.reading = DeviceError("off")
    site.loop.run(100 * 60)
    assert site.bad.opened_total <= 9, "and not four times a second"


def test_a_device_that_has_worked_for_long_is_tried_again_soon(site: Site) -> None:
    site.bad.reading = DeviceError("off")
    site.loop.run(800)
    site.bad.reading = None
    site.run_until_open()
    site.loop.run(1001)
    site.bad.reading = DeviceError("off")
    site.loop.tick()
    assert site.port.why.endswith("trying again in 0.25 s")


@pytest.mark.parametrize("value", [None, math.nan], ids=["None", "NaN"])
def test_a_value_that_is_none_is_absent_and_its_device_stays_open(site: Site, value: float | None) -> None:
    site.bad.at = value
    row = site.loop.tick()
    expected = Absent.NOT_GIVEN if value is None else Absent.NOT_A_NUMBER
    assert site.reason(row, "bad.position") == expected
    assert site.reason(row, "bad.turns") == 0
    assert site.port.state is DeviceState.OPEN
    assert site.loop.value("bad.speed", row) == 0.0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, Absent.NOT_A_NUMBER),
        (math.inf, Absent.OUT_OF_RANGE),
        (2**63, Absent.OUT_OF_RANGE),
        (None, Absent.NOT_GIVEN),
        (np.int16(-7), 0),
        (np.float64(3.0), 0),
        (True, 0),
    ],
)
def test_a_whole_number_is_one_or_absent(site: Site, value: object, reason: int) -> None:
    site.bad.count = value  # type: ignore[assignment]
    row = site.loop.tick()
    assert site.reason(row, "bad.turns") == reason
    assert site.port.state is DeviceState.OPEN


@pytest.mark.parametrize("value", ["12.5", b"1", [1.0], object(), np.zeros(2)])
def test_what_is_no_number_is_a_device_error_that_names_the_signal(site: Site, value: object) -> None:
    site.bad.at = value  # type: ignore[assignment]
    row = site.loop.tick()
    assert site.reason(row, "bad.position") == site.reason(row, "bad.turns") == Absent.DEVICE_ERROR
    assert "bad.position: found " in site.errors()[0]
    assert "expected a value of type float" in site.errors()[0]


def test_a_device_that_is_not_ready_stays_open_without_values(site: Site) -> None:
    site.loop.run(2)
    site.bad.reading = NotReady("converting")
    row = site.loop.tick()
    assert site.reason(row, "bad.position") == Absent.NOT_GIVEN
    assert (site.port.state, site.errors()) == (DeviceState.OPEN, [])


def test_a_device_that_exits_while_it_is_opened_is_tried_again() -> None:
    clock = VirtualClock()
    motor = Motor(clock)
    with SimulatedLoop(Parts(devices={"motor": motor}), clock=clock) as loop:
        motor.reading, motor.opening = DeviceError("off"), SystemExit(1)
        loop.run(30)
        motor.reading = motor.opening = None
        loop.run(100)
        assert loop.devices[0].state is DeviceState.OPEN


def test_a_device_that_cannot_be_opened_at_the_start_is_opened_later() -> None:
    clock = VirtualClock()
    motor, follow = Motor(clock), Follow(clock)
    motor.opening = DeviceError("not there")
    wires = {"follow.measured": "motor.position", "follow.speed": "motor.speed"}
    parts = Parts(devices={"motor": motor}, agents={"follow": follow}, wires=wires)
    with SimulatedLoop(parts, clock=clock) as loop:
        row = loop.tick()
        assert row.reasons == bytes([Absent.DEVICE_CLOSED] * 2 + [Verdict.SAFE_DEVICE] + [Absent.INPUT_ABSENT] * 2)
        assert motor.written == []
        motor.opening = None
        loop.run(30)
        assert motor.written[-1] == pytest.approx(0.5)


def test_a_lost_device_starts_from_its_safe_value_when_the_slew_is_limited() -> None:
    clock = VirtualClock()
    motor, follow = Motor(clock), Follow(clock)
    follow.answer = 1.0
    parts = Parts(
        devices={"motor": motor},
        agents={"follow": follow},
        wires={"follow.measured": "motor.position", "follow.speed": "motor.speed"},
        guard={"motor.speed": {"slew_per_s": 10.0}},
    )
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(20)
        assert motor.written[-1] == 1.0
        motor.reading = DeviceError("off")
        loop.tick()
        motor.reading = None
        motor.written.clear()
        loop.run(30)
    assert motor.written[:4] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_device_is_safe_as_soon_as_it_is_open_and_by_the_guards_safe_value(site: Site) -> None:
    clock = VirtualClock()
    motor = Motor(clock)
    motor.opening = DeviceError("not there")
    parts = Parts(devices={"motor": motor}, guard={"motor.speed": {"safe": -0.25}})
    with SimulatedLoop(parts, clock=clock):
        assert (motor.log, motor.written) == (["open motor"], [])
    motor = Motor(clock)
    with SimulatedLoop(Parts(devices={"motor": motor}, guard=parts.guard), clock=clock):
        assert (motor.log, motor.written) == (["open motor", "write motor"], [-0.25])


def test_a_device_that_opens_but_takes_no_safe_value_is_closed_again() -> None:
    clock = VirtualClock()
    motor = Motor(clock)
    motor.writing = DeviceError("no acknowledge")
    with SimulatedLoop(Parts(devices={"motor": motor}), clock=clock) as loop:
        assert motor.log == ["open motor", "write motor", "close motor"]
        assert loop.devices[0].state is DeviceState.CLOSED
        assert loop.devices[0].why.startswith("open: no acknowledge")


@pytest.mark.parametrize("left_out", [True, False], ids=["quarantined", "open"])
def test_a_quarantined_device_is_absent_and_its_actuators_say_that_nothing_is_applied(left_out: bool) -> None:
    clock = VirtualClock()
    motor, follow = Motor(clock), Follow(clock)
    wires: dict[str, WireTo] = {"follow.measured": 5.0, "follow.speed": "motor.speed"}
    parts = Parts(devices={"motor": motor}, agents={"follow": follow}, wires=wires)
    why = {"motor": "read did not come back"} if left_out else {}
    with SimulatedLoop(parts, clock=clock, quarantined=why) as loop:
        row = loop.run(2)[-1]
        reasons = dict(zip(loop.cycle.row.index_of, row.reasons, strict=True))
    if left_out:
        assert (reasons["motor.position"], reasons["motor.speed"]) == (Absent.QUARANTINED, Verdict.SAFE_DEVICE)
        assert (motor.log, motor.written) == ([], [])
        assert follow.seen[-1][2] == 0.0, "the agent reads back that nothing was applied"
    else:
        assert follow.seen[-1][2] == pytest.approx(0.5)


def test_closing_gives_the_hardware_back_once(site: Site) -> None:
    site.port.close()
    site.port.close()
    assert site.bad.log.count("close motor") == 1


class Camera(Device):
    picture: NDArray[np.uint8] | None = Sensor(shape=(2, 3))

    def __init__(self) -> None:
        self.next: NDArray[np.generic] | None = np.zeros((2, 3), np.uint8)

    def read(self, tick: Tick) -> None:
        self.picture = self.next  # type: ignore[assignment]


def test_a_new_picture_is_a_new_entry_and_the_same_one_is_not() -> None:
    camera = Camera()
    with SimulatedLoop(Parts(devices={"camera": camera})) as loop:
        indices = []
        for grey in (1, None, 2):
            if grey is not None:
                camera.next = np.full((2, 3), grey, np.uint8)
            row = loop.tick()
            indices.append(row.values[0])
            assert row.stamps_ns[0] == row.time_ns
        assert indices == [0, 0, 1]
        reader = ArrayRingReader(loop.runtime / "loop" / "camera.picture.1")
        found = reader.at(1)
        assert found is not None and found[2] == bytes([2] * 6)


def test_a_picture_of_another_shape_is_a_device_error() -> None:
    camera = Camera()
    camera.next = np.zeros((3, 2), np.uint8)
    run = run_loop(Parts(devices={"camera": camera}), 1)
    assert run.absent("camera.picture") == [Absent.DEVICE_ERROR]
    assert "camera.picture: found an array of 'B' (3, 2), expected uint8 (2, 3)" in run.reports[0].message


def test_a_missing_picture_is_absent() -> None:
    camera = Camera()
    camera.next = None
    assert run_loop(Parts(devices={"camera": camera}), 1).absent("camera.picture") == [Absent.NOT_GIVEN]


def test_backoff_begins_short_and_ends_bounded() -> None:
    assert BACKOFF_FIRST_NS <= NS_PER_S < BACKOFF_LAST_NS <= 60 * NS_PER_S


def test_an_error_without_text_is_described_by_its_type() -> None:
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(ValueError("one\ntwo")) == "one"


def test_a_port_without_a_device_is_quarantined() -> None:
    port = DevicePort("motor", None, lambda *_: None, "it hung")
    assert (port.state, port.why) == (DeviceState.QUARANTINED, "it hung")
    assert port.write(Tick()) is False
