"""Inference as an agent: its signals are its model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.infer import Infer
from hal.model import SHIPPED, Model, ModelError, golden_input
from hal.signal import Tick

SHIPPED_MODEL = SHIPPED / "line-offset.tflite"


@pytest.fixture
def infer() -> Infer:
    return Infer(Model(SHIPPED_MODEL))


def test_signals_are_those_of_the_manifest(infer: Infer) -> None:
    picture = infer.signals["picture"]
    assert (picture.type.kind, picture.type.dtype, picture.shape) == ("array", "uint8", (32, 48))
    offset = infer.signals["offset"]
    assert (offset.unit, offset.low, offset.high, offset.resolution) == ("m", -0.2, 0.2, 0.2 / 128)
    assert [name for name in infer.signals if name != "picture"] == ["offset", "heading", "curvature", "confidence"]


def test_another_instance_keeps_the_class_as_it_was(infer: Infer) -> None:
    assert Infer.__declarations__["picture"].shape == (-1, -1)
    assert set(Infer.__declarations__) == {"picture"}


def test_outputs_are_the_models_answer(infer: Infer) -> None:
    infer.prepare()
    picture = golden_input(infer._model.manifest.input, 1, 2)
    infer.picture = picture.astype(np.uint8)
    infer.step(Tick())
    expected = Model(SHIPPED_MODEL).load().run(picture)
    assert [infer.offset, infer.heading, infer.curvature, infer.confidence] == expected  # type: ignore[attr-defined]


def test_constructor_loads_nothing(tmp_path: Path) -> None:
    for suffix in (".tflite", ".json"):
        (tmp_path / ("line-offset" + suffix)).write_bytes(SHIPPED_MODEL.with_suffix(suffix).read_bytes())
    model = tmp_path / "line-offset.tflite"
    model.write_bytes(b"damaged")
    agent = Infer(Model(model))
    with pytest.raises(ModelError, match="the file is damaged"):
        agent.prepare()


@pytest.mark.parametrize("picture", [np.zeros((32, 48), np.uint8), np.full((32, 48), 255, np.uint8)])
def test_dark_and_dazzled_camera_is_low_confidence_and_no_error(infer: Infer, picture: np.ndarray) -> None:
    infer.picture = picture
    infer.prepare()
    infer.step(Tick())
    assert infer.confidence < 0.2  # type: ignore[attr-defined]


def test_wrong_picture_is_an_error_that_names_both_shapes(infer: Infer) -> None:
    infer.picture = np.zeros((4, 4), np.uint8)
    infer.prepare()
    with pytest.raises(ModelError, match=r"uint8\[4, 4\], expected uint8\[32, 48\]"):
        infer.step(Tick())
