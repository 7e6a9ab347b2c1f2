"""Load a model for the first time, in a process of its own: `python -P -m hal.accelerators.check MODEL`.

The runtimes are C++ that trusts its input: a damaged or hostile file can end the process that loads it. So that
process is this one, not the daemon. Exit code 0, or 2 and the reason on the last line of standard error.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

from hal.model import Model, ModelError

MEMORY_BYTES = 4 * 1024**3
"""Address space of the child: a file may ask for any amount."""

CPU_S = 30


def check_in_child(path: Path, timeout_s: float = 30.0) -> str | None:
    """What is wrong with the model, or None; blocks for about 0.4 s, at most `timeout_s`."""
    command = [sys.executable, "-P", "-m", "hal.accelerators.check", str(path)]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"model {path.stem}: loading it took more than {timeout_s:g} s, expected less than 1 s; it is damaged"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return (
            f"model {path.stem}: loading it ended a process with {signal.Signals(-done.returncode).name}; "
            "the file is damaged or hostile, or needs more memory than there is"
        )
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"model {path.stem}: the check ended with code {done.returncode}"


def main(arguments: list[str]) -> int:
    """Load, check, and say what is wrong."""
    if len(arguments) != 1:
        print("usage: python -P -m hal.accelerators.check MODEL.tflite", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Model(arguments[0]).load()
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
