"""One tick of each loop at one instant, with the configuration it ran with: from the rings, else from the record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agentd.config.plan import LoopPlan, SignalPlan
from agentd.ctl import files
from agentd.event import Event
from agentd.kept_plans import kept_plans
from agentd.runtime.letters import Order
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import Layout, RingReader, Row, RowCodec
from agentd.store import query
from agentd.store.catalogue import RecordError, Source, sources
from agentd.store.chunk import Chunk, ChunkError
from agentd.store.incidents import FOLDER
from hal.clock import NS_PER_S, now_ns


@dataclass(frozen=True, slots=True)
class Moment:
    """What one loop's tick saw and did."""

    layout: Layout
    row: Row
    offset_ns: int
    """To UTC."""
    asked_ns: int
    """The instant that is asked for, in the row's time."""
    origin: str
    """Where the row was found: ring or record."""
    plan: LoopPlan | None
    """None when no file tells any more how the loop was wired then."""

    def column(self, signal: str) -> int | None:
        """Where a signal is in the row, foreign ones too."""
        names = [plan.name for plan in self.layout.columns]
        return names.index(signal) if signal in names else None

    def owns(self, signal: str) -> bool:
        """Whether this loop makes the signal."""
        return any(plan.name == signal and plan.role != "foreign" for plan in self.layout.columns)

    @property
    def signals(self) -> Iterator[SignalPlan]:
        """Its own."""
        return (plan for plan in self.layout.columns if plan.role != "foreign")


def moments(runtime: Path, state: Path, at_utc_ns: int | None, tell: Callable[[RecordError], object]) -> list[Moment]:
    """Each loop's newest tick at that time, or now. Raises RecordError, sqlite3.Error, OSError."""
    plans = _plans(runtime, state)
    found: dict[str, Moment] = {}
    image = ProcessImage(runtime)
    try:
        for ring in files.rings(image):
            offset_ns = files.to_utc_ns(ring)
            row = ring.latest() if at_utc_ns is None else _at(ring, at_utc_ns - offset_ns)
            if row is not None:
                asked_ns = now_ns() if at_utc_ns is None else at_utc_ns - offset_ns
                found[ring.layout.loop] = Moment(
                    ring.layout, row, offset_ns, asked_ns, "ring", plans.get((ring.layout.loop, ring.layout.plan_hash))
                )
    finally:
        image.close()
    if at_utc_ns is not None:
        for moment in _recorded(state, at_utc_ns, plans, tell):
            found.setdefault(moment.layout.loop, moment)
    return list(found.values())


def _at(ring: RingReader, time_ns: int) -> Row | None:
    """The last row whose tick had begun; None when the ring does not reach back so far, or ended before."""
    low, high = max(0, ring.head - ring.capacity), ring.head
    newest = ring.latest()
    if newest is None or time_ns - newest.time_ns > 2 * ring.layout.period_ns + NS_PER_S:
        return None
    found = None
    while low < high:
        middle = (low + high) // 2
        row = ring.row(middle)
        if row is None or row.time_ns <= time_ns:  # what was just overwritten is older
            found, low = row or found, middle + 1
        else:
            high = middle
    return found


def _recorded(
    state: Path, at_utc_ns: int, plans: dict[tuple[str, str], LoopPlan], tell: Callable[[RecordError], object]
) -> Iterator[Moment]:
    with closing(query.open_record(state / "record.sqlite")) as db:
        newest: dict[str, Source] = {}
        for source in sources(db, tell):
            if source.from_utc_ns <= at_utc_ns:
                newest[source.loop] = source
        for source in newest.values():
            row = _recorded_row(db, source, at_utc_ns - source.offset_ns, tell)
            if row is not None:
                plan = plans.get((source.loop, source.layout.plan_hash))
                asked_ns = at_utc_ns - source.offset_ns
                yield Moment(source.layout, row, source.offset_ns, asked_ns, "record", plan)


