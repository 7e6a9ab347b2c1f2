"""What a worker asks of the kernel, and what it does without: nothing here is ever assumed.

Each request that is not granted becomes a note in the loop's health. Sources: sched(7),
setrlimit(2), mlockall(2), prctl(2); the figures behind the choices are in docs/performance.md.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys

PRIORITY = 50
"""SCHED_FIFO priority: above ordinary threaded interrupts' users, below the kernel's own threads."""
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
PR_SET_TIMERSLACK = 29
PR_SET_NAME = 15
SWITCH_INTERVAL_S = 1e-4
CAP_IPC_LOCK = 14

_libc = ctypes.CDLL(None, use_errno=True)


def name_process(loop: str) -> None:
    """Show the loop's name in top and ps."""
    _libc.prctl(PR_SET_NAME, f"agentd:{loop}"[:15].encode(), 0, 0, 0)


def pin(cpu: int) -> str:
    """Run on that CPU only. Why not, or an empty text."""
    allowed = os.sched_getaffinity(0)
    if cpu not in allowed:
        return f"cpu {cpu} is not there or not allowed; it runs on {', '.join(map(str, sorted(allowed)))}"
    os.sched_setaffinity(0, {cpu})
    return ""


def avoid_cpu_0(realtime_loops: int) -> None:
    """Stay off CPU 0, where most interrupts are served, unless too few others are left.

    An agent that spins holds its CPU until RLIMIT_RTTIME ends it, and every other real-time loop of the node
    must find one meanwhile.
    """
    wanted = os.sched_getaffinity(0) - {0}
    if len(wanted) >= max(1, realtime_loops):
        os.sched_setaffinity(0, wanted)


def enter(stall_ms: int) -> str:
    """SCHED_FIFO for this thread, bounded by RLIMIT_RTTIME. Why not, or an empty text.

    A thread that this one starts is ordinary again (SCHED_RESET_ON_FORK). A spin longer than
    `stall_ms` without a system call that blocks ends the process: SIGXCPU, then SIGKILL.
    """
    soft_us = stall_ms * 1000
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft_us, soft_us + 20_000))
    except (ValueError, OSError) as error:
        return f"no real-time scheduling: RLIMIT_RTTIME: {error}"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except PermissionError:
        return "no real-time scheduling: not permitted; grant it with LimitRTPRIO= in the unit, or CAP_SYS_NICE"
    except OSError as error:
        return f"no real-time scheduling: {error}"
    return ""


def steady(period_ns: int) -> None:
    """Exact timers, quick hand-over to the opener thread, and no garbage collection but in the slack."""
    _libc.prctl(PR_SET_TIMERSLACK, max(1, min(50_000, period_ns // 1000)), 0, 0, 0)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.disable()


def lock_memory() -> str:
    """Keep what is in memory there, and what comes as it is touched. Why not, or an empty text.

    With ONFAULT only touched pages are held: without it a worker of 37 MB became 160.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and not _capable(CAP_IPC_LOCK):
        return f"memory not locked: the limit is {soft // 1024} KiB; LimitMEMLOCK=infinity in the unit lifts it"
    if _libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        return f"memory not locked: {os.strerror(ctypes.get_errno())}"
    return ""


def _capable(capability: int) -> bool:
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
    return False
