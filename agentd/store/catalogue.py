"""What the record holds: which rings, with which columns, and when that was.

    RecordError
    ├── NoRecord       nothing was recorded here
    ├── UnknownSignal  this was never recorded; knows the name that is most like it
    └── Damaged        one chunk or layout cannot be read; everything else can

A signal's past may lie in many rings: each start of a worker makes one, and a reload may change its unit or
move it to another loop.
"""

from __future__ import annotations

import difflib
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from agentd.config.plan import SignalPlan
from agentd.runtime.ring import Layout
from agentd.store.chunk import RowShape
from hal.units import UnitError, conversion


class RecordError(Exception):
    """The record, or what was asked of it, is not there. Message: who, what was found; what to do."""


class NoRecord(RecordError):
    """Nothing was recorded here."""


class UnknownSignal(RecordError):
    """No signal of this name was recorded."""


class Damaged(RecordError):
    """One part of the record cannot be read."""


Tell = Callable[[RecordError], object]
"""Takes what is damaged, and reading goes on without it."""


def insist(error: RecordError) -> None:
    """The `Tell` of those who want all or nothing. Raises the error."""
    raise error


class RecordedSignal(msgspec.Struct, frozen=True, kw_only=True):
    """One signal of one loop, as long as its unit and type were these."""

    name: str
    unit: str
    type: str
    role: str
    loop: str
    from_utc_ns: int
    to_utc_ns: int
    samples: int


class Column(msgspec.Struct, frozen=True):
    """Where a wanted signal lies in a ring; `value * factor + offset` has the unit that was asked for."""

    index: int
    plan: SignalPlan
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """One recorded ring."""

    ring: int
    loop: str
    generation: int
    boot: int
    offset_ns: int
    """UTC less its boot's time; 0 where nothing is known, so that its times count from 1970."""
    from_ns: int
    to_ns: int
    layout: Layout
    shape: RowShape

    @property
    def from_utc_ns(self) -> int:
        """When its first recorded row's tick began."""
        return self.from_ns + self.offset_ns

    @property
    def to_utc_ns(self) -> int:
        """When its last one's did."""
        return self.to_ns + self.offset_ns

    def signals(self) -> Iterator[tuple[int, SignalPlan]]:
        """Its own scalar signals: arrays are not recorded, foreign ones belong to another loop."""
        for index, plan in enumerate(self.layout.columns):
            if plan.type != "array" and plan.role != "foreign":
                yield index, plan


_SOURCES = """
SELECT ring.id, ring.loop, ring.generation, ring.boot, ring.layout,
       coalesce((SELECT offset_ns FROM utc WHERE utc.boot = ring.boot ORDER BY time_ns DESC LIMIT 1),
                (SELECT utc_ns - time_ns FROM event WHERE event.boot = ring.boot ORDER BY id DESC LIMIT 1), 0),
       (SELECT from_ns FROM chunk WHERE chunk.ring = ring.id ORDER BY first LIMIT 1) AS from_ns,
       (SELECT to_ns FROM chunk WHERE chunk.ring = ring.id ORDER BY first DESC LIMIT 1)
FROM ring WHERE from_ns IS NOT NULL
"""


def sources(db: sqlite3.Connection, tell: Tell = insist) -> list[Source]:
    """Every ring of which something is left, oldest first. Raises RecordError, sqlite3.Error."""
    layouts: dict[int, tuple[Layout, RowShape] | None] = {}
    found = []
    for ring, loop, generation, boot, layout, offset_ns, from_ns, to_ns in db.execute(_SOURCES).fetchall():
        if layout not in layouts:
            layouts[layout] = _layout_of(db, layout, tell)
        known = layouts[layout]
        if known is not None:
            found.append(Source(ring, loop, generation, boot, offset_ns, from_ns, to_ns, *known))
    return sorted(found, key=lambda source: (source.from_utc_ns, source.ring))


