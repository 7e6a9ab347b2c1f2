"""Events: what happened, to whom, and why. Rows in the store, lines in `agentctl events`, messages on the page."""

from __future__ import annotations

from typing import Any

import msgspec

SEVERITIES = ("info", "warning", "error")

KINDS = frozenset(
    {
        "start",  # the daemon or a loop started
        "stop",
        "guard",  # a verdict changed: data = {verdict, asked, applied, holder}
        "miss",  # a tick ended after its deadline: data = {tick, late_ms, cause, ...}
        "device",  # opened, failed, reopened
        "agent",  # raised, recovered
        "worker",  # died, stalled, restarted
        "quarantine",
        "latch",  # a loop is held safe until a person clears it
        "clear",  # somebody cleared a latch or the emergency stop: data as of a command
        "estop",  # pulled by somebody, or because its file is damaged
        "command",  # somebody asked for a lease or a parameter: data = {origin, command, ok}
        "config",  # reloaded, or refused: data as of a command
        "record",
    }
)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event. `time_ns` is CLOCK_BOOTTIME of `boot`; `id` is given by the store and grows."""

    time_ns: int
    kind: str
    subject: str
    """A loop, a part, a signal or the node: `drive`, `robot`, `robot.speed`."""
    message: str
    severity: str = "info"
    data: dict[str, Any] = {}
    id: int = 0
    utc_ns: int = 0
