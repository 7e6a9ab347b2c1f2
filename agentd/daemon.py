"""Composition root: configuration to parts, the order of starting and stopping, one TaskGroup.

Starting: state lock, control words, recorder, loops, gateway. Stopping, within two seconds: loops drive
safe and end while the gateway closes, then the recorder writes what it has.
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
from agentd.config import child
from agentd.config.plan import NodePlan
from agentd.event import Event
from agentd.event_log import EventLog
from agentd.figures import Figures
from agentd.gateway.server import Gateway, GatewayError
from agentd.incidents import Incidents
from agentd.loops import PASS_S, Loops
from agentd.paths import Beacon, write_beacon
from agentd.pressure import with_pressure
from agentd.reload import apply
from agentd.runtime.process_image import ProcessImage
from agentd.status import NodeStatus
from agentd.store.database import StoreError
from agentd.store.recorder import Recorder
from hal.clock import NS_PER_S, now_ns

FIGURES_S = 0.25
LATE_PASS_NS = NS_PER_S
"""A pass later than this and the daemon does not call itself live."""
START_ERRORS = (OSError, GatewayError, StoreError)
"""What `run` raises when it cannot start; the message says what would help."""


class Daemon:
    """One node. `run` returns when it has stopped."""

    def __init__(self, plan: NodePlan, state: Path, runtime: Path, http: str | None = None) -> None:
        """`http` is the address that the command line chose; it holds through every reload."""
        self._state, self._runtime, self._http = state, runtime, http
        self._image = ProcessImage(runtime)
        self._figures = Figures(self._image)
        self._recorder = Recorder(state / "record.sqlite", plan.record, runtime)
        self._events = EventLog()
        self._loops = Loops(plan, state, runtime, self.tell, self._figures.renewed)
        self._incidents = Incidents(state, runtime, lambda: self.plan, self._loops.running)
        self._gateway = Gateway(self, plan.http, runtime / "agentd.sock", state / "record.sqlite")
        self._desk = CommandDesk(self._loops, self.tell, self._reload)
        self.stopping = asyncio.Event()
        self._ready = False
        self._began_ns = now_ns()

    @property
    def plan(self) -> NodePlan:
        """The configuration in force."""
        return self._loops.plan

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

    def tell(self, event: Event) -> None:
        """Everything that happens passes here."""
        if event.kind == "miss":
            event = with_pressure(event)
        event = self._incidents.note(event)
        self._figures.note(event)
        self._events.add(event)

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Start everything, serve until `stopping` is set, stop everything. Raises one of START_ERRORS."""
        await self._recorder.start()
        self._events = EventLog(self._recorder.last_event_id + 1, self._recorder.event)
        self._recorder.report_to(self.tell)
        self._say("start", f"agentd {__version__} starts with {self.plan.source}")
        self._incidents.start(self.tell)
        self._incidents.catch_up()
        self._loops.start()
        try:
            await self._gateway.start()
            write_beacon(self._state, self._beacon())
            async with asyncio.TaskGroup() as group:
                passes = (self._supervise(on_ready), self._follow_rings(), self._forget_old_loops())
                tasks = [group.create_task(one) for one in passes]
                await self.stopping.wait()
                await asyncio.gather(self._loops.stop(), self._gateway.stop())
                for task in tasks:
                    task.cancel()
        finally:
            await asyncio.gather(self._loops.stop(), self._gateway.stop(), self._incidents.close())
            self._say("stop", "the daemon stops")
            await self._recorder.close()
            self._image.close()

    def _say(self, kind: str, message: str) -> None:
        self.tell(Event(time_ns=now_ns(), kind=kind, subject=self.plan.node, message=message))

    def _beacon(self) -> Beacon:
        socket = str(self._runtime / "agentd.sock")
        return Beacon(pid=os.getpid(), runtime=str(self._runtime), socket=socket, http=self._gateway.address)

    async def _supervise(self, on_ready: Callable[[str], None]) -> None:
        """Heartbeat and stall check, often."""
        while True:
            self._loops.check()
            if not self._ready and self._loops.settled_down:
                self._ready = True
                on_ready(self._gateway.address)
            await asyncio.sleep(PASS_S)

    async def _follow_rings(self) -> None:
        while True:
            self._figures.follow()
            await asyncio.sleep(FIGURES_S)

    async def _forget_old_loops(self) -> None:
        """What an earlier daemon left of loops that are configured no more, once the recorder has taken it."""
        await self._recorder.flush()
        names = {*self._loops.by_name, "plants"}
        for entry in self._runtime.iterdir():
            if entry.is_dir() and entry.name not in names:
                with suppress(OSError):
                    shutil.rmtree(entry)

    async def _reload(self) -> Answer:
        """Read the configuration file again and apply what changed; problems change nothing."""
        resolution = await child.resolve(self.plan.source, http=self._http)
        if resolution.plan is None:
            problems = tuple(str(problem) for problem in resolution.problems)
            return Answer(ok=False, message="the configuration has problems; nothing was changed", problems=problems)
        answer = await apply(self._loops, resolution.plan)
        self._recorder.set_budget(self.plan.record)
        self._figures.forget(set(self._loops.by_name))
        return answer

    def status(self) -> NodeStatus:
        """What runs, how well, and why something does not."""
        time_ns = now_ns()
        supervisors = self._loops.by_name.values()
        loops = [health.loop_status(one, self._figures.of(one.plan.name), time_ns) for one in supervisors]
        units = health.actuator_units(self.plan.loops)
        actuators = [a for one in supervisors for a in health.actuator_statuses(one, units)]
        record, stop = self._recorder.status(), self._loops.emergency_stop
        live = time_ns - self._loops.passed_ns < LATE_PASS_NS
        return NodeStatus(
            node=self.plan.node,
            version=__version__,
            pid=os.getpid(),
            uptime_s=round((time_ns - self._began_ns) / NS_PER_S, 1),
            config=self.plan.source,
            live=live,
            ready=live and not stop and all(loop.state == "running" for loop in loops),
            problems=tuple(health.problems(loops, stop, record.error)),
            emergency_stop=stop,
            loops=tuple(loops),
            actuators=tuple(actuators),
            record=record,
            simulated=tuple(d.name for loop in self.plan.loops for d in loop.devices if d.simulated),
            http=self._gateway.address,
        )
