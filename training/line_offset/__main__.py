"""Make `agents/models/line-offset.tflite` and its manifest: data, training, quantisation, held-out errors."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from hal.drivers.sim.camera import COLUMNS, ROWS
from hal.model import Golden, InputSpec, Manifest, OutputSpec, StatedError, golden_input
from training.line_offset.evaluate import answers, bare, held_out
from training.line_offset.net import train
from training.line_offset.quantise import quantise
from training.line_offset.scenes import SCALES, labelled
from training.line_offset.tflite import written

TARGET = Path(__file__).resolve().parents[2] / "agents" / "models" / "line-offset.tflite"
GOLDEN_SEED, GOLDEN_INPUTS, GOLDEN_TOLERANCE = 1, 4, 0.04
"""Kernels round differently by a step or two of 1/128 in the last layer."""

MARGIN = 1.2
"""The stated errors are the measured ones times this: another sample of poses is a little different."""

OUTPUTS = {
    "offset": ("m", "how far the point 0.18 m before the axle is left of the line"),
    "heading": ("rad", "direction of the line there, relative to the robot's: positive when it leads to the left"),
    "curvature": ("1/m", "mean over the next 0.3 m of line: positive when it bends to the left"),
}


def main() -> None:
    """The whole way, about ten minutes on one core."""
    options = argparse.ArgumentParser(prog="line_offset", description=__doc__)
    options.add_argument("--pictures", type=int, default=160_000)
    options.add_argument("--epochs", type=int, default=24)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, default=TARGET)
    asked = options.parse_args()
    torch.set_num_threads(1)  # results differ between thread counts
    net = train(labelled(asked.pictures, asked.seed), asked.epochs, asked.seed)
    layers = quantise(net, labelled(4000, asked.seed + 1).pictures)
    how = f"python -m training.line_offset --pictures {asked.pictures} --epochs {asked.epochs} --seed {asked.seed}"
    model = written(layers, ROWS, COLUMNS, "line-offset")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_bytes(model)
    manifest = msgspec.json.format(msgspec.json.encode(_manifest(model, how)), indent=2)
    asked.out.with_suffix(".json").write_bytes(manifest + b"\n")
    print(f"{asked.out}: {len(model)} bytes\n{manifest.decode()}")


def _manifest(model: bytes, how: str) -> Manifest:
    test = held_out(1000, 11)
    found = answers(model, test.pictures)
    seen = test.sure > 0.5
    errors = np.abs(found[:, :3] - test.labels)[seen] * np.array(list(SCALES.values()))
    nothing = answers(model, bare(500, 12))[:, 3] / 2 + 0.5
    print(f"confidence above 0.5: line in sight {np.mean(found[seen, 3] > 0):.4f}, bare floor {np.mean(nothing > 0.5)}")
    outputs = tuple(
        OutputSpec(
            name=name,
            unit=unit,
            low=-SCALES[name],
            high=SCALES[name],
            resolution=SCALES[name] / 128,
            scale=SCALES[name],
            error=_stated(errors[:, index]),
            doc=doc,
        )
        for index, (name, (unit, doc)) in enumerate(OUTPUTS.items())
    )
    confidence = OutputSpec(
        name="confidence", low=0.0, high=1.0, resolution=1 / 256, scale=0.5, bias=0.5, doc="1 when the line is in sight"
    )
    return Manifest(
        sha256=hashlib.sha256(model).hexdigest(),
        input=InputSpec(shape=(ROWS, COLUMNS)),
        outputs=(*outputs, confidence),
        golden=_golden(model),
        trained=how,
    )


def _stated(errors: NDArray[np.float32]) -> StatedError:
    mean, p99 = MARGIN * float(errors.mean()), MARGIN * float(np.quantile(errors, 0.99))
    return StatedError(mean=float(f"{mean:.2g}"), p99=float(f"{p99:.2g}"))


def _golden(model: bytes) -> Golden:
    spec = InputSpec(shape=(ROWS, COLUMNS))
    inputs = np.array([golden_input(spec, GOLDEN_SEED, index) for index in range(GOLDEN_INPUTS)])
    rows = tuple(tuple(round(float(value), 6) for value in row) for row in answers(model, inputs))
    return Golden(seed=GOLDEN_SEED, outputs=rows, tolerance=GOLDEN_TOLERANCE)


if __name__ == "__main__":
    main()
