"""Nodes for system tests: two loops of one ordered device and one agent each, in a folder of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.paths import runtime_dir

PARTS = Path(__file__).with_name("parts")


class Site:
    """A folder with a configuration and the parts it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS.glob("*.py"):
            shutil.copy(part, folder / part.name)

    def config(self, push: float = 0.5, realtime: bool = False, rate_hz: int = 100, guard: str = "") -> str:
        """Two loops, `a` and `b`; `push`, `realtime` and `rate_hz` are those of `a`."""
        return f"""
node: site
devices:
  ra: {{driver: ./bench_robot.py, folder: {self.folder}, name: ra}}
  rb: {{driver: ./bench_robot.py, folder: {self.folder}, name: rb}}
loops:
  a:
    rate_hz: {rate_hz}
    realtime: {str(realtime).lower()}
    devices: [ra]
    agents:
      pa: {{agent: ./pusher.py, measured: ra.level, output: ra.motor, push: {push}}}
  b:
    rate_hz: 100
    devices: [rb]
    agents:
      pb: {{agent: ./pusher.py, measured: rb.level, output: rb.motor}}
{guard}
http: {{bind: 127.0.0.1:0}}
"""

    def order(self, device: str, fault: str) -> None:
        """Make a device fail: `read hang`, `open raise`, ...; an empty text ends it."""
        path = self.folder / f"{device}.fault"
        if fault:
            temporary = path.with_suffix(".new")
            temporary.write_text(fault, encoding="ascii")
            temporary.rename(path)
        else:
            path.unlink(missing_ok=True)

    def written(self, device: str) -> list[tuple[int, float]]:
        """Everything the device was told: CLOCK_BOOTTIME in ns, and the motor's value."""
        path = self.folder / f"{device}.log"
        if not path.exists():
            return []
        lines = path.read_text(encoding="ascii").splitlines()
        return [(int(t), float(v)) for t, v in (line.split() for line in lines if len(line.split()) == 2)]

    def motor(self, device: str) -> float | None:
        """What the device was told last."""
        written = self.written(device)
        return written[-1][1] if written else None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh site; its rings are removed at the end, they lie in memory."""
    yield Site(tmp_path)
    shutil.rmtree(runtime_dir(tmp_path / "state"), ignore_errors=True)
