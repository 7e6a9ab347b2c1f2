"""A node's status on paper: what is wrong first, then loops, parts and actuators. `status` and `top` print it."""

from __future__ import annotations

from collections.abc import Iterator

from agentd.ctl.text import (
    BOLD,
    DIM,
    GREEN,
    RED,
    YELLOW,
    Cell,
    Paper,
    age,
    byte_count,
    date_time,
    duration,
    many,
    number,
    quantity,
)
from agentd.status import ActuatorStatus, LoopStatus, NodeStatus, PartStatus, Quantiles

_INKS = {"ok": "", "running": GREEN, "waiting": DIM, "stopped": DIM, "latched": RED, "quarantined": RED}
"""Of states; what is not here is on its way: yellow."""


def report(status: NodeStatus, paper: Paper) -> list[str]:
    """Everything, section by section."""
    sections = [
        [*headline(status, paper), *facts(status, paper)],
        problems(status, paper),
        loops(status.loops, paper),
        timing(status.loops, paper),
        parts(status.loops, paper),
        actuators(status.actuators, paper),
        notes(status.loops, paper),
    ]
    return joined(sections)


def joined(sections: list[list[str]]) -> list[str]:
    """Sections with an empty line between them."""
    lines: list[str] = []
    for section in filter(None, sections):
        lines += ["", *section] if lines else section
    return lines


def headline(status: NodeStatus, paper: Paper) -> list[str]:
    """One line about the whole node."""
    if status.emergency_stop:
        word, ink = "EMERGENCY STOP", RED
    elif not status.live:
        word, ink = "late: its own work is not on time", RED
    elif not status.ready:
        word, ink = "not ready", YELLOW
    else:
        word, ink = "ready", GREEN
    rest = f", up {age(status.uptime_s)}, pid {status.pid}, agentd {status.version}"
    return [f"{paper.ink(status.node, BOLD)}: {paper.ink(word, BOLD, ink)}{rest}"]


def facts(status: NodeStatus, paper: Paper) -> list[str]:
    """What a person wants to know once."""
    found = []
    if status.simulated:
        found.append(("simulated", ", ".join(status.simulated)))
    found += [("config", status.config), ("dashboard", status.http or "-")]
    record = status.record
    kept = f"{many(record.samples_total)} samples, {byte_count(record.bytes)} of {byte_count(record.budget_bytes)}"
    if record.oldest_utc_ns:
        kept += f", since {date_time(record.oldest_utc_ns)}"
    if record.lost_rows_total:
        kept += f", {many(record.lost_rows_total)} rows lost"
    found.append(("record", kept))
    return [line for name, text in found for line in paper.wrapped(text, f"  {name:<11}")]


def problems(status: NodeStatus, paper: Paper) -> list[str]:
    """Everything that keeps the node from being well."""
    lines = [line for text in status.problems for line in paper.wrapped(text, "  ! ", RED)]
    return [paper.ink("problems", BOLD, RED), *lines] if lines else []


def loops(found: tuple[LoopStatus, ...], paper: Paper) -> list[str]:
    """Each loop, its rate and its counters."""
    rows: list[list[str | Cell]] = [
        ["loop", "state", "asked", "measured", "missed", "skipped", "restarts", "scheduling"]
    ]
    for loop in found:
        slow = loop.state == "running" and loop.measured_hz < 0.95 * loop.rate_hz
        rows.append([
            loop.name,
            Cell(loop.state, _INKS.get(loop.state, YELLOW)),
            f"{loop.rate_hz:g} Hz",
            Cell(f"{loop.measured_hz:.4g} Hz", YELLOW if slow else ""),
            Cell(many(loop.missed_total), YELLOW if loop.missed_total else ""),
            Cell(many(loop.skipped_total), YELLOW if loop.skipped_total else ""),
            Cell(many(loop.restarts_total), YELLOW if loop.restarts_total else ""),
            "real-time" if loop.realtime else "normal",
        ])  # fmt: skip
    return paper.table(rows, right=range(2, 7)) if found else []


def timing(found: tuple[LoopStatus, ...], paper: Paper) -> list[str]:
    """How late each loop woke, and how long its ticks took."""
    rows: list[list[str | Cell]] = [["last minute", "", "p50", "p99", "p99.9", "max"]]
    for loop in found:
        of = ((loop.name, "wake latency", loop.wake), ("", "duration", loop.duration))
        rows += [[name, what, *_quantiles(figures)] for name, what, figures in of]
    return paper.table(rows, right=range(2, 6)) if found else []


def _quantiles(figures: Quantiles) -> list[str]:
    return [duration(us) for us in (figures.p50_us, figures.p99_us, figures.p999_us, figures.max_us)]


def parts(found: tuple[LoopStatus, ...], paper: Paper) -> list[str]:
    """Each device and agent; below one that is not well, why."""
    rows: list[list[str | Cell]] = [["part", "loop", "is", "state", "p50", "p99"]]
    whys: list[list[str]] = [[]]
    for loop in found:
        for part in loop.parts:
            rows.append(_part(loop, part))
            said = part.why in ("", loop.why, loop.state)
            whys.append([] if said else paper.wrapped(part.why, "    ", YELLOW))
    table = paper.table(rows, right=(4, 5))
    return [line for row, why in zip(table, whys, strict=True) for line in (row, *why)] if len(rows) > 1 else []


def _part(loop: LoopStatus, part: PartStatus) -> list[str | Cell]:
    return [
        part.name,
        loop.name,
        f"{part.kind} {part.use}",
        Cell(part.state, _INKS.get(part.state, YELLOW)),
        duration(part.duration.p50_us),
        duration(part.duration.p99_us),
    ]


def actuators(found: tuple[ActuatorStatus, ...], paper: Paper) -> list[str]:
    """What is applied, who decides it, and what the guard makes of it."""
    rows: list[list[str | Cell]] = [["actuator", "value", "range", "guard", "held by", "interventions"]]
    for actuator in found:
        verdict = actuator.verdict.replace("_", " ")
        rows.append([
            actuator.signal,
            "-" if actuator.value is None else quantity(actuator.value, actuator.unit),
            f"{number(actuator.low)}..{number(actuator.high)}",
            Cell(verdict, _verdict_ink(actuator.verdict)),
            actuator.holder or "-",
            many(actuator.interventions_total),
        ])  # fmt: skip
    return paper.table(rows, right=(1,)) if found else []


def _verdict_ink(verdict: str) -> str:
    return "" if verdict == "as_asked" else RED if verdict.startswith("safe") else YELLOW


def notes(found: tuple[LoopStatus, ...], paper: Paper) -> list[str]:
    """What was not granted, and the last miss."""
    return [line for loop in found for text in _notes(loop) for line in paper.wrapped(text, f"{loop.name}: ", DIM)]


def _notes(loop: LoopStatus) -> Iterator[str]:
    yield from loop.notes
    if loop.last_miss:
        yield f"last miss: {loop.last_miss.removeprefix(f'{loop.name}: ')}"
    if loop.why and loop.state == "running":
        yield loop.why
