"""Declarations: what fits is taken as it stands, what cannot exist is refused when the class is made."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hal.device import Device
from hal.signal import (
    MAX_ARRAY_BYTES,
    Actuator,
    ActuatorDeclaration,
    Declaration,
    DeclarationError,
    Sensor,
    SensorDeclaration,
    ValueType,
)
from hal.units import UnitError


def declared(declaration: Declaration, annotation: object = float) -> Declaration:
    return declaration.named("speed", annotation)


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (float, ValueType("float")),
        ("float | None", ValueType("float", optional=True)),
        ("None | int", ValueType("int", optional=True)),
        ("Optional[bool]", ValueType("bool", optional=True)),
        (int | None, ValueType("int", optional=True)),
        ("NDArray[np.uint8]", ValueType("array", "uint8")),
        (NDArray[np.float32], ValueType("array", "float32")),
        ("np.ndarray[Any, np.dtype[np.int16]] | None", ValueType("array", "int16", True)),
    ],
)
def test_an_annotation_is_read_as_a_type_and_as_text(annotation: object, found: ValueType) -> None:
    assert ValueType.of(annotation) == found


@pytest.mark.parametrize(
    "annotation",
    ["str", "list[int]", "int | float", "tuple[bool, int] | None", "NDArray[np.complex64]", "floaty", object],
)
def test_another_type_is_refused(annotation: object) -> None:
    with pytest.raises(DeclarationError, match="expected"):
        ValueType.of(annotation)


def test_a_class_without_an_annotation_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"Bad\.speed: needs a type"):

        class Bad(Device):
            speed = Sensor()


def test_an_instance_starts_absent_and_its_actuators_safe() -> None:
    class Motor(Device):
        position: float = Sensor(unit="mm")
        gear: int = Actuator(low=0, high=3, safe=1)

    motor = Motor()
    assert (repr(motor.position), repr(motor.gear), list(motor.signals)) == ("None", "1", ["position", "gear"])


@pytest.mark.parametrize(
    ("changes", "annotation", "words"),
    [
        ({"low": 0.0, "high": math.inf, "safe": 0.0}, float, "finite range"),
        ({"low": -math.inf, "high": 0.0, "safe": 0.0}, float, "finite range"),
        ({"low": 0.0, "high": 1.0, "safe": math.nan}, float, "low <= safe <= high"),
        ({"low": math.nan, "high": 1.0, "safe": 0.0}, float, "above high|low <= safe"),
        ({"low": 0.0, "high": 1.0, "safe": 2.0}, float, "low <= safe <= high"),
        ({"low": 0.2, "high": 0.8, "safe": 0.5}, bool, "whole numbers"),
        ({"low": 0, "high": 2, "safe": 0}, bool, "0 or 1"),
        ({"low": 0.5, "high": 3, "safe": 1}, int, "whole numbers"),
        ({"low": 0, "high": 1e300, "safe": 1}, int, "whole numbers"),
        ({"low": 0, "high": 1, "safe": 0, "slew_per_s": 0.0}, float, "more than 0"),
        ({"low": 0, "high": 1, "safe": 0, "safe_ramp_per_s": math.nan}, float, "more than 0"),
        ({"low": 0, "high": 1, "safe": 0}, "float | None", "expected float, int or bool"),
    ],
)
def test_an_actuator_that_the_guard_could_not_keep_is_refused(
    changes: dict[str, float], annotation: object, words: str
) -> None:
    with pytest.raises(DeclarationError, match=words):
        declared(Actuator(**changes), annotation)  # type: ignore[arg-type]


@given(st.floats(), st.floats(), st.floats(), st.sampled_from([float, int, bool]))
def test_every_actuator_that_is_accepted_has_a_safe_value_it_can_take(
    low: float, high: float, safe: float, annotation: type
) -> None:
    try:
        made = declared(Actuator(low=low, high=high, safe=safe), annotation)
    except DeclarationError:
        return
    assert isinstance(made, ActuatorDeclaration) and made.low is not None and made.high is not None
    assert all(map(math.isfinite, (made.low, made.high)))
    assert made.low <= annotation(made.safe) <= made.high


@pytest.mark.parametrize("shape", [(), (0,), (-1,), (2, -1), (2, 0), (MAX_ARRAY_BYTES // 8 + 1,)])
def test_an_array_of_no_or_endless_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DeclarationError, match=r"shape|bytes an array"):
        declared(Sensor(shape=shape), "NDArray[np.float64]")


def test_an_array_of_any_fitting_size_is_taken() -> None:
    assert isinstance(declared(Sensor(shape=(32, 48)), "NDArray[np.uint8]"), SensorDeclaration)
    assert declared(Sensor(shape=(MAX_ARRAY_BYTES,)), "NDArray[np.bool_]").shape == (MAX_ARRAY_BYTES,)


@pytest.mark.parametrize(
    ("declaration", "annotation", "words"),
    [
        (Sensor(shape=(2,)), float, "only an array has one"),
        (Sensor(), "NDArray[np.uint8]", "an array needs shape="),
        (Sensor(low=2.0, high=1.0), float, "above high"),
        (Sensor(resolution=0.0), float, "not above 0"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(declaration: Declaration, annotation: object, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        declared(declaration, annotation)


def test_an_unknown_unit_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnitError, match=r"did you mean 'm"):
        declared(Sensor(unit="mms"))


def test_a_name_that_cannot_be_configured_is_refused() -> None:
    with pytest.raises(DeclarationError, match="signal 'Speed'"):
        Sensor().named("Speed", float)
