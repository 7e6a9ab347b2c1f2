"""Signals: what a device or an agent declares, and the tick it is given.

Declarations are annotated fields in the manner of `dataclasses.field`; the values are plain
attributes:

    class Tmp117(Device):
        temperature: float = Sensor(unit="degC", low=-55.0, high=150.0)

The annotation is the type: `float`, `int`, `bool`, each with `| None` where it may be absent,
or `NDArray[np.uint8]` (any numpy scalar type) with `shape=`. A value is present, or absent:
`None` and NaN are absent.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hal.units import unit as find_unit

OWNER_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""Owners (devices, agents, loops) and their signals."""

NODE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""Nodes and models may also use `-`."""

ANY_UNIT = "any"
"""For agents that work in whatever unit they are wired to: every unit fits, nothing is converted."""

MAX_ARRAY_BYTES = 64 * 1024 * 1024

_ARRAY = re.compile(r"(?:NDArray\[|dtype\[)(?:np|numpy)\.(\w+)")
_SCALAR = re.compile(
    r"(?:None\s*\|\s*)?(float|int|bool)(?:\s*\|\s*None)?|(?:typing\.|t\.)?Optional\[(float|int|bool)\]"
)
_DTYPES = frozenset(
    {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"bool_", "float16", "float32", "float64"}
)


class DeclarationError(TypeError):
    """A class declares a signal that cannot exist. Raised while the class body is executed."""


class Absent(enum.IntEnum):
    """Why a signal has no value now. Stored as one byte a signal in every row; 0 is present."""

    PRESENT = 0
    NOT_YET = 1
    """Nothing has set it since its loop started."""
    NOT_A_NUMBER = 2
    DEVICE_ERROR = 3
    """The device raised; see its event."""
    DEVICE_CLOSED = 4
    """Not open: it failed to open, or waits to be opened again."""
    QUARANTINED = 5
    """It hung and is left out until a person clears its loop."""
    NO_ANSWER = 6
    """The agent gave its outputs up (`NoAnswer`)."""
    INPUT_ABSENT = 7
    """The agent was not stepped: one of its inputs is absent."""
    AGENT_ERROR = 8
    OUT_OF_RANGE = 9
    """The value does not fit the declared type."""
    LOOP_SILENT = 10
    """The loop that owns this signal publishes nothing."""
    NOT_GIVEN = 11
    """The driver set `None`: the hardware has no such value now."""


@dataclass(slots=True)
class Tick:
    """One scan cycle. The loop reuses the object: use it during the call, do not keep it.

    `time_ns` is CLOCK_BOOTTIME in nanoseconds when the tick began; `dt_s` the seconds since the
    tick before it began (the nominal period on the first tick).
    """

    number: int = 0
    time_ns: int = 0
    dt_s: float = 0.0
    late: bool = False


@dataclass(frozen=True, slots=True)
class ValueType:
    """`kind` is float, int, bool or array; `dtype` is set for arrays; `optional` means `| None`."""

    kind: str
    dtype: str = ""
    optional: bool = False

    @classmethod
    def of(cls, annotation: object) -> ValueType:
        """Read an annotation, as a type or as source text. Raises DeclarationError."""
        text = (
            annotation.__name__ if isinstance(annotation, type) and not str(annotation).count("[") else str(annotation)
        )
        optional = bool(re.search(r"\|\s*None\b|\bNone\s*\||\bOptional\[", text))
        array = _ARRAY.search(text)
        if array:
            dtype = array.group(1)
            if dtype not in _DTYPES:
                raise DeclarationError(f"array of {dtype}: expected one of {', '.join(sorted(_DTYPES))}")
            return cls("array", dtype, optional)
        if (scalar := _SCALAR.fullmatch(text)) is not None:
            return cls(next(filter(None, scalar.groups())), "", optional)
        raise DeclarationError(f"type {text!r}: expected float, int, bool, each with | None, or NDArray[np.<dtype>]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What all signals declare. `name` and `type` are filled in from the class body."""

    name: str = ""
    type: ValueType = ValueType("float")
    unit: str = ""
    low: float | None = None
    high: float | None = None
    resolution: float | None = None
    shape: tuple[int, ...] | None = None
    doc: str = ""

    any_length: ClassVar[bool] = False
    """Whether a length may be -1, for any."""

    def named(self, name: str, annotation: object) -> Declaration:
        """This declaration with its name and type, checked. Raises DeclarationError."""
        if not OWNER_NAME.fullmatch(name):
            raise DeclarationError(f"signal {name!r}: expected {OWNER_NAME.pattern}")
        done = replace(self, name=name, type=ValueType.of(annotation))
        done.check()
        return done

    def check(self) -> None:
        """Raises DeclarationError when the parts do not fit each other, UnitError for an unknown unit."""
        if self.unit != ANY_UNIT:
            find_unit(self.unit)
        if (self.type.kind == "array") != (self.shape is not None):
            raise DeclarationError(f"signal {self.name!r}: an array needs shape=, and only an array has one")
        if self.shape is not None:
            self._check_shape(self.shape)
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise DeclarationError(f"signal {self.name!r}: low {self.low} is above high {self.high}")
        if self.resolution is not None and not self.resolution > 0:
            raise DeclarationError(f"signal {self.name!r}: resolution {self.resolution} is not above 0")

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        smallest = -1 if self.any_length else 1
        if not shape or any(side < smallest or side == 0 for side in shape):
            raise DeclarationError(f"signal {self.name!r}: shape {shape}: expected lengths of 1 and more")
        bits = int(self.type.dtype.lstrip("abcdefghijklmnopqrstuvwxyz_") or 8)
        size = math.prod(abs(side) for side in shape) * bits // 8
        if size > MAX_ARRAY_BYTES:
            raise DeclarationError(f"signal {self.name!r}: {size} bytes an array, at most {MAX_ARRAY_BYTES}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorDeclaration(Declaration):
    """A signal that is read from a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorDeclaration(Declaration):
    """A signal that is written to a device. Range and safe value are required: the guard needs them."""

    safe: float = 0.0
    slew_per_s: float | None = None
    safe_ramp_per_s: float | None = None

    def check(self) -> None:
        """As `Declaration.check`; a scalar, its range finite, the safe value in it, whole numbers where it takes them.

        The guard relies on it: a range without a whole number in it would leave an int nothing to be.
        """
        Declaration.check(self)
        if self.type.kind == "array" or self.type.optional:
            raise DeclarationError(f"actuator {self.name!r}: expected float, int or bool")
        if self.low is None or self.high is None or not self.low <= self.safe <= self.high:
            raise DeclarationError(f"actuator {self.name!r}: needs low <= safe <= high")
        numbers = (self.low, self.high, self.safe)
        if not all(math.isfinite(number) for number in numbers):
            raise DeclarationError(f"actuator {self.name!r}: needs a finite range, found {self.low} to {self.high}")
        if self.type.kind != "float" and not all(
            number == round(number) and abs(number) <= 2**53 for number in numbers
        ):
            raise DeclarationError(f"actuator {self.name!r}: takes whole numbers, so low, high and safe must be such")
        if self.type.kind == "bool" and not 0 <= self.low <= self.high <= 1:
            raise DeclarationError(f"actuator {self.name!r}: is false or true, so low and high must be 0 or 1")
        for speed in (self.slew_per_s, self.safe_ramp_per_s):
            if speed is not None and not 0 < speed < math.inf:
                raise DeclarationError(f"actuator {self.name!r}: found {speed} a second, expected more than 0")


def Sensor(
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    resolution: float | None = None,
    shape: tuple[int, ...] | None = None,
    doc: str = "",
) -> Any:
    """Declare a sensor. `resolution` is the exact step of the hardware: it is recorded as integer steps."""
    return SensorDeclaration(unit=unit, low=low, high=high, resolution=resolution, shape=shape, doc=doc)


def Actuator(
    *,
    unit: str = "",
    low: float,
    high: float,
    safe: float,
    resolution: float | None = None,
    slew_per_s: float | None = None,
    safe_ramp_per_s: float | None = None,
    doc: str = "",
) -> Any:
    """Declare an actuator.

    `safe` is what the guard writes when nothing better may be written. `safe_ramp_per_s` makes it
    approach the safe value at that speed instead of at once (for what must not be stopped abruptly).
    """
    return ActuatorDeclaration(
        unit=unit,
        low=low,
        high=high,
        safe=safe,
        resolution=resolution,
        slew_per_s=slew_per_s,
        safe_ramp_per_s=safe_ramp_per_s,
        doc=doc,
    )


def collect(cls: type, base: type) -> dict[str, Declaration]:
    """The declarations of a class and its parents, by name, in the order of the class body.

    Each declared attribute is replaced by `None` on the class (by its default where the declaration
    has one), so that an instance starts absent. Raises DeclarationError.
    """
    found: dict[str, Declaration] = {}
    for parent in reversed(cls.__mro__):
        if parent is not cls and parent is not base and issubclass(parent, base):
            found.update(parent.__dict__.get("__declarations__", {}))
    annotations = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - inspect would import ast and tokenize
    for name, value in list(cls.__dict__.items()):
        if not isinstance(value, Declaration):
            continue
        if name not in annotations:
            raise DeclarationError(f"{cls.__name__}.{name}: needs a type, as in `{name}: float = ...`")
        try:
            found[name] = value.named(name, annotations[name])
        except (DeclarationError, ValueError) as error:
            raise DeclarationError(f"{cls.__name__}: {error}") from None
        setattr(cls, name, getattr(value, "default", None))
    return found
