"""A plant's file: what a killed process leaves behind is complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal import clock
from hal.device import DeviceError
from hal.drivers.sim.plant_state import RING, PlantFile, plant_file, read_commands, read_snapshot

WRITER = """
import sys
from pathlib import Path
from hal.drivers.sim.plant_state import PlantFile
plant = PlantFile(Path(sys.argv[1]), "p", 2, 3)
print("ready", flush=True)
number = 0.0
while True:
    number += 1.0
    plant.store(int(number), (number, -number), (number, number, number))
"""


def test_state_and_command_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.plant"
    plant = PlantFile(path, "a", 2, 3)
    assert plant.load() is None
    plant.store(7, (0.5, 1.0), (1.0, 2.0, 3.0))
    plant.store(9, (0.25, 0.0), (4.0, 5.0, 6.0))
    plant.close()
    again = PlantFile(path, "a", 2, 3)
    found = again.load()
    again.close()
    assert found == read_snapshot(path)
    assert found is not None
    assert (found.time_ns, found.command, found.state) == (9, (0.25, 0.0), (4.0, 5.0, 6.0))


def test_each_command_is_stamped_with_boot_time(tmp_path: Path) -> None:
    plant = PlantFile(tmp_path / "a.plant", "a", 1, 1)
    before = clock.now_ns()
    for number in range(3):
        plant.store(1, (float(number),), (0.0,))
    after = clock.now_ns()
    commands = read_commands(tmp_path / "a.plant")
    plant.close()
    assert [command.values for command in commands] == [(0.0,), (1.0,), (2.0,)]
    assert before <= commands[0].time_ns <= commands[2].time_ns <= after


def test_ring_keeps_the_last_commands_across_openings(tmp_path: Path) -> None:
    for part in range(2):
        plant = PlantFile(tmp_path / "a.plant", "a", 1, 1)
        for number in range(3000):
            plant.store(1, (3000.0 * part + number,), (0.0,))
        plant.close()
    values = [command.values[0] for command in read_commands(tmp_path / "a.plant")]
    assert values == [float(number) for number in range(6000 - RING, 6000)]


def test_another_plant_or_boot_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.plant"
    plant = PlantFile(path, "a", 1, 1)
    plant.store(1, (1.0,), (1.0,))
    plant.close()
    for identity, boot in (("b", clock.boot_id()), ("b", "another boot")):
        monkeypatch.setattr("hal.drivers.sim.plant_state.boot_id", lambda boot=boot: boot)
        plant = PlantFile(path, identity, 1, 1)
        assert plant.load() is None
        plant.store(1, (1.0,), (1.0,))
        plant.close()


def test_a_plant_has_one_driver_at_a_time(tmp_path: Path) -> None:
    plant = PlantFile(tmp_path / "a.plant", "a", 1, 1)
    with pytest.raises(DeviceError, match="another device drives it"):
        PlantFile(tmp_path / "a.plant", "a", 1, 1)
    plant.close()
    PlantFile(tmp_path / "a.plant", "a", 1, 1).close()


def test_without_a_directory_there_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTD_PLANTS", raising=False)
    assert plant_file("a", 1, 1) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_write_leaves_the_record_before_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("plant") / "a.plant"
    plant = PlantFile(path, "a", 1, 2)
    count = data.draw(st.integers(2, 5))
    for number in range(1, count + 1):
        plant.store(number, (float(number),), (float(number), 0.5))
    plant.close()
    raw = bytearray(path.read_bytes())
    slot = 4096 + count % 2 * 512  # the slot of the last store
    at = data.draw(st.integers(0, 8 + 8 + 3 * 8 + 4 - 1))
    raw[slot + at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    found = read_snapshot(path)
    assert found is not None
    assert found.time_ns == count - 1
    assert found.state == (count - 1, 0.5)


def test_a_file_that_is_no_plant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.plant").write_bytes(b"hello")
    with pytest.raises(ValueError, match="not the file of a plant"):
        read_commands(tmp_path / "a.plant")


def test_a_killed_process_leaves_a_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "a.plant"
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=Path.cwd())
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        while read_snapshot(path) is None:
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        found = read_snapshot(path)
        assert found is not None
        number = float(found.time_ns)
        assert found.command == (number, -number)
        assert found.state == (number, number, number)
        last = read_commands(path)[-1]
        assert 0 <= last.values[0] - number <= 1
