"""The recorder: one thread of the daemon that owns the database; the daemon's side of it never blocks.

About once a second the thread looks at every ring in the runtime directory and writes what is due. It works
in slices of a fraction of a millisecond and sleeps between them, so that the event loop beside it gets the
interpreter at once: inline the same work held the supervisor up by 92 ms.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path

import msgspec

from agentd.config.plan import RecordPlan
from agentd.event import Event
from agentd.status import RecordStatus
from agentd.store.database import DamagedDatabase, NewerSchema, StoreError, bytes_on_disk, is_damage, set_aside
from agentd.store.retention import Budget
from agentd.store.writer import SYSTEM_CLOCKS, Clocks, RecordWriter
from hal.clock import NS_PER_S

POLL_S = 1.0
PAUSE_S = 0.0005
RETRY_NS = 10 * NS_PER_S
"""After an error, such as a full disk. The rings hold a minute, so a few tries lose nothing."""

MAX_EVENTS = 10_000
"""Waiting to be written; more are dropped and counted."""

MAX_PASSES = 64
"""Transactions in a row before the thread looks at its requests again."""

FLUSH_S = 10.0
CLOSE_NS = 1_200_000_000
"""For the last rows: the daemon has 2 s to stop. What is left stays in the rings and is taken at the next start."""


class Recorder:
    """Records every ring under `runtime`, and the events it is given, in the database at `path`.

    Start it before the event log: `last_event_id` is where numbering goes on. Then tell it with `report_to`
    who takes the events that it has to report itself.
    """

    def __init__(self, path: Path, plan: RecordPlan, runtime: Path, clocks: Clocks = SYSTEM_CLOCKS) -> None:
        self._path, self._runtime, self._clocks = path, runtime, clocks
        self._budget = Budget.of(plan)
        self._queue: deque[Event] = deque()
        self._dropped = 0
        self._reports: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._report: Callable[[Event], object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._started: Future[None] = Future()
        self._flushes: deque[Future[None]] = deque()
        self._writer: RecordWriter | None = None
        self._before = (0, 0)
        self._retry_at_ns = 0
        self._status = RecordStatus(budget_bytes=self._budget.bytes)
        self.last_event_id = 0

    async def start(self) -> None:
        """Open or make the database, and begin. Raises NewerSchema; any other trouble is in the status and retried."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        await asyncio.wrap_future(self._started)

    def report_to(self, report: Callable[[Event], object]) -> None:
        """Hand over what the recorder has to tell, from now on and what waits already. Called in the event loop."""
        self._report = report
        while self._reports:
            report(self._reports.popleft())

    def event(self, event: Event) -> None:
        """Have an event written. Never blocks; when too many wait it is dropped and counted."""
        if len(self._queue) >= MAX_EVENTS:
            self._dropped += 1
            return
        self._queue.append(event)

    def set_budget(self, plan: RecordPlan) -> None:
        """Another budget, after a reload; the next pass keeps to it."""
        self._budget = Budget.of(plan)
        if self._writer is not None:
            self._writer.set_budget(self._budget)

    def status(self) -> RecordStatus:
        """As of the last pass, at most a second or so ago."""
        return self._status

    async def flush(self) -> None:
        """Everything published and told until now is in the database and on the disk when this returns, or
        the status says why not.
        """
        if self._thread is None or not self._thread.is_alive():
            return
        done: Future[None] = Future()
        self._flushes.append(done)
        self._wake.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(done), FLUSH_S)

    async def close(self) -> None:
        """Write what is left, for at most 1.2 s, and end the thread."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    # Everything below runs in the recorder's thread.

    def _run(self) -> None:
        try:
            self._open()
        except Exception as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        while not self._stop.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            asked = len(self._flushes)
            self._work(force=asked > 0)
            self._answer(asked)
        self._retry_at_ns = 0
        self._work(force=True, deadline_ns=self._clocks.now_ns() + CLOSE_NS)
        if self._writer is not None:
            self._writer.close()
        self._answer(len(self._flushes))

    def _answer(self, count: int) -> None:
        for _ in range(count):
            with suppress(InvalidStateError):  # nobody waits any more
                self._flushes.popleft().set_result(None)

    def _work(self, *, force: bool, deadline_ns: int = 0) -> None:
        """Everything that is due, a transaction at a time. Contains and reports every fault."""
        if not force and self._clocks.now_ns() < self._retry_at_ns:
            return
        try:
            if self._writer is not None or self._open():
                self._retry_at_ns = 0
                self._write(force, deadline_ns)
                self._report_drops()
        except sqlite3.Error as error:
            self._failed(error, damaged=is_damage(error))
        except Exception as error:
            self._failed(error, damaged=False)
        self._note()

    def _write(self, force: bool, deadline_ns: int) -> None:
        assert self._writer is not None
        for _ in range(MAX_PASSES):
            if not self._writer.poll(force=force, pause=self._pause):
                return
            if deadline_ns and self._clocks.now_ns() > deadline_ns:
                return
        self._wake.set()

    def _pause(self) -> None:
        self._stop.wait(PAUSE_S)

    def _open(self) -> bool:
        """Raises NewerSchema. A damaged file is set aside; with any other trouble there is no writer for now."""
        try:
            try:
                self._writer = self._new_writer()
            except (DamagedDatabase, sqlite3.Error) as error:
                if isinstance(error, sqlite3.Error) and not is_damage(error):
                    raise
                self._set_aside(error)
                self._writer = self._new_writer()
        except NewerSchema:
            raise
        except (StoreError, sqlite3.Error, OSError) as error:
            self._failed(error, damaged=False)
            return False
        self.last_event_id = self._writer.last_event_id
        self._note()
        return True

    def _new_writer(self) -> RecordWriter:
        return RecordWriter(
            self._path, self._budget, self._runtime, events=self._queue, tell=self._tell, clocks=self._clocks
        )

    def _failed(self, error: Exception, *, damaged: bool) -> None:
        """Say it once, try again later."""
        text = f"{self._path}: {error}" if str(self._path) not in str(error) else str(error)
        self._retry_at_ns = self._clocks.now_ns() + RETRY_NS
        if self._writer is not None and (damaged or not isinstance(error, sqlite3.Error)):
            self._before = (self._status.samples_total, self._status.lost_rows_total)
            with suppress(sqlite3.Error):
                self._writer.close()
            self._writer = None
        if damaged:
            with suppress(OSError):
                self._set_aside(error)
                self._retry_at_ns = 0
                return
        if text != self._status.error:
            self._say("error", f"recording failed: {text}; trying again every {RETRY_NS // NS_PER_S} s")
        self._status = msgspec.structs.replace(self._status, error=text)

    def _set_aside(self, error: Exception) -> None:
        aside = set_aside(self._path, self._clocks.utc_ns())
        self._say("error", f"{error}; the damaged record was set aside as {aside.name}, a new one begins")

    def _note(self) -> None:
        writer, failing = self._writer, bool(self._retry_at_ns)
        status = msgspec.structs.replace(self._status, bytes=bytes_on_disk(self._path), budget_bytes=self._budget.bytes)
        if writer is not None and not failing:
            with suppress(sqlite3.Error):
                status = msgspec.structs.replace(status, oldest_utc_ns=writer.oldest_utc_ns(), error="")
        if writer is not None:
            status = msgspec.structs.replace(
                status,
                samples_total=self._before[0] + writer.samples_total,
                lost_rows_total=self._before[1] + writer.lost_rows_total,
            )
        self._status = status

    def _report_drops(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._say("warning", f"{dropped} events were not recorded: they came faster than they could be written")

    def _say(self, severity: str, message: str) -> None:
        now = self._clocks.now_ns()
        self._tell(Event(time_ns=now, kind="record", subject="record", message=message, severity=severity))

    def _tell(self, event: Event) -> None:
        """From the thread to the event loop."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._deliver, event)

    def _deliver(self, event: Event) -> None:
        if self._report is not None:
            self._report(event)
        else:
            self._reports.append(event)