def _layout_of(db: sqlite3.Connection, layout: int, tell: Tell) -> tuple[Layout, RowShape] | None:
    row = db.execute("SELECT body FROM layout WHERE id = ?", (layout,)).fetchone()
    try:
        return _decoded(row[0] if row else "")
    except (msgspec.MsgspecError, ValueError, struct.error, RecursionError) as error:
        tell(Damaged(f"layout {layout} of the record is damaged, and what has it cannot be read: {error}"))
        return None


@lru_cache(maxsize=32)
def _decoded(body: str) -> tuple[Layout, RowShape]:
    layout = msgspec.json.decode(body, type=Layout)
    return layout, RowShape(layout.columns, len(layout.parts))


def recorded(db: sqlite3.Connection, tell: Tell = insist) -> list[RecordedSignal]:
    """Every signal of which something is left, by name, then by age. Raises RecordError, sqlite3.Error."""
    rows = dict(db.execute("SELECT ring, sum(rows) FROM chunk GROUP BY ring"))
    found: dict[tuple[str, ...], RecordedSignal] = {}
    for source in sources(db, tell):
        for _index, plan in source.signals():
            key = (plan.name, source.loop, plan.unit, plan.type, plan.role)
            before = found.get(key)
            found[key] = RecordedSignal(
                name=plan.name,
                unit=plan.unit,
                type=plan.type,
                role=plan.role,
                loop=source.loop,
                from_utc_ns=min(source.from_utc_ns, before.from_utc_ns) if before else source.from_utc_ns,
                to_utc_ns=max(source.to_utc_ns, before.to_utc_ns) if before else source.to_utc_ns,
                samples=rows.get(source.ring, 0) + (before.samples if before else 0),
            )
    return sorted(found.values(), key=lambda signal: (signal.name, signal.from_utc_ns))


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted: for each name its newest description, and where it lies in each ring that has any."""

    plans: list[SignalPlan]
    places: list[tuple[Source, list[Column | None]]]

    @property
    def loops(self) -> list[str]:
        """The loops that own them, in the order in which they appeared."""
        return list(dict.fromkeys(source.loop for source, _columns in self.places))


def select(db: sqlite3.Connection, names: Sequence[str], tell: Tell = insist) -> Selection:
    """Find signals by name. Raises UnknownSignal, RecordError, sqlite3.Error."""
    all_ = sources(db, tell)
    if not all_:
        raise NoRecord("nothing is recorded yet: the first rows are written some seconds after the daemon's start")
    newest = {plan.name: plan for source in all_ for _index, plan in source.signals()}
    for name in names:
        if name not in newest:
            raise _unknown(name, all_, newest)
    places = []
    for source in all_:
        by_name = {plan.name: (index, plan) for index, plan in source.signals()}
        columns = [_column(*by_name[name], newest[name], tell) if name in by_name else None for name in names]
        if any(columns):
            places.append((source, columns))
    return Selection([newest[name] for name in names], places)


def _column(index: int, plan: SignalPlan, newest: SignalPlan, tell: Tell) -> Column | None:
    """In the newest unit: a reload may have changed it from mm to m."""
    if plan.unit == newest.unit:
        return Column(index, plan)
    with suppress(UnitError):
        return Column(index, plan, *conversion(plan.unit, newest.unit))
    text = f"{plan.name}: was once recorded in {plan.unit!r}, which is no {newest.unit!r}: that part is left out"
    tell(RecordError(text))
    return None


def _unknown(name: str, all_: list[Source], known: Iterable[str]) -> RecordError:
    arrays = {plan.name for source in all_ for plan in source.layout.columns if plan.type == "array"}
    if name in arrays:
        return UnknownSignal(f"{name} is an array: pictures and other arrays are not recorded")
    near = difflib.get_close_matches(name[:80], sorted(known), n=1)
    hint = f"did you mean {near[0]}?" if near else "see 'agentctl record list'"
    return UnknownSignal(f"no signal {name[:80]!r} is recorded; {hint}")
