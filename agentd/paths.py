"""Where the daemon keeps its files, and how its tools find them.

State (survives restarts): `$STATE_DIRECTORY` (systemd), else `$AGENTD_STATE`, else
`~/.local/state/agentd`. Runtime (memory, one folder for each state directory): `$RUNTIME_DIRECTORY`,
else `$XDG_RUNTIME_DIR/agentd`, else `/dev/shm/agentd-<uid>`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import msgspec


class PathError(OSError):
    """A directory that cannot be used, or one that another daemon uses."""


class Beacon(msgspec.Struct, frozen=True, kw_only=True):
    """`daemon.json` in the state directory: how to reach the daemon that uses it."""

    pid: int
    runtime: str
    socket: str
    http: str


def state_dir(chosen: str | os.PathLike[str] | None = None) -> Path:
    """The state directory that is meant; it need not exist."""
    if chosen is not None:
        return Path(chosen).absolute()
    found = os.environ.get("STATE_DIRECTORY", "").split(":")[0] or os.environ.get("AGENTD_STATE", "")
    return Path(found).absolute() if found else Path.home() / ".local" / "state" / "agentd"


def runtime_dir(state: Path) -> Path:
    """The runtime directory that belongs to a state directory; it need not exist."""
    name = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:8]
    systemd, session = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0], os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(systemd) if systemd else Path(session) / "agentd" if session else Path(f"/dev/shm/agentd-{os.getuid()}")  # noqa: S108 - private(): owner and mode are checked
    return base / name


def private(path: Path, hint: str = "choose another with --state") -> Path:
    """Make a directory that nobody but this user can change. Raises PathError when it is somebody else's.

    `hint` is what would help then.
    A link to one of ours is followed when we or root made it: systemd makes such (`DynamicUser=`).
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (path, path.parent) if path.parent.name.startswith("agentd") else (path,):
            found, link = folder.stat(), folder.lstat()
            theirs = {found.st_uid} - {os.getuid()} | {link.st_uid} - {os.getuid(), 0}
            if theirs:
                raise PathError(f"{folder}: belongs to user {theirs.pop()}, not to us; {hint}")
            if found.st_mode & 0o022:
                folder.chmod(0o700)
    except PathError:
        raise
    except OSError as error:
        raise PathError(f"{path}: {error.strerror or error}; {hint}") from None
    return path


class StateLock:
    """One daemon a state directory. Raises PathError with the pid of the one that holds it."""

    def __init__(self, state: Path) -> None:
        path = state / "lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise PathError(
                f"{state}: a daemon with pid {pid} uses this state directory; stop it, or choose another with --state"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next daemon in."""
        os.close(self._fd)


def write_beacon(state: Path, beacon: Beacon) -> None:
    """Say how this daemon is reached."""
    temporary = state / "daemon.json.new"
    temporary.write_bytes(msgspec.json.encode(beacon))
    os.replace(temporary, state / "daemon.json")


def read_beacon(state: Path) -> Beacon | None:
    """How the daemon of a state directory was last reached; None when there was none."""
    try:
        return msgspec.json.decode((state / "daemon.json").read_bytes(), type=Beacon)
    except (OSError, msgspec.MsgspecError):
        return None
