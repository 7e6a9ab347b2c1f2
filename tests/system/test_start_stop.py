"""Starting, stopping, and what happens when the daemon itself is killed. Real processes throughout."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node import RunningNode
from tests.system.conftest import Site

pytestmark = pytest.mark.system


def agentd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "agentd", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_sigterm_drives_every_actuator_safe_and_exits_0(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("both push", lambda: site.motor("ra") == 0.5 == site.motor("rb"))
        ring = node.image().ring("a")
        code, _seconds = node.stop(signal.SIGTERM)
    assert code == 0
    assert site.motor("ra") == 0.0 == site.motor("rb")
    last = ring.latest() if ring is not None else None
    assert ring is not None and last is not None
    assert last.values[ring.index_of["ra.motor"]] == 0.0, "the last row shows what the device was left with"


def test_ctrl_c_is_as_good_as_sigterm(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        code, _seconds = node.stop(signal.SIGINT)
    assert code == 0
    assert site.motor("ra") == 0.0


def test_workers_of_a_killed_daemon_drive_safe_and_end(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("both push", lambda: site.motor("ra") == 0.5 == site.motor("rb"))
        pids = [node.worker_pid("a"), node.worker_pid("b")]
        node.process.kill()
        node.process.wait()
        for pid in pids:
            node.wait_gone(pid)
    assert site.motor("ra") == 0.0 == site.motor("rb")


def test_a_second_daemon_on_the_same_state_is_refused_with_the_first_ones_pid(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        second = agentd("run", str(site.folder / "node.yaml"), "--state", str(node.state))
        assert second.returncode == 3
        assert f"pid {node.process.pid}" in second.stderr
        assert node.status()["ready"]


def test_a_daemon_starts_again_after_it_was_killed(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.process.kill()
        node.process.wait()
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        assert node.loop("a")["generation"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("node: [", ""),
        ("node: n\nnode: m\n", "node"),
        ("node: n\ndevices: {x: {driver: nothing.here}}\nloops: {l: {rate_hz: 10, devices: [x]}}\n", "nothing.here"),
    ],
)
def test_a_bad_configuration_is_exit_2_with_its_line_and_starts_nothing(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(text, encoding="utf-8")
    done = agentd("run", str(config), "--state", str(tmp_path / "state"))
    assert done.returncode == 2
    assert "bad.yaml" in done.stderr and said in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "state" / "record.sqlite").exists()


def test_learned_state_survives_a_restart_of_the_daemon(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("it has counted", lambda: node.get("/api/v1/signals/pa.steps")["value"] > 50)
        node.stop()
    with RunningNode(site.folder, site.config()) as node:
        first = node.image().ring("a")
        assert first is not None
        row = first.row(0)
        assert row is not None and row.values[first.index_of["pa.steps"]] > 50


def test_a_worker_that_hangs_while_it_is_stopped_leaves_its_output_safe(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        node.command(do="set_param", name="pa.sleep", value=1)
        code, _seconds = node.stop(signal.SIGTERM)
    assert code == 0
    assert site.motor("ra") == 0.0


def test_a_slow_loop_obeys_the_emergency_stop_before_its_next_tick(site: Site) -> None:
    config = site.config(rate_hz=100).replace("rate_hz: 100", "rate_hz: 0.05", 1)
    with RunningNode(site.folder, config) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        ring = node.image().ring("a")
        assert ring is not None
        ticks = ring.head
        node.command(do="emergency_stop", reason="a test")
        node.until("a is safe", lambda: site.motor("ra") == 0.0)
        assert ring.head == ticks
