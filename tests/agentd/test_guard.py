"""The guard's promises: by a state machine that tries to break them, and one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agentd.config.plan import ChannelPlan, Requirement
from agentd.runtime.guard import MAX_LEASES, Channel, Guard, Interlock, Lease, RowView, Verdict
from hal.clock import NS_PER_S
from hal.signal import Absent

MS = 1_000_000
PERIOD_NS = 10 * MS
DT_S = 0.01
START_NS = 1000 * NS_PER_S
TEMPERATURE = 0
THRESHOLD = 50.0

any_float = st.floats(allow_nan=True, allow_infinity=True)
asked_values = st.one_of(st.floats(-3, 3), any_float, st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0]))
lease_bounds = st.one_of(
    st.sampled_from([(-1.0, 1.0), (-9.0, 9.0), (0.0, 0.5)]),
    st.tuples(st.floats(-3, 0), st.floats(0, 3)),
    st.tuples(asked_values, asked_values),
)
lags_ns = st.one_of(
    st.sampled_from([0, 1, 50 * MS, 100 * MS, 100 * MS + 1, 3600 * NS_PER_S, -NS_PER_S, -NS_PER_S - 1]),
    st.integers(-3 * NS_PER_S, 3 * NS_PER_S),
)
steps_ns = st.one_of(
    st.just(PERIOD_NS),
    st.sampled_from([0, 1, 3 * PERIOD_NS, NS_PER_S, 3600 * NS_PER_S, -1, -PERIOD_NS, -2 * NS_PER_S]),
)
nonsense_dt = st.one_of(st.none(), st.none(), any_float)


@st.composite
def plans(draw: st.DrawFn) -> ChannelPlan:
    """Any actuator that can be declared."""
    kind = draw(st.sampled_from(["float", "float", "int", "bool"]))
    if kind == "float":
        low = draw(st.floats(-2, 1))
        high = draw(st.floats(low, 2))
        safe = draw(st.floats(low, high))
    else:
        low = draw(st.integers(0 if kind == "bool" else -3, 0))
        high = draw(st.integers(low, 1 if kind == "bool" else 3))
        safe = draw(st.integers(low, high))
    speed = st.one_of(st.none(), st.floats(0.01, 500))
    return ChannelPlan(
        signal="motor.speed",
        type=kind,
        low=low,
        high=high,
        safe=safe,
        slew_per_s=draw(speed),
        safe_ramp_per_s=draw(speed),
        stale_after_s=draw(st.sampled_from([0.01, 0.1, 1.0])),
        hold_s=draw(st.sampled_from([0.0, 0.0, 0.05, 2.0])),
        clear_after_s=draw(st.sampled_from([0.0, 0.2])),
        requires=draw(
            st.sampled_from([(), (Requirement(signal="oven.temperature", operator="<", threshold=THRESHOLD),)])
        ),
    )


@dataclass
class Asked:
    """The model's memory of one request."""

    value: float
    stamp_ns: int
    set_ns: int


@dataclass
class World:
    """The model: who asks for what, told independently of the guard's own bookkeeping."""

    plan: ChannelPlan
    requests: dict[int, Asked] = field(default_factory=dict)
    """By priority."""
    leases: list[Lease] = field(default_factory=list)
    """In the order in which they were first granted."""
    blocked_until_ns: int = 0

    def winner(self, now_ns: int) -> tuple[int, Asked | Lease] | None:
        """Who has the right to the actuator now: priority, and what he asks for."""
        rights: list[tuple[int, int, Asked | Lease]] = []
        for priority, asked in self.requests.items():
            held = 0 <= now_ns - asked.set_ns <= self.plan.hold_s * NS_PER_S
            fresh = -NS_PER_S <= now_ns - asked.stamp_ns <= self.plan.stale_after_s * NS_PER_S
            if held and fresh and math.isfinite(asked.value):
                rights.append((priority, -MAX_LEASES, asked))
        for place, lease in enumerate(self.leases):
            if now_ns < lease.expires_ns:
                rights.append((lease.priority, -place + MAX_LEASES, lease))
        best = max(rights, key=lambda right: right[:2], default=None)
        return (best[0], best[2]) if best else None


