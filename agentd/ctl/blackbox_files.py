"""Black boxes: the ring files that workers left, one a generation, each with how it ended.

`blackbox.py` is the command; here they are found, read, and written as tables for other programs.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec

from agentd.config.plan import SignalPlan
from agentd.ctl import files
from agentd.ctl.follow import Sample, sample
from agentd.ctl.text import age
from agentd.runtime.ending import how_it_ended
from agentd.runtime.process_image import generations
from agentd.runtime.ring import Flag, RingReader, Row, Word, WorkerState
from agentd.store.incidents import Incident
from hal.clock import NS_PER_S, now_ns

ALIVE_NS = 2 * NS_PER_S
"""A worker that was heard of within this and three periods is taken for a living one."""

_FIGURES = ("wake", "read", "step", "guard", "write", "book", "total")


@dataclass(frozen=True, slots=True)
class BlackBox:
    """One generation of one loop, and those of its rows that are wanted, oldest first."""

    ring: RingReader
    rows: list[Row]
    offset_ns: int
    """To UTC; 0 when that is not known: the rows are of another boot."""
    ending: str

    def samples(self, row: Row) -> Iterator[Sample]:
        """Every signal of a row."""
        for column, plan in enumerate(self.ring.layout.columns):
            yield sample(plan, row, column, self.offset_ns)


def black_boxes(folder: Path, generation: int | None = None, last_s: float | None = None) -> Iterator[BlackBox]:
    """Those of a loop's folder, oldest first. A file that cannot be read is named on the standard error."""
    for number in generations(folder):
        if generation not in (None, number):
            continue
        try:
            ring = RingReader(folder / f"ring.{number}")
        except OSError as error:
            print(f"agentctl: {error}", file=sys.stderr)
            continue
        try:
            yield BlackBox(ring, _rows(ring, last_s), files.to_utc_ns(ring), ending(ring, now_ns()))
        finally:
            ring.close()


def incident_boxes(
    folder: Path, incident: Incident, generation: int | None = None, last_s: float | None = None
) -> Iterator[BlackBox]:
    """What an incident's folder holds; as `black_boxes`."""
    for box in black_boxes(folder, generation, last_s):
        went_on = incident.kind == "guard" and box.ring.layout.generation == incident.generations[-1]
        ended = "went on" if went_on else how_it_ended(box.ring)
        yield replace(box, offset_ns=incident.utc_ns - incident.time_ns, ending=ended)


def _rows(ring: RingReader, last_s: float | None) -> list[Row]:
    _first, raw = ring.raw_since(0, ring.capacity)
    rows = [ring.codec.decode(data) for data in raw]
    if last_s is None or not rows:
        return rows
    since_ns = rows[-1].time_ns - round(last_s * NS_PER_S)
    return [row for row in rows if row.time_ns > since_ns]


def ending(ring: RingReader, time_ns: int) -> str:
    """What the worker was doing when it was last heard of."""
    words, period_ns = ring.words, ring.layout.period_ns
    silent_ns = max(0, time_ns - files.last_sign_ns(ring))
    if silent_ns < ALIVE_NS + 3 * period_ns and words[Word.STATE] != WorkerState.STOPPING:
        return "runs"
    return f"{how_it_ended(ring)}, silent for {age(silent_ns / NS_PER_S)}"


def flags(row: Row) -> list[str]:
    """A row's flags in words."""
    return [str(flag.name).lower() for flag in Flag if row.flags & flag]


class BoxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tick, for --json. Durations in nanoseconds, in the order of the box's `parts`."""

    tick: int
    time_ns: int
    utc_ns: int
    dt_s: float
    flags: list[str]
    wake_ns: int
    read_ns: int
    step_ns: int
    guard_ns: int
    write_ns: int
    book_ns: int
    total_ns: int
    parts_ns: tuple[int, ...]
    values: list[float | int | bool | None]
    """In the order of the box's `columns`."""
    remarks: list[str]
    """Why a value is absent, or the guard's verdict; as `values`."""


class BoxDump(msgspec.Struct, frozen=True, kw_only=True):
    """One generation, for --json."""

    node: str
    loop: str
    generation: int
    pid: int
    boot_id: str
    period_ns: int
    ending: str
    parts: tuple[str, ...]
    columns: tuple[SignalPlan, ...]
    rows: list[BoxRow]


def dump(box: BlackBox) -> BoxDump:
    """Everything of a box."""
    layout = box.ring.layout
    return BoxDump(
        node=layout.node,
        loop=layout.loop,
        generation=layout.generation,
        pid=layout.pid,
        boot_id=layout.boot_id,
        period_ns=layout.period_ns,
        ending=box.ending,
        parts=layout.parts,
        columns=layout.columns,
        rows=[_dump_row(box, row) for row in box.rows],
    )


def _dump_row(box: BlackBox, row: Row) -> BoxRow:
    samples = list(box.samples(row))
    return BoxRow(
        tick=row.tick,
        time_ns=row.time_ns,
        utc_ns=row.time_ns + box.offset_ns,
        dt_s=row.dt_s,
        flags=flags(row),
        wake_ns=row.wake_ns,
        read_ns=row.read_ns,
        step_ns=row.step_ns,
        guard_ns=row.guard_ns,
        write_ns=row.write_ns,
        book_ns=row.book_ns,
        total_ns=row.total_ns,
        parts_ns=row.parts_ns,
        values=[found.value for found in samples],
        remarks=[found.reason or found.verdict for found in samples],
    )


def write_csv(boxes: Iterable[BlackBox], to: TextIO) -> None:
    """All rows of one loop's boxes as one table; a generation that lacks a column leaves it empty."""
    tables = [(box.ring.layout.generation, [_record(box, row) for row in box.rows]) for box in boxes]
    columns = dict.fromkeys(name for _number, records in tables for name in (records[0] if records else ()))
    writer = csv.DictWriter(to, ["generation", *columns], restval="", lineterminator="\n")
    writer.writeheader()
    for number, records in tables:
        writer.writerows({"generation": number, **record} for record in records)


def _record(box: BlackBox, row: Row) -> dict[str, str | float | int | None]:
    """One line: the tick, its durations in microseconds, each part's, each signal, and the guard's verdicts."""
    instant = datetime.fromtimestamp((row.time_ns + box.offset_ns) / NS_PER_S, UTC)
    record: dict[str, str | float | int | None] = {
        "utc": instant.isoformat(timespec="microseconds") if box.offset_ns else "",
        "tick": row.tick,
        "time_ns": row.time_ns,
        "dt_s": row.dt_s,
        "flags": " ".join(flags(row)),
    }
    record |= {f"{name}_us": getattr(row, f"{name}_ns") / 1000 for name in _FIGURES}
    record |= {f"{part}_us": ns / 1000 for part, ns in zip(box.ring.layout.parts, row.parts_ns, strict=True)}
    for found in box.samples(row):
        record[found.signal] = found.value
        if found.verdict:
            record[f"{found.signal}.verdict"] = found.verdict
    return record
