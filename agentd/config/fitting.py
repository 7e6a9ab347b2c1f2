"""What fits what: types, shapes, units and ranges of signals, and the words for it in a message."""

from __future__ import annotations

from agentd.config.tree import Problems, Scalar, shown
from agents.agent import InputDeclaration
from hal.signal import ANY_UNIT, Declaration
from hal.units import conversion

_WIDER = {"bool": 0, "int": 1, "float": 2}
"""A value may be handed to a type that holds every value of its own."""

_WORDS = {"float": "a number", "int": "a whole number", "bool": "true or false"}


def scaling(source: Declaration, target: Declaration) -> tuple[float, float]:
    """Scale and offset from one declaration's unit to the other's. Raises UnitError when the dimensions differ."""
    return (1.0, 0.0) if ANY_UNIT in (source.unit, target.unit) else conversion(source.unit, target.unit)


def types_fit(given: Declaration, wanted: Declaration) -> bool:
    """True when every value of `given` is one of `wanted`."""
    if wanted.type.kind != "array" or given.type.kind != "array":
        return (
            "array" not in (wanted.type.kind, given.type.kind) and _WIDER[given.type.kind] <= _WIDER[wanted.type.kind]
        )
    shapes = wanted.shape or (), given.shape or ()
    return (
        wanted.type.dtype == given.type.dtype
        and len(shapes[0]) == len(shapes[1])
        and all(w in (g, -1) for w, g in zip(*shapes, strict=True))
    )


def number(declaration: Declaration, tree: Scalar, who: str, problems: Problems) -> float | int | bool | None:
    """A configured number that fits the declared type and range, or None after reporting."""
    value, kind = tree.value, declaration.type.kind
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {"bool": isinstance(value, bool), "int": is_number and isinstance(value, int), "float": is_number}
    if not fits.get(kind, False) or not isinstance(value, int | float):
        problems.add(tree.place, f"{who}: found {shown(tree)}, expected {expected_value(declaration)}")
        return None
    low, high = declaration.low, declaration.high
    if (low is not None and value < low) or (high is not None and value > high):
        problems.add(tree.place, f"{who}: found {shown(tree)}, expected {_range(low, high)}{_in_unit(declaration)}")
        return None
    return float(value) if kind == "float" else value


def expected_value(declaration: Declaration) -> str:
    """What a key of this declaration takes."""
    if not isinstance(declaration, InputDeclaration):
        return f"{_WORDS[declaration.type.kind]}{_in_unit(declaration)}"
    if declaration.many:
        return f"a list of signals, or a signal that is {kind_of(declaration)}"
    if declaration.type.kind == "array":
        return f"a signal that is {kind_of(declaration)}"
    return f"a signal or {_WORDS[declaration.type.kind]}{_in_unit(declaration)}"


def kind_of(declaration: Declaration) -> str:
    """The type in words: `a float`, `an array of uint8 32x48`."""
    if declaration.type.kind != "array":
        return f"{'an' if declaration.type.kind == 'int' else 'a'} {declaration.type.kind}"
    sides = "x".join("n" if side < 0 else str(side) for side in declaration.shape or ())
    return f"an array of {declaration.type.dtype} {sides}"


def _in_unit(declaration: Declaration) -> str:
    return "" if declaration.unit in ("", ANY_UNIT) else f" in {declaration.unit}"


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"
