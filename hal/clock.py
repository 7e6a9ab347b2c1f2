"""The only code that asks what time it is.

Time is CLOCK_BOOTTIME in nanoseconds: it counts suspend, so that a lease cannot survive one, and
never steps. UTC is only ever a mapping kept beside it.
"""

from __future__ import annotations

import ctypes
import errno
import time
from typing import Protocol

BOOTTIME = time.CLOCK_BOOTTIME
NS_PER_S = 1_000_000_000
_TIMER_ABSTIME = 1  # <time.h>


class Clock(Protocol):
    """What a loop needs of time."""

    def now_ns(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME."""

    def wait_until(self, deadline_ns: int) -> None:
        """Return at or after `deadline_ns`, never before; at once when it has passed."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class SystemClock:
    """The kernel's clock; waits on an absolute deadline, so that no time between two calls is lost."""

    def __init__(self) -> None:
        self._sleep = ctypes.CDLL(None).clock_nanosleep
        self._sleep.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Timespec), ctypes.c_void_p)
        self._until = _Timespec()
        self._until_pointer = ctypes.pointer(self._until)

    def now_ns(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(BOOTTIME)

    def wait_until(self, deadline_ns: int) -> None:
        """clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME); a signal does not end it early."""
        self._until.seconds, self._until.nanoseconds = divmod(deadline_ns, NS_PER_S)
        while self._sleep(BOOTTIME, _TIMER_ABSTIME, self._until_pointer, None) == errno.EINTR:
            pass


class VirtualClock:
    """Time that moves only when it is told to: simulation and tests run as fast as they can."""

    def __init__(self, start_ns: int = NS_PER_S) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The virtual time."""
        return self._now_ns

    def wait_until(self, deadline_ns: int) -> None:
        """Jump to the deadline."""
        self._now_ns = max(self._now_ns, deadline_ns)

    def advance(self, delta_ns: int) -> None:
        """Let time pass."""
        self._now_ns += delta_ns


def now_ns() -> int:
    """CLOCK_BOOTTIME, for code that does not wait."""
    return time.clock_gettime_ns(BOOTTIME)


def utc_ns() -> int:
    """CLOCK_REALTIME: for mappings and for people, never for intervals."""
    return time.time_ns()


def boot_id() -> str:
    """Identity of this boot: CLOCK_BOOTTIME values compare only within one."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def cpu_ns() -> int:
    """CPU time of this process, for accounting."""
    return time.process_time_ns()
