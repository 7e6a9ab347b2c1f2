"""The node's control words: the daemon writes, every worker reads, and a killed daemon's workers see its silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.runtime.control import HEARTBEAT, MAIL, MAX_LOOPS, STOP, Control


def test_a_worker_sees_what_the_daemon_writes(tmp_path: Path) -> None:
    daemon = Control(tmp_path / "control", create=True)
    worker = Control(tmp_path / "control")
    daemon.words[HEARTBEAT], daemon.words[STOP], daemon.words[MAIL + MAX_LOOPS - 1] = 2**63, 1, 7
    assert (worker.words[HEARTBEAT], worker.words[STOP], worker.words[MAIL + MAX_LOOPS - 1]) == (2**63, 1, 7)


def test_a_worker_cannot_write(tmp_path: Path) -> None:
    Control(tmp_path / "control", create=True)
    with pytest.raises(TypeError):
        Control(tmp_path / "control").words[STOP] = 0


def test_the_workers_of_a_killed_daemon_do_not_see_the_next_ones_heartbeat(tmp_path: Path) -> None:
    Control(tmp_path / "control", create=True)
    orphan = Control(tmp_path / "control")
    orphans_view = orphan.words[HEARTBEAT]
    Control(tmp_path / "control", create=True).words[HEARTBEAT] = 99
    assert orphan.words[HEARTBEAT] == orphans_view


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control").write_bytes(bytes(4096))
    with pytest.raises(OSError, match="not the control words"):
        Control(tmp_path / "control")


def test_closing_unmaps(tmp_path: Path) -> None:
    control = Control(tmp_path / "control", create=True)
    control.close()
    with pytest.raises(ValueError, match="released"):
        control.words[STOP]
