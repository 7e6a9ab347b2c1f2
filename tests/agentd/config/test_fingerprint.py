"""A loop's hash changes with what its worker executes, and with nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gain: 2", "gain: 3"),
        ("        gain: 2\n", ""),
        ("setpoint: 20.0", "setpoint: 21.0"),
        ("node: robot-1", "# a comment\n\nnode: robot-1"),
        ("keep_days: 3", "keep_days: 4"),
        ("127.0.0.1:0", "127.0.0.1:1"),
        ("rate_hz: 1\n", "rate_hz: 2\n"),
    ],
)
def test_parameters_constants_and_other_sections_leave_the_loop_as_it_is(
    rig: Rig, good: str, old: str, new: str
) -> None:
    assert rig.loop(good.replace(old, new)).hash == rig.loop(good).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate_hz: 50", "rate_hz: 60"),
        ("realtime: true", "realtime: false"),
        ("size: 2", "size: 3"),
        ("setpoint: 20.0", "setpoint: plant.temperature"),
        ("high: 0.9", "high: 0.8"),
        ("< 80", "< 81"),
        ("gain: 2", "priority: 2"),
        ("values: [1, 2.5]", "values: [1, 2.5], seed: 4"),
        ("keep:\n", "kept:\n"),
        ("robot-1", "robot-2"),
    ],
)
def test_everything_else_makes_it_another_loop(rig: Rig, good: str, old: str, new: str) -> None:
    assert rig.loop(good.replace(old, new)).hash != rig.loop(good).hash


def test_changed_code_beside_the_configuration_makes_it_another_loop(rig: Rig, good: str) -> None:
    before = {loop.name: loop.hash for loop in rig.plan(good).loops}
    with (rig.folder / "keep.py").open("a") as file:
        file.write("# changed\n")
    after = {loop.name: loop.hash for loop in rig.plan(good).loops}
    assert before["drive"] != after["drive"] and before["slow"] == after["slow"]


def test_a_foreign_signal_counts_with_its_type_and_unit_and_not_with_its_documentation(rig: Rig, good: str) -> None:
    plant = (rig.folder / "plant.py").read_text()

    def hash_with(text: str, name: str) -> str:
        (rig.folder / f"{name}.py").write_text(text)
        config = good.replace("host: {driver: ./plant.py}", f"host: {{driver: ./{name}.py}}")
        return rig.loop(config.replace("setpoint: 20.0", "setpoint: host.temperature")).hash

    first = hash_with(plant, "a")
    assert hash_with(plant.replace("of the oven", "of the hearth"), "b") == first
    assert hash_with(plant.replace('"degC"', '"degF"'), "c") != first
