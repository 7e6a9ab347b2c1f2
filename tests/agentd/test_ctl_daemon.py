"""Finding the daemon, and what is said when it cannot be asked."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from agentd.command import Answer, Clear, EmergencyStop, Reload
from agentd.ctl.daemon import Daemon, lock_holder
from agentd.ctl.errors import FAILED, NOT_RUNNING, OK, CtlError, NotRunning, Refused
from agentd.paths import Beacon, StateLock, write_beacon
from agentd.status import NodeStatus
from tests.agentd.ctl_site import Site

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """The file system as a user sees it; root may open everything."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(uid)


def beacon(path: Path) -> Beacon:
    """As a daemon would leave it."""
    return Beacon(pid=4711, runtime=str(path.parent), socket=str(path), http="")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    """Something that listens where a daemon would, and never answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as found:
        found.bind(str(tmp_path / "socket"))
        found.listen()
        write_beacon(tmp_path, beacon(tmp_path / "socket"))
        yield found


def test_the_holder_of_the_lock_is_known_without_touching_the_lock(tmp_path: Path) -> None:
    assert lock_holder(tmp_path) == 0
    lock = StateLock(tmp_path)
    assert lock_holder(tmp_path) == os.getpid()
    lock.release()
    assert lock_holder(tmp_path) == 0


def test_asking_for_the_holder_never_keeps_a_daemon_from_starting(tmp_path: Path) -> None:
    StateLock(tmp_path).release()
    for _ in range(100):
        lock_holder(tmp_path)
        StateLock(tmp_path).release()


def test_a_state_directory_that_was_never_used_says_how_to_choose_another(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="--state"):
        Daemon(tmp_path / "none").raw("/api/v1/status")


def test_a_daemon_that_was_killed_left_its_socket_behind(tmp_path: Path, listening: socket.socket) -> None:
    listening.close()
    with pytest.raises(NotRunning, match="the last one had pid 4711"):
        Daemon(tmp_path).raw("/api/v1/status")


def test_a_daemon_that_does_not_answer_is_named(
    tmp_path: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.ctl.daemon.ANSWER_WITHIN_S", 0.05)
    with pytest.raises(CtlError, match="4711, does not answer"):
        Daemon(tmp_path).raw("/api/v1/status")


def test_a_socket_of_somebody_else_is_a_matter_of_permission(tmp_path: Path, listening: socket.socket) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tmp_path / "socket").chmod(0)
    daemon = Daemon(tmp_path)
    with unprivileged(), pytest.raises(CtlError, match=f"no permission; the daemon belongs to user {os.getuid()}"):
        daemon.raw("/api/v1/status")


def test_a_state_directory_of_somebody_else_is_a_matter_of_permission(tmp_path: Path, listening: socket.socket) -> None:
    tmp_path.chmod(0)
    try:
        with unprivileged(), pytest.raises(CtlError, match="no permission") as found:
            Daemon(tmp_path).raw("/api/v1/status")
        assert found.value.exit_status == FAILED
    finally:
        tmp_path.chmod(0o700)


def test_a_daemon_whose_lock_cannot_be_seen_lives_while_it_listens(tmp_path: Path, listening: socket.socket) -> None:
    assert Daemon(tmp_path).lives()
    listening.close()
    assert not Daemon(tmp_path).lives()


def test_the_runtime_directory_is_the_one_the_daemon_named(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write_beacon(tmp_path, beacon(tmp_path / "mine" / "socket"))
    assert Daemon(tmp_path).runtime == tmp_path / "mine"


def test_an_answer_of_another_version_is_an_error_not_a_guess(site: Site) -> None:
    class Strange(msgspec.Struct):
        nonsense: int

    with pytest.raises(CtlError, match="another version"):
        Daemon(site.state).get("/api/v1/status", Strange)


def test_an_error_of_the_gateway_is_told_in_its_own_words(site: Site) -> None:
    with pytest.raises(CtlError, match="limit 'x': expected a whole number"):
        Daemon(site.state).get("/api/v1/events?limit=x", NodeStatus)


def test_a_refused_command_has_its_message_and_its_problems(site: Site) -> None:
    site.node.answer = Answer(ok=False, message="nothing was changed", problems=("node.yaml:3:5: unknown key", "x"))
    with pytest.raises(Refused, match="refused") as found:
        Daemon(site.state).command(Reload())
    assert str(found.value) == "refused: nothing was changed\n  node.yaml:3:5: unknown key\n  x"


def test_an_emergency_stop_carries_its_reason(site: Site) -> None:
    result = site.run("estop", "smoke", "in", "the", "room")
    assert (result.status, result.out) == (OK, "done\n")
    assert [asked for asked, _ in site.node.commands] == [EmergencyStop(reason="smoke in the room")]


def test_clear_and_reload_are_handed_on(site: Site) -> None:
    assert site.run("clear", "node").status == OK
    assert site.run("reload").status == OK
    assert [asked for asked, _ in site.node.commands] == [Clear(target="node"), Reload()]


def test_a_refusal_is_exit_status_1_with_nothing_on_the_standard_output(site: Site) -> None:
    site.node.answer = Answer(ok=False, message="no loop 'x'", problems=("there are drive and slow",))
    for arguments in (["clear", "x"], ["clear", "x", "--json"]):
        result = site.run(*arguments)
        assert (result.status, result.out) == (FAILED, "")
        assert result.err == "agentctl: refused: no loop 'x'\n  there are drive and slow\n"


def test_an_answer_as_json_is_the_answer(site: Site) -> None:
    assert msgspec.json.decode(site.run("estop", "--json").out, type=Answer) == Answer(ok=True, message="done")


def test_without_permission_nothing_is_said_to_run_or_not(site: Site) -> None:
    site.state.chmod(0)
    try:
        with unprivileged():
            result = site.run("status")
    finally:
        site.state.chmod(0o700)
    assert (result.status, result.out) == (FAILED, "")
    assert "no permission" in result.err
    assert result.status != NOT_RUNNING
