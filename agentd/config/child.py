"""The resolver as a child process: the caller imports no driver, no agent and no YAML parser.

A configuration names code that the check imports and constructs. Whatever that code does, crash, hang or flood its
output, becomes a problem of the configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from agentd.config.plan import Problem, Resolution

TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 65_536
_TAIL_BYTES = 600


async def resolve(path: str | Path, timeout_s: float = TIMEOUT_S, http: str | None = None) -> Resolution:
    """The plan or the problems of a configuration file. Cancelling it ends the child."""
    override = [] if http is None else [f"--http={http}"]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "agentd.config.resolve", *override, "--", os.fspath(path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None and child.stderr is not None
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await asyncio.gather(_head(child.stdout), _tail(child.stderr))
            code = await child.wait()
    except TimeoutError:
        return _failed(path, f"the check did not end within {timeout_s:g} s")
    finally:
        if child.returncode is None:
            _end(child.pid)
            await child.wait()
    return _answer(path, code, out, err)


def resolve_now(path: str | Path, timeout_s: float = TIMEOUT_S, http: str | None = None) -> Resolution:
    """As `resolve`, for callers without an event loop."""
    return asyncio.run(resolve(path, timeout_s, http))


async def _head(stream: asyncio.StreamReader) -> bytes:
    """All of the answer; of one that is too long no more than its beginning, which is then no answer."""
    kept = bytearray()
    while chunk := await stream.read(_CHUNK_BYTES):
        if len(kept) <= MAX_ANSWER_BYTES:
            kept += chunk
    return bytes(kept)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The end of what was said; the rest is dropped, however much it is."""
    kept = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        kept = (kept + chunk)[-_TAIL_BYTES:]
    return kept


def _end(pid: int) -> None:
    """The child's whole session: a model may be loading in a child of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _answer(path: str | Path, code: int, out: bytes, err: bytes) -> Resolution:
    if code in (0, 2):
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(out, type=Resolution)
    if code < 0:
        reason = f"the check was ended by {signal.Signals(-code).name}"
    else:
        reason = f"the check ended with code {code} and without an answer"
    tail = err.decode("utf-8", "replace").strip().splitlines()
    return _failed(path, f"{reason}; its last message: {tail[-1]}" if tail else reason)


def _failed(path: str | Path, reason: str) -> Resolution:
    message = f"{reason}; expected drivers and agents that are imported and constructed at once, without I/O"
    return Resolution(problems=(Problem(file=os.fspath(path), line=0, column=0, message=message),))
