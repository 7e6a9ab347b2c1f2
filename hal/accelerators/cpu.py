"""The CPU as an accelerator: TFLite models with ai-edge-litert, or with tflite-runtime where only that exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hal.model import InputSpec, Kernel, ModelError


class Interpreter(Protocol):
    """What both packages offer."""

    def allocate_tensors(self) -> None:
        """Plan the memory; fails on damaged models."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """Shape, type and quantisation of each input."""

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same of each output."""

    def tensor(self, index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives a view of the tensor."""

    def invoke(self) -> None:
        """Run; releases the interpreter lock."""


class CpuModel:
    """One model, with its input and output tensors."""

    def __init__(self, interpreter: Interpreter, shape: tuple[int, ...]) -> None:
        self._interpreter = interpreter
        (self._taken,), (self._given,) = interpreter.get_input_details(), interpreter.get_output_details()
        self._input = interpreter.tensor(self._taken["index"])
        self._output = interpreter.tensor(self._given["index"])
        self._shape = shape
        self._scale, self._zero = self._given["quantization"]

    def run(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """The output tensor as one row of real numbers."""
        self._input().reshape(self._shape)[...] = values
        self._interpreter.invoke()
        answer = self._output().reshape(-1).astype(np.float32)
        if self._scale:
            answer -= self._zero
            answer *= self._scale
        return answer


def load(content: bytes, takes: InputSpec, gives: int, threads: int, name: str) -> Kernel:
    """Raises ModelError for damaged content, or a model that does not take and give what its manifest says."""
    make = _interpreter(name)
    try:
        interpreter: Interpreter = make(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"model {name}: the runtime refuses the file: {reason}; expected a TFLite model") from None
    _check("inputs", inputs, int(np.prod(takes.shape)), takes.dtype, name)
    _check("outputs", outputs, gives, None, name)
    return CpuModel(interpreter, takes.shape)


def _check(which: str, tensors: list[dict[str, Any]], count: int, dtype: str | None, name: str) -> None:
    if len(tensors) != 1:
        raise ModelError(f"model {name}: it has {len(tensors)} {which}, expected 1")
    tensor = tensors[0]
    found = np.dtype(tensor["dtype"]).name
    if int(np.prod(tensor["shape"])) != count or (dtype is not None and found != dtype):
        raise ModelError(
            f"model {name}: its {which[:-1]} is {found}{[int(n) for n in tensor['shape']]}, expected {count} values"
            f"{f' of {dtype}' if dtype else ''} as in its manifest"
        )


def _interpreter(name: str) -> Callable[..., Interpreter]:
    """The class Interpreter of the package that is there, the successor first."""
    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            found: Callable[..., Interpreter] = __import__(module, fromlist=["Interpreter"]).Interpreter
        except ImportError:
            continue
        return found
    raise ModelError(
        f"model {name}: neither ai-edge-litert nor tflite-runtime is installed; install agentd-node[inference]"
    )
