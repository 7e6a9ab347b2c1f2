"""Drivers and agents by name, and instances from their plans."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from agentd import registry
from agentd.config.plan import AgentPlan, DevicePlan
from agents.agent import Agent
from agents.pid import Pid
from hal.drivers.linux.host import Host
from hal.signal import Tick

AGENT = """
from __future__ import annotations
from typing import TYPE_CHECKING, Literal
from agents.agent import Agent, Param
if TYPE_CHECKING:
    from numpy.random import Generator

class Mine(Agent):
    gain: float = Param(1.0)
    def __init__(
        self, one: Generator, two: Generator, values: tuple[float, ...] = (), mode: Literal["a", "b"] = "a"
    ) -> None:
        self.drawn = [one.random(), two.random()]
        self.values, self.mode = values, mode
    def step(self, tick) -> None: ...

class _Private(Agent): ...
"""


def test_the_name_is_the_path() -> None:
    assert registry.find_class(registry.AGENTS, "pid") is Pid
    assert registry.find_class(registry.DRIVERS, "linux.host") is Host


def test_known_names_are_parts_and_not_the_rooms_they_share() -> None:
    assert {"linux.host", "sim.line_follower"} <= set(registry.known_drivers())
    assert "sim.tracks" not in registry.known_drivers()
    assert {"pid", "threshold"} <= set(registry.known_agents())
    assert "agent" not in registry.known_agents()


@pytest.mark.parametrize("name", ["../agents/pid", "pid.", ".pid", "PID", "agent", "", "__init__", "models.x", "pid\n"])
def test_a_name_that_is_no_path_inside_the_package_is_unknown(name: str) -> None:
    with pytest.raises(registry.RegistryError, match="unknown agent"):
        registry.find_class(registry.AGENTS, name)


def test_a_generator_repeats_with_its_seed_and_each_parameter_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(AGENT)

    def drawn(seed: int) -> list[float]:
        agent = registry.build_agent(AgentPlan(name="a", agent="./mine.py", path=str(path), seed=seed))
        return list(agent.drawn)  # type: ignore[attr-defined]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 2


def test_arguments_arrive_as_their_annotations_say(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(AGENT)
    plan = AgentPlan(name="a", agent="./mine.py", path=str(path), arguments={"values": [1, 2], "mode": "b"})
    agent = registry.build_agent(plan)
    assert agent.values == (1.0, 2.0) and agent.mode == "b"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="Invalid enum value"):
        registry.build_agent(AgentPlan(name="a", agent="./mine.py", path=str(path), arguments={"mode": "c"}))


def test_a_device_is_built_from_its_plan() -> None:
    device = registry.build_device(DevicePlan(name="robot", driver="sim.line_follower", arguments={"seed": 3}))
    assert "camera" in device.signals and device.simulated


class Offered(Agent):
    """What an entry point offers."""

    def step(self, tick: Tick) -> None:
        """Nothing."""


def test_an_entry_point_is_found_after_the_built_in_names(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("offered", f"{__name__}:Offered", "agentd.agents"),
            EntryPoint("wrong", f"{__name__}:AGENT", "agentd.agents"),
            EntryPoint("gone", "no_such_module:Thing", "agentd.agents"),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Offered.__module__])
    assert registry.find_class(registry.AGENTS, "offered") is Offered
    with pytest.raises(registry.RegistryError, match="did you mean 'offered'"):
        registry.find_class(registry.AGENTS, "ofered")
    with pytest.raises(registry.RegistryError, match="no subclass of Agent"):
        registry.find_class(registry.AGENTS, "wrong")
    with pytest.raises(registry.RegistryError, match="cannot be imported"):
        registry.find_class(registry.AGENTS, "gone")


def test_importing_the_registry_imports_no_yaml_parser_and_no_numpy() -> None:
    code = "import sys, agentd.registry\nassert not {'ruamel.yaml', 'numpy', 'importlib.metadata'} & set(sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
