"""The daemon as a command sees it: found by its state directory, asked over its Unix socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from agentd.command import Answer, Command
from agentd.ctl import unix_http
from agentd.ctl.errors import CtlError, NotRunning, Refused
from agentd.paths import Beacon, read_beacon, runtime_dir

ANSWER_WITHIN_S = 5.0
COMMAND_WITHIN_S = 65.0
"""A reload may take a minute on a slow board."""

SILENT_S = 60.0
"""A stream says something at least every 15 s."""

T = TypeVar("T")


class _ErrorDetail(msgspec.Struct):
    code: str
    message: str


class _ErrorBody(msgspec.Struct):
    error: _ErrorDetail


class Daemon:
    """The daemon of one state directory, whether it runs or not. Nothing is touched before the first question."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.beacon: Beacon | None = read_beacon(state)

    @property
    def runtime(self) -> Path:
        """Where its rings are: as it said itself, for it may have been started in another environment."""
        if self.beacon is not None and os.path.isdir(self.beacon.runtime):
            return Path(self.beacon.runtime)
        return runtime_dir(self.state)

    def lives(self) -> bool:
        """Whether one runs: it holds the lock, or, in another container where that cannot be seen, it listens."""
        return lock_holder(self.state) != 0 or (self.beacon is not None and unix_http.listens(self.beacon.socket))

    def raw(self, target: str) -> bytes:
        """The JSON answer of a GET. Raises NotRunning, CtlError."""
        return self._request("GET", target, b"", ANSWER_WITHIN_S)[1]

    def get(self, target: str, kind: type[T]) -> T:
        """As `raw`, decoded. Raises NotRunning, CtlError."""
        try:
            return msgspec.json.decode(self.raw(target), type=kind)
        except msgspec.MsgspecError as error:
            hint = "is the daemon of another version? restart it"
            raise CtlError(f"{target}: {error}, expected a {kind.__name__}; {hint}") from None

    def command(self, command: Command, within_s: float = COMMAND_WITHIN_S) -> Answer:
        """Have something done. Raises Refused, NotRunning, CtlError."""
        status, body = self._request("POST", "/api/v1/command", msgspec.json.encode(command), within_s, (200, 409))
        try:
            answer = msgspec.json.decode(body, type=Answer)
        except msgspec.MsgspecError as error:
            raise CtlError(f"the daemon's answer (status {status}) cannot be read: {error}") from None
        if not answer.ok:
            raise Refused("\n  ".join((f"refused: {answer.message}", *answer.problems)))
        return answer

    def stream(self, target: str) -> Iterator[tuple[str, bytes]]:
        """Server-sent messages, name and data, until the daemon ends them. Raises NotRunning, CtlError."""
        name = ""
        try:
            for line in unix_http.lines(self._socket(), target, timeout_s=SILENT_S):
                field, _, value = line.partition(b": ")
                if field == b"event":
                    name = value.decode("utf-8", "replace")
                elif field == b"data":
                    yield name, value
        except OSError as error:
            raise self._explained(error) from None

    def _request(
        self, method: str, target: str, body: bytes, within_s: float, expected: tuple[int, ...] = (200,)
    ) -> tuple[int, bytes]:
        try:
            status, answer = unix_http.request(self._socket(), method, target, body, timeout_s=within_s)
        except OSError as error:
            raise self._explained(error) from None
        if status in expected:
            return status, answer
        try:
            raise CtlError(msgspec.json.decode(answer, type=_ErrorBody).error.message)
        except msgspec.MsgspecError:
            raise CtlError(f"{method} {target}: status {status} and {answer[:80]!r}") from None

    def _socket(self) -> str:
        if self.beacon is not None:
            return self.beacon.socket
        try:
            os.listdir(self.state)
        except PermissionError:
            raise CtlError(f"{self.state}: no permission; {self._owner()}") from None
        except OSError:
            pass  # there is none
        raise NotRunning(self.absence())

    def _explained(self, error: OSError) -> CtlError:
        """What an error of the socket means."""
        assert self.beacon is not None
        if isinstance(error, PermissionError):
            return CtlError(f"{self.beacon.socket}: no permission; {self._owner()}")
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            return NotRunning(self.absence())
        if isinstance(error, TimeoutError):
            return CtlError(f"the daemon, pid {self.beacon.pid}, does not answer; look at its log, or restart it")
        if isinstance(error, (ConnectionError, unix_http.HttpError)):
            return NotRunning(f"the daemon, pid {self.beacon.pid}, ended the connection: {error}")
        return CtlError(f"{self.beacon.socket}: {error.strerror or error}")

    def _owner(self) -> str:
        try:
            uid = self.state.stat().st_uid
        except OSError:
            return "run it as the daemon's user"
        return f"the daemon belongs to user {uid}, and you are {os.getuid()}: run it as that user"

    def absence(self) -> str:
        """Why nobody answers: never ran, ended, or holds the lock and is silent."""
        holder = lock_holder(self.state)
        if holder:
            return f"{self.state}: a daemon with pid {holder} uses this directory and does not listen (yet?)"
        if self.beacon is not None:
            return f"no daemon runs here: {self.state} (the last one had pid {self.beacon.pid})"
        return f"no daemon has run here: {self.state}; say where with --state or AGENTD_STATE"


def lock_holder(state: Path) -> int:
    """Pid of the daemon that holds a state directory's lock; 0 when none does.

    Read from /proc/locks: trying the lock would, for a moment, refuse a daemon that is just being started.
    """
    try:
        path = state / "lock"
        inode, pid = str(path.stat().st_ino), path.read_text(encoding="ascii").strip()
        with open("/proc/locks", encoding="ascii") as file:
            found = [line.split() for line in file]
    except (OSError, UnicodeDecodeError):
        return 0
    # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234567 0 EOF
    for fields in found:
        if len(fields) >= 6 and fields[1] == "FLOCK" and (fields[4], fields[5].rpartition(":")[2]) == (pid, inode):
            return int(pid)
    return 0
