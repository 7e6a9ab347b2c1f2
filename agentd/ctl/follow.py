"""Signals followed in the rings: every tick, or what is new at each look; through restarts of their workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

import msgspec

from agentd.config.plan import SignalPlan
from agentd.ctl import files
from agentd.ctl.errors import CtlError
from agentd.ctl.names import nearest
from agentd.runtime.guard import Verdict
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import RingReader, Row
from hal.clock import NS_PER_S, now_ns
from hal.signal import Absent

LOOK_NS = NS_PER_S // 10
ROWS_AT_ONCE = 4096
SILENT_NS = 3 * NS_PER_S
"""After this, and three periods, a loop that publishes nothing is mentioned."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one signal in one tick."""

    signal: str
    tick: int
    time_ns: int
    """When the tick began, CLOCK_BOOTTIME."""
    utc_ns: int
    value: float | int | bool | None
    unit: str
    """Of an array the value is its index in its own ring, and the unit says `index`."""
    reason: str = ""
    """Why it is absent."""
    verdict: str = ""
    """What the guard did with it, for actuators."""


class Followed:
    """The followed signals of one loop."""

    def __init__(self, image: ProcessImage, loop: str, names: list[str]) -> None:
        self._image, self._loop, self._names = image, loop, names
        ring = self._ring()
        self._generation, self._position = (ring.layout.generation, ring.head) if ring else (0, 0)
        self._seen: dict[str, tuple[int, int]] = {}
        self._new_ns, self._silent = now_ns(), False

    def _ring(self) -> RingReader | None:
        try:
            return self._image.ring(self._loop)
        except OSError:  # just being replaced, or removed with its loop
            return None

    def news(self, every: bool) -> Iterator[Sample]:
        """What came since the last look."""
        ring = self._ring()
        if ring is not None:
            if ring.layout.generation != self._generation:
                self._generation, self._position = ring.layout.generation, 0
            yield from self._rows(ring) if every else self._latest(ring)
            self._mention_silence(ring.layout.period_ns)
        self._image.refresh(self._loop)

    def left(self, rows: int) -> Iterator[Sample]:
        """The last rows of a ring that nobody writes."""
        ring = self._ring()
        if ring is not None:
            self._position = max(0, ring.head - rows)
            yield from self._rows(ring)

    def _rows(self, ring: RingReader) -> Iterator[Sample]:
        first, rows = ring.raw_since(self._position, ROWS_AT_ONCE)
        while rows:
            if first > self._position:
                print(f"agentctl: {self._loop}: {first - self._position} ticks were not read in time", file=sys.stderr)
            self._position, self._new_ns = first + len(rows), now_ns()
            for row in map(ring.codec.decode, rows):
                yield from self._samples(ring, row, self._names)
            first, rows = ring.raw_since(self._position, ROWS_AT_ONCE)

    def _latest(self, ring: RingReader) -> Iterator[Sample]:
        """The newest row's values that were measured, or turned absent, since they were last shown."""
        row = ring.latest()
        if row is None:
            return
        if row.position >= self._position:
            self._position, self._new_ns = row.position + 1, now_ns()
        fresh = []
        for name in self._names:
            column = ring.index_of.get(name)
            mark = (row.stamps_ns[column], row.reasons[column]) if column is not None else (0, 0)
            if self._seen.get(name) != mark:
                self._seen[name] = mark
                fresh.append(name)
        yield from self._samples(ring, row, fresh)

    def _samples(self, ring: RingReader, row: Row, names: Iterable[str]) -> Iterator[Sample]:
        offset_ns = files.to_utc_ns(ring)
        for name in names:
            column = ring.index_of.get(name)
            if column is not None:
                yield sample(ring.layout.columns[column], row, column, offset_ns)

    def _mention_silence(self, period_ns: int) -> None:
        silent = now_ns() - self._new_ns > max(SILENT_NS, 3 * period_ns)
        if silent and not self._silent:
            print(f"agentctl: {self._loop} publishes nothing; see 'agentctl status'", file=sys.stderr)
        self._silent = silent


def sample(plan: SignalPlan, row: Row, column: int, offset_ns: int) -> Sample:
    """One column of a row, with the byte beside it read as what it means there."""
    actuator, code = plan.role == "actuator", row.reasons[column]
    unit = "index" if plan.type == "array" else plan.unit
    value: float | int | bool | None = row.values[column]
    if code and not actuator:
        value = None
    elif plan.type == "bool":
        value = bool(value)
    return Sample(
        signal=plan.name,
        tick=row.tick,
        time_ns=row.time_ns,
        utc_ns=row.time_ns + offset_ns,
        value=value,
        unit=unit,
        reason="" if actuator or not code else _word(Absent, code),
        verdict=_word(Verdict, code) if actuator else "",
    )


def _word(kind: type[Absent] | type[Verdict], code: int) -> str:
    """A byte's name; a newer daemon may know more of them."""
    return kind(code).name.lower() if code in list(kind) else f"code_{code}"


def followed(image: ProcessImage, names: Iterable[str]) -> list[Followed]:
    """The loops that own these signals. Raises CtlError for a name that is unknown."""
    owners = {
        plan.name: ring.layout.loop
        for ring in files.rings(image)
        for plan in ring.layout.columns
        if plan.role != "foreign"
    }
    wanted: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        if name not in owners:
            raise CtlError(f"no signal {name!r}; {nearest(name, owners)}")
        wanted.setdefault(owners[name], []).append(name)
    return [Followed(image, loop, mine) for loop, mine in wanted.items()]


def live(loops: list[Followed], every: bool, wait_until: Callable[[int], None]) -> Iterator[Sample]:
    """Look ten times a second, for ever."""
    due_ns = now_ns()
    while True:
        for loop in loops:
            yield from loop.news(every)
        due_ns = max(due_ns + LOOK_NS, now_ns())
        wait_until(due_ns)
