"""`agentctl record`: what was recorded, the newest of it as text, any part of it as CSV. Needs no daemon."""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from agentd.ctl.errors import OK, CtlError
from agentd.ctl.parser import Subparsers, count, examples
from agentd.ctl.text import DIM, RED, YELLOW, Cell, Paper, date_time, many, number, plain
from agentd.store.blocks import Row, Scalar, Span
from agentd.store.catalogue import RecordedSignal, RecordError, recorded, select
from agentd.store.database import FILE_NAME
from agentd.store.export import STANDARD_OUTPUT, Style, export
from agentd.store.instant import EXPECTED, iso, parse
from agentd.store.query import latest, open_record
from hal.clock import utc_ns

SHOWN = 20
CLEAR_LINE = "\r\x1b[K"
_AGO = re.compile(r"-\d")  # `--from -10m` is a time, not an option
_DELAY = "What is younger than some seconds (a minute in a slow loop) may not be written yet: see 'agentctl tail'."


class ShownSample(msgspec.Struct, frozen=True, kw_only=True):
    """One tick, for --json."""

    utc_ns: int
    time_ns: int
    loop: str
    tick: int
    values: tuple[Scalar, ...]
    """In the order of the signals that were asked for."""
    remarks: tuple[str, ...]
    """Why a value is absent, or the guard's verdict; as `values`."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What `show --json` prints."""

    signals: list[str]
    units: list[str]
    rows: list[ShownSample]


class RecordList(msgspec.Struct, frozen=True):
    """What `list --json` prints, and the gateway answers."""

    signals: list[RecordedSignal]


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "record",
        help="what was recorded: list it, show it, export it as CSV",
        description=f"Reads the daemon's record, whether it runs or not. {_DELAY}",
        epilog=examples(
            "agentctl record                                     what there is",
            "agentctl record show robot.speed --from -10m -n 50",
            "agentctl record export robot.x robot.y --from -1h --csv path.csv",
        ),
    )
    parser.set_defaults(func=run_list)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    listing = actions.add_parser("list", help="every recorded signal, with when and how many samples (the default)")
    listing.set_defaults(func=run_list)
    show = actions.add_parser("show", help="the newest ticks of signals, as text", description=_DELAY)
    show.add_argument(
        "-n", "--count", type=count, default=SHOWN, metavar="N", help=f"at most the newest N (default: {SHOWN})"
    )
    show.set_defaults(func=run_show)
    table = actions.add_parser(
        "export",
        help="signals as CSV, a line a tick",
        description="Signals of one loop lie side by side. With several loops the lines are mixed by time and a column"
        f" says whose tick each is. Absent values are empty. {_DELAY}",
        epilog=examples("agentctl record export robot.x --from 2026-11-21T10:00:00Z --csv x.csv"),
    )
    table.add_argument(
        "--csv", type=Path, default=STANDARD_OUTPUT, metavar="FILE", help="- for the standard output (the default)"
    )
    table.add_argument("--raw-time", action="store_true", help="UTC in nanoseconds instead of ISO 8601")
    table.add_argument("--why", action="store_true", help="beside each signal why it is absent, or the guard's verdict")
    table.set_defaults(func=run_export)
    for each in (show, table):
        _add_choice(each)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """Which signals, and when."""
    parser.add_argument("signals", nargs="+", metavar="SIGNAL", help="full names, see 'agentctl record list'")
    parser.add_argument("--from", dest="since", type=_instant, metavar="TIME", help=f"from here on; {EXPECTED}")
    parser.add_argument("--to", dest="until", type=_instant, metavar="TIME", help="before this (default: the end)")
    parser._negative_number_matcher = _AGO  # see above


def _instant(text: str) -> int:
    try:
        return parse(text, utc_ns())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def _record(state: Path) -> Iterator[sqlite3.Connection]:
    """The record of a state directory. What goes wrong with it becomes a CtlError."""
    path = state / FILE_NAME
    try:
        with closing(open_record(path)) as db:
            yield db
    except RecordError as error:
        raise CtlError(str(error)) from None
    except sqlite3.Error as error:
        raise CtlError(f"{path}: {error}") from None


def _warn(error: RecordError) -> None:
    """What cannot be read is named, and the rest goes on."""
    print(f"agentctl: {plain(str(error))}", file=sys.stderr)


