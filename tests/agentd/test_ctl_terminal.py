"""`agentctl top` on a real terminal: drawn again and again, ended by q, and the terminal as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

import pytest

from hal.clock import NS_PER_S, now_ns
from tests.agentd.ctl_site import Site

pytestmark = pytest.mark.system

ROWS, COLUMNS, FRAME = 24, 80, b"\x1b[H"


class Screen:
    """A command on a terminal of 24 lines."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [sys.executable, "-P", "-m", "agentd.ctl", *arguments])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.fd)
        self.shown = b""

    def until(self, text: bytes, times: int = 1) -> None:
        """Read until a text was shown so often."""
        limit_ns = now_ns() + 20 * NS_PER_S
        while self.shown.count(text) < times:
            assert select.select([self.fd], [], [], max(0.0, (limit_ns - now_ns()) / NS_PER_S))[0], self.shown
            self.shown += os.read(self.fd, 65536)

    def end(self) -> int:
        """Exit status; what is still to come is read first."""
        try:
            while data := os.read(self.fd, 65536):
                self.shown += data
        except OSError:
            pass  # the other end is closed
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def top(site: Site) -> Screen:
    """`agentctl top`, fast."""
    return Screen("--state", str(site.state), "top", "--every", "0.05")


def test_it_is_drawn_again_until_q(site: Site) -> None:
    screen = top(site)
    screen.until(FRAME, 4)
    os.write(screen.fd, b"q")
    screen.until(b"\x1b[?1049l")
    assert termios.tcgetattr(screen.fd)[3] == screen.before[3]
    assert screen.end() == 0
    for frame in screen.shown.split(FRAME)[1:-1]:
        assert b"robot-1" in frame
        assert frame.count(b"\r\n") < ROWS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(site: Site, number: int) -> None:
    screen = top(site)
    screen.until(FRAME, 2)
    os.kill(screen.pid, number)
    screen.until(b"\x1b[?25h\x1b[?1049l")
    assert screen.end() == 0


def test_it_outlives_the_daemon(site: Site) -> None:
    screen = top(site)
    screen.until(b"robot-1")
    site.stop()
    screen.until(b"no daemon runs here")
    site.start()
    seen = screen.shown.count(b"robot-1")
    screen.until(b"robot-1", seen + 1)
    os.write(screen.fd, b"q")
    assert screen.end() == 0


def test_a_held_lease_is_given_back_at_ctrl_c(site: Site) -> None:
    screen = Screen("--state", str(site.state), "set", "robot.speed", "0.3", "--hold")
    screen.until(b"done")
    os.write(screen.fd, b"\x03")
    screen.until(b"done", 2)
    assert screen.end() == 0
    assert [type(command).__name__ for command, _ in site.node.commands] == ["Take", "Release"]


def test_tail_ends_with_ctrl_c(site: Site) -> None:
    site.publish("drive", {"robot.x": 1.25})
    screen = Screen("--state", str(site.state), "tail", "robot.x")
    screen.until(b"1.25 m")
    os.write(screen.fd, b"\x03")
    assert screen.end() == 0
