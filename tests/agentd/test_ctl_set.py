"""`agentctl set` and `release`: what a name is, leases that are renewed, and what cannot be set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.command import Answer, Command, Release, SetParam, Take
from agentd.ctl.actuate import finite, hold
from agentd.ctl.daemon import Daemon
from agentd.ctl.errors import FAILED, OK, WRONG_USE, Refused
from agentd.ctl.names import Actuator, Number, find
from tests.agentd.ctl_site import Site, plan


def asked(site: Site) -> list[Command]:
    """What the daemon was told to do."""
    return [command for command, _ in site.node.commands]


def test_an_actuator_is_taken_for_two_seconds(site: Site) -> None:
    assert site.run("set", "robot.speed", "0.3").status == OK
    assert asked(site) == [Take(signal="robot.speed", value=0.3, ttl_s=2.0, priority=100)]


def test_a_lease_has_its_time_priority_and_bounds(site: Site) -> None:
    options = ["--for", "60", "--priority", "7", "--low", "-0.1", "--high", "5e-1"]
    assert site.run("set", "robot.steering", "-1e-1", *options).status == OK
    assert asked(site) == [Take(signal="robot.steering", value=-0.1, ttl_s=60.0, priority=7, low=-0.1, high=0.5)]


@pytest.mark.parametrize("name", ["steer.kp", "steer.setpoint"])
def test_a_parameter_and_a_constant_input_are_set(site: Site, name: str) -> None:
    assert site.run("set", name, "6").status == OK
    assert asked(site) == [SetParam(name=name, value=6.0)]


@pytest.mark.parametrize("option", [["--for", "3"], ["--hold"], ["--priority", "1"], ["--low", "0"], ["--high", "0"]])
def test_a_parameter_takes_no_lease_options(site: Site, option: list[str]) -> None:
    result = site.run("set", "steer.kp", "6", *option)
    assert (result.status, result.out, asked(site)) == (FAILED, "", [])
    assert option[0] in result.err


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("robot.sped", "did you mean robot.speed?"),
        ("steer.kpp", "did you mean steer.kp?"),
        ("xyz", "agentctl signals"),
        ("robot.x", "is a sensor"),
        ("steer.error", "is an output"),
        ("steer.output", "set the actuator that it drives: robot.steering"),
        ("steer.measured", "follows vision.offset"),
    ],
)
def test_what_cannot_be_set_says_what_can(site: Site, name: str, hint: str) -> None:
    result = site.run("set", name, "1")
    assert (result.status, result.out, asked(site)) == (FAILED, "", [])
    assert hint in result.err


def test_a_name_is_an_actuator_with_its_unit_or_a_number() -> None:
    assert find(plan(), "robot.speed") == Actuator("robot.speed", "m/s")
    assert find(plan(), "steer.ki") == Number("steer.ki")


@pytest.mark.parametrize(("text", "value"), [("on", 1.0), ("OFF", 0.0), ("true", 1.0), ("-2.5e-1", -0.25)])
def test_a_value_is_a_number_or_a_word(text: str, value: float) -> None:
    assert finite(text) == value


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "fast", ""])
def test_what_is_no_value_is_a_wrong_command_line(site: Site, text: str) -> None:
    result = site.run("set", "robot.speed", f"--low={text}", "0")
    assert (result.status, asked(site)) == (WRONG_USE, [])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_arrives_as_it_was_typed(value: float) -> None:
    assert finite(repr(value)) == value


def ends_after(times: int, waits: list[float]) -> Callable[[float], bool]:
    """Somebody presses Ctrl-C after so many renewals."""

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > times

    return wait


def test_a_held_lease_is_renewed_well_in_time_and_given_back(site: Site) -> None:
    said: list[Answer] = []
    waits: list[float] = []
    take = Take(signal="robot.speed", value=0.3, ttl_s=3.0)
    hold(Daemon(site.state), take, said.append, ends_after(2, waits))
    assert asked(site) == [take, take, take, Release(signal="robot.speed")]
    assert waits == [1.0, 1.0, 1.0]
    assert len(said) == 2


def test_a_held_lease_that_is_refused_ends_the_command(site: Site) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        site.node.answer = Answer(ok=False, message="the loop does not run")
        return ends_after(5, waits)(seconds)

    with pytest.raises(Refused, match="the loop does not run"):
        hold(Daemon(site.state), Take(signal="robot.speed", value=0.3), lambda _: None, wait)
    assert len(waits) == 1


def test_a_lease_is_given_back(site: Site) -> None:
    assert site.run("release", "robot.speed").status == OK
    assert asked(site) == [Release(signal="robot.speed")]
