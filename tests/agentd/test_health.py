"""The status speaks of parts in the words that it documents, whatever the worker calls it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agentd.config.plan import ChannelPlan, LoopPlan
from agentd.gateway.metrics import PART_STATES
from agentd.health import actuator_statuses, part_state
from agentd.runtime.device_port import DeviceState
from agentd.runtime.letters import PartNote, Safe
from agentd.supervisor import LoopSupervisor

SPEED = ChannelPlan(signal="robot.speed", type="float", low=0.0, high=1.0, safe=0.25, stale_after_s=0.1)


@pytest.mark.parametrize("loop", ["starting", "running", "latched"])
@pytest.mark.parametrize("device", DeviceState)
def test_every_state_of_a_device_has_a_documented_word(device: DeviceState, loop: str) -> None:
    said = "ok" if device is DeviceState.OPEN else device.value
    state, _why = part_state(PartNote(name="arm", state=said, why="it broke"), loop, "")
    assert state in PART_STATES


def test_a_closed_device_of_a_running_loop_is_degraded_and_says_why() -> None:
    assert part_state(PartNote(name="arm", state="closed", why="no answer"), "running", "") == ("degraded", "no answer")


def test_a_device_that_is_opened_for_ever_is_degraded_once_its_loop_runs() -> None:
    opening = PartNote(name="arm", state="opening", why="")
    assert part_state(opening, "running", "") == ("degraded", "it is being opened")
    assert part_state(opening, "starting", "")[0] == "waiting"


def test_a_part_that_nothing_is_known_of_waits_for_its_loop() -> None:
    assert part_state(None, "backing off", "the worker died") == ("waiting", "the worker died")
    assert part_state(None, "starting", "") == ("waiting", "starting")


def held(*, safe: bool = True, device: str = "ok") -> LoopSupervisor:
    """A loop that backs off: its worker has opened its devices and waits."""
    around: Any = None
    supervisor = LoopSupervisor(LoopPlan(name="drive", node="n", rate_hz=100.0, channels=(SPEED,)), 0, around)
    worker: Any = SimpleNamespace(ring=None)
    supervisor.worker = worker
    supervisor._hear(PartNote(name="robot", state=device, why=""))
    if safe:
        supervisor._hear(Safe())
    return supervisor


def test_an_actuator_that_was_made_safe_shows_that_before_its_loop_ticks() -> None:
    (status,) = actuator_statuses(held(), {})
    assert (status.value, status.verdict) == (0.25, "safe_hold")


@pytest.mark.parametrize("supervisor", [held(safe=False), held(device="closed"), held(device="opening")])
def test_an_actuator_is_not_called_safe_before_it_was_written(supervisor: LoopSupervisor) -> None:
    (status,) = actuator_statuses(supervisor, {})
    assert (status.value, status.verdict) == (None, "unknown")
