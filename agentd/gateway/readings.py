"""Every signal's latest value, as the gateway hands it out: read from the rings, described by the plan."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from agentd.config.plan import LoopPlan, NodePlan, SignalPlan
from agentd.runtime.array_ring import ArrayRingReader
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import RingReader, Row
from hal.clock import NS_PER_S, now_ns
from hal.signal import Absent

if TYPE_CHECKING:  # `agentctl` shares these types; asyncio, behind this import, would double its start
    from agentd.node_view import NodeView

STALE_AFTER_S = 1.0
STALE_AFTER_PERIODS = 3
"""A value is called stale when it is older than both."""

Scalar = float | int | bool | None
_ABSENT = {reason.value: reason.name.lower() for reason in Absent}
_VERDICTS = {verdict.value: verdict.name.lower() for verdict in Verdict}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One signal and its latest value."""

    name: str
    value: Scalar
    """None when it is absent, and for arrays: their contents have an address of their own."""
    unit: str
    age_s: float | None
    """Since it was measured; for an output since its oldest required input was. None before the first."""
    stale: bool
    reason: str | None
    """Why it is absent."""
    verdict: str | None
    """What the guard did with it, for actuators."""
    type: str
    role: str
    owner: str
    owner_kind: str
    """device or agent"""
    loop: str
    low: float | None
    high: float | None
    dtype: str
    shape: tuple[int, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One loop's newest row, and what its columns mean."""

    loop: LoopPlan
    columns: tuple[SignalPlan, ...]
    row: Row | None
    generation: int
    now_ns: int

    def age_s(self, column: int) -> float | None:
        """How old a value is; None when there never was one."""
        stamp_ns = self.row.stamps_ns[column] if self.row else 0
        return (self.now_ns - stamp_ns) / NS_PER_S if stamp_ns else None

    def time_s(self) -> float:
        """When the row's tick began."""
        return self.row.time_ns / NS_PER_S if self.row else 0.0

    def row_age_s(self) -> float | None:
        """Time since the newest tick began."""
        return (self.now_ns - self.row.time_ns) / NS_PER_S if self.row else None

    def stale(self, column: int) -> bool:
        """Whether there is a value, and it is older than its loop's rate explains; event loops have no period."""
        if self.row is None or self.reason(column) is not None:
            return False
        rate_hz = self.loop.rate_hz
        limit_s = max(STALE_AFTER_S, STALE_AFTER_PERIODS / rate_hz if rate_hz > 0 else 0.0)
        return self.now_ns - self.row.stamps_ns[column] > limit_s * NS_PER_S

    def value(self, column: int) -> Scalar:
        """Present scalars as their own type, everything else None."""
        plan, row = self.columns[column], self.row
        if row is None or plan.type == "array" or (plan.role != "actuator" and row.reasons[column]):
            return None
        value = row.values[column]
        return bool(value) if plan.type == "bool" else value

    def reason(self, column: int) -> str | None:
        """Why there is no value; None when there is one."""
        if self.row is None:
            return _ABSENT[Absent.LOOP_SILENT]
        code = self.row.reasons[column]
        return _ABSENT.get(code, f"reason_{code}") if code and self.columns[column].role != "actuator" else None

    def verdict(self, column: int) -> str | None:
        """What the guard did in that tick; None for what is no actuator."""
        if self.row is None or self.columns[column].role != "actuator":
            return None
        code = self.row.reasons[column]
        return _VERDICTS.get(code, f"verdict_{code}")


class Readings:
    """Looks signals up in the process image."""

    def __init__(self, view: NodeView) -> None:
        self._view = view
        self._plan: NodePlan | None = None
        self._owners: dict[str, tuple[str, LoopPlan]] = {}

    def snapshots(self) -> Iterator[Snapshot]:
        """One for each loop of the plan, whether it runs or not."""
        for loop in self._view.plan.loops:
            yield self.snapshot(loop)

    def snapshot(self, loop: LoopPlan) -> Snapshot:
        """The newest row of a loop; without one the plan's columns."""
        ring = self.ring(loop)
        if ring is None:
            return Snapshot(loop, planned(loop), None, 0, now_ns())
        row = ring.latest()
        return Snapshot(loop, ring.layout.columns, row, ring.layout.generation, now_ns())

    def ring(self, loop: LoopPlan) -> RingReader | None:
        """A loop's ring. One that is damaged, or is just being replaced, is as silent as one that is not there."""
        try:
            return self._view.image.ring(loop.name)
        except OSError:
            return None

    def all(self) -> list[Reading]:
        """Every signal of the node, in the order of the configuration."""
        return [
            self._reading(snapshot, column, plan)
            for snapshot in self.snapshots()
            for column, plan in enumerate(snapshot.columns)
            if plan.role != "foreign"
        ]

    def one(self, name: str) -> Reading | None:
        """One signal by its full name."""
        owner = self.owner(name)
        if owner is None:
            return None
        snapshot = self.snapshot(owner[1])
        for column, plan in enumerate(snapshot.columns):
            if plan.name == name and plan.role != "foreign":
                return self._reading(snapshot, column, plan)
        return None

    def array(self, loop: str, name: str) -> ArrayRingReader | None:
        """Where an array signal's contents are."""
        try:
            return self._view.image.array(loop, name)
        except OSError:
            return None

    def near(self, name: str) -> str:
        """The known name that is most like this one; empty when none is."""
        known = [column.name for snapshot in self.snapshots() for column in snapshot.columns]
        return next(iter(difflib.get_close_matches(name[:80], known, n=1)), "")

    def owner(self, name: str) -> tuple[str, LoopPlan] | None:
        """What owns a signal (device or agent), and in which loop."""
        plan = self._view.plan
        if plan is not self._plan:
            self._plan, self._owners = plan, dict(_owners(plan))
        return self._owners.get(name.partition(".")[0])

    def _reading(self, snapshot: Snapshot, column: int, plan: SignalPlan) -> Reading:
        owner = self.owner(plan.name)
        return Reading(
            name=plan.name,
            value=snapshot.value(column),
            unit=plan.unit,
            age_s=snapshot.age_s(column),
            stale=snapshot.stale(column),
            reason=snapshot.reason(column),
            verdict=snapshot.verdict(column),
            type=plan.type,
            role=plan.role,
            owner=plan.name.partition(".")[0],
            owner_kind=owner[0] if owner else "",
            loop=snapshot.loop.name,
            low=plan.low,
            high=plan.high,
            dtype=plan.dtype,
            shape=plan.shape,
            doc=plan.doc,
        )


def planned(loop: LoopPlan) -> tuple[SignalPlan, ...]:
    """A loop's signals as configured."""
    of_devices = [signal for device in loop.devices for signal in device.signals]
    return (*of_devices, *(signal for agent in loop.agents for signal in agent.signals))


def _owners(plan: NodePlan) -> Iterator[tuple[str, tuple[str, LoopPlan]]]:
    for loop in plan.loops:
        yield from ((device.name, ("device", loop)) for device in loop.devices)
        yield from ((agent.name, ("agent", loop)) for agent in loop.agents)
