"""`agentctl set` and `release`: hold an actuator for a while, or change a parameter for good."""

from __future__ import annotations

import argparse
import math
import signal
from collections.abc import Callable

import msgspec

from agentd.command import Answer, Release, SetParam, Take
from agentd.config.plan import NodePlan
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK, CtlError
from agentd.ctl.names import Number, find
from agentd.ctl.parser import Subparsers, examples, positive

DEFAULT_TTL_S, DEFAULT_PRIORITY = 2.0, 100
RENEW_AT = 1 / 3
"""Of the lease's time."""

RENEW_WITHIN_S = 1.0
"""Together with a third of the default lease that is in time."""

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = {"true": 1.0, "on": 1.0, "yes": 1.0, "false": 0.0, "off": 0.0, "no": 0.0}

Wait = Callable[[float], bool]
"""Waits so many seconds; true when somebody has asked to end meanwhile."""


def add_parser(sub: Subparsers) -> None:
    """The command lines."""
    set_ = sub.add_parser(
        "set",
        help="hold an actuator at a value for a while, or change a parameter",
        description="An actuator is taken from its agent with a lease, which ends by itself; the guard's limits hold"
        " all the same. A parameter, or an input that is wired to a number, stays as set until the daemon ends or its"
        " line in the configuration changes.",
        epilog=examples(
            "agentctl set robot.speed 0.3             for 2 s",
            "agentctl set robot.speed 0.3 --for 60    for a minute",
            "agentctl set robot.speed 0.3 --hold      until Ctrl-C",
            "agentctl set steer.kp 6                  a parameter",
        ),
    )
    set_.add_argument("name", metavar="NAME", help="an actuator, a parameter, or an input that is wired to a number")
    set_.add_argument("value", type=finite, metavar="VALUE", help="a number in its unit, or on or off")
    set_.add_argument(
        "--for", dest="ttl_s", type=positive, metavar="SECONDS", help="actuators: how long (default: 2, at most: 3600)"
    )
    set_.add_argument("--hold", action="store_true", help="actuators: renew the lease until Ctrl-C, then give it back")
    set_.add_argument("--priority", type=int, metavar="N", help="actuators: the highest wins (default: 100, agents: 0)")
    set_.add_argument("--low", type=finite, metavar="VALUE", help="actuators: apply nothing below this, for this lease")
    set_.add_argument("--high", type=finite, metavar="VALUE", help="actuators: nor anything above this")
    set_.set_defaults(func=run)
    release_ = sub.add_parser(
        "release",
        help="give an actuator back before its lease ends",
        description="Ends your lease; the loop's own agents take over, else the safe value.",
        epilog=examples("agentctl release robot.speed"),
    )
    release_.add_argument("signal", metavar="SIGNAL", help="the actuator")
    release_.set_defaults(func=release)


def finite(text: str) -> float:
    """A value as it is typed."""
    try:
        value = _WORDS.get(text.lower(), math.nan)
        value = float(text) if math.isnan(value) else value
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a finite number, on or off")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Find out what the name is, and set it."""
    daemon = Daemon(arguments.state)
    target = find(daemon.get("/api/v1/config", NodePlan), arguments.name)
    say = _teller(arguments.json)
    if isinstance(target, Number):
        _refuse_lease_options(arguments)
        say(daemon.command(SetParam(name=target.name, value=arguments.value)))
        return OK
    take = Take(
        signal=target.name,
        value=arguments.value,
        ttl_s=DEFAULT_TTL_S if arguments.ttl_s is None else arguments.ttl_s,
        priority=DEFAULT_PRIORITY if arguments.priority is None else arguments.priority,
        low=arguments.low,
        high=arguments.high,
    )
    if arguments.hold:
        _hold_until_told(daemon, take, say)
    else:
        say(daemon.command(take))
    return OK


def _refuse_lease_options(arguments: argparse.Namespace) -> None:
    """Raises CtlError: whoever says how long must not believe that a parameter goes back by itself."""
    options = {"--for": arguments.ttl_s, "--priority": arguments.priority, "--low": arguments.low}
    options |= {"--high": arguments.high, "--hold": arguments.hold or None}
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise CtlError(f"{arguments.name} is a parameter and stays as it is set: leave {', '.join(given)} out")


def release(arguments: argparse.Namespace) -> int:
    """Give a lease back."""
    _teller(arguments.json)(Daemon(arguments.state).command(Release(signal=arguments.signal)))
    return OK


def hold(daemon: Daemon, take: Take, say: Callable[[Answer], None], wait: Wait) -> None:
    """Renew a lease until somebody asks to end, then give it back.

    Raises CtlError when it cannot be renewed: the lease then ends by itself.
    """
    say(daemon.command(take, RENEW_WITHIN_S))
    while not wait(take.ttl_s * RENEW_AT):
        daemon.command(take, RENEW_WITHIN_S)
    say(daemon.command(Release(signal=take.signal), RENEW_WITHIN_S))


def _hold_until_told(daemon: Daemon, take: Take, say: Callable[[Answer], None]) -> None:
    """The signals that end it are waited for, not caught: none can come between taking and giving back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        hold(daemon, take, say, lambda seconds: signal.sigtimedwait(ENDINGS, seconds) is not None)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _teller(as_json: bool) -> Callable[[Answer], None]:
    def say(answer: Answer) -> None:
        print(msgspec.json.encode(answer).decode() if as_json else answer.message, flush=True)

    return say
