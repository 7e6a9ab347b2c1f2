"""What the files say when nobody answers: the last rows of every loop's ring, and how old they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from agentd.config.plan import LoopPlan, SignalPlan
from agentd.ctl.errors import CtlError
from agentd.ctl.text import age
from agentd.gateway.readings import Reading, Snapshot
from agentd.runtime.process_image import ProcessImage
from agentd.runtime.ring import RingReader, Word
from hal.clock import NS_PER_S, boot_id, now_ns, utc_ns


def rings(image: ProcessImage) -> Iterator[RingReader]:
    """Every loop's newest ring; one that cannot be read is named on the standard error and left out."""
    for loop in image.loops():
        try:
            ring = image.ring(loop)
        except OSError as error:
            print(f"agentctl: {error}", file=sys.stderr)
            continue
        if ring is not None:
            yield ring


def readings(image: ProcessImage) -> list[Reading]:
    """Every signal as its loop's last row has it."""
    return [
        _reading(snapshot, column, plan)
        for snapshot in map(_snapshot, rings(image))
        for column, plan in enumerate(snapshot.columns)
        if plan.role != "foreign"
    ]


def _snapshot(ring: RingReader) -> Snapshot:
    layout = ring.layout
    loop = LoopPlan(name=layout.loop, node=layout.node, rate_hz=NS_PER_S / layout.period_ns)
    return Snapshot(loop, layout.columns, ring.latest(), layout.generation, now_ns())


def _reading(snapshot: Snapshot, column: int, plan: SignalPlan) -> Reading:
    return Reading(
        name=plan.name,
        value=snapshot.value(column),
        unit=plan.unit,
        age_s=snapshot.age_s(column),
        stale=snapshot.stale(column),
        reason=snapshot.reason(column),
        verdict=snapshot.verdict(column),
        type=plan.type,
        role=plan.role,
        owner=plan.name.partition(".")[0],
        owner_kind="",
        loop=snapshot.loop.name,
        low=plan.low,
        high=plan.high,
        dtype=plan.dtype,
        shape=plan.shape,
        doc=plan.doc,
    )


def last_sign_ns(ring: RingReader) -> int:
    """When the worker last showed that it lives; 0 when it never did."""
    row = ring.latest()
    return max(ring.words[Word.HEARTBEAT_NS], row.time_ns if row is not None else 0)


def newest_age_s(image: ProcessImage) -> float | None:
    """Since any loop's worker was last alive; None without files."""
    newest_ns = max(map(last_sign_ns, rings(image)), default=0)
    return max(0, now_ns() - newest_ns) / NS_PER_S if newest_ns else None


def note(image: ProcessImage, why: str) -> None:
    """Say, on the standard error, that what follows is from files, and how old it is.

    Raises CtlError when there are none.
    """
    newest_s = newest_age_s(image)
    if newest_s is None:
        raise CtlError(f"{why}; and no loop has left rows in {image.runtime}")
    print(f"agentctl: {why}; this is from the files it left, {age(newest_s)} old", file=sys.stderr)


def to_utc_ns(ring: RingReader) -> int:
    """What to add to a row's times to get UTC; 0, so that they stay seconds since that boot, for another boot's."""
    return utc_ns() - now_ns() if ring.layout.boot_id in ("", boot_id()) else 0


def image_of(runtime: Path) -> ProcessImage:
    """The rings of a runtime directory. Raises CtlError when it may not be read."""
    image = ProcessImage(runtime)
    try:
        image.loops()
    except PermissionError as error:
        raise CtlError(f"{error.filename}: no permission; run it as the daemon's user") from None
    return image
