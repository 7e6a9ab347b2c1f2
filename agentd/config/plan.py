"""The plan: what a configuration means, resolved and checked.

The resolver makes it in a process of its own (`agentd.config.resolve`), so that the daemon imports no
driver, no agent and no YAML parser; the daemon hands each loop's part to its worker as JSON. Everything
here is frozen; `hash` fields are what a reload compares.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base: immutable, keyword-only, small as JSON."""


class SignalPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """One signal with its full name, `owner.name`."""

    name: str
    type: str = "float"
    """float, int, bool or array."""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    unit: str = ""
    low: float | None = None
    high: float | None = None
    resolution: float | None = None
    role: str = "sensor"
    """sensor, actuator, output or foreign."""
    doc: str = ""


class DevicePlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """One device: which class, with which constructor arguments."""

    name: str
    driver: str
    """As configured: `sim.line_follower`, or a path for a file beside the configuration."""
    path: str = ""
    """Absolute path of the file when `driver` is one; empty for built-in drivers."""
    arguments: dict[str, Any] = {}
    simulated: bool = False
    actuates: bool = False
    """It has actuators: its worker opens it first and writes safe values before it imports anything heavy."""
    signals: tuple[SignalPlan, ...] = ()


class InputPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """One wire of an agent: `attribute` is set from signals, or from a constant, before each step."""

    attribute: str
    signals: tuple[str, ...] = ()
    """One name; several for an array input; none when `constant` is set."""
    constant: float | None = None
    scales: tuple[float, ...] = ()
    """Unit conversion for each signal: `value * scale + offset`; empty when none is needed."""
    offsets: tuple[float, ...] = ()
    optional: bool = False
    array: bool = False
    """Gathered into a numpy array of float64, or handed over as an array signal."""
    delayed: bool = False
    initial: float | None = None
    """What a delayed input is while nobody has set its signal; such an input does not count for the age of answers."""


class DrivePlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """An agent's output that drives an actuator of the same loop."""

    output: str
    """Attribute of the agent."""
    actuator: str
    scale: float = 1.0
    offset: float = 0.0
    priority: int = 0


class AgentPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """One agent: which class, arguments, parameters and wiring."""

    name: str
    agent: str
    path: str = ""
    arguments: dict[str, Any] = {}
    """Constructor arguments as configured; models by absolute path, see `models`."""
    models: dict[str, str] = {}
    """Constructor parameter -> absolute path of the model file."""
    model_hashes: dict[str, str] = {}
    """Constructor parameter -> SHA-256 of the model file when the plan was made."""
    params: dict[str, float | int | bool] = {}
    """Every declared parameter with its configured or default value."""
    inputs: tuple[InputPlan, ...] = ()
    drives: tuple[DrivePlan, ...] = ()
    signals: tuple[SignalPlan, ...] = ()
    seed: int = 0
    """Seed of the generator that is injected where a constructor asks for one."""


class Requirement(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """An interlock: `signal operator threshold` must hold, in the signal's own unit."""

    signal: str
    operator: str
    threshold: float


class ChannelPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """How the guard treats one actuator signal."""

    signal: str
    type: str
    low: float
    high: float
    safe: float
    slew_per_s: float | None = None
    safe_ramp_per_s: float | None = None
    stale_after_s: float = 0.1
    hold_s: float = 0.0
    clear_after_s: float = 0.0
    requires: tuple[Requirement, ...] = ()


class LoopPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """Everything one worker needs."""

    name: str
    node: str
    rate_hz: float
    realtime: bool = False
    stall_ms: int = 100
    """A tick that takes longer than this is a stall: its worker is killed and the culprit quarantined."""
    devices: tuple[DevicePlan, ...] = ()
    agents: tuple[AgentPlan, ...] = ()
    """In the order in which they are stepped: producers first."""
    channels: tuple[ChannelPlan, ...] = ()
    foreign: tuple[SignalPlan, ...] = ()
    """Signals of other loops that this one reads."""
    threads: int = 1
    cpu: int | None = None
    hash: str = ""
    """Of everything above except the values of parameters and constants."""

    @property
    def period_ns(self) -> int:
        """Nominal time between two ticks."""
        return round(1e9 / self.rate_hz)


class RecordPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """Budget of the recorder."""

    keep_days: float = 30.0
    keep_mb: float = 500.0


class HttpPlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """Where the read-only HTTP gateway listens."""

    host: str = "127.0.0.1"
    port: int = 8080


class NodePlan(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """A whole configuration, resolved."""

    node: str
    source: str
    """Absolute path of the configuration file."""
    loops: tuple[LoopPlan, ...] = ()
    record: RecordPlan = RecordPlan()
    http: HttpPlan = HttpPlan()


class Problem(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with a configuration."""

    file: str
    line: int
    """From 1; 0 when the problem has no line."""
    column: int
    message: str
    """Who, what was found, what was expected, what to do."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class Resolution(Plan, frozen=True, kw_only=True, omit_defaults=True):
    """What the resolver answers: a plan, or problems. Never both."""

    plan: NodePlan | None = None
    problems: tuple[Problem, ...] = ()
