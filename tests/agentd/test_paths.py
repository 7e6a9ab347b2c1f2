"""Where the daemon keeps its files, and that there is one daemon for each state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.paths import Beacon, PathError, StateLock, private, read_beacon, runtime_dir, state_dir, write_beacon

BEACON = Beacon(pid=7, runtime="/run/x", socket="/run/x/agentd.sock", http="http://127.0.0.1:8080")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without systemd and without a session."""
    for name in ("STATE_DIRECTORY", "AGENTD_STATE", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_state_directory_is_the_chosen_one_systemds_the_environments_or_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert state_dir() == tmp_path / "home" / ".local" / "state" / "agentd"
    monkeypatch.setenv("AGENTD_STATE", "/srv/agentd")
    assert state_dir() == Path("/srv/agentd")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/agentd:/var/lib/other")
    assert state_dir() == Path("/var/lib/agentd")
    assert state_dir("here") == Path.cwd() / "here"


def test_each_state_directory_has_its_own_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = runtime_dir(Path("/srv/one")), runtime_dir(Path("/srv/two"))
    assert one != two
    assert one == runtime_dir(Path("/srv/x/../one"))
    assert one.parent == Path(f"/dev/shm/agentd-{os.getuid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert runtime_dir(Path("/srv/one")).parent == Path("/run/user/1000/agentd")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/agentd")
    assert runtime_dir(Path("/srv/one")).parent == Path("/run/agentd")


def test_a_private_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    made = private(tmp_path / "agentd-7" / "state")
    assert made.stat().st_mode & 0o777 == 0o700
    assert private(made) == made


def test_a_directory_that_cannot_be_made_says_what_would_help(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="choose another with --state"):
        private(tmp_path / "file" / "state")
    with pytest.raises(PathError, match="set XDG_RUNTIME_DIR"):
        private(tmp_path / "file" / "state", "set XDG_RUNTIME_DIR")


def test_a_directory_that_others_may_write_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    assert private(tmp_path / "state").stat().st_mode & 0o022 == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("theirs", ["agentd-7/state", "agentd-7"])
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "agentd-7" / "state").mkdir(parents=True)
    os.chown(tmp_path / theirs, 12345, -1)
    with pytest.raises(PathError, match="belongs to user 12345"):
        private(tmp_path / "agentd-7" / "state")


def test_a_link_to_a_directory_of_ours_is_followed(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "private")
    assert private(tmp_path / "state") == tmp_path / "state"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a link away")
@pytest.mark.parametrize("theirs", ["link", "target"])
def test_a_link_of_somebody_else_and_one_to_his_directory_are_refused(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.chown(tmp_path / theirs, 12345, -1, follow_symlinks=False)
    with pytest.raises(PathError, match="belongs to user 12345"):
        private(tmp_path / "link")


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(PathError, match="choose another with --state"):
        private(tmp_path / "state")
    with pytest.raises(PathError, match="choose another with --state"):
        private(tmp_path / "state" / "below")


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    first = StateLock(tmp_path)
    with pytest.raises(PathError, match=f"a daemon with pid {os.getpid()} uses this state directory"):
        StateLock(tmp_path)
    first.release()
    StateLock(tmp_path).release()


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from agentd.paths import StateLock\n"
    code += f"StateLock(Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=False)
    assert done.returncode == -9
    assert (tmp_path / "lock").read_text().strip().isdigit(), "it had the lock"
    StateLock(tmp_path).release()


def test_the_pid_of_a_shorter_number_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789012\n")
    lock = StateLock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_the_beacon_says_how_the_daemon_is_reached(tmp_path: Path) -> None:
    assert read_beacon(tmp_path) is None
    write_beacon(tmp_path, BEACON)
    assert read_beacon(tmp_path) == BEACON


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"pid": "seven"}'])
def test_a_damaged_beacon_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "daemon.json").write_bytes(content)
    assert read_beacon(tmp_path) is None
