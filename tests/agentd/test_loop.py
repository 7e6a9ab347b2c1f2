"""The scan cycle: its order, what is late, what is missed and why, and that it repeats itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.config.plan import Requirement
from agentd.runtime.guard import Lease, Verdict
from agentd.runtime.loop import crumb, read_crumb
from agentd.runtime.ring import Flag, Phase, Row, Word
from agentd.testing.harness import Parts, SimulatedLoop
from hal.clock import NS_PER_S, VirtualClock
from hal.device import DeviceError
from hal.signal import Absent, Tick
from tests.agentd.loop_parts import MS, Follow, Motor, robot

PERIOD_NS = 10 * MS


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def told(loop: SimulatedLoop, kind: str) -> list[str]:
    return [report.message for report in loop.reports if report.kind == kind]


def test_a_tick_reads_all_then_steps_all_then_writes_all(clock: VirtualClock) -> None:
    log: list[str] = []
    parts = Parts(
        devices={name: Motor(clock, log, name) for name in ("left", "right")},
        agents={name: Follow(clock, log, name) for name in ("first", "second")},
        wires={
            "first.measured": "left.position",
            "first.speed": "left.speed",
            "second.measured": "right.position",
            "second.speed": "right.speed",
        },
    )
    with SimulatedLoop(parts, clock=clock) as loop:
        assert log == ["open left", "write left", "open right", "write right"], "safe before anything else"
        log.clear()
        loop.tick()
        assert log == ["read left", "read right", "step first", "step second", "write left", "write right"]


def two_agents(clock: VirtualClock) -> tuple[Motor, Follow, Follow, Parts]:
    """Each agent reads the other's answer, so one of them reads that of the tick before."""
    motor, first, second = Motor(clock), Follow(clock), Follow(clock)
    wires = {
        "first.measured": "motor.position",
        "first.other": "second.speed",
        "second.measured": "motor.position",
        "second.other": "first.speed",
        "second.speed": "motor.speed",
    }
    return motor, first, second, Parts(devices={"motor": motor}, agents={"first": first, "second": second}, wires=wires)