class GuardMachine(RuleBasedStateMachine):
    """Agents, people, sensors, clocks and devices in any order, some of them mad."""

    @initialize(plan=plans())
    def start(self, plan: ChannelPlan) -> None:
        self.world = World(plan)
        self.now_ns = START_NS
        self.row = RowView([20.0], [self.now_ns], bytearray([0]))
        self.channel = Channel(plan, PERIOD_NS, [Interlock(TEMPERATURE, need) for need in plan.requires])
        self.requests = {priority: self.channel.request(f"agent{priority}", priority) for priority in (0, 5)}
        self.applied = float(self.channel.applied)

    @rule(priority=st.sampled_from([0, 5]), value=asked_values, lag_ns=lags_ns)
    def agent_asks(self, priority: int, value: float, lag_ns: int) -> None:
        stamp_ns = self.now_ns - lag_ns
        self.requests[priority].ask(value, stamp_ns, self.now_ns)
        self.world.requests[priority] = Asked(value, stamp_ns, self.now_ns)

    @rule(priority=st.sampled_from([0, 5]))
    def agent_gives_up(self, priority: int) -> None:
        self.requests[priority].withdraw()
        self.world.requests.pop(priority, None)

    @rule(
        holder=st.sampled_from(["ann", "bob", "mqtt"]),
        priority=st.sampled_from([0, 3, 5, 100]),
        ttl_ns=st.sampled_from([-PERIOD_NS, 0, 1, PERIOD_NS, 5 * PERIOD_NS, 3600 * NS_PER_S]),
        bounds=lease_bounds,
        value=st.one_of(st.floats(-3, 3), asked_values),
    )
    def somebody_takes_a_lease(
        self, holder: str, priority: int, ttl_ns: int, bounds: tuple[float, float], value: float
    ) -> None:
        lease = Lease(holder, priority, self.now_ns + ttl_ns, *bounds, value)
        refusal = self.channel.grant(lease)
        assert bool(refusal) == (
            not all(map(math.isfinite, (*bounds, value)))
            or bounds[0] > bounds[1]
            or bounds[0] > self.world.plan.high
            or bounds[1] < self.world.plan.low
        )
        if refusal:
            return
        same = [i for i, held in enumerate(self.world.leases) if (held.holder, held.priority) == (holder, priority)]
        if same:
            self.world.leases[same[0]] = lease
        else:
            self.world.leases = [held for held in self.world.leases if held.holder != holder] + [lease]

    @rule(holder=st.sampled_from(["ann", "bob", "mqtt"]))
    def somebody_gives_a_lease_back(self, holder: str) -> None:
        self.channel.release(holder)
        self.world.leases = [held for held in self.world.leases if held.holder != holder]

    @rule(value=any_float, reason=st.sampled_from([0, 0, Absent.DEVICE_ERROR]), lag_ns=lags_ns)
    def sensor_says(self, value: float, reason: int, lag_ns: int) -> None:
        self.row.values, self.row.stamps_ns = [value], [self.now_ns - lag_ns]
        self.row.reasons = bytearray([reason])

    @rule()
    def device_is_opened_again(self) -> None:
        self.channel.reset()
        assert self.channel.applied == self.world.plan.safe
        self.applied = float(self.channel.applied)

    @precondition(lambda self: hasattr(self, "world"))
    @rule(
        step_ns=steps_ns,
        mad_dt=nonsense_dt,
        stop=st.sampled_from([Verdict.AS_ASKED] * 6 + [Verdict.SAFE_EMERGENCY_STOP, Verdict.SAFE_HOLD]),
        late_ns=st.sampled_from([0, 0, 0, MS, PERIOD_NS, 120 * MS, 2 * NS_PER_S]),
        written=st.sampled_from([True] * 5 + [False]),
        ask_first=st.booleans(),
    )
    def tick(  # noqa: PLR0917 - one argument for each thing that may go wrong
        self, step_ns: int, mad_dt: float | None, stop: Verdict, late_ns: int, written: bool, ask_first: bool
    ) -> None:
        self.now_ns += step_ns
        self.world.leases = [held for held in self.world.leases if held.expires_ns > self.now_ns]
        if ask_first:
            self.agent_asks(0, 0.7, 0)
        self.dt_s = step_ns / NS_PER_S if mad_dt is None else mad_dt
        blocked = self.interlock_blocks()
        winner = self.world.winner(self.now_ns)
        Guard([self.channel]).decide(self.now_ns, self.dt_s, stop, self.row)
        write_ns = self.now_ns + late_ns
        if write_ns > self.channel.fresh_until_ns:
            self.channel.expire()
        if not written:
            self.channel.device_lost()

        self.check_range()
        if not written:
            assert self.channel.applied == self.world.plan.safe
            assert self.channel.verdict is Verdict.SAFE_DEVICE
        elif stop or blocked or winner is None or self.too_old(winner[1], write_ns):
            self.check_safe()
        else:
            self.check_asked(*winner)
        self.applied = float(self.channel.applied)

    def interlock_blocks(self) -> bool:
        """The interlock as the configuration words it."""
        plan, row = self.world.plan, self.row
        age_ns = self.now_ns - row.stamps_ns[0]
        fresh = row.reasons[0] == 0 and -NS_PER_S <= age_ns <= plan.stale_after_s * NS_PER_S
        if plan.requires and not (fresh and row.values[0] < THRESHOLD):
            self.world.blocked_until_ns = self.now_ns + round(plan.clear_after_s * NS_PER_S)
            return True
        return self.now_ns < self.world.blocked_until_ns

    def too_old(self, right: Asked | Lease, write_ns: int) -> bool:
        """Whether it became too old between the decision and the write."""
        if isinstance(right, Lease):
            return write_ns >= right.expires_ns
        return write_ns - right.stamp_ns > self.world.plan.stale_after_s * NS_PER_S

    def reach(self, speed_per_s: float) -> float:
        """How far a value may move in this tick; whole numbers are rounded, which may add one step."""
        dt_s = min(max(self.dt_s, 0.0), 2 * DT_S) if math.isfinite(self.dt_s) else 0.0
        return speed_per_s * dt_s + 1e-9 + (0.0 if self.world.plan.type == "float" else 1.0)

    def check_range(self) -> None:
        plan, value = self.world.plan, self.channel.applied
        assert math.isfinite(value)
        assert plan.low <= value <= plan.high
        assert type(value).__name__ == plan.type or (plan.type == "float" and isinstance(value, int | float))

    def check_safe(self) -> None:
        """At the safe value, or on the declared ramp to it."""
        plan, value = self.world.plan, self.channel.applied
        assert self.channel.verdict > Verdict.SLEW_LIMITED
        assert self.channel.holder == ""
        if plan.safe_ramp_per_s is None:
            assert value == plan.safe
        else:
            assert abs(value - plan.safe) <= abs(self.applied - plan.safe) + 1e-9
            assert abs(value - self.applied) <= self.reach(plan.safe_ramp_per_s)

    def check_asked(self, priority: int, right: Asked | Lease) -> None:
        """What the one in charge asks for, in his bounds and the range, no faster than the slew rate."""
        plan, channel = self.world.plan, self.channel
        assert channel.holder == (right.holder if isinstance(right, Lease) else f"agent{priority}")
        assert channel.verdict <= Verdict.SLEW_LIMITED
        assert channel.asked == right.value
        low, high = (right.low, right.high) if isinstance(right, Lease) else (plan.low, plan.high)
        wanted = min(max(right.value, low, plan.low), high, plan.high)
        if plan.slew_per_s is None:
            half = 0.0 if plan.type == "float" else 0.5
            assert abs(channel.applied - wanted) <= half + 1e-12
        else:
            assert abs(channel.applied - self.applied) <= self.reach(plan.slew_per_s)
        if channel.verdict is Verdict.AS_ASKED and plan.type == "float":
            assert channel.applied == right.value


