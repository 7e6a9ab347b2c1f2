"""CSV that other programs read: complete, exact, and either whole or not there."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.runtime.guard import Verdict
from agentd.store.blocks import Span
from agentd.store.catalogue import Damaged, RecordError, UnknownSignal
from agentd.store.export import STANDARD_OUTPUT, Style, export
from agentd.store.query import open_record
from hal.signal import Absent
from tests.agentd.record_parts import COUNT, LAP, LOAD, OFF_TRACK, PERIOD_NS, SPEED, T0, Past, X, ramp


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Nothing yet."""
    return Past(tmp_path)


@pytest.fixture
def db(past: Past) -> Iterator[sqlite3.Connection]:
    """A reader, open from the beginning."""
    with closing(open_record(past.path)) as connection:
        yield connection


def table(path: Path) -> list[list[str]]:
    """Lines of a file."""
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_table_has_units_in_its_header_and_nothing_where_absent(
    past: Past, db: sqlite3.Connection, tmp_path: Path
) -> None:
    drive = past.loop("drive", X, LAP, OFF_TRACK, SPEED)
    drive.tick(0.1, 3, True, (0.25, Verdict.CLAMPED))
    drive.tick(Absent.NO_ANSWER, 4, False, (0.0, Verdict.SAFE_STALE))
    past.write()
    written = export(db, ["robot.x", "robot.lap", "robot.off_track", "robot.speed"], tmp_path / "a.csv")
    assert written == 2
    assert (tmp_path / "a.csv").read_text() == (
        "utc,tick,robot.x [m],robot.lap,robot.off_track,robot.speed [m/s]\n"
        "2023-11-14T22:30:00.000000000Z,0,0.1,3,true,0.25\n"
        "2023-11-14T22:30:00.010000000Z,1,,4,false,0.0\n"
    )


def test_raw_time_and_remarks_on_demand(past: Past, db: sqlite3.Connection, tmp_path: Path) -> None:
    past.loop("drive", X, SPEED).tick(Absent.NO_ANSWER, (0.0, Verdict.SAFE_STALE))
    past.write()
    export(db, ["robot.x", "robot.speed"], tmp_path / "a.csv", style=Style(raw_time=True, remarks=True))
    assert table(tmp_path / "a.csv") == [
        ["utc_ns", "tick", "robot.x [m]", "robot.x.reason", "robot.speed [m/s]", "robot.speed.verdict"],
        [str(T0), "0", "", "no_answer", "0.0", "safe_stale"],
    ]


def test_several_loops_are_lines_by_time_that_name_their_loop(
    past: Past, db: sqlite3.Connection, tmp_path: Path
) -> None:
    drive, slow = past.loop("drive", X), past.loop("slow", LOAD)
    drive.tick(1.0)
    slow.tick(0.5)
    drive.tick(2.0)
    past.write()
    export(db, ["robot.x", "host.load_1m"], tmp_path / "a.csv")
    assert [line[1:] for line in table(tmp_path / "a.csv")] == [
        ["loop", "tick", "robot.x [m]", "host.load_1m"],
        ["drive", "0", "1.0", ""],
        ["slow", "0", "", "0.5"],
        ["drive", "1", "2.0", ""],
    ]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=8))
def test_every_float_comes_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("floats")
    past = Past(folder)
    drive = past.loop("drive", X)
    for value in values:
        drive.tick(value)
    past.write()
    with closing(open_record(past.path)) as db:
        export(db, ["robot.x"], folder / "a.csv")
    past.writer.close()
    found = [float(line[2]) for line in table(folder / "a.csv")[1:]]
    assert [value.hex() for value in found] == [value.hex() for value in values]


def test_a_span_limits_the_table(past: Past, db: sqlite3.Connection, tmp_path: Path) -> None:
    ramp(past)
    assert export(db, ["robot.x"], tmp_path / "a.csv", Span(T0 + 5 * PERIOD_NS, T0 + 15 * PERIOD_NS)) == 10
    assert [line[1] for line in table(tmp_path / "a.csv")[1:]] == [str(tick) for tick in range(5, 15)]


def test_a_minus_is_the_standard_output(past: Past, db: sqlite3.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    ramp(past)
    export(db, ["robot.x"], STANDARD_OUTPUT)
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out)))) == COUNT + 1


@pytest.mark.parametrize("ends", [KeyboardInterrupt, OSError])
def test_what_ends_it_early_leaves_the_older_file_and_nothing_else(
    past: Past, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: type[BaseException]
) -> None:
    ramp(past)
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "a.csv").write_text("older\n")
    seen: list[list[str]] = []

    def progress(_written: int, _utc_ns: int) -> None:
        seen.append(sorted(path.name for path in folder.iterdir()))
        raise ends

    monkeypatch.setattr("agentd.store.export.REPORT_ROWS", 7)
    with pytest.raises(ends):
        export(db, ["robot.x"], folder / "a.csv", progress=progress)
    assert len(seen[0]) == 2
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("a.csv", "older\n")]


def test_an_unknown_signal_makes_no_file(past: Past, db: sqlite3.Connection, tmp_path: Path) -> None:
    ramp(past)
    with pytest.raises(UnknownSignal):
        export(db, ["robot.xx"], tmp_path / "a.csv")
    assert not list(tmp_path.glob("*a.csv*"))


def test_a_link_stays_a_link(past: Past, db: sqlite3.Connection, tmp_path: Path) -> None:
    ramp(past)
    (tmp_path / "b.csv").write_text("")
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    export(db, ["robot.x"], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").is_symlink()
    assert len(table(tmp_path / "b.csv")) == COUNT + 1


def test_progress_says_how_far_it_is(
    past: Past, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp(past)
    monkeypatch.setattr("agentd.store.export.REPORT_ROWS", 10)
    said: list[tuple[int, int]] = []
    export(db, ["robot.x"], tmp_path / "a.csv", progress=lambda *far: said.append(far))
    assert said == [(n, T0 + (n - 1) * PERIOD_NS) for n in (10, 20, 30)]


def test_damage_ends_it_unless_somebody_is_told(past: Past, db: sqlite3.Connection, tmp_path: Path) -> None:
    ramp(past)
    past.change("UPDATE chunk SET data = x'00' WHERE id = ?", past.chunks()[1][0])
    with pytest.raises(Damaged):
        export(db, ["robot.x"], tmp_path / "a.csv")
    assert not list(tmp_path.glob("*a.csv*"))
    told: list[RecordError] = []
    assert export(db, ["robot.x"], tmp_path / "a.csv", tell=told.append) == COUNT - 10
    assert len(told) == 1
