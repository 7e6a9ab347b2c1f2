"""The record as CSV (RFC 4180, but lines end in a line feed), written as it is read.

One table whatever is asked for: a line a tick. Signals of one loop lie side by side; of several loops the lines are
mixed by time, a column says whose tick each is, and the others' columns are empty. So are absent values.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from agentd.config.plan import SignalPlan
from agentd.store.blocks import EVER, Row, Scalar, Span
from agentd.store.catalogue import Selection, Tell, insist, select
from agentd.store.instant import iso
from agentd.store.query import selected_rows

STANDARD_OUTPUT = Path("-")
REPORT_ROWS = 10_000

Cell = str | int | float | None
Progress = Callable[[int, int], object]
"""Gets how many lines were written, and the UTC of the last one."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a table is written."""

    raw_time: bool = False
    """UTC as nanoseconds instead of ISO 8601."""
    remarks: bool = False
    """A column beside each signal: why it is absent, or the guard's verdict."""


def export(
    db: sqlite3.Connection,
    signals: Sequence[str],
    to: Path,
    span: Span = EVER,
    *,
    style: Style = Style(),
    progress: Progress | None = None,
    tell: Tell = insist,
) -> int:
    """Write a file, `-` for the standard output; how many lines, without the header.

    The file appears when it is complete: whatever ends this before leaves an older one as it was. Raises
    RecordError, sqlite3.Error, OSError.
    """
    selection = select(db, signals, tell)
    with _opened(to) as file:
        return write_csv(selection, selected_rows(db, selection, span, tell), file, style, progress)


def write_csv(
    selection: Selection, rows: Iterable[Row], file: IO[str], style: Style, progress: Progress | None = None
) -> int:
    """A header, and a line a row."""
    several = len(selection.loops) > 1
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header(selection.plans, several, style))
    written = 0
    for row in rows:
        writer.writerow(_line(row, several, style))
        written += 1
        if progress is not None and written % REPORT_ROWS == 0:
            progress(written, row.utc_ns)
    return written


def header(plans: Sequence[SignalPlan], several_loops: bool, style: Style) -> list[str]:
    """`utc, tick, robot.speed [m/s], ...`."""
    names = ["utc_ns" if style.raw_time else "utc", *(["loop"] if several_loops else []), "tick"]
    for plan in plans:
        names.append(f"{plan.name} [{plan.unit}]" if plan.unit else plan.name)
        if style.remarks:
            names.append(f"{plan.name}.{'verdict' if plan.role == 'actuator' else 'reason'}")
    return names


def _line(row: Row, several_loops: bool, style: Style) -> Iterator[Cell]:
    time: Cell = row.utc_ns if style.raw_time else iso(row.utc_ns)
    cells: Iterable[Cell] = map(_cell, row.values)
    if style.remarks:
        cells = chain.from_iterable(zip(cells, row.remarks, strict=True))
    return chain((time, row.loop, row.tick) if several_loops else (time, row.tick), cells)


def _cell(value: Scalar) -> Cell:
    """Floats in as many digits as give the same float again."""
    return ("true" if value else "false") if isinstance(value, bool) else value


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """A file that takes its name when it is complete. What is no regular file is written to as it is."""
    if path == STANDARD_OUTPUT:
        yield sys.stdout
        return
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
