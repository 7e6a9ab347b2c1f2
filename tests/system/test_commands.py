"""Leases, parameters, the emergency stop and reloading on a running node."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

import pytest

from tests.node import RunningNode
from tests.system.conftest import Site
from tests.system.test_faults import ticks_missing

pytestmark = pytest.mark.system


def test_a_lease_overrules_the_agent_and_ends_by_itself(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        assert node.command(do="take", signal="ra.motor", value=-0.25, ttl_s=1.5)["ok"]
        node.until("the lease is obeyed", lambda: site.motor("ra") == -0.25)
        node.until("its holder is named", lambda: "uid" in node.actuator("ra.motor")["holder"])
        node.until("the agent has it back", lambda: site.motor("ra") == 0.5)


def test_a_released_lease_ends_at_once(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.command(do="take", signal="ra.motor", value=-0.25, ttl_s=600)
        node.until("the lease is obeyed", lambda: site.motor("ra") == -0.25)
        assert node.command(do="release", signal="ra.motor")["ok"]
        node.until("the agent has it back", lambda: site.motor("ra") == 0.5)


@pytest.mark.parametrize(
    "command",
    [
        {"do": "take", "signal": "ra.motor", "value": 7.0},
        {"do": "take", "signal": "ra.level", "value": 0.0},
        {"do": "take", "signal": "ra.motor", "value": 0.1, "ttl_s": -1},
        {"do": "set_param", "name": "pa.nothing", "value": 1.0},
        {"do": "set_param", "name": "nobody.push", "value": 1.0},
        {"do": "clear", "target": "a"},
        {"do": "release", "signal": "ra.motor"},
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_a_reason(site: Site, command: dict[str, object]) -> None:
    with RunningNode(site.folder, site.config()) as node:
        answer = node.command(**command)
        assert answer["ok"] is False and answer["message"]


def test_the_emergency_stop_makes_everything_safe_and_survives_a_restart(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("both push", lambda: site.motor("ra") == 0.5 == site.motor("rb"))
        assert node.command(do="emergency_stop", reason="a test")["ok"]
        node.until("both are safe", lambda: site.motor("ra") == 0.0 == site.motor("rb"))
        node.process.kill()
        node.process.wait()
    with RunningNode(site.folder, site.config()) as node:
        assert "a test" in node.status()["emergency_stop"]
        assert {value for _, value in site.written("ra")[-5:]} == {0.0}
        assert node.command(do="clear", target="node")["ok"]
        node.until("both push", lambda: site.motor("ra") == 0.5 == site.motor("rb"))


def missed_around(node: RunningNode, loop: str, act: Callable[[], None]) -> list[int]:
    """Ticks that a loop missed while `act` ran."""
    ring = node.image().ring(loop)
    assert ring is not None
    first = ring.head
    act()
    return ticks_missing(node, loop, first)


def test_a_reload_of_a_parameter_misses_no_tick(site: Site) -> None:
    """In the best of five reloads: the kernel may take a tick at any time, a reload would take one each time."""
    with RunningNode(site.folder, site.config(realtime=True)) as node:
        pid = node.worker_pid("a")

        def reload(push: float) -> None:
            (site.folder / "node.yaml").write_text(site.config(push=push, realtime=True), encoding="utf-8")
            node.process.send_signal(signal.SIGHUP)
            node.until("the parameter has arrived", lambda: site.motor("ra") == push)

        missed = [missed_around(node, "a", partial(reload, push)) for push in (0.1, 0.2, 0.3, 0.4, 0.75)]
        assert node.worker_pid("a") == pid
        assert [] in missed


def test_a_reload_replaces_only_the_loop_that_changed(site: Site) -> None:
    """The other one keeps its worker and, in the best of five reloads, every tick."""
    with RunningNode(site.folder, site.config()) as node:

        def reload(rate_hz: int) -> None:
            (site.folder / "node.yaml").write_text(site.config(rate_hz=rate_hz), encoding="utf-8")
            answer = node.command(do="reload")
            assert answer["ok"] and "a replaced" in answer["message"] and "b" not in answer["message"]
            node.until("a has its new rate", lambda: node.loop("a")["rate_hz"] == rate_hz)
            node.until("a runs", lambda: node.loop("a")["state"] == "running")

        missed = [missed_around(node, "b", partial(reload, rate_hz)) for rate_hz in (50, 40, 50, 40, 50)]
        assert node.loop("b")["generation"] == 1
        assert [] in missed


def test_a_reload_of_a_broken_file_changes_nothing_and_says_why(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        (site.folder / "node.yaml").write_text(site.config().replace("ra.level", "ra.lewel"), encoding="utf-8")
        answer = node.command(do="reload")
        assert not answer["ok"]
        assert any("ra.level" in problem for problem in answer["problems"])
        assert node.loop("a")["state"] == "running" and node.loop("a")["generation"] == 1


def test_an_interlock_keeps_the_actuator_safe(site: Site) -> None:
    guard = "guard:\n  ra.motor: {requires: [pb.output > 0.9]}"
    with RunningNode(site.folder, site.config(guard=guard)) as node:
        node.until("it is told", lambda: any("pb.output" in e["message"] for e in node.events("guard")))
        assert {value for _, value in site.written("ra")} == {0.0}
        node.command(do="set_param", name="pb.push", value=0.95)
        node.until("a pushes", lambda: site.motor("ra") == 0.5)


def test_an_address_from_the_command_line_holds_through_a_reload(site: Site) -> None:
    config = site.config().replace("127.0.0.1:0", "127.0.0.1:8080")
    with RunningNode(site.folder, config) as node:
        address = node.status()["http"]
        (site.folder / "node.yaml").write_text(config.replace("push: 0.5", "push: 0.25"), encoding="utf-8")
        assert node.command(do="reload") == {"ok": True, "message": "pa.push = 0.25", "problems": []}
        assert node.status()["http"] == address
