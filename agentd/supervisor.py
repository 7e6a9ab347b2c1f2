"""Worker processes: spawn, watch, restart with backoff, quarantine the culprit, latch.

One `LoopSupervisor` a loop. It never raises out of a callback: the daemon does not die of a worker.

    stopped -> starting -> running -> (death) backing off -> starting ...
                                   -> (too many deaths) latched: a hold-safe worker runs no agents
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agentd.backoff import LAST_NS, Backoff
from agentd.config.plan import LoopPlan
from agentd.event import Event
from agentd.runtime.control import Control
from agentd.runtime.letters import (
    ChannelNote,
    Down,
    Keyframe,
    Order,
    PartNote,
    Reply,
    Report,
    Safe,
    SetNumber,
    Settled,
    Stop,
    Up,
)
from agentd.runtime.loop import read_crumb
from agentd.runtime.process_image import generations
from agentd.runtime.ring import RingReader, Word
from agentd.worker_process import WorkerProcess, describe_exit
from hal.clock import NS_PER_S, now_ns

START_LIMIT_NS = 10 * NS_PER_S
"""From the spawn to the end of the warm-up ticks."""
WARMING_LIMIT_NS = 2 * NS_PER_S
"""A tick during the warm-up."""
KEEP_GENERATIONS = 4
REPLY_PATIENCE_S = 2.0
STOP_PATIENCE_S = 0.7
SAFE_PATIENCE_S = 0.4
"""Both together leave room in the two seconds that the daemon has to stop."""
CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL})


@dataclass(slots=True)
class Surroundings:
    """What every loop's supervisor shares."""

    runtime: Path
    state: Path
    control: Control
    tell: Callable[[Event], object]
    latch: Callable[[str, str], None]
    """Persist that a loop is latched and why; an empty text clears it."""
    renewed: Callable[[str], None]
    """A loop has a new ring: its readers must look again."""
    keep_keyframe: Callable[[str, Path], None]
    realtime_loops: Callable[[], int]
    """How many loops of the node ask for real-time scheduling."""


