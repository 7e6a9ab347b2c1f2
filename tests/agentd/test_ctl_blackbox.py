"""`agentctl blackbox`: how each worker ended and what it did last, from the files alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from agentd.config.plan import SignalPlan
from agentd.ctl.blackbox_files import BlackBox, black_boxes, ending, flags
from agentd.ctl.errors import FAILED, OK
from agentd.runtime.guard import Verdict
from agentd.runtime.loop import crumb
from agentd.runtime.ring import Flag, Layout, Phase, RingReader, RingWriter, Word, WorkerState
from hal.clock import NS_PER_S, boot_id, now_ns
from hal.signal import Absent
from tests.agentd.ctl_site import Site

PERIOD_NS = 10_000_000
COLUMNS = (
    SignalPlan(name="robot.x", unit="m"),
    SignalPlan(name="robot.lap", type="int"),
    SignalPlan(name="robot.off_track", type="bool"),
    SignalPlan(name="robot.speed", unit="m/s", role="actuator"),
)


def write_ring(
    folder: Path, generation: int, ticks: int, began_ns: int, columns: tuple[SignalPlan, ...] = COLUMNS
) -> Path:
    """What a worker leaves: `ticks` rows, the last one late and with an absent value."""
    layout = Layout(
        node="robot-1", loop="drive", generation=generation, boot_id=boot_id(), period_ns=PERIOD_NS,
        columns=columns, parts=("robot", "vision"), pid=100 + generation,
    )  # fmt: skip
    path = folder / f"ring.{generation}"
    writer = RingWriter(path, layout, 512)
    for tick in range(ticks):
        last = tick == ticks - 1
        time_ns = began_ns + tick * PERIOD_NS
        told = {"robot.x": tick / 4, "robot.lap": tick, "robot.off_track": True, "robot.speed": 0.3}
        values = [told[column.name] for column in columns]
        stamps = (time_ns,) * len(columns)
        why = {"robot.x": Absent.DEVICE_ERROR if last else 0, "robot.speed": Verdict.CLAMPED}
        reasons = bytes(why.get(column.name, 0) for column in columns)
        fixed = (tick, time_ns, 0.01, Flag.LATE | Flag.MISSED if last else 0, 60_000, 1, 2, 3, 4, 5, 500_000)
        writer.publish(*fixed, 300_000, 100_000, *values, *stamps, reasons)
    writer.words[Word.STATE] = WorkerState.RUNNING
    writer.words[Word.HEARTBEAT_NS] = began_ns + ticks * PERIOD_NS
    writer.close()
    return path


def mark(path: Path, word: Word, value: int) -> None:
    """One more word of a dead worker's ring."""
    data = bytearray(path.read_bytes())
    data[word * 8 : word * 8 + 8] = value.to_bytes(8, "little")
    path.write_bytes(data)


@pytest.fixture
def folder(empty_site: Site) -> Path:
    """A loop with two dead generations of 300 ticks, the older one a minute before."""
    found = empty_site.runtime / "drive"
    write_ring(found, 1, 300, now_ns() - 120 * NS_PER_S)
    write_ring(found, 2, 300, now_ns() - 60 * NS_PER_S)
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({Word.BREADCRUMB: crumb(1, Phase.STEP)}, "ended inside vision (step), silent for 57"),
        ({Word.BREADCRUMB: crumb(0, Phase.WRITE)}, "ended inside robot (write)"),
        ({Word.STATE: WorkerState.STOPPING}, "stopped, silent for"),
        ({Word.TICK_BEGAN_NS: 1}, "ended inside a tick while running"),
        ({}, "ended between two ticks while running"),
        ({Word.STATE: WorkerState.HOLDING}, "ended between two ticks while holding"),
        ({Word.STATE: 99}, "damaged"),
        ({Word.BREADCRUMB: 99 << 32 | 1}, "ended between two ticks"),
    ],
)
def test_it_says_how_a_worker_ended(folder: Path, words: dict[Word, int], said: str) -> None:
    for word, value in words.items():
        mark(folder / "ring.2", word, value)
    ring = RingReader(folder / "ring.2")
    assert ending(ring, now_ns()).startswith(said)
    ring.close()


def test_a_living_worker_runs(folder: Path) -> None:
    mark(folder / "ring.2", Word.HEARTBEAT_NS, now_ns())
    ring = RingReader(folder / "ring.2")
    assert ending(ring, now_ns()) == "runs"
    ring.close()


def boxes(folder: Path, generation: int | None = None, last_s: float | None = None) -> list[BlackBox]:
    """All at once."""
    return list(black_boxes(folder, generation, last_s))


