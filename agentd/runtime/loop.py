"""The scan cycle: read, step, guard, write, publish, account. One call is one tick.

Pure apart from the devices and the clock it is given: the same code runs live, under a virtual clock
faster than real time, and in replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.runtime.accounting import Account, u32
from agentd.runtime.agent_port import AgentPort
from agentd.runtime.device_port import DevicePort, DeviceState
from agentd.runtime.foreign import ForeignPort
from agentd.runtime.guard import Channel, Guard, RowView, Verdict
from agentd.runtime.journal import REPEAT_NS, ROUTINE_NS, Journal
from agentd.runtime.ring import Flag, Phase, RingWriter, Word
from agentd.runtime.row import LoopRow
from hal.clock import NS_PER_S, Clock
from hal.signal import Absent, Tick

_PHASES = frozenset(Phase)


def crumb(part: int, phase: Phase) -> int:
    """The breadcrumb word: which part the worker is inside of, and doing what."""
    return part + 1 | phase << 32


def read_crumb(word: int) -> tuple[int, Phase] | None:
    """The reverse of `crumb`; None between parts, and for a word that a broken worker has spoilt."""
    part, phase = (word & 0xFFFFFFFF) - 1, word >> 32
    return (part, Phase(phase)) if part >= 0 and phase in _PHASES else None


@dataclass(slots=True)
class ScanCycle:
    """Everything one loop works on in a tick."""

    loop: str
    period_ns: int
    clock: Clock
    row: LoopRow
    devices: Sequence[DevicePort]
    agents: Sequence[AgentPort]
    guard: Guard
    foreign: ForeignPort
    ring: RingWriter
    journal: Journal
    account: Account
    stop: Verdict = Verdict.AS_ASKED
    """Not AS_ASKED while every output must be safe."""
    tick: Tick = field(default_factory=Tick)
    view: RowView = field(init=False)
    _verdicts: list[Verdict] = field(init=False)
    _holders: list[str] = field(init=False)
    _book_ns: int = 0
    _crumbs: list[tuple[int, int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.view = RowView(self.row.values, self.row.stamps_ns, self.row.reasons)
        for port in self.devices:
            for _attribute, channel, column in port.channels:  # readers must not see NaN before the first write
                self._store_applied(channel, column, self.clock.now_ns())
        self._verdicts = [channel.verdict for channel in self.guard.channels]
        self._crumbs = [
            (crumb(i, Phase.READ), crumb(i, Phase.STEP), crumb(i, Phase.WRITE))
            for i in range(len(self.devices) + len(self.agents))
        ]

    def run(self, number: int, deadline_ns: int, skipped: int = 0) -> int:
        """Tick `number`, due at `deadline_ns`. Returns when it ended."""
        now, words, tick, row = self.clock.now_ns, self.ring.words, self.tick, self.row
        began_ns = now()
        words[Word.HEARTBEAT_NS] = words[Word.TICK_BEGAN_NS] = began_ns
        wake_ns = began_ns - deadline_ns
        tick.dt_s = (began_ns - tick.time_ns) / NS_PER_S if tick.time_ns else self.period_ns / NS_PER_S
        tick.number, tick.time_ns = number, began_ns
        tick.late = wake_ns > self.period_ns // 2
        flags = Flag.LATE if tick.late else 0

        read_end_ns = self._read(began_ns)
        step_end_ns = self._step(read_end_ns)
        self.guard.decide(began_ns, tick.dt_s, self.stop, self.view)
        guard_end_ns = now()
        if self.stop:
            flags |= Flag.HOLD
        ended_ns, expired = self._write(guard_end_ns)
        if expired:
            flags |= Flag.EXPIRED

        late_ns = ended_ns - deadline_ns - self.period_ns
        if late_ns > 0:
            flags |= Flag.MISSED
        self._watch_verdicts()
        parts_ns = self.account.parts_ns
        self.ring.publish(
            number, began_ns, tick.dt_s, flags, u32(wake_ns), u32(read_end_ns - began_ns),
            u32(step_end_ns - read_end_ns), u32(guard_end_ns - step_end_ns), u32(ended_ns - guard_end_ns),
            u32(self._book_ns), u32(ended_ns - began_ns),
            *parts_ns, *row.values, *row.stamps_ns, bytes(row.reasons),
        )  # fmt: skip
        if late_ns > 0:
            self._missed(number, wake_ns, ended_ns - began_ns, late_ns, skipped)
        else:
            self.account.close_tick()
        words[Word.TICK_BEGAN_NS] = 0
        done_ns = now()
        self._book_ns = done_ns - began_ns - sum(parts_ns)
        return done_ns

    def publish_safe(self, now_ns: int) -> None:
        """The row after the last tick: what the devices are left with. Nothing was read or stepped for it."""
        for port in self.devices:
            for _attribute, channel, column in port.channels:
                if port.state is DeviceState.OPEN:
                    channel.reset()
                else:
                    channel.device_lost()
                self._store_applied(channel, column, now_ns)
        row, idle = self.row, [0] * len(self.account.parts_ns)
        self.ring.publish(
            self.tick.number + 1,
            now_ns,
            0.0,
            Flag.HOLD,
            *[0] * 7,
            *idle,
            *row.values,
            *row.stamps_ns,
            bytes(row.reasons),
        )

    def _read(self, began_ns: int) -> int:
        """Every device once; what is not open is absent and says why."""
        now, words, parts_ns = self.clock.now_ns, self.ring.words, self.account.parts_ns
        self.foreign.latch()
        before_ns = now()
        for i, port in enumerate(self.devices):
            if port.state is DeviceState.OPEN:
                words[Word.BREADCRUMB] = self._crumbs[i][0]
                port.read(self.tick, self.row, before_ns)
                words[Word.BREADCRUMB] = 0
            else:
                quarantined = port.state is DeviceState.QUARANTINED
                port.absent(self.row, Absent.QUARANTINED if quarantined else Absent.DEVICE_CLOSED)
            after_ns = now()
            parts_ns[i] = u32(after_ns - before_ns)
            before_ns = after_ns
        return before_ns

    def _step(self, before_ns: int) -> int:
        """Every agent once, producers first."""
        now, words, parts_ns = self.clock.now_ns, self.ring.words, self.account.parts_ns
        first = len(self.devices)
        for i, port in enumerate(self.agents, first):
            words[Word.BREADCRUMB] = self._crumbs[i][1]
            port.step(self.tick, self.row)
            words[Word.BREADCRUMB] = 0
            after_ns = now()
            parts_ns[i] = u32(after_ns - before_ns)
            before_ns = after_ns
        return before_ns

    def _write(self, before_ns: int) -> tuple[int, bool]:
        """Every device that has outputs, once; then the row's columns of what was applied.

        The clock was read just before each write: what has become too old meanwhile is made safe.
        """
        expired = False
        now, words, parts_ns = self.clock.now_ns, self.ring.words, self.account.parts_ns
        for i, port in enumerate(self.devices):
            if not port.channels:
                continue
            for _attribute, channel, _column in port.channels:
                if before_ns > channel.fresh_until_ns:
                    channel.expire()
                    expired = True
            words[Word.BREADCRUMB] = self._crumbs[i][2]
            written = port.write(self.tick)
            words[Word.BREADCRUMB] = 0
            for _attribute, channel, column in port.channels:
                if not written:
                    channel.device_lost()
                self._store_applied(channel, column, channel.stamp_ns)
            after_ns = now()
            parts_ns[i] = u32(parts_ns[i] + after_ns - before_ns)
            before_ns = after_ns
        return before_ns, expired

    def _store_applied(self, channel: Channel, column: int, stamp_ns: int) -> None:
        row = self.row
        row.values[column], row.stamps_ns[column], row.reasons[column] = channel.applied, stamp_ns, channel.verdict

    def _watch_verdicts(self) -> None:
        """Every intervention of the guard has a reason that is told."""
        for i, channel in enumerate(self.guard.channels):
            verdict = channel.verdict
            if verdict is self._verdicts[i]:
                continue
            before, self._verdicts[i] = self._verdicts[i], verdict
            if verdict is not Verdict.AS_ASKED:
                channel.interventions_total += 1
            elif before in (Verdict.SLEW_LIMITED, Verdict.SAFE_HOLD):
                continue  # it has arrived, or the loop has started: nothing that a person must know
            signal, name = channel.plan.signal, verdict.name.lower()
            text = f"{signal}: {name.replace('_', ' ')}: {channel.applied:g} applied"
            if verdict in (Verdict.CLAMPED, Verdict.SLEW_LIMITED):
                text += f", {channel.asked:g} asked by {channel.holder}"
            if verdict is Verdict.SAFE_INTERLOCK and channel.broken is not None:
                broken = channel.broken
                text += f", needs {broken.signal} {broken.operator} {broken.threshold:g}"
            severity = "warning" if verdict > Verdict.SLEW_LIMITED else "info"
            data = {"verdict": name, "applied": channel.applied, "holder": channel.holder}
            repeat_ns = ROUTINE_NS if verdict is Verdict.SLEW_LIMITED else REPEAT_NS
            self.journal.tell("guard", signal, severity, text, data, key=name, repeat_ns=repeat_ns)

    def _missed(self, number: int, wake_ns: int, total_ns: int, late_ns: int, skipped: int) -> None:
        text, data = self.account.cause(wake_ns, total_ns, late_ns)
        data |= {"tick": number, "skipped": skipped}
        message = f"{self.loop}: tick {number} ended {late_ns / 1e6:.2f} ms after the next was due: {text}"
        self.journal.tell("miss", self.loop, "warning", message, data, key=str(data["cause"]))
