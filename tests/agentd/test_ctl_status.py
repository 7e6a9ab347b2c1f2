"""`agentctl status` and `top`: what is wrong comes first, and it fits."""

from __future__ import annotations

import msgspec
import pytest

from agentd.ctl.errors import NOT_RUNNING, OK
from agentd.ctl.report import report
from agentd.ctl.text import Paper
from agentd.ctl.top import busiest, screen
from agentd.event import Event
from agentd.latches import LatchFile
from agentd.status import ActuatorStatus, LoopStatus, NodeStatus, PartStatus, Quantiles
from tests.agentd.ctl_site import Site

FIGURES = Quantiles(62.4, 171.9, 803.2, 6440.0)


def loop(name: str = "drive", **changed: object) -> LoopStatus:
    """A loop that is well, but for what is said."""
    parts = (
        PartStatus(name="robot", kind="device", use="sim.line_follower", simulated=True, duration=FIGURES),
        PartStatus(name="vision", kind="agent", use="infer", duration=FIGURES),
    )
    well = LoopStatus(
        name=name,
        rate_hz=100,
        measured_hz=99.98,
        state="running",
        realtime=True,
        wake=FIGURES,
        duration=FIGURES,
        parts=parts,
    )
    return msgspec.structs.replace(well, **changed)


def node(**changed: object) -> NodeStatus:
    """A node that is well, but for what is said."""
    speed = ActuatorStatus(
        signal="robot.speed",
        unit="m/s",
        value=0.6,
        verdict="slew_limited",
        holder="pace.action",
        high=0.9,
        interventions_total=12,
    )
    well = NodeStatus(
        node="robot-1",
        version="0.1.0",
        pid=4711,
        uptime_s=192.0,
        config="/etc/agentd/robot.yaml",
        live=True,
        ready=True,
        loops=(loop(),),
        actuators=(speed,),
        simulated=("robot",),
        http="http://127.0.0.1:8080",
    )
    return msgspec.structs.replace(well, **changed)


def text(status: NodeStatus, width: int | None = 80) -> str:
    """The report."""
    return "\n".join(report(status, Paper(width)))


def test_a_well_node_is_told_in_one_look() -> None:
    found = text(node())
    assert "robot-1: ready, up 3 min 12 s, pid 4711" in found
    assert "problems" not in found
    for fact in ("simulated  robot", "http://127.0.0.1:8080", "100 Hz", "99.98 Hz", "real-time", "62 µs", "803 µs"):
        assert fact in found
    assert "robot.speed  0.6 m/s  0..0.9  slew limited  pace.action  12" in found


def test_problems_come_before_everything_but_the_headline() -> None:
    broken = node(ready=False, problems=("drive is latched, its outputs stay safe: it died too often",))
    lines = text(broken).splitlines()
    assert lines[0].startswith("robot-1: not ready")
    assert lines.index("problems") < next(i for i, line in enumerate(lines) if line.startswith("loop "))


def test_the_emergency_stop_is_the_first_word() -> None:
    assert text(node(ready=False, emergency_stop="smoke")).startswith("robot-1: EMERGENCY STOP")


def test_a_part_that_is_not_well_says_why_below_itself() -> None:
    sick = PartStatus(name="robot", kind="device", use="x", state="degraded", why="no answer at 0x48; check the wiring")
    lines = text(node(loops=(loop(parts=(sick,)),))).splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("robot ") and "degraded" in line)
    assert lines[row + 1].strip() == "no answer at 0x48; check the wiring"


def test_what_the_loop_says_is_not_repeated_by_each_of_its_parts() -> None:
    waiting = tuple(PartStatus(name=n, kind="agent", use="x", state="waiting", why="killed") for n in ("a", "b"))
    found = text(node(problems=("drive: killed",), loops=(loop(state="backing off", why="killed", parts=waiting),)))
    assert found.count("killed") == 1


