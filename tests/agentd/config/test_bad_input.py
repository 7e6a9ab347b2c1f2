"""Bad configurations: each is a clear error with its line, and nothing else is complained about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.agentd.config.conftest import Rig


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"", 0, "empty"),
        (b"# nothing here\n\n", 0, "empty"),
        (b"- node\n", 1, "expected a mapping"),
        (b"just text", 1, "expected a mapping"),
        (b"node: robot\nloops: {drive: [}\n", 2, "not YAML"),
        (b"node: a: b\n", 1, "not YAML"),
        (b"node: robot\nloops:\n\tdrive: 1\n", 3, "a tab in the indentation"),
        (b"node: robot\nnode2: \xff\n", 2, "not UTF-8"),
        (b"node: 'robot\n", 2, "not YAML"),
        (b"node: robot\n---\nnode: other\n", 2, "second document"),
        (b"%YAML 1.1\n---\nnode: robot\n", 2, "expected YAML 1.2"),
        (b"node: !!python/name:os.system robot\n", 1, "tag"),
        (b"a: &a {x: 1}\nb:\n  <<: *a\n", 3, "merge key"),
        (b"a: &a [*a]\n", 1, "alias *a"),
        (b"a: .inf\n", 1, "expected a finite number"),
        (b"a: 1e999\n", 1, "expected a finite number"),
        (b"a: 123456789012345678901\n", 1, "64 bits"),
        (b"a: b\x00\n", 1, "not YAML"),
        (b'a: "\\U99999999"\n', 1, "not YAML"),
        (b"[" * 5000, 1, "nested deeper"),
        (b"a: " + b"x" * 1024 * 1024, 0, "larger than"),
        (b"[" + b"1," * 60_000 + b"1]", 1, "more than 50000 values"),
        (b"a: &a [" + b"1," * 40_000 + b"1]\nb: *a\n", 2, "more than 50000 values"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_problem_at_its_line(
    rig: Rig, text: bytes, line: int, message: str
) -> None:
    (problem,) = rig.problems(text)
    assert message in problem.message
    assert problem.line == line


def test_aliases_that_double_again_and_again_end_at_the_limit(rig: Rig) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    (problem,) = rig.problems("a0: &a0 [1]\n" + levels)
    assert "more than 50000 values" in problem.message


def test_a_missing_file_a_directory_and_a_pipe_are_refused_at_once(rig: Rig) -> None:
    import os

    from agentd.config.resolve import resolve

    os.mkfifo(rig.folder / "pipe")
    for name, message in (("none.yaml", "No such file"), ("", "regular file"), ("pipe", "regular file")):
        (problem,) = resolve(str(rig.folder / name)).problems
        assert message in problem.message


def test_a_duplicate_key_names_both_lines(rig: Rig) -> None:
    line, message = rig.problem("    rate_hz: 50\n", "    rate_hz: 50\n    rate_hz: 60\n")
    assert line == 8 and "duplicate key 'rate_hz'" in message and "line 7" in message


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        # names of parts
        (
            "host: {driver: ./plant.py}",
            "host: {driver: linux.hots}",
            4,
            ["unknown driver 'linux.hots'", "'linux.host'"],
        ),
        ("host: {driver: ./plant.py}", "host: {driver: ../.}", 4, ["unknown driver"]),
        ("host: {driver: ./plant.py}", "host: {driver: ./plannt.py}", 4, ["there is no file", "'plant.py'"]),
        ("host: {driver: ./plant.py}", "host: {driver: ./keep.py}", 4, ["one public subclass of Device", "found none"]),
        ("host: {driver: ./plant.py}", "host: {driver: 3}", 4, ["host.driver: found 3, expected a name"]),
        ("host: {driver: ./plant.py}", "host: {drivr: ./plant.py}", 4, ["needs `driver: NAME`", "'drivr'"]),
        ("host: {driver: ./plant.py}", "host: ./plant.py", 4, ["expected a section"]),
        ("agent: ./keep.py", "agent: pdi", 12, ["unknown agent 'pdi'", "'pid'"]),
        # constructor parameters
        ("size: 2", "size: two", 3, ["plant.size: found 'two', expected a whole number"]),
        ("size: 2", "size: true", 3, ["plant.size: found true, expected a whole number"]),
        ("size: 2", "size: 0", 3, ["plant: size 0: expected 1 or more"]),
        ("size: 2", "sizze: 2", 3, ["unknown key 'sizze'", "'size'"]),
        ("size: 2", "tags: [a, 1]", 3, ["plant.tags", "expected a list of texts"]),
        ("values: [1, 2.5]", "values: 3", 17, ["typed.values: found 3, expected a list of numbers"]),
        ("values: [1, 2.5], ", "", 17, ["typed: values is missing; ./typed.py expects a list of numbers"]),
        ("values: [1, 2.5]", "values: [1], generator: 3", 17, ["unknown key 'generator'"]),
        ("values: [1, 2.5]", "values: [1], seed: -1", 17, ["typed.seed: found -1, expected 0 or more"]),
        # inputs
        (
            "measured: plant.temperature",
            "measured: plant.temprature",
            13,
            ["'plant.temprature'", "'plant.temperature'"],
        ),
        (
            "measured: plant.temperature",
            "measured: plnt.temperature",
            13,
            ["'plnt.temperature'", "'plant.temperature'"],
        ),
        ("measured: plant.temperature", "measured: plant.zzzzz", 13, ["unknown signal", "plant has temperature"]),
        ("measured: plant.temperature", "measured: zzz", 13, ["expected OWNER.SIGNAL", "plant"]),
        ("measured: plant.temperature", "measured: other/plant.x", 13, ["other nodes arrive in a later version"]),
        ("        measured: plant.temperature\n", "", 11, ["keep.measured: is not wired", "a signal or a number"]),
        (
            "measured: plant.temperature",
            "measured: [plant.temperature]",
            13,
            ["found a list of 1", "a signal or a number"],
        ),
        ("measured: plant.temperature", "measured: plant.picture", 13, ["an array of uint8 4x6", "expected a float"]),
        (
            "measured: plant.temperature",
            "measured: {signl: plant.temperature}",
            13,
            ["found a section with signl", "{signal: OWNER"],
        ),
        (
            "measured: plant.temperature",
            "measured: {delayed: true}",
            13,
            ["{signal: OWNER.SIGNAL, delayed: true, initial: NUMBER}"],
        ),
        ("setpoint: 20.0", "setpoint: 200.0", 14, ["keep.setpoint: found 200.0, expected -100 to 100"]),
        ("setpoint: 20.0", "setpoint: true", 14, ["keep.setpoint: found true, expected a signal or a number"]),
        ("setpoint: 20.0", "setpiont: 20.0", 14, ["unknown key 'setpiont'", "'setpoint'"]),
        ("metres: plant.position", "metres: plant.temperature", 17, ["typed.metres", "a temperature", "a length"]),
        ("metres: plant.position", "whole: plant.temperature", 17, ["typed.whole", "is a float, expected an int"]),
        ("metres: plant.position", "many: [plant.position, plant.picture]", 17, ["one number each"]),
        ("metres: plant.position", "many: []", 17, ["expected a list of one or more signals"]),
        ("metres: plant.position", "pair: [plant.flag]", 17, ["expected a list of 2 signals"]),
        ("metres: plant.position", "many: plant.picture", 17, ["uint8 4x6", "a list of signals"]),
        ("metres: plant.position", "many: [1]", 17, ["found 1 in the list, expected a signal"]),
        ("metres: plant.position", "picture: [plant.flag]", 17, ["a signal that is an array of uint8 4x6"]),
        # outputs and parameters
        ("output: plant.heater", "output: plant.temperature", 15, ["not an actuator", "plant.heater, plant.travel"]),
        ("output: plant.heater", "output: host.heater", 15, ["belongs to loop slow"]),
        ("output: plant.heater", "output: 3", 15, ["expected the name of an actuator"]),
        ("output: plant.heater", "applied: plant.heater", 15, ["keep.applied: is applied, which is never wired"]),
        ("metres: plant.position", "distance: plant.heater", 17, ["typed.distance", "a length", "a plain number"]),
        ("gain: 2", "gain: 11", 16, ["keep.gain: found 11, expected 0 to 10"]),
        ("gain: 2", "gain: high", 16, ["keep.gain: found 'high', expected a number"]),
        ("gain: 2", "active: 1", 16, ["keep.active: found 1, expected true or false"]),
        ("gain: 2", "priority: -1", 16, ["keep.priority: found -1, expected a whole number from 0 to 100"]),
        # wiring as a whole
        ("setpoint: 20.0", "setpoint: keep.output", 14, ["cyclic wiring: keep -> keep", "delayed: true"]),
        (
            "setpoint: 20.0",
            "setpoint: {signal: keep.output, delayed: true}",
            14,
            ["keep: waits for itself: keep -> keep: at the first tick nobody has set keep.output", "initial: NUMBER}"],
        ),
        ("setpoint: 20.0", "setpoint: {signal: plant.count, initial: 1}", 14, ["for a delayed input"]),
        (
            "setpoint: 20.0",
            "setpoint: {signal: keep.output, delayed: true, initial: 900}",
            14,
            ["keep.setpoint.initial: found 900, expected -100 to 100"],
        ),
        # loops
        ("rate_hz: 50", "rate_hz: 0", 7, ["loops.drive.rate_hz: found 0, expected a rate from 0.01 to 2000 Hz"]),
        ("rate_hz: 50", "rate_hz: 5000", 7, ["found 5000"]),
        ("rate_hz: 50", "rate_hz: fast", 7, ["found 'fast'"]),
        ("    rate_hz: 50\n", "", 6, ["rate_hz is missing"]),
        ("realtime: true", "realtime: yes", 8, ["found 'yes', expected true or false"]),
        ("realtime: true", "realtme: true", 8, ["unknown key 'realtme'", "'realtime'"]),
        ("devices: [plant]", "devices: [plant, host]", 20, ["host is in loop drive already"]),
        ("devices: [host]", "devices: [hosst]", 20, ["unknown device 'hosst'", "'host'"]),
        ("  slow:\n    rate_hz: 1\n    devices: [host]\n", "", 4, ["host: is in no loop"]),
        ("devices: [host]", "devices: host", 20, ["expected a list"]),
        # names
        ("node: robot-1", "node: Robot 1", 1, ["node: found 'Robot 1', expected a name"]),
        ("node: robot-1\n", "", 0, ["node is missing"]),
        ("  slow:", "  Slow:", 18, ["loop 'Slow': expected a name"]),
        ("typed: {", "Typed: {", 17, ["agent 'Typed': expected a name"]),
        ("typed: {", "host: {", 17, ["agent 'host': the name is taken on line 4"]),
        ("typed: {", "node: {", 17, ["reserved"]),
        # guard
        ("plant.heater: {high", "plant.heatr: {high", 22, ["'plant.heatr'", "'plant.heater'"]),
        ("plant.heater: {high", "plant.count: {high", 22, ["plant.count is not an actuator"]),
        ("high: 0.9", "high: 1.5", 22, ["found 1.5", "own range 0 to 1", "may only narrow"]),
        ("high: 0.9", "high: 0.5, low: 0.6", 22, ["found 0.6, expected low 0.6 <= high 0.5"]),
        ("high: 0.9", "safe: 2", 22, ["guard.plant.heater.safe: found 2, expected a value from 0 to 1"]),
        ("plant.heater: {high: 0.9", "plant.travel: {high: 0.05", 22, ["safe value 0.1 is outside", "set `safe:`"]),
        ("high: 0.9", "slew_per_s: 9", 22, ["expected at most the driver's own limit, 5"]),
        ("high: 0.9", "slew_per_s: 0", 22, ["expected a number above 0"]),
        ("high: 0.9", "stale_after_s: 0.01", 22, ["at least one period of loop drive, 0.02 s"]),
        ("high: 0.9", "hihg: 0.9", 22, ["unknown key 'hihg'", "'high'"]),
        (
            "plant.temperature < 80",
            "plant.temperature = 80",
            22,
            ["found 'plant.temperature = 80', expected `SIGNAL >"],
        ),
        ("plant.temperature < 80", "plant.temperature < hot", 22, ["expected `SIGNAL > NUMBER`"]),
        ("plant.temperature < 80", "plant.temprature < 80", 22, ["'plant.temprature'", "'plant.temperature'"]),
        ("plant.temperature < 80", "plant.picture < 80", 22, ["is an array"]),
        ("[plant.temperature < 80]", "plant.temperature < 80", 22, ["expected a list of"]),
        # the rest
        ("record:", "rekord:", 23, ["unknown key 'rekord'", "'record'"]),
        ("record:", "uplinks: []\nrecord:", 23, ["uplinks arrive in a later version"]),
        ("keep_days: 3", "keep_days: -3", 23, ["found -3, expected a number of days above 0"]),
        ("127.0.0.1:0", "8080", 24, ["found 8080, expected HOST:PORT"]),
        ("127.0.0.1:0", "127.0.0.1:99999", 24, ["expected HOST:PORT with a port from 0 to 65535"]),
        ("127.0.0.1:0", "0.0.0.0:8080", 24, ["found 0.0.0.0, expected 127.0.0.1 or [::1]"]),
        ("127.0.0.1:0", "robot.local:8080", 24, ["found host 'robot.local'"]),
    ],
)
def test_one_mistake_is_one_problem_at_its_line(rig: Rig, old: str, new: str, line: int, parts: list[str]) -> None:
    found_line, message = rig.problem(old, new)
    for part in parts:
        assert part in message
    assert found_line == line


@pytest.mark.parametrize("key", ["low", "high", "safe"])
def test_a_range_of_whole_numbers_has_whole_ends(rig: Rig, good: str, key: str) -> None:
    gear = "    gear: int = Actuator(low=0, high=5, safe=1)\n"
    plant = (rig.folder / "plant.py").read_text()
    (rig.folder / "plant.py").write_text(plant.replace("    def __init__", gear + "\n    def __init__"))
    text = good.replace("  plant.heater:", f"  plant.gear: {{{key}: 2.5}}\n  plant.heater:")
    (problem,) = rig.problems(text)
    assert f"guard.plant.gear.{key}: found 2.5, expected a whole number" in problem.message


def test_a_cycle_through_two_agents_is_named_and_placed_once(rig: Rig, good: str) -> None:
    text = good.replace("setpoint: 20.0", "setpoint: typed.distance").replace(
        "metres: plant.position", "pair: [keep.output, plant.flag]"
    )
    (problem,) = rig.problems(text)
    assert "cyclic wiring: " in problem.message
    assert "keep -> typed -> keep" in problem.message or "typed -> keep -> typed" in problem.message
    assert problem.line == 17


def test_two_agents_on_one_actuator_without_priorities_name_both_lines(rig: Rig, good: str) -> None:
    other = "other: {agent: ./keep.py, measured: 1, setpoint: 2, output: plant.heater}"
    (problem,) = rig.problems(good.replace("      typed:", f"      {other}\n      typed:"))
    assert "keep.output (line 15)" in problem.message and "other.output (line 17)" in problem.message
    assert "priority" in problem.message
    assert problem.line == 17


def test_an_import_error_in_a_file_of_ones_own_shows_its_own_line(rig: Rig) -> None:
    (rig.folder / "broken.py").write_text("import math\n\nmath.missing\n")
    line, message = rig.problem("agent: ./keep.py", "agent: ./broken.py")
    assert line == 12
    assert "broken.py:3: AttributeError" in message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:\n", "broken.py:1: SyntaxError"),
        ("import no_such_module\n", "broken.py:1: ModuleNotFoundError: No module named 'no_such_module'; install it"),
        ("raise SystemExit(0)\n", "SystemExit"),
        (
            "from agents.agent import Agent, Input\nclass A(Agent):\n    x: str = Input()\n",
            "broken.py:2: DeclarationError",
        ),
        (
            "from agents.agent import Agent\nclass A(Agent):\n    def __init__(self, x): pass\n",
            "constructor parameter 'x' needs a type",
        ),
        (
            "from agents.agent import Agent\nclass A(Agent):\n    def __init__(self) -> None:\n        1 / 0\n",
            "its constructor raised broken.py:4 ZeroDivisionError",
        ),
        ("from agents.agent import Agent\nclass A(Agent): pass\nclass B(Agent): pass\n", "found A, B"),
    ],
)
def test_broken_code_beside_the_configuration_is_one_problem(rig: Rig, good: str, code: str, message: str) -> None:
    (rig.folder / "broken.py").write_text(code)
    agent = "other: {agent: ./broken.py}"
    (problem,) = rig.problems(good.replace("      typed:", f"      {agent}\n      typed:"))
    assert message in problem.message
    assert problem.line == 17


def test_the_signals_of_a_part_that_failed_are_not_complained_about(rig: Rig) -> None:
    line, message = rig.problem("size: 2", "size: -2")
    assert (line, message) == (3, "plant: size -2: expected 1 or more")


def test_all_problems_come_at_once_in_the_order_of_the_file(rig: Rig, good: str) -> None:
    text = (
        good.replace("node: robot-1", "node: 7")
        .replace("host: {driver: ./plant.py}", "host: {driver: linux.hots}")
        .replace("rate_hz: 50", "rate_hz: 0")
        .replace("measured: plant.temperature", "measured: plant.temprature")
        .replace("gain: 2", "gian: 2")
        .replace("values: [1, 2.5]", "values: none")
        .replace("high: 0.9", "high: 9")
        .replace("plant.temperature < 80", "hot")
        .replace("record:", "rekord:")
        .replace("127.0.0.1:0", "here")
    )
    problems = rig.problems(text)
    assert [problem.line for problem in problems] == [1, 4, 7, 13, 16, 17, 22, 22, 23, 24]


@pytest.mark.parametrize("rate", ["0", "1000000", "fast"])
def test_a_wrong_rate_blames_no_other_number_for_it(rig: Rig, good: str, rate: str) -> None:
    text = good.replace("high: 0.9", "high: 0.9, stale_after_s: 0.05").replace("rate_hz: 50", f"rate_hz: {rate}")
    (problem,) = rig.problems(text)
    assert "loops.drive.rate_hz" in problem.message


def test_a_problem_is_printed_with_file_line_and_column(rig: Rig, good: str) -> None:
    (problem,) = rig.problems(good.replace("rate_hz: 50", "rate_hz: 0"))
    assert str(problem).startswith(f"{rig.folder}/robot.yaml:7:14: loops.drive.rate_hz: found 0, expected")
