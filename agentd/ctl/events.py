"""`agentctl events`: what happened, to whom, and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

import msgspec

from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK, NotRunning
from agentd.ctl.parser import Subparsers, count, examples
from agentd.ctl.past_events import Sieve, recorded
from agentd.ctl.text import RED, YELLOW, Paper, short_date
from agentd.event import KINDS, SEVERITIES, Event

DEFAULT_COUNT = 20
MAX_ASKED = 1000
"""The most that the daemon hands out at once."""

_INKS = {"warning": YELLOW, "error": RED}


class EventList(msgspec.Struct, frozen=True):
    """What the gateway answers, and what --json prints."""

    events: list[Event]


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "events",
        help="what happened, to whom, and why",
        description="The newest events, oldest first: local time, kind, and what happened.",
        epilog=examples("agentctl events -n 50 --severity warning", "agentctl events --follow --kind guard"),
    )
    parser.add_argument(
        "-n", "--count", type=count, default=DEFAULT_COUNT, metavar="N", help="at most so many (default: 20)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new ones as they happen, until Ctrl-C")
    parser.add_argument("--kind", choices=sorted(KINDS), metavar="KIND", help=f"one of {', '.join(sorted(KINDS))}")
    parser.add_argument("--severity", choices=SEVERITIES, default="info", help="this and what is worse (default: info)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """From the daemon's memory; from the record when it does not run, or when it remembers too little."""
    daemon = Daemon(arguments.state)
    sieve = Sieve(arguments.kind, arguments.severity)
    try:
        remembered = daemon.get(f"/api/v1/events?limit={MAX_ASKED}", EventList).events
    except NotRunning as error:
        if arguments.follow:
            raise
        print(f"agentctl: {error}; this is from its record", file=sys.stderr)
        _print(recorded(arguments.state, sieve, arguments.count), arguments.json, as_list=True)
        return OK
    found = sieve.last(remembered, arguments.count)
    if arguments.follow:
        return _follow(daemon, sieve, found, remembered[-1].id if remembered else 0, arguments.json)
    if len(found) < arguments.count and len(remembered) == MAX_ASKED:
        found = recorded(arguments.state, sieve, arguments.count)
    _print(found, arguments.json, as_list=True)
    return OK


def _follow(daemon: Daemon, sieve: Sieve, found: Sequence[Event], last_id: int, as_json: bool) -> int:
    """Nothing is lost between the first answer and the stream: it begins behind the last one that came."""
    _print(found, as_json, as_list=False)
    try:
        for name, data in daemon.stream(f"/events?after={last_id}"):
            if name == "event":
                _print(filter(sieve.keeps, [msgspec.json.decode(data, type=Event)]), as_json, as_list=False)
            elif name == "dropped":
                print(f"agentctl: too slow: {data.decode()} were left out", file=sys.stderr)
    except KeyboardInterrupt:
        return OK
    raise NotRunning("the daemon ended the stream")


def _print(events: Iterable[Event], as_json: bool, *, as_list: bool) -> None:
    if as_json and as_list:
        print(msgspec.json.encode(EventList(list(events))).decode())
        return
    paper = Paper.of_terminal()
    for event in events:
        lines = [msgspec.json.encode(event).decode()] if as_json else as_lines(event, paper)
        print(*lines, sep="\n", flush=True)


def as_lines(event: Event, paper: Paper) -> list[str]:
    """`11-21 12:01:02  worker      error: drive: worker died: ...`, wrapped where the paper ends."""
    text = event.message if event.subject in event.message else f"{event.subject}: {event.message}"
    if event.severity != "info":
        text = f"{event.severity}: {text}"
    first = f"{short_date(event.utc_ns)}  {event.kind:<10}  "
    return paper.wrapped(text, first, _INKS.get(event.severity, ""))
