"""Inference: a model turns a picture, or any other array, into signals.

The outputs are those of the model's manifest; their values carry the manifest's units. A model that is not sure
says so in an output of its own (`confidence`), and whoever acts on it decides: that is no error here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agents.agent import Agent, Input, Output
from hal.model import LoadedModel, Model
from hal.signal import Tick, ValueType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Infer(Agent):
    """One model, run once a tick."""

    picture: NDArray[np.uint8] = Input(shape=(-1, -1), doc="what the model sees; shape and type are its manifest's")

    def __init__(self, model: Model, threads: int = 1) -> None:
        """More than one thread may change the last digit of the answers."""
        self._model, self._threads = model, threads
        self._loaded: LoadedModel | None = None
        takes = model.manifest.input
        self.signals["picture"] = replace(
            self.signals["picture"], shape=takes.shape, unit=takes.unit, type=ValueType("array", takes.dtype)
        )
        self._outputs = tuple(output.name for output in model.manifest.outputs)
        for output in model.manifest.outputs:
            declaration = Output(
                unit=output.unit, low=output.low, high=output.high, resolution=output.resolution, doc=output.doc
            )
            self.add(output.name, declaration)

    def prepare(self) -> None:
        """Load the model. Raises ModelError when it is damaged or answers wrongly on this machine."""
        self._loaded = self._model.load(self._threads)

    def step(self, tick: Tick) -> None:
        """Answer to this tick's picture. Raises ModelError when the picture has another shape or type."""
        if self._loaded is None:
            self.prepare()
        assert self._loaded is not None
        for name, value in zip(self._outputs, self._loaded.run(self.picture), strict=True):
            setattr(self, name, value)