def test_limits_that_were_not_granted_and_the_last_miss_are_named() -> None:
    found = text(node(loops=(loop(notes=("no real-time priority",), last_miss="drive: tick 7: vision took 12 ms"),)))
    assert "drive: no real-time priority" in found
    assert "drive: last miss: tick 7: vision took 12 ms" in found


def test_every_line_fits_into_80_columns() -> None:
    long = "a" * 30 + " because " + "of something that takes a long sentence " * 5
    parts = (
        PartStatus(name="vision", kind="agent", use="q_learning", state="quarantined", why=long, duration=FIGURES),
    )
    status = node(
        problems=(long,),
        emergency_stop=long,
        config="/" + "very/" * 30,
        loops=(loop("drive_motor_x", state="backing off", missed_total=10**9, parts=parts, notes=(long,)),),
    )
    event = Event(time_ns=1, kind="quarantine", subject="x", message=long, severity="error")
    assert max(map(len, text(status).splitlines())) <= 80
    assert max(map(len, screen(status, [event], Paper(80)))) <= 80


def test_a_pipe_is_not_cut() -> None:
    long = "word " * 40
    assert long.strip() in text(node(problems=(long.strip(),)), width=None)


def test_status_of_a_running_node_is_printed(site: Site) -> None:
    site.publish("drive", {"robot.speed": 0.3})
    result = site.run("status")
    assert (result.status, result.err) == (OK, "")
    assert result.lines[0].startswith("robot-1: ready")


def test_status_without_a_daemon_is_an_answer_with_its_own_exit_status(empty_site: Site) -> None:
    result = empty_site.run("status")
    assert result.status == NOT_RUNNING
    assert result.lines[0] == "not running"
    assert str(empty_site.state) in result.out


def test_status_without_a_daemon_has_the_same_shape_as_json(empty_site: Site) -> None:
    result = empty_site.run("status", "--json")
    found = msgspec.json.decode(result.out, type=NodeStatus)
    assert result.status == NOT_RUNNING
    assert not found.live and not found.ready and found.problems


def test_status_names_the_daemon_that_ended(site: Site) -> None:
    site.stop()
    assert "the last one had pid 4711" in site.run("status").out


def test_latches_are_told_while_nothing_runs(empty_site: Site) -> None:
    latches = LatchFile(empty_site.state / "latches.json")
    latches.latches.emergency_stop = "smoke"
    latches.latches.loops["drive"] = "it died too often"
    latches.save()
    found = empty_site.run("status").out
    assert "emergency stop is pulled, also after a start: smoke" in found
    assert "drive is latched, also after a start: it died too often" in found


def test_a_daemon_that_holds_the_lock_and_does_not_listen_is_named(site: Site) -> None:
    (site.runtime / "agentd.sock").rename(site.runtime / "away.sock")
    result = site.run("estop")
    (site.runtime / "away.sock").rename(site.runtime / "agentd.sock")
    assert result.status == NOT_RUNNING
    assert "does not listen" in result.err
    assert site.node.commands == []


def test_top_without_a_terminal_prints_once(site: Site) -> None:
    site.tell("worker", "drive", "drive: worker died", "error")
    result = site.run("top")
    assert result.status == OK
    assert "\x1b" not in result.out
    assert "error: drive: worker died" in result.out


def test_top_sorts_parts_by_their_share_of_the_period() -> None:
    def part(name: str, p50_us: float) -> PartStatus:
        return PartStatus(name=name, kind="agent", use="x", duration=Quantiles(p50_us, p50_us, p50_us, p50_us))

    fast, slow = loop("fast", rate_hz=1000, parts=(part("a", 300),)), loop("slow", rate_hz=1, parts=(part("b", 9000),))
    lines = busiest((slow, fast), Paper())
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]
    assert "30.0%" in lines[1]


@pytest.mark.parametrize("command", ["status", "top"])
def test_asking_changes_nothing(site: Site, command: str) -> None:
    site.run(command)
    assert site.node.commands == []