@dataclass(slots=True)
class LoopSupervisor:
    """One loop's worker, through all its generations."""

    plan: LoopPlan
    mail_index: int
    around: Surroundings
    state: str = "stopped"
    why: str = ""
    restarts_total: int = 0
    quarantined: dict[str, str] = field(default_factory=dict)
    """Part -> why it is left out."""
    numbers: dict[str, float] = field(default_factory=dict)
    """Parameters and constants changed since the configuration was read."""
    parts: dict[str, PartNote] = field(default_factory=dict)
    channels: dict[str, ChannelNote] = field(default_factory=dict)
    settled: Settled | None = None
    worker: WorkerProcess | None = None
    generation: int = 0
    _backoff: Backoff = field(default_factory=Backoff)
    _crashes: dict[str, int] = field(default_factory=dict)
    _start_limit_ns: int = 0
    _safe: asyncio.Event = field(default_factory=asyncio.Event)
    """This generation has opened its devices and written safe values."""
    _exit_code: int = 0
    _retry: asyncio.TimerHandle | None = None
    _blame: str = ""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _replies: dict[int, asyncio.Future[str]] = field(default_factory=dict)
    _letters: int = 0

    @property
    def ring(self) -> RingReader | None:
        """The running worker's ring."""
        return self.worker.ring if self.worker is not None else None

    @property
    def made_safe(self) -> bool:
        """The worker has written safe values, and agents have not had a turn yet."""
        return self.worker is not None and self.settled is None and self._safe.is_set()

    @property
    def settled_down(self) -> bool:
        """Running as it should, or held as it should."""
        return self.state in ("running", "latched") and self.worker is not None and self.settled is not None

    def start(self, latched: str = "", not_before_ns: int = 0) -> None:
        """Spawn a worker; with `latched` one that holds everything safe and runs no agents.

        Until `not_before_ns` it holds everything safe and loads nothing else: backing off delays agents, never
        safe values.
        """
        self._cancel_retry()
        folder = self.around.runtime / self.plan.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ordered = [int(found) for path in folder.glob("order.*.json") if (found := path.name.split(".")[1]).isdigit()]
        self.generation = max([*generations(folder), *ordered, self.generation]) + 1
        self._prune(folder)
        self.parts.clear()
        self.channels.clear()
        self.settled, self._blame = None, ""
        self._safe.clear()
        self._start_limit_ns = max(now_ns(), not_before_ns) + START_LIMIT_NS
        self._ended.clear()
        order = Order(
            plan=self.plan,
            generation=self.generation,
            runtime=str(self.around.runtime),
            mail_index=self.mail_index,
            hold=bool(latched),
            quarantined=self.quarantined,
            keyframe=str(self._keyframe(folder)),
            realtime_loops=self.around.realtime_loops(),
            not_before_ns=not_before_ns,
            numbers=self.numbers,
            plants=str(self.around.runtime / "plants"),
        )
        if latched:
            self.state, self.why = "latched", latched
        elif self.state != "backing off":
            self.state, self.why = "starting", ""
        try:
            self.worker = WorkerProcess(order, self.around.control, self._hear, self._died)
        except OSError as error:
            self._tell("worker", "error", f"{self.plan.name}: worker not started: {error}")
            self._again(f"the worker cannot be started: {error}")

    def check(self, time_ns: int) -> None:
        """Called often: notice a stall, and a start that takes too long."""
        worker = self.worker
        if worker is None or self._blame:
            return
        ring = worker.ring
        if self.settled is None and time_ns > self._start_limit_ns:
            opening = [note.name for note in self.parts.values() if note.state == "opening"]
            self._stalled(opening[-1] if opening else "", f"not running after {START_LIMIT_NS // NS_PER_S} s")
        elif ring is not None:
            self._check_ticks(ring, time_ns)

    def _check_ticks(self, ring: RingReader, time_ns: int) -> None:
        """A tick that does not end, or one that does not begin. The first ones may load what they need."""
        words, stall_ns = ring.words, self.plan.stall_ms * 1_000_000
        if self.settled is None:
            stall_ns = max(stall_ns, WARMING_LIMIT_NS)
        began_ns = words[Word.TICK_BEGAN_NS]
        if began_ns and time_ns - began_ns > stall_ns:
            found = read_crumb(words[Word.BREADCRUMB])
            part = ring.layout.parts[found[0]] if found and found[0] < len(ring.layout.parts) else ""
            doing = found[1].name.lower() if found else "between its parts"
            self._stalled(part, f"{doing} did not come back within {stall_ns // 1_000_000} ms")
        elif self.settled and time_ns - words[Word.HEARTBEAT_NS] > stall_ns + 2 * self.plan.period_ns + NS_PER_S:
            self._stalled("", "its worker does not tick")

    def _stalled(self, part: str, why: str) -> None:
        self._blame = f"{part}: {why}" if part else why
        if part:
            self.quarantined[part] = why
        if self.worker is not None:
            self.worker.kill()

    async def stop(self) -> None:
        """Have the loop driven safe, and end it. Returns when its processes are gone.

        A worker that does not end in time is killed, and another one started that does nothing but make the
        outputs safe.
        """
        self._cancel_retry()
        self.state, self.why = "stopped", ""
        if self.worker is None:
            return
        code = await self._end(STOP_PATIENCE_S)
        if code != 0 and self.plan.channels:
            self._tell("stop", "warning", f"{self.plan.name}: its worker did not end by itself; outputs are made safe")
            self.start(latched="stopping")
            self.state = "stopped"
            with suppress(TimeoutError):
                await asyncio.wait_for(self._safe.wait(), SAFE_PATIENCE_S)
            await self._end(SAFE_PATIENCE_S)

    async def _end(self, patience_s: float) -> int:
        """Ask the worker to end, then make it; its exit status."""
        worker = self.worker
        if worker is None:
            return self._exit_code
        if not worker.send(Stop()):
            worker.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), patience_s)
        except TimeoutError:
            worker.kill()
            await self._ended.wait()
        return self._exit_code

    async def ask(self, letter_of: Callable[[int], Down]) -> str:
        """Send a numbered letter and wait for the answer: why it was refused, or an empty text."""
        worker = self.worker
        if worker is None:
            return f"loop {self.plan.name} does not run: {self.why or self.state}"
        self._letters += 1
        number = self._letters
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._replies[number] = answer
        try:
            if not worker.send(letter_of(number)):
                return f"the mailbox of loop {self.plan.name} is full"
            return await asyncio.wait_for(answer, REPLY_PATIENCE_S)
        except TimeoutError:
            return f"loop {self.plan.name} does not answer"
        finally:
            del self._replies[number]

    async def set_number(self, name: str, value: float) -> str:
        """Change a parameter between two ticks, and in every later generation. Why not, or an empty text."""
        refusal = await self.ask(lambda number: SetNumber(number=number, name=name, value=value))
        if not refusal:
            self.numbers[name] = value
        return refusal

    async def clear(self) -> None:
        """A person says go: forget quarantine, deaths and latch, and start again."""
        await self.stop()
        self.quarantined.clear()
        self._crashes.clear()
        self._backoff.clear()
        self.around.latch(self.plan.name, "")
        self.start()

    def _hear(self, letter: Up) -> None:
        if isinstance(letter, Report):
            self.around.tell(
                Event(
                    time_ns=letter.time_ns, kind=letter.kind, subject=letter.subject,
                    severity=letter.severity, message=letter.message, data=letter.data,
                )
            )  # fmt: skip
        elif isinstance(letter, Reply):
            waiting = self._replies.get(letter.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(letter.refusal)
        elif isinstance(letter, PartNote):
            self.parts[letter.name] = letter
        elif isinstance(letter, ChannelNote):
            self.channels[letter.signal] = letter
        elif isinstance(letter, Safe):
            self._safe.set()
        elif isinstance(letter, Settled):
            self._settle(letter)
        elif isinstance(letter, Keyframe):
            self.around.keep_keyframe(self.plan.name, Path(letter.path))

    def _settle(self, letter: Settled) -> None:
        self.settled = letter
        if self.state == "latched":
            self._tell("start", "warning", f"{self.plan.name}: held safe, latched: {self.why}")
        elif self.state in ("starting", "backing off"):
            self.state = "running"
            self.why = "; ".join(f"{part} is quarantined: {why}" for part, why in self.quarantined.items())
            self._tell("start", "info", f"{self.plan.name}: running at {self.plan.rate_hz:g} Hz")
        self.around.renewed(self.plan.name)

    def _died(self, code: int) -> None:
        worker, self.worker, self._exit_code = self.worker, None, code
        self._ended.set()
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_result(f"loop {self.plan.name} ended")
        if self.state == "stopped":
            return
        why = self._blame or self._cause(worker, code)
        self._blame = ""
        self.restarts_total += 1
        self._tell("worker", "error", f"{self.plan.name}: worker died: {why}")
        self._again(why)

    def _cause(self, worker: WorkerProcess | None, code: int) -> str:
        """Why it died, from the breadcrumb, the exit status and its last words."""
        text = describe_exit(code)
        ring = worker.ring if worker is not None else None
        found = read_crumb(ring.words[Word.BREADCRUMB]) if ring is not None else None
        if found is not None and ring is not None and found[0] < len(ring.layout.parts):
            part, doing = ring.layout.parts[found[0]], found[1].name.lower()
            text = f"{part}: {doing}: {text}"
            ran_ns = now_ns() - ring.words[Word.TICK_BEGAN_NS]
            if code == -signal.SIGXCPU or (code == -signal.SIGKILL and ran_ns >= self.plan.stall_ms * 1_000_000):
                text = f"{part}: {doing} did not come back within {self.plan.stall_ms} ms"
                self.quarantined[part] = text.partition(": ")[2]
            elif -code in CRASH_SIGNALS:
                self._crashes[part] = self._crashes.get(part, 0) + 1
                if self._crashes[part] > 1:
                    self.quarantined[part] = f"{doing} crashed twice: {describe_exit(code)}"
        if worker is not None and worker.lines and code > 0:
            text += f": {worker.lines[-1]}"
        return text

    def _again(self, why: str) -> None:
        wait_ns = self._backoff.died(now_ns())
        for part in list(self.quarantined):
            if why.startswith(f"{part}: "):
                self._tell("quarantine", "error", f"{part} is left out until 'agentctl clear {self.plan.name}': {why}")
        if wait_ns is None and self.state != "latched":
            self._latch(f"it died too often, the last time: {why}")
        if self.state == "latched":
            latched, not_before_ns = self.why, now_ns() + LAST_NS
            self._spawn(LAST_NS, lambda: self.start(latched, not_before_ns))
        else:
            self.state, self.why = "backing off", why
            wait_ns = wait_ns or 0
            not_before_ns = now_ns() + wait_ns
            self._spawn(wait_ns, lambda: self.start(not_before_ns=not_before_ns))

    def _latch(self, why: str) -> None:
        self.state, self.why = "latched", why
        self.around.latch(self.plan.name, why)
        hint = f"fix it, then 'agentctl clear {self.plan.name}'"
        self._tell("latch", "error", f"{self.plan.name}: latched, outputs stay safe: {why}; {hint}")

    def _spawn(self, wait_ns: int, start: Callable[[], None]) -> None:
        """At once when the last generation came to safe values; one that did not would only die again."""
        if self._safe.is_set() or wait_ns == 0:
            start()
        else:
            self._retry = asyncio.get_running_loop().call_later(wait_ns / NS_PER_S, start)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _tell(self, kind: str, severity: str, message: str) -> None:
        self.around.tell(Event(time_ns=now_ns(), kind=kind, subject=self.plan.name, severity=severity, message=message))

    def _keyframe(self, folder: Path) -> Path:
        """The newest saved state: in memory from an earlier generation, else what the daemon kept on disk."""
        found = generations(folder, "keyframe")
        if found:
            return folder / f"keyframe.{found[-1]}"
        return self.around.state / "keyframes" / self.plan.name

    def _prune(self, folder: Path) -> None:
        """Old generations are the black box; keep the last few, and of saved states the newest."""
        limit = self.generation - KEEP_GENERATIONS
        saved = self._keyframe(folder).name
        for entry in folder.iterdir():
            suffix = entry.name.rpartition(".")[2]
            if entry.name.startswith("order.") and entry.name.endswith(".json"):
                suffix = entry.name.split(".")[1]
            if suffix.isdigit() and int(suffix) <= limit and entry.name != saved:
                entry.unlink(missing_ok=True)
