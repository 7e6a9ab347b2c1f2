"""`/api/v1/record`: what was recorded, and one signal of it as a plot wants it.

Read in one thread with a connection of its own, a chunk at a time, so that neither the daemon nor the recorder waits
for it. Points, seconds and waiting requests are limited; what takes longer is told to ask for less.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from agentd.gateway.api import whole
from agentd.gateway.errors import Refused, json_response
from agentd.store.blocks import Span
from agentd.store.catalogue import NoRecord, RecordedSignal, RecordError, UnknownSignal, recorded
from agentd.store.instant import iso, parse
from agentd.store.points import Points, points
from agentd.store.query import open_record
from hal.clock import NS_PER_S, now_ns, utc_ns

MAX_POINTS = 5000
DEFAULT_POINTS = 600
READ_FOR_S = 5.0
"""For one answer: half a day of the demo's 100 Hz loop on a PC; a board comes less far."""

MAX_WAITING = 8
PAUSE_S = 0.0005
WORK_NS = 2_000_000
"""After so much work a pause, so that the event loop gets the interpreter at once."""

MAX_PROBLEMS = 20

T = TypeVar("T")


class RecordList(msgspec.Struct, frozen=True):
    """Answer of `/api/v1/record`."""

    signals: list[RecordedSignal]
    problems: list[str]
    """What cannot be read."""


class Plot(msgspec.Struct, frozen=True):
    """Answer of `/api/v1/record/NAME`."""

    points: Points
    problems: list[str]
    """What cannot be read, and is missing here."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be plotted."""

    signal: str
    span: Span
    points: int


class TooLong(Exception):
    """The time for one answer is over. The message says how far it came."""


class Problems:
    """What is damaged: named, up to a number."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, error: RecordError) -> None:
        """As a `Tell`."""
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(str(error))


def read_list(path: Path) -> RecordList:
    """Every recorded signal. Raises RecordError, sqlite3.Error."""
    problems = Problems()
    with closing(open_record(path)) as db:
        return RecordList(recorded(db, problems), problems.found)


def read(path: Path, question: Question, read_for_s: float = READ_FOR_S, stop: threading.Event | None = None) -> Plot:
    """One signal. Raises TooLong, RecordError, sqlite3.Error."""
    problems, ends = Problems(), stop or threading.Event()
    deadline_ns, pause_ns = now_ns() + round(read_for_s * NS_PER_S), 0

    def progress(at_utc_ns: int) -> None:
        nonlocal pause_ns
        now = now_ns()
        if now > pause_ns:
            ends.wait(PAUSE_S)
            pause_ns = now_ns() + WORK_NS
        if ends.is_set() or now > deadline_ns:
            raise TooLong(f"{question.signal}: read up to {iso(at_utc_ns)} in {read_for_s:g} s; ask for a shorter span")

    # A connection a request: the recorder may have set the file aside since the last one.
    with closing(open_record(path)) as db:
        found = points(db, question.signal, question.span, count=question.points, tell=problems, progress=progress)
    return Plot(found, problems.found)


class RecordRoutes:
    """The handlers. `path` is the database; None where nothing is recorded."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._stop = threading.Event()

    def routes(self) -> list[web.RouteDef]:
        """Where the handlers are."""
        return [web.get("/api/v1/record", self.list), web.get("/api/v1/record/{name}", self.plot)]

    def close(self) -> None:
        """End what is being read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def list(self, _request: web.Request) -> web.Response:
        """Every recorded signal."""
        return json_response(await self._read(read_list))

    async def plot(self, request: web.Request) -> web.Response:
        """`from` and `to` as instants, `points`: at most so many buckets."""
        count, now = whole(request, "points", DEFAULT_POINTS, 1, MAX_POINTS), utc_ns()
        began, ended = _instant(request, "from", now), _instant(request, "to", now)
        if began is not None and ended is not None and began >= ended:
            raise Refused(400, "bad_span", f"from {iso(began)} is not before to {iso(ended)}")
        question = Question(request.match_info["name"], Span(began, ended), count)
        return json_response(await self._read(lambda path: read(path, question, READ_FOR_S, self._stop)))

    async def _read(self, work: Callable[[Path], T]) -> T:
        """In the thread. Raises Refused."""
        if self._path is None:
            raise Refused(404, "not_recorded", "this node records nothing")
        if self._waiting >= MAX_WAITING or self._stop.is_set():
            raise Refused(503, "busy", f"{self._waiting} requests wait for the record; try again", {"Retry-After": "1"})
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "record-reader")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._path)
        except TooLong as error:
            raise Refused(503, "span_too_long", str(error)) from None
        except (NoRecord, UnknownSignal) as error:
            raise Refused(404, "not_recorded", str(error)) from None
        except (RecordError, sqlite3.Error) as error:
            raise Refused(503, "record_unreadable", str(error)) from None
        finally:
            self._waiting -= 1


def _instant(request: web.Request, key: str, now_utc_ns: int) -> int | None:
    text = request.query.get(key)
    try:
        return None if text is None else parse(text, now_utc_ns)
    except ValueError as error:
        raise Refused(400, f"bad_{key}", f"{key} {error}") from None
