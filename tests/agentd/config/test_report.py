"""What `agentd check` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentd.config.plan import Resolution
from agentd.config.report import report

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig


def test_problems_are_a_line_each_and_counted(rig: Rig, good: str) -> None:
    text = good.replace("rate_hz: 50", "rate_hz: 0").replace("gain: 2", "gain: 11")
    lines = report(Resolution(problems=rig.problems(text))).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{rig.folder}/robot.yaml:7:14: ")
    assert lines[1].startswith(f"{rig.folder}/robot.yaml:16:15: ")
    assert lines[2] == "2 problems; nothing was started"


def test_a_good_configuration_is_summed_up_loop_by_loop(rig: Rig, good: str) -> None:
    plan = rig.plan(good.replace("setpoint: 20.0", "setpoint: host.temperature"))
    lines = report(Resolution(plan=plan)).splitlines()
    assert lines[0] == f"{rig.folder}/robot.yaml: good"
    assert "loop drive: 50 Hz, realtime, stall after 100 ms" in lines
    assert "  device plant: ./plant.py, simulated, 7 signals" in lines
    assert "  agent 1. keep: ./keep.py, output drives plant.heater" in lines
    assert any(
        line.startswith("  guard plant.heater <- keep.output: 0 to 0.9, safe 0, at most 5 per s")
        and line.endswith("only while plant.temperature < 80")
        for line in lines
    )
    assert any(line.startswith("  guard plant.travel <- nobody") for line in lines)
    assert "  reads from other loops: host.temperature" in lines
    assert lines[-1] == "node robot-1: keeps 3 days or 500 MB, dashboard on http://127.0.0.1:0"
