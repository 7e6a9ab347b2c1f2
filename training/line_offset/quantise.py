"""Post-training quantisation to int8: weights per output channel and symmetric, activations by their range.

The scheme is TFLite's: real = scale * (stored - zero_point), biases as int32 with scale input_scale * weight_scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.line_offset.net import Net

INPUT = (1.0 / 255.0, -128)
"""Grey levels 0..255 are 0..1 to the net."""

OUTPUT = (1.0 / 128.0, 0)
"""The answers lie in -1..1."""

CLIPPED = 0.9999
"""Part of an activation's values that its range covers; the rare larger ones saturate."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; a convolution's weights are (outputs, rows, columns, inputs), a dense layer's (outputs, inputs)."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_scales: NDArray[np.float32]
    output: tuple[float, int]
    """Scale and zero point of its output."""
    relu: bool


def quantise(net: Net, pictures: NDArray[np.uint8]) -> list[Layer]:
    """All layers, with the activations' ranges taken from these pictures."""
    with torch.no_grad():
        activations = net.activations(torch.from_numpy(pictures)[:, None].float() / 255.0)
    layers, source = [], INPUT
    modules = [*net.convolutions, *net.dense]
    for module, values in zip(modules, activations, strict=True):
        last = module is modules[-1]
        target = OUTPUT if last else _range(values.numpy())
        layers.append(_layer(module, source[0], target, relu=not last))
        source = target
    return layers


def _range(values: NDArray[np.float32]) -> tuple[float, int]:
    """After a ReLU: 0 is stored as -128."""
    return float(np.quantile(values[values > 0], CLIPPED)) / 255.0, -128


def _layer(module: torch.nn.Module, source_scale: float, target: tuple[float, int], relu: bool) -> Layer:
    weights = module.weight.detach().numpy()
    if weights.ndim == 4:
        weights = weights.transpose(0, 2, 3, 1)
    largest = np.abs(weights).reshape(len(weights), -1).max(1)
    if weights.ndim == 2:
        largest = np.full_like(largest, largest.max())  # one scale for a dense layer, as every runtime knows it
    scales = (largest / 127.0).astype(np.float32)
    shape = (-1,) + (1,) * (weights.ndim - 1)
    stored = np.clip(np.round(weights / scales.reshape(shape)), -127, 127).astype(np.int8)
    bias = np.round(module.bias.detach().numpy() / (scales * source_scale)).astype(np.int32)
    return Layer(stored, bias, scales, target, relu)
