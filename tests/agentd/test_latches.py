"""Latches survive everything, and what cannot be read keeps everything safe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.latches import LatchFile


def test_without_a_file_nothing_is_latched(tmp_path: Path) -> None:
    file = LatchFile(tmp_path / "latches.json")
    assert (file.latches.emergency_stop, file.latches.loops, file.damaged) == ("", {}, "")


def test_what_is_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    file = LatchFile(tmp_path / "latches.json")
    file.latches.emergency_stop = "smoke (ann)"
    file.latches.loops["drive"] = "it died too often"
    file.save()
    again = LatchFile(tmp_path / "latches.json")
    assert (again.latches.emergency_stop, again.latches.loops) == ("smoke (ann)", {"drive": "it died too often"})


def test_two_files_share_no_latches(tmp_path: Path) -> None:
    first, second = LatchFile(tmp_path / "a.json"), LatchFile(tmp_path / "b.json")
    first.latches.loops["drive"] = "x"
    assert second.latches.loops == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"loops": 3}', b'{"emergency_stop": null}', b"\xff\xfe", b"0"])
def test_a_damaged_file_is_an_emergency_stop_that_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "latches.json"
    path.write_bytes(content)
    file = LatchFile(path)
    assert "latches were damaged" in file.latches.emergency_stop
    assert str(path) in file.damaged


@given(st.binary(max_size=60))
def test_no_content_of_the_file_is_worse_than_an_emergency_stop(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "latches.json"
        path.write_bytes(content)
        file = LatchFile(path)
        assert isinstance(file.latches.emergency_stop, str)
        file.save()
        assert LatchFile(path).damaged == ""


def test_a_file_that_may_not_be_read_is_an_emergency_stop(tmp_path: Path) -> None:
    path = tmp_path / "latches.json"
    path.mkdir()
    assert "latches were damaged" in LatchFile(path).latches.emergency_stop


def test_a_save_that_dies_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "latches.json"
    file = LatchFile(path)
    file.latches.emergency_stop = "first"
    file.save()
    path.with_name("latches.json.new").write_bytes(b'{"emerg')  # what a power loss leaves
    assert LatchFile(path).latches.emergency_stop == "first"
    file.latches.emergency_stop = "second"
    file.save()
    assert LatchFile(path).latches.emergency_stop == "second"
    assert os.listdir(tmp_path) == ["latches.json"]


def test_only_its_user_can_read_or_change_it(tmp_path: Path) -> None:
    file = LatchFile(tmp_path / "latches.json")
    file.save()
    assert (tmp_path / "latches.json").stat().st_mode & 0o777 == 0o600