TestGuardMachine = pytest.mark.timeout(60)(GuardMachine.TestCase)
TestGuardMachine.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def channel_of(**changes: object) -> Channel:
    """A motor from -1 to 1 that is safe at 0, and whatever a test changes."""
    plan: dict[str, object] = {"signal": "motor.speed", "type": "float", "low": -1.0, "high": 1.0, "safe": 0.0}
    requires = [Interlock(TEMPERATURE, need) for need in changes.get("requires", ())]  # type: ignore[attr-defined]
    return Channel(ChannelPlan(**(plan | changes)), PERIOD_NS, requires)  # type: ignore[arg-type]


def no_row() -> RowView:
    return RowView([], [], bytearray())


def tick(channel: Channel, now_ns: int = START_NS, row: RowView | None = None, dt_s: float = DT_S) -> float:
    return channel.decide(now_ns, dt_s, Verdict.AS_ASKED, row or no_row())


def lease(holder: str = "ann", *, priority: int = 100, ttl_ns: int = NS_PER_S, value: float = 0.5) -> Lease:
    return Lease(holder, priority, START_NS + ttl_ns, -1.0, 1.0, value)


def test_without_a_request_the_safe_value_is_applied() -> None:
    channel = channel_of(safe=0.25)
    assert tick(channel) == 0.25
    assert channel.verdict is Verdict.SAFE_NO_REQUEST


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_applied(value: float) -> None:
    channel = channel_of()
    channel.request("pid.output", 0).ask(value, START_NS, START_NS)
    assert tick(channel) == 0.0
    assert channel.verdict is Verdict.SAFE_NOT_FINITE


