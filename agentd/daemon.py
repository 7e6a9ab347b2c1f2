"""Composition root: configuration to parts, the order of starting and stopping, one TaskGroup.

Starting: state lock, control words, recorder, loops, gateway. Stopping, within two seconds: loops drive
safe and end, the recorder writes what it has, the gateway closes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agentd import __version__, health
from agentd.command import Answer, Command
from agentd.commands import CommandDesk
from agentd.config.plan import LoopPlan, NodePlan
from agentd.event import Event
from agentd.event_log import EventLog
from agentd.gateway.server import Gateway, GatewayError
from agentd.latches import LatchFile
from agentd.paths import Beacon, write_beacon
from agentd.pressure import with_pressure
from agentd.runtime.control import HEARTBEAT, MAX_LOOPS, STOP, Control
from agentd.runtime.keyframe import replace_file
from agentd.runtime.letters import Renewed
from agentd.runtime.process_image import ProcessImage
from agentd.statistics import LoopStatistics
from agentd.status import LoopStatus, NodeStatus
from agentd.store.database import StoreError
from agentd.store.recorder import Recorder
from agentd.supervisor import LoopSupervisor, Surroundings
from hal.clock import NS_PER_S, now_ns

PASS_S = 0.02
"""The supervisor's own pass: heartbeat and stall check."""
FIGURES_S = 0.25
ROWS_AT_ONCE = 4000
LATE_PASS_NS = NS_PER_S
"""A pass later than this and the daemon does not call itself live."""
STATUS_FRESH_NS = NS_PER_S // 5
START_ERRORS = (OSError, GatewayError, StoreError)
"""What `run` raises when it cannot start; the message says what would help."""


