"""Parts that hang, spin, raise and die: the loop pays, the others do not, and the culprit is named."""

from __future__ import annotations

import os
import signal

import pytest

from tests.node import RunningNode
from tests.system.conftest import Site

pytestmark = pytest.mark.system


def part(node: RunningNode, loop: str, name: str) -> dict[str, str]:
    """One part's status."""
    return next(p for p in node.loop(loop)["parts"] if p["name"] == name)


def runs_without(node: RunningNode, loop: str, name: str) -> bool:
    """The loop runs again, with that part quarantined."""
    status = node.loop(loop)
    return (
        status["state"] == "running" and status["generation"] > 1 and part(node, loop, name)["state"] == "quarantined"
    )


def ticks_missing(node: RunningNode, loop: str, first: int) -> list[int]:
    """Numbers of ticks that are not in the loop's ring from row `first` on."""
    ring = node.image().ring(loop)
    assert ring is not None
    _, rows = ring.raw_since(first, 10_000)
    numbers = [ring.codec.decode(row).tick for row in rows]
    return sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))


def test_outputs_are_safe_and_the_loop_ticks_again_after_its_worker_was_killed(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        before = len(site.written("ra"))
        os.kill(node.worker_pid("a"), signal.SIGKILL)
        node.until("a runs again", lambda: node.loop("a")["generation"] == 2 and node.loop("a")["state"] == "running")
        node.until("a pushes again", lambda: site.motor("ra") == 0.5)
        values = [value for _, value in site.written("ra")[before:]]
        assert 0.0 in values
        assert "SIGKILL" in node.events("worker")[-1]["message"]
        assert node.loop("b")["generation"] == 1


@pytest.mark.parametrize("realtime", [True, False])
def test_an_agent_that_spins_is_ended_named_and_left_out(site: Site, realtime: bool) -> None:
    with RunningNode(site.folder, site.config(realtime=realtime)) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        assert node.command(do="set_param", name="pa.spin", value=1)["ok"]
        node.until("a runs without pa", lambda: runs_without(node, "a", "pa"))
        assert site.motor("ra") == 0.0
        assert node.loop("b")["generation"] == 1
        told = node.events("quarantine")[-1]
        assert "pa" in told["message"] and "agentctl clear a" in told["message"]


def test_a_cleared_quarantine_gives_the_agent_another_chance(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.command(do="set_param", name="pa.sleep", value=1)
        node.until("a runs without pa", lambda: runs_without(node, "a", "pa"))
        node.loop("a")
        assert node.command(do="set_param", name="pa.sleep", value=0)["ok"] is False
        assert node.command(do="clear", target="a")["ok"]
        node.until("pa is stepped again", lambda: part(node, "a", "pa")["state"] != "quarantined")


def test_a_device_that_hangs_is_named_and_quarantined(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        site.order("ra", "read hang")
        node.until("a runs without ra", lambda: runs_without(node, "a", "ra"))
        assert "read" in part(node, "a", "ra")["why"]
        node.until("it is left out, but not with its last command", lambda: site.motor("ra") == 0.0)
        assert any("ra" in problem for problem in node.status()["problems"])
        assert node.loop("b")["generation"] == 1


def test_a_device_that_raises_degrades_alone_and_comes_back(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        pid = node.worker_pid("a")
        site.order("ra", "read raise")
        node.until("ra is degraded", lambda: part(node, "a", "ra")["state"] == "degraded")
        assert "check the cable" in part(node, "a", "ra")["why"]
        assert "waits for ra.level" in part(node, "a", "pa")["why"]
        site.order("ra", "")
        node.until("ra is back", lambda: part(node, "a", "ra")["state"] == "ok")
        node.until("a pushes again", lambda: site.motor("ra") == 0.5)
        assert node.worker_pid("a") == pid


def test_a_sensor_that_gives_nan_makes_the_output_safe_and_keeps_the_schedule(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        site.order("ra", "read nan")
        node.until("ra is safe", lambda: site.motor("ra") == 0.0)
        node.until("it is absent", lambda: node.get("/api/v1/signals/ra.level")["value"] is None)
        site.order("ra", "")
        node.until("a pushes again", lambda: site.motor("ra") == 0.5)


def test_a_device_that_cannot_be_opened_is_tried_again(site: Site) -> None:
    site.order("ra", "open raise")
    with RunningNode(site.folder, site.config()) as node:
        assert "check its cable" in part(node, "a", "ra")["why"]
        site.order("ra", "")
        node.until("a pushes", lambda: site.motor("ra") == 0.5)


def test_a_stopped_worker_is_noticed_and_replaced(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        os.kill(node.worker_pid("a"), signal.SIGSTOP)
        node.until("a is replaced", lambda: node.loop("a")["generation"] == 2 and node.loop("a")["state"] == "running")


def test_a_loop_that_dies_too_often_is_latched_safe_until_it_is_cleared(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        site.order("ra", "read exit")
        node.until("a is latched", lambda: node.loop("a")["state"] == "latched", 30)
        assert not node.status()["ready"]
        site.order("ra", "")
        node.stop()
    with RunningNode(site.folder, site.config()) as node:
        assert node.loop("a")["state"] == "latched"
        node.until("it is held", lambda: site.motor("ra") == 0.0)
        assert node.command(do="clear", target="a")["ok"]
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        node.until("the node is ready", lambda: node.status()["ready"])


def test_an_agent_that_raises_is_told_once_and_its_output_is_safe(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        node.command(do="set_param", name="pa.fail", value=1)
        node.until("ra is safe", lambda: site.motor("ra") == 0.0)
        node.until("it is told", lambda: "asked to fail" in part(node, "a", "pa")["why"])
        node.command(do="set_param", name="pa.fail", value=0)
        node.until("a pushes again", lambda: site.motor("ra") == 0.5)
        assert sum("asked to fail" in event["message"] for event in node.events("agent")) == 1


def test_an_agent_that_hangs_in_its_first_tick_is_named_too(site: Site) -> None:
    config = site.config().replace("push: 0.5}", "push: 0.5, sleep: true}", 1)
    with RunningNode(site.folder, config) as node:
        node.until("a runs without pa", lambda: runs_without(node, "a", "pa"))
        assert site.motor("ra") == 0.0
