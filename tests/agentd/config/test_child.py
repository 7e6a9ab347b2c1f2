"""The resolver in a process of its own: whatever the configured code does, the caller gets an answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentd.config.child import resolve, resolve_now

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig

AGENT = "from agents.agent import Agent\nclass A(Agent): pass\n"


def write(rig: Rig, text: str, code: str = AGENT) -> str:
    """`robot.yaml`, with `odd.py` beside it."""
    (rig.folder / "odd.py").write_text(code)
    (rig.folder / "robot.yaml").write_text(text)
    return str(rig.folder / "robot.yaml")


@pytest.fixture
def odd(good: str) -> str:
    """The good configuration with one more agent, in `odd.py`."""
    return good.replace("      typed:", "      odd: {agent: ./odd.py}\n      typed:")


def test_the_child_answers_what_the_resolver_answers(rig: Rig, good: str) -> None:
    assert resolve_now(write(rig, good)).plan == rig.plan(good)


def test_problems_come_through_with_their_places(rig: Rig, good: str) -> None:
    text = good.replace("rate_hz: 50", "rate_hz: 0")
    assert resolve_now(write(rig, text)).problems == rig.problems(text)


def test_prints_of_the_configured_code_do_not_spoil_the_answer(rig: Rig, odd: str) -> None:
    code = "import os\nprint('hello')\nos.write(1, b'hello')\nos.system('echo hello')\n" + AGENT
    assert resolve_now(write(rig, odd, code)).problems == ()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "ended by SIGSEGV"),
        ("import os, sys\nprint('the last word', file=sys.stderr, flush=True)\nos._exit(0)\n", "the last word"),
        ("import os\nos._exit(7)\n", "code 7"),
    ],
)
def test_code_that_ends_the_child_is_a_problem_of_the_configuration(
    rig: Rig, odd: str, code: str, message: str
) -> None:
    (problem,) = resolve_now(write(rig, odd, code)).problems
    assert message in problem.message
    assert problem.file.endswith("robot.yaml")


def test_code_that_hangs_is_ended_with_everything_it_started(rig: Rig, odd: str) -> None:
    code = "import subprocess\nsubprocess.run(['sleep', '1234.5'])\n"
    (problem,) = resolve_now(write(rig, odd, code), timeout_s=1.0).problems
    assert "did not end within 1 s" in problem.message
    assert "1234.5" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_a_flood_of_messages_is_drained_and_does_not_hide_the_answer(rig: Rig, odd: str) -> None:
    code = "import sys\nfor _ in range(2000):\n    sys.stderr.write('x' * 10_000)\nraise SystemExit\n"
    (problem,) = resolve_now(write(rig, odd, code)).problems
    assert "SystemExit" in problem.message


def test_a_file_name_that_looks_like_an_option_is_a_file_name() -> None:
    (problem,) = resolve_now("--http").problems
    assert problem.file == "--http" and "No such file" in problem.message


def test_cancelling_ends_the_child(rig: Rig, odd: str) -> None:
    path = write(rig, odd, "import subprocess\nsubprocess.run(['sleep', '4321.5'])\n")

    async def cancel() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await resolve(path)

    asyncio.run(cancel())
    assert "4321.5" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_the_caller_imports_no_yaml_parser_no_driver_and_no_numpy() -> None:
    code = (
        "import sys, agentd.config.child, agentd.config.report\n"
        "bad = [m for m in sys.modules if m.startswith(('ruamel', 'numpy', 'hal', 'agents'))]\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
