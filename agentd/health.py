"""The node's status from its parts: what runs, how well, and why something does not."""

from __future__ import annotations

import math
from collections.abc import Iterable

from agentd.config.plan import ChannelPlan, LoopPlan
from agentd.figures import LoopFigures
from agentd.runtime.guard import Verdict
from agentd.runtime.letters import PartNote
from agentd.runtime.ring import Row, Word
from agentd.statistics import WindowFigures
from agentd.status import ActuatorStatus, LoopStatus, PartStatus, Quantiles
from agentd.supervisor import LoopSupervisor


def loop_status(supervisor: LoopSupervisor, followed: LoopFigures, now_ns: int) -> LoopStatus:
    """One loop as it is now."""
    statistics = followed.statistics
    figures = statistics.figures(now_ns)
    ring, settled = supervisor.ring, supervisor.settled
    return LoopStatus(
        name=supervisor.plan.name,
        rate_hz=supervisor.plan.rate_hz,
        measured_hz=round(figures.measured_hz, 3),
        state=supervisor.state,
        why=supervisor.why,
        generation=supervisor.generation,
        pid=supervisor.worker.pid if supervisor.worker is not None else 0,
        restarts_total=supervisor.restarts_total,
        ticks_total=statistics.rows_total,
        missed_total=statistics.missed_total,
        skipped_total=ring.words[Word.SKIPPED] if ring is not None else 0,
        last_miss=followed.last_miss,
        realtime=settled is not None and settled.realtime,
        notes=settled.notes if settled is not None else (),
        wake=figures.wake,
        duration=figures.duration,
        bookkeeping=figures.bookkeeping,
        parts=tuple(_parts(supervisor, figures)),
    )


def part_state(note: PartNote | None, loop: str, why: str) -> tuple[str, str]:
    """What a worker said of a part, in the words of `PartStatus`: a device that is not open is degraded, except
    while its loop starts.
    """
    if note is None:
        return "waiting", why or loop
    if note.state == "opening":
        return ("degraded" if loop == "running" else "waiting"), note.why or "it is being opened"
    return ("degraded" if note.state == "closed" else note.state), note.why


def _parts(supervisor: LoopSupervisor, figures: WindowFigures) -> Iterable[PartStatus]:
    plan = supervisor.plan
    kinds = [(d.name, "device", d.driver, d.simulated) for d in plan.devices]
    kinds += [(a.name, "agent", a.agent, False) for a in plan.agents]
    for name, kind, use, simulated in kinds:
        note = supervisor.parts.get(name)
        state, why = part_state(note, supervisor.state, supervisor.why)
        if name in supervisor.quarantined:
            left_out = f"left out until 'agentctl clear {plan.name}'"
            state, why = "quarantined", f"{supervisor.quarantined[name]}; {left_out}"
        yield PartStatus(
            name=name,
            kind=kind,
            use=use,
            state=state,
            why=why,
            simulated=simulated,
            duration=figures.parts.get(name, Quantiles()),
        )


def actuator_statuses(supervisor: LoopSupervisor, units: dict[str, str]) -> Iterable[ActuatorStatus]:
    """Every actuator of a loop, from its newest row."""
    ring = supervisor.ring
    row = ring.latest() if ring is not None else None
    for channel in supervisor.plan.channels:
        column = ring.index_of.get(channel.signal) if ring is not None else None
        yield _actuator(supervisor, channel, row, column, units.get(channel.signal, ""))


def _actuator(
    supervisor: LoopSupervisor, channel: ChannelPlan, row: Row | None, column: int | None, unit: str
) -> ActuatorStatus:
    note = supervisor.channels.get(channel.signal)
    value, verdict = None, "unknown"
    if row is not None and column is not None and not math.isnan(row.values[column]):
        value, verdict = float(row.values[column]), Verdict(row.reasons[column]).name.lower()
    elif supervisor.made_safe and _is_ok(supervisor, channel.signal.partition(".")[0]):
        value, verdict = channel.safe, Verdict.SAFE_HOLD.name.lower()  # no row yet, but the device was written
    return ActuatorStatus(
        signal=channel.signal,
        unit=unit,
        value=value,
        verdict=verdict,
        holder=note.holder if note is not None else "",
        low=channel.low,
        high=channel.high,
        safe=channel.safe,
        interventions_total=note.interventions_total if note is not None else 0,
    )


def _is_ok(supervisor: LoopSupervisor, part: str) -> bool:
    note = supervisor.parts.get(part)
    return note is not None and note.state == "ok" and part not in supervisor.quarantined


def actuator_units(loops: Iterable[LoopPlan]) -> dict[str, str]:
    """Units of all actuators by signal."""
    return {s.name: s.unit for loop in loops for d in loop.devices for s in d.signals if s.role == "actuator"}


def problems(loops: Iterable[LoopStatus], emergency_stop: str, record_error: str) -> list[str]:
    """What keeps the node from being well, most urgent first."""
    found: list[str] = []
    if emergency_stop:
        found.append(f"emergency stop: {emergency_stop}; clear it with 'agentctl clear node'")
    loops = list(loops)
    for loop in loops:
        if loop.state == "latched":
            found.append(f"{loop.name} is latched, its outputs stay safe: {loop.why}; 'agentctl clear {loop.name}'")
        elif loop.state != "running":
            found.append(f"{loop.name} is {loop.state}" + (f": {loop.why}" if loop.why else ""))
    for loop in loops:
        found += [f"{part.name} is {part.state}: {part.why}" for part in loop.parts if _sick(part, loop)]
    if record_error:
        found.append(f"recorder: {record_error}")
    return found


def _sick(part: PartStatus, loop: LoopStatus) -> bool:
    return loop.state == "running" and part.state not in ("ok", "waiting")