def _recorded_row(
    db: sqlite3.Connection, source: Source, time_ns: int, tell: Callable[[RecordError], object]
) -> Row | None:
    stored = db.execute(
        "SELECT data FROM chunk WHERE ring = ? AND from_ns <= ? ORDER BY from_ns DESC LIMIT 1", (source.ring, time_ns)
    ).fetchone()
    if stored is None:
        return None
    codec = RowCodec(source.layout.columns, len(source.layout.parts))
    try:
        chunk = Chunk(stored[0], source.shape)
        number = sum(one <= time_ns for one in chunk.times_ns()) - 1
        return codec.decode(memoryview(chunk.raw())[number * codec.row_bytes :])
    except ChunkError as error:
        tell(RecordError(f"loop {source.loop}: {error}"))
        return None


def _plans(runtime: Path, state: Path) -> dict[tuple[str, str], LoopPlan]:
    """Every configuration of a loop that is still to be found, by loop and hash; the newest parameters win."""
    found = {(plan.name, plan.hash): plan for plan in kept_plans(state)}
    paths = [*(state / FOLDER).glob("*/order.*.json"), *runtime.glob("*/order.*.json")]
    for path in sorted(paths, key=lambda path: (path.is_relative_to(runtime), _generation(path))):
        with suppress(OSError, msgspec.MsgspecError):
            order = msgspec.json.decode(path.read_bytes(), type=Order)
            found[order.plan.name, order.plan.hash] = with_numbers(order.plan, order.numbers)
    return found


def _generation(path: Path) -> int:
    part = path.name.split(".")[1]
    return int(part) if part.isdigit() else 0


def with_numbers(plan: LoopPlan, numbers: dict[str, float]) -> LoopPlan:
    """The plan with parameters and constants as they were set since."""
    agents = []
    for agent in plan.agents:
        mine = {name.partition(".")[2]: value for name, value in numbers.items() if name.startswith(f"{agent.name}.")}
        params = {name: mine.get(name, value) for name, value in agent.params.items()}
        inputs = tuple(
            msgspec.structs.replace(wire, constant=mine[wire.attribute])
            if wire.constant is not None and wire.attribute in mine
            else wire
            for wire in agent.inputs
        )
        agents.append(msgspec.structs.replace(agent, params=params, inputs=inputs))
    return msgspec.structs.replace(plan, agents=tuple(agents))


def set_numbers(events: list[Event], until_utc_ns: int | None) -> dict[str, float]:
    """Parameters that people set since the daemon's start, from the commands that were recorded."""
    found: dict[str, float] = {}
    for event in events:
        if until_utc_ns is not None and event.utc_ns > until_utc_ns:
            break
        if event.kind == "start" and event.message.startswith("agentd "):
            found.clear()
        command = event.data.get("command")
        if event.kind == "command" and event.data.get("ok") and isinstance(command, dict):
            name, value = command.get("name"), command.get("value")
            if command.get("do") == "set_param" and isinstance(name, str) and isinstance(value, (int, float)):
                found[name] = value
    return found


def leases(events: list[Event], at_utc_ns: int) -> dict[str, str]:
    """Who had taken which actuator at that time, from the commands that were recorded."""
    found: dict[str, tuple[str, float]] = {}
    for event in events:
        command = event.data.get("command")
        if event.utc_ns > at_utc_ns or event.kind != "command" or not event.data.get("ok"):
            continue
        if isinstance(command, dict) and command.get("do") == "release":
            found.pop(str(command.get("signal")), None)
        elif isinstance(command, dict) and command.get("do") == "take":
            ttl_ns = float(command.get("ttl_s", 0.0)) * NS_PER_S
            found[str(command.get("signal"))] = (str(event.data.get("origin")), event.utc_ns + ttl_ns)
    return {signal: holder for signal, (holder, until) in found.items() if until > at_utc_ns}
