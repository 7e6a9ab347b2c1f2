"""Which events are incidents, and the thread that keeps what the black box holds of them.

An event that is one names it at once, `data.incident`; copying takes its time elsewhere, so that the supervisor is
never late for it. What a killed daemon did not come to is made up for at the next start.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agentd.config.plan import NodePlan
from agentd.event import Event
from agentd.runtime.ending import how_it_ended
from agentd.runtime.guard import Verdict
from agentd.runtime.process_image import generations
from agentd.runtime.ring import Word
from agentd.store.incidents import Incident, IncidentStore
from hal.clock import NS_PER_S, boot_id, now_ns, utc_ns

TRIPS = frozenset(
    verdict.name.lower()
    for verdict in (
        Verdict.SAFE_INTERLOCK,
        Verdict.SAFE_STALE,
        Verdict.SAFE_NOT_FINITE,
        Verdict.SAFE_EXPIRED,
        Verdict.SAFE_EMERGENCY_STOP,
    )
)
"""Verdicts with which the guard steps in. The others are a beginning, an end, or a device that is gone."""

AFTERMATH_S = 0.5
"""So much of what follows a trip is kept with it."""
APART_NS = 60 * NS_PER_S
"""Of one loop there is one incident of trips, and one of deaths, in this time. Later deaths join it."""
QUEUE = 64
CLOSE_S = 0.6
PAUSE_S = 0.0005


@dataclass(slots=True)
class _Job:
    """A generation to be kept."""

    incident: Incident
    generation: int
    told: list[str] = field(default_factory=list)


class Incidents:
    """Looks at every event. All methods are for the event loop's thread."""

    def __init__(
        self, state: Path, runtime: Path, plan: Callable[[], NodePlan], running: Callable[[str], bool]
    ) -> None:
        """`running` says whether a loop is past its start: the guard is busy before, and nothing is wrong."""
        self.store = IncidentStore(state)
        self._runtime, self._plan, self._running = runtime, plan, running
        self._open: dict[tuple[str, str], _Job] = {}
        self._waiting: dict[str, tuple[asyncio.TimerHandle, _Job]] = {}
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE)
        self._thread = threading.Thread(target=self._run, name="incidents", daemon=True)
        self._report: Callable[[Event], object] = bool
        self._loop: asyncio.AbstractEventLoop
        self._stop = threading.Event()

    def start(self, report: Callable[[Event], object]) -> None:
        """Begin to keep what comes. `report` gets events about the incidents themselves, in the event loop."""
        self._loop, self._report = asyncio.get_running_loop(), report
        self._thread.start()

    def catch_up(self) -> None:
        """What died with an earlier daemon, of this boot; before loops are started."""
        boot = boot_id()
        for folder in sorted(path for path in self._runtime.iterdir() if path.is_dir()):
            for ring in self.store.unsaved(folder, boot):
                text = f"{folder.name}: worker died, and the daemon too: {how_it_ended(ring)}"
                at_ns, generation = ring.words[Word.HEARTBEAT_NS], ring.layout.generation
                ring.close()
                event = Event(time_ns=now_ns(), kind="worker", subject=folder.name, severity="error", message=text)
                job = self._join(folder.name, "worker", event, at_ns=at_ns)
                if job is not None:
                    self._keep(job, generation)
                    event = _linked(event, job)
                self._report(event)

    def note(self, event: Event) -> Event:
        """The event, with its incident if it is one."""
        if not self._thread.is_alive() or "incident" in event.data:
            return event
        if event.kind == "guard" and event.data.get("verdict") in TRIPS:
            return self._trip(event)
        if event.kind in ("worker", "latch") and event.severity == "error" and event.subject in self._loops():
            return self._death(event)
        return event

    def _loops(self) -> dict[str, list[str]]:
        return {loop.name: [channel.signal for channel in loop.channels] for loop in self._plan().loops}

    def _trip(self, event: Event) -> Event:
        loop = next((name for name, signals in self._loops().items() if event.subject in signals), "")
        if not loop or not self._running(loop):
            return event
        if loop in self._waiting:
            waiting = self._waiting[loop][1]
            waiting.told.append(event.message)
            return _linked(event, waiting)
        job = self._join(loop, "guard", event, again=False)
        if job is None:
            return event
        timer = self._loop.call_later(AFTERMATH_S, self._ripe, loop)
        self._waiting[loop] = (timer, job)
        return _linked(event, job)

    def _ripe(self, loop: str) -> None:
        timer, job = self._waiting.pop(loop)
        timer.cancel()
        self._keep(job, self._newest(loop))

    def _death(self, event: Event) -> Event:
        loop = event.subject
        job = self._join(loop, event.kind, event)
        if job is None:
            return event
        self._keep(job, self._newest(loop))
        return _linked(event, job)

    def _newest(self, loop: str) -> int:
        folder = self._runtime / loop
        orders = [int(part) for path in folder.glob("order.*.json") if (part := path.name.split(".")[1]).isdigit()]
        return max([*generations(folder), *orders], default=0)

    def _join(self, loop: str, kind: str, event: Event, *, again: bool = True, at_ns: int = 0) -> _Job | None:
        """A new incident, or the one that this event belongs to; None when it has to do without."""
        family, time_ns = "guard" if kind == "guard" else "death", at_ns or event.time_ns
        before = self._open.get((loop, family))
        if before is not None and 0 <= time_ns - before.incident.time_ns < APART_NS:
            return _Job(msgspec.structs.replace(before.incident, why=[event.message]), 0) if again else None
        utc = utc_ns() - now_ns() + time_ns
        name = self.store.new_id(utc, loop, kind, (job.incident.id for job in self._open.values()))
        incident = Incident(
            id=name, serial=0, loop=loop, kind=kind, time_ns=time_ns, utc_ns=utc, boot_id=boot_id(),
            why=[event.message],
        )  # fmt: skip
        self._open[loop, family] = job = _Job(incident, 0)
        return job

    def _keep(self, job: _Job, generation: int) -> None:
        """Hand over to the thread; a full queue is told, and the runtime directory still has the files."""
        why = [*job.incident.why, *job.told]
        try:
            self._jobs.put_nowait(_Job(msgspec.structs.replace(job.incident, why=why), generation))
        except queue.Full:
            self._failed(job.incident, "too many at once")

    async def close(self) -> None:
        """Keep what waits, as long as there is time; the next start finds what is left."""
        for loop in list(self._waiting):
            self._ripe(loop)
        if self._thread.is_alive():
            with suppress(queue.Full):
                self._jobs.put_nowait(None)
            await asyncio.to_thread(self._thread.join, CLOSE_S)
        self._stop.set()

    # Everything below runs in the thread.

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self.store.save(job.incident, self._runtime / job.incident.loop, job.generation, self._pause)
            except Exception as error:
                with suppress(RuntimeError):  # the event loop is closed: nobody is left to tell
                    self._loop.call_soon_threadsafe(self._failed, job.incident, str(error))

    def _pause(self) -> None:
        self._stop.wait(PAUSE_S)

    def _failed(self, incident: Incident, why: str) -> None:
        text = f"{incident.loop}: incident {incident.id} was not saved: {why}"
        self._report(Event(time_ns=now_ns(), kind="record", subject=incident.loop, severity="error", message=text))


def _linked(event: Event, job: _Job) -> Event:
    return msgspec.structs.replace(event, data={**event.data, "incident": job.incident.id})