def test_a_request_beyond_the_range_is_clamped() -> None:
    channel = channel_of()
    channel.request("pid.output", 0).ask(7.0, START_NS, START_NS)
    assert (tick(channel), channel.verdict) == (1.0, Verdict.CLAMPED)


@pytest.mark.parametrize(("age_ns", "verdict"), [(100 * MS, Verdict.AS_ASKED), (100 * MS + 1, Verdict.SAFE_STALE)])
def test_a_request_is_stale_when_its_oldest_input_is_older_than_the_limit(age_ns: int, verdict: Verdict) -> None:
    channel = channel_of(stale_after_s=0.1)
    channel.request("pid.output", 0).ask(0.5, START_NS - age_ns, START_NS)
    tick(channel)
    assert channel.verdict is verdict


def test_a_time_stamp_from_the_future_is_not_believed() -> None:
    channel = channel_of()
    channel.request("pid.output", 0).ask(0.5, START_NS + 2 * NS_PER_S, START_NS)
    assert (tick(channel), channel.verdict) == (0.0, Verdict.SAFE_STALE)


def test_a_request_lasts_for_the_tick_that_made_it() -> None:
    channel = channel_of()
    channel.request("pid.output", 0).ask(0.5, START_NS, START_NS)
    assert tick(channel) == 0.5
    assert tick(channel, START_NS + PERIOD_NS) == 0.0


def test_a_request_does_not_come_back_when_the_clock_steps_back() -> None:
    channel = channel_of()
    channel.request("pid.output", 0).ask(0.5, START_NS, START_NS)
    assert tick(channel, START_NS - 1) == 0.0


def test_with_hold_s_a_request_lasts_that_long_while_it_is_fresh() -> None:
    channel = channel_of(hold_s=0.05, stale_after_s=1.0)
    channel.request("pid.output", 0).ask(0.5, START_NS, START_NS)
    assert tick(channel, START_NS + 50 * MS) == 0.5
    assert tick(channel, START_NS + 50 * MS + 1) == 0.0


def test_withdrawing_gives_up_what_is_held() -> None:
    channel = channel_of(hold_s=1.0, stale_after_s=1.0)
    request = channel.request("pid.output", 0)
    request.ask(0.5, START_NS, START_NS)
    request.withdraw()
    assert tick(channel) == 0.0


def test_the_higher_priority_wins_and_the_lower_one_steps_in_when_it_has_no_good_answer() -> None:
    channel = channel_of()
    low, high = channel.request("follow.output", 0), channel.request("avoid.output", 5)
    low.ask(0.2, START_NS, START_NS)
    high.ask(0.9, START_NS, START_NS)
    assert (tick(channel), channel.holder) == (0.9, "avoid.output")
    high.ask(math.nan, START_NS, START_NS)
    assert (tick(channel), channel.holder) == (0.2, "follow.output")


def test_a_lease_overrules_agents_of_its_own_priority_and_below() -> None:
    channel = channel_of()
    same, above = channel.request("a.output", 3), channel.request("b.output", 4)
    same.ask(0.1, START_NS, START_NS)
    assert channel.grant(lease(priority=3)) == ""
    assert (tick(channel), channel.holder) == (0.5, "ann")
    above.ask(0.2, START_NS, START_NS)
    assert (tick(channel), channel.holder) == (0.2, "b.output")


