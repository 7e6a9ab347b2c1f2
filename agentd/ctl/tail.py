"""`agentctl tail`: values of signals as they come.

They are read from the rings, so that every tick of a fast loop can be followed and no request reaches the
daemon.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from agentd.ctl import files
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK
from agentd.ctl.follow import Sample, followed, live
from agentd.ctl.parser import Subparsers, count, examples
from agentd.ctl.text import DIM, RED, YELLOW, Paper, clock_time, quantity
from hal.clock import SystemClock

LEFT_BEHIND = 10
"""So many of the last ticks are shown when nobody writes any more; with --every as many as there are."""

EVERYTHING = 2**62


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "tail",
        help="follow the values of signals as they come",
        description="A line a value: local time, signal, value. Without --every at most ten a second for each signal.",
        epilog=examples(
            "agentctl tail robot.speed vision.offset",
            "agentctl tail robot.speed --every -n 1000 --json > speed.jsonl",
        ),
    )
    parser.add_argument("signals", nargs="+", metavar="SIGNAL", help="full names, see 'agentctl signals'")
    parser.add_argument("--every", action="store_true", help="every tick of the loop, none left out")
    parser.add_argument("-n", "--count", type=count, metavar="N", help="end after N lines")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C, or the end of the count or of what there is."""
    daemon = Daemon(arguments.state)
    image = files.image_of(daemon.runtime)
    runs = daemon.lives()
    if not runs:
        files.note(image, daemon.absence())
    loops = followed(image, arguments.signals)
    if runs:
        samples = live(loops, arguments.every, SystemClock().wait_until)
    else:
        rows = EVERYTHING if arguments.every else LEFT_BEHIND
        samples = (sample for loop in loops for sample in loop.left(rows))
    _print(islice(samples, arguments.count), _line_of(arguments.json, arguments.signals))
    return OK


def _print(samples: Iterator[Sample], line: Callable[[Sample], str]) -> None:
    try:
        for sample in samples:
            print(line(sample), flush=True)
    except KeyboardInterrupt:
        pass  # the way to end it


def _line_of(as_json: bool, names: Sequence[str]) -> Callable[[Sample], str]:
    if as_json:
        encoder = msgspec.json.Encoder()
        return lambda sample: encoder.encode(sample).decode()
    paper, width = Paper.of_terminal(), max(map(len, names))
    return lambda sample: as_line(sample, paper, width)


def as_line(sample: Sample, paper: Paper, width: int) -> str:
    """`12:01:02.345  robot.speed  0.3 m/s  clamped`."""
    text = paper.ink("absent", DIM) if sample.value is None else quantity(sample.value, sample.unit)
    remark = sample.reason or ("" if sample.verdict == "as_asked" else sample.verdict)
    if remark:
        text += "  " + paper.ink(remark.replace("_", " "), RED if remark.startswith("safe") else YELLOW)
    return f"{clock_time(sample.utc_ns)}  {sample.signal:<{width}}  {text}"
