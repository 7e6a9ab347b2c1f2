"""The status speaks of parts in the words that it documents, whatever the worker calls it."""

from __future__ import annotations

import pytest

from agentd.gateway.metrics import PART_STATES
from agentd.health import part_state
from agentd.runtime.device_port import DeviceState
from agentd.runtime.letters import PartNote


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