def test_an_expired_lease_is_not_applied() -> None:
    channel = channel_of()
    channel.grant(lease(ttl_ns=PERIOD_NS))
    assert tick(channel, START_NS + PERIOD_NS - 1) == 0.5
    assert tick(channel, START_NS + PERIOD_NS) == 0.0
    assert tick(channel, START_NS) == 0.0, "nor when the clock steps back"


def test_a_lease_that_expires_between_decision_and_write_is_known_by_its_fresh_until() -> None:
    channel = channel_of()
    channel.grant(lease(ttl_ns=PERIOD_NS))
    tick(channel)
    assert channel.fresh_until_ns == START_NS + PERIOD_NS - 1
    assert (channel.expire(), channel.verdict) == (0.0, Verdict.SAFE_EXPIRED)


def test_a_lease_is_held_to_its_bounds() -> None:
    channel = channel_of()
    channel.grant(Lease("ann", 100, START_NS + NS_PER_S, -0.2, 0.2, 0.9))
    assert (tick(channel), channel.verdict) == (0.2, Verdict.CLAMPED)


def test_a_lease_with_bounds_beyond_the_range_is_held_to_the_range() -> None:
    channel = channel_of()
    channel.grant(Lease("ann", 100, START_NS + NS_PER_S, -9.0, 9.0, 5.0))
    assert (tick(channel), channel.verdict) == (1.0, Verdict.CLAMPED)


def test_renewing_does_not_take_the_actuator_from_a_holder_of_the_same_priority() -> None:
    channel = channel_of()
    channel.grant(lease("ann", value=0.1))
    channel.grant(lease("bob", value=0.2))
    channel.grant(lease("ann", value=0.3))
    assert (tick(channel), channel.holder) == (0.3, "ann")


def test_of_two_leases_the_higher_priority_decides() -> None:
    channel = channel_of()
    channel.grant(lease("ann", priority=10, value=0.1))
    channel.grant(lease("bob", priority=20, value=0.2))
    channel.grant(lease("cid", priority=15, value=0.3))
    assert (tick(channel), channel.holder) == (0.2, "bob")


def test_leases_are_limited_and_a_holder_can_always_renew() -> None:
    channel = channel_of()
    for number in range(MAX_LEASES):
        assert channel.grant(lease(f"holder{number}")) == ""
    assert "held already" in channel.grant(lease("late"))
    assert channel.grant(lease("holder3")) == ""


def test_a_lease_whose_bounds_miss_the_range_is_refused() -> None:
    assert "do not meet the range" in channel_of().grant(Lease("ann", 1, START_NS + 1, 2.0, 3.0, 2.5))


def test_slew_limits_the_way_to_a_value_but_not_the_way_to_safety() -> None:
    channel = channel_of(slew_per_s=10.0)
    request = channel.request("pid.output", 0)
    for expected in (0.1, 0.2):
        request.ask(1.0, START_NS, START_NS)
        assert tick(channel) == pytest.approx(expected)
        assert channel.verdict is Verdict.SLEW_LIMITED
    request.withdraw()
    assert tick(channel) == 0.0


def test_a_long_gap_does_not_make_a_large_step() -> None:
    channel = channel_of(slew_per_s=10.0)
    channel.request("pid.output", 0).ask(1.0, START_NS, START_NS)
    assert tick(channel, dt_s=3600.0) == pytest.approx(0.2), "two periods at most"


def test_a_declared_ramp_leads_to_the_safe_value() -> None:
    channel = channel_of(safe_ramp_per_s=10.0)
    request = channel.request("pid.output", 0)
    request.ask(0.25, START_NS, START_NS)
    tick(channel)
    request.withdraw()
    assert [tick(channel) for _ in range(4)] == pytest.approx([0.15, 0.05, 0.0, 0.0])


