"""The guard: the only way to an actuator. Pure: it is given the time and the row, and decides.

For each actuator signal, every tick: who holds it (leases and agents, highest priority first), is
what they ask fresh and finite, are the interlocks satisfied; clamp to the range, limit the slew;
otherwise the safe value. A verdict says which of these it was.

Promises, each with a property test in `tests/agentd/test_guard.py`: what is applied is finite and in
the range; a request older than `stale_after_s` is never applied; an expired lease is never applied;
between two ticks a value moves at most `slew_per_s * dt`, except to the safe value.
"""

from __future__ import annotations

import enum
import math
import operator
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentd.config.plan import ChannelPlan, Requirement
from hal.clock import NS_PER_S

NEVER_NS = 2**63 - 1
MAX_LEASES = 16
"""A channel. Whoever comes later is refused."""
FUTURE_NS = NS_PER_S
"""A time stamp further ahead than this is not believed."""


class Verdict(enum.IntEnum):
    """What the guard did with one actuator in one tick; the row's reason byte of that column."""

    AS_ASKED = 0
    CLAMPED = 1
    """Beyond the range, or beyond the lease's bounds."""
    SLEW_LIMITED = 2
    SAFE_NO_REQUEST = 3
    """Nobody set it in this tick: its agent gave no answer, was not stepped, or there is none."""
    SAFE_STALE = 4
    """The oldest required input behind the request is older than `stale_after_s`."""
    SAFE_NOT_FINITE = 5
    SAFE_INTERLOCK = 6
    SAFE_EMERGENCY_STOP = 7
    SAFE_HOLD = 8
    """The loop is latched, starting or stopping."""
    SAFE_EXPIRED = 9
    """It became too old between the decision and the write: the tick was late."""
    SAFE_DEVICE = 10
    """The device is not open; the safe value is written as soon as it is."""


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one actuator until `expires_ns`, and the value that its holder asks for."""

    holder: str
    priority: int
    expires_ns: int
    low: float
    high: float
    value: float


@dataclass(slots=True)
class Request:
    """What one agent asks of one actuator. `set_ns` is 0 while it asks for nothing."""

    holder: str
    priority: int
    value: float = 0.0
    stamp_ns: int = 0
    set_ns: int = 0

    def ask(self, value: float, stamp_ns: int, now_ns: int) -> None:
        """Ask for a value whose oldest required input was measured at `stamp_ns`."""
        self.value, self.stamp_ns, self.set_ns = value, stamp_ns, now_ns

    def withdraw(self) -> None:
        """Ask for nothing, held values included."""
        self.set_ns = 0


@dataclass(frozen=True, slots=True)
class Interlock:
    """One `requires`: a column of the row compared with a number."""

    column: int
    requirement: Requirement
    always_present: bool = False
    """The column is an actuator: its reason byte is a verdict and does not say absence."""
    compare: Callable[[float, float], bool] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compare", _COMPARE[self.requirement.operator])


@dataclass(slots=True)
class RowView:
    """The columns the guard may look at: values, time stamps and absence of this tick."""

    values: Sequence[float]
    stamps_ns: Sequence[int]
    reasons: Sequence[int]


class Channel:
    """One actuator signal."""

    def __init__(self, plan: ChannelPlan, period_ns: int, interlocks: Sequence[Interlock] = ()) -> None:
        self.plan = plan
        self.applied: float = _typed(plan, plan.safe)
        self.verdict = Verdict.SAFE_HOLD
        self.holder = ""
        self.asked = math.nan
        self.stamp_ns = 0
        self.fresh_until_ns = NEVER_NS
        self._position = self._last_position = plan.safe
        self._now_ns, self._dt_s = 0, 0.0
        self._requests: list[Request] = []
        self._leases: list[Lease] = []
        self._interlocks = tuple(interlocks)
        self._blocked_until_ns = 0
        self.interventions_total = 0
        """How often the verdict changed to another than as asked."""
        self.broken: Requirement | None = None
        """The interlock that blocks it now, for the event."""
        self._max_dt_s = 2 * period_ns / NS_PER_S
        self._stale_ns = round(plan.stale_after_s * NS_PER_S)
        self._hold_ns = round(plan.hold_s * NS_PER_S)
        self._clear_ns = round(plan.clear_after_s * NS_PER_S)

    def request(self, holder: str, priority: int) -> Request:
        """A place for an agent's requests, ordered by priority."""
        made = Request(holder, priority)
        insort(self._requests, made, key=lambda r: -r.priority)
        return made

    def grant(self, lease: Lease) -> str:
        """Give or renew a lease. Returns why it was refused; empty when it was granted.

        Of two holders with one priority the first keeps it, however often the second renews.
        """
        if not (math.isfinite(lease.value) and math.isfinite(lease.low) and math.isfinite(lease.high)):
            return "value and bounds must be finite"
        if lease.low > lease.high or lease.low > self.plan.high or lease.high < self.plan.low:
            return f"bounds {lease.low}..{lease.high} do not meet the range {self.plan.low}..{self.plan.high}"
        if any(held.holder == lease.holder and held.priority == lease.priority for held in self._leases):
            self._leases = [lease if held.holder == lease.holder else held for held in self._leases]
            return ""
        others = [held for held in self._leases if held.holder != lease.holder]
        if len(others) >= MAX_LEASES:
            return f"{MAX_LEASES} leases are held already"
        insort(others, lease, key=lambda held: -held.priority)
        self._leases = others
        return ""

    def release(self, holder: str) -> bool:
        """Take a holder's lease back; whether there was one."""
        kept = [held for held in self._leases if held.holder != holder]
        found = len(kept) != len(self._leases)
        self._leases = kept
        return found

    def reset(self) -> None:
        """The device was opened again and holds its safe value: slew starts there."""
        self._position = self.plan.safe
        self.applied = _typed(self.plan, self._position)

    def decide(self, now_ns: int, dt_s: float, stop: Verdict, row: RowView) -> float:
        """The value to write in the tick that began at `now_ns`; `stop` is 0, or the verdict that overrules all."""
        dt_s = min(max(dt_s, 0.0), self._max_dt_s) if math.isfinite(dt_s) else 0.0
        self._now_ns, self._dt_s, self._last_position = now_ns, dt_s, self._position
        if self._leases and any(held.expires_ns <= now_ns for held in self._leases):
            self._leases = [held for held in self._leases if held.expires_ns > now_ns]
        blocked = self._blocked(now_ns, row)
        if stop:
            return self._safe(stop, dt_s, now_ns)
        asked, low, high, why = self._winner(now_ns)
        if why:
            return self._safe(why, dt_s, now_ns)
        if blocked:
            return self._safe(Verdict.SAFE_INTERLOCK, dt_s, now_ns)
        verdict = Verdict.AS_ASKED
        target = min(max(asked, low), high)
        if target != asked:
            verdict = Verdict.CLAMPED
        if self.plan.slew_per_s is not None:
            limit = self.plan.slew_per_s * dt_s
            slewed = min(max(target, self._position - limit), self._position + limit)
            if slewed != target:
                verdict, target = Verdict.SLEW_LIMITED, slewed
        self._position = min(max(target, self.plan.low), self.plan.high)
        self.applied, self.verdict, self.asked = _typed(self.plan, self._position), verdict, asked
        return self.applied

    def expire(self) -> float:
        """The tick was late and the decision is too old to be written: the safe value instead.

        The decision never happened: a safe ramp goes on from what was applied before it.
        """
        self._position = self._last_position
        return self._safe(Verdict.SAFE_EXPIRED, self._dt_s, self._now_ns)

    def device_lost(self) -> None:
        """The device is not open: nothing can be written; it will start from its safe value."""
        self.reset()
        self.stamp_ns = self._now_ns
        self.verdict, self.holder, self.fresh_until_ns = Verdict.SAFE_DEVICE, "", NEVER_NS

    def _safe(self, verdict: Verdict, dt_s: float, now_ns: int) -> float:
        ramp = self.plan.safe_ramp_per_s
        if ramp is None:
            self._position = self.plan.safe
        else:
            limit = ramp * dt_s
            self._position = min(max(self.plan.safe, self._position - limit), self._position + limit)
        self.applied, self.verdict, self.stamp_ns = _typed(self.plan, self._position), verdict, now_ns
        self.holder, self.fresh_until_ns = "", NEVER_NS
        return self.applied

    def _winner(self, now_ns: int) -> tuple[float, float, float, Verdict]:
        """Asked value and bounds of the holder in charge, or the verdict why there is none.

        Whoever asks for nothing usable is passed over: a lower priority may have a good answer. What was
        asked after `now_ns` was asked before the clock stepped back: it is no request of this tick.
        """
        low, high = self.plan.low, self.plan.high
        why = Verdict.SAFE_NO_REQUEST
        leases = self._leases
        lease = leases[0] if leases else None
        for request in self._requests:
            if lease is not None and lease.priority >= request.priority:
                break
            if request.set_ns == 0 or not 0 <= now_ns - request.set_ns <= self._hold_ns:
                continue
            age_ns = now_ns - request.stamp_ns
            if age_ns > self._stale_ns or age_ns < -FUTURE_NS:
                why = why if why != Verdict.SAFE_NO_REQUEST else Verdict.SAFE_STALE
            elif not math.isfinite(request.value):
                why = why if why != Verdict.SAFE_NO_REQUEST else Verdict.SAFE_NOT_FINITE
            else:
                self.holder, self.stamp_ns = request.holder, request.stamp_ns
                self.fresh_until_ns = request.stamp_ns + self._stale_ns
                return request.value, low, high, Verdict.AS_ASKED
        if lease is not None:
            self.holder, self.stamp_ns, self.fresh_until_ns = lease.holder, now_ns, lease.expires_ns - 1
            return lease.value, max(low, min(lease.low, high)), min(high, max(lease.high, low)), Verdict.AS_ASKED
        return math.nan, low, high, why

    def _blocked(self, now_ns: int, row: RowView) -> bool:
        """Whether an interlock is not satisfied, or was not until less than `clear_after_s` ago."""
        for lock in self._interlocks:
            column, required = lock.column, lock.requirement
            present = lock.always_present or row.reasons[column] == 0
            fresh = -FUTURE_NS <= now_ns - row.stamps_ns[column] <= self._stale_ns
            if not (present and fresh and lock.compare(row.values[column], required.threshold)):
                self.broken, self._blocked_until_ns = required, now_ns + self._clear_ns
                return True
        if now_ns < self._blocked_until_ns:
            return True
        self.broken = None
        return False


def _typed(plan: ChannelPlan, value: float) -> float:
    if plan.type == "float":
        return value
    whole = min(max(round(value), math.ceil(plan.low)), math.floor(plan.high))
    return bool(whole) if plan.type == "bool" else whole


class Guard:
    """All channels of a loop."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = tuple(channels)
        self.by_signal = {channel.plan.signal: channel for channel in channels}

    def decide(self, now_ns: int, dt_s: float, stop: Verdict, row: RowView) -> None:
        """Decide every channel as of the tick's beginning; the values are in `channel.applied`."""
        for channel in self.channels:
            channel.decide(now_ns, dt_s, stop, row)
