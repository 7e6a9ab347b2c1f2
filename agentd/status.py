"""What runs, how well, and why something does not: the answer of `agentctl status` and `/api/v1/status`."""

from __future__ import annotations

import msgspec


class Quantiles(msgspec.Struct, frozen=True):
    """Of the last minute, in microseconds."""

    p50_us: float = 0.0
    p99_us: float = 0.0
    p999_us: float = 0.0
    max_us: float = 0.0


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One device or agent."""

    name: str
    kind: str
    """device or agent"""
    use: str
    """Driver or agent as configured."""
    state: str = "ok"
    """ok, degraded, quarantined or waiting."""
    why: str = ""
    """Empty when it is ok; else what happened and what would help."""
    simulated: bool = False
    duration: Quantiles = Quantiles()


class LoopStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One loop and its worker."""

    name: str
    rate_hz: float
    measured_hz: float = 0.0
    state: str = "starting"
    """starting, running, backing off, latched or stopped."""
    why: str = ""
    generation: int = 0
    pid: int = 0
    restarts_total: int = 0
    ticks_total: int = 0
    missed_total: int = 0
    """Ticks that ended after the next one should have begun."""
    skipped_total: int = 0
    """Ticks that were never run because the one before was still running."""
    last_miss: str = ""
    realtime: bool = False
    notes: tuple[str, ...] = ()
    """Limits that were not granted, and the like."""
    wake: Quantiles = Quantiles()
    duration: Quantiles = Quantiles()
    bookkeeping: Quantiles = Quantiles()
    parts: tuple[PartStatus, ...] = ()


class ActuatorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One actuator signal and what the guard does with it."""

    signal: str
    unit: str
    value: float | None = None
    """What was applied."""
    verdict: str = ""
    """as_asked, clamped, slew_limited, or safe_<reason>."""
    holder: str = ""
    """Who decides it now: an agent's output, or the holder of a lease."""
    low: float = 0.0
    high: float = 0.0
    safe: float = 0.0
    interventions_total: int = 0


class RecordStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The recorder."""

    samples_total: int = 0
    lost_rows_total: int = 0
    bytes: int = 0
    budget_bytes: int = 0
    oldest_utc_ns: int = 0
    error: str = ""


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole node."""

    node: str
    version: str
    pid: int
    uptime_s: float
    config: str
    live: bool
    ready: bool
    problems: tuple[str, ...] = ()
    """Everything that keeps the node from being well, most urgent first; empty when all is well."""
    emergency_stop: str = ""
    """Who pulled it and why; empty when it is not pulled."""
    loops: tuple[LoopStatus, ...] = ()
    actuators: tuple[ActuatorStatus, ...] = ()
    record: RecordStatus = RecordStatus()
    simulated: tuple[str, ...] = ()
    """Devices that are simulated plants."""
    http: str = ""
