"""`agentctl why`: the story of one value, from what was applied to the sensors; of now, or of a recorded time."""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
from contextlib import closing, suppress

import msgspec

from agentd.config.plan import ChannelPlan
from agentd.ctl.cause import Fact, Guarding, Story
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import OK, CtlError
from agentd.ctl.events import EventList
from agentd.ctl.moments import Moment, leases, moments, set_numbers, with_numbers
from agentd.ctl.parser import Subparsers, examples
from agentd.ctl.text import BOLD, DIM, RED, YELLOW, Paper, age, number, quantity
from agentd.event import Event
from agentd.runtime.guard import Verdict
from agentd.status import NodeStatus
from agentd.store import query
from agentd.store.catalogue import RecordError
from agentd.store.database import FILE_NAME
from agentd.store.instant import EXPECTED, iso, parse
from hal.clock import NS_PER_S, utc_ns
from hal.signal import Absent

FAR_S = 2.0
"""A row this much older than the instant that was asked for is worth a remark."""

VERDICTS = {
    Verdict.AS_ASKED: "applied as asked",
    Verdict.CLAMPED: "clamped: beyond the range, or the lease's bounds",
    Verdict.SLEW_LIMITED: "on its way, as fast as the slew limit allows",
    Verdict.SAFE_NO_REQUEST: "safe value: nobody asked for anything in this tick",
    Verdict.SAFE_STALE: "safe value: what the request goes by is too old",
    Verdict.SAFE_NOT_FINITE: "safe value: what was asked is no number",
    Verdict.SAFE_INTERLOCK: "safe value: an interlock does not hold, or did not until just now",
    Verdict.SAFE_EMERGENCY_STOP: "safe value: the emergency stop is pulled",
    Verdict.SAFE_HOLD: "safe value: the loop is latched, starting or stopping",
    Verdict.SAFE_EXPIRED: "safe value: the tick was late, the request too old when it was to be written",
    Verdict.SAFE_DEVICE: "safe value: the device is not open",
}

REASONS = {
    Absent.NOT_YET: "nothing has set it since its loop started",
    Absent.NOT_A_NUMBER: "it was set to NaN",
    Absent.DEVICE_ERROR: "the device failed; see 'agentctl events --kind device'",
    Absent.DEVICE_CLOSED: "the device is not open",
    Absent.QUARANTINED: "it is quarantined; see 'agentctl status'",
    Absent.NO_ANSWER: "the agent gave no answer",
    Absent.INPUT_ABSENT: "the agent was not stepped: an input that it needs is absent",
    Absent.AGENT_ERROR: "the agent failed; see 'agentctl events --kind agent'",
    Absent.OUT_OF_RANGE: "what was set does not fit its type",
    Absent.LOOP_SILENT: "the loop that owns it publishes nothing",
    Absent.NOT_GIVEN: "the hardware has no such value now",
}


def add_parser(sub: Subparsers) -> None:
    """The command line."""
    parser = sub.add_parser(
        "why",
        help="the story of one value: guard, agent, inputs, model, device",
        description="Why a signal has the value it has: what the guard made of it, who asked, with which parameters,"
        " on which inputs, and so on to the sensors. Works without a daemon, on what it left.",
        epilog=examples("agentctl why robot.speed", "agentctl why robot.speed --at -10m"),
    )
    parser.add_argument("signal", metavar="SIGNAL", help="full name, see 'agentctl signals'")
    parser.add_argument("--at", type=_instant, metavar="TIME", help=f"not now but then; {EXPECTED}")
    parser._negative_number_matcher = re.compile(r"-\d")
    parser.set_defaults(func=run)


def _instant(text: str) -> int:
    try:
        return parse(text, utc_ns())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    """From the rings for now and the last minute, from the record for what is older."""
    daemon, at = Daemon(arguments.state), arguments.at
    try:
        found = moments(daemon.runtime, arguments.state, at, _warn)
        events = _events(daemon)
    except (RecordError, sqlite3.Error, OSError) as error:
        raise CtlError(str(error)) from None
    if not found:
        raise CtlError(f"nothing is known of that time, neither in {daemon.runtime} nor in the record")
    numbers = set_numbers(events, at)
    found = [_with(moment, numbers) for moment in found]
    fact = Story(found, leases(events, at) if at is not None else _holders(daemon)).of(arguments.signal)
    if arguments.json:
        print(msgspec.json.encode(fact).decode())
        return OK
    owner = next(moment for moment in found if moment.owns(arguments.signal))
    print(*heading(owner), *lines(fact, Paper.of_terminal()), sep="\n")
    if owner.plan is None:
        print("the configuration it ran with is not kept any more: guard, agents and wiring are not known")
    return OK


def _with(moment: Moment, numbers: dict[str, float]) -> Moment:
    if moment.plan is None:
        return moment
    plan = with_numbers(moment.plan, numbers)
    return Moment(moment.layout, moment.row, moment.offset_ns, moment.asked_ns, moment.origin, plan)


