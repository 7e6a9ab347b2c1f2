"""`agentctl why`: one value explained back to its sensors, now and then, with and without a daemon."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agentd.config.plan import (
    AgentPlan,
    ChannelPlan,
    DevicePlan,
    DrivePlan,
    InputPlan,
    LoopPlan,
    Requirement,
    SignalPlan,
)
from agentd.ctl.errors import FAILED, OK
from agentd.ctl.why import REASONS, VERDICTS
from agentd.event import Event
from agentd.kept_plans import KEEP, keep_plan, kept_plans
from agentd.runtime.guard import Verdict
from agentd.runtime.ring import Layout, RingWriter
from hal.clock import NS_PER_S, boot_id, now_ns
from hal.signal import Absent
from tests.agentd.ctl_site import Result, Site
from tests.agentd.record_parts import PERIOD_NS, T0, Past

SPEED = SignalPlan(name="robot.speed", unit="m/s", role="actuator", low=0.0, high=1.0)
X = SignalPlan(name="robot.x", unit="m")
ACTION = SignalPlan(name="pace.action", unit="m/s", role="output")
OFFSET = SignalPlan(name="vision.offset", unit="m", role="output")
COLUMNS = (SPEED, X, OFFSET, ACTION)
PLAN = LoopPlan(
    name="drive",
    node="n",
    rate_hz=100,
    devices=(DevicePlan(name="robot", driver="sim.robot", simulated=True),),
    agents=(
        AgentPlan(
            name="vision",
            agent="infer",
            models={"model": "/m/offset.tflite"},
            model_hashes={"model": "abc123"},
            inputs=(InputPlan(attribute="position", signals=("robot.x",)),),
        ),
        AgentPlan(
            name="pace",
            agent="pid",
            params={"kp": 4.0},
            inputs=(
                InputPlan(attribute="measured", signals=("vision.offset",)),
                InputPlan(attribute="setpoint", constant=0.25),
            ),
            drives=(DrivePlan(output="action", actuator="robot.speed"),),
        ),
    ),
    channels=(
        ChannelPlan(
            signal="robot.speed", type="float", low=0, high=0.9, safe=0, slew_per_s=2.0,
            requires=(Requirement(signal="robot.x", operator="<", threshold=5.0),),
        ),
    ),
)  # fmt: skip


def publish(
    site: Site, *values: float, verdict: Verdict = Verdict.CLAMPED, absent: dict[int, Absent] | None = None
) -> None:
    """One row in a ring that nobody writes any more; `x` was measured 50 ms before."""
    layout = Layout(
        node="n", loop="drive", generation=1, boot_id=boot_id(), period_ns=10**7, columns=COLUMNS, parts=()
    )  # fmt: skip
    writer, time_ns = RingWriter(site.runtime / "drive" / "ring.1", layout, 16), now_ns()
    reasons = [int(verdict), *(int((absent or {}).get(column, 0)) for column in (1, 2, 3))]
    stamps = [time_ns, time_ns - 50_000_000, time_ns, time_ns]
    writer.publish(0, time_ns, 0.01, 0, *[0] * 7, *values, *stamps, bytes(reasons))
    writer.close()


def why(site: Site, *more: str) -> Result:
    return site.run("why", "robot.speed", *more)


def test_an_actuator_is_explained_from_the_guard_to_the_sensor(empty_site: Site) -> None:
    keep_plan(empty_site.state, PLAN)
    publish(empty_site, 0.9, 1.5, 0.1, 1.25)
    told = why(empty_site)
    assert (told.status, told.err) == (OK, "")
    for text in (
        "robot.speed = 0.9 m/s",
        "clamped: beyond the range, or the lease's bounds; held by pace.action, which asks for 1.25",
        "range 0 to 0.9, safe 0, slew 2 a second, stale after 0.1 s, requires robot.x < 5",
        "device robot: sim.robot, simulated",
        "agent pace: pid: setpoint 0.25, kp 4",
        "model: /m/offset.tflite sha256 abc123",
        "robot.x = 1.5 m  (position, 50 ms old)",
        "robot.x = 1.5 m  (requires, 50 ms old, see above)",
    ):
        assert text in told.out, text


def test_json_has_the_same_tree(empty_site: Site) -> None:
    keep_plan(empty_site.state, PLAN)
    publish(empty_site, 0.9, 1.5, 0.1, 1.25)
    fact = why(empty_site, "--json").json
    assert (fact["guard"]["holder"], fact["guard"]["asked"]) == ("pace.action", 1.25)
    action, required = fact["inputs"]
    assert (action["signal"], required["signal"], action["agent"]["params"]) == ("pace.action", "robot.x", {"kp": 4.0})
    assert action["inputs"][0]["inputs"][0]["device"]["simulated"] is True


def test_what_is_absent_says_why_and_a_safe_value_has_no_holder(empty_site: Site) -> None:
    keep_plan(empty_site.state, PLAN)
    absent = {1: Absent.DEVICE_ERROR, 2: Absent.INPUT_ABSENT, 3: Absent.INPUT_ABSENT}
    publish(empty_site, 0.0, 0.0, 0.0, 0.0, verdict=Verdict.SAFE_NO_REQUEST, absent=absent)
    told = why(empty_site).out
    assert "safe value: nobody asked for anything in this tick" in told and "held by" not in told
    assert "robot.x absent: the device failed; see 'agentctl events --kind device'" in told
    assert "pace.action absent: the agent was not stepped: an input that it needs is absent" in told


def test_without_the_configuration_the_value_is_told_and_that_it_is_all(empty_site: Site) -> None:
    publish(empty_site, 0.9, 1.5, 0.1, 1.25)
    told = why(empty_site).out
    assert "robot.speed = 0.9 m/s" in told and "not kept any more" in told


def test_a_past_value_comes_from_the_record_with_what_was_set_and_taken_then(empty_site: Site, tmp_path: Path) -> None:
    past = Past(tmp_path / "past", empty_site.state)
    keep_plan(empty_site.state, PLAN)
    drive = past.loop("drive", *COLUMNS)
    for tick in range(30):
        drive.tick((tick / 100, Verdict.AS_ASKED), tick / 10, 0.0, tick / 100)
    past.write()
    for number, (do, after, more) in enumerate(
        [
            ("set_param", 5, {"name": "pace.kp", "value": 6.5}),
            ("take", 10, {"signal": "robot.speed", "ttl_s": 0.05}),
            ("set_param", 25, {"name": "pace.kp", "value": 9.5}),
        ],
        1,
    ):
        past.events.append(
            Event(
                id=number, time_ns=past.now_ns - (30 - after) * PERIOD_NS, utc_ns=T0 + after * PERIOD_NS,
                kind="command", subject="x", message="",
                data={"origin": "ann", "ok": True, "command": {"do": do, **more}},
            )
        )  # fmt: skip
    past.write()

    def then(tick: int) -> str:
        at = T0 + tick * PERIOD_NS + 1
        return why(empty_site, "--at", f"{at // NS_PER_S}.{at % NS_PER_S:09}").out

    assert "tick 3, " in then(3) and "from the record" in then(3) and "= 0.03 m/s" in then(3)
    assert "kp 4" in then(3) and "kp 6.5" in then(20) and "kp 9.5" in then(29)
    assert "held by ann" in then(12) and "held by pace.action" in then(20)


def test_before_all_that_is_known_it_says_so(empty_site: Site, tmp_path: Path) -> None:
    past = Past(tmp_path / "past", empty_site.state)
    past.loop("drive", *COLUMNS).tick((0.5, Verdict.AS_ASKED), 1.0, 0.0, 0.5)
    past.write()
    told = why(empty_site, "--at", "1000")
    assert (told.status, told.out) == (FAILED, "")
    assert "nothing is known of that time" in told.err


def test_an_unknown_signal_names_the_nearest(empty_site: Site) -> None:
    publish(empty_site, 0.9, 1.5, 0.1, 1.25)
    told = empty_site.run("why", "robot.sped")
    assert (told.status, told.out) == (FAILED, "")
    assert "did you mean robot.speed?" in told.err


def test_wires_that_go_round_in_a_circle_end(empty_site: Site) -> None:
    vision, pace = PLAN.agents
    circle = msgspec.structs.replace(
        vision, inputs=(InputPlan(attribute="back", signals=("pace.action",), delayed=True),)
    )
    keep_plan(empty_site.state, msgspec.structs.replace(PLAN, agents=(circle, pace)))
    publish(empty_site, 0.9, 1.5, 0.1, 1.25)
    assert "pace.action = 1.25 m/s  (back, 0 ms old, see above)" in why(empty_site).out


def test_a_running_daemon_says_who_holds_it(site: Site) -> None:
    loop = site.node.plan.loops[0]
    keep_plan(site.state, loop)
    site.publish("drive", {"robot.speed": 0.4})
    assert site.run("why", "robot.speed", "--json").json["guard"]["holder"] == "pace.action"


@pytest.mark.parametrize("words", [VERDICTS, REASONS])
def test_every_verdict_and_reason_has_a_sentence(words: dict[object, str]) -> None:
    codes: list[object] = [*Verdict] if words is VERDICTS else [one for one in Absent if one]
    assert [code for code in codes if not words.get(code)] == []


def test_plans_are_kept_within_a_number(tmp_path: Path) -> None:
    for number in range(KEEP + 3):
        keep_plan(tmp_path, msgspec.structs.replace(PLAN, hash=f"h{number}"))
    found = {plan.hash for plan in kept_plans(tmp_path)}
    assert len(found) == KEEP and f"h{KEEP + 2}" in found and "h0" not in found
