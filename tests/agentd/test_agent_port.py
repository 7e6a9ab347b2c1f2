"""One agent in a loop: its inputs, its answers, its failures, and the age of what it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from agentd.config.plan import InputPlan
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import Row
from agentd.testing.harness import Parts, SimulatedLoop, WireTo, run_loop
from agents.agent import Agent, Applied, Input, NoAnswer, Output, Param, State
from hal.clock import VirtualClock
from hal.device import Device, DeviceError
from hal.signal import Absent, Actuator, Sensor, Tick
from tests.agentd.loop_parts import MS, Follow, Motor, robot


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def reasons(loop: SimulatedLoop, row: Row) -> dict[str, int]:
    return dict(zip(loop.cycle.row.index_of, row.reasons, strict=True))


def errors(loop: SimulatedLoop) -> list[str]:
    return [r.message for r in loop.reports if (r.kind, r.severity) == ("agent", "error")]


@pytest.mark.parametrize(
    ("error", "absent", "verdict"),
    [
        (NoAnswer("too dark"), Absent.NO_ANSWER, Verdict.SAFE_NO_REQUEST),
        (ValueError("bad sum"), Absent.AGENT_ERROR, Verdict.SAFE_NO_REQUEST),
        (ZeroDivisionError(), Absent.AGENT_ERROR, Verdict.SAFE_NO_REQUEST),
        (RecursionError(), Absent.AGENT_ERROR, Verdict.SAFE_NO_REQUEST),
    ],
)
def test_an_agent_that_gives_no_answer_leaves_its_actuator_safe(
    clock: VirtualClock, error: Exception, absent: Absent, verdict: Verdict
) -> None:
    motor, follow, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        follow.raising = error
        found = reasons(loop, loop.tick())
        assert (found["follow.speed"], found["follow.moving"], found["motor.speed"]) == (absent, absent, verdict)
        assert motor.written[-1] == 0.0
        follow.raising = None
        assert reasons(loop, loop.tick())["motor.speed"] == Verdict.AS_ASKED


def test_an_error_is_told_once_with_its_place_and_so_is_its_end(clock: VirtualClock) -> None:
    _, follow, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        follow.raising = ValueError("bad sum")
        loop.run(1000)
        assert len(errors(loop)) == 1, "in ten seconds"
        assert errors(loop)[0].startswith("follow: bad sum (ValueError in loop_parts.py:")
        assert loop.agents[0].why.startswith("bad sum")
        follow.raising = None
        loop.run(3)
        assert [r.message for r in loop.reports if r.kind == "agent"][1:] == ["follow: answers again"]
        assert loop.agents[0].why == ""


def test_an_agent_is_not_stepped_while_a_plain_input_is_absent(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    motor.at = None
    with SimulatedLoop(parts, clock=clock) as loop:
        found = reasons(loop, loop.tick())
        assert (follow.seen, found["follow.speed"]) == ([], Absent.INPUT_ABSENT)
        assert loop.agents[0].why == "waits for motor.position (not given)"
        motor.at = 5.0
        assert reasons(loop, loop.tick())["follow.speed"] == 0


def test_an_agent_says_that_it_waits_for_a_number_from_a_device_that_is_ok_itself(clock: VirtualClock) -> None:
    motor, _follow, parts = robot(clock)
    motor.at = math.nan
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        assert loop.agents[0].why == "waits for motor.position (not a number)"


def test_an_optional_input_is_none_while_it_is_absent(clock: VirtualClock) -> None:
    motor, follow = Motor(clock), Follow(clock)
    motor.count = None
    wires = {"follow.measured": "motor.position", "follow.other": "motor.turns"}
    with SimulatedLoop(Parts(devices={"motor": motor}, agents={"follow": follow}, wires=wires), clock=clock) as loop:
        loop.tick()
        motor.count = 4
        loop.tick()
    assert [other for _, other, _ in follow.seen] == [None, 4.0]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (math.nan, Verdict.SAFE_NOT_FINITE),
        (math.inf, Verdict.SAFE_NOT_FINITE),
        (-math.inf, Verdict.SAFE_NOT_FINITE),
        (1e308, Verdict.CLAMPED),
    ],
)
def test_an_answer_that_is_no_value_never_reaches_the_actuator(
    clock: VirtualClock, answer: float, verdict: Verdict
) -> None:
    motor, follow, parts = robot(clock)
    follow.answer = answer
    with SimulatedLoop(parts, clock=clock) as loop:
        assert reasons(loop, loop.tick())["motor.speed"] == verdict
    assert motor.written[-1] == (1.0 if verdict is Verdict.CLAMPED else 0.0)


def test_an_answer_of_nan_ends_what_was_held(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    guard = {"motor.speed": {"hold_s": 10.0, "stale_after_s": 10.0}}
    parts = Parts(devices=parts.devices, agents=parts.agents, wires=parts.wires, guard=guard)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        follow.answer = math.nan
        loop.tick()
    assert motor.written[-1] == 0.0


@pytest.mark.parametrize("answer", ["fast", [0.5], np.zeros(3)])
def test_an_answer_that_is_no_number_is_an_error_that_names_the_output(clock: VirtualClock, answer: object) -> None:
    motor, follow, parts = robot(clock)
    follow.answer = answer  # type: ignore[assignment]
    with SimulatedLoop(parts, clock=clock) as loop:
        assert reasons(loop, loop.tick())["follow.speed"] == Absent.AGENT_ERROR
        assert "follow.speed: found" in errors(loop)[0]
    assert motor.written[-1] == 0.0


def test_with_hold_s_an_answer_lasts_while_inputs_are_absent_but_not_after_no_answer(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    guard = {"motor.speed": {"hold_s": 10.0, "stale_after_s": 10.0}}
    parts = Parts(devices=parts.devices, agents=parts.agents, wires=parts.wires, guard=guard)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        motor.at = None
        loop.run(5)
        assert motor.written[-1] == pytest.approx(0.5)
        motor.at, follow.raising = 5.0, NoAnswer()
        loop.tick()
    assert motor.written[-1] == 0.0


class Moody(Follow):
    def step(self, tick: Tick) -> None:
        Follow.step(self, tick)
        if self.answer == 0.0:
            self.speed = None


def test_an_output_that_is_set_to_none_is_given_up_though_it_would_be_held(clock: VirtualClock) -> None:
    motor, moody = Motor(clock), Moody(clock)
    parts = Parts(
        devices={"motor": motor},
        agents={"moody": moody},
        wires={"moody.measured": "motor.position", "moody.speed": "motor.speed"},
        guard={"motor.speed": {"hold_s": 10.0, "stale_after_s": 10.0}},
    )
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        moody.answer = 0.0
        row = loop.tick()
        assert reasons(loop, row)["moody.speed"] == Absent.NOT_GIVEN
    assert motor.written[-1] == 0.0


def test_an_actuator_is_always_present_as_an_input_with_what_was_applied(clock: VirtualClock) -> None:
    motor, follow = Motor(clock), Follow(clock)
    follow.answer = 7.0
    wires = {"follow.measured": "motor.position", "follow.other": "motor.speed", "follow.speed": "motor.speed"}
    with SimulatedLoop(Parts(devices={"motor": motor}, agents={"follow": follow}, wires=wires), clock=clock) as loop:
        loop.run(2)
        loop.cycle.stop = Verdict.SAFE_EMERGENCY_STOP
        loop.run(2)
    assert [other for _, other, _ in follow.seen] == [0.0, 1.0, 1.0, 0.0]


def test_an_agent_that_measures_nothing_is_as_fresh_as_its_tick(clock: VirtualClock) -> None:
    motor, follow = Motor(clock), Follow(clock)
    wires: dict[str, WireTo] = {"follow.measured": 5.0, "follow.speed": "motor.speed"}
    with SimulatedLoop(Parts(devices={"motor": motor}, agents={"follow": follow}, wires=wires), clock=clock) as loop:
        row = loop.tick()
        assert (reasons(loop, row)["motor.speed"], stamps(loop, row)["follow.speed"]) == (Verdict.AS_ASKED, 0)


class Misspelt(Agent):
    measured: float = Input(unit="mm")
    speed: float = Output(unit="mm/s")

    def __init__(self) -> None:
        self.stepped_total = 0

    def step(self, tick: Tick) -> None:
        self.stepped_total += 1
        self.speeed = 0.5
        if self.stepped_total == 1:
            self.first()

    def first(self) -> None:
        """What the first step does after the mistake."""


class RaisesFirst(Misspelt):
    def first(self) -> None:
        raise NoAnswer("not yet")


@pytest.mark.parametrize("kind", [Misspelt, RaisesFirst])
def test_an_attribute_that_is_not_declared_is_named_in_the_first_step_that_ends(kind: type[Misspelt]) -> None:
    agent = kind()
    wires = {"agent.measured": "motor.position", "agent.speed": "motor.speed"}
    run = run_loop(Parts(devices={"motor": Motor()}, agents={"agent": agent}, wires=wires), 10)
    message = next(r.message for r in run.reports if r.severity == "error")
    assert f"step sets 'speeed', which {kind.__name__} does not declare; declare an Output or State" in message
    assert run.absent("agent.speed")[-1] is Absent.AGENT_ERROR
    assert run.values("motor.speed") == [0.0] * 10
    assert agent.stepped_total <= 2, "it can never work, and is not stepped any more"


def test_a_quarantined_agent_leaves_its_actuator_to_the_safe_value(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock, quarantined={"follow": "step did not come back"}) as loop:
        found = reasons(loop, loop.tick())
        assert (found["follow.speed"], found["motor.speed"]) == (Absent.QUARANTINED, Verdict.SAFE_NO_REQUEST)
        assert loop.agents[0].set_number("gain", 0.1) == "follow is quarantined"
    assert (follow.seen, motor.written) == ([], [0.0, 0.0])


class Converts(Agent):
    position: float = Input(unit="m")
    several: NDArray[np.float64] = Input(unit="m", shape=(-1,))
    speed: float = Output(unit="m/s")
    applied: float | None = Applied("speed", unit="m/s")

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def step(self, tick: Tick) -> None:
        self.seen.append([self.position, *self.several, self.applied or 0.0])
        self.speed = 0.0004


def test_units_are_converted_on_the_way_in_out_and_back(clock: VirtualClock) -> None:
    motor, agent = Motor(clock), Converts()
    wires: dict[str, WireTo] = {
        "agent.position": "motor.position",
        "agent.several": ["motor.position", "motor.position"],
        "agent.speed": "motor.speed",
    }
    run_loop(Parts(devices={"motor": motor}, agents={"agent": agent}, wires=wires), 2, clock=clock)
    assert motor.written[-1] == pytest.approx(0.4), "mm/s"
    assert agent.seen == [pytest.approx([0.005, 0.005, 0.005, 0.0]), pytest.approx([0.005, 0.005, 0.005, 0.0004])]


class Counter(Device):
    ns: int = Sensor()
    on: bool = Sensor()
    gear: int = Actuator(low=0, high=5, safe=1)
    lamp: bool = Actuator(low=0, high=1, safe=0)

    def read(self, tick: Tick) -> None:
        self.ns, self.on = 2**62 + 1, True

    def write(self, tick: Tick) -> None:
        self.last = (self.gear, self.lamp)


class Typed(Agent):
    ns: int = Input()
    on: bool = Input()
    level: int = Input()
    gear: int = Output()
    lamp: bool = Output()

    def __init__(self) -> None:
        self.found: tuple[int, bool, int] = (0, False, 0)

    def step(self, tick: Tick) -> None:
        self.found = (self.ns, self.on, self.level)
        self.gear, self.lamp = 3, self.on


def test_values_arrive_as_the_declared_type_to_the_last_bit() -> None:
    counter, agent = Counter(), Typed()
    wires: dict[str, WireTo] = {
        "agent.ns": "counter.ns",
        "agent.on": "counter.on",
        "agent.level": 7,
        "agent.gear": "counter.gear",
        "agent.lamp": "counter.lamp",
    }
    run_loop(Parts(devices={"counter": counter}, agents={"agent": agent}, wires=wires), 1)
    assert repr(agent.found) == repr((2**62 + 1, True, 7))
    assert repr(counter.last) == "(3, True)"


def test_an_agent_reads_back_what_was_applied_to_its_output(clock: VirtualClock) -> None:
    _, follow, parts = robot(clock)
    follow.answer = 7.0
    run_loop(parts, 2, clock=clock)
    assert [applied for _, _, applied in follow.seen] == [0.0, 1.0]


def test_what_an_unconnected_output_asks_is_not_applied_anywhere(clock: VirtualClock) -> None:
    follow = Follow(clock)
    wires = {"follow.measured": "motor.position"}
    run_loop(Parts(devices={"motor": Motor(clock)}, agents={"follow": follow}, wires=wires), 2, clock=clock)
    assert [applied for _, _, applied in follow.seen] == [None, None]


class Sum(Agent):
    fresh: float = Input(unit="any")
    old: float = Input(unit="any")
    sum: float = Output(unit="any")

    def step(self, tick: Tick) -> None:
        self.sum = self.fresh + self.old


def test_agents_that_read_each_other_begin_with_the_initial_value_and_never_wait_or_grow_stale(
    clock: VirtualClock,
) -> None:
    motor, first, second = Motor(clock), Sum(), Sum()
    back = InputPlan(attribute="old", signals=("second.sum",), delayed=True, initial=10.0)
    parts = Parts(
        devices={"motor": motor},
        agents={"first": first, "second": second},
        wires={
            "first.fresh": "motor.position", "first.old": back,
            "second.fresh": "motor.position", "second.old": "first.sum", "second.sum": "motor.speed",
        },
    )  # fmt: skip
    with SimulatedLoop(parts, clock=clock) as loop:
        sums = [loop.value("second.sum", loop.tick()) for _ in range(3)]
        assert sums == [20.0, 30.0, 40.0]
        motor.at = None
        assert loop.value("second.sum", loop.tick()) is None
        motor.at = 5.0
        assert loop.value("second.sum", loop.tick()) == 20.0, "after a gap it begins anew"
        row = loop.run(50)[-1]
        assert reasons(loop, row)["motor.speed"] == Verdict.CLAMPED


class Old(Device):
    """A motor whose read gives what it measured long ago only by its slowness."""

    position: float = Sensor(unit="mm")

    def __init__(self, clock: VirtualClock, slow_ns: int) -> None:
        self.clock, self.slow_ns = clock, slow_ns

    def read(self, tick: Tick) -> None:
        self.position = 1.0
        self.clock.advance(self.slow_ns)


def stamps(loop: SimulatedLoop, row: Row) -> dict[str, int]:
    return {name: row.stamps_ns[i] - row.time_ns for name, i in loop.cycle.row.index_of.items()}


def test_a_value_carries_the_time_just_before_its_device_was_read(clock: VirtualClock) -> None:
    devices = {"first": Old(clock, 2 * MS), "second": Old(clock, 0)}
    with SimulatedLoop(Parts(devices=devices), clock=clock) as loop:
        row = loop.tick()
        assert stamps(loop, row) == {"first.position": 0, "second.position": 2 * MS}


def test_an_answer_is_as_old_as_its_oldest_required_input(clock: VirtualClock) -> None:
    wires = {
        "first.fresh": "motor.position",
        "first.old": "second.sum",  # stepped later: a tick old
        "second.fresh": "motor.position",
        "second.old": "motor.position",
    }
    parts = Parts(devices={"motor": Motor(clock)}, agents={"first": Sum(), "second": Sum()}, wires=wires)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        found = stamps(loop, loop.tick())
        assert (found["second.sum"], found["first.sum"]) == (0, -10 * MS)


def test_an_optional_input_does_not_make_an_answer_older(clock: VirtualClock) -> None:
    motor, first, second = Motor(clock), Follow(clock), Follow(clock)
    wires = {"first.measured": "motor.position", "first.other": "second.speed", "second.measured": "motor.position"}
    parts = Parts(devices={"motor": motor}, agents={"first": first, "second": second}, wires=wires)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        assert stamps(loop, loop.tick())["first.speed"] == 0


def test_no_answer_is_younger_than_its_tick(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    motor.slow_ns = follow.slow_ns = 2 * MS
    with SimulatedLoop(parts, clock=clock) as loop:
        assert stamps(loop, loop.tick())["follow.speed"] == 0


class Paint(Agent):
    picture: NDArray[np.uint8] = Input(shape=(2, 3))
    sum: int = Output()
    copy: NDArray[np.uint8] | None = Output(shape=(2, 3))

    def step(self, tick: Tick) -> None:
        self.sum = int(self.picture.sum())
        self.copy = self.picture if self.sum < 100 else None


class Camera(Device):
    picture: NDArray[np.uint8] | None = Sensor(shape=(2, 3))
    grey = 1

    def read(self, tick: Tick) -> None:
        self.picture = np.full((2, 3), self.grey, np.uint8) if self.grey else None


def test_pictures_go_in_and_come_out() -> None:
    camera, wires = Camera(), {"paint.picture": "camera.picture"}
    with SimulatedLoop(Parts(devices={"camera": camera}, agents={"paint": Paint()}, wires=wires)) as loop:
        assert loop.value("paint.sum", loop.tick()) == 6
        camera.grey = 50
        row = loop.tick()
        assert (loop.value("paint.sum", row), reasons(loop, row)["paint.copy"]) == (300, Absent.NOT_GIVEN)
        camera.grey = 0
        assert reasons(loop, loop.tick())["paint.sum"] == Absent.INPUT_ABSENT


class Tuned(Agent):
    measured: float = Input(unit="mm")
    target: float = Input(low=0.0, high=10.0)
    gain: float = Param(1.0, low=0.0, high=2.0)
    steps: int = Param(3, low=1, high=9)
    active: bool = Param(True)
    memory: float = State(0.0)
    speed: float = Output()

    def __init__(self, on_change: Callable[[], object] = lambda: None) -> None:
        self.changed: frozenset[str] = frozenset()
        self.on_change = on_change

    def step(self, tick: Tick) -> None:
        self.speed = self.gain

    def params_changed(self, names: frozenset[str]) -> None:
        self.changed = names
        self.on_change()


def tuned_loop(agent: Tuned) -> SimulatedLoop:
    wires: dict[str, WireTo] = {"tuned.measured": "motor.position", "tuned.target": 4.0}
    return SimulatedLoop(Parts(devices={"motor": Motor()}, agents={"tuned": agent}, wires=wires))


@pytest.mark.parametrize(
    ("name", "value", "kept"), [("gain", 1.5, "1.5"), ("steps", 5.0, "5"), ("active", 0.0, "False"), ("target", 6, "6")]
)
def test_a_number_is_changed_between_two_ticks_as_its_type(name: str, value: float, kept: str) -> None:
    agent = Tuned()
    with tuned_loop(agent) as loop:
        loop.tick()
        assert loop.agents[0].set_number(name, value) == ""
        assert (repr(getattr(agent, name)), agent.changed) == (kept, frozenset((name,)))
        loop.tick()
        assert loop.value("tuned.speed") == agent.gain


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("gain", 2.5, "expected a number from 0 to 2"),
        ("gain", math.nan, "expected a number from 0 to 2"),
        ("steps", math.inf, "expected a number from 1 to 9"),
        ("target", -1.0, "expected a number from 0 to 10"),
        ("measured", 1.0, "tuned has no parameter 'measured'"),
        ("speed", 1.0, "tuned has no parameter 'speed'"),
        ("memory", 1.0, "tuned has no parameter 'memory'"),
        ("nothing", 1.0, "tuned has no parameter 'nothing'"),
        ("__class__", 1.0, "tuned has no parameter '__class__'"),
    ],
)
def test_what_is_no_parameter_or_beyond_its_range_is_refused_and_nothing_changes(
    name: str, value: float, refusal: str
) -> None:
    agent = Tuned()
    with tuned_loop(agent) as loop:
        loop.tick()
        before = dict(agent.__dict__)
        assert refusal in loop.agents[0].set_number(name, value)
        assert agent.__dict__ == before


def test_an_agent_that_chokes_on_a_change_refuses_it_and_lives() -> None:
    with tuned_loop(Tuned(on_change=lambda: 1 // 0)) as loop:
        assert "tuned.gain = 1.5: integer division or modulo by zero" in loop.agents[0].set_number("gain", 1.5)
        loop.tick()


def test_agents_that_drive_one_actuator_are_ranked_by_priority(clock: VirtualClock) -> None:
    motor, calm, alert = Motor(clock), Follow(clock), Follow(clock)
    calm.answer, alert.answer = 0.1, 0.9
    wires = {
        "calm.measured": "motor.position", "calm.speed": "motor.speed",
        "alert.measured": "motor.position", "alert.speed": "motor.speed",
    }  # fmt: skip
    parts = Parts(devices={"motor": motor}, agents={"calm": calm, "alert": alert}, wires=wires, priorities={"alert": 5})
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        alert.raising = NoAnswer()
        loop.tick()
        alert.raising, calm.raising = DeviceError(), NoAnswer()
        loop.tick()
    assert motor.written[1:] == [0.9, 0.1, 0.0]