def _warn(error: RecordError) -> None:
    print(f"agentctl: {error}", file=sys.stderr)


def _holders(daemon: Daemon) -> dict[str, str]:
    with suppress(CtlError):
        return {one.signal: one.holder for one in daemon.get("/api/v1/status", NodeStatus).actuators}
    return {}


def _events(daemon: Daemon) -> list[Event]:
    """What was recorded, and what the daemon remembers, oldest first."""
    found: dict[int, Event] = {}
    with suppress(RecordError, sqlite3.Error), closing(query.open_record(daemon.state / FILE_NAME)) as db:
        found = {event.id: event for kind in ("start", "command") for event in query.events(db, kind=kind)}
    with suppress(CtlError):
        found |= {event.id: event for event in daemon.get("/api/v1/events?limit=1000", EventList).events}
    return [found[number] for number in sorted(found)]


def heading(moment: Moment) -> list[str]:
    """Which tick this is of."""
    row, layout = moment.row, moment.layout
    when = iso(row.time_ns + moment.offset_ns) if moment.offset_ns else f"{row.time_ns / NS_PER_S:.3f} s after boot"
    text = f"loop {layout.loop}, tick {row.tick}, {when}, from the {moment.origin}"
    late_s = (moment.asked_ns - row.time_ns) / NS_PER_S
    if late_s > FAR_S + 2 * layout.period_ns / NS_PER_S:
        text += f"; nothing newer: {age(late_s)} before the time that is asked for"
    return [text, ""]


def lines(fact: Fact, paper: Paper, indent: str = "") -> list[str]:
    """The tree, a fact a paragraph."""
    found = [f"{indent}{paper.ink(fact.signal, BOLD)} {_value(fact, paper)}{_remark(fact)}"]
    inner = indent + "  "
    if fact.guard is not None:
        found += [line for text in guarding(fact.guard) for line in paper.wrapped(text, inner)]
        ink = RED if fact.guard.verdict.startswith("safe") else "" if fact.guard.verdict == "as_asked" else YELLOW
        found[1] = paper.ink(found[1], ink)
    if fact.device is not None:
        simulated = ", simulated" if fact.device.simulated else ""
        found += paper.wrapped(f"device {fact.device.name}: {fact.device.driver}{simulated}", inner, DIM)
    if fact.agent is not None and not fact.said:
        numbers = {**fact.agent.constants, **fact.agent.params}
        given = ", ".join(f"{key} {number(value)}" for key, value in numbers.items())
        found += paper.wrapped(f"agent {fact.agent.name}: {fact.agent.agent}{': ' if given else ''}{given}", inner, DIM)
        for key, model in fact.agent.models.items():
            found += paper.wrapped(f"{key}: {model}", inner, DIM)
    return [*found, *(line for one in fact.inputs for line in lines(one, paper, inner))]


def _value(fact: Fact, paper: Paper) -> str:
    if fact.sample is None:
        return paper.ink("is not known", YELLOW)
    if fact.sample.value is None:
        why = {code.name.lower(): text for code, text in REASONS.items()}.get(fact.sample.reason, fact.sample.reason)
        return paper.ink(f"absent: {why}", YELLOW)
    if fact.sample.unit == "index":
        return f"is array {fact.sample.value} of its ring"
    return f"= {quantity(fact.sample.value, fact.sample.unit)}"


def _remark(fact: Fact) -> str:
    parts = [fact.wire] if fact.wire else []
    if fact.age_s is not None and fact.guard is None:
        parts.append(f"{age(max(0.0, fact.age_s))} old")
    if fact.said:
        parts.append("see above")
    return f"  ({', '.join(parts)})" if parts else ""


def guarding(guard: Guarding) -> list[str]:
    """The verdict in a sentence, then what it goes by."""
    names = {code.name.lower(): text for code, text in VERDICTS.items()}
    text = names.get(guard.verdict, guard.verdict)
    if guard.holder:
        text += f"; held by {guard.holder}"
    if guard.asked is not None:
        text += f", which asks for {number(guard.asked)}"
    return [text, limits(guard.limits)]


def limits(channel: ChannelPlan) -> str:
    """The guard's rules for an actuator."""
    parts = [f"range {number(channel.low)} to {number(channel.high)}", f"safe {number(channel.safe)}"]
    if channel.slew_per_s is not None:
        parts.append(f"slew {number(channel.slew_per_s)} a second")
    parts.append(f"stale after {number(channel.stale_after_s)} s")
    if channel.hold_s:
        parts.append(f"hold {number(channel.hold_s)} s")
    parts += [f"requires {one.signal} {one.operator} {number(one.threshold)}" for one in channel.requires]
    return "guard: " + ", ".join(parts)