def test_every_generation_is_read_oldest_first(folder: Path) -> None:
    assert [len(box.rows) for box in boxes(folder)] == [300, 300]
    first, second = (box.rows[0].time_ns for box in boxes(folder))
    assert first < second


def test_the_last_seconds_are_those_before_each_end(folder: Path) -> None:
    assert [len(box.rows) for box in boxes(folder, last_s=0.5)] == [50, 50]
    assert [box.rows[-1].tick for box in boxes(folder, last_s=0.5)] == [299, 299]


def test_one_generation_can_be_asked_for(empty_site: Site, folder: Path) -> None:
    (box,) = empty_site.run("blackbox", "--generation", "1", "--json").json["boxes"]
    assert (box["generation"], box["pid"], len(box["rows"])) == (1, 101, 300)


def test_flags_are_words(folder: Path) -> None:
    assert flags(boxes(folder)[0].rows[-1]) == ["late", "missed"]
    assert flags(boxes(folder)[0].rows[0]) == []


def test_the_overview_has_a_glance_at_every_generation(empty_site: Site, folder: Path) -> None:
    result = empty_site.run("blackbox")
    assert (result.status, result.err) == (OK, "")
    assert "drive, generation 1 (pid 101): 300 ticks" in result.out
    assert "drive, generation 2 (pid 102): 300 ticks" in result.out
    assert result.out.count("late missed") == 2
    assert max(map(len, result.lines)) <= 80


def test_one_loop_is_shown_with_its_last_values(empty_site: Site, folder: Path) -> None:
    lines = [line.split() for line in empty_site.run("blackbox", "drive").lines]
    assert ["robot.x", "absent", "device", "error"] in lines
    assert ["robot.lap", "299"] in lines
    assert ["robot.off_track", "true"] in lines
    assert ["robot.speed", "0.3", "m/s", "clamped"] in lines


def test_csv_has_every_tick_of_every_generation(empty_site: Site, folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(empty_site.run("blackbox", "--csv").out)))
    assert len(rows) == 600
    last = rows[-1]
    assert (last["generation"], last["tick"], last["flags"]) == ("2", "299", "late missed")
    assert (last["robot.x"], last["robot.lap"], last["robot.speed.verdict"]) == ("", "299", "clamped")
    assert (float(last["total_us"]), float(last["vision_us"])) == (500.0, 100.0)
    assert rows[4]["robot.x"] == "1.0"
    assert last["utc"].endswith("+00:00")


def test_csv_of_generations_with_other_columns_leaves_gaps(empty_site: Site, folder: Path) -> None:
    write_ring(folder, 3, 1, now_ns(), columns=COLUMNS[1:2])
    rows = list(csv.DictReader(io.StringIO(empty_site.run("blackbox", "drive", "--csv").out)))
    assert rows[0]["robot.x"] == "0.0"
    assert (rows[-1]["robot.x"], rows[-1]["robot.lap"]) == ("", "0")


def test_csv_is_of_one_loop(empty_site: Site, folder: Path) -> None:
    write_ring(empty_site.runtime / "slow", 1, 1, now_ns())
    result = empty_site.run("blackbox", "--csv")
    assert (result.status, result.out) == (FAILED, "")
    assert "drive, slow" in result.err


def test_an_unknown_loop_is_an_error_with_those_that_are_there(empty_site: Site, folder: Path) -> None:
    result = empty_site.run("blackbox", "drvie")
    assert (result.status, result.out) == (FAILED, "")
    assert "did you mean drive?" in result.err


def test_a_damaged_generation_is_named_and_the_others_are_shown(empty_site: Site, folder: Path) -> None:
    (folder / "ring.1").write_bytes(b"\0" * 100)
    result = empty_site.run("blackbox")
    assert "ring.1" in result.err
    assert "generation 2" in result.out and "generation 1" not in result.out


def test_a_worker_that_never_ticked_is_shown(empty_site: Site) -> None:
    write_ring(empty_site.runtime / "drive", 1, 0, now_ns() - 60 * NS_PER_S)
    assert "drive, generation 1 (pid 101): no ticks; ended" in empty_site.run("blackbox", "drive").out
    assert empty_site.run("blackbox", "drive", "--csv").lines == ["generation"]


def test_it_is_read_while_the_node_runs(site: Site) -> None:
    site.publish("drive", {"robot.x": 1.0}, ticks=5)
    assert "drive, generation 1 (pid 0): 5 ticks" in site.run("blackbox").out
