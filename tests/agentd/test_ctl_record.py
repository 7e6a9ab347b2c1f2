"""`agentctl record`: a person finds what was recorded, sees it, and takes it away, with a daemon or without."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from agentd.ctl.errors import FAILED, OK, WRONG_USE
from agentd.runtime.guard import Verdict
from hal.clock import NS_PER_S, utc_ns
from hal.signal import Absent
from tests.agentd.ctl_site import Site
from tests.agentd.record_parts import COUNT, LOAD, SPEED, START_NS, T0, Past, X, ramp


@pytest.fixture
def past(empty_site: Site, tmp_path: Path) -> Past:
    """A record in the state directory of a site where nothing runs."""
    return Past(tmp_path / "past", empty_site.state)


def test_the_list_is_the_default_and_says_what_when_and_how_much(empty_site: Site, past: Past) -> None:
    ramp(past)
    past.loop("slow", LOAD).tick(0.5)
    past.write()
    found = empty_site.run("record")
    assert found.status == OK
    assert found.lines[0].split() == ["signal", "unit", "type", "loop", "samples", "from", "to"]
    assert [line.split()[0] for line in found.lines[1:]] == ["host.load_1m", "robot.x"]
    assert found.lines[2].split()[:5] == ["robot.x", "m", "float", "drive", str(COUNT)]
    assert empty_site.run("record", "list").out == found.out


def test_the_list_as_json(empty_site: Site, past: Past) -> None:
    ramp(past)
    for words in (("record", "--json"), ("record", "list", "--json"), ("--json", "record", "list")):
        (signal,) = empty_site.run(*words).json["signals"]
        assert (signal["name"], signal["samples"], signal["from_utc_ns"]) == ("robot.x", COUNT, T0)


def test_without_a_record_it_says_so(empty_site: Site) -> None:
    for words in (("list",), ("show", "robot.x"), ("export", "robot.x")):
        found = empty_site.run("record", *words)
        assert (found.status, found.out) == (FAILED, "")
        assert "nothing was recorded here yet" in found.err


def test_an_empty_record_says_so(empty_site: Site, past: Past) -> None:
    past.write()
    assert empty_site.run("record").out == "nothing is recorded yet\n"
    found = empty_site.run("record", "show", "robot.x")
    assert (found.status, found.out) == (FAILED, "")
    assert "nothing is recorded yet" in found.err


def test_an_unknown_signal_names_the_nearest(empty_site: Site, past: Past) -> None:
    ramp(past)
    for action in ("show", "export"):
        found = empty_site.run("record", action, "robot.xx")
        assert (found.status, found.out) == (FAILED, "")
        assert "did you mean robot.x?" in found.err


def test_show_prints_the_newest_ticks_and_what_is_to_be_said(empty_site: Site, past: Past) -> None:
    drive = past.loop("drive", X, SPEED)
    drive.tick(1.0, 0.5)
    drive.tick(2.0, 0.5)
    drive.tick(Absent.NO_ANSWER, (0.0, Verdict.SAFE_STALE))
    past.write()
    found = empty_site.run("record", "show", "robot.x", "robot.speed", "-n", "2")
    assert [line.split() for line in found.lines] == [
        ["utc", "tick", "robot.x", "[m]", "robot.speed", "[m/s]"],
        ["2023-11-14T22:30:00.010000Z", "1", "2", "0.5"],
        ["2023-11-14T22:30:00.020000Z", "2", "absent", "0", "no", "answer,", "safe", "stale"],
    ]


def test_show_as_json_has_everything(empty_site: Site, past: Past) -> None:
    ramp(past)
    found = empty_site.run("record", "show", "robot.x", "-n", "1", "--to", "2023-11-14T22:30:00.01Z", "--json").json
    assert (found["signals"], found["units"]) == (["robot.x"], ["m"])
    assert found["rows"] == [
        {"utc_ns": T0, "time_ns": START_NS, "loop": "drive", "tick": 0, "values": [0.0], "remarks": [""]}
    ]


def test_show_of_a_time_without_rows_says_when_there_are_some(empty_site: Site, past: Past) -> None:
    ramp(past)
    found = empty_site.run("record", "show", "robot.x", "--from", "-10m")
    assert (found.status, found.out) == (FAILED, "")
    assert "recorded is 2023-11-14T22:30:00.000000000Z to 2023-11-14T22:30:00.290000000Z" in found.err


def test_minutes_ago_are_a_time_not_an_option(empty_site: Site, past: Past) -> None:
    past.offset_ns = utc_ns() - past.now_ns - NS_PER_S  # all of it is past by now
    ramp(past)
    for since in (("--from", "-10m"), ("--from=-10m",), ("--from", "-1.5h", "--to", "now")):
        found = empty_site.run("record", "export", "robot.x", *since)
        assert (found.status, len(found.lines)) == (OK, COUNT + 1)


def test_a_time_that_is_none_says_what_was_expected(empty_site: Site, past: Past) -> None:
    ramp(past)
    found = empty_site.run("record", "show", "robot.x", "--from", "yesterday")
    assert found.status == WRONG_USE
    assert "'yesterday': expected now, -90s" in found.err


def test_a_span_that_is_the_wrong_way_round_is_refused(empty_site: Site, past: Past) -> None:
    ramp(past)
    found = empty_site.run("record", "export", "robot.x", "--from", "now", "--to", "-10m")
    assert found.status == FAILED
    assert "is not before --to" in found.err


def test_export_goes_to_the_standard_output_and_nothing_else_does(empty_site: Site, past: Past) -> None:
    ramp(past)
    found = empty_site.run("record", "export", "robot.x")
    lines = list(csv.reader(io.StringIO(found.out)))
    assert lines[0] == ["utc", "tick", "robot.x [m]"]
    assert len(lines) == COUNT + 1
    assert empty_site.run("record", "export", "robot.x", "--csv", "-").out == found.out


def test_export_to_a_file_says_how_much_it_wrote(empty_site: Site, past: Past, tmp_path: Path) -> None:
    ramp(past)
    path = tmp_path / "x.csv"
    found = empty_site.run("record", "export", "robot.x", "--csv", str(path), "--raw-time", "--why")
    assert (found.status, found.out) == (OK, "")
    assert f"{path}: {COUNT} rows" in found.err
    assert path.read_text().splitlines()[:2] == ["utc_ns,tick,robot.x [m],robot.x.reason", f"{T0},0,0.0,"]
    as_json = empty_site.run("record", "export", "robot.x", "--csv", str(path), "--json").json
    assert as_json == {"file": str(path), "rows": COUNT}


def test_a_file_that_cannot_be_written_is_named(empty_site: Site, past: Past, tmp_path: Path) -> None:
    ramp(past)
    found = empty_site.run("record", "export", "robot.x", "--csv", str(tmp_path / "nowhere" / "x.csv"))
    assert found.status == FAILED
    assert "nowhere/x.csv: No such file or directory" in found.err


def test_what_is_damaged_is_named_and_the_rest_comes(empty_site: Site, past: Past) -> None:
    ramp(past)
    past.change("UPDATE chunk SET data = x'00' WHERE id = ?", past.chunks()[1][0])
    found = empty_site.run("record", "export", "robot.x")
    assert (found.status, len(found.lines)) == (OK, COUNT - 10 + 1)
    assert "of loop drive is damaged" in found.err


def test_a_running_daemon_is_no_obstacle(empty_site: Site, past: Past) -> None:
    ramp(past)
    empty_site.start()
    assert len(empty_site.run("record", "show", "robot.x", "-n", "5").lines) == 6
