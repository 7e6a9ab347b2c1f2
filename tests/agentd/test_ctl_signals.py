"""`agentctl signals` and `tail`: values as they are and as they come, from a running node and from its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentd.ctl.errors import FAILED, OK
from agentd.ctl.follow import Followed, Sample, followed
from agentd.ctl.signals import matches
from agentd.runtime.guard import Verdict
from agentd.runtime.process_image import ProcessImage
from hal.clock import NS_PER_S
from hal.signal import Absent
from tests.agentd.ctl_site import Site


def one(site: Site, name: str) -> Followed:
    """One signal, followed from now on."""
    return followed(ProcessImage(site.runtime), [name])[0]


def values(samples: list[Sample]) -> list[float | int | bool | None]:
    """What was seen."""
    return [sample.value for sample in samples]


def test_a_signal_has_its_value_unit_age_and_loop(site: Site) -> None:
    site.publish("drive", {"robot.x": 1.5})
    line = next(line for line in site.run("signals").lines if line.startswith("robot.x "))
    assert "1.5 m" in line and " ms " in line and " drive " in line and "sensor" in line


def test_an_absent_signal_says_why(site: Site) -> None:
    site.publish("drive", {"vision.offset": Absent.INPUT_ABSENT})
    line = next(line for line in site.run("signals").lines if line.startswith("vision.offset "))
    assert "absent" in line and line.endswith("input absent")


def test_what_the_guard_did_stands_beside_an_actuator(site: Site) -> None:
    site.node.workers["drive"].verdicts["robot.speed"] = Verdict.SAFE_INTERLOCK
    site.publish("drive", {"robot.speed": 0.0})
    assert site.run("signals", "robot.speed").lines[-1].endswith("safe interlock")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("", True), ("speed", True), ("robot", True), ("robot.*", True), ("*.speed", True), ("robot.spee?", True),
     ("Robot", False), ("*.sp", False), ("x", False)],
)  # fmt: skip
def test_a_pattern_is_a_part_of_the_name_or_matches_all_of_it(pattern: str, expected: bool) -> None:
    assert matches("robot.speed", pattern) is expected


def test_a_pattern_that_matches_nothing_is_an_error_with_a_hint(site: Site) -> None:
    result = site.run("signals", "robot.sped")
    assert (result.status, result.out) == (FAILED, "")
    assert "did you mean robot.speed?" in result.err


def test_without_a_daemon_signals_come_from_its_files_and_say_so(site: Site) -> None:
    site.publish("drive", {"robot.x": 1.5})
    running = site.run("signals", "robot.x", "--json").json["signals"][0]
    site.stop()
    result = site.run("signals", "robot.x", "--json")
    (left,) = result.json["signals"]
    assert result.status == OK
    assert "files it left" in result.err and "old" in result.err
    changes = {"age_s", "owner_kind"}
    assert {k: v for k, v in left.items() if k not in changes} == {k: v for k, v in running.items() if k not in changes}
    assert left["age_s"] > running["age_s"]


def test_without_any_files_there_is_nothing_to_read(empty_site: Site) -> None:
    for command in (["signals"], ["tail", "robot.x"], ["blackbox"], ["events"]):
        result = empty_site.run(*command)
        assert (result.status, result.out) == (FAILED, "")


def test_a_damaged_file_is_named_and_the_others_are_read(site: Site) -> None:
    site.publish("slow", {"host.load_1m": 0.5})
    site.stop()
    path = site.runtime / "drive" / "ring.1"
    path.write_bytes(b"x" * 8192)
    result = site.run("signals", "host.load_1m", "--json")
    assert result.json["signals"][0]["value"] == 0.5
    assert str(path) in result.err


def test_every_tick_is_followed_and_none_twice(site: Site) -> None:
    signal = one(site, "robot.x")
    seen: list[Sample] = []
    for count in (3, 0, 200, 1):
        for _ in range(count):
            site.publish("drive", {"robot.x": len(seen) + 0.5})
            seen += list(signal.news(every=True))
    assert values(seen) == [i + 0.5 for i in range(204)]
    assert [sample.tick for sample in seen] == list(range(204))


def test_many_ticks_between_two_looks_are_all_seen(site: Site) -> None:
    signal = one(site, "robot.lap")
    for lap in range(400):
        site.publish("drive", {"robot.lap": lap})
    assert values(list(signal.news(every=True))) == list(range(400))


def test_ticks_that_were_overwritten_are_counted(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    signal = one(site, "robot.lap")
    site.publish("drive", {"robot.lap": 1}, ticks=600)
    found = list(signal.news(every=True))
    assert len(found) == 512
    assert "drive: 88 ticks were not read in time" in capsys.readouterr().err


def test_without_every_only_the_newest_is_shown_and_only_when_it_is_new(site: Site) -> None:
    signal = one(site, "robot.x")
    for x in (1.0, 2.0, 3.0):
        site.publish("drive", {"robot.x": x})
    assert values(list(signal.news(every=False))) == [3.0]
    assert list(signal.news(every=False)) == []
    site.publish("drive", {"robot.x": Absent.DEVICE_ERROR})
    (gone,) = signal.news(every=False)
    assert (gone.value, gone.reason) == (None, "device_error")


@pytest.mark.parametrize("every", [True, False])
def test_a_restarted_worker_is_followed_on(site: Site, every: bool) -> None:
    signal = one(site, "robot.x")
    site.publish("drive", {"robot.x": 1.0})
    assert values(list(signal.news(every))) == [1.0]
    site.node.start_worker("drive")
    site.publish("drive", {"robot.x": 2.0})
    assert values([*signal.news(every), *signal.news(every)]) == [2.0]


def test_a_loop_that_falls_silent_is_mentioned_once(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    time_ns = 10 * NS_PER_S
    monkeypatch.setattr("agentd.ctl.follow.now_ns", lambda: time_ns)
    signal = one(site, "robot.x")
    for _ in range(3):
        time_ns += 2 * NS_PER_S
        list(signal.news(every=True))
    assert capsys.readouterr().err.count("drive publishes nothing") == 1


def test_an_unknown_signal_is_an_error_with_a_hint(site: Site) -> None:
    result = site.run("tail", "robot.x", "robot.sped")
    assert (result.status, result.out) == (FAILED, "")
    assert "did you mean robot.speed?" in result.err


def test_a_line_has_time_name_value_and_unit(site: Site) -> None:
    site.publish("drive", {"robot.x": 1.25})
    (line,) = site.run("tail", "robot.x", "-n", "1").lines
    time, name, value, unit = line.split()
    assert len(time) == len("12:01:02.345")
    assert (name, value, unit) == ("robot.x", "1.25", "m")


def test_without_a_daemon_tail_shows_the_last_values_and_ends(site: Site) -> None:
    for lap in range(50):
        site.publish("drive", {"robot.lap": lap})
    site.stop()
    result = site.run("tail", "robot.lap", "--json")
    assert [json.loads(line)["value"] for line in result.lines] == list(range(40, 50))
    assert "files it left" in result.err
    assert len(site.run("tail", "robot.lap", "--every").lines) == 50


def test_an_array_is_told_by_its_index(site: Site) -> None:
    site.publish("drive", {"robot.camera": bytes(32 * 48)})
    assert "32x48 uint8" in site.run("signals", "robot.camera").lines[-1]
    assert json.loads(site.run("tail", "robot.camera", "-n", "1", "--json").out) | {"value": 0, "unit": "index"}


def test_an_empty_runtime_directory_has_no_signals(tmp_path: Path) -> None:
    assert ProcessImage(tmp_path).loops() == []