def test_an_expired_decision_does_not_move_the_ramp_that_replaces_it() -> None:
    channel = channel_of(safe_ramp_per_s=10.0)
    channel.request("pid.output", 0).ask(1.0, START_NS, START_NS)
    tick(channel)
    assert channel.expire() == 0.0, "it was safe before the decision that came too late"


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_an_interlock_compares_as_written(operator: str) -> None:
    channel = channel_of(requires=(Requirement(signal="oven.temperature", operator=operator, threshold=50.0),))
    request = channel.request("pid.output", 0)
    found = []
    for value in (49.0, 50.0, 51.0):
        request.ask(0.5, START_NS, START_NS)
        found.append(tick(channel, row=RowView([value], [START_NS], bytearray([0]))) == 0.5)
    assert found == {
        "<": [True, False, False], "<=": [True, True, False], ">": [False, False, True], ">=": [False, True, True],
    }[operator]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "age_ns", "reason"),
    [(math.nan, 0, 0), (20.0, 101 * MS, 0), (20.0, -2 * NS_PER_S, 0), (20.0, 0, Absent.DEVICE_ERROR)],
    ids=["not a number", "stale", "from the future", "absent"],
)
def test_an_interlock_that_cannot_be_seen_to_hold_does_not_hold(value: float, age_ns: int, reason: int) -> None:
    channel = channel_of(requires=(Requirement(signal="oven.temperature", operator="<", threshold=50.0),))
    channel.request("pid.output", 0).ask(0.5, START_NS, START_NS)
    tick(channel, row=RowView([value], [START_NS - age_ns], bytearray([reason])))
    assert channel.verdict is Verdict.SAFE_INTERLOCK


def test_an_interlock_binds_the_holder_of_a_lease() -> None:
    channel = channel_of(requires=(Requirement(signal="oven.temperature", operator="<", threshold=50.0),))
    channel.grant(lease())
    assert tick(channel, row=RowView([60.0], [START_NS], bytearray([0]))) == 0.0


def test_an_interlock_on_an_actuator_reads_its_verdict_as_presence() -> None:
    need = Requirement(signal="pump.flow", operator="<", threshold=50.0)
    plan = ChannelPlan(signal="motor.speed", type="float", low=-1.0, high=1.0, safe=0.0, requires=(need,))
    channel = Channel(plan, PERIOD_NS, [Interlock(0, need, always_present=True)])
    channel.request("pid.output", 0).ask(0.5, START_NS, START_NS)
    assert tick(channel, row=RowView([20.0], [START_NS], bytearray([Verdict.CLAMPED]))) == 0.5


def test_an_interlock_clears_only_after_its_time() -> None:
    need = Requirement(signal="oven.temperature", operator="<", threshold=50.0)
    channel = channel_of(requires=(need,), clear_after_s=0.1)
    request = channel.request("pid.output", 0)
    applied = []
    for value, at_ns in ((60.0, 0), (20.0, 99 * MS), (20.0, 100 * MS)):
        request.ask(0.5, START_NS + at_ns, START_NS + at_ns)
        row = RowView([value], [START_NS + at_ns], bytearray([0]))
        applied.append(tick(channel, START_NS + at_ns, row))
    assert applied == [0.0, 0.0, 0.5]


@pytest.mark.parametrize("stop", [Verdict.SAFE_EMERGENCY_STOP, Verdict.SAFE_HOLD])
def test_a_stop_overrules_agents_and_leases(stop: Verdict) -> None:
    channel = channel_of()
    channel.request("pid.output", 200).ask(0.5, START_NS, START_NS)
    channel.grant(lease(priority=1000))
    assert channel.decide(START_NS, DT_S, stop, no_row()) == 0.0
    assert channel.verdict is stop


def test_whole_numbers_and_switches_keep_their_type() -> None:
    gear = channel_of(type="int", low=0, high=3, safe=0)
    gear.request("a.output", 0).ask(2.4, START_NS, START_NS)
    lamp = channel_of(type="bool", low=0, high=1, safe=0)
    lamp.request("a.output", 0).ask(0.9, START_NS, START_NS)
    assert [repr(tick(gear)), repr(tick(lamp))] == ["2", "True"]


def test_a_lost_device_starts_again_from_its_safe_value() -> None:
    channel = channel_of(slew_per_s=10.0)
    request = channel.request("pid.output", 0)
    for _ in range(5):
        request.ask(1.0, START_NS, START_NS)
        tick(channel)
    channel.device_lost()
    assert (channel.applied, channel.verdict) == (0.0, Verdict.SAFE_DEVICE)
    request.ask(1.0, START_NS, START_NS)
    assert tick(channel) == pytest.approx(0.1)
