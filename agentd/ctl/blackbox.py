"""`agentctl blackbox`: the last minute of every worker, from the files it left, whether anything runs or not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from agentd.ctl import files
from agentd.ctl.blackbox_files import BlackBox, black_boxes, dump, flags, incident_boxes, write_csv
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK, CtlError
from agentd.ctl.follow import Sample
from agentd.ctl.names import nearest
from agentd.ctl.parser import Subparsers, count, examples, positive
from agentd.ctl.text import BOLD, DIM, RED, YELLOW, Cell, Paper, clock_time, duration, many, quantity, short_date
from agentd.runtime.ring import Row
from agentd.store.incidents import FOLDER, Incident, IncidentStore

GLANCE, LOOK = 3, 10
"""Ticks that are shown of a generation: of all loops, and of one that is asked for."""


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "blackbox",
        help="the last ticks of every worker, dead ones too, from their files",
        description="Each start of a loop's worker leaves a file with its last minute: how it ended, its last ticks,"
        " and with LOOP the values of its last one. The files are in memory: they outlive the daemon, not the machine."
        " When a worker dies, a loop is latched or the guard steps in, what they hold is kept as an incident.",
        epilog=examples(
            "agentctl blackbox                          how every worker ended",
            "agentctl blackbox drive --last 0.5         its last half second",
            "agentctl blackbox drive --csv > drive.csv  everything that is there",
            "agentctl blackbox --incident last          the newest incident",
        ),
    )
    parser.add_argument("loop", nargs="?", metavar="LOOP", help="one loop only")
    parser.add_argument("--last", type=positive, metavar="SECONDS", help="every tick of so long before each end")
    parser.add_argument("--generation", type=count, metavar="N", help="one start of the worker only")
    parser.add_argument("--list", action="store_true", help="the incidents that are kept on the disk, oldest first")
    parser.add_argument(
        "--incident", metavar="ID", help="what was saved of one of them, 'last' for the newest; events name theirs"
    )
    parser.add_argument("--csv", action="store_true", help="a table of all ticks of one loop, for other programs")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """The daemon is not asked."""
    if arguments.list:
        return _list(arguments)
    if arguments.incident:
        incident = find(arguments.state, arguments.incident)
        folder = arguments.state / FOLDER / incident.id
        boxes = incident_boxes(folder, incident, arguments.generation, arguments.last)
        return _show(arguments, boxes, story(incident, Paper.of_terminal()), with_values=True)
    runtime = Daemon(arguments.state).runtime
    folders = [runtime / loop for loop in _chosen(runtime, arguments.loop, arguments.csv)]
    boxes = (box for folder in folders for box in black_boxes(folder, arguments.generation, arguments.last))
    return _show(arguments, boxes, [], with_values=arguments.loop is not None)


def _show(arguments: argparse.Namespace, boxes: Iterator[BlackBox], first: list[str], *, with_values: bool) -> int:
    if arguments.csv:
        write_csv(boxes, sys.stdout)
    elif arguments.json:
        print(msgspec.json.encode({"boxes": [dump(box) for box in boxes]}).decode())
    else:
        for line in first:
            print(line)
        _print(boxes, None if arguments.last else LOOK if with_values else GLANCE, with_values)
    return OK


def _list(arguments: argparse.Namespace) -> int:
    found = [one for one in IncidentStore(arguments.state).list() if arguments.loop in (None, one.loop)]
    if arguments.json:
        print(msgspec.json.encode({"incidents": found}).decode())
    elif found:
        rows: list[list[str | Cell]] = [["incident", "when", "loop", "is", "why"]]
        rows += [[one.id, short_date(one.utc_ns), one.loop, one.kind, one.why[0]] for one in found]
        print(*Paper.of_terminal().table(rows), sep="\n")
    else:
        print("no incident is kept")
    return OK


def find(state: Path, name: str) -> Incident:
    """An incident by its id, or the newest. Raises CtlError."""
    known = {one.id: one for one in IncidentStore(state).list()}
    if name == "last" and known:
        return list(known.values())[-1]
    if name not in known:
        raise CtlError(f"no incident {name!r} in {state / FOLDER}; see 'agentctl blackbox --list'")
    return known[name]


def story(incident: Incident, paper: Paper) -> list[str]:
    """What was told of it."""
    head = paper.ink(f"{incident.id}, {short_date(incident.utc_ns)}", BOLD)
    return [head, *(line for why in incident.why for line in paper.wrapped(why, "  ")), ""]


def _chosen(runtime: Path, loop: str | None, one: bool) -> list[str]:
    """The loops that are meant. Raises CtlError when there are none, or several where one is needed."""
    known = files.image_of(runtime).loops()
    if not known:
        raise CtlError(f"no loop has left rows in {runtime}")
    if loop is not None and loop not in known:
        raise CtlError(f"no loop {loop!r} in {runtime}, only {', '.join(known)}; {nearest(loop, known)}")
    if one and loop is None and len(known) > 1:
        raise CtlError(f"--csv is a table of one loop: say which of {', '.join(known)}")
    return [loop] if loop is not None else known


def _print(boxes: Iterator[BlackBox], shown: int | None, with_values: bool) -> None:
    paper = Paper.of_terminal()
    last: list[str] = []
    for number, box in enumerate(boxes):
        print(*[""] * (number > 0), *heading(box, paper), *ticks(box, shown, paper), sep="\n")
        last = values(box.samples(box.rows[-1]), paper) if with_values and box.rows else []
    if last:
        print("", *last, sep="\n")


def heading(box: BlackBox, paper: Paper) -> list[str]:
    """Which worker, how much there is of it, and how it ended."""
    layout, rows = box.ring.layout, box.rows
    name = paper.ink(f"{layout.loop}, generation {layout.generation}", BOLD)
    if not rows:
        return [f"{name} (pid {layout.pid}): no ticks; {box.ending}"]
    span = f"{clock_time(rows[0].time_ns + box.offset_ns)} to {clock_time(rows[-1].time_ns + box.offset_ns)}"
    ink = "" if box.ending == "runs" or box.ending.startswith("stopped") else RED
    return [f"{name} (pid {layout.pid}): {many(len(rows))} ticks, {span}", f"  {paper.ink(box.ending, ink)}"]


def ticks(box: BlackBox, shown: int | None, paper: Paper) -> list[str]:
    """The last ones, a line each."""
    rows: list[list[str | Cell]] = [["tick", "began", "wake", "total", "slowest part", "", "flags"]]
    for row in box.rows[-shown:] if shown else box.rows:
        part, part_ns = _slowest(box.ring.layout.parts, row)
        rows.append([
            str(row.tick),
            clock_time(row.time_ns + box.offset_ns),
            duration(row.wake_ns / 1e3),
            duration(row.total_ns / 1e3),
            part,
            duration(part_ns / 1e3),
            Cell(" ".join(flags(row)), YELLOW),
        ])  # fmt: skip
    return [f"  {line}" for line in paper.table(rows, right=(0, 2, 3, 5))] if len(rows) > 1 else []


def _slowest(parts: Sequence[str], row: Row) -> tuple[str, int]:
    return max(zip(parts, row.parts_ns, strict=True), key=lambda entry: entry[1], default=("", 0))


def values(samples: Iterable[Sample], paper: Paper) -> list[str]:
    """What the last tick saw and did."""
    rows: list[list[str | Cell]] = [["signal", "last value", ""]]
    for found in samples:
        value = Cell("absent", DIM) if found.value is None else quantity(found.value, found.unit)
        remark = found.reason or found.verdict.replace("as_asked", "")
        rows.append([found.signal, value, Cell(remark.replace("_", " "), YELLOW)])
    return paper.table(rows, right=(1,))
