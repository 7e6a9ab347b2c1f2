"""Commands: everything a person or another program may ask of the daemon, over its Unix socket.

One type a command, told apart by `do`. The daemon answers each with an `Answer`; a refused command
changes nothing.
"""

from __future__ import annotations

import msgspec


class Take(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="take"):
    """Take (or renew) the lease of an actuator and hold it at a value."""

    signal: str
    value: float
    ttl_s: float = 2.0
    """After this the lease ends and the loop's own agents, or the safe value, take over. At most 3600."""
    priority: int = 100
    """Agents have 0 unless configured; the highest wins."""
    low: float | None = None
    high: float | None = None


class Release(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="release"):
    """Give a lease back before it ends."""

    signal: str


class SetParam(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="set_param"):
    """Change a parameter, or an input that is wired to a number, between two ticks: `steer.kp`."""

    name: str
    value: float


class EmergencyStop(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="emergency_stop"):
    """Every actuator of the node to its safe value, until it is cleared. Survives restarts."""

    reason: str = ""


class Clear(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="clear"):
    """Clear a latch: of a loop (its quarantine too), or of the emergency stop with `target: node`."""

    target: str


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="reload"):
    """Read the configuration again and apply what changed."""


Command = Take | Release | SetParam | EmergencyStop | Clear | Reload


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command."""

    ok: bool
    message: str
    problems: tuple[str, ...] = ()
