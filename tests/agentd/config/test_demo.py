"""The built-in demo is a good configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

import agentd
from agentd.config.child import resolve_now
from agentd.config.plan import NodePlan
from agentd.config.schema import expected

DEMO = Path(agentd.__file__).with_name("demo.yaml")


@pytest.fixture(scope="module")
def demo() -> NodePlan:
    """The plan of the demo."""
    resolution = resolve_now(DEMO)
    assert resolution.problems == () and resolution.plan is not None
    return resolution.plan


def test_the_demo_has_a_real_and_a_simulated_device(demo: NodePlan) -> None:
    drive, slow = demo.loops
    assert (drive.rate_hz, drive.realtime, slow.rate_hz) == (100, True, 1)
    assert [device.simulated for device in (*drive.devices, *slow.devices)] == [True, False]


def test_the_picture_reaches_both_actuators_within_one_tick(demo: NodePlan) -> None:
    drive = demo.loops[0]
    assert [agent.name for agent in drive.agents] == ["vision", "steer", "pace"]
    assert {wire.actuator for agent in drive.agents for wire in agent.drives} == {"robot.steering", "robot.speed"}
    assert {channel.signal for channel in drive.channels} == {"robot.steering", "robot.speed"}


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (list[list[float]] | None, "a list of lists of numbers"),
        (tuple[int, ...], "a list of whole numbers"),
        (str | int, "a text or a whole number"),
    ],
)
def test_a_parameters_type_is_told_in_words(hint: object, words: str) -> None:
    assert expected(hint) == words
