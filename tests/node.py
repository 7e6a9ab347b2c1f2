"""A real daemon on a configuration, for system tests and measurements: started, asked, stopped."""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from agentd.paths import read_beacon, runtime_dir
from agentd.runtime.process_image import ProcessImage
from hal.clock import NS_PER_S, SystemClock

READY_S = 30.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the daemon's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class RunningNode:
    """`agentd run` in a folder of its own; a context manager that leaves nothing running."""

    def __init__(self, folder: Path, config: str | None, *arguments: str) -> None:
        self.folder, self.state = folder, folder / "state"
        self._clock = SystemClock()
        command = [sys.executable, "-P", "-m", "agentd"]
        if config is None:
            command += ["demo"]
        else:
            (folder / "node.yaml").write_text(config, encoding="utf-8")
            command += ["run", str(folder / "node.yaml")]
        command += ["--state", str(self.state), "--http", "127.0.0.1:0", *arguments]
        self.began_ns = self._clock.now_ns()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = b""

    def __enter__(self) -> RunningNode:
        try:
            self.wait_output(b"dashboard at")
        except AssertionError:
            self.__exit__(None, None, None)
            raise
        self.ready_ns = self._clock.now_ns()
        beacon = read_beacon(self.state)
        assert beacon is not None
        self.runtime, self.socket, self.address = Path(beacon.runtime), beacon.socket, beacon.http
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        if self.process.returncode != -signal.SIGKILL:  # a killed one's successor goes on with its rings
            shutil.rmtree(runtime_dir(self.state), ignore_errors=True)

    def wait_output(self, text: bytes, timeout_s: float = READY_S) -> None:
        """Read what it prints until `text` appears. Raises AssertionError when it does not."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        limit_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
        while text not in self.output:
            left_s = (limit_ns - self._clock.now_ns()) / NS_PER_S
            ready = select.select([fd], [], [], max(0.0, left_s))[0]
            data = os.read(fd, 65536) if ready else b""
            if not data:
                raise AssertionError(f"no {text!r} within {timeout_s} s, but: {self.output.decode(errors='replace')}")
            self.output += data

    def get(self, path: str) -> Any:
        """JSON from the API over the socket."""
        return self.request("GET", path)[1]

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON answer of one request over the socket."""
        connection = UnixConnection(self.socket)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if content else {}
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def command(self, **command: object) -> Any:
        """Send one command; its answer."""
        return self.request("POST", "/api/v1/command", command)[1]

    def status(self) -> Any:
        """The node's status."""
        return self.get("/api/v1/status")

    def loop(self, name: str) -> Any:
        """One loop's status."""
        return next(loop for loop in self.status()["loops"] if loop["name"] == name)

    def actuator(self, signal: str) -> Any:
        """One actuator's status."""
        return next(actuator for actuator in self.status()["actuators"] if actuator["signal"] == signal)

    def events(self, kind: str = "") -> list[Any]:
        """Recent events, oldest first."""
        found = self.get("/api/v1/events?limit=1000")
        events = found["events"] if isinstance(found, dict) else found
        return [event for event in events if not kind or event["kind"] == kind]

    def until(self, what: str, true: Callable[[], bool], timeout_s: float = 15.0) -> float:
        """Poll until `true()`; how many seconds it took. Raises AssertionError naming `what`."""
        began_ns = self._clock.now_ns()
        while not true():
            if self._clock.now_ns() - began_ns > timeout_s * NS_PER_S:
                raise AssertionError(f"not within {timeout_s} s: {what}; status: {json.dumps(self.status())[:3000]}")
            self._clock.wait_until(self._clock.now_ns() + NS_PER_S // 200)
        return (self._clock.now_ns() - began_ns) / NS_PER_S

    def image(self) -> ProcessImage:
        """The rings, read directly."""
        return ProcessImage(self.runtime)

    def worker_pid(self, loop: str) -> int:
        """The process of a loop's worker."""
        return int(self.loop(loop)["pid"])

    def wait_gone(self, pid: int, timeout_s: float = 10.0) -> None:
        """Until a process has ended. Raises AssertionError."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        ended = select.select([pidfd], [], [], timeout_s)[0]
        os.close(pidfd)
        assert ended, f"process {pid} has not ended within {timeout_s} s"

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Exit status and how long it took."""
        began_ns = self._clock.now_ns()
        self.process.send_signal(number)
        code = self.process.wait(10)
        return code, (self._clock.now_ns() - began_ns) / NS_PER_S
