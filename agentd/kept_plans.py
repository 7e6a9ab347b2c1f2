"""Configurations of loops, kept beside the record: what was recorded can be explained as it was wired then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from agentd.config.plan import LoopPlan
from agentd.runtime.keyframe import replace_file

FOLDER = "plans"
KEEP = 64


def keep_plan(state: Path, plan: LoopPlan) -> None:
    """Write one; the oldest go when there are many. A full disk costs an explanation, not the loop."""
    folder = state / FOLDER
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        replace_file(folder / f"{plan.name}.{plan.hash}.json", msgspec.json.encode(plan))
        paths = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in paths[:-KEEP]:
            path.unlink()


def kept_plans(state: Path) -> Iterator[LoopPlan]:
    """All that are there and can be read."""
    for path in sorted((state / FOLDER).glob("*.json")):
        with suppress(OSError, msgspec.MsgspecError):
            yield msgspec.json.decode(path.read_bytes(), type=LoopPlan)
