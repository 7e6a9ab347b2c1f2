"""Write quantised layers as a TFLite file, with the schema's generated Python and flatbuffers; no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from training.line_offset.quantise import INPUT, Layer

ALIGNMENT = 16
"""The schema asks for it (`force_align`); its generated Python does not do it, and the runtime then copies or fails."""

VERSIONS = {
    schema.BuiltinOperator.QUANTIZE: 2,
    schema.BuiltinOperator.CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 4,
}
"""Operator versions that mean int8."""


class _AlignedBuffer(schema.BufferT):
    def Pack(self, builder: flatbuffers.Builder) -> int:
        """As generated, but aligned."""
        if self.data is None:
            return super().Pack(builder)
        builder.StartVector(1, len(self.data), ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class _Graph:
    """Tensors, buffers and operators as they are added; the picture comes in as uint8."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.name, self.graph.tensors, self.graph.operators = "main", [], []
        self.buffers = [schema.BufferT()]  # buffer 0 means: no data
        self.codes: list[int] = []

    def tensor(
        self, name: str, shape: tuple[int, ...], kind: int, steps: tuple[object, int], data: bytes | None = None
    ) -> int:
        """Add a tensor with its scales and zero point; with data it is a constant. Returns its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, 0
        scales = np.atleast_1d(np.asarray(steps[0], np.float32))
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = scales.tolist()
        tensor.quantization.zeroPoint = [steps[1]] * len(scales)
        tensor.quantization.quantizedDimension = 0
        tensor.hasRank = True
        if data is not None:
            buffer = _AlignedBuffer()
            buffer.data = data
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs: list[int], output: int, options_type: int, options: object) -> None:
        """Add an operator."""
        if code not in self.codes:
            self.codes.append(code)
        entry = schema.OperatorT()
        entry.opcodeIndex = self.codes.index(code)
        entry.inputs, entry.outputs = inputs, [output]
        entry.builtinOptionsType, entry.builtinOptions = options_type, options
        self.graph.operators.append(entry)

    def packed(self, inputs: list[int], outputs: list[int], description: str) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.description = 3, description
        model.subgraphs, model.buffers = [self.graph], self.buffers
        model.operatorCodes = [_code(code) for code in self.codes]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


@dataclass(frozen=True, slots=True)
class _Value:
    tensor: int
    shape: tuple[int, ...]
    scale: float


def written(layers: list[Layer], rows: int, columns: int, description: str) -> bytes:
    """The model file: uint8 picture in, int8 numbers out."""
    graph, kinds = _Graph(), schema.TensorType
    shape = (1, rows, columns, 1)
    picture = graph.tensor("picture", shape, kinds.UINT8, (INPUT[0], INPUT[1] + 128))
    value = _Value(graph.tensor("quantised", shape, kinds.INT8, INPUT), shape, INPUT[0])
    graph.operator(
        schema.BuiltinOperator.QUANTIZE,
        [picture],
        value.tensor,
        schema.BuiltinOptions.QuantizeOptions,
        schema.QuantizeOptionsT(),
    )
    for index, layer in enumerate(layers):
        value = _add(graph, layer, index, value)
    return graph.packed([picture], [value.tensor], description)


def _add(graph: _Graph, layer: Layer, index: int, source: _Value) -> _Value:
    kinds, outputs = schema.TensorType, len(layer.bias)
    scales = layer.weight_scales if layer.weights.ndim == 4 else layer.weight_scales[:1]
    weights = graph.tensor(f"weights_{index}", layer.weights.shape, kinds.INT8, (scales, 0), _bytes(layer.weights))
    bias = graph.tensor(f"bias_{index}", (outputs,), kinds.INT32, (scales * source.scale, 0), _bytes(layer.bias))
    relu = schema.ActivationFunctionType.RELU if layer.relu else schema.ActivationFunctionType.NONE
    if layer.weights.ndim == 4:
        shape: tuple[int, ...] = (1, (source.shape[1] + 1) // 2, (source.shape[2] + 1) // 2, outputs)
        options = schema.Conv2DOptionsT()
        options.padding, options.strideW, options.strideH = schema.Padding.SAME, 2, 2
        options.dilationWFactor = options.dilationHFactor = 1
        code, kind = schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions
    else:
        shape = (1, outputs)
        options = schema.FullyConnectedOptionsT()
        code, kind = schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOptions.FullyConnectedOptions
    options.fusedActivationFunction = relu
    target = graph.tensor(f"layer_{index}", shape, kinds.INT8, layer.output)
    graph.operator(code, [source.tensor, weights, bias], target, kind, options)
    return _Value(target, shape, layer.output[0])


def _code(code: int) -> schema.OperatorCodeT:
    entry = schema.OperatorCodeT()
    entry.builtinCode = entry.deprecatedBuiltinCode = code
    entry.version = VERSIONS[code]
    return entry


def _bytes(values: NDArray) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
