"""Agents: what they declare, and the base class.

An agent reads inputs, sets outputs, and owns nothing else: it asks nobody for the time, for a random
number or for a file. It gets a tick, a seeded generator and its models through its constructor. That
is what makes replay exact.

    class Thermostat(Agent):
        measured: float = Input(unit="degC")
        setpoint: float = Input(unit="degC")
        heater: float = Output()
        hysteresis: float = Param(0.5, unit="delta_degC", low=0.0)

        def step(self, tick: Tick) -> None: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hal.signal import Declaration, DeclarationError, Tick, collect


class NoAnswer(Exception):
    """Raised by `step`: no output of this tick counts. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDeclaration(Declaration):
    """Wired to a signal or to a number; `many` is an array input, which takes a list of signals."""

    any_length: ClassVar[bool] = True

    @property
    def many(self) -> bool:
        """True when the value is a one-dimensional array gathered from several scalar signals."""
        return self.type.kind == "array" and self.shape is not None and len(self.shape) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeclaration(Declaration):
    """Set by the agent; may be wired to an actuator, which the guard then decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedDeclaration(Declaration):
    """What the guard applied to the actuator of the output `of`, one tick ago; None when it drives none."""

    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamDeclaration(Declaration):
    """A number that a person may change while the loop runs; it arrives between two ticks."""

    default: float | int | bool = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDeclaration(Declaration):
    """What `step` carries from tick to tick; saved as a keyframe and restored after a restart."""

    any_length: ClassVar[bool] = True

    default: float | int | bool | None = None


def Input(
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    shape: tuple[int, ...] | None = None,
    doc: str = "",
) -> Any:
    """Declare an input. With `shape=(-1,)` it takes a list of signals of any length."""
    return InputDeclaration(unit=unit, low=low, high=high, shape=shape, doc=doc)


def Output(
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    resolution: float | None = None,
    shape: tuple[int, ...] | None = None,
    doc: str = "",
) -> Any:
    """Declare an output."""
    return OutputDeclaration(unit=unit, low=low, high=high, resolution=resolution, shape=shape, doc=doc)


def Applied(of: str, *, unit: str = "", doc: str = "") -> Any:
    """Declare that the agent reads back what was applied for its output `of`, as anti-windup needs."""
    return AppliedDeclaration(of=of, unit=unit, doc=doc)


def Param(
    default: float | int | bool,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    doc: str = "",
) -> Any:
    """Declare a parameter with its default."""
    return ParamDeclaration(default=default, unit=unit, low=low, high=high, doc=doc)


def State(
    default: float | int | bool | None = None, *, unit: str = "", shape: tuple[int, ...] | None = None, doc: str = ""
) -> Any:
    """Declare state. An array state is set in the constructor."""
    return StateDeclaration(default=default, unit=unit, shape=shape, doc=doc)


class Agent:
    """Base of all agents.

    The constructor's parameters are the configuration's remaining keys; `Model` and
    `numpy.random.Generator` are injected by annotation. It does no I/O.
    """

    __declarations__: ClassVar[dict[str, Declaration]] = {}

    signals: dict[str, Declaration]
    """This instance's declarations by name: the class's and those it added."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__declarations__ = collect(cls, Agent)

    def __new__(cls, *_arguments: Any, **_keywords: Any) -> Agent:
        self = super().__new__(cls)
        self.signals = dict(cls.__declarations__)
        return self

    def add(self, name: str, declaration: Declaration, type_: object = float) -> None:
        """Declare a signal that is known only at run time. Raises DeclarationError when it exists already."""
        if name in self.signals:
            raise DeclarationError(f"signal {name!r} is declared twice")
        self.signals[name] = declaration.named(name, type_)
        setattr(self, name, None)

    def prepare(self) -> None:
        """Load what is slow to load (a model), once, before the first tick. Raises what `step` may raise."""

    def step(self, tick: Tick) -> None:
        """Set the outputs. Raises NoAnswer to give up all of them for this tick."""
        raise NotImplementedError

    def params_changed(self, names: frozenset[str]) -> None:
        """Called between two ticks, after these parameters were set."""

    def get_state(self) -> dict[str, Any]:
        """The declared state by name, for a keyframe."""
        return {name: getattr(self, name) for name, d in self.signals.items() if isinstance(d, StateDeclaration)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take a keyframe's state; names that are not declared here are ignored."""
        for name, declaration in self.signals.items():
            if isinstance(declaration, StateDeclaration) and name in state:
                setattr(self, name, state[name])
