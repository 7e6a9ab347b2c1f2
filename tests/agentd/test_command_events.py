"""Every command is an event that says who asked, what became of it, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentd.command import Answer, Clear, Command, EmergencyStop, Release, Reload
from agentd.commands import CommandDesk
from agentd.config.plan import NodePlan
from agentd.event import KINDS, Event
from agentd.loops import Loops

PROBLEMS = ("node.yaml:3:1: no such key", "node.yaml:9:1: no such signal")


def told(folder: Path, *commands: Command) -> list[Event]:
    """The events of these commands, on a node without loops whose configuration has become bad."""
    events: list[Event] = []

    async def reload() -> Answer:
        return Answer(ok=False, message="the configuration has problems; nothing was changed", problems=PROBLEMS)

    async def carry_out() -> None:
        loops = Loops(NodePlan(node="robot-1", source="node.yaml"), folder, folder, events.append, lambda _loop: None)
        desk = CommandDesk(loops, events.append, reload)
        for command in commands:
            await desk.carry_out(command, "uid 7 pid 8")

    asyncio.run(carry_out())
    return events


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (EmergencyStop(), "estop"),
        (Clear(target="node"), "clear"),
        (Reload(), "config"),
        (Release(signal="robot.speed"), "command"),
    ],
)
def test_a_command_is_an_event_of_its_kind_and_origin(tmp_path: Path, command: Command, kind: str) -> None:
    (event,) = told(tmp_path, command)
    assert event.kind == kind and kind in KINDS
    assert event.message.startswith("uid 7 pid 8: ")
    assert event.data["origin"] == "uid 7 pid 8"


def test_why_the_emergency_stop_was_pulled_stays_known_when_it_is_cleared(tmp_path: Path) -> None:
    pulled, cleared = told(tmp_path, EmergencyStop(reason="smoke"), Clear(target="node"))
    assert pulled.message.endswith("until 'agentctl clear node': smoke")
    assert (pulled.severity, cleared.severity) == ("info", "info")


def test_a_refused_reload_names_its_first_problem(tmp_path: Path) -> None:
    (event,) = told(tmp_path, Reload())
    assert event.severity == "warning"
    assert event.message.endswith(f"nothing was changed: {PROBLEMS[0]} (and 1 more: 'agentd check')")