class Daemon:
    """One node. `run` returns when it has stopped."""

    def __init__(self, plan: NodePlan, state: Path, runtime: Path, http: str | None = None) -> None:
        """`http` is the address that the command line chose; it holds through every reload."""
        self._plan, self.state, self.runtime, self.http = plan, state, runtime, http
        self._image = ProcessImage(runtime)
        self.latches = LatchFile(state / "latches.json")
        self.loops: dict[str, LoopSupervisor] = {}
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self._began_ns = self._passed_ns = now_ns()
        self._statistics: dict[str, LoopStatistics] = {}
        self._cursors: dict[str, tuple[int, int]] = {}
        self._misses: dict[str, str] = {}
        self._status: tuple[int, NodeStatus] | None = None
        (runtime / "plants").mkdir(mode=0o700, exist_ok=True)
        (state / "keyframes").mkdir(mode=0o700, exist_ok=True)
        self.control = Control(runtime / "control", create=True)
        self.recorder = Recorder(state / "record.sqlite", plan.record, runtime)
        self._events = EventLog()
        self.gateway = Gateway(self, plan.http, runtime / "agentd.sock", state / "record.sqlite")
        self._desk = CommandDesk(self)
        self._keyframe_tasks: set[asyncio.Task[None]] = set()
        self._indexes: dict[str, int] = {}

    @property
    def plan(self) -> NodePlan:
        """The configuration in force."""
        return self._plan

    @property
    def image(self) -> ProcessImage:
        """Every signal's latest value."""
        return self._image

    @property
    def events(self) -> EventLog:
        """Recent events, and the way to follow them."""
        return self._events

    async def command(self, command: Command, origin: str) -> Answer:
        """Carry a command out, and record who asked for what and what became of it."""
        return await self._desk.carry_out(command, origin)

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Start everything, serve until `stopping` is set, stop everything. Raises one of START_ERRORS."""
        self._beat()
        await self.recorder.start()
        self._events = EventLog(self.recorder.last_event_id + 1, self.recorder.event)
        self.recorder.report_to(self.tell)
        self._tell_start()
        if self.latches.latches.emergency_stop:
            self.control.words[STOP] = 1
        for loop in self._plan.loops:
            self.add_loop(loop)
        try:
            await self.gateway.start()
            write_beacon(self.state, self._beacon())
            async with asyncio.TaskGroup() as group:
                passes = (self._supervise(on_ready), self._figure(), self._forget_loops())
                tasks = [group.create_task(one) for one in passes]
                await self.stopping.wait()
                await asyncio.gather(self._stop_loops(), self.gateway.stop())
                for task in tasks:
                    task.cancel()
        finally:
            await asyncio.gather(self._stop_loops(), self.gateway.stop())
            self.tell(Event(time_ns=now_ns(), kind="stop", subject=self._plan.node, message="the daemon stops"))
            await self.recorder.close()
            self._image.close()

    def _tell_start(self) -> None:
        node = self._plan.node
        text = f"agentd {__version__} starts with {self._plan.source}"
        self.tell(Event(time_ns=now_ns(), kind="start", subject=node, message=text))
        if self.latches.damaged:
            self.tell(
                Event(time_ns=now_ns(), kind="estop", subject=node, severity="error", message=self.latches.damaged)
            )

    def _beacon(self) -> Beacon:
        return Beacon(
            pid=os.getpid(),
            runtime=str(self.runtime),
            socket=str(self.runtime / "agentd.sock"),
            http=self.gateway.address,
        )

    async def _forget_loops(self) -> None:
        """What an earlier daemon left of loops that are configured no more, once the recorder has taken it."""
        await self.recorder.flush()
        names = {*self.loops, "plants"}
        for entry in self.runtime.iterdir():
            if entry.is_dir() and entry.name not in names:
                with suppress(OSError):
                    shutil.rmtree(entry)

    def add_loop(self, plan: LoopPlan) -> None:
        """Start one loop, latched if it was."""
        taken = set(self._indexes.values())
        index = next(i for i in range(MAX_LOOPS) if i not in taken)
        self._indexes[plan.name] = index
        around = Surroundings(
            runtime=self.runtime,
            state=self.state,
            control=self.control,
            tell=self.tell,
            latch=self.latch,
            renewed=self._renewed,
            keep_keyframe=self._keep_keyframe,
            realtime_loops=lambda: sum(loop.realtime for loop in self._plan.loops),
        )
        supervisor = self.loops[plan.name] = LoopSupervisor(plan, index, around)
        self._statistics[plan.name] = LoopStatistics((), plan.period_ns)
        supervisor.start(self.latches.latches.loops.get(plan.name, ""))

    async def remove_loop(self, name: str) -> None:
        """Stop one loop for good."""
        await self.loops[name].stop()
        for table in (self.loops, self._statistics, self._cursors, self._misses, self._indexes):
            table.pop(name, None)

    def adopt(self, plan: NodePlan) -> None:
        """A reload was applied: this is the configuration in force now."""
        self._plan = plan
        self._status = None

    def latch(self, loop: str, why: str) -> None:
        """Persist a loop's latch; an empty text clears it."""
        if why:
            self.latches.latches.loops[loop] = why
        elif self.latches.latches.loops.pop(loop, None) is None:
            return
        self._save_latches()

    def stop_emergency(self, why: str) -> None:
        """Pull (with a reason) or clear (with an empty text) the emergency stop: first the word, then the file."""
        self.control.words[STOP] = 1 if why else 0
        self.latches.latches.emergency_stop = why
        self._status = None
        self._save_latches()

    def _save_latches(self) -> None:
        try:
            self.latches.save()
        except OSError as error:
            text = f"a latch could not be saved and will not survive a restart: {error}"
            self.tell(Event(time_ns=now_ns(), kind="latch", subject="node", severity="error", message=text))

    def tell(self, event: Event) -> None:
        """Everything that happens passes here."""
        if event.kind == "miss":
            event = with_pressure(event)
            self._misses[event.subject] = event.message
        self._status = None
        self._events.add(event)

    def _renewed(self, loop: str) -> None:
        """A loop has a new ring: forget the old one here, and tell the loops that read it."""
        self._image.refresh(loop)
        ring = self._image.ring(loop)
        if ring is not None:
            self._statistics[loop].follow(ring.layout.parts, ring.layout.period_ns)
            self._cursors[loop] = (ring.layout.generation, 0)
        for supervisor in self.loops.values():
            if supervisor.plan.foreign and supervisor.worker is not None:
                supervisor.worker.send(Renewed(loop=loop))

    def _keep_keyframe(self, loop: str, path: Path) -> None:
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._save_keyframe, loop, path))
        self._keyframe_tasks.add(task)
        task.add_done_callback(self._keyframe_tasks.discard)

    def _save_keyframe(self, loop: str, path: Path) -> None:
        with suppress(OSError):
            replace_file(self.state / "keyframes" / loop, path.read_bytes())

    def _beat(self) -> None:
        self._passed_ns = self.control.words[HEARTBEAT] = now_ns()

    async def _supervise(self, on_ready: Callable[[str], None]) -> None:
        """Heartbeat and stall check, often."""
        while True:
            self._beat()
            for supervisor in list(self.loops.values()):
                supervisor.check(self._passed_ns)
            if not self.ready.is_set() and all(s.settled_down for s in self.loops.values()):
                self.ready.set()
                on_ready(self.gateway.address)
            await asyncio.sleep(PASS_S)

    async def _figure(self) -> None:
        """Feed the statistics from the rings."""
        while True:
            for name, statistics in self._statistics.items():
                ring = self._image.ring(name)
                if ring is None or name not in self._cursors:
                    continue
                generation, position = self._cursors[name]
                if ring.layout.generation == generation:
                    first, rows = ring.raw_since(position, ROWS_AT_ONCE)
                    statistics.add(rows)
                    self._cursors[name] = (generation, first + len(rows))
            await asyncio.sleep(FIGURES_S)

    async def _stop_loops(self) -> None:
        """All at once: the slowest decides. The heartbeat goes on meanwhile."""
        if not self.loops:
            return
        stops = asyncio.gather(*(supervisor.stop() for supervisor in self.loops.values()))
        while not stops.done():
            self._beat()
            await asyncio.wait([stops], timeout=PASS_S)
        await stops
        for task in list(self._keyframe_tasks):
            await task

    def status(self) -> NodeStatus:
        """What runs, how well, and why something does not. Kept for a fifth of a second."""
        time_ns = now_ns()
        if self._status is None or time_ns - self._status[0] > STATUS_FRESH_NS:
            self._status = (time_ns, self._make_status(time_ns))
        return self._status[1]

    def _make_status(self, time_ns: int) -> NodeStatus:
        loops: list[LoopStatus] = [
            health.loop_status(supervisor, self._statistics[name], self._misses.get(name, ""), time_ns)
            for name, supervisor in self.loops.items()
        ]
        units = health.actuator_units(self._plan.loops)
        actuators = [a for supervisor in self.loops.values() for a in health.actuator_statuses(supervisor, units)]
        record, stop = self.recorder.status(), self.latches.latches.emergency_stop
        live = time_ns - self._passed_ns < LATE_PASS_NS
        return NodeStatus(
            node=self._plan.node,
            version=__version__,
            pid=os.getpid(),
            uptime_s=round((time_ns - self._began_ns) / NS_PER_S, 1),
            config=self._plan.source,
            live=live,
            ready=live and not stop and all(loop.state == "running" for loop in loops),
            problems=tuple(health.problems(loops, stop, record.error)),
            emergency_stop=stop,
            loops=tuple(loops),
            actuators=tuple(actuators),
            record=record,
            simulated=tuple(d.name for loop in self._plan.loops for d in loop.devices if d.simulated),
            http=self.gateway.address,
        )
