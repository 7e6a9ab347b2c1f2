"""What the daemon and a worker say to each other: one datagram a letter over a socket pair.

Down, the daemon is the only writer and raises the loop's mail word after each letter, so that a worker
with an empty mailbox makes no system call. Up, sending never blocks a tick: what does not fit is
dropped and counted in the ring's EVENTS_LOST word.
"""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from agentd.config.plan import LoopPlan

MAX_LETTER_BYTES = 60_000


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is started with; the file `order.<generation>.json` of its loop."""

    plan: LoopPlan
    generation: int
    runtime: str
    """The node's runtime directory."""
    mail_index: int
    hold: bool = False
    """Run no agents: the loop is latched."""
    quarantined: dict[str, str] = {}
    """Parts to leave out, and why."""
    keyframe: str = ""
    """File with the agents' saved state; empty when there is none."""
    realtime_loops: int = 1
    """How many loops of the node ask for real-time scheduling."""
    not_before_ns: int = 0
    """Backing off: hold everything safe and load no agents before this time (CLOCK_BOOTTIME)."""
    numbers: dict[str, float] = {}
    """Parameters and constants that were changed since the configuration was read."""
    plants: str = ""
    """Directory where simulated plants keep their state."""


class Stop(msgspec.Struct, frozen=True, tag_field="do", tag="stop"):
    """Drive safe, save the state, end."""


class Grant(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="grant"):
    """Give a lease."""

    number: int
    signal: str
    holder: str
    priority: int
    expires_ns: int
    low: float
    high: float
    value: float


class TakeBack(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="take_back"):
    """End a lease."""

    number: int
    signal: str
    holder: str


class SetNumber(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="set_number"):
    """Change a parameter or a constant input: `steer.kp`."""

    number: int
    name: str
    value: float


class Renewed(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="renewed"):
    """A loop whose signals this one reads has a new ring."""

    loop: str


Down = Stop | Grant | TakeBack | SetNumber | Renewed


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="report"):
    """Something happened; becomes an event."""

    time_ns: int
    kind: str
    subject: str
    severity: str
    message: str
    data: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="reply"):
    """The answer to a letter with that number; `refusal` is empty when it was done."""

    number: int
    refusal: str


class PartNote(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="part"):
    """A part's state changed."""

    name: str
    state: str
    why: str


class ChannelNote(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="channel"):
    """Who decides an actuator now, and how often the guard has intervened."""

    signal: str
    holder: str
    interventions_total: int


class Safe(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="safe"):
    """The devices were opened and hold their safe values."""


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="settled"):
    """The warm-up ticks are over: which requests the kernel granted."""

    realtime: bool
    notes: tuple[str, ...] = ()


class Keyframe(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="keyframe"):
    """The agents' state lies in this file now."""

    path: str


Up = Report | Reply | PartNote | ChannelNote | Safe | Settled | Keyframe


class Mailbox:
    """One end of the pair."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setblocking(False)

    def send(self, letter: Down | Up) -> bool:
        """Send now or not at all."""
        data = msgspec.json.encode(letter)
        try:
            if len(data) > MAX_LETTER_BYTES:
                return False
            self._socket.send(data)
        except OSError:  # full, gone, or no memory for it: never the tick's trouble
            return False
        return True

    def receive(self) -> bytes | None:
        """The next letter; None when there is none, empty bytes when the other end is gone."""
        try:
            return self._socket.recv(MAX_LETTER_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """The daemon's end and the worker's end."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
