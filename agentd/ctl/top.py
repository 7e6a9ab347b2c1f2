"""`agentctl top`: the status, live."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK, CtlError
from agentd.ctl.events import EventList, as_lines
from agentd.ctl.parser import Subparsers, examples, positive
from agentd.ctl.report import actuators, headline, joined, loops, problems, timing
from agentd.ctl.terminal import Terminal
from agentd.ctl.text import DIM, RED, YELLOW, Cell, Paper, duration
from agentd.event import Event
from agentd.status import LoopStatus, NodeStatus

EVERY_S = 0.5
BUSY = 0.8
"""Of its period: a loop that takes so long will miss ticks."""

EVENTS, PARTS = 6, 8


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "top",
        help="the status, live",
        description="Loops, the parts that take longest, actuators and the newest events, drawn again and again. q or "
        "Ctrl-C ends it. Without a terminal, and with --json, it is printed once.",
        epilog=examples("agentctl top", "agentctl top --every 2"),
    )
    parser.add_argument(
        "--every", type=positive, default=EVERY_S, metavar="SECONDS", help="time between two looks (default: 0.5)"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Until q or Ctrl-C; once where there is no terminal."""
    daemon = Daemon(arguments.state)
    if arguments.json:
        print(daemon.raw("/api/v1/status").decode())
    elif not sys.stdout.isatty():
        print(*screen(*_look(daemon), Paper.of_terminal()), sep="\n")
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal is left as it was found
        with suppress(KeyboardInterrupt), Terminal() as terminal:
            while terminal.key(arguments.every if terminal.drawn else 0.0) not in ("q", "Q"):
                terminal.draw(_frame(arguments.state))
    return OK


def _frame(state: Path) -> list[str]:
    """What to show now; a daemon that is away may come back."""
    paper = Paper.of_terminal()
    try:
        return screen(*_look(Daemon(state)), paper)
    except CtlError as error:
        return [*paper.wrapped(str(error), "", RED), "", paper.ink("q ends; else it is asked again and again", DIM)]


def _look(daemon: Daemon) -> tuple[NodeStatus, list[Event]]:
    status = daemon.get("/api/v1/status", NodeStatus)
    return status, daemon.get(f"/api/v1/events?limit={EVENTS}", EventList).events


def screen(status: NodeStatus, events: Sequence[Event], paper: Paper) -> list[str]:
    """What matters most comes first: a small terminal shows the beginning."""
    return joined([
        headline(status, paper),
        problems(status, paper),
        loops(status.loops, paper),
        timing(status.loops, paper),
        actuators(status.actuators, paper),
        busiest(status.loops, paper),
        [as_lines(event, paper)[0] for event in reversed(events)],
    ])  # fmt: skip


def busiest(loops_: Sequence[LoopStatus], paper: Paper) -> list[str]:
    """Devices and agents by the share of their loop's period that they take."""
    found = [(loop, part, part.duration.p50_us * loop.rate_hz / 1e6) for loop in loops_ for part in loop.parts]
    rows: list[list[str | Cell]] = [["part", "loop", "p50", "p99", "max", "of the period", ""]]
    for loop, part, share in sorted(found, key=lambda entry: -entry[2])[:PARTS]:
        figures = part.duration
        rows.append([
            part.name,
            loop.name,
            *(duration(us) for us in (figures.p50_us, figures.p99_us, figures.max_us)),
            Cell(f"{share:.1%}", YELLOW if share > BUSY else ""),
            "" if part.state == "ok" else Cell(part.state, YELLOW),
        ])  # fmt: skip
    return paper.table(rows, right=range(2, 6)) if found else []
