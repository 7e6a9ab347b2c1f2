"""A good configuration becomes the plan that the worker needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from agentd.config.plan import DrivePlan, InputPlan, NodePlan, Requirement

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig


def test_a_good_file_becomes_a_plan_that_survives_json(rig: Rig) -> None:
    plan = rig.plan()
    assert plan.node == "robot-1"
    assert plan.source == str(rig.folder / "robot.yaml")
    assert [loop.name for loop in plan.loops] == ["drive", "slow"]
    assert plan.record.keep_days == 3 and plan.record.keep_mb == 500
    assert (plan.http.host, plan.http.port) == ("127.0.0.1", 0)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=NodePlan) == plan


def test_a_device_has_its_arguments_signals_and_traits(rig: Rig) -> None:
    (device,) = rig.loop().devices
    assert device.arguments == {"size": 2}
    assert device.path == str(rig.folder / "plant.py")
    assert device.simulated and device.actuates
    roles = {signal.name: signal.role for signal in device.signals}
    assert roles["plant.temperature"] == "sensor" and roles["plant.heater"] == "actuator"
    picture = next(signal for signal in device.signals if signal.name == "plant.picture")
    assert (picture.type, picture.dtype, picture.shape) == ("array", "uint8", (4, 6))


def test_an_agent_has_wires_drives_params_and_outputs(rig: Rig) -> None:
    agent = rig.agent("keep")
    assert agent.inputs == (
        InputPlan(attribute="measured", signals=("plant.temperature",)),
        InputPlan(attribute="setpoint", constant=20.0),
    )
    assert agent.drives == (DrivePlan(output="output", actuator="plant.heater"),)
    assert agent.params == {"gain": 2.0, "active": True}
    assert [signal.name for signal in agent.signals] == ["keep.output"]


def test_units_of_one_dimension_are_converted_in_both_directions(rig: Rig, good: str) -> None:
    text = good.replace("metres: plant.position", "metres: plant.position, distance: plant.travel")
    agent = rig.agent("typed", text)
    assert agent.inputs[0].scales == pytest.approx((0.001,))
    assert agent.inputs[0].offsets == (0.0,)
    assert agent.drives[0].scale == pytest.approx(0.001)


def test_an_input_in_any_unit_is_not_converted(rig: Rig) -> None:
    assert rig.agent("keep").inputs[0].scales == ()


def test_an_output_in_any_unit_has_the_unit_of_the_actuator_that_it_drives(rig: Rig, good: str) -> None:
    text = good.replace("output: plant.heater", "output: plant.travel")
    assert rig.agent("keep", text).signals[0].unit == "m"


def test_an_array_input_gathers_a_list_of_signals_with_their_conversions(rig: Rig, good: str) -> None:
    text = good.replace("metres: plant.position", "many: [plant.position, plant.travel]")
    (wire,) = rig.agent("typed", text).inputs
    assert wire.array and wire.signals == ("plant.position", "plant.travel")
    assert wire.scales == pytest.approx((0.001, 1.0))


def test_an_array_signal_is_handed_over_whole(rig: Rig, good: str) -> None:
    (wire,) = rig.agent("typed", good.replace("metres: plant.position", "picture: plant.picture")).inputs
    assert wire.array and wire.signals == ("plant.picture",) and wire.scales == ()


def test_an_optional_input_may_stay_open(rig: Rig) -> None:
    assert [wire.attribute for wire in rig.agent("typed").inputs] == ["metres"]


def test_signals_that_a_constructor_adds_can_be_wired(rig: Rig, good: str) -> None:
    text = good.replace("values: [1, 2.5]", "values: [1, 2.5], label: left right").replace(
        "measured: plant.temperature", "measured: typed.right"
    )
    assert rig.agent("keep", text).inputs[0].signals == ("typed.right",)


def test_producers_are_stepped_first_and_ties_keep_the_order_of_the_file(rig: Rig, good: str) -> None:
    assert [agent.name for agent in rig.loop().agents] == ["keep", "typed"]
    text = good.replace("setpoint: 20.0", "setpoint: typed.distance")
    assert [agent.name for agent in rig.loop(text).agents] == ["typed", "keep"]


def test_a_delayed_input_breaks_a_cycle(rig: Rig, good: str) -> None:
    text = good.replace("setpoint: 20.0", "setpoint: {signal: keep.output, delayed: true, initial: 2}")
    assert rig.agent("keep", text).inputs[1] == InputPlan(
        attribute="setpoint", signals=("keep.output",), delayed=True, initial=2.0
    )


def test_a_delayed_input_that_may_be_absent_needs_no_initial_value(rig: Rig, good: str) -> None:
    text = good.replace("gain: 2", "gain: 2\n        extra: {signal: keep.output, delayed: true}")
    assert rig.agent("keep", text).inputs[2].initial is None


def test_signals_of_another_loop_are_foreign_whether_wired_or_required(rig: Rig, good: str) -> None:
    text = good.replace("setpoint: 20.0", "setpoint: host.temperature").replace(
        "plant.temperature < 80", "host.position >= -1e-3"
    )
    loop = rig.loop(text)
    assert {(signal.name, signal.role) for signal in loop.foreign} == {
        ("host.temperature", "foreign"),
        ("host.position", "foreign"),
    }
    assert loop.channels[0].requires == (Requirement(signal="host.position", operator=">=", threshold=-0.001),)


def test_every_actuator_has_a_channel_and_the_guard_narrows_it(rig: Rig) -> None:
    heater, travel = rig.loop().channels
    assert (heater.signal, heater.low, heater.high, heater.safe) == ("plant.heater", 0.0, 0.9, 0.0)
    assert heater.slew_per_s == 5.0
    assert heater.requires == (Requirement(signal="plant.temperature", operator="<", threshold=80.0),)
    assert (travel.signal, travel.low, travel.high, travel.safe) == ("plant.travel", -0.5, 0.5, 0.1)


def test_freshness_defaults_to_three_periods_and_not_less_than_a_tenth_of_a_second(rig: Rig, good: str) -> None:
    assert rig.loop().channels[0].stale_after_s == pytest.approx(0.1)
    assert rig.loop(good.replace("rate_hz: 50", "rate_hz: 10")).channels[0].stale_after_s == pytest.approx(0.3)


def test_a_loop_without_realtime_may_take_longer_before_it_stalls(rig: Rig, good: str) -> None:
    assert rig.loop().stall_ms == 100
    assert rig.loop(name="slow").stall_ms == 1000
    assert rig.loop(good.replace("rate_hz: 1\n", "rate_hz: 1\n    stall_ms: 70\n"), name="slow").stall_ms == 70


def test_two_agents_share_an_actuator_with_distinct_priorities(rig: Rig, good: str) -> None:
    other = "other: {agent: ./keep.py, measured: 1, setpoint: 2, priority: 5, output: plant.heater}"
    loop = rig.loop(good.replace("      typed:", f"      {other}\n      typed:"))
    assert {agent.name: agent.drives[0].priority for agent in loop.agents if agent.drives} == {"keep": 0, "other": 5}


def test_the_seed_follows_from_the_names_unless_it_is_configured(rig: Rig, good: str) -> None:
    first = rig.agent("typed").seed
    assert rig.agent("typed").seed == first
    assert rig.agent("typed", good.replace("typed: {", "typed: {seed: 7, ")).seed == 7
    assert rig.agent("typed", good.replace("robot-1", "robot-2")).seed != first


def test_the_address_on_the_command_line_wins(rig: Rig, good: str) -> None:
    plan = rig.check(good, "[::1]:9000").plan
    assert plan is not None and (plan.http.host, plan.http.port) == ("::1", 9000)


def test_anchors_and_aliases_are_expanded(rig: Rig, good: str) -> None:
    text = good.replace("plant: {driver: ./plant.py, size: 2}", "plant: &p {driver: ./plant.py, size: 2}").replace(
        "host: {driver: ./plant.py}", "host: *p"
    )
    assert rig.loop(text, name="slow").devices[0].arguments == {"size": 2}


def test_the_same_file_gives_the_same_plan(rig: Rig) -> None:
    assert rig.plan() == rig.plan()


def test_a_driver_in_a_parent_directory_is_found_by_its_relative_path(rig: Rig, good: str) -> None:
    below = rig.folder / "below"
    below.mkdir()
    (rig.folder / "plant.py").rename(below / "plant.py")
    assert rig.loop(good.replace("./plant.py", "below/plant.py")).devices[0].path == str(below / "plant.py")
