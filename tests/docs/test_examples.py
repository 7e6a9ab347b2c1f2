"""What a reader is told to copy works: the configurations pass, the parts do what the page says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd import registry
from agentd.config.child import resolve_now
from agentd.runtime.guard import Lease, Verdict
from agentd.testing.conformance import check_agent, check_device
from agentd.testing.harness import SimulatedLoop
from hal.clock import NS_PER_S
from tests.docs.pages import PAGES, blocks, files, write_files
from tests.node import RunningNode

CONFIGURATIONS = [(page, name) for page in PAGES for name in files(page) if name.endswith(".yaml")]


@pytest.mark.parametrize(("page", "name"), CONFIGURATIONS)
def test_a_configuration_of_the_documentation_passes_agentd_check(page: str, name: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    resolution = resolve_now(tmp_path / name)
    assert [str(problem) for problem in resolution.problems] == []


def test_every_yaml_block_is_a_whole_configuration() -> None:
    """So that all of them are checked."""
    fragments = [block.text[:60] for page in PAGES for block in blocks(page) if block.language == "yaml"]
    assert len(fragments) == len(CONFIGURATIONS)


@pytest.mark.parametrize("page", ["docs/writing-a-driver.md", "docs/writing-an-agent.md"])
def test_the_tests_that_a_page_shows_pass(page: str, tmp_path: Path) -> None:
    paths = [path.name for path in write_files(page, tmp_path) if path.name.startswith("test_")]
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def oven(tmp_path: Path) -> Iterator[SimulatedLoop]:
    """The loop of the README's three files, under a virtual clock."""
    write_files("README.md", tmp_path)
    plan = resolve_now(tmp_path / "oven.yaml").plan
    assert plan is not None
    with SimulatedLoop(plan.loops[0]) as loop:
        yield loop


def temperature(oven: SimulatedLoop) -> float:
    """Of the newest row."""
    found = oven.value("oven.temperature")
    assert found is not None
    return found


def test_the_readmes_parts_keep_what_every_driver_and_agent_promises(oven: SimulatedLoop) -> None:
    check_device(lambda: registry.build_device(oven.plan.devices[0]))
    check_agent(lambda: registry.build_agent(oven.plan.agents[0]))


def test_the_readmes_oven_reaches_its_setpoint_and_keeps_it(oven: SimulatedLoop) -> None:
    oven.run(120 * 10)
    for _ in range(60 * 10):
        oven.tick()
        assert 58.0 <= temperature(oven) <= 62.0


def test_the_readmes_heater_is_switched_off_above_90_degrees_whoever_asks(oven: SimulatedLoop) -> None:
    channel = oven.cycle.guard.by_signal["oven.heater"]
    lease = Lease("somebody", priority=100, expires_ns=3600 * NS_PER_S, low=0.0, high=80.0, value=80.0)
    assert channel.grant(lease) == ""
    oven.run(180 * 10)
    seen = set()
    for _ in range(100):
        oven.tick()
        seen.add(channel.verdict)
        assert (channel.applied == 0.0) == (temperature(oven) >= 90.0)
    assert Verdict.SAFE_INTERLOCK in seen


def test_the_readmes_slew_limit_holds_from_the_first_tick(oven: SimulatedLoop) -> None:
    oven.tick()
    assert oven.value("oven.heater") == 5.0  # 50 W a second, a tenth of a second
    oven.run(20)
    assert oven.value("oven.heater") == 70.0


def test_no_two_pages_give_different_files_the_same_name() -> None:
    names = [name for page in PAGES for name in files(page)]
    assert len(names) == len(set(names))


def shell_lines(page: str, command: str) -> list[list[str]]:
    """Arguments of every line of a page's shell blocks that starts with this command."""
    texts = [block.text for block in blocks(page) if block.language == "sh"]
    lines = [line.partition(" #")[0].split() for text in texts for line in text.splitlines()]
    return [words[1:] for words in lines if words and words[0].endswith(f"bin/{command}")]


@pytest.mark.system
def test_the_readmes_commands_work_on_its_node(tmp_path: Path) -> None:
    write_files("README.md", tmp_path)
    lines = shell_lines("README.md", "agentctl")
    assert {words[0] for words in lines} >= {"status", "top", "signals", "tail", "set", "events", "estop"}
    with RunningNode(tmp_path, files("README.md")["oven.yaml"]) as node:
        for words in lines:
            ends = {"tail": ["-n", "1"]}.get(words[0], [])
            done = agentctl(node, *words, *ends)
            assert done.returncode == 0 or words[0] == "top", (words, done.stderr)
        assert node.status()["emergency_stop"].startswith("smells of smoke")
        assert agentctl(node, "clear", "node").returncode == 0
        node.until("the heater is on again", lambda: node.actuator("oven.heater")["value"] > 0)
        assert node.status()["simulated"] == ["oven"]


def agentctl(node: RunningNode, *words: str) -> subprocess.CompletedProcess[str]:
    """As its user would call it."""
    command = [sys.executable, "-P", "-m", "agentd.ctl", *words, "--state", str(node.state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.system
def test_every_configuration_of_the_documentation_comes_up(tmp_path: Path) -> None:
    for page, name in CONFIGURATIONS:
        folder = tmp_path / name
        folder.mkdir()
        write_files(page, folder)
        with RunningNode(folder, files(page)[name]) as node:
            node.until("ready", lambda node=node: node.status()["ready"])  # type: ignore[misc]
            assert node.status()["problems"] == []
