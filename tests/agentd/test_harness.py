"""The test kit's harness: its own example runs, and what it cannot run it says."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from agentd.runtime.guard import Verdict
from agentd.testing import harness
from agentd.testing.harness import Parts, SimulatedLoop, run_loop
from agents.threshold import Threshold
from hal.clock import VirtualClock
from hal.device import Device
from hal.signal import Absent, Sensor, Tick
from hal.units import UnitError
from tests.agentd.loop_parts import Follow, Motor, robot

OVEN = '''
"""An oven."""
from hal.device import Device
from hal.signal import Actuator, Sensor, Tick


class Oven(Device):
    temperature: float = Sensor(unit="degC")
    heater: float = Actuator(low=0.0, high=1.0, safe=0.0)
    heat = 20.0

    def read(self, tick: Tick) -> None:
        self.heat += (self.heater * 100.0 - (self.heat - 20.0)) * tick.dt_s
        self.temperature = self.heat
'''

NODE = """
node: bakery
devices:
  oven: {driver: ./oven.py}
loops:
  bake:
    rate_hz: 50
    devices: [oven]
    agents:
      keep: {agent: threshold, measured: oven.temperature, output: oven.heater, above: 59, below: 61}
"""


def test_the_example_in_the_docstring_runs() -> None:
    assert harness.__doc__ is not None
    example = "".join(line + "\n" for line in harness.__doc__.splitlines() if line.startswith("    ") or not line)
    names = {
        "Device": Device, "Parts": Parts, "Threshold": Threshold, "Tick": Tick, "Verdict": Verdict,
        "run_loop": run_loop,
    }  # fmt: skip
    exec("from hal.signal import Actuator, Sensor\n" + textwrap.dedent(example), names)
    assert "run" in names


def test_a_configuration_file_is_run_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "oven.py").write_text(OVEN)
    (tmp_path / "node.yaml").write_text(NODE)
    run = run_loop(tmp_path / "node.yaml", ticks=400)
    temperatures = [value for value in run.values("oven.temperature") if value is not None]
    assert len(temperatures) == 400
    assert max(temperatures) == pytest.approx(61, abs=2)
    assert run.verdicts("oven.heater")[-1] is Verdict.AS_ASKED


def test_the_problems_of_a_configuration_are_told(tmp_path: Path) -> None:
    (tmp_path / "oven.py").write_text(OVEN)
    (tmp_path / "node.yaml").write_text(NODE.replace("oven.heater", "oven.heatre"))
    with pytest.raises(ValueError, match=r"oven\.heater"):
        run_loop(tmp_path / "node.yaml", ticks=1)


def test_a_wire_from_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"motor\.speeed: no device"):
        run_loop(Parts(devices={"motor": Motor()}, agents={"f": Follow()}, wires={"f.measured": "motor.speeed"}), 1)
    with pytest.raises(ValueError, match=r"f\.mesured: expected some of .*f\.measured"):
        run_loop(Parts(devices={"motor": Motor()}, agents={"f": Follow()}, wires={"f.mesured": "motor.speed"}), 1)


def test_units_that_do_not_fit_are_an_error() -> None:
    class Bath(Device):
        heat: float = Sensor(unit="degC")

    with pytest.raises(UnitError, match="temperature"):
        run_loop(Parts(devices={"bath": Bath()}, agents={"f": Follow()}, wires={"f.measured": "bath.heat"}), 1)


def test_values_are_none_where_they_are_absent() -> None:
    motor, _, parts = robot(VirtualClock())
    motor.at = None
    run = run_loop(parts, 2)
    assert run.values("motor.position") == [None, None]
    assert run.absent("follow.speed") == [Absent.INPUT_ABSENT] * 2
    assert run.values("motor.speed") == [0.0, 0.0]


def test_nothing_is_left_behind() -> None:
    motor, _, parts = robot(VirtualClock())
    with SimulatedLoop(parts) as loop:
        loop.run(2)
        folder = loop.runtime
        assert folder.is_dir()
    assert not folder.exists()
    assert motor.log[-1] == "close motor"
