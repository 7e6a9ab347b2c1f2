"""What the pages say of keys, units, parts, commands and words is what the code says."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agentd import __main__ as agentd_command
from agentd.config import parts
from agentd.config.schema import LATER, SECTIONS, GuardEntry, HttpEntry, LoopEntry, RecordEntry, WireEntry
from agentd.ctl import __main__ as agentctl_command
from agentd.event import KINDS
from agentd.runtime.guard import Verdict
from hal.drivers.sim.tracks import NAMES
from hal.signal import Absent
from tests.docs import reference
from tests.docs.pages import ROOT, text_of

CONFIGURATION = "docs/configuration.md"


def chapter(page: str, heading: str) -> str:
    """The text below a heading, to the next one of its level."""
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", text_of(page), re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no chapter {heading!r}"
    return found[1]


def rows(text: str) -> dict[str, list[str]]:
    """The cells of a table's rows by their first one, where that is a name in backquotes."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace(r"\|", "").strip("|").split("|")]
        if line.startswith("| `"):
            found[cells[0].strip("`")] = cells[1:]
    return found


@pytest.mark.parametrize("page", reference.PAGES)
def test_generated_parts_are_those_of_the_code(page: str) -> None:
    current = reference.filled(page) == text_of(page)
    assert current, f"{page} is behind the code: run .venv/bin/python -P -m tests.docs.reference"


@pytest.mark.parametrize(
    ("heading", "schema", "elsewhere"),
    [
        ("loops", LoopEntry, {"devices", "agents"}),
        ("guard", GuardEntry, {"requires"}),
        ("record", RecordEntry, set()),
        ("http", HttpEntry, set()),
    ],
)
def test_every_key_of_a_section_is_documented_with_its_default(
    heading: str, schema: type[msgspec.Struct], elsewhere: set[str]
) -> None:
    documented = rows(chapter(CONFIGURATION, heading))
    fields = msgspec.structs.fields(schema)
    assert set(documented) == {field.name for field in fields} | elsewhere
    for field in fields:
        required = heading == "loops" and field.name == "rate_hz"
        if field.default is not None and not required:
            shown = f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
            assert shown in documented[field.name], field.name


def test_every_section_is_documented() -> None:
    assert set(rows(chapter(CONFIGURATION, "Sections"))) == set(SECTIONS)
    assert all(f"`{name}`" in text_of(CONFIGURATION) for name in LATER)


def test_every_key_of_devices_agents_and_inputs_is_documented() -> None:
    assert set(rows(chapter(CONFIGURATION, "devices"))) == set(parts.DEVICE_KEYS)
    agents = chapter(CONFIGURATION, "agents")
    assert set(rows(agents)) == {*parts.AGENT_KEYS, "seed"}
    keys = ["signal", *(field.name for field in msgspec.structs.fields(WireEntry))]
    assert [key for key in keys if f"{key}:" not in agents] == []


def test_every_track_is_named() -> None:
    assert [name for name in NAMES if f"`{name}`" not in text_of("docs/built-in-parts.md")] == []


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser, and theirs in turn."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, inner in action.choices.items():
                yield from commands(inner, f"{name} {command}")


ALL_COMMANDS: dict[str, Any] = {
    **dict(commands(agentd_command._parser(), "agentd")),
    **dict(commands(agentctl_command.build(list(agentctl_command.COMMANDS)), "agentctl")),
}


@pytest.mark.parametrize("command", [name for name in ALL_COMMANDS if " " in name])
def test_every_command_is_documented_with_its_options(command: str) -> None:
    text = text_of("docs/command-line.md")
    line = next((line for line in text.splitlines() if line.startswith(f"| `{command}") and "|" in line[3:]), "")
    assert line, f"docs/command-line.md has no row for {command}"
    general = "\n".join(line for line in text.splitlines() if not line.startswith("| `agentctl"))
    options = [option for action in ALL_COMMANDS[command]._actions for option in action.option_strings]
    missing = [o for o in options if not re.search(rf"`{o}[ `]", line) and not re.search(rf"`{o}[ `]", general)]
    assert [option for option in missing if option != "-h"] == []


def test_no_command_is_documented_that_does_not_exist() -> None:
    named = re.findall(r"^\| `(agent(?:d|ctl)(?: [a-z]+)*)", text_of("docs/command-line.md"), re.MULTILINE)
    assert [name for name in named if name not in ALL_COMMANDS] == []


def test_every_verdict_reason_and_kind_of_event_is_explained() -> None:
    operations = text_of("docs/operations.md")
    words = [verdict.name.lower() for verdict in Verdict]
    words += [reason.name.lower() for reason in Absent if reason is not Absent.PRESENT]
    assert [word for word in words if f"`{word}`" not in operations] == []
    assert [kind for kind in KINDS if f"`{kind}`" not in text_of("docs/command-line.md")] == []


def test_every_exit_status_is_explained() -> None:
    table = chapter("docs/operations.md", "Starting, stopping, exit codes")
    codes = (agentd_command.OK, agentd_command.FAILED, agentd_command.BAD_CONFIG, agentd_command.OCCUPIED)
    assert [code for code in codes if f"\n| {code} | " not in table] == []


def test_every_http_path_is_documented() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "agentd/gateway").glob("*.py"))
    paths = re.findall(r'web\.(?:get|post)\(\s*"(/[^"{]*)', source)
    assert len(paths) > 8
    assert [path for path in paths if f"{path}" not in text_of("docs/http.md")] == []
