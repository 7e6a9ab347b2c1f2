"""A node for `agentctl` to talk to: the real gateway on a real socket, real rings, the lock and the beacon.

The daemon's state is a `FakeNode`; it lives in a thread, since commands block. `site.run("status")` is what a
person would type after `agentctl`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentd.config.plan import ChannelPlan, HttpPlan, NodePlan
from agentd.ctl.__main__ import main
from agentd.event import Event
from agentd.gateway.server import Gateway
from agentd.paths import Beacon, StateLock, runtime_dir, write_beacon
from tests.agentd.gateway.fake_node import FakeNode, Value
from tests.agentd.gateway.fake_node import plan as demo_plan

WITHIN_S = 10.0


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as one document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The output."""
        return self.out.splitlines()


class Site:
    """A state directory; `start` puts a node behind it, `stop` leaves its files."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.state, self._capture = folder / "state", capture
        self.state.mkdir(mode=0o700)
        self.runtime = runtime_dir(self.state)
        self._lock: StateLock | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="site")
        self._thread.start()
        self.node: FakeNode

    def start(self) -> FakeNode:
        """A daemon comes up."""
        for ring in self.runtime.glob("*/*.[0-9]*"):
            ring.unlink()  # the fake's workers count their generations from 1
        self.node = FakeNode(self.runtime, plan())
        path = self.runtime / "agentd.sock"
        self._gateway = Gateway(self.node, HttpPlan(port=0), path)
        self._lock = StateLock(self.state)
        self._wait(self._gateway.start())
        write_beacon(self.state, Beacon(pid=4711, runtime=str(self.runtime), socket=str(path), http="http://x"))
        return self.node

    def stop(self) -> None:
        """The daemon ends; rings, beacon and lock file stay."""
        if self._lock is not None:
            self._wait(self._gateway.stop())
            self.node.close()
            self._lock.release()
            self._lock = None

    def run(self, *arguments: str) -> Result:
        """One command."""
        self._capture.readouterr()
        try:
            status = main(["--state", str(self.state), *arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = self._capture.readouterr()
        return Result(status, out, err)

    def publish(self, loop: str, values: Mapping[str, Value], ticks: int = 1) -> None:
        """Some ticks of a loop."""
        for _ in range(ticks):
            self.node.publish(loop, values)

    def tell(self, kind: str, subject: str, text: str, severity: str = "info") -> Event:
        """Something happens."""

        async def told() -> Event:
            return self.node.tell(kind, subject, text, severity)

        return asyncio.run_coroutine_threadsafe(told(), self._loop).result(WITHIN_S)

    def streams(self) -> int:
        """How many read the stream of events."""
        return len(self._gateway.stream.clients)

    def unsent(self) -> bool:
        """Whether something waits for a reader of the stream."""
        waiting = any(not follower.queue.empty() for follower in self.node.events._followers)
        return waiting or any(client.events for client in self._gateway.stream.clients)

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    def close(self) -> None:
        """Everything ends."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)
        self._loop.close()


def plan() -> NodePlan:
    """The gateway's demo plan, with the guard's part of it."""
    found = demo_plan()
    channels = (
        ChannelPlan(signal="robot.steering", type="float", low=-1.0, high=1.0, safe=0.0),
        ChannelPlan(signal="robot.speed", type="float", low=0.0, high=0.9, safe=0.0),
    )
    drive, *others = found.loops
    return msgspec.structs.replace(found, loops=(msgspec.structs.replace(drive, channels=channels), *others))
