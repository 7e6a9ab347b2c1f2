"""The command line as a whole: options, exit statuses, what goes where, how fast it starts."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agentd.ctl.__main__ import COMMANDS, build
from agentd.ctl.errors import FAILED, NOT_RUNNING, OK, WRONG_USE
from tests.agentd.ctl_site import Site

NEEDS_THE_DAEMON = [
    ["set", "robot.speed", "0.3"],
    ["release", "robot.speed"],
    ["estop"],
    ["clear", "node"],
    ["reload"],
    ["top"],
    ["events", "--follow"],
]
ASKS = [["status"], ["signals"], ["events"], ["top"], ["blackbox"], ["tail", "robot.speed", "-n", "1"]]


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in dict.fromkeys(action.choices.values()):
                yield from parsers(sub)


def test_every_option_of_every_command_has_help() -> None:
    for parser in parsers(build(list(COMMANDS))):
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), f"{parser.prog}: {action.dest}"


def test_every_command_has_a_description_and_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for parser in parsers(build(list(COMMANDS))):
        assert parser.description or parser.prog.count(" ") > 1, parser.prog
        assert max(map(len, parser.format_help().splitlines())) <= 80, parser.prog


def test_the_help_documents_the_exit_statuses() -> None:
    text = build(list(COMMANDS)).format_help()
    assert "exit status" in text and all(f"\n  {status}  " in text for status in (OK, FAILED, WRONG_USE, NOT_RUNNING))


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"]])
def test_json_may_stand_on_either_side_of_the_command(site: Site, arguments: list[str]) -> None:
    assert site.run(*arguments).json["node"] == "robot-1"


def test_state_may_stand_behind_the_command(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert site.run("status").status == OK
    assert site.run("status", "--state", str(elsewhere)).status == NOT_RUNNING


@pytest.mark.parametrize("command", ASKS, ids=lambda command: str(command[0]))
def test_json_output_parses(site: Site, command: list[str]) -> None:
    site.publish("drive", {"robot.speed": 0.3})
    result = site.run(*command, "--json")
    assert result.status == OK
    assert result.err == ""
    for line in result.lines:
        json.loads(line)
    assert result.lines


@pytest.mark.parametrize("command", NEEDS_THE_DAEMON, ids=lambda command: str(command[0]))
def test_without_a_daemon_a_command_says_so_and_prints_nothing_else(empty_site: Site, command: list[str]) -> None:
    result = empty_site.run(*command)
    assert (result.status, result.out) == (NOT_RUNNING, "")
    assert str(empty_site.state) in result.err


@pytest.mark.parametrize(
    "command", [["foo"], ["status", "--foo"], ["set", "robot.speed", "fast"], ["set", "robot.speed", "nan"], []]
)
def test_a_wrong_command_line_is_told_on_the_standard_error(site: Site, command: list[str]) -> None:
    result = site.run(*command)
    assert (result.status, result.out) == (WRONG_USE, "")
    assert "usage: agentctl" in result.err


def test_an_unknown_command_lists_all_commands(site: Site) -> None:
    result = site.run("foo", "status")
    assert all(name in result.err for name in COMMANDS)


def test_a_reader_that_has_enough_ends_it_quietly(site: Site) -> None:
    command = f"{sys.executable} -P -m agentd.ctl signals --state {site.state} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.startswith("signal")
    assert done.stderr == ""


def test_a_command_starts_without_the_heavy_libraries() -> None:
    heavy = ["asyncio", "http.client", "ssl", "numpy", "aiohttp", "sqlite3", "agentd.ctl.blackbox"]
    code = (
        "import sys; from agentd.ctl.__main__ import build; build(['status']); build(['estop']);"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "[]"
