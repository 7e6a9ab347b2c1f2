"""`agentctl signals`: every signal with its latest value, or why it has none."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from agentd.ctl import files
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK, CtlError, NotRunning
from agentd.ctl.names import nearest
from agentd.ctl.parser import Subparsers, examples
from agentd.ctl.text import DIM, RED, YELLOW, Cell, Paper, age, quantity
from agentd.gateway.readings import Reading


class SignalList(msgspec.Struct, frozen=True):
    """What the gateway answers, and what --json prints."""

    signals: list[Reading]


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "signals",
        help="every signal with its latest value, or why it has none",
        description="Name, latest value with its unit, age, and what is to be said about it, by loop.",
        epilog=examples("agentctl signals", "agentctl signals robot", "agentctl signals '*.temperature'"),
    )
    parser.add_argument(
        "pattern", nargs="?", default="", metavar="PATTERN", help="only names that contain this, or match its * and ?"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """From the daemon, else from its files."""
    daemon = Daemon(arguments.state)
    try:
        found = daemon.get("/api/v1/signals", SignalList).signals
    except NotRunning as error:
        image = files.image_of(daemon.runtime)
        files.note(image, str(error))
        found = files.readings(image)
    chosen = [reading for reading in found if matches(reading.name, arguments.pattern)]
    if arguments.pattern and not chosen:
        hint = nearest(arguments.pattern, (reading.name for reading in found))
        raise CtlError(f"no signal matches {arguments.pattern!r}; {hint}")
    if arguments.json:
        print(msgspec.json.encode(SignalList(chosen)).decode())
    else:
        print(*table(chosen, Paper.of_terminal()), sep="\n")
    return OK


def matches(name: str, pattern: str) -> bool:
    """Whether a name contains the text, or as a whole matches the pattern."""
    return fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name


def table(found: Sequence[Reading], paper: Paper) -> list[str]:
    """A line a signal."""
    rows: list[list[str | Cell]] = [["signal", "value", "age", "loop", "is", ""]]
    for reading in found:
        rows.append([
            reading.name,
            worth(reading),
            Cell(age(reading.age_s), YELLOW if reading.stale else ""),
            reading.loop,
            reading.role,
            remark(reading),
        ])  # fmt: skip
    return paper.table(rows, right=(1, 2))


def worth(reading: Reading) -> str | Cell:
    """The value as a cell; arrays say what they are."""
    if reading.value is not None:
        return quantity(reading.value, reading.unit)
    if reading.type == "array" and reading.reason is None:
        return Cell(f"{'x'.join(map(str, reading.shape))} {reading.dtype}", DIM)
    return Cell("absent", DIM)


def remark(reading: Reading) -> str | Cell:
    """Why it is absent or old, or what the guard did with it."""
    if reading.reason is not None:
        return Cell(reading.reason.replace("_", " "), YELLOW)
    if reading.verdict not in (None, "as_asked"):
        text = str(reading.verdict).replace("_", " ")
        return Cell(text, RED if text.startswith("safe") else YELLOW)
    return Cell("stale", YELLOW) if reading.stale else ""
