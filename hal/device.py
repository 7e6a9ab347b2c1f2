"""Devices: one piece of hardware, or a simulated plant, behind one driver.

The error tree; callers branch on the type:

    HalError
    ├── NotReady       the hardware needs more time: try again at the next tick
    └── DeviceError    the hardware failed: this device degrades and is opened again with backoff

A driver converts to the declared unit at once and never retries, logs or sleeps longer than the
datasheet asks: policy is the runtime's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hal.signal import ActuatorDeclaration, Declaration, DeclarationError, Tick, ValueType, collect


class HalError(Exception):
    """Base of everything that hardware raises."""


class NotReady(HalError):
    """The hardware needs more time; the signals of this tick are absent."""


class DeviceError(HalError):
    """The hardware failed. Message: what was found, what was expected; what to do."""


class Device:
    """Base of all drivers.

    The constructor's parameters are the configuration's keys; it does no I/O. `open`, `read`,
    `write` and `close` may block only as long as the hardware's own transfer takes.
    """

    __declarations__: ClassVar[dict[str, Declaration]] = {}

    simulated: ClassVar[bool] = False
    """True for plants: the product says which of its devices are simulated."""

    signals: dict[str, Declaration]
    """This instance's declarations by name: the class's and those it added."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__declarations__ = collect(cls, Device)

    def __new__(cls, *_arguments: Any, **_keywords: Any) -> Device:
        self = super().__new__(cls)
        self.signals = dict(cls.__declarations__)
        for declaration in cls.__declarations__.values():
            if isinstance(declaration, ActuatorDeclaration):
                setattr(self, declaration.name, typed(declaration, declaration.safe))
        return self

    def add(self, name: str, declaration: Declaration, type_: object = float) -> None:
        """Declare a signal that is known only at run time. Raises DeclarationError when it exists already."""
        if name in self.signals:
            raise DeclarationError(f"signal {name!r} is declared twice")
        done = declaration.named(name, type_)
        self.signals[name] = done
        setattr(self, name, typed(done, done.safe) if isinstance(done, ActuatorDeclaration) else None)

    def open(self) -> None:
        """Find the hardware and bring it to work. Raises DeviceError or NotReady."""

    def prepare(self) -> None:
        """Load what is slow to load (numpy, tables): once, after the safe values are written, before the first tick."""

    def read(self, tick: Tick) -> None:
        """Set every sensor attribute; `None` where the hardware has no value now."""

    def write(self, tick: Tick) -> None:
        """Bring every actuator attribute to the hardware. The guard has decided them."""

    def close(self) -> None:
        """Give the hardware back. Called once after a successful `open`, whatever happened since."""


def typed(declaration: Declaration, value: float) -> float | int | bool:
    """A number as the Python type that the declaration asks for."""
    kind = declaration.type.kind
    return bool(value) if kind == "bool" else round(value) if kind == "int" else float(value)


__all__ = ["Device", "DeviceError", "HalError", "NotReady", "ValueType", "typed"]
