"""`agentctl estop`, `clear`, `reload`: orders to the whole node or to a loop."""

from __future__ import annotations

import argparse

import msgspec

from agentd.command import Clear, Command, EmergencyStop, Reload
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK
from agentd.ctl.parser import Subparsers, examples


def add_parser(sub: Subparsers) -> None:
    """The command lines."""
    estop = sub.add_parser(
        "estop",
        help="emergency stop: every actuator to its safe value, until it is cleared",
        description="Every actuator of the node goes to its safe value and stays there, through restarts too, until "
        "'agentctl clear node'.",
        epilog=examples("agentctl estop", "agentctl estop smoke in the room"),
    )
    estop.add_argument("reason", nargs="*", metavar="REASON", help="why; it is shown until the stop is cleared")
    estop.set_defaults(func=stop)
    clear_ = sub.add_parser(
        "clear",
        help="clear the emergency stop, or a latched loop or its quarantine",
        description="A latched loop starts again with all its parts, the quarantined ones too.",
        epilog=examples("agentctl clear node      the emergency stop", "agentctl clear drive     the loop 'drive'"),
    )
    clear_.add_argument("target", metavar="LOOP|node", help="a loop, or 'node' for the emergency stop")
    clear_.set_defaults(func=clear)
    reload_ = sub.add_parser(
        "reload",
        help="read the configuration again and apply what changed",
        description="Loops that did not change keep ticking. A configuration with problems changes nothing.",
        epilog=examples("agentctl reload"),
    )
    reload_.set_defaults(func=reload)


def stop(arguments: argparse.Namespace) -> int:
    """The emergency stop."""
    return _have_done(arguments, EmergencyStop(reason=" ".join(arguments.reason)))


def clear(arguments: argparse.Namespace) -> int:
    """A person says go."""
    return _have_done(arguments, Clear(target=arguments.target))


def reload(arguments: argparse.Namespace) -> int:
    """The configuration file again."""
    return _have_done(arguments, Reload())


def _have_done(arguments: argparse.Namespace, command: Command) -> int:
    answer = Daemon(arguments.state).command(command)
    print(msgspec.json.encode(answer).decode() if arguments.json else "\n".join((answer.message, *answer.problems)))
    return OK
