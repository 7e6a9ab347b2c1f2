"""What a worker does between two ticks: mail, garbage, notes about its parts, keyframes, re-opening."""

from __future__ import annotations

import gc
from concurrent.futures import Executor
from pathlib import Path

import msgspec

from agentd.runtime import keyframe
from agentd.runtime.control import HEARTBEAT, MAIL, STOP, Control
from agentd.runtime.device_port import DeviceState, describe
from agentd.runtime.guard import Lease, Verdict
from agentd.runtime.letters import (
    ChannelNote,
    Down,
    Grant,
    Keyframe,
    Mailbox,
    PartNote,
    Renewed,
    Reply,
    SetNumber,
    Stop,
    TakeBack,
)
from agentd.runtime.loop import ScanCycle
from agentd.runtime.ring import Word
from hal.clock import NS_PER_S

DAEMON_SILENT_NS = NS_PER_S
"""A daemon whose heartbeat is older than this is gone: drive safe and end."""
YOUNG_EVERY_TICKS = 20
FULL_EVERY_NS = 10 * NS_PER_S
NOTES_EVERY_NS = NS_PER_S // 4
KEYFRAME_EVERY_NS = 60 * NS_PER_S
MAX_LETTERS = 32
"""Letters applied at one tick boundary."""


class Slack:
    """Everything that is not a tick. `stopping` says that the loop shall end."""

    def __init__(
        self, cycle: ScanCycle, control: Control, mail_index: int, mailbox: Mailbox, opener: Executor, *, hold: bool
    ) -> None:
        self._cycle, self._words, self._mail = cycle, control.words, MAIL + mail_index
        self._mailbox, self._opener, self._hold = mailbox, opener, hold
        self.stopping = ""
        """Why the loop shall end; empty while it shall not."""
        self.kept: dict[str, dict[str, object]] = {}
        """Saved state of agents that are left out: they get it back when they run again."""
        self._letters = 0
        self._ticks = 0
        now_ns = cycle.clock.now_ns()
        self._full_ns, self._notes_ns, self._keyframe_ns = now_ns, 0, now_ns
        self._told: dict[str, object] = {}
        self._folder = Path(cycle.foreign.image.runtime) / cycle.loop

    def before_tick(self) -> None:
        """Words only, unless there is mail: the emergency stop, the heartbeat, the mailbox."""
        words = self._words
        cycle = self._cycle
        if words[STOP]:
            cycle.stop = Verdict.SAFE_EMERGENCY_STOP
        else:
            cycle.stop = Verdict.SAFE_HOLD if self._hold else Verdict.AS_ASKED
        if words[self._mail] != self._letters:
            self._read_mail()
        if cycle.clock.now_ns() > words[HEARTBEAT] + DAEMON_SILENT_NS:
            self.stopping = "the daemon is silent"

    def after_tick(self, now_ns: int, free_ns: int) -> None:
        """Use what is left of the period; garbage first, it must not pile up."""
        self._ticks += 1
        self._collect(now_ns, free_ns)
        for port in self._cycle.devices:
            if port.state is not DeviceState.OPEN:
                port.poll(now_ns, self._opener)
        if now_ns - self._notes_ns >= NOTES_EVERY_NS:
            self._notes_ns = now_ns
            self.send_notes()
        if now_ns - self._keyframe_ns >= KEYFRAME_EVERY_NS:
            self._keyframe_ns = now_ns
            self.save_keyframe()
        account, ended_ns = self._cycle.account, self._cycle.clock.now_ns()
        account.overran_ns = max(0, ended_ns - now_ns - free_ns - account.collected_ns)

    def _collect(self, now_ns: int, free_ns: int) -> None:
        """Young objects often, everything rarely; a full collection that may not fit is put off, not dropped."""
        account, clock = self._cycle.account, self._cycle.clock
        account.collected_ns = 0
        due = now_ns - self._full_ns
        if due >= FULL_EVERY_NS and (free_ns > self._cycle.period_ns // 2 or due > 2 * FULL_EVERY_NS):
            self._full_ns = now_ns
            gc.collect()
        elif self._ticks % YOUNG_EVERY_TICKS == 0:
            gc.collect(1)
        else:
            return
        account.collected_ns = max(0, clock.now_ns() - now_ns - free_ns)

    def _read_mail(self) -> None:
        for _ in range(MAX_LETTERS):
            data = self._mailbox.receive()
            if data is None:
                break
            if not data:
                self.stopping = "the daemon has closed the mailbox"
                return
            self._letters += 1
            try:
                self._apply(msgspec.json.decode(data, type=Down))
            except msgspec.MsgspecError as error:
                loop = self._cycle.loop
                self._cycle.journal.report("command", loop, "error", f"{loop}: a letter that cannot be read: {error}")
            if self._letters == self._words[self._mail]:
                break
        self._cycle.ring.words[Word.MAIL] = self._letters

    def _apply(self, letter: Down) -> None:
        if isinstance(letter, Stop):
            self.stopping = "asked to stop"
        elif isinstance(letter, Renewed):
            self._cycle.foreign.bind()
        elif isinstance(letter, Grant):
            self._mailbox.send(Reply(number=letter.number, refusal=self._grant(letter)))
        elif isinstance(letter, TakeBack):
            channel = self._cycle.guard.by_signal.get(letter.signal)
            found = channel is not None and channel.release(letter.holder)
            refusal = "" if found else f"{letter.holder} holds no lease of {letter.signal}"
            self._mailbox.send(Reply(number=letter.number, refusal=refusal))
        elif isinstance(letter, SetNumber):
            self._mailbox.send(Reply(number=letter.number, refusal=self._set(letter.name, letter.value)))

    def _grant(self, letter: Grant) -> str:
        channel = self._cycle.guard.by_signal.get(letter.signal)
        if channel is None:
            return f"{letter.signal} is no actuator of loop {self._cycle.loop}"
        return channel.grant(
            Lease(letter.holder, letter.priority, letter.expires_ns, letter.low, letter.high, letter.value)
        )

    def _set(self, name: str, value: float) -> str:
        owner, _, attribute = name.partition(".")
        for port in self._cycle.agents:
            if port.name == owner:
                return port.set_number(attribute, value)
        return f"{owner} is no agent of loop {self._cycle.loop}" + (
            " (it is held: no agents run)" if self._hold else ""
        )

    def send_notes(self) -> None:
        """Tell the daemon which parts' states and holders have changed since the last time."""
        for device in self._cycle.devices:
            state = "ok" if device.state is DeviceState.OPEN else device.state.value
            self._tell(device.name, PartNote(name=device.name, state=state, why=device.why))
        for agent in self._cycle.agents:
            state = "quarantined" if agent.agent is None else "degraded" if agent.why else "ok"
            self._tell(agent.name, PartNote(name=agent.name, state=state, why=agent.why))
        for channel in self._cycle.guard.channels:
            note = ChannelNote(
                signal=channel.plan.signal, holder=channel.holder, interventions_total=channel.interventions_total
            )
            self._tell(channel.plan.signal, note)
        self._cycle.ring.words[Word.EVENTS_LOST] = self._cycle.journal.lost_total

    def _tell(self, key: str, note: PartNote | ChannelNote) -> None:
        if self._told.get(key) != note and self._mailbox.send(note):
            self._told[key] = note

    def save_keyframe(self) -> None:
        """Agents' state to a file in the runtime directory (memory), and tell the daemon, which keeps it."""
        agents = [(port.name, port.agent) for port in self._cycle.agents if port.agent is not None]
        if not agents:
            return
        path = self._folder / f"keyframe.{self._cycle.ring.layout.generation}"
        try:
            keyframe.replace_file(path, keyframe.encode(agents, self.kept))
        except Exception as error:  # get_state is the agents' own code
            loop = self._cycle.loop
            self._cycle.journal.report("agent", loop, "error", f"{loop}: state not saved: {describe(error)}")
        else:
            self._mailbox.send(Keyframe(path=str(path)))
