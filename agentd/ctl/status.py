"""`agentctl status`: what runs, how well, and why something does not."""

from __future__ import annotations

import argparse

import msgspec

from agentd import __version__
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import NOT_RUNNING, OK, NotRunning
from agentd.ctl.parser import Subparsers, examples
from agentd.ctl.report import problems, report
from agentd.ctl.text import BOLD, RED, Paper
from agentd.latches import LatchFile
from agentd.status import NodeStatus

PATH = "/api/v1/status"


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "status",
        help="what runs, how well, and why something does not",
        description="Loops, parts and actuators of the node; what is wrong comes first.",
        epilog=examples("agentctl status", "agentctl status --json | jq .problems"),
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask and print. Exit status 3 when no daemon runs."""
    daemon = Daemon(arguments.state)
    try:
        if arguments.json:
            print(daemon.raw(PATH).decode())
        else:
            print(*report(daemon.get(PATH, NodeStatus), Paper.of_terminal()), sep="\n")
        return OK
    except NotRunning as error:
        status = absent(daemon, str(error))
    if arguments.json:
        print(msgspec.json.encode(status).decode())
    else:
        paper = Paper.of_terminal()
        print(paper.ink("not running", BOLD, RED), *problems(status, paper)[1:], sep="\n")
    return NOT_RUNNING


def absent(daemon: Daemon, why: str) -> NodeStatus:
    """The status of a node whose daemon does not run: the latches still hold when it comes back."""
    found = LatchFile(daemon.state / "latches.json").latches
    listed = [f"{loop} is latched, also after a start: {reason}" for loop, reason in found.loops.items()]
    if found.emergency_stop:
        listed.insert(0, f"the emergency stop is pulled, also after a start: {found.emergency_stop}")
    return NodeStatus(
        node="",
        version=__version__,
        pid=0,
        uptime_s=0.0,
        config="",
        live=False,
        ready=False,
        problems=(why, *listed),
        emergency_stop=found.emergency_stop,
    )
