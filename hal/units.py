"""Units of signals: a small table with dimension, scale and offset to the base unit.

Wiring uses `conversion(source, target)`: equal dimensions give a factor and an offset,
different ones are an error. Sources: SI brochure, 9th edition; the degree Fahrenheit from
NIST SP 811, appendix B.8.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass


class UnitError(ValueError):
    """An unknown unit, or two units of different dimensions."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`base value = value * scale + offset`."""

    name: str
    dimension: str
    scale: float = 1.0
    offset: float = 0.0


def _table(rows: dict[str, dict[str, float | tuple[float, float]]]) -> dict[str, Unit]:
    table = {}
    for dimension, units in rows.items():
        for name, entry in units.items():
            scale, offset = entry if isinstance(entry, tuple) else (entry, 0.0)
            table[name] = Unit(name, dimension, scale, offset)
    return table


UNITS: dict[str, Unit] = _table(
    {
        "one": {"": 1.0, "1": 1.0, "percent": 0.01, "ppm": 1e-6},
        "length": {"m": 1.0, "km": 1e3, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "in": 0.0254, "ft": 0.3048},
        "area": {"m2": 1.0, "cm2": 1e-4, "mm2": 1e-6},
        "volume": {"m3": 1.0, "l": 1e-3, "ml": 1e-6},
        "angle": {"rad": 1.0, "mrad": 1e-3, "deg": math.pi / 180, "rev": 2 * math.pi},
        "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86400.0},
        "frequency": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
        "speed": {"m/s": 1.0, "mm/s": 1e-3, "km/h": 1 / 3.6},
        "angular speed": {"rad/s": 1.0, "deg/s": math.pi / 180, "rpm": math.pi / 30},
        "acceleration": {"m/s2": 1.0, "g": 9.80665},
        "curvature": {"1/m": 1.0, "1/mm": 1e3},
        "mass": {"kg": 1.0, "g_mass": 1e-3, "t": 1e3},
        "force": {"N": 1.0, "kN": 1e3},
        "torque": {"Nm": 1.0, "mNm": 1e-3},
        "pressure": {"Pa": 1.0, "hPa": 100.0, "kPa": 1e3, "bar": 1e5, "mbar": 100.0, "psi": 6894.757293168},
        "temperature": {"K": 1.0, "degC": (1.0, 273.15), "degF": (5 / 9, 459.67 * 5 / 9)},
        "temperature difference": {"delta_K": 1.0, "delta_degC": 1.0, "delta_degF": 5 / 9},
        "voltage": {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "kV": 1e3},
        "current": {"A": 1.0, "mA": 1e-3, "uA": 1e-6},
        "resistance": {"ohm": 1.0, "kohm": 1e3},
        "power": {"W": 1.0, "mW": 1e-3, "kW": 1e3},
        "energy": {"J": 1.0, "kJ": 1e3, "Wh": 3600.0, "kWh": 3.6e6},
        "data": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1048576.0, "GiB": 1073741824.0},
        "data rate": {"B/s": 1.0, "kB/s": 1e3, "MB/s": 1e6},
        "illuminance": {"lx": 1.0},
        "magnetic flux density": {"T": 1.0, "mT": 1e-3, "uT": 1e-6, "gauss": 1e-4},
        "flow": {"m3/s": 1.0, "l/min": 1e-3 / 60},
        "rate": {"1/s": 1.0},
    }
)


def unit(name: str) -> Unit:
    """Look a unit up by name.

    Raises UnitError with the nearest name when it is unknown.
    """
    found = UNITS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, UNITS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnitError(f"unknown unit {name!r}{hint}")
    return found


def conversion(source: str, target: str) -> tuple[float, float]:
    """Factor and offset that turn a value in `source` into one in `target`: `value * factor + offset`.

    Raises UnitError when the dimensions differ.
    """
    if source == target:
        return 1.0, 0.0
    a, b = unit(source), unit(target)
    if a.dimension != b.dimension:
        raise UnitError(f"{source or 'no unit'!r} is {_noun(a)}, {target or 'no unit'!r} is {_noun(b)}: no conversion")
    return a.scale / b.scale, (a.offset - b.offset) / b.scale


def _noun(entry: Unit) -> str:
    return "a plain number" if entry.dimension == "one" else f"a {entry.dimension}"
