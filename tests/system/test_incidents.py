"""What a running node keeps when something goes wrong: saved, linked, readable."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from agentd.ctl.blackbox_files import black_boxes
from agentd.store.incidents import IncidentStore
from tests.node import RunningNode
from tests.system.conftest import Site

pytestmark = pytest.mark.system


def linked(node: RunningNode, kind: str) -> list[Any]:
    """Events of a kind that name an incident."""
    return [event for event in node.events(kind) if "incident" in event.get("data", {})]


def test_a_killed_worker_leaves_an_incident_with_its_rows_up_to_the_death(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        store, began = IncidentStore(node.state), len(site.written("ra"))
        node.until("it ticked", lambda: len(site.written("ra")) > began + 50)
        os.kill(node.worker_pid("a"), signal.SIGKILL)
        node.until("it is saved", lambda: bool(store.list()))
        (event,) = linked(node, "worker")
        (incident,) = store.list()
        assert (event["data"]["incident"], incident.loop, incident.kind) == (incident.id, "a", "worker")
        (box,) = black_boxes(store.folder / incident.id)
        assert len(box.rows) > 50
        assert 0 <= event["time_ns"] - box.rows[-1].time_ns < 500_000_000
        node.until("a runs again", lambda: node.loop("a")["generation"] == 2 and node.loop("a")["state"] == "running")
        node.stop()
    with RunningNode(site.folder, site.config()):
        assert [one.id for one in store.list()] == [incident.id]


def test_the_emergency_stop_is_an_incident_of_every_loop(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("both push", lambda: site.motor("ra") == 0.5 and site.motor("rb") is not None)
        assert node.command(do="emergency_stop", reason="test")["ok"]
        store = IncidentStore(node.state)
        node.until("they are saved", lambda: len(store.list()) == 2)
        assert {one.id for one in store.list()} == {event["data"]["incident"] for event in linked(node, "guard")}
        assert {one.kind for one in store.list()} == {"guard"}


def test_a_start_and_a_stop_are_no_incidents(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        node.stop()
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        assert IncidentStore(node.state).list() == []


def test_a_worker_that_died_with_the_daemon_is_saved_at_the_next_start(site: Site) -> None:
    with RunningNode(site.folder, site.config()) as node:
        node.until("a pushes", lambda: site.motor("ra") == 0.5)
        pids = [node.worker_pid("a"), node.worker_pid("b")]
        node.process.send_signal(signal.SIGSTOP)
        os.kill(pids[0], signal.SIGKILL)
        node.stop(signal.SIGKILL)
        for pid in pids:
            node.wait_gone(pid)
    with RunningNode(site.folder, site.config()) as node:
        store = IncidentStore(node.state)
        node.until("it is saved", lambda: bool(store.list()))
        (incident,) = store.list()
        assert (incident.loop, incident.generations) == ("a", [1])
        assert linked(node, "worker")[0]["data"]["incident"] == incident.id