def run_list(arguments: argparse.Namespace) -> int:
    """Every signal."""
    with _record(arguments.state) as db:
        found = recorded(db, _warn)
    if arguments.json:
        print(msgspec.json.encode(RecordList(found)).decode())
    elif found:
        print(*signal_table(found, Paper.of_terminal()), sep="\n")
    else:
        print("nothing is recorded yet")
    return OK


def signal_table(found: Sequence[RecordedSignal], paper: Paper) -> list[str]:
    """A line a signal."""
    rows: list[list[str | Cell]] = [["signal", "unit", "type", "loop", "samples", "from", "to"]]
    for signal in found:
        began, ended = date_time(signal.from_utc_ns), date_time(signal.to_utc_ns)
        rows.append([signal.name, signal.unit, signal.type, signal.loop, many(signal.samples), began, ended])
    return paper.table(rows, right=(4,))


def run_show(arguments: argparse.Namespace) -> int:
    """The newest ticks."""
    names, span = list(dict.fromkeys(arguments.signals)), _span(arguments)
    with _record(arguments.state) as db:
        selection = select(db, names, _warn)
        found = latest(db, selection, span, arguments.count, _warn)
        units = [plan.unit for plan in selection.plans]
        if not found:
            began = min(source.from_utc_ns for source, _columns in selection.places)
            ended = max(source.to_utc_ns for source, _columns in selection.places)
            raise CtlError(
                f"nothing of {', '.join(names)} then; recorded is {iso(began)} to {iso(ended)}; change --from and --to"
            )
    if arguments.json:
        rows = [ShownSample(**row._asdict()) for row in found]
        print(msgspec.json.encode(Shown(signals=names, units=units, rows=rows)).decode())
    else:
        print(*row_table(found, names, units, Paper.of_terminal()), sep="\n")
    return OK


def row_table(found: Sequence[Row], names: Sequence[str], units: Sequence[str], paper: Paper) -> list[str]:
    """A line a tick: UTC, values, and what is to be said about them."""
    several = len({row.loop for row in found}) > 1
    heads = [f"{name} [{unit}]" if unit else name for name, unit in zip(names, units, strict=True)]
    table: list[list[str | Cell]] = [["utc", *(["loop"] if several else []), "tick", *heads, ""]]
    for row in found:
        cells = [_worth(value, why) for value, why in zip(row.values, row.remarks, strict=True)]
        table.append([
            iso(row.utc_ns)[:-4] + "Z", *([row.loop] if several else []), str(row.tick), *cells, _remark(row)
        ])  # fmt: skip
    return paper.table(table, right=range(1 + several, 2 + several + len(names)))


def _worth(value: Scalar, why: str) -> str | Cell:
    return number(value) if value is not None else Cell("absent" if why else "", DIM)


def _remark(row: Row) -> str | Cell:
    """Each thing once."""
    found = dict.fromkeys(why for why in row.remarks if why not in ("", "as_asked"))
    text = ", ".join(why.replace("_", " ") for why in found)
    return Cell(text, RED if "safe" in text else YELLOW)


def run_export(arguments: argparse.Namespace) -> int:
    """CSV."""
    names = list(dict.fromkeys(arguments.signals))
    style = Style(raw_time=arguments.raw_time, remarks=arguments.why)
    to_file = arguments.csv != STANDARD_OUTPUT
    progress = _progress if to_file and sys.stderr.isatty() else None
    with _record(arguments.state) as db:
        try:
            written = export(db, names, arguments.csv, _span(arguments), style=style, progress=progress, tell=_warn)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CtlError(f"{arguments.csv}: {error.strerror or error}; choose another file with --csv") from None
    if arguments.json and to_file:
        print(msgspec.json.encode({"file": str(arguments.csv), "rows": written}).decode())
    elif to_file:
        print(f"{CLEAR_LINE if progress else ''}{arguments.csv}: {many(written)} rows", file=sys.stderr)
    return OK


def _progress(written: int, at_utc_ns: int) -> None:
    print(f"{CLEAR_LINE}{many(written)} rows, {date_time(at_utc_ns)} ", end="", file=sys.stderr, flush=True)


def _span(arguments: argparse.Namespace) -> Span:
    if arguments.since is not None and arguments.until is not None and arguments.since >= arguments.until:
        began, ended = iso(arguments.since), iso(arguments.until)
        raise CtlError(f"--from {began} is not before --to {ended}; exchange them")
    return Span(arguments.since, arguments.until)
