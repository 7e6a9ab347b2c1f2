"""The fake node with a robot that drives: to look at the page without the daemon.

    python -m tests.agentd.gateway.demo_scene --port 8099 [--trouble]

The robot and the host are the real drivers; steering is proportional, the speed grows from lap to lap.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from agentd.config.plan import HttpPlan
from agentd.gateway.server import Gateway
from agentd.runtime.guard import Verdict
from hal.clock import now_ns
from hal.drivers.linux.host import Host
from hal.drivers.sim.line_follower import LineFollower
from hal.signal import Absent, Tick
from tests.agentd.gateway.fake_node import FakeNode, Value

PERIOD_S = 0.01


@dataclass
class Scene:
    """A robot on its track, and what its agents would say."""

    node: FakeNode
    robot: LineFollower = field(default_factory=lambda: LineFollower(track="hairpin", seed=7))
    host: Host = field(default_factory=Host)
    tick: Tick = field(default_factory=Tick)
    speed: float = 0.35
    applied: float = 0.0
    lap: int = 0
    slewed: Verdict = Verdict.AS_ASKED
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def drive(self) -> None:
        """One tick of the loop `drive`."""
        self.tick.number += 1
        self.tick.time_ns += int(PERIOD_S * 1e9)
        robot = self.robot
        robot.read(self.tick)
        offset = robot.offset_true + self.chance.gauss(0, 0.002)
        asked = -4.0 * offset - 0.4 * robot.yaw_rate / 10
        steering = max(-1.0, min(1.0, asked))
        wanted = self.speed * (0.7 if abs(offset) > 0.02 else 1.0)
        self.applied += max(-0.02, min(0.02, wanted - self.applied))
        robot.steering, robot.speed = steering, self.applied
        robot.write(self.tick)
        self._publish(offset, asked, wanted)
        if robot.lap != self.lap:
            self.lap = robot.lap
            self.speed = min(0.8, self.speed + 0.06)
            text = f"lap {robot.lap} in {robot.lap_time:.2f} s"
            self.node.tell("device", "robot", text, lap=robot.lap, lap_time_s=robot.lap_time or 0.0)

    def _publish(self, offset: float, asked: float, wanted: float) -> None:
        robot = self.robot
        verdict = Verdict.CLAMPED if abs(asked) > 1 else Verdict.AS_ASKED
        slewed = Verdict.SLEW_LIMITED if abs(wanted - self.applied) > 1e-6 else Verdict.AS_ASKED
        if self.slewed != slewed and slewed:
            text = f"slew_limited: asked {wanted:.2f} m/s, applied {self.applied:.2f} m/s (pace.action)"
            self.node.tell("guard", "robot.speed", text, verdict="slew_limited", asked=wanted, applied=self.applied)
        self.slewed = slewed
        names = ("x", "y", "heading", "speed_measured", "lap", "progress", "off_track", "steering", "speed")
        values: dict[str, Value] = {f"robot.{name}": getattr(robot, name) for name in names}
        values["robot.lap_time"] = Absent.NOT_GIVEN if robot.lap_time is None else robot.lap_time
        values["robot.camera"] = robot.camera.tobytes()
        if self.tick.number == 1:
            values["robot.track"] = robot.track.tobytes()
        values |= {"vision.offset": offset, "vision.heading": 0.0, "vision.curvature": 0.0, "vision.confidence": 0.97}
        values |= {"steer.output": asked, "steer.error": -offset, "pace.action": wanted}
        values |= {"pace.epsilon": 0.3 * 0.9**self.lap, "pace.reward_mean": self.applied}
        chance = self.chance
        shares = tuple(int(1000 * mean * chance.lognormvariate(0, 0.2)) for mean in (260, 420, 12, 25))
        self.node.workers["drive"].verdicts = {"robot.steering": verdict, "robot.speed": slewed}
        self.node.publish("drive", values, wake_ns=int(60_000 * chance.lognormvariate(0, 0.6)), parts_ns=shares)

    def look_at_host(self) -> None:
        """One tick of the loop `slow`."""
        self.host.read(Tick(time_ns=now_ns()))
        known = [column.name for column in self.node.workers["slow"].columns]
        found = {name: getattr(self.host, name.removeprefix("host.")) for name in known}
        self.node.publish("slow", {k: Absent.NOT_GIVEN if v is None else v for k, v in found.items()})


async def run(port: int, trouble: bool) -> None:
    """Until Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder:
        node = FakeNode(Path(folder) / "run")
        gateway = Gateway(node, HttpPlan(port=port), Path(folder) / "agentd.sock")
        await gateway.start()
        print(gateway.address, flush=True)
        scene = Scene(node)
        scene.host.open()
        node.tell("start", "robot-1", f"agentd 0.1.0 starts with {node.plan.source}")
        if trouble:
            node.problems = (
                "loop slow: latched: its worker died 5 times; see 'agentctl events', then 'agentctl clear slow'",
                "emergency stop: pulled by uid 1000 pid 4242: testing the brakes",
            )
            node.emergency_stop = "uid 1000 pid 4242: testing the brakes"
            text = "tick 4711 ended 3.4 ms late: vision took 11.2 ms"
            node.tell("miss", "drive", text, "warning", tick=4711, late_ms=3.4, cause="vision took 11.2 ms")
            node.tell("worker", "slow", "worker 4712 died: killed by SIGKILL; restarting in 0.4 s", "error")
        due = asyncio.get_running_loop().time()
        while True:
            scene.drive()
            if scene.tick.number % round(1 / PERIOD_S) == 1:
                scene.look_at_host()
            due += PERIOD_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--trouble", action="store_true", help="emergency stop, problems, a miss")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(options.port, options.trouble))
