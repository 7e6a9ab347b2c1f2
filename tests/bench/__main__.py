"""Run every measurement and print one JSON document: figures, the bars they must reach, the machine."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import demo, faults, recorder, ticks, wake

MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "wake": wake.run,
    "ticks": ticks.run,
    "demo": demo.run,
    "faults": faults.run,
    "recorder": recorder.run,
}

BARS: list[tuple[str, str, float]] = [
    ("wake.ratio_p99", "<=", 3.0),
    ("ticks.bookkeeping_16_signals.p50_us", "<=", 25.0),
    ("wake.bookkeeping_us.p50", "<=", 25.0),
    ("demo.drive_tick_us.p99", "<=", 3000.0),
    ("demo.start_to_ready_s.median", "<=", 2.0),
    ("demo.pss_mb.daemon", "<=", 60.0),
    ("demo.pss_mb.drive", "<=", 90.0),
    ("faults.worker_killed.safe_s.max", "<=", 0.2),
    ("faults.worker_killed.ticking_s.max", "<=", 0.5),
    ("faults.spinning_agent.ended_ms", "<=", 150.0),
    ("faults.spinning_agent.other_loop_late_ms.p99", "<=", 1.0),
    ("recorder.samples_per_s_ratio", ">=", 10.0),
    ("recorder.bytes_ratio", "<=", 0.2),
]
"""What the project promises. Ratios are against a reference in the same run."""


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def lookup(figures: dict[str, Any], path: str) -> float | None:
    """A figure by its dotted path; None when it was not measured."""
    found: Any = figures
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return float(found) if isinstance(found, (int, float)) else None


def judge(figures: dict[str, Any]) -> list[dict[str, object]]:
    """Each bar with its figure and whether it was reached."""
    rows: list[dict[str, object]] = []
    for path, sign, bar in BARS:
        value = lookup(figures, path)
        if path.partition(".")[0] in figures:
            reached = value is not None and (value <= bar if sign == "<=" else value >= bar)
            rows.append({"figure": path, "value": value, "bar": f"{sign} {bar:g}", "reached": reached})
    return rows


def main() -> int:
    """`python -m tests.bench [NAME ...]`: all measurements, or those named."""
    chosen = sys.argv[1:] or list(MEASUREMENTS)
    unknown = [name for name in chosen if name not in MEASUREMENTS]
    if unknown:
        print(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    figures: dict[str, Any] = {}
    for name in chosen:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures[name] = MEASUREMENTS[name]()
    print(json.dumps({"machine": machine(), "figures": figures, "bars": judge(figures)}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
