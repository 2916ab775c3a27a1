"""An ONNX graph as a straight-line program: a second reading of the networks, used only to check verdicts.

Every tensor is an array whose last axis holds coefficients over (1, inputs, neurons so far).  With float64 arrays and
unknown inputs that gives a program of affine rows and kinks; with fractions and known inputs (only the constant column)
it gives exact values, and with balls values of smooth networks, enclosed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from flint import ctx
from numpy.typing import NDArray
from onnx import numpy_helper

from .balls import OPERATORS, PRECISION, balls, branch, ends

Rows: TypeAlias = NDArray[Any]
Kink: TypeAlias = Callable[[Rows, float], Rows]


@dataclass(frozen=True, eq=False)
class Program:
    """Neuron k is ``hinge(pre[k] @ (1, inputs, neurons before k))`` with slope ``negative[k]`` below zero, 1 above."""

    inputs: int
    pre: NDArray[np.float64]
    negative: NDArray[np.float64]
    outputs: NDArray[np.float64]


@cache
def read(path: Path) -> onnx.ModelProto:
    """Read a model once."""
    return onnx.load(path)


def shapes(path: Path) -> list[tuple[int, ...]]:
    """Shapes of the inputs, a free dimension as one."""
    return [tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim) for value in read(path).graph.input]


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How constants of a graph become numbers, and what a hinge does to rows of them."""

    number: Callable[[NDArray[Any]], Rows]
    kink: Kink


def is_smooth(path: Path) -> bool:
    """Whether a network has neurons that are no hinges."""
    return any(node.op_type in OPERATORS for node in read(path).graph.node)


def evaluate(path: Path, point: Sequence[float]) -> list[tuple[Fraction, Fraction]]:
    """Outputs in exact arithmetic, as enclosures; of a network of hinges both ends are the value."""

    def kink(rows: Rows, slope: float) -> Rows:
        return np.where(rows < 0, Fraction(slope) * rows, rows)

    def kinked_balls(rows: Rows, slope: float) -> Rows:
        return np.asarray(np.vectorize(lambda x: branch(x, slope * x, x), otypes=[object])(rows))

    if is_smooth(path):
        with ctx.workprec(PRECISION):
            found = _run(path, balls(np.array(point))[:, None], Arithmetic(balls, kinked_balls))
            return [ends(row[0]) for row in found]
    exact = _run(path, _exact(np.array(point))[:, None], Arithmetic(_exact, kink))
    return [(row[0], row[0]) for row in exact]


def program(path: Path) -> Program:
    """Lower a network; affine steps are composed in float64."""
    inputs = sum(int(np.prod(shape)) for shape in shapes(path))
    width = 1 + inputs + 600
    pre: list[NDArray[np.float64]] = []
    negative: list[float] = []

    def kink(rows: Rows, slope: float) -> Rows:
        flat = rows.reshape(-1, width)
        units = np.zeros_like(flat)
        for row, unit in zip(flat, units, strict=True):
            unit[1 + inputs + len(pre)] = 1.0
            pre.append(row)
            negative.append(slope)
        return units.reshape(rows.shape)

    plain = Arithmetic(lambda values: values.astype(np.float64), kink)
    outputs = np.array(_run(path, np.eye(inputs, width, 1), plain))
    used = 1 + inputs + len(pre)
    return Program(inputs, np.array(pre)[:, :used], np.array(negative), outputs[:, :used])


def _exact(values: NDArray[Any]) -> Rows:
    return np.array([Fraction(float(v)) for v in values.ravel()], dtype=object).reshape(values.shape)


def _run(path: Path, rows: Rows, arithmetic: Arithmetic) -> list[Rows]:
    """Run the graph on input rows of shape (inputs, width); return the rows of all outputs."""
    graph = read(path).graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values: dict[str, Rows] = {}
    start = 0
    for value, shape in zip(graph.input, shapes(path), strict=True):
        size = int(np.prod(shape))
        values[value.name] = rows[start : start + size].reshape(*shape, -1)
        start += size
    for node in graph.node:
        _step(node, values, known, arithmetic)
    return [row for value in graph.output for row in values[value.name].reshape(-1, rows.shape[1])]


def _step(
    node: onnx.NodeProto, values: dict[str, Rows], known: Mapping[str, NDArray[Any]], arithmetic: Arithmetic
) -> None:
    attribute = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    x, kink = values[node.input[0]], arithmetic.kink
    width = x.shape[-1]

    def number(name: str) -> Rows:
        """Constant as plain numbers."""
        return arithmetic.number(known[name])

    def rows(name: str) -> Rows:
        """Any operand as rows."""
        if name in values:
            return values[name]
        constant = number(name)
        return np.concatenate((constant[..., None], np.zeros((*constant.shape, width - 1), constant.dtype)), axis=-1)

    def product(left: Rows, matrix: Rows) -> Rows:
        return np.moveaxis(np.tensordot(left, matrix, axes=(-2, 0)), -1, -2)

    match node.op_type:
        case "Gemm":
            matrix = number(node.input[1])
            result = product(x, matrix.T if attribute.get("transB") else matrix) + rows(node.input[2])
        case "MatMul":
            result = product(x, number(node.input[1]))
        case "Add":
            result = x + rows(node.input[1])
        case "Sub":
            result = x - rows(node.input[1])
        case "Div":
            result = x / number(node.input[1])[..., None]
        case "Mul":
            # Two computed tensors can be multiplied only where they are numbers: one column.
            result = x * rows(node.input[1]) if width == 1 else x * number(node.input[1])[..., None]
        case kind if kind in OPERATORS and width == 1:
            result = np.vectorize(lambda ball: OPERATORS[kind](ball, attribute), otypes=[object])(x)
        case "Relu":
            result = kink(x, 0.0)
        case "LeakyRelu":
            result = kink(x, attribute["alpha"])
        case "Abs":
            result = kink(x, -1.0)
        case "Clip":
            low, high = rows(node.input[1]), rows(node.input[2])
            result = low + kink(x - low, 0.0) - kink(x - high, 0.0)
        case "Max":
            other = rows(node.input[1])
            result = other + kink(x - other, 0.0)
        case "ReduceSum":
            result = x.sum(axis=int(known[node.input[1]][0]), keepdims=True)
        case "Flatten":
            result = x.reshape(1, -1, width)
        case "Concat":
            joined = [rows(name) for name in node.input]
            axis = attribute["axis"]
            result = np.concatenate(joined, axis=axis if axis >= 0 else axis - 1)
        case "Split":
            ends = np.cumsum(known[node.input[1]])[:-1]
            for name, part in zip(node.output, np.split(x, ends, axis=attribute["axis"]), strict=True):
                values[name] = part
            return
        case "Conv":
            weight, bias = number(node.input[1]), rows(node.input[2])
            result = _convolve(x, weight, attribute.get("strides", [1, 1])) + bias[:, None, None]
        case other_kind:
            raise ValueError(f"{other_kind} is used by no network of this folder")
    values[node.output[0]] = result


def _convolve(x: Rows, weight: Rows, strides: Sequence[int]) -> Rows:
    """Valid convolution of one image (1, channels, height, width, coefficients)."""
    count, _, high, wide = weight.shape
    rows = range(0, x.shape[2] - high + 1, strides[0])
    columns = range(0, x.shape[3] - wide + 1, strides[1])
    flat = weight.reshape(count, -1)
    patches = [[flat @ x[0, :, r : r + high, c : c + wide].reshape(flat.shape[1], -1) for c in columns] for r in rows]
    return np.moveaxis(np.array(patches), 2, 0)[None]
