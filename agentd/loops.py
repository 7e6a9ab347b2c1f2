"""Every loop of the node: their supervisors, the control words they look at, the latches that hold them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agentd.config.plan import LoopPlan, NodePlan
from agentd.event import Event
from agentd.kept_plans import keep_plan
from agentd.latches import LatchFile
from agentd.runtime.control import HEARTBEAT, MAX_LOOPS, STOP, Control
from agentd.runtime.keyframe import replace_file
from agentd.runtime.letters import Renewed
from agentd.supervisor import LoopSupervisor, Surroundings
from hal.clock import now_ns

PASS_S = 0.02
"""The supervisor's own pass: heartbeat and stall check."""


class Loops:
    """The node's loops by name, and what concerns all of them."""

    def __init__(
        self,
        plan: NodePlan,
        state: Path,
        runtime: Path,
        tell: Callable[[Event], object],
        renewed: Callable[[str], None],
    ) -> None:
        """`tell` takes events; `renewed` hears of every loop that has a new ring."""
        self.plan, self._state, self._runtime = plan, state, runtime
        self._tell, self._renewed = tell, renewed
        (runtime / "plants").mkdir(mode=0o700, exist_ok=True)
        (state / "keyframes").mkdir(mode=0o700, exist_ok=True)
        self._control = Control(runtime / "control", create=True)
        self._file = LatchFile(state / "latches.json")
        self.by_name: dict[str, LoopSupervisor] = {}
        self._indexes: dict[str, int] = {}
        self._saving: set[asyncio.Task[None]] = set()
        self.changing = asyncio.Lock()
        """Held by whoever stops and starts loops: two at once would leave a worker that nobody knows."""
        self.passed_ns = 0
        """When the last pass was."""
        self.beat()

    @property
    def emergency_stop(self) -> str:
        """Why the emergency stop is pulled; empty when it is not."""
        return self._file.latches.emergency_stop

    @property
    def settled_down(self) -> bool:
        """Every loop runs, or is held as it should be."""
        return all(supervisor.settled_down for supervisor in self.by_name.values())

    def running(self, name: str) -> bool:
        """Whether a loop is past its start, and neither latched nor stopped."""
        return name in self.by_name and self.by_name[name].state == "running"

    def start(self) -> None:
        """Start every loop of the plan; what was latched stays safe."""
        node = self.plan.node
        if self._file.damaged:
            self._tell(
                Event(time_ns=now_ns(), kind="estop", subject=node, severity="error", message=self._file.damaged)
            )
        self._control.words[STOP] = 1 if self.emergency_stop else 0
        for loop in self.plan.loops:
            self.add(loop)

    def add(self, plan: LoopPlan) -> None:
        """Start one loop, latched if it was."""
        keep_plan(self._state, plan)
        taken = set(self._indexes.values())
        index = self._indexes[plan.name] = next(i for i in range(MAX_LOOPS) if i not in taken)
        around = Surroundings(
            runtime=self._runtime,
            state=self._state,
            control=self._control,
            tell=self._tell,
            latch=self.latch,
            renewed=self._on_renewed,
            keep_keyframe=self._keep_keyframe,
            realtime_loops=lambda: sum(loop.realtime for loop in self.plan.loops),
        )
        supervisor = self.by_name[plan.name] = LoopSupervisor(plan, index, around)
        supervisor.start(self._file.latches.loops.get(plan.name, ""))

    async def remove(self, name: str) -> None:
        """Stop one loop for good."""
        await self.by_name[name].stop()
        del self.by_name[name], self._indexes[name]

    def beat(self) -> None:
        """Show the workers that the daemon lives."""
        self.passed_ns = self._control.words[HEARTBEAT] = now_ns()

    def check(self) -> None:
        """One pass: heartbeat, and a look at every worker."""
        self.beat()
        for supervisor in list(self.by_name.values()):
            supervisor.check(self.passed_ns)

    async def stop(self) -> None:
        """All at once: the slowest decides. The heartbeat goes on meanwhile."""
        if not self.by_name:
            return
        stops = asyncio.gather(*(supervisor.stop() for supervisor in self.by_name.values()))
        while not stops.done():
            self.beat()
            await asyncio.wait([stops], timeout=PASS_S)
        await stops
        await asyncio.gather(*self._saving)

    def latch(self, loop: str, why: str) -> None:
        """Persist a loop's latch; an empty text clears it."""
        if why:
            self._file.latches.loops[loop] = why
        elif self._file.latches.loops.pop(loop, None) is None:
            return
        self._save_latches()

    def pull_emergency_stop(self, why: str) -> None:
        """Pull (with a reason) or clear (with an empty text) the emergency stop: first the word, then the file."""
        self._control.words[STOP] = 1 if why else 0
        self._file.latches.emergency_stop = why
        self._save_latches()

    def _save_latches(self) -> None:
        try:
            self._file.save()
        except OSError as error:
            text = f"a latch could not be saved and will not survive a restart: {error}"
            event = Event(time_ns=now_ns(), kind="latch", subject=self.plan.node, severity="error", message=text)
            self._tell(event)

    def _on_renewed(self, loop: str) -> None:
        """A loop has a new ring: whoever reads it must look again."""
        self._renewed(loop)
        for supervisor in self.by_name.values():
            if supervisor.plan.foreign and supervisor.worker is not None:
                supervisor.worker.send(Renewed(loop=loop))

    def _keep_keyframe(self, loop: str, path: Path) -> None:
        """Copy an agents' keyframe from memory to the disk, in a thread."""
        target = self._state / "keyframes" / loop
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(_copy, path, target))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)


def _copy(source: Path, target: Path) -> None:
    with suppress(OSError):
        replace_file(target, source.read_bytes())
