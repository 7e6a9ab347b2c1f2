"""One worker process as the daemon sees it: started, heard, watched, ended.

Death is known by pidfd only. What the worker prints is kept to its last lines, to say why it died.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from agentd.runtime import letters
from agentd.runtime.control import MAIL, Control
from agentd.runtime.letters import Down, Mailbox, Order, Up
from agentd.runtime.ring import RingError, RingReader

LAST_LINES = 30
MAX_LINE = 2000


class WorkerProcess:
    """A running worker. `on_letter` and `on_death` are called in the event loop."""

    def __init__(
        self,
        order: Order,
        control: Control,
        on_letter: Callable[[Up], None],
        on_death: Callable[[int], None],
    ) -> None:
        self.order, self._control = order, control
        self._on_letter, self._on_death = on_letter, on_death
        self._ring: RingReader | None = None
        self._loop = asyncio.get_running_loop()
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self._partial = b""
        mine, theirs = letters.pair()
        self._mailbox = Mailbox(mine)
        self._mail_word = MAIL + order.mail_index
        control.words[self._mail_word] = 0
        folder = Path(order.runtime) / order.plan.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"order.{order.generation}.json"
        path.write_bytes(msgspec.json.encode(order))
        threads = str(order.plan.threads)
        environment = os.environ | {
            "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "agentd.runtime.worker", str(path), str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        theirs.close()
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._loop.add_reader(self._pidfd, self._died)
        self._loop.add_reader(self._mailbox.fileno(), self._hear)
        self._loop.add_reader(self._output, self._drain)

    @property
    def ring(self) -> RingReader | None:
        """The worker's own ring; None until it has one."""
        if self._ring is None:
            path = Path(self.order.runtime) / self.order.plan.name / f"ring.{self.order.generation}"
            with suppress(FileNotFoundError, RingError):
                self._ring = RingReader(path)
        return self._ring

    def send(self, letter: Down) -> bool:
        """Put a letter into the worker's mailbox; False when it is full or the worker is gone."""
        if not self._mailbox.send(letter):
            return False
        self._control.words[self._mail_word] += 1
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it; `on_death` follows."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _hear(self) -> None:
        for _ in range(64):
            data = self._mailbox.receive()
            if data is None:
                return
            if not data:
                self._loop.remove_reader(self._mailbox.fileno())
                return
            try:
                letter = msgspec.json.decode(data, type=Up)
            except msgspec.MsgspecError as error:
                self.lines.append(f"a letter that cannot be read: {error}")
                continue
            self._on_letter(letter)

    def _drain(self) -> None:
        """Keep the last lines of what it prints. Bounded: a worker that prints for ever costs nothing here."""
        try:
            data = os.read(self._output, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._output)
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-MAX_LINE:]
        self.lines.extend(line[:MAX_LINE].decode("utf-8", "replace") for line in lines[-LAST_LINES:] if line.strip())

    def _died(self) -> None:
        self._hear()
        self._drain()
        self._loop.remove_reader(self._pidfd)
        code = self._process.wait()
        os.close(self._pidfd)
        self._loop.remove_reader(self._mailbox.fileno())
        self._loop.remove_reader(self._output)
        self._mailbox.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._on_death(code)


def describe_exit(code: int) -> str:
    """An exit status for a person."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
