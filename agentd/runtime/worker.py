"""A loop's process: open devices, run the loop, leave everything safe.

    python -P -m agentd.runtime.worker ORDER_FILE SOCKET_FD

It opens its actuator devices and writes safe values before it imports numpy, agents or models: after a
crash the outputs are safe within 0.2 s, and the loop ticks within 0.5 s.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from agentd import registry
from agentd.config.plan import DevicePlan
from agentd.runtime import assembly, keyframe, realtime
from agentd.runtime.control import HEARTBEAT, MAIL, Control
from agentd.runtime.device_port import DevicePort, DeviceState, describe
from agentd.runtime.guard import Verdict
from agentd.runtime.journal import Journal
from agentd.runtime.letters import Mailbox, Order, PartNote, Safe, Settled, Up
from agentd.runtime.loop import ScanCycle
from agentd.runtime.ring import Word, WorkerState
from agentd.runtime.schedule import Schedule
from agentd.runtime.slack import DAEMON_SILENT_NS, Slack
from agents.agent import Agent
from hal.clock import NS_PER_S, SystemClock
from hal.signal import Tick

WARM_UP_TICKS = 10
WARM_UP_S = 0.2
OPEN_PATIENCE_S = 1.0
"""How long the start waits for devices; what is not open by then joins later."""
LOCK_PATIENCE_NS = 5 * NS_PER_S
SLICE_NS = NS_PER_S // 20
"""A slow loop wakes this often to read its mail."""
SAFE_NS = 6 * NS_PER_S // 10
"""Given to declared safe ramps when stopping; the supervisor kills a worker that takes longer."""
SAFE_STEP_NS = NS_PER_S // 100
"""A slow loop ramps in smaller steps than its period."""


def _unheard(_kind: str, _subject: str, _severity: str, _message: str) -> None:
    """Nobody is told again that a quarantined device fails."""


class Worker:
    """One loop, from its order to its end."""

    def __init__(self, order: Order, mailbox: Mailbox) -> None:
        self.order, self.plan = order, order.plan
        self.mailbox, self.clock = mailbox, SystemClock()
        self.runtime = Path(order.runtime)
        self.journal = Journal(self.clock.now_ns, self._send)
        self.control = Control(self.runtime / "control")
        self._mail_word = MAIL + order.mail_index
        self.opener = ThreadPoolExecutor(4 + len(order.plan.devices), thread_name_prefix="open")
        self.devices: list[DevicePort] = []
        self._kept: dict[str, dict[str, object]] = {}
        self.terminated = False

    def _send(self, letter: Up) -> bool:
        return self.mailbox.send(letter)

    def take_lock(self) -> None:
        """One writer a loop: wait until the predecessor's lock is gone. Raises TimeoutError."""
        path = self.runtime / self.plan.name / "lock"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        limit_ns = self.clock.now_ns() + LOCK_PATIENCE_NS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.clock.now_ns() > limit_ns:
                    raise TimeoutError(f"{self.plan.name}: another worker of this loop still runs") from None
                self.clock.wait_until(self.clock.now_ns() + NS_PER_S // 1000)
            else:
                return

    def open_devices(self) -> None:
        """Actuators first, each safe as soon as it answers; one that does not answer holds nobody else up."""
        quarantined, safe = self.order.quarantined, assembly.safe_values(self.plan)
        made: dict[str, DevicePort] = {}
        for plan in sorted(self.plan.devices, key=lambda d: not d.actuates):
            left_out = quarantined.get(plan.name, "")
            port = made[plan.name] = assembly.device_port(plan, self.journal.report, left_out, safe)
            if port.device is not None:
                self._send(PartNote(name=plan.name, state="opening", why="it does not answer"))
            elif left_out and plan.actuates:
                self.opener.submit(self._leave_safe, plan)
            port.poll(self.clock.now_ns(), self.opener)
        wait([port.opening for port in made.values() if port.opening is not None], timeout=OPEN_PATIENCE_S)
        for port in made.values():
            port.poll(self.clock.now_ns(), self.opener)
            if port.state in (DeviceState.OPEN, DeviceState.CLOSED):
                self._send(PartNote(name=port.name, state="ok" if not port.why else "closed", why=port.why))
        self.devices = [made[plan.name] for plan in self.plan.devices]
        self._send(Safe())

    def _leave_safe(self, plan: DevicePlan) -> None:
        """A quarantined device is left out, but not with its last command: it is tried once, and nobody waits for it.

        In the opener's thread, so that it may hang here as well.
        """
        device = DevicePort(plan.name, registry.build_device(plan), _unheard, safe=assembly.safe_values(self.plan))
        device.open_now(self.clock.now_ns())
        device.close()

    def back_off(self) -> None:
        """Wait until agents may be loaded again; the outputs are safe meanwhile."""
        clock, words = self.clock, self.control.words
        while clock.now_ns() < self.order.not_before_ns and not self.terminated:
            if clock.now_ns() > words[HEARTBEAT] + DAEMON_SILENT_NS or words[self._mail_word]:
                return
            clock.wait_until(min(self.order.not_before_ns, clock.now_ns() + SLICE_NS))

    def assemble(self) -> ScanCycle:
        """Import and build the agents, give them their state back, lay out the row."""
        agents = []
        if not self.order.hold:
            saved = self._saved_state()
            for plan in self.plan.agents:
                self._send(PartNote(name=plan.name, state="opening", why="it does not come back from being loaded"))
                port = assembly.agent_port(plan, self.journal.report, self.order.quarantined.get(plan.name, ""))
                if port.agent is None:
                    self._kept |= {plan.name: saved[plan.name]} if plan.name in saved else {}
                elif plan.name in saved and not self._restore(port.agent, plan.name, saved[plan.name]):
                    port = assembly.agent_port(plan, self.journal.report)
                agents.append(port)
        if any(s.type == "array" for d in self.plan.devices for s in d.signals):
            import numpy  # noqa: F401, PLC0415 - now rather than in the first tick
        for device in self.devices:
            device.prepare()
        cycle = assembly.assemble(
            self.plan, self.devices, agents, clock=self.clock, journal=self.journal,
            runtime=self.runtime, generation=self.order.generation, pid=os.getpid(),
        )  # fmt: skip
        cycle.foreign.bind()
        for name, value in self.order.numbers.items():
            owner, _, attribute = name.partition(".")
            for port in agents:
                if port.name == owner:
                    port.set_number(attribute, value)
        return cycle

    def _saved_state(self) -> dict[str, dict[str, object]]:
        if not self.order.keyframe:
            return {}
        try:
            return keyframe.decode(Path(self.order.keyframe).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            loop = self.plan.name
            self.journal.report("agent", loop, "warning", f"{loop}: saved state not used, agents start anew: {error}")
            return {}

    def _restore(self, agent: Agent, name: str, state: dict[str, object]) -> bool:
        """State that does not fit (other bins, another version) is told, and may be half in: it takes a new agent."""
        try:
            agent.set_state(state)
        except Exception as error:
            text = f"{name}: saved state not used, it starts anew: {describe(error)}"
            self.journal.report("agent", name, "warning", text)
            return False
        return True

    def run(self, cycle: ScanCycle) -> str:
        """Tick until there is a reason to end; the reason."""
        slack = Slack(cycle, self.control, self.order.mail_index, self.mailbox, self.opener, hold=self.order.hold)
        slack.kept = self._kept
        clock, period_ns = self.clock, self.plan.period_ns
        words = cycle.ring.words
        words[Word.STATE] = WorkerState.WARMING
        realtime.steady(period_ns)
        schedule = Schedule(period_ns, clock.now_ns())
        warm = min(WARM_UP_TICKS, int(WARM_UP_S * self.plan.rate_hz))
        try:
            while True:
                deadline_ns = schedule.deadline_ns
                self._wait(deadline_ns, slack, cycle)
                slack.before_tick()
                if slack.stopping or self.terminated:
                    break
                skipped = schedule.woke(clock.now_ns())
                number, deadline_ns = schedule.number, schedule.deadline_ns
                done_ns = cycle.run(number, deadline_ns, skipped)
                schedule.done(done_ns)
                words[Word.SKIPPED] = schedule.skipped_total
                if number >= warm and words[Word.STATE] == WorkerState.WARMING:
                    self._settle(cycle)
                slack.after_tick(done_ns, schedule.deadline_ns - done_ns)
        finally:
            words[Word.STATE] = WorkerState.STOPPING
            self.leave_safe(cycle)
        slack.save_keyframe()
        slack.send_notes()
        return slack.stopping or "terminated"

    def _wait(self, deadline_ns: int, slack: Slack, cycle: ScanCycle) -> None:
        """Until the deadline. A slow loop looks at its mail meanwhile, and obeys the emergency stop at once."""
        clock = self.clock
        while deadline_ns - clock.now_ns() > 2 * SLICE_NS and not (slack.stopping or self.terminated):
            clock.wait_until(clock.now_ns() + SLICE_NS)
            before = cycle.stop
            slack.before_tick()
            if cycle.stop is Verdict.SAFE_EMERGENCY_STOP and before is not cycle.stop:
                self._make_safe(cycle, clock.now_ns(), self.plan.period_ns / NS_PER_S)
        if not (slack.stopping or self.terminated):
            clock.wait_until(deadline_ns)

    def _settle(self, cycle: ScanCycle) -> None:
        """The warm-up ticks are over: keep the memory they touched, then ask for the hard schedule."""
        plan, refused = self.plan, ""
        notes = [realtime.lock_memory()]
        if plan.cpu is not None:
            notes.append(realtime.pin(plan.cpu))
        elif plan.realtime:
            realtime.avoid_cpu_0(self.order.realtime_loops)
        if plan.realtime:
            refused = realtime.enter(plan.stall_ms)
            notes.append(refused)
        granted = plan.realtime and not refused
        state = WorkerState.HOLDING if self.order.hold else WorkerState.RUNNING
        if self._send(Settled(realtime=granted, notes=tuple(filter(None, notes)))):  # else after the next tick
            cycle.ring.words[Word.STATE] = state

    def leave_safe(self, cycle: ScanCycle) -> None:
        """Hold everything until every output is at its safe value, ramps included, then close the devices.

        A ramp that takes too long ends in a step: nobody is left to finish it.
        """
        now_ns = self.clock.now_ns()
        limit_ns, step_ns = now_ns + SAFE_NS, min(self.plan.period_ns, SAFE_STEP_NS)
        cycle.stop = Verdict.SAFE_HOLD
        while self._make_safe(cycle, now_ns, step_ns / NS_PER_S) and now_ns < limit_ns:
            self.clock.wait_until(now_ns + step_ns)
            now_ns = self.clock.now_ns()
        for port in cycle.devices:
            port.write_safe(Tick(cycle.tick.number, now_ns, step_ns / NS_PER_S))
        cycle.publish_safe(now_ns)
        for port in cycle.devices:
            port.close()

    def _make_safe(self, cycle: ScanCycle, now_ns: int, dt_s: float) -> bool:
        """Decide and write between two ticks, as `cycle.stop` says; whether a safe ramp has not arrived yet."""
        cycle.guard.decide(now_ns, dt_s, cycle.stop, cycle.view)
        for port in cycle.devices:
            if port.channels:
                port.write(Tick(cycle.tick.number, now_ns, dt_s))
        return any(channel.applied != channel.plan.safe for channel in cycle.guard.channels)


def main() -> int:
    """Entry of the process. 0: ended as asked; 3: the daemon is gone."""
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    mailbox = Mailbox(socket.socket(fileno=int(sys.argv[2])))
    realtime.name_process(order.plan.name)
    if order.plants:
        os.environ["AGENTD_PLANTS"] = order.plants
    worker = Worker(order, mailbox)

    def terminate(_number: int, _frame: object) -> None:
        worker.terminated = True

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the daemon decides
    worker.take_lock()
    worker.open_devices()
    worker.back_off()
    cycle = worker.assemble()
    worker.run(cycle)
    worker.opener.shutdown(wait=False, cancel_futures=True)
    silent = worker.clock.now_ns() > worker.control.words[HEARTBEAT] + DAEMON_SILENT_NS
    return 3 if silent else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a device's thread that hangs in the hardware must not keep the process