def test_a_consumer_sees_this_ticks_answer_and_a_delayed_one_the_last(clock: VirtualClock) -> None:
    motor, first, second, parts = two_agents(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        for position in (1.0, 2.0, 3.0):
            motor.at = position
            loop.tick()
    assert [other for _, other, _ in second.seen] == pytest.approx([0.1, 0.2, 0.3])
    assert [other for _, other, _ in first.seen] == [None, *pytest.approx([0.1, 0.2]).expected]


def test_a_delayed_wire_does_not_make_its_agents_stale(clock: VirtualClock) -> None:
    *_, parts = two_agents(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        rows = loop.run(100)
        assert loop.cycle.guard.channels[0].verdict is Verdict.AS_ASKED
        assert all(not row.flags for row in rows)


def test_what_was_asked_is_applied_and_written_and_in_the_row(clock: VirtualClock) -> None:
    motor, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        row = loop.tick()
        assert loop.value("follow.speed", row) == loop.value("motor.speed", row) == pytest.approx(0.5)
        assert loop.value("follow.moving", row) == 1
        assert loop.value("motor.turns", row) == 3
    assert motor.written == [0.0, pytest.approx(0.5)]
    assert (row.tick, row.time_ns, row.dt_s, row.flags) == (0, NS_PER_S, 0.01, 0)


def test_without_agents_everything_is_safe(clock: VirtualClock) -> None:
    motor = Motor(clock)
    with SimulatedLoop(Parts(devices={"motor": motor}), clock=clock) as loop:
        row = loop.tick()
        assert row.reasons[loop.cycle.row.index_of["motor.speed"]] == Verdict.SAFE_NO_REQUEST
    assert motor.written == [0.0, 0.0]


def test_ticks_lie_on_one_grid_and_dt_is_what_passed(clock: VirtualClock) -> None:
    _, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        rows = loop.run(3)
    assert [row.time_ns - NS_PER_S for row in rows] == [0, PERIOD_NS, 2 * PERIOD_NS]
    assert [row.dt_s for row in rows] == [0.01] * 3


def test_a_tick_that_is_woken_late_says_so(clock: VirtualClock) -> None:
    _, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        clock.wait_until(NS_PER_S + PERIOD_NS + 6 * MS)
        late = loop.tick()
        assert (late.flags, late.wake_ns, late.dt_s) == (Flag.LATE, 6 * MS, 0.016)
        assert loop.tick().flags == 0


def test_an_overrun_is_skipped_and_not_piled_up(clock: VirtualClock) -> None:
    motor, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        motor.slow_ns = 35 * MS
        missed = loop.tick()
        motor.slow_ns = 0
        rows = loop.run(2)
        assert missed.flags & Flag.MISSED
        assert [row.tick for row in (missed, *rows)] == [1, 5, 6], "2, 3 and 4 never run"
        assert [row.wake_ns for row in rows] == [0, 0], "and the next is in time again"
        assert loop.schedule.skipped_total == 3
        assert loop.cycle.account.missed_total == 1


def test_a_miss_names_the_device_that_took_the_time(clock: VirtualClock) -> None:
    motor, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(3)
        motor.slow_ns = 13 * MS
        loop.tick()
        (miss,) = [report for report in loop.reports if report.kind == "miss"]
    assert miss.message.startswith("loop: tick 3 ended 3.00 ms after the next was due: motor took 13.00 ms")
    assert (miss.data["cause"], miss.data["tick"], miss.data["late_ms"]) == ("motor", 3, 3.0)


def test_a_miss_names_the_agent_that_took_the_time(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    motor.slow_ns = 8 * MS  # as long as ever
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(500)
        loop.reports.clear()
        follow.slow_ns = 5 * MS
        loop.tick()
        (miss,) = [report for report in loop.reports if report.kind == "miss"]
    assert miss.data["cause"] == "follow"
    assert "follow took 5.00 ms, usually 0.00 ms" in miss.message


def test_a_miss_that_began_late_blames_the_wake(clock: VirtualClock) -> None:
    motor, _, parts = robot(clock)
    motor.slow_ns = 4 * MS
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(500)
        clock.wait_until(loop.schedule.deadline_ns + 9 * MS)
        loop.tick()
        (miss,) = [report for report in loop.reports if report.kind == "miss"]
    assert miss.data["cause"] == "wake"


def test_a_value_that_became_too_old_before_the_write_is_replaced_by_the_safe_one(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(2)
        follow.slow_ns = 101 * MS  # stale_after_s is 0.1
        late = loop.tick()
        follow.slow_ns = 0
        column = loop.cycle.row.index_of["motor.speed"]
        assert [late.reasons[column], loop.tick().reasons[column]] == [Verdict.SAFE_EXPIRED, Verdict.AS_ASKED]
        assert late.flags & Flag.EXPIRED
    assert motor.written[-2:] == [0.0, pytest.approx(0.5)]


def test_a_lease_that_ends_while_the_tick_runs_is_not_written(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.cycle.guard.channels[0].grant(Lease("ann", 9, NS_PER_S + 5 * MS, -1.0, 1.0, 0.9))
        follow.slow_ns = 5 * MS
        loop.tick()
        assert loop.cycle.guard.channels[0].verdict is Verdict.SAFE_EXPIRED
    assert motor.written == [0.0, 0.0]


def test_each_device_is_written_by_the_clock_of_its_own_write(clock: VirtualClock) -> None:
    class SlowToWrite(Motor):
        def write(self, tick: Tick) -> None:
            super().write(tick)
            self.clock.advance(self.slow_write_ns)

        slow_write_ns = 0

    left, right = SlowToWrite(clock), Motor(clock)
    parts = Parts(
        devices={"left": left, "right": right},
        agents={"one": Follow(clock), "two": Follow(clock)},
        wires={
            "one.measured": "left.position", "one.speed": "left.speed",
            "two.measured": "right.position", "two.speed": "right.speed",
        },
    )  # fmt: skip
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        left.slow_write_ns = 101 * MS
        loop.tick()
        verdicts = [channel.verdict for channel in loop.cycle.guard.channels]
    assert verdicts == [Verdict.AS_ASKED, Verdict.SAFE_EXPIRED]
    assert [left.written[-1], right.written[-1]] == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize("stop", [Verdict.SAFE_EMERGENCY_STOP, Verdict.SAFE_HOLD])
def test_a_stopped_loop_writes_safe_values_and_says_so(clock: VirtualClock, stop: Verdict) -> None:
    motor, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        loop.cycle.stop = stop
        row = loop.tick()
        assert row.flags & Flag.HOLD
        assert row.reasons[loop.cycle.row.index_of["motor.speed"]] == stop
    assert motor.written[-1] == 0.0


def test_an_interlock_looks_at_this_ticks_row(clock: VirtualClock) -> None:
    motor, _, parts = robot(clock)
    need = Requirement(signal="motor.position", operator="<", threshold=6.0)
    parts = Parts(
        devices=parts.devices, agents=parts.agents, wires=parts.wires, guard={"motor.speed": {"requires": (need,)}}
    )
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.tick()
        motor.at = 7.0
        loop.tick()
        assert "safe interlock: 0 applied, needs motor.position < 6" in told(loop, "guard")[-1]
    assert motor.written[-2:] == [pytest.approx(0.5), 0.0]


def test_an_intervention_is_told_once_with_what_was_asked_and_by_whom(clock: VirtualClock) -> None:
    _, follow, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(2)
        follow.answer = 3.0
        loop.run(5)
        channel = loop.cycle.guard.channels[0]
        assert told(loop, "guard") == ["motor.speed: clamped: 1 applied, 3 asked by follow.speed"]
        assert channel.interventions_total == 1


def test_a_tick_leaves_its_heartbeat_and_no_breadcrumb(clock: VirtualClock) -> None:
    _, _, parts = robot(clock)
    with SimulatedLoop(parts, clock=clock) as loop:
        loop.run(3)
        words = loop.cycle.ring.words
        assert words[Word.HEARTBEAT_NS] == NS_PER_S + 2 * PERIOD_NS
        assert (words[Word.BREADCRUMB], words[Word.TICK_BEGAN_NS]) == (0, 0)


def test_a_breadcrumb_says_who_is_at_work_and_in_what(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    found: dict[str, tuple[int, Phase] | None] = {}
    with SimulatedLoop(parts, clock=clock) as loop:
        words = loop.cycle.ring.words

        class Log(list[str]):
            def append(self, entry: str) -> None:
                found[entry] = read_crumb(words[Word.BREADCRUMB])

        motor.log = follow.log = Log()
        loop.tick()
        motor.log = follow.log = []
    assert found == {
        "read motor": (0, Phase.READ), "step follow": (1, Phase.STEP), "write motor": (0, Phase.WRITE),
    }  # fmt: skip


@given(st.integers(0, 2**31), st.sampled_from(Phase))
def test_a_breadcrumb_is_read_as_it_was_laid(part: int, phase: Phase) -> None:
    assert read_crumb(crumb(part, phase)) == (part, phase)


@given(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 9).map(lambda phase: phase << 32)))
def test_a_breadcrumb_that_is_none_is_none(word: int) -> None:
    found = read_crumb(word)
    assert found is None or (found[0] >= 0 and found[1] in Phase)


def test_the_row_accounts_for_every_part(clock: VirtualClock) -> None:
    motor, follow, parts = robot(clock)
    motor.slow_ns, follow.slow_ns = 2 * MS, 3 * MS
    with SimulatedLoop(parts, clock=clock) as loop:
        row = loop.tick()
    assert row.parts_ns == (2 * MS, 3 * MS)
    assert (row.read_ns, row.step_ns, row.guard_ns, row.write_ns, row.total_ns) == (2 * MS, 3 * MS, 0, 0, 5 * MS)


def test_a_row_is_published_however_long_the_tick_took(clock: VirtualClock) -> None:
    motor, _, parts = robot(clock)
    motor.slow_ns = 3600 * NS_PER_S
    with SimulatedLoop(parts, clock=clock) as loop:
        row = loop.tick()
    assert (row.read_ns, row.total_ns) == (2**32 - 1, 2**32 - 1), "durations saturate"


def mad_run(seed: list[tuple[float | None, str, int, int]]) -> list[Row]:
    """A run in which parts fail, answer nonsense and take their time as `seed` says, accounting masked."""
    clock = VirtualClock()
    motor, follow, parts = robot(clock)
    errors = {"": None, "device": DeviceError("off"), "agent": ValueError("off")}
    rows = []
    with SimulatedLoop(parts, clock=clock) as loop:
        for at, failing, slow_ms, turns in seed:
            motor.at, motor.count, motor.slow_ns = at, turns, slow_ms * MS
            motor.reading, follow.raising = None, None
            if failing == "device":
                motor.reading = errors[failing]
            elif failing == "agent":
                follow.raising = errors[failing]
            rows.append(loop.tick())
    return rows


ticks = st.tuples(
    st.one_of(st.none(), st.floats()),
    st.sampled_from(["", "", "", "device", "agent"]),
    st.sampled_from([0, 0, 1, 12, 150]),
    st.integers(-(2**70), 2**70),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ticks, min_size=1, max_size=12))
def test_the_same_inputs_give_the_same_rows(seed: list[tuple[float | None, str, int, int]]) -> None:
    first, second = ([repr(row._replace(book_ns=0)) for row in mad_run(seed)] for _ in range(2))
    assert first == second


@settings(max_examples=40, deadline=None)
@given(st.lists(ticks, min_size=1, max_size=12))
def test_whatever_happens_each_tick_has_a_row_and_outputs_in_range(
    seed: list[tuple[float | None, str, int, int]],
) -> None:
    for row in mad_run(seed):
        speed = row.values[2]
        assert -1.0 <= speed <= 1.0
        assert all(reason in list(Absent) for reason in row.reasons[:2])
        if row.reasons[2] > Verdict.SLEW_LIMITED:
            assert speed == 0.0
