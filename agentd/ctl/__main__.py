"""`agentctl`: what runs, how well, why not, and what to do about it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from agentd.ctl.errors import FAILED, CtlError
from agentd.ctl.parser import EXIT_STATUS, CommandParser, command_name, examples
from agentd.paths import state_dir

COMMANDS = {
    "status": "agentd.ctl.status",
    "top": "agentd.ctl.top",
    "signals": "agentd.ctl.signals",
    "tail": "agentd.ctl.tail",
    "events": "agentd.ctl.events",
    "set": "agentd.ctl.actuate",
    "release": "agentd.ctl.actuate",
    "estop": "agentd.ctl.order",
    "clear": "agentd.ctl.order",
    "reload": "agentd.ctl.order",
    "why": "agentd.ctl.why",
    "blackbox": "agentd.ctl.blackbox",
    "record": "agentd.ctl.record",
}
"""Which module adds a command to the parser with `add_parser(sub)`; several commands may share one.

A handler is set with `set_defaults(func=...)`; it gets `state: Path` and `json: bool` beside its own
arguments, returns the exit status and raises CtlError.
"""

INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def build(names: Sequence[str]) -> CommandParser:
    """The parser of these commands: one that is asked for need not wait for the others' imports."""
    parser = CommandParser(
        prog="agentctl",
        description="Ask and command the agentd daemon of this machine.",
        epilog=examples(
            "agentctl status                      what runs, how well, and why not",
            "agentctl tail robot.speed --every    one signal, every tick",
            "agentctl set robot.speed 0.3 --hold  hold an actuator until Ctrl-C",
            "agentctl estop smoke in the room     everything safe, at once",
        )
        + "\n\n"
        + EXIT_STATUS,
    )
    sub = parser.add_subparsers(dest="do", required=True, metavar="COMMAND", title="commands")
    for module in dict.fromkeys(COMMANDS[name] for name in names):
        importlib.import_module(module).add_parser(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the command."""
    argv = sys.argv[1:] if argv is None else argv
    chosen = command_name(argv, list(COMMANDS))
    arguments = build([chosen] if chosen else list(COMMANDS)).parse_args(argv)
    arguments.state = state_dir(getattr(arguments, "state", None))
    arguments.json = getattr(arguments, "json", False)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without µ gets a ?
    try:
        status = int(arguments.func(arguments))
        sys.stdout.flush()
        return status
    except CtlError as error:
        print(f"agentctl: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # A reader such as `head` has enough. Python flushes once more at its exit: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
